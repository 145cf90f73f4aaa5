"""One step, one transaction: the data and its metrics row commit together or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from runner import check_results, checks, database, diagnosis, limits, settlement, transaction
from runner.check import Check
from runner.checks import CheckResult
from runner.errors import CheckFailed, DatabaseUnavailable, RunnerError, StepFailed
from runner.step import SqlFile
from runner.transaction import Metrics, StatementFailed

# Seconds more than its own time limit that a statement's answer may take.
_GRACE = 30


@dataclass(frozen=True)
class Run:
    """One application of a day; its id is the Prefect flow run's or a fresh UUID.

    `checks` are the pipeline's: each runs in the transaction of its step, before the commit.
    `attempts` is how often a step is tried on a passing fault. `first_attempt` numbers
    the first of them, for callers that retry by themselves.
    """

    pipeline: str
    day: str
    flow_run_id: str
    dsn: str = field(repr=False)
    attempts: int = 5
    first_attempt: int = 1
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class StepResult:
    """How a step ended; `status` is `success` or `skipped`, `seconds` includes retries and checks."""

    step: str
    table: str
    status: str
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    attempt: int
    seconds: float
    already_done: bool = False
    checks: tuple[CheckResult, ...] = ()


class StepRunner:
    """Runs steps one after the other over one connection, which it opens again when it is lost.

    A context manager; not for use by several threads, `interrupt` excepted. `revive` is called before a step is tried
    again: it may start a server that is gone, and what it raises counts for nothing.
    """

    def __init__(self, run: Run, log: Callable[[str], None], revive: Callable[[], object] | None = None) -> None:
        self._run = run
        # What a server says may quote the connection string.
        self._log: Callable[[str], None] = lambda text: log(database.redact(text, run.dsn))
        self._revive = revive
        self._open: database.Connection | None = None
        self._stop = threading.Event()
        self._limit: float | None = None
        self._leaving = False

    def __enter__(self) -> StepRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def interrupt(self) -> None:
        """End what runs, from another thread: `run` rolls back and raises KeyboardInterrupt, as on Ctrl-C.

        A request that falls between two statements is lost; ask again until the step has ended.
        """
        import psycopg

        self._stop.set()
        connection = self._open
        if connection is not None and not self._leaving:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=5)

    def run(self, step: SqlFile) -> StepResult:
        """Run `step`, again after passing faults; raise StepFailed after recording the failure."""
        import psycopg

        started = time.perf_counter()
        allowed = [step.timeout, *(check.file.timeout for check in checks.of(self._run.checks, step))]
        self._limit = max(allowed) / 1000 + _GRACE if all(allowed) else None
        pauses = list(database.backoff(self._run.attempts))
        for attempt in range(self._run.attempts):
            number = self._run.first_attempt + attempt
            failed_checks: tuple[CheckResult, ...] = ()
            began = time.perf_counter()
            try:
                return self._attempt(step, number, started)
            except StatementFailed as failed:
                error, statement = failed.error, failed.statement
                transient = database.is_transient(error, self._open)
                message, hint = limits.explain(error, *diagnosis.explain(step, statement, error))
                cause: Exception = error
            except psycopg.Error as error_:
                transient = database.is_transient(error_, self._open)
                message, hint = limits.explain(error_, *diagnosis.explain(step, None, error_))
                cause = error_
            except DatabaseUnavailable as error_:
                transient, message, hint, cause = error_.transient, error_.message, error_.hint or "", error_
            except StepFailed as error_:
                transient, message, hint, cause = error_.transient, error_.message, error_.hint or "", error_
                failed_checks = error_.results if isinstance(error_, CheckFailed) else ()
            except BaseException:
                self._abandon(step, number, time.perf_counter() - began)
                raise
            limit = limits.current()
            transient = transient and not (limit is not None and limit.explains(cause))
            if self._stop.is_set():
                self._abandon(step, number, time.perf_counter() - began)
                raise KeyboardInterrupt from cause
            self._close()
            if not transient or attempt == len(pauses):
                break
            pause = pauses[attempt] * (database.ABSENT if isinstance(cause, DatabaseUnavailable) else 1)
            self._log(
                f"{self._run.day} {step.id}: attempt {attempt + 1} of {self._run.attempts} failed "
                f"({message.splitlines()[0]}); again in {pause:.1f} s"
            )
            self._stop.wait(pause)
            if self._revive is not None:
                with suppress(RunnerError):  # the next attempt says what is wrong
                    self._revive()
        message = database.redact(message, self._run.dsn)
        self._record_failure(step, number, message, time.perf_counter() - began, failed_checks)
        tries = f" after {attempt + 1} attempts" if attempt else ""
        told = f"{self._run.day} {step.id} failed{tries}\n{message}"
        if failed_checks:
            raise CheckFailed(told, hint=hint, transient=transient, results=failed_checks) from cause
        raise StepFailed(told, hint=hint, transient=transient) from cause

    def _attempt(self, step: SqlFile, number: int, started: float) -> StepResult:
        local = self._settings(step, number)
        connection = transaction.begin(self._connection_for_work, step, local, self._log)
        done = self._own_success(connection, step)
        if done is not None:
            connection.execute("rollback")
            return _result(step, done, started, already_done=True)
        mark = transaction.mark(connection)
        transaction.execute(connection, step)
        metrics = transaction.own_metrics(connection, step, local, mark)
        # A skipped step has changed nothing; what there was before was checked with what wrote it.
        wanted = checks.of(self._run.checks, step) if metrics.status != "skipped" else ()
        results = checks.run(connection, wanted)
        try:
            checks.require(results, wanted)
        except CheckFailed as error:
            # A table that a check reads may have changed since the step read it: another day's run was in another step.
            error.transient = transaction.others_came_between(connection, local, mark)
            raise
        check_results.record(connection, results, local)
        self._commit(connection, step, mark)
        return _result(step, metrics, started, results)

    def _settings(self, step: SqlFile, number: int) -> dict[str, str]:
        run = self._run
        local = transaction.settings(
            step, pipeline=run.pipeline, day=run.day, flow_run_id=run.flow_run_id, attempt=number
        )
        return local | database.BRIEF

    def _own_success(self, connection: database.Connection, step: SqlFile) -> Metrics | None:
        """Return what this run has written for the step and day before, if it has."""
        run = self._run
        row = connection.execute(
            f"select {transaction.METRICS} from pipeline_metrics"
            " where flow_run_id = %s and (task_name = %s or step = %s) and day = %s and status = 'success'",
            (run.flow_run_id, step.task_name, step.id, run.day),
        ).fetchone()
        return Metrics.of(row, step) if row else None

    def _commit(self, connection: database.Connection, step: SqlFile, mark: transaction.Mark) -> None:
        """Commit; when the connection dies meanwhile, find out how it ended by the metrics row after `mark`."""
        import psycopg

        commit = settlement.about_to(connection)
        try:
            connection.execute("commit")
        except psycopg.OperationalError as error:
            if not connection.broken and not connection.closed:
                raise
            self._log(f"{self._run.day} {step.id}: the connection was lost during the commit; asking how it ended")
            if not self._was_committed(commit, step, mark):
                raise error

    def _was_committed(self, commit: settlement.Commit, step: SqlFile, mark: transaction.Mark) -> bool:
        self._close()
        run = self._run

        def is_there(connection: database.Connection) -> bool:
            found = connection.execute(
                "select from pipeline_metrics where id > %s and flow_run_id = %s and day = %s and step = %s"
                " and status <> 'failure'",
                (mark.newest, run.flow_run_id, run.day, step.id),
            )
            return found.fetchone() is not None

        try:
            with limits.lifted():  # it has one of its own
                return settlement.was_committed(
                    self._connection, commit, is_there, revive=self._revive or (lambda: None), pause=self._stop.wait
                )
        except settlement.Unsettled:
            raise StepFailed(
                f"the connection was lost during the commit of transaction {commit.transaction}, "
                f"and no server said within {settlement.PATIENCE:.0f} s how it ended",
                hint="Run the day again: a step that was committed finds nothing to change.",
            ) from None

    def _abandon(self, step: SqlFile, number: int, seconds: float) -> None:
        """Leave after an interruption: the statement was cancelled, closing rolls back."""
        self._leaving = True
        self._close()
        self._record_failure(step, number, "interrupted", seconds)

    def _record_failure(
        self, step: SqlFile, number: int, message: str, seconds: float, failed: tuple[CheckResult, ...] = ()
    ) -> None:
        """Write the failure's metrics row and failed checks in a transaction of their own; without a server none."""
        import psycopg

        run = self._run
        try:
            with limits.lifted():
                connection = self._connection()
            connection.execute("begin")
            connection.execute(
                "insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, attempt,"
                " status, error_message, pipeline, step, rows_affected, duration_seconds, started_at)"
                " select %s, %s, %s, %s, %s, %s, 'failure', %s, %s, %s, 0, %s, now() - make_interval(secs => %s)"
                # A commit of which nobody knew may have come through after all.
                " where not exists (select from pipeline_metrics"
                " where flow_run_id = %s and day = %s and step = %s and status = 'success')",
                (
                    run.flow_run_id,
                    step.task_name,
                    step.name,
                    step.table,
                    run.day,
                    number,
                    message,
                    run.pipeline,
                    step.id,
                    round(seconds, 6),
                    seconds,
                    run.flow_run_id,
                    run.day,
                    step.id,
                ),
            )
            check_results.record(connection, failed, self._settings(step, number))
            connection.execute("commit")
        except (psycopg.Error, DatabaseUnavailable) as error:
            self._close()
            self._log(f"the failure could not be recorded in pipeline_metrics: {str(error).splitlines()[0]}")

    def _connection_for_work(self) -> database.Connection:
        if self._stop.is_set():
            raise KeyboardInterrupt
        return self._connection()

    def _connection(self) -> database.Connection:
        if self._open is None or self._open.closed:
            self._open = database.connect(self._run.dsn, f"runner {self._run.pipeline} {self._run.day}")
        self._open.limit = self._limit
        # Each step has its own, on the connection of the one before.
        self._open.budget = limits.current()
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _result(
    step: SqlFile,
    metrics: Metrics,
    started: float,
    results: tuple[CheckResult, ...] = (),
    *,
    already_done: bool = False,
) -> StepResult:
    return StepResult(
        step=step.id,
        table=metrics.table,
        status=metrics.status,
        rows_inserted=metrics.rows_inserted,
        rows_updated=metrics.rows_updated,
        rows_deleted=metrics.rows_deleted,
        attempt=metrics.attempt,
        seconds=round(time.perf_counter() - started, 6),
        already_done=already_done,
        checks=results,
    )
