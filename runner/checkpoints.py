"""Checkpoints: run after all steps of a day, in transactions that only read, and never tried again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from runner import check_results, checks, database, diagnosis, limits
from runner.check import CHECKPOINTS, Check
from runner.checks import CheckResult
from runner.errors import CheckFailed, DatabaseUnavailable, RunnerError, StepFailed

if TYPE_CHECKING:
    from runner.apply import Run

# Seconds more than its own time limit that a statement's answer may take.
_GRACE = 30


def run(run: Run, checkpoints: Sequence[Check], done: Callable[[CheckResult], None]) -> list[CheckResult]:
    """Run the checkpoints of a day, one after the other, and return what each found, after telling `done`.

    All of them run, whatever those before have found. Raises CheckFailed where one of severity `error` found
    rows, StepFailed where one could not be run. `run.first_attempt` numbers what is recorded.
    """
    results: list[CheckResult] = []
    errors: dict[str, RunnerError] = {}
    with _Session(run) as session:
        for checkpoint in checkpoints:
            try:
                results.append(session.run(checkpoint))
            except StepFailed as error:
                errors[checkpoint.name] = error
                continue
            done(results[-1])
            if failure := failed(results[-1], checkpoint):
                errors[checkpoint.name] = failure
    require(run.day, errors)
    return results


def run_one(run: Run, checkpoint: Check) -> CheckResult:
    """Run one checkpoint and record what it found; StepFailed where it cannot be run. Rows raise nothing."""
    with _Session(run) as session:
        return session.run(checkpoint)


class _Session:
    """One connection for the checkpoints of a run, opened again where it was lost; a context manager."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._open: database.Connection | None = None

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open.close()

    def run(self, checkpoint: Check) -> CheckResult:
        """Run a checkpoint and record what it found; StepFailed, and recorded as well, where it cannot be run."""
        started = time.perf_counter()
        try:
            return self._explained(checkpoint)
        except StepFailed as error:
            if not isinstance(error.__cause__, DatabaseUnavailable):
                self._record_fault(checkpoint, error.message, time.perf_counter() - started)
            raise

    def _explained(self, checkpoint: Check) -> CheckResult:
        import psycopg

        try:
            return self._look(checkpoint)
        except psycopg.Error as error:
            told = diagnosis.explain(checkpoint.file, checkpoint.statement, error)
            message, hint = limits.explain(error, *told)
            message = database.redact(message, self._run.dsn)
            raise StepFailed(f"{message}\nthe checkpoint {checkpoint.name} cannot be run", hint=hint) from error
        except DatabaseUnavailable as error:
            message = f"{error.message}\nthe checkpoint {checkpoint.name} cannot be run"
            raise StepFailed(message, hint=error.hint) from error

    def _look(self, checkpoint: Check) -> CheckResult:
        local = _settings(self._run, checkpoint)
        if self._open is None or self._open.closed:
            self._open = database.connect(self._run.dsn, f"runner {self._run.pipeline} {self._run.day}")
        connection = self._open
        connection.limit = checkpoint.file.timeout / 1000 + _GRACE
        try:
            # Each sees what was committed until now, the day's own rows among it.
            connection.execute("begin isolation level read committed read only")
            database.set_local(connection, local)
            (result,) = checks.run(connection, (checkpoint,))
            connection.execute("rollback")
            _record(connection, result, local)
        finally:
            if not connection.closed and connection.info.transaction_status:
                connection.execute("rollback")
        return result

    def _record_fault(self, checkpoint: Check, message: str, seconds: float) -> None:
        """Write down that a checkpoint could not be run: it has failed, whatever its severity, with the error as a row.

        Where the server has gone meanwhile, nobody can; the run fails all the same.
        """
        import psycopg

        fault = CheckResult(
            checkpoint.name,
            "error",
            checkpoint.description,
            "failed",
            1,
            ({"cannot be run": database.redact(message.splitlines()[0], self._run.dsn)},),
            round(seconds, 6),
            checkpoint.file.shown,
        )
        # Its time may be over, and this is to be written down even so.
        with contextlib.suppress(psycopg.Error, DatabaseUnavailable), limits.lifted():
            local = _settings(self._run, checkpoint)
            with database.connect(self._run.dsn, local["application_name"]) as connection:
                _record(connection, fault, local)


def _record(connection: database.Connection, result: CheckResult, local: dict[str, str]) -> None:
    """Write a result down, in a transaction of its own with the checkpoint's time limits."""
    connection.execute("begin")
    database.set_local(connection, local)
    check_results.record(connection, (result,), local)
    connection.execute("commit")


def failed(result: CheckResult, checkpoint: Check) -> CheckFailed | None:
    """Return the error of a checkpoint that found rows and is of severity `error`; None for any other result."""
    if result.status != "failed":
        return None
    return CheckFailed(checks.failure(result, checkpoint), hint=_HINT, results=(result,))


_HINT = (
    "What the steps wrote is committed, and the marts keep the rows they had. Mend the data or the step, and apply "
    "the day again; '-- severity: warn' in the checkpoint would let it pass."
)


def require(day: str, errors: Mapping[str, RunnerError]) -> None:
    """Raise what keeps the marts as they are: the errors of a day's checkpoints, by their names, as one."""
    if not errors:
        return
    what = f"{'checkpoint' if len(errors) == 1 else 'checkpoints'} {', '.join(errors)} failed"
    message = "\n".join([f"{day} {what}", *(error.message for error in errors.values())])
    results = tuple(result for error in errors.values() if isinstance(error, CheckFailed) for result in error.results)
    first = next(iter(errors.values()))
    if results:
        raise CheckFailed(message, hint=_HINT, results=results) from first
    raise StepFailed(
        message,
        hint=f"{first.hint or ''} What the steps wrote is committed, and the marts keep the rows they had.".strip(),
    ) from first


def _settings(run: Run, checkpoint: Check) -> dict[str, str]:
    file = checkpoint.file
    return {
        "app.flow_run_id": run.flow_run_id,
        "app.day": run.day,
        "app.pipeline": run.pipeline,
        "app.step": CHECKPOINTS,
        "app.attempt": str(run.first_attempt),
        "application_name": f"runner {run.pipeline} checkpoint {checkpoint.name} {run.day}"[:63],
        "lock_timeout": f"{file.lock_timeout}ms",
        "statement_timeout": f"{limits.capped(file.timeout)}ms",
        **database.BRIEF,
    }
