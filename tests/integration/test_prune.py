"""Old days leave staging and the books; what tells of them, final tables and newer days stay."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from runner import check_results, cli, config, database, metrics, retention
from runner.lease import Lease
from staging_loaders import exchange
from tests.conftest import ROOT
from tests.steps import KEYS

Connection = psycopg.Connection[tuple[Any, ...]]
DAYS = ("day1", "day2", "day3")


@pytest.fixture(scope="module")
def rates(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A few exchange rates, which are read sooner than all."""
    file = tmp_path_factory.mktemp("rates") / "rates.csv"
    file.write_text("Date,USD,INR\n2026-03-05,1.1,99\n")
    return str(file)


@pytest.fixture(scope="module")
def applied(server: Any, template: str, rates: str) -> Iterator[str]:
    """The name of a database with three days applied, the first one twice; clone it, never connect."""
    name = server.create(template)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", server.on(name))
        patch.setenv("FX_RATES_SOURCE", rates)
        for day in (*DAYS, "day1"):
            assert cli.main(["apply", "--project", str(ROOT), "--day", day, "--engine", "local", "--json"]) == 0
    yield name
    server.drop(name)


@pytest.fixture
def connection(server: Any, applied: str, rates: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection to a copy of the database, which is the runner's, too."""
    name = server.create(applied)
    monkeypatch.setenv("FX_RATES_SOURCE", rates)
    monkeypatch.setenv("DATABASE_URL", server.on(name))
    with psycopg.connect(server.on(name), autocommit=True) as connection:
        yield connection
    server.drop(name)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in the repository; return its exit code, output and errors."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main([*arguments, "--project", str(ROOT)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def finals(connection: Connection) -> dict[str, list[str]]:
    found = {
        table: connection.execute(f"select t::text from {table} t order by 1".encode()).fetchall() for table in KEYS
    }
    return {table: [text for (text,) in rows] for table, rows in found.items()}


def days_of(connection: Connection, table: str) -> list[str]:
    return [day for (day,) in connection.execute(f"select distinct day from {table} order by day".encode())]


def partitions(connection: Connection) -> int:
    (number,) = connection.execute(
        "select count(*) from pg_inherits where inhparent::regclass::text like 'stg\\_%'"
    ).fetchone() or (0,)
    return int(number)


def test_old_days_leave_staging(connection: Connection, run: Callable[..., tuple[int, str, str]]) -> None:
    """Staging, loads and rejects keep the newest days only; final tables keep every row."""
    before = finals(connection)
    code, out, err = run("prune", "--keep", "1")
    assert code == 0
    assert "2 days, 390 staging rows" in out and "1 kept whole" in out
    assert "load it first: runner load --day D" in err
    for table in ("stg_agents", "stg_transactions", "stg_loads", "stg_rejects"):
        assert days_of(connection, table) == ["day3"], table
    assert partitions(connection) == 5
    assert finals(connection) == before
    assert run("prune", "--keep", "1")[1] == "zluri: nothing is older than the newest 1 day\n"


def test_what_is_told_of_old_days_stays(connection: Connection, run: Callable[..., tuple[int, str, str]]) -> None:
    """Each step's last outcome and its checks are those of before, in every command that tells them."""

    def told() -> list[Any]:
        return [metrics.states(connection, "zluri"), check_results.latest(connection, "zluri"), run("status")[1:]]

    connection.execute(
        "insert into pipeline_metrics"
        " (flow_run_id, task_name, pipeline_name, day, status, error_message, pipeline, step)"
        " values ('r', 'groups_task', 'groups', 'day2', 'failure', 'no', 'zluri', '020_groups')"
    )
    before = told()
    ran = connection.execute("select count(*) from pipeline_metrics where day = 'day1'").fetchone()
    run("prune", "--keep", "1")
    assert told() == before
    assert ran == (14,)
    assert connection.execute("select day, count(*) from pipeline_metrics group by day order by day").fetchall() == [
        ("day1", 7), ("day2", 8), ("day3", 7),
    ]  # fmt: skip
    planned = run("plan", "--day", "day1")
    assert "will be new since" in planned[1], planned


def test_an_old_day_is_loaded_again(connection: Connection, run: Callable[..., tuple[int, str, str]]) -> None:
    """Without its staging a day is not applied; loaded again, it changes no final row."""
    before = finals(connection)
    run("prune", "--keep", "1")
    code, _, err = run("apply", "--day", "day1", "--load", "never")
    assert code == 2 and "day1 is not loaded" in err and "runner load --day day1" in err
    assert run("apply", "--day", "day1", "--engine", "local")[0] == 0
    assert finals(connection) == before
    assert days_of(connection, "stg_agents") == ["day1", "day3"]


def test_proofs_hold_on_the_days_that_are_left(
    connection: Connection, run: Callable[..., tuple[int, str, str]]
) -> None:
    """After a prune the steps are proven on the days in staging."""
    run("prune", "--keep", "2")
    code, out, _ = run("verify", "--only", "030", "--json")
    assert code == 0 and json.loads(out)["days"] == ["day2", "day3"]


def test_a_dry_run_changes_nothing(connection: Connection, run: Callable[..., tuple[int, str, str]]) -> None:
    """What would go is what goes then."""
    code, out, _ = run("prune", "--keep", "2", "--dry-run", "--json")
    planned = json.loads(out)
    assert code == 0 and planned["dry_run"] and planned["kept"] == ["day2", "day3"]
    assert partitions(connection) == 17
    done = json.loads(run("prune", "--keep", "2", "--json")[1])
    assert done | {"dry_run": True} == planned
    (day,) = done["pruned"]
    assert (day["day"], day["rows"], day["rejects"], day["metrics"]) == ("day1", 264, 63, 7)
    assert {each["table"] for each in day["staging"]} >= {"stg_agents", "stg_roles"}


def test_the_number_of_days_is_asked_for(
    connection: Connection, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes by default; a setting may say how much stays."""
    assert run("prune")[0] == 2
    assert run("prune", "--keep", "0")[0] == 2
    monkeypatch.setenv("RUNNER_PRUNE_KEEP", "2")
    assert run("prune", "--dry-run")[0] == 0


def test_a_day_that_a_run_holds_stays(connection: Connection, run: Callable[..., tuple[int, str, str]]) -> None:
    """It is named with its holder, the others go, and the exit code says so."""
    with Lease(os.environ["DATABASE_URL"], "zluri", "day1", "a run"):
        code, out, err = run("prune", "--keep", "1")
    assert code == 3
    assert "day1 stays: day1 is held by run a run" in err
    assert "1 day, 126 staging rows" in out
    assert days_of(connection, "stg_agents") == ["day1", "day3"]
    with Lease(os.environ["DATABASE_URL"], "zluri", "day1", "a run"):
        assert run("prune", "--keep", "1")[:2] == (3, "")


def test_who_reads_staging_is_not_disturbed(
    connection: Connection, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that has read staging goes on seeing it; it is named, and nothing has gone."""
    monkeypatch.setattr(exchange, "_PATIENCE", 0.05)
    with psycopg.connect(os.environ["DATABASE_URL"]) as reader:
        seen = reader.execute("select count(*) from stg_agents where day = 'day1'").fetchone()
        code, _, err = run("prune", "--keep", "1", "--wait", "0")
        assert code == 1 and "is in use by process" in err and "--wait" in err
        assert reader.execute("select count(*) from stg_agents where day = 'day1'").fetchone() == seen
    assert days_of(connection, "stg_agents") == list(DAYS)
    assert metrics.is_loaded(connection, "zluri", "day1")
    assert run("prune", "--keep", "1")[0] == 0


def prune_by_itself(keep: int) -> None:
    """Prune in a thread, in which no command can run."""
    settings = config.load({"project": str(ROOT), "pipeline": "zluri"})
    dsn = settings.database_url or ""
    with database.connect(dsn, "prune") as connection:
        found = retention.find(connection, settings, keep)
        retention.Pruner(dsn, settings, found, 60, print, print).run(connection, print)


def test_a_step_and_a_prune_of_one_day_exclude_each_other(
    connection: Connection, run: Callable[..., tuple[int, str, str]]
) -> None:
    """A transaction that reads the day's staging is waited for, also where it holds no lease."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as step:
        step.execute("select pg_advisory_xact_lock_shared(hashtextextended('staging:zluri/day1', 0))")
        thread = threading.Thread(target=prune_by_itself, args=(2,))
        thread.start()
        while not connection.execute(
            "select 1 from pg_stat_activity where query like '%%try_advisory%%' and application_name = 'prune'"
        ).fetchone():
            assert thread.is_alive()
        assert days_of(connection, "stg_agents") == list(DAYS)
        step.rollback()
        thread.join()
    assert days_of(connection, "stg_agents") == ["day2", "day3"]


def test_rows_go_where_there_are_no_partitions(
    connection: Connection, run: Callable[..., tuple[int, str, str]]
) -> None:
    """Staging in a plain table loses the rows of old days, and a partition on which a view hangs is emptied."""
    connection.execute("create table plain (like stg_roles)")
    connection.execute("insert into plain select * from stg_roles")
    connection.execute("drop table stg_roles; alter table plain rename to stg_roles")
    connection.execute('create view seen as select * from staging_days."stg_cards@day1"')
    assert run("prune", "--keep", "2")[0] == 0
    assert days_of(connection, "stg_roles") == ["day3"]
    assert connection.execute("select count(*) from seen").fetchone() == (0,)
    assert days_of(connection, "stg_cards") == ["day2"]


def test_an_interrupted_prune_goes_on(
    connection: Connection, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day is gone or not; what was done stays done, and the rest goes with the next one."""
    original = retention.delete_books

    def dies(connection: Any, pipeline: str, day: str, entities: Any) -> None:
        original(connection, pipeline, day, entities)
        if day == "day2":
            raise KeyboardInterrupt

    monkeypatch.setattr(retention, "delete_books", dies)
    code, _, err = run("prune", "--keep", "1")
    assert code == 130 and "1 day went before this" in err
    assert days_of(connection, "stg_agents") == days_of(connection, "stg_loads") == ["day2", "day3"]
    monkeypatch.undo()
    monkeypatch.setenv("DATABASE_URL", connection.info.dsn)


def test_staging_that_no_declaration_fills_stays(connection: Connection) -> None:
    """What the runner could not load again is left, and the books go on telling of it."""
    settings = config.load(
        {"project": str(ROOT / "tests" / "foreign"), "pipeline": None}, environ={}, need_pipeline=False
    )
    settings = config.replace(settings, pipeline="zluri")
    found = retention.find(connection, settings, 1)
    assert found.tables == () and not any(old.loads or old.rejects or old.held for old in found.old)


def test_a_database_without_days_has_nothing_to_prune(
    empty_database: str, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made, nothing goes."""
    monkeypatch.setenv("DATABASE_URL", empty_database)
    assert run("prune", "--keep", "1")[:2] == (0, "zluri: nothing is older than the newest 0 days\n")
