"""A backfill at work: its days in order, over one engine, each like one application of that day."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner import backfill_book, backfill_plan, checkpoints, database, loading, order, schema
from runner.apply import Run, StepResult, StepRunner
from runner.backfill import Chunk
from runner.backfill_book import Status
from runner.backfill_plan import Plan
from runner.checks import CheckResult
from runner.config import Settings
from runner.errors import BackfillFailed, ConfigError, DatabaseUnavailable, DayHeld, RunnerError, StoreUnavailable
from runner.lease import Lease
from runner.progress import Progress
from runner.project import Pipeline
from runner.step import SqlFile

if TYPE_CHECKING:
    from runner.graph import Graph
    from staging_loaders.choice import Chosen

# What the next day would meet as well.
_ENDS_ALL = (DatabaseUnavailable, StoreUnavailable, ConfigError)

Runners = Callable[[Run, Callable[[str], None], Callable[[], object]], StepRunner]


@dataclass
class DayEnd:
    """How a day ended, and what it did until then; counts are records and rows, `warnings` those of checks."""

    day: str
    flow_run_id: str
    status: Status = "done"
    seconds: float = 0.0
    records_read: int = 0
    rows_rejected: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_deleted: int = 0
    warnings: int = 0
    error: RunnerError | None = None

    @property
    def rows_changed(self) -> int:
        return self.rows_inserted + self.rows_updated + self.rows_deleted


@dataclass(frozen=True)
class Days:
    """What the days of a backfill share; `new_id` makes the id of a day's run."""

    settings: Settings
    pipeline: Pipeline
    dsn: str
    engine: Chosen
    plan: Plan
    load: str
    max_rejects: str | None
    jobs: int
    graph: Graph | None
    wait: float
    progress: Progress
    new_id: Callable[[], str]
    attempts: int = 1
    first_attempt: int = 1
    runner: Runners = StepRunner

    def apply(self, day: str) -> DayEnd:
        """Load a day where its files are new, run its steps and checkpoints; return how it ended, RunnerErrors too."""
        end = DayEnd(day, self.new_id())
        started = time.perf_counter()
        try:
            with Lease(self.dsn, self.pipeline.name, day, end.flow_run_id, self.wait, self.progress.note):
                self._apply(end)
        except DayHeld as error:
            end.status, end.error = "held", error
        except RunnerError as error:
            end.status, end.error = "failed", error
        finally:
            self.progress.clear()
        end.seconds = time.perf_counter() - started
        return end

    def _apply(self, end: DayEnd) -> None:
        self._load(end)
        run = Run(
            self.pipeline.name,
            end.day,
            end.flow_run_id,
            self.dsn,
            self.attempts,
            self.first_attempt,
            self.pipeline.checks,
        )
        self._steps(run, end)

        def checked(result: CheckResult) -> None:
            end.warnings += result.status == "warned"

        if self.pipeline.checkpoints:
            self.progress.show(f"{end.day}  check   …")
            checkpoints.run(run, self.pipeline.checkpoints, checked)

    def _load(self, end: DayEnd) -> None:
        if not loading.has_loaders(self.settings):
            return
        if self.load == "never" or end.day in self.plan.held:
            with schema.connect(self.dsn, "runner load") as connection:
                backfill_plan.require_loaded(self.settings, connection, end.day)
            return
        loads = loading.load_with(
            self.engine,
            self.settings,
            self.dsn,
            end.day,
            end.flow_run_id,
            mode=self.load,
            max_rejects=self.max_rejects,
            progress=self.progress,
        )
        read = [load for load in loads if load.status == "loaded"]
        end.records_read = sum(load.records_read for load in read)
        end.rows_rejected = sum(load.rejects for load in read)

    def _steps(self, run: Run, end: DayEnd) -> None:
        def make(log: Callable[[str], None]) -> StepRunner:
            return self.runner(run, log, lambda: database.resolve(self.settings))

        def done(_: SqlFile, result: StepResult) -> None:
            end.rows_inserted += result.rows_inserted
            end.rows_updated += result.rows_updated
            end.rows_deleted += result.rows_deleted
            end.warnings += sum(check.status == "warned" for check in result.checks)

        def ignored(*_: object) -> None:
            """What failed is raised; of the days of a backfill, more is not said."""

        steps = self.pipeline.steps
        if self.graph is None:
            order.one_by_one(
                steps, make, day=run.day, progress=self.progress, done=done, failed=ignored, not_run=ignored
            )
        else:
            order.side_by_side(
                steps,
                make,
                self.graph,
                self.jobs,
                day=run.day,
                progress=self.progress,
                done=done,
                failed=ignored,
                not_run=ignored,
            )


