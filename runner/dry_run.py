"""A dry run: the steps of a day really run, one after the other, in one transaction that is always rolled back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from runner import changes, checks, counting, database, diagnosis, tables, transaction
from runner.changes import TableChanges
from runner.checks import CheckResult
from runner.counting import Counts
from runner.errors import StepFailed
from runner.project import Pipeline
from runner.step import SqlFile
from runner.transaction import Metrics, StatementFailed

# Seconds to wait for runs that are in one of the steps, or publish the day's staging.
_PATIENCE = 300.0
# What the runner and its steps write about themselves.
_BOOKS = ("pipeline_metrics", "check_results")
_IN_USE = "55006"


@dataclass(frozen=True)
class Preview:
    """What a step would do; `seconds` are its own, without the look at what it changed.

    `tables` are those with rows that were written, books left out, `marks` the watermarks among them.
    The rows of `tables` can be read until the next preview is asked for.
    """

    step: SqlFile
    metrics: Metrics
    seconds: float
    tables: tuple[TableChanges, ...]
    marks: tuple[TableChanges, ...] = ()
    checks: tuple[CheckResult, ...] = ()

    @property
    def counted(self) -> Counts:
        """How many rows really changed in the tables whose rows the step's metrics count."""
        return (
            sum(table.inserted for table in self.tables),
            sum(table.updated for table in self.tables),
            sum(table.deleted for table in self.tables),
        )

    @property
    def rewritten(self) -> int:
        """How many rows were written and say the same."""
        return sum(table.rewritten for table in self.tables)

    @property
    def reported(self) -> Counts:
        """What the step's metrics row says."""
        return self.metrics.rows_inserted, self.metrics.rows_updated, self.metrics.rows_deleted

    @property
    def agrees(self) -> bool:
        """Whether the metrics row tells what really changed, as far as that can be known."""
        return counting.holds(
            self.reported,
            (
                counting.Changed((one.inserted, one.updated, one.deleted), one.rewritten, bool(one.table.key))
                for one in self.tables
            ),
        )


