"""How long staging and the books are kept: the newest days whole, of the older ones what is needed to tell of them.

Final tables are not touched. Of an older day go its staging, its rows in stg_loads and stg_rejects, and all in
pipeline_metrics and check_results but what tells how each step ended last: `runner status`, `plan` and `checks`
say the same before and after. Staging that no declaration fills stays, with its rows in stg_loads: nobody could load
it again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner import database, days, loading, metrics, schema
from runner.config import Settings
from runner.errors import ConfigError, DayHeld
from runner.lease import Lease

if TYPE_CHECKING:
    from staging_loaders.forget import Held

# Metrics rows of some days that nothing reads any more: neither the last of a day and step, nor its last
# that is no failure, nor its last that check results belong to. Then the check results of such rows.
_OLD = """
    with told as (

        select
            id, day, step, flow_run_id, attempt, status,
            coalesce(regexp_replace(step, '^[0-9]+_', '') || '_task', task_name) as task,
            status <> 'failure' or exists (

                select from check_results as failed
                where failed.pipeline = %(pipeline)s
                    and (failed.day, failed.step, failed.flow_run_id, failed.attempt)
                        = (metrics.day, metrics.step, metrics.flow_run_id, metrics.attempt)

            ) as has_checks
        from pipeline_metrics as metrics
        where pipeline = %(pipeline)s and day = any(%(days)s)

    ),

    last as (

        select
            max(id) as any_id,
            max(id) filter (where status <> 'failure') as done_id,
            max(id) filter (where has_checks) as checked_id
        from told
        group by day, task

    ),

    kept as (

        select told.*
        from told
        where id in (select unnest(array[any_id, done_id, checked_id]) from last)

    ),

    old_metrics as (

        select ctid as place, day, pg_column_size(metrics) as bytes
        from pipeline_metrics as metrics
        where pipeline = %(pipeline)s and day = any(%(days)s) and id not in (select id from kept)

    ),

    old_checks as (

        select ctid as place, day, pg_column_size(results) as bytes
        from check_results as results
        where pipeline = %(pipeline)s
            and day = any(%(days)s)
            and not exists (

                select from kept
                where (kept.day, kept.step, kept.flow_run_id, kept.attempt)
                    = (results.day, results.step, results.flow_run_id, results.attempt)

            )
            -- Checkpoints have no metrics: what the newest run of the day that came to them found is kept.
            and (results.day, results.step, results.flow_run_id, results.attempt) not in (

                select distinct on (day) day, step, flow_run_id, attempt
                from check_results
                where pipeline = %(pipeline)s and day = any(%(days)s) and step = 'checkpoints'
                order by day, id desc

            )

    )
"""

_BOOKS = {
    "loads": "select day, pg_column_size(stg_loads) as bytes from stg_loads"
    " where pipeline = %(pipeline)s and day = any(%(days)s) and entity = any(%(entities)s)",
    "rejects": "select day, pg_column_size(stg_rejects) as bytes from stg_rejects"
    " where pipeline = %(pipeline)s and day = any(%(days)s) and entity = any(%(entities)s)",
    "metrics": f"{_OLD} select day, bytes from old_metrics",
    "check_results": f"{_OLD} select day, bytes from old_checks",
}


@dataclass(frozen=True)
class Old:
    """What of an older day is not kept: rows of each book, and of each staging table that is `held`."""

    day: str
    held: tuple[Held, ...]
    loads: int = 0
    rejects: int = 0
    metrics: int = 0
    check_results: int = 0
    book_bytes: int = 0

    @property
    def rows(self) -> int:
        """Rows in staging."""
        return sum(each.rows or 0 for each in self.held)

    @property
    def bytes(self) -> int:
        """Bytes of all that goes, as they lie on the server's disk, without room between them."""
        return sum(each.bytes for each in self.held) + self.book_bytes


@dataclass(frozen=True)
class Retention:
    """What is kept and what is not; days in their natural order."""

    kept: tuple[str, ...]
    old: tuple[Old, ...]
    entities: tuple[str, ...] = ()
    tables: tuple[str, ...] = field(default=())


