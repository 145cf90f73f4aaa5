"""The command line: what people and machines get to see, and with which exit code."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.conftest import ROOT, Outcome, environment, start, warned

Runner = Callable[..., Outcome]
Connection = psycopg.Connection[tuple[Any, ...]]

METRICS = """
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, status)
select current_setting('app.flow_run_id'), '{name}_task', '{name}', '{name}', current_setting('app.day'), 'success';
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of SQL alone, with one step that does nothing."""
    add_step(tmp_path, "010_first", "select 1;")
    return tmp_path


def add_step(project: Path, name: str, sql: str) -> None:
    """Write a step that ends with its metrics."""
    folder = project / "migrations" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.sql").write_text(f"begin;\n{sql}\n{METRICS.format(name=name[4:])}commit;\n")


# The checks that have something to say about the first of the shipped days.
DAY1_WARNS = ["012_listed_roles_are_known", "020_listed_members_are_known", "040_rates_are_known"]


def test_a_day_from_files_to_tables(runner: Runner, connection: Connection) -> None:
    """A day is loaded and applied, the counts reconcile, and a rerun changes nothing and starts no Spark."""
    first = runner("apply", "--day", "day1", "--json")
    assert (first.code, warned(first.err)) == (0, DAY1_WARNS)
    document = json.loads(first.out)
    loads = document["loads"]
    assert len(loads) == 7
    assert all(load["records_read"] == load["rows_loaded"] + load["rejects"] for load in loads)
    assert [step["status"] for step in document["steps"]] == ["success"] * 7
    run_ids = connection.execute("select distinct flow_run_id from pipeline_metrics").fetchall()
    assert run_ids == [(document["flow_run_id"],)]
    assert connection.execute("select tablename from pg_tables where schemaname = 'landing'").fetchall() == []

    again = runner("apply", "--day", "day1", PATH="/nonexistent", JAVA_HOME="/nonexistent")
    assert (again.code, warned(again.err)) == (0, DAY1_WARNS)
    assert "files of 7 entities unchanged" in again.out
    assert again.out.count("nothing to change") == 7

    rejects = json.loads(runner("rejects", "--day", "day1", "--severity", "reject", "--limit", "0", "--json").out)
    assert len(rejects) == sum(load["rejects"] for load in loads)
    assert f"{len(rejects)} rejects" in runner("rejects").out

    status = json.loads(runner("status", "--json").out)
    assert [(day["day"], set(day["steps"].values())) for day in status] == [("day1", {"success"})]
    rows = list(csv.DictReader(io.StringIO(runner("metrics", "--format", "csv").out)))
    assert len(rows) == 14
    assert {row["rows_affected"] for row in rows[7:]} == {"0"}
    plan = json.loads(runner("plan", "--day", "day1", "--json").out)
    assert {load["action"] for load in plan["loads"]} == {"keep"}
    assert all("a rerun changes nothing" in step["reason"] for step in plan["steps"])


def test_a_new_project_runs_as_it_is(runner: Runner, empty_database: str, tmp_path: Path) -> None:
    """`runner init` makes a project whose day can be applied at once, from wherever it stands."""
    assert runner("init", "new", cwd=tmp_path).code == 0
    # The README's commands do the same with Spark.
    given = {"DATABASE_URL": empty_database, "RUNNER_ENGINE": "local"}
    applied = runner("apply", "--day", "day1", cwd=tmp_path / "new", **given)
    assert (applied.code, applied.err) == (0, "")
    assert "3 read = 2 loaded + 1 rejected" in applied.out
    assert "2 inserted" in applied.out
    again = runner("init", "new", cwd=tmp_path)
    assert (again.code, again.out) == (2, "")
    assert "exists already" in again.err


def test_the_step_of_the_readme(runner: Runner, connection: Connection, tmp_path: Path) -> None:
    """The whole step that the README shows is one that runs, counts itself, passes lint and can be run again."""
    (step,) = re.findall(r"```sql\n(-- 030_order_counts.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    folder = tmp_path / "migrations" / "shop"
    (folder / "schema").mkdir(parents=True)
    (folder / "030_order_counts.sql").write_text(step, "utf-8")
    (folder / "schema" / "001_orders.sql").write_text(
        "create table stg_orders (day text not null, order_id bigint not null);\n"
        "create table order_counts (day text primary key, orders bigint not null);\n"
    )
    runner("migrate", cwd=tmp_path)
    connection.execute("insert into stg_orders values ('day1', 1), ('day1', 2), ('day2', 3)")
    assert "030_order_counts        1 inserted" in runner("apply", "--day", "day1", cwd=tmp_path).out
    assert "030_order_counts        nothing to change" in runner("apply", "--day", "day1", cwd=tmp_path).out
    assert connection.execute("select * from order_counts").fetchall() == [("day1", 2)]
    assert runner("lint", cwd=tmp_path).out == "2 files: nothing to complain about\n"


def test_truncated_page_stops_the_day(runner: Runner, connection: Connection, tmp_path: Path) -> None:
    """A page that breaks off is named with line and column, and nothing of the day is changed."""
    shutil.copytree(ROOT / "tests" / "days" / "sync-day1", tmp_path / "sync-day1")
    page = next(path for path in sorted((tmp_path / "sync-day1" / "admin_groups").glob("*.json")))
    text = page.read_text(encoding="utf-8-sig")
    page.write_text(text[: len(text) // 2], encoding="utf-8")
    failed = runner("apply", "--day", "day1", "--engine", "local", "--data", str(tmp_path))
    assert failed.code == 1
    assert f"{page}:" in failed.err
    assert "hint:" in failed.err
    for table in ("stg_loads", "stg_rejects", "stg_agents", "agents", "pipeline_metrics"):
        assert connection.execute(f"select count(*) from {table}").fetchone() == (0,)
    assert connection.execute("select tablename from pg_tables where schemaname = 'landing'").fetchall() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["aply"], "Did you mean 'runner apply'?", id="unknown command"),
        pytest.param(["apply"], "--day", id="no day"),
        pytest.param(["apply", "--day", "../etc"], "not a day name", id="path as day"),
        pytest.param(["apply", "--day", "day"], "Did you mean day", id="wrong day"),
        pytest.param(["apply", "--day", "day1", "--data", "/nonexistent"], "does not exist", id="no data folder"),
        pytest.param(["apply", "--day", "day1", "--only", "021"], "Steps: 010_agents", id="unknown step"),
        pytest.param(["apply", "--day", "day1", "--pipeline", "x"], "Known pipelines: zluri", id="unknown pipeline"),
        pytest.param(["apply", "--day", "day1", "--bogus"], "--bogus", id="unknown flag"),
        pytest.param(["apply", "--day", "day1", "--load", "never"], "runner load --day day1", id="not loaded"),
        pytest.param(["apply", "--day", "day1", "--max-rejects", "many"], "many", id="wrong limit"),
        pytest.param(["load", "--day", "day99"], "day1, day2, day3", id="load of a wrong day"),
        pytest.param(["plan", "--day", "day99"], "day1, day2, day3", id="plan of a wrong day"),
        pytest.param(["apply", "--day", "day1", "--only", ""], "Steps: 010_agents", id="no step"),
        pytest.param(
            ["apply", "--day", "day1", "--wait", "nan"], "--wait: 'nan' is not a number of seconds", id="no time"
        ),
        pytest.param(
            ["apply", "--day", "day1", "--wait", "abc"], "--wait: 'abc' is not a number of seconds", id="word"
        ),
        pytest.param(["apply", "--day", "day1", "--only", "agnets"], "Did you mean 010_agents? Steps:", id="near step"),
        pytest.param(["apply", "day1"], "hint: Write --day day1.", id="day without its option"),
        pytest.param(["rejects", "2026-01-05"], "hint: Write --day 2026-01-05.", id="day that may be left out"),
        pytest.param(["apply", "--only", "020"], "hint: See runner apply --help.", id="step without a day"),
        pytest.param(["load", "--day", "DAY1"], "Did you mean day1?", id="day in capitals"),
        pytest.param(["metrics", "--format", "xml"], "--format", id="wrong format"),
        pytest.param(["apply", "--day", "day1", "--master", "foo"], "'foo' is not a Spark master", id="wrong master"),
        pytest.param(["load", "--day", "day1", "--master", ""], "'' is not a Spark master", id="empty master"),
        pytest.param(["apply", "--day", "day1", "--load", "never", "--max-rejects", "1"], "no meaning", id="no load"),
        pytest.param(["plan", "--day", "day1", "--load", "never"], "runner load --day day1", id="plan, not loaded"),
        pytest.param(["rejects", "--entity", "nope"], "Entities: admin_groups, agent_details", id="unknown entity"),
    ],
)
def test_wrong_usage(runner: Runner, connection: Connection, arguments: list[str], message: str) -> None:
    """Wrong usage ends with 2 and a hint, on standard error alone, and changes nothing."""
    outcome = runner(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert "hint:" in outcome.err
    assert connection.execute("select count(*) from pipeline_metrics").fetchone() == (0,)


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        pytest.param(["--day", "day99"], {}, id="wrong day"),
        pytest.param(["--day", "day1", "--load", "never"], {}, id="not loaded"),
        pytest.param(["--day", "day1", "--max-rejects", "x"], {}, id="wrong limit"),
        pytest.param(["--day", "day1"], {"SPARK_MASTER": "foo"}, id="wrong master"),
        pytest.param(["--day", "day1"], {"FX_RATES_SOURCE": "/nope"}, id="no such rates"),
    ],
)
def test_nothing_is_touched_by_a_wrong_call(
    runner: Runner, empty_database: str, arguments: list[str], given: dict[str, str]
) -> None:
    """The day and the settings are looked at before the schema is made."""
    outcome = runner("apply", *arguments, DATABASE_URL=empty_database, **given)
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("select 1 from pg_tables where schemaname = 'public'").fetchall() == []


def test_a_wrong_day_starts_no_server(runner: Runner, home: Path) -> None:
    """Nothing embedded is set up for a day that is not there."""
    for mode in ("auto", "never"):
        outcome = runner("apply", "--day", "day99", "--load", mode, DATABASE_URL="", RUNNER_HOME=str(home))
        assert outcome.code == 2, outcome.err
        assert not home.exists()


def test_files_without_spark(runner: Runner, empty_database: str, connection: Connection, tmp_path: Path) -> None:
    """Where Spark is not installed, a day with new files is refused before the schema is made; others are applied."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'pyspark' else find(name, package)\n"
    )
    given = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    outcome = runner("apply", "--day", "day1", DATABASE_URL=empty_database, **given)
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert "loading needs Spark, which is not installed" in outcome.err
    with psycopg.connect(empty_database) as empty:
        assert empty.execute("select 1 from pg_tables where schemaname = 'public'").fetchall() == []
    runner("load", "--day", "day3", "--engine", "local")
    assert runner("apply", "--day", "day3", "--only", "010", **given).code == 0
    assert connection.execute("select count(*) from agents").fetchone() != (0,)


