"""What is tried again, how often and with what in the books; and what is not."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import embedded, step
from runner.apply import Run, StepResult, StepRunner
from runner.errors import StepFailed
from runner.lease import Lease
from runner.step import STEP_KEYS, SqlFile
from tests.unit.test_transient import KNOWN, PASSING

METRICS = """
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_updated, rows_affected, status
)
select
    current_setting('app.flow_run_id'), 'things_task', 'things', 'things', current_setting('app.day'), 1, 1, 'success'
"""
# A step waits here for as long as the test holds the gate.
GATE = "do $$ begin perform pg_advisory_xact_lock(11); end $$"
# Codes that a statement cannot carry on its own behalf: the class of success, and what plpgsql itself catches.
PARTS = ["40001", "40P01", "53300", "55P03", "57P03", "08006", "25P03"]
AT_ONCE = ["22012", "23505", "25P04", "28P01", "42501", "42P01", "53100", "53200", "57014", "57P04", "58030", "XX000"]

Connection = psycopg.Connection[tuple[Any, ...]]
Log = list[str]


@pytest.fixture
def make_step(tmp_path: Path, connection: Connection) -> Callable[..., SqlFile]:
    """Write a step, read it, and make the table that it changes."""
    connection.execute("create table things (id int primary key, value int not null)")
    connection.execute("insert into things values (1, 0), (2, 0)")

    def make(*statements: str, header: str = "") -> SqlFile:
        path = tmp_path / "010_things.sql"
        path.write_text(header + ";\n".join([*statements, METRICS]), encoding="utf-8")
        return step.read(path, tmp_path, STEP_KEYS)

    return make


def attempts(connection: Connection) -> list[tuple[int, str]]:
    """Return the number of each attempt in the metrics, and how it ended."""
    return connection.execute("select attempt, status from pipeline_metrics order by id").fetchall()  # type: ignore[return-value]


def run_at_the_gate(
    url: str, file: SqlFile, connection: Connection, meanwhile: Callable[[], None]
) -> tuple[StepResult, Log]:
    """Run a step; when it waits at the gate, do what is to be done `meanwhile`, and let it through."""
    log: Log = []
    results: list[StepResult] = []

    def run() -> None:
        with StepRunner(Run("zluri", "day1", "run-1", url), log.append) as runner:
            results.append(runner.run(file))

    connection.execute("select pg_advisory_lock(11)")
    thread = threading.Thread(target=run)
    thread.start()
    waits = "select true from pg_locks where locktype = 'advisory' and not granted"
    while not connection.execute(waits).fetchone():
        assert thread.is_alive()
    meanwhile()
    connection.execute("select pg_advisory_unlock(11)")
    thread.join(60)
    return results[0], log


def test_serialization_failure(database: str, connection: Connection, make_step: Callable[..., SqlFile]) -> None:
    """A row that another transaction has changed since the snapshot: the second attempt starts from a new one."""
    url = f"{database}{'&' if '?' in database else '?'}options=-cdefault_transaction_isolation%3Drepeatable%5C%20read"
    file = make_step("select from things", GATE, "update things set value = value + 1 where id = 1")
    result, log = run_at_the_gate(
        url, file, connection, lambda: connection.execute("update things set value = 40 where id = 1") and None
    )
    assert result.attempt == 2
    assert re.fullmatch(
        r"day1 010_things: attempt 1 of 5 failed \(.*could not serialize.*\); again in 0\.[01] s", log[0]
    ), log
    assert connection.execute("select value from things where id = 1").fetchone() == (41,)
    assert attempts(connection) == [(2, "success")]


def test_deadlock(database: str, connection: Connection, make_step: Callable[..., SqlFile]) -> None:
    """Two sessions that take two rows in opposite orders: the step gives way, and comes through when the other has."""
    url = f"{database}{'&' if '?' in database else '?'}options=-cdeadlock_timeout%3D10ms"
    file = make_step(
        "update things set value = value + 1 where id = 1", GATE, "update things set value = value + 1 where id = 2"
    )
    with psycopg.connect(database) as other:
        other.execute("set deadlock_timeout = '1h'")
        other.execute("update things set value = 10 where id = 2")
        both = threading.Thread(
            target=lambda: (other.execute("update things set value = 10 where id = 1"), other.commit())
        )

        def cross() -> None:
            both.start()
            crossed = "select true from pg_locks where locktype = 'transactionid' and not granted"
            while not connection.execute(crossed).fetchone():
                pass

        result, log = run_at_the_gate(url, file, connection, cross)
        both.join(60)
    assert result.attempt == 2
    assert "deadlock detected" in log[0]
    assert connection.execute("select id, value from things order by id").fetchall() == [(1, 11), (2, 11)]
    assert attempts(connection) == [(2, "success")]


def test_lock_time_out(database: str, connection: Connection, make_step: Callable[..., SqlFile]) -> None:
    """A lock that somebody keeps for longer than the step's `lock_timeout` is asked for again."""
    file = make_step("update things set value = value + 1", header="-- lock_timeout: 50ms\n")
    log: Log = []
    with psycopg.connect(database) as other:
        other.execute("lock table things")

        def hear(line: str) -> None:
            log.append(line)
            other.rollback()

        with StepRunner(Run("zluri", "day1", "run-1", database), hear) as runner:
            assert runner.run(file).attempt == 2
    assert "lock timeout" in log[0]
    assert attempts(connection) == [(2, "success")]


