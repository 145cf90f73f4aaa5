"""A day leaves staging: what it holds there, and how it goes.

Its partitions are dropped as publishing exchanges them: readers are not waited for in a queue, in which
others would stand behind us. Where a day has no partition of its own, its rows are deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runner.database import BRIEF, Connection, set_local, set_unlimited
from runner.errors import LoadFailed
from staging_loaders import blockers, exchange, partitions, rows
from staging_loaders.exchange import Exchange
from staging_loaders.landing import wait_for_lock
from staging_loaders.plan import has_table
from staging_loaders.publish import staging_key

# The only value of a partition, which is a day's name and so has no quotes.
_ONLY_DAY = "(regexp_match(pg_get_expr(parts.relpartbound, parts.oid), '^FOR VALUES IN [(]''([^'']*)''[)]$'))[1]"


class InUse(LoadFailed):
    """Somebody reads staging; the day stays as it is."""


@dataclass(frozen=True)
class Held:
    """What a staging table holds of a day; `rows` is None where only a look at all of them would tell."""

    table: str
    rows: int | None
    bytes: int


def held(connection: Connection, tables: Sequence[str]) -> dict[str, list[Held]]:
    """Return what each day has in staging, by day; empty partitions, too."""
    found: dict[str, list[Held]] = {}
    for table in tables:
        for day, number, size in _of_table(connection, table) if has_table(connection, table) else ():
            found.setdefault(day, []).append(Held(table, number, size))
    return found


def _of_table(connection: Connection, table: str) -> Sequence[tuple[str, int | None, int]]:
    parts: Sequence[tuple[str | None, int | None, int]] = connection.execute(
        f"select {_ONLY_DAY}, case when pg_relation_size(parts.oid) = 0 then 0 end, "
        "coalesce(pg_total_relation_size(parts.oid), 0) "
        "from pg_inherits inner join pg_class as parts on parts.oid = inhrelid "
        "where inhparent = to_regclass(%s) and relkind = 'r'",
        (table,),
    ).fetchall()
    if parts and all(day is not None for day, *_ in parts):
        return [(day, number, size) for day, number, size in parts if day is not None]
    rows: Sequence[tuple[str, int | None, int]] = connection.execute(
        f"select day, count(*), sum(pg_column_size(staged)) from {table} as staged where day is not null group by day"
    ).fetchall()
    return rows


def count(connection: Connection, table: str, day: str) -> int:
    """Return how many rows a staging table has of a day."""
    (number,) = connection.execute(f"select count(*) from {table} where day = %s", (day,)).fetchone()
    return int(number)


def forget(
    connection: Connection,
    pipeline: str,
    day: str,
    tables: Sequence[str],
    books: Callable[[], None],
    note: Callable[[str], None],
    patience: float,
) -> None:
    """Take the day out of the staging `tables` and, by `books`, out of what tells of it: all in one transaction.

    Steps and loads of the day are waited for, up to `patience` seconds. Raises InUse where sessions read
    staging all the time, and LoadFailed where rows do not let themselves be deleted; then all is as before.
    """
    with connection.transaction():
        set_unlimited(connection)
        set_local(connection, BRIEF | {"lock_timeout": blockers.LOCK_TIMEOUT})
        wait_for_lock(connection, staging_key(pipeline, day), patience)
        exchanges = []
        for table in tables:
            if not has_table(connection, table):
                continue
            old = partitions.partition(connection, table, day)
            if old and partitions.is_by_day(connection, table) and partitions.is_plain(connection, old, None):
                exchanges.append(Exchange(table, day, old, None))
            else:
                rows.remove(connection, table, day)
        books()

        def remove(each: Exchange) -> None:
            readers = len(exchange.find_readers(connection))
            who = blockers.users(connection, [each.table, str(each.old)], readers=True)
            if who or readers:
                raise InUse(
                    f"{day}: {each.table} is in use by {' and '.join(who) or f'{readers} sessions that look at it'}",
                    hint="Prune again when that has ended, or wait longer (--wait SECONDS).",
                    transient=True,
                )
            # Something hangs on the partition, such as a view: it stays, and is empty.
            rows.remove(connection, each.table, day)

        exchange.exchange_all(connection, exchanges, remove, "select 1", note)