def test_settings_of_all_commands_may_stand_first(runner: Runner, project: Path, tmp_path: Path) -> None:
    """`--project DIR status` means `status --project DIR`."""
    assert runner("--project", str(project), "status").err == "no day was applied yet: runner apply --day D\n"
    assert runner(f"--project={project}", "--pipeline", "demo", "status").code == 0
    assert "usage: runner COMMAND" in runner("--project", str(project)).out


def test_a_closed_output(database: str, project: Path) -> None:
    """With standard output closed a run does its work all the same, and writes into no other file."""
    command = f'"{sys.executable}" -m runner apply --day day1 --json >&-'
    given = environment(DATABASE_URL=database)
    done = subprocess.run(["sh", "-c", command], cwd=project, env=given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_full_disk(database: str, project: Path) -> None:
    """What cannot be written is said, once."""
    command = f'"{sys.executable}" -m runner apply --day day1 >/dev/full'
    given = environment(DATABASE_URL=database)
    done = subprocess.run(["sh", "-c", command], cwd=project, env=given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: No space left on device\nhint: Free some space")
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("postgresql://me:s3cretword@127.0.0.1:1/db", "me@127.0.0.1:1/db", id="nobody listens"),
        pytest.param("postgresql://me:s3cretword@127.0.0.1:port/db", "its port is not a number", id="wrong port"),
        pytest.param("postgresql://me:s3cretword@127.0.0.1:1,b:p/db", "its port is not a number", id="second port"),
        pytest.param("postgresql+psycopg2://me:s3cretword@h/db", "Leave out '+psycopg2'", id="SQLAlchemy's"),
        pytest.param("host=127.0.0.1 password=s3cretword what", "not a connection string", id="wrong conninfo"),
    ],
)
def test_bad_server(runner: Runner, url: str, message: str) -> None:
    """A server that cannot be reached ends with 2 and without the password."""
    outcome = runner("apply", "--day", "day1", DATABASE_URL=url)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert "s3cretword" not in outcome.err


