"""The day as a Prefect flow: what is run and recorded, who retries, how it ends."""

from __future__ import annotations

import ast
import contextlib
import json
import logging
import os
import select
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.error import HTTPError, URLError
from uuid import uuid4

import psycopg
import pytest
from psycopg import conninfo

from runner import config
from runner.apply import StepResult, StepRunner
from runner.errors import (
    BackfillFailed,
    ConfigError,
    DatabaseUnavailable,
    DayHeld,
    LoadFailed,
    NotLoaded,
    StaleData,
    StepFailed,
    TookTooLong,
)
from runner.lease import Lease
from runner.step import SqlFile
from tests.e2e.conftest import warned
from tests.flows import Ended, artifacts, logged
from tests.hostile.watching import files_with
from tests.integration.conftest import Server

ROOT = Path(__file__).resolve().parents[2]

# What Prefect and its dependencies say of one another.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
]

Connection = psycopg.Connection[tuple[Any, ...]]

STEP = """
create table if not exists {name} (attempt text);
{extra}
insert into {name} values (current_setting('app.attempt'));
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status
)
select
    current_setting('app.flow_run_id'), '{name}_task', '{name}', '{name}', current_setting('app.day'), 1, 1, 'success';
"""
PASSING = """
do $$ begin
    if current_setting('app.attempt') < '{until}' then
        raise exception 'could not serialize' using errcode = '40001';
    end if;
end $$;
"""


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Make a project of one pipeline, `demo`, with a step for each name: its extra SQL."""

    def make(**steps: str) -> Path:
        folder = tmp_path / "migrations" / "demo"
        folder.mkdir(parents=True)
        for number, (name, extra) in enumerate(steps.items(), 1):
            (folder / f"{number:02}0_{name}.sql").write_text(STEP.format(name=name, extra=extra), "utf-8")
        return tmp_path

    return make


@pytest.fixture
def flow(prefect_server: Server, database: str) -> Callable[..., Ended]:
    """Run the flow of a project on the test's database, one step at a time, and return how it ended."""
    from runner.flows.day import day_pipeline

    def run(project: Path, day: str = "day1", **parameters: Any) -> Ended:
        settings = config.load({"project": str(project)}, environ={"DATABASE_URL": database, "RUNNER_ENV": "test"})
        quick = {**settings.tasks, "database": {"backoff": 0.01} | settings.tasks.get("database", {})}
        state = day_pipeline(replace(settings, tasks=quick))(day, return_state=True, **{"jobs": 1} | parameters)
        return Ended(state)

    return run


def metrics_rows(connection: Connection, flow_run_id: str) -> list[tuple[Any, ...]]:
    """Return step, attempt and status of the rows that a run wrote."""
    return connection.execute(
        "select task_name, attempt, status from pipeline_metrics where flow_run_id = %s order by id", (flow_run_id,)
    ).fetchall()


def test_a_day(flow: Callable[..., Ended], project: Callable[..., Path], connection: Connection) -> None:
    """Each step is a task that ran in order; the run's id is in every metrics row, its table on Prefect's page."""
    ended = flow(project(first="", second=""))
    assert [step.step for step in ended.steps] == ["010_first", "020_second"]
    assert metrics_rows(connection, ended.id) == [("first_task", 1, "success"), ("second_task", 1, "success")]
    assert ended.run.name == "demo day1"
    assert set(ended.run.tags) == {"pipeline=demo", "env=test", "day=day1"}
    shown = {artifact.key: artifact for artifact in ended.artifacts()}
    assert {key: artifact.type for key, artifact in shown.items()} == {
        "demo-metrics-day1": "table",
        "demo-changes-day1": "markdown",
    }
    assert '"step": "020_second"' in shown["demo-metrics-day1"].data
    assert "| second | 020\\_second | 1 | 0 | 0 |" in shown["demo-changes-day1"].data
    assert connection.execute("select count(*) from runner_leases").fetchone() == (0,)


