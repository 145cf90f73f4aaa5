"""A commit whose connection is lost: what is told of it is what became of it, and nothing is done twice blindly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import apply, settlement, step
from runner.apply import Run, StepResult, StepRunner
from runner.database import BRIEF
from runner.errors import DatabaseUnavailable, StepFailed
from runner.settlement import Commit
from runner.step import STEP_KEYS, SqlFile
from tests.torture.proxy import Line, Phase, Proxy, saying

Connection = psycopg.Connection[tuple[Any, ...]]

STEP = """-- timeout: {timeout}
insert into things (id) values (1);
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status
)
select
    current_setting('app.flow_run_id'), 'things_task', 'things', 'things', current_setting('app.day'), 1, 1, 'success'
"""


@pytest.fixture
def things(connection: Connection) -> Connection:
    """A table for the step to write to; a second run of it would break its key."""
    connection.execute("create table things (id int primary key)")
    return connection


@pytest.fixture
def make_step(tmp_path: Path) -> Callable[..., SqlFile]:
    """Write the step and read it."""

    def make(timeout: str = "60s") -> SqlFile:
        path = tmp_path / "010_things.sql"
        path.write_text(STEP.format(timeout=timeout))
        return step.read(path, tmp_path, STEP_KEYS)

    return make


def run(proxy: Proxy, file: SqlFile, log: list[str], revive: Callable[[], object] | None = None) -> StepResult:
    with StepRunner(Run("zluri", "day1", "run-1", proxy.dsn), log.append, revive) as runner:
        return runner.run(file)


def written(connection: Connection) -> tuple[int, list[tuple[str, int]]]:
    """Return how many things there are, and status and attempt of each metrics row."""
    (things,) = connection.execute("select count(*) from things").fetchone() or (0,)
    return things, connection.execute("select status, attempt from pipeline_metrics order by id").fetchall()


def leave(line: Line) -> None:
    """Let the client know that the line is gone, and not the server."""
    line.hang()
    line.cut_client()


@pytest.mark.parametrize(
    ("phase", "do", "attempt"),
    [
        pytest.param("before", Line.cut, 2, id="it never came"),
        pytest.param("after", Line.cut, 1, id="its answer was lost"),
        pytest.param("before", leave, 2, id="it never came, and the server waits for it"),
        pytest.param("after", leave, 1, id="its answer was lost, and the server waits for more"),
    ],
)
def test_a_connection_that_is_lost_at_the_commit(
    database: str,
    things: Connection,
    make_step: Callable[..., SqlFile],
    phase: Phase,
    do: Callable[[Line], None],
    attempt: int,
) -> None:
    """A step that was committed is done, and not run again; one that was not is run again."""
    log: list[str] = []
    with Proxy(database) as proxy:
        proxy.trap(saying("commit"), phase, lambda line, _: do(line))
        result = run(proxy, make_step(), log)
    assert (result.status, result.attempt, result.already_done) == ("success", attempt, False)
    assert written(things) == (1, [("success", attempt)])
    assert log[0] == "day1 010_things: the connection was lost during the commit; asking how it ended"
    assert len(log) == attempt


def test_an_answer_that_never_comes(
    database: str, things: Connection, make_step: Callable[..., SqlFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that stays open and is silent is given up; what it was about to commit is settled first."""
    monkeypatch.setattr(apply, "_GRACE", 0)
    log: list[str] = []
    with Proxy(database) as proxy:
        proxy.trap(saying("commit"), "during", lambda line, _: line.deafen())
        result = run(proxy, make_step("1s"), log)
    assert (result.status, result.attempt) == ("success", 1)
    assert written(things) == (1, [("success", 1)])