def test_failing_step(runner: Runner, connection: Connection, project: Path) -> None:
    """A failing step stops the run with 1, names its place to the column, and keeps the steps before it."""
    lines = ["select"] + ["    1,"] * 37 + ["    7 / (select 0),", "    2;"]
    add_step(project, "020_second", "\n".join(lines))
    add_step(project, "030_third", "select 1;")
    outcome = runner("apply", "--day", "day1", cwd=project)
    assert outcome.code == 1
    assert "010_first" in outcome.out
    assert "030_third" not in outcome.out
    assert "day1 020_second failed" in outcome.err
    assert "migrations/demo/020_second.sql:40:7: division by zero (22012)" in outcome.err
    assert "   40 |     7 / (select 0),\n      |       ^" in outcome.err
    assert "hint: Guard the divisor" in outcome.err
    rows = connection.execute("select step, status from pipeline_metrics order by id").fetchall()
    assert rows == [("010_first", "success"), ("020_second", "failure")]
    shown = runner("status", cwd=project).out
    assert "FAILED" in shown
    machine = runner("apply", "--day", "day1", "--json", cwd=project)
    assert (machine.code, machine.err) == (1, outcome.err)
    document = json.loads(machine.out)
    assert [step["step"] for step in document["steps"]] == ["010_first"]
    assert document["error"]["hint"].startswith("Guard the divisor")


