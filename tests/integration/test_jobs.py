"""Independent steps at once: the same tables and metrics, and what happens when one fails or all are stopped."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import cli, config, graph, jobs, project, step
from runner.apply import Run, StepResult, StepRunner
from runner.graph import Graph
from runner.step import STEP_KEYS, SqlFile
from staging_loaders.load import load_day
from staging_loaders.session import Inline
from tests.e2e.conftest import start
from tests.steps import Warehouse

ROOT = Path(__file__).parents[2]
DAYS = ("day1", "day2", "day3")
METRICS = """
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_affected, status)
select current_setting('app.flow_run_id'), '{0}_task', '{0}', '{0}', current_setting('app.day'), 0, 'success'
"""
# Waits in the server, in vain for as long as the time-out of the step.
UNTIL = "do $$ begin while not exists ({}) loop perform pg_sleep(0.01); end loop; end $$"
LOCKED = "select from pg_locks where locktype = 'advisory' and (classid, objid) = (0, 1) and granted"

Connection = psycopg.Connection[tuple[Any, ...]]


def apply(
    database: str,
    steps: Sequence[SqlFile],
    needs: Graph,
    *,
    day: str = "day1",
    count: int = 4,
    log: Callable[[str], None] = lambda _: None,
) -> list[StepResult]:
    """Run steps side by side; return their results in the order in which they were told."""
    results: list[StepResult] = []
    run = Run("zluri", day, f"run-{day}", database)
    jobs.run(
        steps,
        needs,
        count,
        lambda told: StepRunner(run, told),
        log=log,
        running=lambda _: None,
        done=lambda _, result: results.append(result),
    )
    return results


@pytest.fixture
def make_steps(tmp_path: Path) -> Callable[..., list[SqlFile]]:
    """Write steps of these names and statements, each with its metrics, in a project of their own."""

    def make(**texts: str) -> list[SqlFile]:
        folder = tmp_path / "migrations" / "demo"
        folder.mkdir(parents=True)
        for number, (name, text) in enumerate(texts.items(), start=1):
            content = f"-- timeout: 60s\n{text};\n{METRICS.format(name)};\n"
            (folder / f"0{number}0_{name}.sql").write_text(content, encoding="utf-8")
        return [step.read(path, tmp_path, STEP_KEYS) for path in sorted(folder.glob("*.sql"))]

    return make


def independent(steps: Sequence[SqlFile]) -> Graph:
    """Return the graph of steps of which none waits for another."""
    return {each.id: frozenset() for each in steps}


def books(connection: Connection) -> list[tuple[Any, ...]]:
    """Return what the metrics say, but for ids and times."""
    return connection.execute(
        "select day, step, task_name, table_name, attempt, rows_inserted, rows_updated, rows_deleted, status"
        " from pipeline_metrics order by day, step"
    ).fetchall()


def test_the_same_as_one_by_one(new_database: Callable[[], str]) -> None:
    """The shipped days end in the same tables and the same metrics, whether steps run at once or not."""
    pipeline = project.discover(config.load({"project": str(ROOT), "pipeline": "zluri"}, environ={}))
    needs = graph.build(graph.effects(pipeline))
    found = []
    for count in (1, 4):
        url = new_database()
        for day in DAYS:
            load_day(
                dsn=url, pipeline="zluri", day=day, base=str(ROOT / "tests/days"), mode="always", session=Inline(),
                declarations=ROOT / "staging_loaders/zluri", flow_run_id="load",
            )  # fmt: skip
            if count > 1:
                results = apply(url, pipeline.steps, needs, day=day, count=count)
            else:
                with StepRunner(Run("zluri", day, f"run-{day}", url), lambda _: None) as runner:
                    results = [runner.run(each) for each in pipeline.steps]
            assert [result.step for result in results] == [each.id for each in pipeline.steps]
        with psycopg.connect(url, autocommit=True) as connection:
            found.append((Warehouse(connection).content(), books(connection)))
    assert found[0] == found[1]
    assert len(found[0][1]) == len(DAYS) * len(pipeline.steps)


def test_steps_run_at_the_same_time(database: str, make_steps: Callable[..., list[SqlFile]]) -> None:
    """Two steps come through of which one waits until the other has begun, and that one until this one has ended."""
    steps = make_steps(
        one=UNTIL.format(LOCKED),
        two="select pg_advisory_xact_lock(1);" + UNTIL.format("select from pipeline_metrics where step = '010_one'"),
    )
    assert [result.step for result in apply(database, steps, independent(steps))] == ["010_one", "020_two"]


def test_told_in_the_order_of_the_files(database: str, make_steps: Callable[..., list[SqlFile]]) -> None:
    """A step that ends first is told after those before it."""
    steps = make_steps(
        slow=UNTIL.format("select from pipeline_metrics where step = '020_quick'"), quick="select 1", last="select 1"
    )
    results = apply(database, steps, independent(steps), count=2)
    assert [result.step for result in results] == ["010_slow", "020_quick", "030_last"]


def test_a_step_waits_for_what_it_needs(
    database: str, connection: Connection, make_steps: Callable[..., list[SqlFile]]
) -> None:
    """A step starts when those it depends on are committed, although there is room for it before."""
    connection.execute("create table things (id int)")
    steps = make_steps(
        writes="select pg_sleep(0.2); insert into things values (1)",
        other="select 1",
        reads="do $$ begin if not exists (select from things) then raise 'too early'; end if; end $$",
    )
    needs = {"010_writes": frozenset[str](), "020_other": frozenset[str](), "030_reads": frozenset({"010_writes"})}
    assert len(apply(database, steps, needs)) == 3


def test_after_a_failure_nothing_more_starts(
    database: str, connection: Connection, make_steps: Callable[..., list[SqlFile]]
) -> None:
    """What runs when a step fails comes to its end and is kept; what was not begun is named."""
    steps = make_steps(
        fails="select 1/0",
        runs=UNTIL.format("select from pipeline_metrics where status = 'failure'"),
        needs="select 1",
        free="select 1",
    )
    needs = independent(steps) | {"030_needs": frozenset({"010_fails"})}
    with pytest.raises(jobs.Failed) as caught:
        apply(database, steps, needs, count=2)
    assert list(caught.value.errors) == ["010_fails"]
    assert "division by zero" in caught.value.errors["010_fails"].message
    assert caught.value.not_run == ["030_needs", "040_free"]
    assert [(row[1], row[-1]) for row in books(connection)] == [("010_fails", "failure"), ("020_runs", "success")]


def test_all_failures_are_told(database: str, make_steps: Callable[..., list[SqlFile]]) -> None:
    """Steps that fail side by side are all among the errors."""
    steps = make_steps(
        one="select pg_advisory_xact_lock(1);"
        + UNTIL.format("select from pipeline_metrics where status = 'failure'")
        + "; select 1/0",
        two=UNTIL.format(LOCKED) + "; select 1/0",
    )
    with pytest.raises(jobs.Failed) as caught:
        apply(database, steps, independent(steps))
    assert sorted(caught.value.errors) == ["010_one", "020_two"]


def test_passing_faults_are_retried(
    database: str, connection: Connection, make_steps: Callable[..., list[SqlFile]]
) -> None:
    """A step is tried again by itself, and what it says of it comes through."""
    connection.execute("create sequence tries")
    fault = "do $$ begin if nextval('tries') < 3 then raise 'not yet' using errcode = '40001'; end if; end $$"
    steps = make_steps(one=fault, two="select 1")
    log: list[str] = []
    results = apply(database, steps, independent(steps), log=log.append)
    assert [result.attempt for result in results] == [3, 1]
    assert [line.split(" (")[0] for line in log] == [f"day1 010_one: attempt {n} of 5 failed" for n in (1, 2)]


def test_ctrl_c_cancels_all(
    database: str, connection: Connection, tmp_path: Path, make_steps: Callable[..., list[SqlFile]]
) -> None:
    """Ctrl-C ends every statement that runs, rolls back and says so; the books name the steps that were ended."""
    make_steps(
        one="create table half_done (id int); select pg_sleep(60)",
        two="select pg_sleep(60)",
        three="select 1",
    )
    process = start("apply", "--day", "day1", "--jobs", "2", cwd=tmp_path, DATABASE_URL=database)
    sleeping = "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'"
    while connection.execute(sleeping).fetchone() != (2,):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err and "rolled back" in err
    assert connection.execute(sleeping).fetchone() == (0,)
    assert connection.execute("select to_regclass('half_done')").fetchone() == (None,)
    rows = connection.execute("select step, status, error_message from pipeline_metrics order by step").fetchall()
    assert rows == [("010_one", "failure", "interrupted"), ("020_two", "failure", "interrupted")]
    assert connection.execute("select count(*) from runner_leases").fetchone() == (0,)


def test_the_command_names_what_was_not_run(
    database: str, tmp_path: Path, make_steps: Callable[..., list[SqlFile]]
) -> None:
    """A failure ends with 1; results go to standard output in file order, what was left out to standard error."""
    make_steps(fine="select 1", fails="select 1/0", alone="do $$ begin execute 'select 1'; end $$")
    process = start("apply", "--day", "day1", "--jobs", "2", cwd=tmp_path, DATABASE_URL=database)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert [line.split()[2] for line in out.splitlines() if " step " in line] == ["010_fine"]
    assert "day1: not run: 030_alone\n" in err
    assert "020_fails.sql:2:" in err


@pytest.mark.parametrize("count", ["1", "3"])
def test_what_was_not_run_for_machines(
    count: str,
    database: str,
    make_steps: Callable[..., list[SqlFile]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After a failure the JSON has what was done, the error, and the steps that were not run."""
    make_steps(
        makes="create table things (id int)", fails="select 1 / count(*) from things",
        reads="insert into things select 1",
    )  # fmt: skip
    monkeypatch.setenv("DATABASE_URL", database)
    assert cli.main(["apply", "--day", "day1", "--project", str(tmp_path), "--jobs", count, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [each["step"] for each in document["steps"]] == ["010_makes"]
    assert "division by zero" in document["error"]["message"]
    assert [{"step": "020_fails"} | document["error"]] == document["errors"]
    assert document["not_run"] == ["030_reads"]


def test_all_failures_for_people_and_machines(
    database: str,
    make_steps: Callable[..., list[SqlFile]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of steps that fail side by side the JSON and standard error have all, in the order of the files."""
    steps = make_steps(
        one="select pg_advisory_xact_lock(1);"
        + UNTIL.format("select from pipeline_metrics where status = 'failure'")
        + "; select 1/0",
        two=UNTIL.format(LOCKED) + "; select 1/0",
        last="select 1",
    )
    # That the first one looks at the metrics would keep them apart.
    monkeypatch.setattr(graph, "build", lambda _effects, _steps: independent(steps))
    monkeypatch.setenv("DATABASE_URL", database)
    assert cli.main(["apply", "--day", "day1", "--project", str(tmp_path), "--jobs", "2", "--json"]) == 1
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert [each["step"] for each in document["errors"]] == ["010_one", "020_two"]
    assert [each["message"].splitlines()[0] for each in document["errors"]] == [
        "day1 010_one failed", "day1 020_two failed",
    ]  # fmt: skip
    assert document["error"] == {key: document["errors"][1][key] for key in ("message", "hint")}
    assert document["not_run"] == ["030_last"]
    assert err.count("division by zero") == 2 and err.index("010_one failed") < err.index("020_two failed")


def test_the_plan_shows_what_waits_for_what(
    database: str,
    make_steps: Callable[..., list[SqlFile]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A plan names the steps that one waits for, for people and machines, and why one runs alone."""
    make_steps(
        makes="create table things (id int)",
        other="select 1",
        reads="select * from things",
        alone="do $$ begin execute 'select 1'; end $$",
    )
    monkeypatch.setenv("DATABASE_URL", database)
    plan = ["plan", "--day", "day1", "--project", str(tmp_path)]
    assert cli.main(plan) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split() == ["step", "action", "after", "why"]
    assert out.splitlines()[3].startswith("030_reads  run     010_makes  ")
    assert err == "040_alone runs alone: it has a block that builds its statements itself (execute)\n"
    assert cli.main([*plan, "--json", "--from", "020"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [(each["step"], each["after"]) for each in steps] == [
        ("020_other", []), ("030_reads", []), ("040_alone", ["020_other", "030_reads"]),
    ]  # fmt: skip


def test_without_the_parser(
    database: str,
    make_steps: Callable[..., list[SqlFile]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without pglast a day runs step by step and a plan has no graph; what needs it says how to install it."""
    make_steps(one="select 1", two="select 1")
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setitem(sys.modules, "pglast", None)
    options = ["--day", "day1", "--project", str(tmp_path)]
    assert cli.main(["plan", *options]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split() == ["step", "action", "why"]
    assert err.count("pip install") == 1
    assert cli.main(["plan", *options, "--json"]) == 0
    assert [each["after"] for each in json.loads(capsys.readouterr().out)["steps"]] == [None, None]
    assert cli.main(["apply", *options, "--jobs", "2"]) == 2
    assert "pip install" in capsys.readouterr().err
    assert cli.main(["lineage", "--project", str(tmp_path)]) == 2
    assert "pip install" in capsys.readouterr().err
    assert cli.main(["apply", *options]) == 0


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_number_of_jobs_is_at_least_one(
    count: str, tmp_path: Path, make_steps: Callable[..., list[SqlFile]], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no number of jobs ends with 2, before anything is run."""
    make_steps(one="select 1")
    assert cli.main(["apply", "--day", "day1", "--project", str(tmp_path), "--jobs", count]) == 2
    assert "--jobs" in capsys.readouterr().err