@pytest.mark.parametrize("code", PARTS)
def test_each_passing_fault(
    code: str, database: str, connection: Connection, make_step: Callable[..., SqlFile]
) -> None:
    """Each fault that may pass is tried again, each attempt told, and the one that came through in the metrics."""
    assert code in PASSING
    connection.execute("create sequence tries")
    fault = f"do $$ begin if nextval('tries') < 3 then raise 'not yet' using errcode = '{code}'; end if; end $$"
    log: Log = []
    with StepRunner(Run("zluri", "day1", "run-1", database), log.append) as runner:
        assert runner.run(make_step(fault)).attempt == 3
    assert [line.split(" (")[0] for line in log] == [f"day1 010_things: attempt {n} of 5 failed" for n in (1, 2)]
    assert attempts(connection) == [(3, "success")]


@pytest.mark.parametrize("code", AT_ONCE)
def test_each_lasting_fault(
    code: str, database: str, connection: Connection, make_step: Callable[..., SqlFile]
) -> None:
    """Any other fault ends the step at its first attempt."""
    assert code in KNOWN
    log: Log = []
    with StepRunner(Run("zluri", "day1", "run-1", database), log.append) as runner, pytest.raises(StepFailed):
        runner.run(make_step(f"do $$ begin raise 'no' using errcode = '{code}'; end $$"))
    assert log == []
    assert attempts(connection) == [(1, "failure")]


def test_attempts_are_bounded(database: str, connection: Connection, make_step: Callable[..., SqlFile]) -> None:
    """After the last attempt the step fails, says how many there were, and the metrics know the last one's number."""
    fault = "do $$ begin raise 'never' using errcode = '40001'; end $$"
    log: Log = []
    with (
        StepRunner(Run("zluri", "day1", "run-1", database, attempts=3), log.append) as runner,
        pytest.raises(StepFailed, match=r"^day1 010_things failed after 3 attempts\n") as caught,
    ):
        runner.run(make_step(fault))
    assert caught.value.transient
    assert len(log) == 2
    assert attempts(connection) == [(3, "failure")]


def test_one_attempt_where_somebody_else_retries(
    database: str, connection: Connection, make_step: Callable[..., SqlFile]
) -> None:
    """A run of one attempt, as inside Prefect, fails at once, numbered as it was told, and says that it may pass."""
    fault = "do $$ begin raise 'not yet' using errcode = '40001'; end $$"
    log: Log = []
    with (
        StepRunner(Run("zluri", "day1", "run-1", database, attempts=1, first_attempt=4), log.append) as runner,
        pytest.raises(StepFailed) as caught,
    ):
        runner.run(make_step(fault))
    assert (caught.value.transient, log, attempts(connection)) == (True, [], [(4, "failure")])


def test_read_only_is_not_a_standby(database: str, connection: Connection, make_step: Callable[..., SqlFile]) -> None:
    """Where somebody has set a database to read only, that does not pass by itself."""
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    file = make_step("update things set value = 1")
    connection.execute(f'alter database "{name}" set default_transaction_read_only = on')
    log: Log = []
    with StepRunner(Run("zluri", "day1", "run-1", database), log.append) as runner, pytest.raises(StepFailed):
        runner.run(file)
    assert [line for line in log if "again in" in line] == []


@pytest.mark.slow
def test_a_standby_is_waited_for(home: Path, tmp_path: Path) -> None:
    """A server in recovery refuses to write: the step and the lease are tried again, until it is promoted."""
    from runner import schema

    url = embedded.ensure_running(home)
    with psycopg.connect(url, autocommit=True) as connection:
        schema.migrate(connection, "zluri", [])
        connection.execute("create table things (id int primary key)")
    embedded.stop(home)
    (home / "pg18" / "data" / "standby.signal").touch()
    assert embedded.ensure_running(home) == url
    path = tmp_path / "010_things.sql"
    path.write_text(f"insert into things values (1);\n{METRICS}", "utf-8")
    file = step.read(path, tmp_path, STEP_KEYS)
    log: Log = []

    def promote(line: str) -> None:
        log.append(line)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("select pg_promote() where pg_is_in_recovery()")

    with StepRunner(Run("zluri", "day1", "run-1", url), promote) as runner:
        assert runner.run(file).attempt == 2
    assert "read-only transaction" in log[0]
    embedded.stop(home)
    (home / "pg18" / "data" / "standby.signal").touch()
    embedded.ensure_running(home)
    with Lease(url, "zluri", "day1", "run-2", 0, promote):
        assert "read-only transaction" in log[1]