def test_transaction_control_is_refused_before_anything_runs(
    runner: Runner, connection: Connection, project: Path
) -> None:
    """A step that commits by itself stops the run before its first step."""
    add_step(project, "020_second", "select 1;\ncommit;\nselect 2;")
    outcome = runner("apply", "--day", "day1", cwd=project)
    assert (outcome.code, outcome.out) == (2, "")
    assert "migrations/demo/020_second.sql:3:1: transaction control: commit" in outcome.err
    assert connection.execute("select count(*) from pipeline_metrics").fetchone() == (0,)


def test_day_is_held(runner: Runner, connection: Connection, project: Path) -> None:
    """A day that another run holds ends with 3 and the holder's name."""
    connection.execute(
        "insert into runner_leases (pipeline, day, flow_run_id, host, pid) values ('demo', 'day1', 'other', 'afar', 7)"
    )
    outcome = runner("apply", "--day", "day1", cwd=project)
    assert (outcome.code, outcome.out) == (3, "")
    assert "held by run other on afar (pid 7) since" in outcome.err
    assert runner("apply", "--day", "day2", cwd=project).code == 0


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="ctrl-c"),
        pytest.param(signal.SIGTERM, 143, id="terminated"),
        pytest.param(signal.SIGHUP, 129, id="terminal closed"),
    ],
)
def test_interrupted_step(
    database: str, connection: Connection, project: Path, number: signal.Signals, code: int
) -> None:
    """An interrupt cancels the statement in the server, rolls back, says so, and gives the day back."""
    add_step(project, "020_second", "create table half_done (id int);\nselect pg_sleep(300);")
    process = start("apply", "--day", "day1", cwd=project, DATABASE_URL=database)
    wait_for(connection, "select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    assert "rolled back" in err
    assert connection.execute("select to_regclass('half_done')").fetchone() == (None,)
    rows = connection.execute("select step, status, error_message from pipeline_metrics order by id").fetchall()
    assert rows == [("010_first", "success", None), ("020_second", "failure", "interrupted")]
    assert connection.execute("select count(*) from runner_leases").fetchone() == (0,)
    running = "select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'"
    assert connection.execute(running).fetchall() == []


def wait_for(connection: Connection, query: str) -> None:
    """Wait until a query has a row; the server does the waiting."""
    for _ in range(2400):
        if connection.execute(query).fetchone():
            return
        connection.execute("select pg_sleep(0.05)")
    raise AssertionError(f"never came true: {query}")


def test_closed_terminal(database: str, connection: Connection, project: Path) -> None:
    """A run whose terminal is really gone ends with 129 all the same: what it still has to say goes nowhere."""
    add_step(project, "020_second", "select pg_sleep(300);")
    master, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "apply", "--day", "day1"],
        cwd=project,
        env=environment(DATABASE_URL=database),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    wait_for(connection, "select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'")
    os.close(master)
    assert process.wait(60) == 129
    rows = connection.execute("select step, status, error_message from pipeline_metrics order by id").fetchall()
    assert rows == [("010_first", "success", None), ("020_second", "failure", "interrupted")]