def test_a_skipped_step(flow: Callable[..., Ended], project: Callable[..., Path], connection: Connection) -> None:
    """A step that has nothing to do is completed, and its task says that it was skipped."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    folder = project(first="", second="")
    step = folder / "migrations" / "demo" / "010_first.sql"
    step.write_text(step.read_text("utf-8").replace("'success'", "'skipped'"), "utf-8")
    ended = flow(folder)
    assert [(step.step, step.status) for step in ended.steps] == [("010_first", "skipped"), ("020_second", "success")]
    with get_client(sync_client=True) as client:
        tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[ended.run.id])))
    states = {task.name: task.state for task in tasks if task.state}
    shown = {name: (state.type.value, state.name) for name, state in states.items()}
    assert shown["first_task"] == ("COMPLETED", "Skipped")
    assert shown["second_task"] == ("COMPLETED", "Completed")
    assert states["first_task"].message == "skipped"
    assert metrics_rows(connection, ended.id) == [("first_task", 1, "skipped"), ("second_task", 1, "success")]


def test_a_failing_step(flow: Callable[..., Ended], project: Callable[..., Path], connection: Connection) -> None:
    """A step that fails is not tried again, fails the flow with its message, and keeps later steps from running."""
    ended = flow(project(first="", second="select 1/0;", third=""))
    assert ended.state.is_failed()
    assert (ended.run.state_type.value, ended.run.state.message) == ("FAILED", str(ended.error))
    assert isinstance(ended.error, StepFailed)
    assert "020_second.sql:3:9: division by zero" in str(ended.error)
    assert metrics_rows(connection, ended.id) == [("first_task", 1, "success"), ("second_task", 1, "failure")]
    assert connection.execute("select to_regclass('second'), to_regclass('third')").fetchone() == (None, None)
    shown = {artifact.key: artifact.data for artifact in ended.artifacts()}
    assert set(shown) == {"demo-metrics-day1", "demo-changes-day1"}
    assert "Rolled back, and so without a change: second" in shown["demo-changes-day1"]
    log = logged(ended.id)
    assert [line.split()[2] for line in log if line.startswith("day1  step")] == ["010_first"]
    assert any("division by zero" in line and "\nhint: " in line for line in log)


def test_a_passing_fault(flow: Callable[..., Ended], project: Callable[..., Path], connection: Connection) -> None:
    """Prefect tries a step again after a passing fault; each attempt has its metrics row and its number."""
    ended = flow(project(first=PASSING.format(until=3)))
    assert [step.attempt for step in ended.steps] == [3]
    expected = [("first_task", 1, "failure"), ("first_task", 2, "failure"), ("first_task", 3, "success")]
    assert metrics_rows(connection, ended.id) == expected
    assert connection.execute("select attempt from first").fetchall() == [("3",)]


def test_a_fault_that_does_not_pass(
    flow: Callable[..., Ended], project: Callable[..., Path], connection: Connection
) -> None:
    """After the last attempt the flow fails with the fault's message."""
    ended = flow(project(first=PASSING.format(until=9)))
    assert isinstance(ended.error, StepFailed)
    assert "could not serialize" in str(ended.error)
    assert [row[1:] for row in metrics_rows(connection, ended.id)] == [(n, "failure") for n in (1, 2, 3)]


TAKE = "perform pg_advisory_xact_lock_shared(0, {0});"
UNTIL = """while {1} exists (
    select from pg_locks where locktype = 'advisory' and (classid, objid) = (0, {0}) and granted
) loop perform pg_sleep(0.01); end loop;"""


def block(*statements: str) -> str:
    return f"do $$ begin {' '.join(statements)} end $$;"


def test_side_by_side(flow: Callable[..., Ended], project: Callable[..., Path]) -> None:
    """Steps that share no table run at once, as many as [tasks] says; results are in the order of the files."""
    # The first comes when the second is there, and goes after it: one at a time, it would wait in vain.
    first = block(UNTIL.format(2, "not"), TAKE.format(1), UNTIL.format(2, ""))
    folder = project(first=first, second=block(TAKE.format(2), UNTIL.format(1, "not")), third="select from first;")
    (folder / "runner.toml").write_text('[tasks]\njobs = 2\n[tasks.database]\ntimeout = "60s"\n', "utf-8")
    ended = flow(folder, jobs=None)
    assert [step.step for step in ended.steps] == ["010_first", "020_second", "030_third"]


def test_failures_side_by_side(
    flow: Callable[..., Ended], project: Callable[..., Path], connection: Connection
) -> None:
    """After a failure nothing is started; what runs comes to its end. The first error in the files' order is raised."""
    fails = "do $$ begin while not exists (select from pg_class where relname = 'second') loop perform pg_sleep(0.01);"
    folder = project(
        first=f"{fails} end loop; perform 1/0; end $$;",
        second="",
        third="select from second; select from first;",
    )
    ended = flow(folder, jobs=2)
    assert isinstance(ended.error, StepFailed) and "010_first failed" in str(ended.error)
    assert sorted(row[::2] for row in metrics_rows(connection, ended.id)) == [
        ("first_task", "failure"),
        ("second_task", "success"),
    ]
    assert connection.execute("select to_regclass('third')").fetchone() == (None,)


def test_settings_of_tasks(flow: Callable[..., Ended], project: Callable[..., Path], connection: Connection) -> None:
    """How often a task is tried, and how long it may take, is in runner.toml; the statement ends on the server."""
    folder = project(first="", second="select pg_sleep(300);")
    (folder / "runner.toml").write_text("[tasks.database]\ntimeout = 4\n", "utf-8")
    ended = flow(folder)
    assert isinstance(ended.error, StepFailed)
    assert "second_task was stopped after 4 s, its time limit\nmigrations/demo/020_second.sql:3:" in str(ended.error)
    assert ended.error.hint == "Make it faster, or raise timeout under [tasks.database] in runner.toml."
    assert metrics_rows(connection, ended.id) == [("first_task", 1, "success"), ("second_task", 1, "failure")]
    asleep = "select from pg_stat_activity where query like 'select pg_sleep(300)%' and state = 'active'"
    assert connection.execute(asleep).fetchall() == []
    (folder / "runner.toml").write_text("[tasks.database]\nretries = 0\n", "utf-8")
    (folder / "migrations" / "demo" / "020_second.sql").unlink()
    step = folder / "migrations" / "demo" / "010_first.sql"
    step.write_text(PASSING.format(until=2) + step.read_text("utf-8"), "utf-8")
    ended = flow(folder)
    assert [row[1:] for row in metrics_rows(connection, ended.id)] == [(1, "failure")]


