"""A step inside a transaction: opened, run, asked for its metrics row. Whoever opened it commits or rolls back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner import database, excerpt, limits
from runner.errors import StepFailed
from runner.step import SqlFile

if TYPE_CHECKING:
    import psycopg

    from runner.sqltext import Statement

# Seconds to wait for a run of another day that is in the same step.
_LOCK_PATIENCE = 300.0

METRICS = "status, table_name, rows_inserted, rows_updated, rows_deleted, attempt, error_message"


class StatementFailed(Exception):
    """A statement of a SQL file failed: the server's error, and which statement it was."""

    def __init__(self, statement: Statement, error: psycopg.Error) -> None:
        super().__init__(str(error))
        self.statement = statement
        self.error = error


@dataclass(frozen=True)
class Metrics:
    """The row that a step wrote to pipeline_metrics; counts are rows."""

    status: str
    table: str
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    attempt: int
    error_message: str | None = None

    @classmethod
    def of(cls, row: tuple[Any, ...], step: SqlFile) -> Metrics:
        """Return a row of the columns in `METRICS`; a step that names no table is named after itself."""
        return cls(row[0], row[1] or step.table, *row[2:7])


def settings(step: SqlFile, *, pipeline: str, day: str, flow_run_id: str, attempt: int = 1) -> dict[str, str]:
    """Return what a step's transaction sets for itself: its context, its name and its time limits."""
    return {
        "app.flow_run_id": flow_run_id,
        "app.day": day,
        "app.pipeline": pipeline,
        "app.step": step.id,
        "app.attempt": str(attempt),
        "application_name": f"runner {pipeline}/{step.id} {day}"[:63],
        "lock_timeout": f"{step.lock_timeout}ms",
        "statement_timeout": f"{limits.capped(step.timeout)}ms",
        # Without it, the statement of a killed runner would go on in the server.
        **database.WATCHED,
    }


def begin(
    connect: Callable[[], database.Connection],
    step: SqlFile,
    local: dict[str, str],
    log: Callable[[str], None],
) -> database.Connection:
    """Open the transaction, with its `settings` and locks; StepFailed where another run stays in the step.

    While another run is in the same step, or the day's staging is being published,
    the transaction is opened anew: its `now()` is the step's start.
    """
    pipeline, day = local["app.pipeline"], local["app.day"]
    deadline = time.monotonic() + _LOCK_PATIENCE
    pause = 0.02
    while True:
        limits.restart()
        connection = connect()
        connection.execute("begin")
        database.set_local(connection, local)
        if try_locks(connection, step, pipeline, day):
            return connection
        connection.execute("rollback")
        if time.monotonic() > deadline:
            raise StepFailed(
                f"another run has held this step for {_LOCK_PATIENCE:.0f} s",
                hint="See who it is in pg_stat_activity: application_name starts with 'runner'.",
            )
        if pause == 1.0:
            log(f"{day} {step.id}: waiting for another run that is in this step")
        time.sleep(pause)
        pause = min(pause * 2, 2.0) if pause != 0.64 else 1.0


def try_locks(connection: database.Connection, step: SqlFile, pipeline: str, day: str) -> bool:
    """Take the step for this transaction alone, and the day's staging together with other readers; False if taken."""
    return database.try_lock(connection, exclusive=f"step:{pipeline}/{step.id}", shared=f"staging:{pipeline}/{day}")


def execute(connection: database.Connection, step: SqlFile) -> None:
    """Send the step's statements one by one; raise StatementFailed for the one that fails."""
    import psycopg

    for statement in step.statements:
        try:
            connection.execute(statement.text.encode())
        except psycopg.Error as error:
            raise StatementFailed(statement, error) from error


@dataclass(frozen=True)
class Mark:
    """Where a step begins: the newest id in pipeline_metrics, 0 where it is empty, and the oldest open transaction."""

    newest: int
    oldest: str


def mark(connection: database.Connection) -> Mark:
    """Return where a step is that begins now."""
    row = connection.execute(
        "select coalesce(max(id), 0), pg_snapshot_xmin(pg_current_snapshot())::xid::text from pipeline_metrics"
    ).fetchone()
    assert row is not None
    return Mark(*row)


def others_came_between(connection: database.Connection, local: dict[str, str], mark: Mark) -> bool:
    """Tell whether another run of the pipeline may have committed a step since `mark`."""
    found = connection.execute(
        "select from pipeline_metrics where pipeline = %s and flow_run_id <> %s and age(xmin) <= age(%s::xid) limit 1",
        (local["app.pipeline"], local["app.flow_run_id"], mark.oldest),
    )
    return found.fetchone() is not None


def own_metrics(connection: database.Connection, step: SqlFile, local: dict[str, str], mark: Mark) -> Metrics:
    """Return the one row that the step has written since `mark`; StepFailed where it is not one, or says failure."""
    rows = connection.execute(
        f"select {METRICS} from pipeline_metrics where id > %s and flow_run_id = %s and day = %s and step = %s",
        (mark.newest, local["app.flow_run_id"], local["app.day"], step.id),
    ).fetchall()
    if len(rows) != 1:
        found = "no row" if not rows else f"{len(rows)} rows"
        raise _wrong_metrics(
            step,
            f"the step wrote {found} of this run and day to pipeline_metrics, where exactly one belongs; "
            "its changes are rolled back",
            hint="End the step with one insert into pipeline_metrics, with flow_run_id and day "
            "from current_setting('app.flow_run_id') and current_setting('app.day').",
        )
    found_metrics = Metrics.of(rows[0], step)
    if found_metrics.status == "failure":
        raise _wrong_metrics(
            step,
            f"the step reports its own failure: {found_metrics.error_message}",
            hint="Its changes are rolled back; mend the cause.",
        )
    return found_metrics


def _wrong_metrics(step: SqlFile, what: str, hint: str) -> StepFailed:
    """Return the error of a metrics row, which points at the last insert of one, else at the last statement."""
    from runner.places import targets
    from runner.places.fragment import Fragment

    statements = [Fragment(step, statement.start, statement.text) for statement in step.statements]
    written = [
        target.offset
        for statement in statements
        for target in targets.read(statement)
        if target.table == "pipeline_metrics"
    ]
    offset = written[-1] if written else statements[-1].start
    place = excerpt.position(step.shown, step.text, offset)
    return StepFailed(f"{place}: {what}\n{excerpt.draw(step.text, offset)}", hint=hint)