@pytest.mark.long
@pytest.mark.parametrize("times", [pytest.param(1, id="once"), pytest.param(2, id="twice")])
def test_interrupted_load(database: str, connection: Connection, tmp_path: Path, times: int) -> None:
    """Ctrl-C in the middle of a load, once or more, ends with 130, and leaves no table, row or process behind."""
    make = [sys.executable, "-m", "tests.make_days", "--out", str(tmp_path), "--days", "1", "--transactions", "40000"]
    subprocess.run(make, cwd=ROOT, env=environment(), check=True, capture_output=True)
    process = start("load", "--day", "day1", "--data", str(tmp_path), cwd=ROOT, DATABASE_URL=database)
    wait_for(connection, "select 1 from pg_stat_activity where query ilike 'copy%' and state = 'active'")
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        connection.execute("select pg_sleep(0.15)")
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "\ninterrupted: what was not committed is rolled back\n")
    assert connection.execute("select count(*) from stg_loads").fetchone() == (0,)
    assert connection.execute("select tablename from pg_tables where schemaname = 'landing'").fetchall() == []
    assert connection.execute("select count(*) from runner_leases").fetchone() == (0,)


HEAVY = ("psycopg", "pyspark", "prefect", "sqlglot", "jinja2", "pyarrow", "msgspec", "boto3")


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        pytest.param(["--help"], HEAVY, id="help"),
        pytest.param(["apply", "--help"], HEAVY, id="help of a command"),
        pytest.param(["apply", "--day", "day1"], HEAVY[1:], id="apply"),
        pytest.param(["status"], HEAVY[1:], id="status"),
        pytest.param(["plan", "--day", "day1"], HEAVY[1:], id="plan"),
    ],
)
def test_nothing_heavy_is_imported(database: str, project: Path, arguments: list[str], absent: tuple[str, ...]) -> None:
    """A command imports only what it needs: the command line starts at once."""
    code = "\n".join(
        (
            "import sys",
            "from runner.cli import main",
            "try:",
            "    code = main(sys.argv[1:])",
            "except SystemExit as exit:",
            "    code = exit.code",
            "print(*sys.modules, file=sys.stderr)",
        )
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=project,
        env=environment(DATABASE_URL=database),
        capture_output=True,
        text=True,
        check=False,
    )
    modules = {name.partition(".")[0] for name in done.stderr.split()}
    assert "runner" in modules, done.stderr
    assert modules.isdisjoint(absent)


def test_another_style_of_dates(runner: Runner, connection: Connection, project: Path) -> None:
    """A server whose dates look different is read all the same."""
    (name,) = connection.execute("select current_database()").fetchone() or ("",)
    connection.execute(f"alter database {name} set datestyle = 'SQL, DMY'")
    assert runner("apply", "--day", "day1", cwd=project).code == 0
    assert json.loads(runner("status", "--json", cwd=project).out)[0]["steps"] == {"010_first": "success"}


def test_a_server_that_only_reads(runner: Runner, connection: Connection, project: Path) -> None:
    """A standby's refusal is the server's, in words to act on."""
    (name,) = connection.execute("select current_database()").fetchone() or ("",)
    connection.execute(f"alter database {name} set default_transaction_read_only = on")
    outcome = runner("apply", "--day", "day1", cwd=project)
    assert outcome.code == 1
    assert "read-only transaction" in outcome.err
    assert "Name the primary" in outcome.err


def test_a_search_path_to_nowhere(runner: Runner, connection: Connection, project: Path) -> None:
    """Where there is no schema to create in, the remedy is the server's, not the file's."""
    (name,) = connection.execute("select current_database()").fetchone() or ("",)
    connection.execute(f"alter database {name} set search_path = ''")
    outcome = runner("apply", "--day", "day1", cwd=project)
    assert outcome.code == 1
    assert "search_path = public" in outcome.err


def test_version_and_overview(runner: Runner) -> None:
    """Without a command the runner says what it can do, and it knows its version."""
    assert "apply" in runner().out
    assert "usage: runner apply" in runner("help", "apply").out
    assert runner("--version").out.startswith("runner 0.")


def test_reader_that_leaves_early(database: str, connection: Connection, project: Path) -> None:
    """A run whose output nobody reads any more goes on to its end."""
    add_step(project, "020_second", "select 1;")
    with start("apply", "--day", "day1", cwd=project, DATABASE_URL=database) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 0
    assert connection.execute("select count(*) from pipeline_metrics").fetchone() == (2,)


def test_reader_that_leaves(database: str, project: Path) -> None:
    """A reader that has enough, such as head, is no error."""
    with start("--help", cwd=project, DATABASE_URL=database) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 0