def task_states(ended: Ended) -> dict[str, Any]:
    """Return the state of each task run of a flow run."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[ended.run.id])))
    return {task.name: task.state for task in tasks if task.state}


def arrows(ended: Ended) -> dict[str, set[str]]:
    """Return from which task runs an arrow leads to each one in the graph of a flow run."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[ended.run.id])))
    names = {task.id: task.name for task in tasks}
    inputs = {task.name: [one for given in task.task_inputs.values() for one in given] for task in tasks}
    return {name: {names[one.id] for one in given if hasattr(one, "id")} for name, given in inputs.items()}


MART = """
create materialized view {name} as select count(*) as steps, attempt from {table} group by attempt;
create unique index {name}_key on {name} (attempt);
"""


def test_marts_behind_checkpoints(
    flow: Callable[..., Ended], project: Callable[..., Path], connection: Connection
) -> None:
    """Each checkpoint and mart is a task; a failed checkpoint is not tried again and blocks the marts, which say so."""
    folder = project(first="")
    connection.execute("create table first (attempt text)")
    for name, text in {
        "marts/010_numbers": MART.format(name="numbers", table="first"),
        "marts/020_of_them": MART.format(name="of_them", table="numbers"),
        "checkpoints/010_few": "-- severity: error\n-- description: too many\n"
        "select count(*) as n from first having count(*) > 1",
        "checkpoints/020_some": "-- severity: warn\n-- description: some\nselect attempt from first",
    }.items():
        path = folder / "migrations" / "demo" / f"{name}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    ended = flow(folder)
    assert [step.step for step in ended.steps] == ["010_first"]
    assert {name: state.name for name, state in task_states(ended).items()} == dict.fromkeys(
        ("migrate", "first_task", "checkpoint_010_few", "checkpoint_020_some", "refresh_numbers", "refresh_of_them"),
        "Completed",
    )
    assert connection.execute("select steps from of_them").fetchall() == [(1,)]
    checkpoints = {"checkpoint_010_few", "checkpoint_020_some"}
    assert arrows(ended) == {
        "migrate": set(), "first_task": {"migrate"}, **{name: {"first_task"} for name in checkpoints},
        "refresh_numbers": checkpoints, "refresh_of_them": {"refresh_numbers"},
    }  # fmt: skip
    recorded = connection.execute("select name, flow_run_id, day from runner_marts order by name").fetchall()
    assert recorded == [("numbers", ended.id, "day1"), ("of_them", ended.id, "day1")]

    ended = flow(folder, "day2")
    assert ended.state.is_failed() and "010_few.sql:3:1: check failed: 1 row: too many" in str(ended.error)
    assert not any("Traceback" in line for line in logged(ended.id))
    states = task_states(ended)
    assert (states["checkpoint_010_few"].name, states["checkpoint_020_some"].name) == ("Failed", "Completed")
    for name in ("refresh_numbers", "refresh_of_them"):
        assert (states[name].type.value, states[name].name) == ("CANCELLED", "Blocked")
        assert "010_few.sql:3:1: check failed: 1 row: too many" in states[name].message
        assert arrows(ended)[name] == {"checkpoint_010_few"}
    found = connection.execute(
        "select check_name, status, attempt from check_results where flow_run_id = %s", (ended.id,)
    )
    assert found.fetchall() == [("010_few", "failed", 1), ("020_some", "warned", 1)]
    assert connection.execute("select steps from of_them").fetchall() == [(1,)]
    assert "refresh_numbers" not in task_states(flow(folder, "day3", marts="never"))


def test_a_mart_that_cannot_be_refreshed(
    flow: Callable[..., Ended], project: Callable[..., Path], connection: Connection
) -> None:
    """Its task fails and the flow with it; the others are refreshed."""
    folder = project(first="")
    connection.execute("create table first (attempt text)")
    (folder / "migrations" / "demo" / "marts").mkdir()
    for number, name in enumerate(("broken", "fine"), 1):
        text = MART.format(name=name, table="first")
        text = text.replace("count(*)", "1 / (count(*) - 1)") if name == "broken" else text
        (folder / "migrations" / "demo" / "marts" / f"0{number}0_{name}.sql").write_text(text, "utf-8")
    ended = flow(folder)
    assert ended.state.is_failed() and "the mart 010_broken could not be refreshed" in str(ended.error)
    states = task_states(ended)
    assert (states["refresh_broken"].name, states["refresh_fine"].name) == ("Failed", "Completed")
    assert connection.execute("select steps from fine").fetchall() == [(1,)]