@dataclass
class Ended:
    """How a chunk ended, or all of them: its days in their order, and those that were not come to."""

    days: list[DayEnd] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)

    def of(self, *statuses: Status) -> list[DayEnd]:
        """Return the days that ended so."""
        return [end for end in self.days if end.status in statuses]

    @property
    def status(self) -> str:
        """`done`, or what is to be done about it: `failed` or `held`."""
        return "failed" if self.of("failed") or self.not_run else "held" if self.of("held") else "done"

    @property
    def undone(self) -> list[str]:
        """The days that failed, were held by others, or were not come to."""
        return [*(end.day for end in self.of("failed", "held")), *self.not_run]


def run(
    days: Days,
    id: str,
    chunk: Chunk,
    *,
    stop_on_error: bool,
    began: Callable[[str], None] = lambda _: None,
    ended: Callable[[DayEnd], None] = lambda _: None,
) -> Ended:
    """Apply the days of a chunk, one after the other, and write down how each ended.

    A day that fails does not keep the others from being applied, unless it is to, or they would fail the same way.
    `began` is told which day is at work, `ended` how it ended.
    """
    found = Ended()
    steps = backfill_book.checksum(days.pipeline)
    for place, day in enumerate(chunk.days):
        began(day)
        end = days.apply(day)
        found.days.append(end)
        _record(days, id, end, steps)
        ended(end)
        if end.error is not None and (stop_on_error or isinstance(end.error, _ENDS_ALL)):
            found.not_run += chunk.days[place + 1 :]
            break
    return found


def ends_all(ended: Ended, stop_on_error: bool) -> bool:
    """Tell whether the chunks after this one are not to be begun."""
    return bool(ended.not_run) or any(
        end.error is not None and (stop_on_error or isinstance(end.error, _ENDS_ALL)) for end in ended.days
    )


def _record(days: Days, id: str, end: DayEnd, steps: str) -> None:
    """Write down how a day ended; a day of which nobody can is only applied once more."""
    import psycopg

    message = database.redact(end.error.message, days.dsn) if end.error else None
    try:
        with database.connect(days.dsn, "runner backfill") as connection:
            backfill_book.record(connection, id, end.day, end.status, end.flow_run_id, steps, end.seconds, message)
    except (psycopg.Error, DatabaseUnavailable) as error:
        days.progress.note(f"{end.day}: how it ended could not be written down: {str(error).splitlines()[0]}")


def finish(dsn: str, id: str, note: Callable[[str], None]) -> None:
    """Write down that a backfill came to its end; where nobody can, it only looks as if it had been stopped."""
    import psycopg

    try:
        with database.connect(dsn, "runner backfill") as connection:
            backfill_book.finish(connection, id)
    except (psycopg.Error, DatabaseUnavailable) as error:
        note(f"the end could not be written down: {str(error).splitlines()[0]}")


def error_of(undone: Sequence[str], total: int, retry: str) -> BackfillFailed | None:
    """Return the error of a backfill of which days are not done; None where all are."""
    if not undone:
        return None
    shown = ", ".join(undone[:10]) + (f" and {len(undone) - 10} more" if len(undone) > 10 else "")
    return BackfillFailed(f"{len(undone)} of {total} days are not done: {shown}", hint=f"Try just these again: {retry}")


def loads_of(plan: Plan) -> Iterator[str]:
    """Yield the days that are to be read from files."""
    return (day for chunk in plan.left for day in chunk.days if day not in plan.held)