class DryRun:
    """Runs steps and keeps nothing: no row, no metrics, no failure, no lease; only sequences move on.

    A context manager. The steps are taken for its transaction alone and the day's staging is shared
    with other readers: a run of one of these steps waits for the end, and the other way round.
    """

    def __init__(
        self, connect: Callable[[], database.Connection], pipeline: Pipeline, day: str, log: Callable[[str], None]
    ) -> None:
        self._connect = connect
        self._pipeline = pipeline
        self._day = day
        self._log = log
        self._flow_run_id = str(uuid.uuid4())
        self._open: database.Connection | None = None
        self._sequences: dict[str, int | None] = {}

    def __enter__(self) -> DryRun:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self, steps: Sequence[SqlFile], starting: Callable[[SqlFile], object] = lambda _: None
    ) -> Generator[Preview]:
        """Yield what each step would do; later steps see what the earlier ones wrote.

        `starting` is called before each. Raises StepFailed as an apply does, with nothing recorded; where a
        check finds rows that must not exist, the step's preview comes first.
        """
        copied: set[str] = set()
        shown = 0
        while True:
            try:
                for place, preview in enumerate(self._run(steps, copied, starting)):
                    if place >= shown:
                        shown = place + 1
                        yield preview
                        checks.require(preview.checks, self._pipeline.checks)
                return
            except _InUse as error:
                # A function of the step empties or alters them: with copies, all over again.
                self.close()
                copied |= error.tables

    def moved(self) -> dict[str, tuple[int | None, int | None]]:
        """Return sequence -> last value before and after; a rollback does not take it back."""
        now = _sequences(self._connection)
        return {
            name: (before, now[name]) for name, before in self._sequences.items() if name in now and now[name] != before
        }

    def _run(
        self, steps: Sequence[SqlFile], copied: Iterable[str], starting: Callable[[SqlFile], object]
    ) -> Generator[Preview]:
        self._begin(steps)
        for step in steps:
            starting(step)
            local = self._settings(step)
            database.set_local(self._connection, local)
            with changes.watch(self._connection, changes.to_copy(step) | set(copied)) as watched:
                yield self._preview(step, local, watched)
            # What a step leaves to the end of its transaction.
            self._connection.execute("discard temp; reset all; reset role")

    def _preview(self, step: SqlFile, local: dict[str, str], watched: changes.Watch) -> Preview:
        import psycopg

        began = time.perf_counter()
        try:
            mark = transaction.mark(self._connection)
            transaction.execute(self._connection, step)
            metrics = transaction.own_metrics(self._connection, step, local, mark)
            self._settle()
            seconds = time.perf_counter() - began
            # A skipped step has changed nothing to be checked, as in an apply.
            wanted = checks.of(self._pipeline.checks, step) if metrics.status != "skipped" else ()
            results = checks.run(self._connection, wanted)
            found = watched.changes()
        except StatementFailed as failed:
            if failed.error.sqlstate == _IN_USE and (held := watched.named_in(str(failed.error))):
                raise _InUse(held) from failed
            raise self._failed(step, *diagnosis.explain(step, failed.statement, failed.error), failed.error) from failed
        except psycopg.Error as error:
            raise self._failed(step, *diagnosis.explain(step, None, error), error) from error
        except StepFailed as error:
            raise StepFailed(f"{self._day} {step.id} failed\n{error.message}", hint=error.hint) from error
        # The table that the step is about comes first.
        shown = sorted(
            (table for table in found if table.table.name not in _BOOKS),
            key=lambda one: one.table.name != metrics.table,
        )
        marks = set(tables.resolve(self._connection, step.watermark).values())
        return Preview(
            step,
            metrics,
            seconds,
            tables=tuple(table for table in shown if table.table.name not in marks),
            marks=tuple(table for table in shown if table.table.name in marks),
            checks=results,
        )

    def _failed(self, step: SqlFile, message: str, hint: str, error: Exception) -> StepFailed:
        if database.is_transient(error):  # type: ignore[arg-type]
            hint = "Another session was in the way: run the dry run again."
        return StepFailed(f"{self._day} {step.id} failed\n{message}", hint=hint)

    def _settings(self, step: SqlFile) -> dict[str, str]:
        local = transaction.settings(step, pipeline=self._pipeline.name, day=self._day, flow_run_id=self._flow_run_id)
        return local | {"application_name": f"runner dry run {self._pipeline.name}/{step.id} {self._day}"[:63]}

    def _begin(self, steps: Sequence[SqlFile]) -> None:
        """Open the transaction, with the locks of all steps; StepFailed where another run stays in one of them.

        One snapshot for all: rows that others change meanwhile are not taken for the steps' own.
        """
        deadline = time.monotonic() + _PATIENCE
        pause = 0.02
        while True:
            self._open = connection = self._connect()
            connection.execute("begin isolation level repeatable read")
            if all(transaction.try_locks(connection, step, self._pipeline.name, self._day) for step in steps):
                self._sequences = self._sequences or _sequences(connection)
                return
            self.close()
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"other runs have held these steps for {_PATIENCE:.0f} s",
                    hint="See who it is in pg_stat_activity: application_name starts with 'runner'.",
                )
            if pause == 1.0:
                self._log(f"{self._day}: waiting for another run that is in these steps")
            time.sleep(pause)
            pause = min(pause * 2, 2.0) if pause != 0.64 else 1.0

    def _settle(self) -> None:
        """Do what a commit would: check what was deferred to it, and run the triggers that were."""
        deferred = self._connection.execute(
            "select format('%I.%I', namespace.nspname, con.conname) from pg_constraint as con"
            " inner join pg_namespace as namespace on namespace.oid = con.connamespace where con.condeferred"
        ).fetchall()
        if deferred:
            names = ", ".join(sorted({name for (name,) in deferred}))
            self._connection.execute(f"set constraints all immediate; set constraints {names} deferred".encode())

    @property
    def _connection(self) -> database.Connection:
        assert self._open is not None
        return self._open

    def close(self) -> None:
        """Roll back; the locks are free when this returns, unless a statement still runs."""
        import psycopg
        from psycopg.pq import TransactionStatus

        if self._open is None:
            return
        connection, self._open = self._open, None
        if connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            with suppress(psycopg.Error):
                connection.execute("rollback")
        connection.close()


class _InUse(Exception):
    """A step wants to empty or alter tables that an open cursor holds."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.tables = set(names)


def _sequences(connection: database.Connection) -> dict[str, int | None]:
    """Return sequence -> its last value, None where it was never used."""
    return dict(
        connection.execute(
            "select seq.seqrelid::regclass::text, pg_sequence_last_value(seq.seqrelid) from pg_sequence as seq"
            " inner join pg_class as class on class.oid = seq.seqrelid"
            " inner join pg_namespace as namespace on namespace.oid = class.relnamespace"
            " where class.relpersistence = 'p' and has_schema_privilege(namespace.oid, 'usage')"
            " and has_sequence_privilege(seq.seqrelid, 'select') order by 1"
        ).fetchall()
    )