def test_rerun_after_a_commit(
    flow: Callable[..., Ended],
    project: Callable[..., Path],
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task that is lost after its step's commit finds the success when it is run again, and changes nothing."""
    run = StepRunner.run
    lost = [ConnectionResetError("the network is gone")]

    def run_and_lose(self: StepRunner, step: SqlFile) -> StepResult:
        result = run(self, step)
        if lost:
            raise lost.pop()
        return result

    monkeypatch.setattr(StepRunner, "run", run_and_lose)
    ended = flow(project(first=""))
    assert [(step.already_done, step.attempt) for step in ended.steps] == [(True, 1)]
    assert metrics_rows(connection, ended.id) == [("first_task", 1, "success")]
    assert connection.execute("select count(*) from first").fetchone() == (1,)


def test_killed_after_a_commit(
    prefect_server: Server, project: Callable[..., Path], database: str, connection: Connection
) -> None:
    """A flow run that was killed between a step's commit and Prefect's hearing of it is run again: each step once."""
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import Pending

    from runner.flows.day import day_pipeline

    folder = project(first="", second="")
    code = (
        "import os, signal, sys; from runner.apply import StepRunner; run = StepRunner.run\n"
        "StepRunner.run = lambda self, step: (run(self, step), os.kill(os.getpid(), signal.SIGKILL))\n"
        "from runner.flows.__main__ import main; main(sys.argv[1:])"
    )
    arguments = ["--day", "day1", "--project", str(folder), "--jobs", "1"]
    process = start(arguments, code, DATABASE_URL=database, **prefect_server.environment)
    _, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, err
    ((flow_run_id,),) = connection.execute("select flow_run_id from pipeline_metrics").fetchall()
    assert connection.execute("select flow_run_id from runner_leases").fetchall() == [(flow_run_id,)]
    settings = config.load({"project": str(folder)}, environ={"DATABASE_URL": database})
    flow = day_pipeline(settings)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, Pending(), force=True)
        found = client.read_flow_run(flow_run_id)
    ended = Ended(run_flow(flow, flow_run=found, parameters=found.parameters, return_type="state"))
    assert ended.id == flow_run_id
    assert [(each.step, each.already_done) for each in ended.steps] == [("010_first", True), ("020_second", False)]
    assert metrics_rows(connection, flow_run_id) == [("first_task", 1, "success"), ("second_task", 1, "success")]
    assert connection.execute("select count(*) from first").fetchone() == (1,)
    assert connection.execute("select count(*) from runner_leases").fetchone() == (0,)


def test_a_held_day(flow: Callable[..., Ended], project: Callable[..., Path], database: str) -> None:
    """A day that another run holds fails the flow before any step, naming the holder."""
    with Lease(database, "demo", "day1", "another-run"):
        ended = flow(project(first=""))
    assert isinstance(ended.error, DayHeld)
    assert "another-run" in str(ended.error)


@pytest.mark.parametrize("load", ["auto", "never"])
def test_a_newer_database(load: str, flow: Callable[..., Ended], connection: Connection) -> None:
    """A database that a newer runner made fails the flow before anything is read or written."""
    connection.execute(
        "insert into schema_history (pipeline, name, checksum, seconds) values ('', '999_future', '', 0)"
    )
    ended = flow(ROOT, load=load)
    assert isinstance(ended.error, ConfigError)
    assert "made by a newer runner" in str(ended.error)


def test_steps_of_an_unloaded_day(flow: Callable[..., Ended], connection: Connection) -> None:
    """Without loading, a day whose staging is missing is refused: it would look like an empty one."""
    ended = flow(ROOT, load="never")
    assert isinstance(ended.error, NotLoaded)
    assert connection.execute("select count(*) from pipeline_metrics").fetchone() == (0,)