def find(connection: database.Connection, settings: Settings, keep: int) -> Retention:
    """Return what a prune to the newest `keep` days would take; nothing is changed."""
    if metrics.nothing_yet(connection):
        return Retention((), ())
    if pending := schema.pending_own(connection):
        raise ConfigError(f"the schema is not up to date: runner/{pending[0].id}", hint="Run first: runner migrate")
    declared = _declared(settings)
    tables = tuple(dict.fromkeys(declared.values()))
    staged = _staged(connection, tables)
    books = ("pipeline_metrics", "stg_loads", "stg_rejects", "check_results")
    known = {
        day
        for book in books
        for (day,) in connection.execute(f"select distinct day from {book} where pipeline = %s", (settings.pipeline,))
    }
    names = sorted(known | set(staged), key=days.order)
    kept, older = names[-keep:], names[:-keep]
    values = {"pipeline": settings.pipeline, "days": older, "entities": list(declared)}
    found = {
        book: {
            day: (number, size)
            for day, number, size in connection.execute(
                f"select day, count(*), sum(bytes)::bigint from ({query}) as book group by day", values
            )
        }
        for book, query in _BOOKS.items()
    }
    loaded = {
        (day, declared[entity]): number
        for day, entity, number in connection.execute(
            "select day, entity, rows_loaded from stg_loads where pipeline = %s", (settings.pipeline,)
        )
        if entity in declared
    }
    old = (
        Old(
            day,
            tuple(_counted(connection, each, day, loaded) for each in staged.get(day, ())),
            **{book: found[book].get(day, (0, 0))[0] for book in _BOOKS},
            book_bytes=sum(found[book].get(day, (0, 0))[1] for book in _BOOKS),
        )
        for day in older
    )
    return Retention(tuple(kept), tuple(each for each in old if each.bytes or each.held), tuple(declared), tables)


def _declared(settings: Settings) -> dict[str, str]:
    """Return entity -> staging table, for those that the runner can load again."""
    if not loading.has_loaders(settings):
        return {}
    from staging_loaders.entity import load_declarations

    return {name: entity.table for name, entity in load_declarations(settings.declarations).items()}


def _staged(connection: database.Connection, tables: Sequence[str]) -> Mapping[str, list[Held]]:
    if not tables:
        return {}
    from staging_loaders import forget

    return forget.held(connection, tables)


def _counted(connection: database.Connection, each: Held, day: str, loaded: Mapping[tuple[str, str], int]) -> Held:
    """Return `each` with its rows, which stg_loads knows of what was loaded."""
    from staging_loaders import forget

    if each.rows is not None:
        return each
    number = loaded.get((day, each.table))
    return forget.Held(each.table, forget.count(connection, each.table, day) if number is None else number, each.bytes)


class Pruner:
    """Takes old days away, one in a transaction, each under its lease: beside loads and steps of all others.

    Waits up to `wait` seconds in all for those who read staging. A day that a run holds is left, and `skip` told.
    """

    def __init__(
        self,
        dsn: str,
        settings: Settings,
        retention: Retention,
        wait: float,
        note: Callable[[str], None],
        skip: Callable[[str, DayHeld], None],
    ) -> None:
        self._dsn = dsn
        self._pipeline = settings.pipeline
        self._retention = retention
        self._until = time.monotonic() + wait
        self._note = note
        self._skip = skip

    def run(self, connection: database.Connection, done: Callable[[Old], None]) -> None:
        """Take all old days away, the oldest first; `done` is told of each.

        Raises InUse where somebody reads staging for longer than is to be waited; what was done stays done.
        """
        run_id = f"prune {uuid.uuid4()}"
        for old in self._retention.old:
            try:
                with Lease(self._dsn, self._pipeline, old.day, run_id):
                    self._forget(connection, old)
            except DayHeld as held:
                self._skip(old.day, held)
            else:
                done(old)

    def _forget(self, connection: database.Connection, old: Old) -> None:
        # All of them: somebody may have loaded the day since it was looked at.
        tables = self._retention.tables

        def books() -> None:
            delete_books(connection, self._pipeline, old.day, self._retention.entities)

        if not tables:
            with connection.transaction():
                books()
            return
        from staging_loaders import forget

        while True:
            left = max(0.0, self._until - time.monotonic())
            try:
                forget.forget(connection, self._pipeline, old.day, tables, books, self._note, max(5.0, left))
                return
            except forget.InUse as error:
                if time.monotonic() > self._until:
                    raise
                self._note(f"{error.message}; waiting for it")


def delete_books(connection: database.Connection, pipeline: str, day: str, entities: Collection[str]) -> None:
    """Delete what the books tell of an old day, but how its steps ended last. In the transaction at hand."""
    values = {"pipeline": pipeline, "days": [day], "entities": list(entities)}
    for book in ("stg_loads", "stg_rejects"):
        connection.execute(
            f"delete from {book} where pipeline = %(pipeline)s and day = any(%(days)s) and entity = any(%(entities)s)",
            values,
        )
    # Results first: which metrics rows they belong to is looked up among all.
    connection.execute(
        f"{_OLD} delete from check_results where ctid = any(array(select place from old_checks))", values
    )
    connection.execute(
        f"{_OLD} delete from pipeline_metrics where ctid = any(array(select place from old_metrics))", values
    )
