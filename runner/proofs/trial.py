"""A trial: one transaction in which days are applied, looked at, and never kept."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from runner import database, diagnosis, transaction
from runner.errors import StepFailed
from runner.proofs import digest
from runner.proofs.digest import Table
from runner.proofs.touched import Touched
from runner.step import SqlFile
from runner.transaction import Metrics, StatementFailed

# Seconds to wait for runs that are in one of the steps, or publish one of the days.
_PATIENCE = 300.0
_IN_USE = "55006"

# First what is quick to tell of most rows: their text as a whole.
_HOLDS = """
    and exists (select from unnest(%s::text[]) as mark where strpos(staged::text, mark) > 0)
    and exists (

        select
        from jsonb_each(to_jsonb(staged)) as field
        where field.value #>> '{}' = any(%s)
            or jsonb_typeof(field.value) = 'array'
                and exists (select from jsonb_array_elements_text(field.value) as item where item = any(%s))

    )
"""


class StepBroke(StepFailed):
    """A step failed in a trial."""

    def __init__(
        self, step: SqlFile, day: str, message: str, hint: str | None, *, transient: bool = False, in_use: bool = False
    ) -> None:
        super().__init__(f"{day} {step.id} failed\n{message}", hint=hint)
        self.step = step
        self.day = day
        self.reason = message if hint is None else f"{message}\n{hint}"
        self.transient = transient
        """Whether another session was in the way: it proves nothing."""
        self.in_use = in_use
        """Whether something of this session was, such as a cursor."""


@dataclass(frozen=True)
class Staged:
    """A staging row: its table and where it lies, which stays the same until it is written.

    `leaf` is the partition, by its oid: of one table, rows of several partitions lie at the same `ctid`.
    """

    table: str
    leaf: int
    ctid: str


class Trial:
    """Runs steps inside a transaction that is rolled back at the end, whatever happens.

    A context manager. The steps are taken for this transaction alone and the days' staging is shared
    with other readers, as when a day is applied: whoever comes meanwhile waits.
    """

    def __init__(
        self,
        connect: Callable[[], database.Connection],
        pipeline: str,
        steps: Sequence[SqlFile],
        days: Sequence[str],
        log: Callable[[str], None] = lambda _: None,
        touched: Touched | None = None,
    ) -> None:
        self._connect = connect
        self._pipeline = pipeline
        self._steps = steps
        self._days = days
        self._log = log
        self.touched = touched or Touched()
        self.limit: Callable[[], float] | None = None
        """Returns the seconds that a statement of a step may take, where that is less than the step's own time-out."""

    def __enter__(self) -> Trial:
        deadline = time.monotonic() + _PATIENCE
        pause = 0.05
        while True:
            self.connection = self._connect()
            # One snapshot for all: rows that others change meanwhile are not taken for the steps' own.
            self.connection.execute("begin isolation level repeatable read")
            if all(
                transaction.try_locks(self.connection, step, self._pipeline, day)
                for step in self._steps
                for day in self._days
            ):
                return self
            self.connection.close()
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"other runs have held the steps or the days for {_PATIENCE:.0f} s",
                    hint="See who it is in pg_stat_activity: application_name starts with 'runner'.",
                )
            if pause == 0.8:
                self._log("waiting for another run that is in these steps")
            time.sleep(pause)
            pause = min(pause * 2, 2.0) if pause != 0.8 else 1.0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing rolls back, also where a statement still runs.
        self.connection.close()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take back, at the end of the block, whatever is done in it."""
        self.connection.execute("savepoint aside")
        try:
            yield
        finally:
            if not self.connection.closed:
                self.connection.execute("rollback to savepoint aside")
                self.connection.execute("release savepoint aside")

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Take back what is done in the block where a step fails in it."""
        self.connection.execute("savepoint attempt")
        try:
            yield
        except StepBroke:
            self.connection.execute("rollback to savepoint attempt")
            self.tidy()
            raise
        self.connection.execute("release savepoint attempt")

    def run(self, step: SqlFile, day: str, planner: Mapping[str, str] | None = None) -> Metrics:
        """Run `step` as if it were applied for the first time in this transaction; raise StepBroke where it fails.

        `planner` are settings to make for it. Its temporary tables stay until `tidy`.
        """
        import psycopg

        local = transaction.settings(step, pipeline=self._pipeline, day=day, flow_run_id=str(uuid.uuid4()))
        name = f"runner verify {self._pipeline}/{step.id} {day}"[:63]
        database.set_local(self.connection, {**local, "application_name": name, **(planner or {})})
        if self.limit is not None:
            most = max(1_000, int(1_000 * self.limit()))
            self.connection.execute(f"set local statement_timeout = {min(most, step.timeout)}")
        mark = transaction.mark(self.connection)
        try:
            with self.touched.by(self.connection, step.id):
                transaction.execute(self.connection, step)
                metrics = transaction.own_metrics(self.connection, step, local, mark)
                self._settle()
            return metrics
        except StatementFailed as failed:
            message, hint = diagnosis.explain(step, failed.statement, failed.error)
            transient = database.is_transient(failed.error)
            if transient:
                hint = "Another session was in the way: run the proofs again."
            in_use = failed.error.sqlstate == _IN_USE
            raise StepBroke(step, day, message, hint, transient=transient, in_use=in_use) from failed.error
        except psycopg.Error as error:
            raise StepBroke(step, day, diagnosis.primary(error), diagnosis.hint_for(error)) from error
        except StepFailed as failed:
            raise StepBroke(step, day, failed.message, failed.hint) from failed

    def _settle(self) -> None:
        """Do what a commit would: check what was deferred to it, and run the triggers that were."""
        self.connection.execute("set constraints all immediate")
        deferred = self.connection.execute(
            "select distinct format('%I.%I', namespace.nspname, con.conname) from pg_constraint as con"
            " inner join pg_namespace as namespace on namespace.oid = con.connamespace where con.condeferred"
        ).fetchall()
        if deferred:
            names = ", ".join(sorted(name for (name,) in deferred))
            self.connection.execute(f"set constraints {names} deferred".encode())

    def tidy(self) -> None:
        """Drop the temporary tables and the settings that a step leaves to the end of its transaction."""
        self.connection.execute("discard temp")
        self.connection.execute("reset all")

    def staged(self, tables: Iterable[Table], days: Sequence[str], marks: Sequence[str] = ()) -> list[Staged]:
        """Return the staging rows of days; with `marks` only those that hold one of them as a value or in a list."""
        found = []
        for table in tables:
            rows = self.connection.execute(
                f"select tableoid::bigint, ctid::text from {table.name} as staged"
                f" where day = any(%s){_HOLDS if marks else ''} order by tableoid, staged.ctid".encode(),
                [list(days), *([list(marks)] * 3 if marks else [])],
            )
            found += [Staged(table.name, leaf, ctid) for leaf, ctid in rows]
        return found

    def keep_staged(self, tables: Iterable[Table], days: Sequence[str] | None, kept: Sequence[Staged]) -> None:
        """Delete the staging rows of days, None for all, but for `kept`."""
        for table in tables:
            here = [row for row in kept if row.table == table.name]
            # A join, which is hashed where there are many.
            self.connection.execute(
                f"delete from {table.name} as staged where (%s::text[] is null or day = any(%s)) and not exists ("
                "select from unnest(%s::oid[], %s::text[]) as kept(leaf, place)"
                " where kept.leaf = staged.tableoid and kept.place::tid = staged.ctid)".encode(),
                (*[None if days is None else list(days)] * 2, [r.leaf for r in here], [r.ctid for r in here]),
            )

    def turn_staged(self, tables: Iterable[Table], days: Sequence[str]) -> None:
        """Turn around the order in which the staging rows of days lie in their tables; the rows stay the same."""
        for table in tables:
            columns = ", ".join(digest.quote(column) for column in table.columns)
            self.connection.execute(
                f"with gone as (delete from {table.name} where day = any(%s) returning ctid as runner_place, *)"
                f" insert into {table.name} ({columns}) overriding system value"
                f" select {columns} from gone order by runner_place desc".encode(),
                (list(days),),
            )