def test_a_flow_says_which_engine_it_took(
    flow: Callable[..., Ended],
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`engine` is a parameter of the flow; what `auto` means is in its log, with the reason, once."""
    from prefect.logging.configuration import setup_logging

    records: list[logging.LogRecord] = []
    listener = logging.Handler()
    monkeypatch.setattr(listener, "emit", records.append)
    setup_logging()  # which a first flow would do later, and take the listener away
    monkeypatch.setattr(logging.getLogger("prefect.task_runs"), "handlers", [listener])
    monkeypatch.setattr("runner.java.find", lambda: pytest.fail("Spark was about to start"))
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)
    monkeypatch.setattr("runner.flows.load_page._AFTER", 0)  # as if it took long
    ended = flow(ROOT, engine="auto")
    assert ended.steps
    shown = {artifact.key: artifact for artifact in ended.artifacts()}
    assert (shown["zluri-load-day1"].type, float(shown["zluri-load-day1"].data)) == ("progress", 100)
    assert "agents: 4 of 4 files" in shown["zluri-load-day1"].description
    assert connection.execute("select distinct engine from stg_loads").fetchall() == [("local",)]
    leads = arrows(ended)
    assert {name for name, of in leads.items() if "plan_load" in of} == {name for name in leads if "load_" in name[:5]}
    assert (leads["publish_staging"], leads["agents_task"]) == ({"refresh_rates"}, {"publish_staging"})
    # One at a time, the last of the steps is the one that all come before.
    assert leads["checkpoint_010_staging_is_whole"] == {"transactions_task"}
    (said,) = [text for text in (record.getMessage() for record in records) if text.startswith("engine ")]
    assert said.endswith("below the limit of 64 MB")


def test_loads_that_are_stopped() -> None:
    """A load that is stopped because another entity could not be loaded is not shown as a failure of its own."""
    from runner.flows import loads

    stop = loads.Stop()

    class Load:
        day = "day1"

        def land(self, entity: str) -> None:
            stop.set(LoadFailed("stopped, because another entity could not be loaded"))
            raise OSError("a copy that was cut off")

    plan = SimpleNamespace(entity="agents", present=True, changed=True)
    for _ in range(2):
        state = loads._Landing(cast(Any, Load()), cast(Any, plan), stop)(1)
        assert (state.type.value, state.name) == ("CANCELLED", "Stopped")
        assert state.message == "stopped, because another entity could not be loaded"


def test_a_backfill(
    prefect_server: Server, project: Callable[..., Path], database: str, connection: Connection
) -> None:
    """Each chunk is a task with its name; a passing fault is tried again, a failed day fails the run, which goes on."""
    from runner.flows.backfill import backfill_pipeline

    once = "do $$ begin if nextval('tries') = 1 then raise 'busy' using errcode = '40001'; end if; end $$;"
    folder = project(first=once)
    (folder / "migrations" / "demo" / "020_second.sql").write_text(
        "do $$ begin if exists (select from broken where day = current_setting('app.day')) then raise 'broken'; end if;"
        "end $$;" + STEP.format(name="second", extra=""), "utf-8"
    )  # fmt: skip
    settings = config.load({"project": str(folder)}, environ={"DATABASE_URL": database, "RUNNER_ENV": "test"})
    flow = backfill_pipeline(replace(settings, tasks={"database": {"backoff": 0.01}}))
    connection.execute("create table broken as select '2026-02-01' as day; create sequence tries")
    (folder / "migrations" / "demo" / "marts").mkdir()
    mart = MART.format(name="numbers", table="pipeline_metrics")
    (folder / "migrations" / "demo" / "marts" / "010_numbers.sql").write_text(mart, "utf-8")
    asked = {"start_date": "2026-01-31", "end_date": "2026-02-02", "chunk_mode": "monthly"}
    ended = Ended(flow(**asked, return_state=True))
    assert ended.run.name == "demo backfill 2026-01-31 to 2026-02-02"
    assert set(ended.run.tags) == {"pipeline=demo", "env=test"}
    assert isinstance(ended.error, BackfillFailed) and "1 of 3 days are not done: 2026-02-01" in str(ended.error)
    assert "runner backfill --days 2026-02-01" in str(ended.error.hint)
    assert {name: state.name for name, state in task_states(ended).items()} == {
        "prepare": "Completed", "2026-01": "Completed", "2026-02: 2026-02-01 to 2026-02-02": "Failed",
        "refresh_numbers": "Blocked",
    }  # fmt: skip
    last = "2026-02: 2026-02-01 to 2026-02-02"
    assert arrows(ended) == {
        "prepare": set(), "2026-01": {"prepare"}, last: {"2026-01"}, "refresh_numbers": {last},
    }  # fmt: skip
    assert "1 of 3 days are not done: 2026-02-01" in task_states(ended)["refresh_numbers"].message
    assert any("not refreshed: 010_numbers" in line for line in logged(ended.id))
    artifacts = {artifact.key: artifact for artifact in ended.artifacts()}
    assert artifacts["demo-backfill-progress"].data == 100.0
    assert '"not done": "2026-02-01"' in artifacts["demo-backfill"].data
    done = "select day from pipeline_metrics where step = '020_second' and status = 'success' order by id"
    assert connection.execute(done).fetchall() == [("2026-01-31",), ("2026-02-02",)]
    first = [row[1:] for row in metrics_rows(connection, ended.id) if row[0] == "first_task"]
    assert first[:2] == [(1, "failure"), (2, "success")]
    connection.execute("truncate broken")
    ended = Ended(flow(**asked, resume=True, return_state=True))
    assert ended.state.result() == {"days": 3, "done": 1, "done_before": 2}
    assert arrows(ended)["refresh_numbers"] == {"2026-02"}
    assert connection.execute("select sum(steps) > 5 from numbers").fetchone() == (True,)
    assert connection.execute(done).fetchall()[2:] == [("2026-02-01",)]


def test_freshness(
    prefect_server: Server, project: Callable[..., Path], flow: Callable[..., Ended], database: str
) -> None:
    """A task looks how old the newest data is; the page has a table, and a run that found stale data is failed."""
    from runner.flows.freshness import freshness_flow, look_at

    root = project(first="")
    settings = config.load({"project": str(root)}, environ={"DATABASE_URL": database})
    looked = freshness_flow("demo")(lambda: look_at(settings))
    ended = Ended(looked(return_state=True))
    assert isinstance(ended.error, StaleData) and "the data of first is stale" in str(ended.error)
    flow(root)
    ended = Ended(looked(return_state=True))
    assert [one["level"] for one in ended.state.result()] == ["fresh"]
    (artifact,) = ended.artifacts()
    assert (artifact.key, artifact.type) == ("demo-freshness", "table")
    assert (ended.run.name, set(ended.run.tags)) == ("demo freshness", {"pipeline=demo", "env=dev"})
    assert '"table": "first"' in artifact.data and '"level": "fresh"' in artifact.data


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        pytest.param(StepFailed("x", transient=True), True, id="step that says so"),
        pytest.param(StepFailed("x"), False, id="step"),
        pytest.param(DatabaseUnavailable("x"), True, id="no server"),
        pytest.param(psycopg.errors.DeadlockDetected(), True, id="deadlock"),
        pytest.param(psycopg.OperationalError("lost"), True, id="lost connection"),
        pytest.param(psycopg.errors.UniqueViolation(), False, id="constraint"),
        pytest.param(ConnectionResetError(), True, id="reset"),
        pytest.param(TimeoutError(), True, id="time-out"),
        pytest.param(URLError(OSError("unreachable")), True, id="unreachable"),
        pytest.param(HTTPError("http://x", 503, "", {}, None), True, id="http 503"),  # type: ignore[arg-type]
        pytest.param(HTTPError("http://x", 404, "", {}, None), False, id="http 404"),  # type: ignore[arg-type]
        pytest.param(LoadFailed("x"), False, id="load"),
        pytest.param(FileNotFoundError(), False, id="no file"),
        pytest.param(ValueError(), False, id="fault of ours"),
    ],
)
def test_what_passes(error: Exception, passing: bool) -> None:
    """Faults of the network and the database pass, directly or as a cause; nothing else does."""
    from runner.flows.tasks import is_passing

    assert is_passing(error) is passing
    caused = LoadFailed("the load failed")
    caused.__cause__ = error
    assert is_passing(caused) is passing


def test_what_waits_for_no_database(prefect_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that waits for a store or an address is ended by Prefect, and says whose limit that was."""
    import prefect

    from runner.flows.tasks import as_task, value
    from runner.task_settings import TaskSettings

    kind = TaskSettings(retries=3, timeout=0.3, kind="network")

    @prefect.flow(name="waiting")
    def waiting() -> bool:
        fetch = as_task("fetch", lambda _: threading.Event().wait(300), kind, alarm=True)
        return value("fetch", fetch(return_state=True), kind)

    monkeypatch.setattr("runner.flows.tasks._GRACE", 0.2)
    with pytest.raises(TookTooLong, match=r"fetch was stopped after 0\.3 s, its time limit") as caught:
        waiting()
    assert "timeout under [tasks.network] in runner.toml" in str(caught.value.hint)


def test_time_limit_does_not_pass() -> None:
    """A task that took too long is not tried again."""
    from prefect.task_engine import TaskRunTimeoutError

    from runner.flows.tasks import is_passing

    assert not is_passing(TaskRunTimeoutError("x"))


def start(arguments: list[str], code: str = "", **given: str) -> subprocess.Popen[str]:
    """Start `python -m runner.flows`, or other `code`, in the repository."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "PG"))}
    return subprocess.Popen(
        [sys.executable, *(["-c", code] if code else ["-m", "runner.flows"]), *arguments],
        cwd=ROOT,
        env={**kept, **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_zluri_as_a_process(prefect_server: Server, database: str, connection: Connection) -> None:
    """`python -m runner.flows` loads a day with Spark, a task an entity, and runs all steps, on the server named."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    # Of all secrets the one that no server asks for.
    dsn = conninfo.make_conninfo(database, sslpassword="Kanarienvogel")
    process = start(["--day", "day1"], DATABASE_URL=dsn, **prefect_server.environment)
    out, err = process.communicate(timeout=300)
    assert "Kanarienvogel" not in out + err
    assert not files_with(prefect_server.home, ("Kanarienvogel",))
    warnings = ["012_listed_roles_are_known", "020_listed_members_are_known", "040_rates_are_known"]
    assert (process.returncode, warned(err)) == (0, warnings)
    assert "day1  load    all " in out
    assert "day1  step    040_transactions " in out
    rows = connection.execute("select distinct flow_run_id from pipeline_metrics").fetchall()
    loads = connection.execute("select distinct flow_run_id from stg_loads").fetchall()
    assert len(rows) == 1
    assert loads == rows
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(rows[0][0])
        tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
    assert run.name == "zluri day1"
    assert set(run.tags) == {"pipeline=zluri", "env=dev", "day=day1"}
    entities = ("admin_groups", "agent_details", "agents", "budgets", "cards", "roles", "transactions")
    steps = ("agents", "roles", "agent_roles", "groups", "budgets", "cards", "transactions")
    assert {task.name for task in tasks} == {
        "migrate", "plan_load", "refresh_rates", "publish_staging",
        *(f"load_{entity}" for entity in entities), *(f"{step}_task" for step in steps),
        "checkpoint_010_staging_is_whole", "checkpoint_020_nobody_is_orphaned", "checkpoint_030_totals_agree",
        "refresh_monthly_spend", "refresh_daily_activity", "refresh_pipeline_health",
    }  # fmt: skip
    assert {task.state_type.value for task in tasks if task.state_type} == {"COMPLETED"}
    shown = {artifact.key for artifact in artifacts(run.id)} - {"zluri-load-day1"}  # of a load that takes long
    assert shown == {f"zluri-{name}-day1" for name in ("metrics", "changes", "checks", "rejects")}
    again = start(["--day", "day1"], DATABASE_URL=database, **prefect_server.environment)
    out, err = again.communicate(timeout=300)
    assert (again.returncode, warned(err)) == (0, warnings)
    assert "files of 7 entities unchanged" in out
    assert out.count("nothing to change") == len(steps)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--day", "day9"], "no files for day9", id="no such day"),
        pytest.param(["--day", "../x"], "is not a day name", id="no day name"),
        pytest.param(["--day", "day1", "--pipeline", "x"], "there is no pipeline 'x'", id="no such pipeline"),
        pytest.param(["--day", "day1", "--max-rejects", "many"], "many", id="no limit"),
        pytest.param([], "--day", id="no day"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    """What cannot be run is refused at once, before a server is started: exit code 2, a message, a hint."""
    process = start(arguments, DATABASE_URL="postgresql://nobody@127.0.0.1:1/x")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert message in err
    assert "hint: " in err
    assert "Traceback" not in err


def test_without_prefect(database: str, tmp_path: Path) -> None:
    """Where Prefect is not installed, the error says how to install it."""
    code = "import sys; sys.modules['prefect'] = None; from runner.flows.__main__ import main; sys.exit(main())"
    outcome = subprocess.run(
        [sys.executable, "-c", code, "--day", "day1"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database, "RUNNER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 2
    assert f"-m pip install -e '{ROOT}[prefect]'" in outcome.stderr


def test_unreachable_server(database: str, tmp_path: Path) -> None:
    """A Prefect server that does not answer is named, without its password, and what to do: exit code 2."""
    named = {"PREFECT_API_URL": "http://somebody:secret@127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path)}
    process = start(["--day", "day1"], DATABASE_URL=database, **named)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "error: Prefect's server does not answer at http://127.0.0.1:9/api: " in err
    assert "hint: Check PREFECT_API_URL" in err
    assert "secret" not in err
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are watched by Linux's pidfd")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGTERM, 143, id="terminated"),
        pytest.param(signal.SIGHUP, 129, id="terminal closed", marks=pytest.mark.long),
        pytest.param(signal.SIGINT, 130, id="ctrl-c", marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, -9, id="killed", marks=pytest.mark.long),
    ],
)
def test_interrupted(
    prefect_server: Server,
    project: Callable[..., Path],
    database: str,
    connection: Connection,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    """However a run is stopped in the middle of steps, their statements and its private server stop too."""
    home = tmp_path / "home" / "prefect"
    home.mkdir(parents=True)
    copy_database(prefect_server.home, home)
    folder = project(first="", second="select from first; select pg_sleep(300);", third="select pg_sleep(300);")
    process = start(["--day", "day1", "--project", str(folder)], DATABASE_URL=database, RUNNER_HOME=str(home.parent))
    asleep = "select 1 from pg_stat_activity where query like 'select pg_sleep(300)%' and state = 'active'"
    wait_for(connection, f"select from ({asleep}) as asleep having count(*) = 2")
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(Child(pid)) for pid in children_of(process.pid)]
        assert children
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == code, err
        assert "Traceback" not in err
        for child in children:
            child.wait(30)
    wait_for(connection, f"select where not exists ({asleep})")
    assert connection.execute("select to_regclass('second'), to_regclass('third')").fetchone() == (None, None)
    rows = connection.execute("select step, status, error_message from pipeline_metrics order by step").fetchall()
    stopped = (
        [] if number == signal.SIGKILL else [(step, "failure", "interrupted") for step in ("020_second", "030_third")]
    )
    assert rows == [("010_first", "success", None), *stopped]


@pytest.mark.long
@pytest.mark.parametrize("jobs", [2, 1], ids=["side by side", "one by one"])
def test_interrupted_backfill(
    jobs: int, prefect_server: Server, project: Callable[..., Path], database: str, connection: Connection
) -> None:
    """A backfill that is cancelled in the middle of a day ends its statements; that day is not written down as done."""
    asleep = "select case when current_setting('app.day') = 'day2' then pg_sleep(300) end;"
    folder = project(first="", second=asleep, third=asleep)
    code = (
        "import sys; from runner import config; from runner.flows.backfill import backfill_pipeline\n"
        "flow = backfill_pipeline(config.load({'project': sys.argv[1]}))\n"
        "print(flow(days=['day1', 'day2', 'day3'], jobs=int(sys.argv[2]), resume=True))"
    )
    given = {"DATABASE_URL": database, **prefect_server.environment}
    process = start([str(folder), str(jobs)], code, **given)
    sleeping = "select from pg_stat_activity where query like 'select case%' and wait_event = 'PgSleep'"
    wait_for(connection, f"select from ({sleeping}) as asleep having count(*) = {jobs}")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode, err
    assert connection.execute(sleeping).fetchall() == []
    assert connection.execute("select count(*) from runner_leases").fetchone() == (0,)
    interrupted = connection.execute("select count(*) from pipeline_metrics where error_message = 'interrupted'")
    assert interrupted.fetchone() == (jobs,)
    done = connection.execute("select day, status from runner_backfill_days").fetchall()
    assert done == [("day1", "done")]


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are watched by Linux's pidfd")
@pytest.mark.parametrize(
    ("signals", "code"),
    [
        pytest.param([signal.SIGTERM], 143, id="terminated"),
        pytest.param([signal.SIGINT, signal.SIGINT], 130, id="ctrl-c twice"),
    ],
)
def test_interrupted_load(
    prefect_server: Server,
    database: str,
    connection: Connection,
    tmp_path: Path,
    signals: list[signal.Signals],
    code: int,
) -> None:
    """A signal in the middle of a load stops Spark, and leaves no table, row or process behind; nothing is retried."""
    make = ["-m", "tests.make_days", "--out", str(tmp_path), "--days", "1", "--transactions", "40000"]
    subprocess.run([sys.executable, *make], cwd=ROOT, check=True, capture_output=True)
    arguments = ["--day", "day1", "--data", str(tmp_path)]
    process = start(arguments, DATABASE_URL=database, **prefect_server.environment)
    wait_for(connection, "select from pg_stat_activity where query ilike 'copy landing.%'")
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(Child(pid)) for pid in children_of(process.pid)]
        assert children
        for number in signals:
            process.send_signal(number)
            connection.execute("select pg_sleep(0.15)")
        _, err = process.communicate(timeout=60)
        assert process.returncode == code, err
        assert "Traceback" not in err
        assert "trying again" not in err
        assert err.endswith("\ninterrupted: what was not committed is rolled back\n")
        for child in children:
            child.wait(30)
    wait_for(connection, "select where not exists (select from pg_stat_activity where query ilike 'copy landing.%')")
    assert connection.execute("select count(*) from stg_loads").fetchone() == (0,)
    assert connection.execute("select tablename from pg_tables where schemaname = 'landing'").fetchall() == []
    assert connection.execute("select count(*) from runner_leases").fetchone() == (0,)


class Child:
    """A process that may end at any time; its number stays its own until the block ends."""

    def __init__(self, pid: int) -> None:
        self._file = os.pidfd_open(pid)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def wait(self, seconds: float) -> None:
        ended, _, _ = select.select([self._file], [], [], seconds)
        assert ended, "a process was left behind"


def children_of(parent: int) -> list[int]:
    """Return the processes that `parent` has started."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = (line.split() for line in listed.splitlines())
    return [int(pid) for pid, of in pairs if int(of) == parent]


def copy_database(source: Path, target: Path) -> None:
    """Copy the database of a Prefect server that runs, so that the next one need not migrate its own."""
    with (
        contextlib.closing(sqlite3.connect(source / "prefect.db")) as from_,
        contextlib.closing(sqlite3.connect(target / "prefect.db")) as to,
    ):
        from_.backup(to)


def wait_for(connection: Connection, query: str) -> None:
    """Wait until a query has a row; the server does the waiting."""
    for _ in range(6000):
        if connection.execute(query.encode()).fetchall():
            return
        connection.execute("select pg_sleep(0.01)")
    raise AssertionError(f"never came true: {query}")


def test_only_the_flows_import_prefect() -> None:
    """No module outside runner/flows names Prefect in an import, not even in one inside a function."""
    guilty = []
    for path in [*(ROOT / "runner").rglob("*.py"), *(ROOT / "staging_loaders").rglob("*.py")]:
        if path.is_relative_to(ROOT / "runner" / "flows"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            guilty += [f"{path}: {name}" for name in names if name.split(".")[0] == "prefect"]
    assert guilty == []


def test_the_command_line_imports_no_prefect() -> None:
    """Importing the command line, every command and the loaders imports no Prefect."""
    code = (
        "import importlib, sys; from runner.cli import COMMANDS; import staging_loaders.load\n"
        "for name in COMMANDS: importlib.import_module(f'runner.commands.{name}')\n"
        "assert 'prefect' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.fixture
def page() -> Iterator[tuple[str, dict[str, Any]]]:
    """The address of a server that says which pages it has, and what it says."""
    said: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/ui-settings" and said else 404)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", said
        server.shutdown()
        thread.join()


def test_where_a_run_is_seen(page: tuple[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    """The address of a run's page is printed when it begins, once, where the server has a page."""
    from prefect.client.schemas.objects import FlowRun
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from runner.flows import link

    url, said = page
    run = FlowRun(flow_id=uuid4(), name="demo day1", run_count=1)
    with temporary_settings({PREFECT_API_URL: f"{url}/api"}):
        for pages in ({}, {"available_uis": []}, {"available_uis": ["v1"]}):
            said |= pages
            link.show(None, run, None)
        link.show(None, run.model_copy(update={"run_count": 2}), None)
    assert capsys.readouterr().err == f"demo day1: {url}/runs/flow-run/{run.id}\n"
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        link.show(None, run, None)
    assert capsys.readouterr().err == ""
