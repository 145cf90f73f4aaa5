"""One step, one transaction: what is kept, what is rolled back, and what is said about it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import step
from runner.apply import Run, StepResult, StepRunner
from runner.errors import DatabaseUnavailable, StepFailed
from runner.step import STEP_KEYS, SqlFile

METRICS = """
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status
)
select
    current_setting('app.flow_run_id'), 'things_task', 'things', 'things', current_setting('app.day'), 1, 1, 'success'
"""
INSERT = "insert into things (id) values (1)"

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def things(connection: Connection) -> Connection:
    """A table for steps to write to."""
    connection.execute("create table things (id int primary key)")
    return connection


@pytest.fixture
def make_step(tmp_path: Path) -> Callable[..., SqlFile]:
    """Write a step and read it."""

    def make(*statements: str, name: str = "010_things.sql") -> SqlFile:
        path = tmp_path / name
        path.write_text(";\n".join(statements), encoding="utf-8")
        return step.read(path, tmp_path, STEP_KEYS)

    return make


@pytest.fixture
def apply(database: str) -> Callable[..., StepResult]:
    """Run a step as a run of its own, or of the given id."""

    def run(file: SqlFile, run_id: str = "run-1", day: str = "day1", attempts: int = 1) -> StepResult:
        with StepRunner(Run("zluri", day, run_id, database, attempts), lambda _: None) as runner:
            return runner.run(file)

    return run


def things_and_metrics(connection: Connection) -> tuple[int, list[str]]:
    """Return how many things there are, and the statuses of all metrics rows."""
    (count,) = connection.execute("select count(*) from things").fetchone() or (0,)
    statuses = connection.execute("select status from pipeline_metrics order by id").fetchall()
    return count, [status for (status,) in statuses]


def test_data_and_metrics_commit_together(
    things: Connection, make_step: Callable[..., SqlFile], apply: Callable[..., StepResult]
) -> None:
    """A step that ends well keeps its rows and its one metrics row, which knows run, day, step and attempt."""
    result = apply(make_step("begin", INSERT, METRICS, "commit"))
    assert (result.status, result.rows_inserted, result.already_done) == ("success", 1, False)
    assert things_and_metrics(things) == (1, ["success"])
    row = things.execute("select flow_run_id, day, pipeline, step, attempt from pipeline_metrics").fetchone()
    assert row == ("run-1", "day1", "zluri", "010_things", 1)


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        pytest.param([INSERT], "wrote no row of this run", id="no metrics"),
        pytest.param([INSERT, METRICS.replace("'success'", "'skipped'"), METRICS], "wrote 2 rows", id="second metrics"),
        pytest.param(
            [INSERT, METRICS.replace("current_setting('app.flow_run_id')", "'other'")], "no row", id="another run's"
        ),
        pytest.param([INSERT, METRICS.replace("current_setting('app.day')", "'day9'")], "no row", id="another day's"),
        pytest.param([INSERT, METRICS, INSERT], r"010_things\.sql:\d+:21: duplicate key", id="constraint"),
        pytest.param([INSERT, METRICS, "select 1/0"], r"division by zero \(22012\)", id="division"),
        pytest.param([INSERT, METRICS, "selec 1"], r"010_things\.sql:\d+:1: syntax error", id="syntax"),
        pytest.param([INSERT, METRICS.replace(", 1, 1,", ", 1, 2,")], "affected_is_the_sum", id="wrong sum"),
        pytest.param([INSERT, "do $$ begin commit; end $$", METRICS], "2D000", id="commit in a block"),
        pytest.param([INSERT, "-- x\n\\echo hello", METRICS], "syntax error", id="psql command"),
    ],
)
def test_failure_rolls_back_everything(
    things: Connection,
    make_step: Callable[..., SqlFile],
    apply: Callable[..., StepResult],
    statements: list[str],
    message: str,
) -> None:
    """A step that fails leaves nothing but one failure row with the message, and says what to do."""
    with pytest.raises(StepFailed, match=message) as caught:
        apply(make_step(*statements))
    assert caught.value.hint
    assert str(caught.value).startswith("day1 010_things failed")
    assert things_and_metrics(things) == (0, ["failure"])
    (stored,) = things.execute("select error_message from pipeline_metrics").fetchone() or ("",)
    assert stored in str(caught.value)


@pytest.mark.parametrize(
    ("statements", "hint"),
    [
        pytest.param(
            ["do $$ begin raise 'full' using errcode = '53100', hint = 'Check free disk space.'; end $$"],
            "'runner db status' names the folder", id="disk full",
        ),
        pytest.param(
            [METRICS.replace("'things_task'", "'other_task'"), METRICS.replace("'things_task'", "'other_task'")],
            "this one's is 'things_task'", id="another step's task name",
        ),
        pytest.param([METRICS, METRICS], "keep one insert into pipeline_metrics", id="two metrics rows"),
        pytest.param([INSERT, "\\echo hello"], "Commands of psql's own", id="psql command"),
        pytest.param(["do $$ begin raise 'no' using hint = 'Ask Ada.'; end $$"], "Ask Ada.", id="the step's own"),
    ],
)  # fmt: skip
def test_the_hint_fits(
    things: Connection,
    make_step: Callable[..., SqlFile],
    apply: Callable[..., StepResult],
    statements: list[str],
    hint: str,
) -> None:
    """What to do next is said for the cause at hand, and before what the server would say in general."""
    with pytest.raises(StepFailed) as caught:
        apply(make_step(*statements))
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        pytest.param("select 1,\n   nothing_here", ":5:4: column", id="column"),
        pytest.param("select 'ä€😀', nothing_here", ":4:15: column", id="characters, not bytes"),
        pytest.param("select 1 from\n\n  nowhere", ":6:3: relation", id="table"),
    ],
)
def test_error_points_at_the_source(
    things: Connection,
    make_step: Callable[..., SqlFile],
    apply: Callable[..., StepResult],
    broken: str,
    place: str,
) -> None:
    """The message names line and column of the file, with the line and a caret below the column."""
    with pytest.raises(StepFailed, match=place) as caught:
        apply(make_step("-- a comment\n\nselect 'ü'", broken))
    source, caret = str(caught.value).splitlines()[2:4]
    # An emoji takes two columns of a terminal.
    assert source[caret.index("^") - source.count("😀") :].startswith("no")


def test_own_success_is_found(
    things: Connection, make_step: Callable[..., SqlFile], apply: Callable[..., StepResult]
) -> None:
    """A step that is run again by the same run finds its success and does nothing; another run does it again."""
    file = make_step("insert into things (id) values (1) on conflict do nothing", METRICS)
    apply(file)
    again = apply(file)
    assert (again.already_done, again.rows_inserted) == (True, 1)
    assert things_and_metrics(things) == (1, ["success"])
    assert not apply(file, "run-2").already_done
    assert things_and_metrics(things) == (1, ["success", "success"])


def test_passing_faults_are_retried(database: str, things: Connection, make_step: Callable[..., SqlFile]) -> None:
    """A serialization failure is tried again, and the attempt that came through is in the metrics."""
    things.execute("create sequence tries")
    fault = "do $$ begin if nextval('tries') < 3 then raise 'not yet' using errcode = '40001'; end if; end $$"
    log: list[str] = []
    with StepRunner(Run("zluri", "day1", "run-1", database), log.append) as runner:
        result = runner.run(make_step(fault, INSERT, METRICS))
    assert result.attempt == 3
    assert [line.split(" (")[0] for line in log] == [f"day1 010_things: attempt {n} of 5 failed" for n in (1, 2)]
    assert things_and_metrics(things) == (1, ["success"])


def test_other_errors_are_not_retried(database: str, things: Connection, make_step: Callable[..., SqlFile]) -> None:
    """What cannot come right by itself fails at the first attempt."""
    log: list[str] = []
    with StepRunner(Run("zluri", "day1", "run-1", database), log.append) as runner, pytest.raises(StepFailed):
        runner.run(make_step("select 1/0"))
    assert log == []


def test_lost_connection_is_retried(database: str, things: Connection, make_step: Callable[..., SqlFile]) -> None:
    """A step whose connection is cut starts over on a new one, and takes effect once."""
    things.execute("create table cut (done int)")
    kill = "do $$ begin if nextval('cuts') = 1 then perform pg_terminate_backend(pg_backend_pid()); end if; end $$"
    things.execute("create sequence cuts")
    with StepRunner(Run("zluri", "day1", "run-1", database), lambda _: None) as runner:
        result = runner.run(make_step(INSERT, kill, METRICS))
    assert result.attempt == 2
    assert things_and_metrics(things) == (1, ["success"])


def test_the_server_is_brought_back_before_another_attempt(
    database: str, things: Connection, make_step: Callable[..., SqlFile]
) -> None:
    """Before a step is tried again its server may be started; where that fails, the attempt itself says so."""
    things.execute("create sequence tries")
    fault = "do $$ begin if nextval('tries') < 3 then raise 'not yet' using errcode = '40001'; end if; end $$"
    calls: list[int] = []

    def revive() -> None:
        calls.append(1)
        raise DatabaseUnavailable("no")

    with StepRunner(Run("zluri", "day1", "run-1", database), lambda _: None, revive) as runner:
        assert runner.run(make_step(fault, INSERT, METRICS)).attempt == 3
    assert len(calls) == 2


def test_settings_are_local_and_bound(database: str, things: Connection, make_step: Callable[..., SqlFile]) -> None:
    """Run id and day reach the step as they are, quotes and all, and do not outlive the transaction."""
    things.execute("create table seen (run text, after text)")
    run_id = "a'b\\; drop table things; --"
    file = make_step(
        "insert into seen (run) values (current_setting('app.flow_run_id'))", METRICS.replace(", 1, 1,", ", 0, 0,")
    )
    runner = StepRunner(Run("zluri", "day1", run_id, database), lambda _: None)
    with runner:
        runner.run(file)
        connection = runner._connection()
        after = connection.execute("select current_setting('app.flow_run_id', true)").fetchone()
    assert things.execute("select run from seen").fetchall() == [(run_id,)]
    assert after in (("",), (None,))


def test_time_out(things: Connection, make_step: Callable[..., SqlFile], apply: Callable[..., StepResult]) -> None:
    """A statement that takes longer than the header allows is cancelled, and the message says how to allow more."""
    with pytest.raises(StepFailed, match="statement timeout") as caught:
        apply(make_step("-- timeout: 50ms\nselect pg_sleep(30)", METRICS))
    assert "-- timeout:" in str(caught.value.hint)


def test_a_failure_tells_how_long_it_took(
    things: Connection, make_step: Callable[..., SqlFile], apply: Callable[..., StepResult]
) -> None:
    """A failure row has the time its attempt began, and the time that took."""
    with pytest.raises(StepFailed):
        apply(make_step("select pg_sleep(0.3)", "select 1/0"))
    (told,) = things.execute(
        "select duration_seconds >= 0.3 and finished_at - started_at >= interval '0.3 seconds' from pipeline_metrics"
    ).fetchone() or (False,)
    assert told


def test_two_runs_of_one_step_take_turns(database: str, things: Connection, make_step: Callable[..., SqlFile]) -> None:
    """Runs of different days that meet in a step do its work one after the other."""
    things.execute("create table turns (day text, at timestamptz default clock_timestamp())")
    enter = "insert into turns (day) values (current_setting('app.day'))"
    file = make_step(enter, "select pg_sleep(0.2)", enter, METRICS.replace(", 1, 1,", ", 2, 2,"))
    errors: list[BaseException] = []

    def run(day: str) -> None:
        try:
            with StepRunner(Run("zluri", day, f"run-{day}", database), lambda _: None) as runner:
                runner.run(file)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(f"day{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    order = [day for (day,) in things.execute("select day from turns order by at").fetchall()]
    assert order[0::2] == order[1::2]
    assert sorted(order[0::2]) == ["day0", "day1", "day2", "day3"]


def test_passwords_are_not_recorded(things: Connection, database: str, make_step: Callable[..., SqlFile]) -> None:
    """A password that a step quotes in its error reaches neither message nor metrics."""
    dsn = psycopg.conninfo.make_conninfo(database, password="hunter2secret")
    file = make_step("do $$ begin raise 'password is hunter2secret'; end $$")
    with StepRunner(Run("zluri", "day1", "run-1", dsn), lambda _: None) as runner, pytest.raises(StepFailed) as caught:
        runner.run(file)
    (stored,) = things.execute("select error_message from pipeline_metrics").fetchone() or ("",)
    assert "hunter2secret" not in str(caught.value) + stored