def test_a_statement_whose_answer_never_comes(
    database: str, things: Connection, make_step: Callable[..., SqlFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step starts over on another line, when the server has given up the silent one."""
    monkeypatch.setattr(apply, "_GRACE", 0)
    monkeypatch.setitem(BRIEF, "idle_in_transaction_session_timeout", "1s")
    log: list[str] = []
    with Proxy(database) as proxy:
        proxy.trap(saying("insert into things"), "before", lambda line, _: line.hang())
        result = run(proxy, make_step("1s"), log)
    assert (result.status, result.attempt) == ("success", 2)
    assert written(things) == (1, [("success", 2)])


def test_the_server_is_brought_back_to_be_asked(
    database: str, things: Connection, make_step: Callable[..., SqlFile]
) -> None:
    """Where nobody answers after the commit, the server is started, and asked then."""
    calls: list[int] = []
    log: list[str] = []
    with Proxy(database) as proxy:

        def away(line: Line, _: object) -> None:
            proxy.refuse = True
            line.cut()

        def revive() -> None:
            calls.append(1)
            proxy.refuse = False

        proxy.trap(saying("commit"), "after", away)
        assert run(proxy, make_step(), log, revive).attempt == 1
    assert calls == [1]
    assert written(things) == (1, [("success", 1)])


@pytest.mark.parametrize("late", [False, True], ids=["never", "too late"])
def test_a_server_that_does_not_come_back(
    database: str, things: Connection, make_step: Callable[..., SqlFile], monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """Then nobody knows, and that is what is told, but no failure is recorded of what was committed."""
    monkeypatch.setattr(settlement, "PATIENCE", 0)
    with Proxy(database) as proxy:

        def away(line: Line, _: object) -> None:
            proxy.refuse = True
            line.cut()

        def revive() -> None:
            proxy.refuse = not late

        proxy.trap(saying("commit"), "after", away)
        with pytest.raises(StepFailed, match="the connection was lost during the commit of transaction") as told:
            run(proxy, make_step(), [], revive)
        assert "finds nothing to change" in str(told.value.hint)
    assert written(things) == (1, [("success", 1)])


@pytest.mark.parametrize("there", [True, False], ids=["written", "not written"])
@pytest.mark.parametrize("number", ["3", "its own", "9999999999"], ids=["long ago", "another's now", "in the future"])
def test_what_was_written_is_what_counts(database: str, connection: Connection, number: str, there: bool) -> None:
    """The number of a transaction may be forgotten, or, after a crash, be another one's or nobody's yet."""
    if number == "its own":
        (number,) = connection.execute("select pg_current_xact_id()::text").fetchone() or ("",)
    ended = settlement.was_committed(lambda: connection, Commit(number, 0), lambda _: there)
    assert ended == there


def test_who_is_asked_may_be_gone_again(database: str, connection: Connection) -> None:
    """Each question may find another server, or none."""
    (number,) = connection.execute("select pg_current_xact_id()::text").fetchone() or ("",)
    answers: list[Any] = [DatabaseUnavailable("nobody"), psycopg.OperationalError("gone"), connection]
    revived: list[int] = []

    def connect() -> Connection:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert settlement.was_committed(
        connect, Commit(number, 0), lambda _: True, revive=lambda: revived.append(1), pause=lambda _: None
    )
    assert len(revived) == 2


def test_a_vanished_host_keeps_no_lock(database: str, things: Connection, make_step: Callable[..., SqlFile]) -> None:
    """The server ends a step's transaction that says nothing for a minute, and looks whether its host is there."""
    things.execute("create table seen (idle text, probed text)")
    file = make_step()
    file.path.write_text(
        file.path.read_text().replace(
            "insert into things",
            "insert into seen values (current_setting('idle_in_transaction_session_timeout'),"
            " current_setting('client_connection_check_interval')); insert into things",
            1,
        )
    )
    with StepRunner(Run("zluri", "day1", "run-1", database), lambda _: None) as runner:
        runner.run(step.read(file.path, file.path.parent, STEP_KEYS))
    assert things.execute("select * from seen").fetchall() == [("1min", "1s")]
