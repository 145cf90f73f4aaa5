"""A day's partition of a staging table, exchanged for the one that a load has filled.

Readers of the table are never waited for in a queue, in which others would have to stand behind us:
the locks are asked for at once or not at all, again and again. Where they cannot be had for some
seconds, the caller replaces rows instead. All of it belongs to the caller's transaction, so that
nothing is ever between two partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Literal

from runner.database import Connection
from runner.errors import LoadFailed
from staging_loaders import blockers, partitions
from staging_loaders.partitions import SCHEMA

# The constraint that spares the server a look at each row when the partition is attached.
CONSTRAINT = "rows_are_of_the_day"

_PATIENCE = 5.0
_LONGEST_WAIT = 600.0
_QUIET = 3.0
_POLL_SECONDS = (0.01, 0.1)


@dataclass(frozen=True)
class Exchange:
    """What is to become of a day in the staging table `table`.

    `old` is its partition until now, `new` the table that takes its place; either may be missing.
    """

    table: str
    day: str
    old: str | None
    new: str | None


def create_like(connection: Connection, table: str, new: str, day: str) -> None:
    """Create the table `new`, which can become the partition of `day`; its rows need not name the day.

    Its rows are written once and counted by the load: autovacuum would only keep it from being exchanged.
    """
    method, tablespace = partitions.storage(connection, table)
    connection.execute(
        f"create table {new} (like {table} including all, constraint {CONSTRAINT} "
        f"check (day is not null and day = {_quoted(day)})) {method} with (autovacuum_enabled = off) {tablespace}"
    )
    partitions.hand_on(connection, table, new)
    connection.execute(f"alter table {new} alter column day set default {_quoted(day)}")


def find_readers(connection: Connection) -> list[tuple[int, str | None, str]]:
    """Return the sessions that may still look at staging as it was: process, beginning and snapshot of each.

    Loads of other days are at work for long, but look at their own rows only. Of other roles' sessions the server
    tells all roles the snapshot, but what they are and when they began only those with pg_read_all_stats: to a role
    without it another role's load is a reader, too.
    """
    connection.execute("select pg_stat_clear_snapshot()")  # else a transaction sees the same all the time
    rows = connection.execute(
        "select pid, xact_start::text, backend_xmin::text from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid() and usesysid is not null "
        "and coalesce(backend_type, 'client backend') = 'client backend' and backend_xmin is not null "
        "and coalesce(application_name, '') !~ '^runner (load|copy) '"
    )
    return [(pid, started, snapshot) for pid, started, snapshot in rows]


def exchange_all(
    connection: Connection,
    exchanges: Sequence[Exchange],
    replace: Callable[[Exchange], None],
    finish: str,
    note: Callable[[str], None] = lambda _: None,
) -> None:
    """Make all `exchanges` at one moment, in the transaction that is open, then run the statement `finish`.

    `replace` is called for those that readers do not let happen, and at once for those that something
    hangs on, such as a view of one partition. `note` is told who keeps a new day waiting. Raises
    LoadFailed where a day that staging does not have yet cannot be attached for ten minutes.
    """
    pending = {each: _prepare(connection, each) for each in exchanges}
    # Who took a snapshot before the rows were there would find a new partition empty: better the old rows.
    readers = find_readers(connection) if any(each.old for each in pending) else []
    while not _attempt(connection, pending, readers, finish, note):
        replaceable = [each for each in pending if each.old]
        found = {each: _try(connection, {each: pending[each]}, readers) for each in replaceable}
        needed = [each for each in replaceable if found[each] == "needed"]
        blocked = [each for each in replaceable if found[each] == "locked"]
        # Together they could not be had, one by one they can: then somebody is always at one of them.
        for each in needed or blocked or replaceable:
            replace(each)
            if each.new:
                connection.execute(f"drop table {moved(each)}")
            del pending[each]


def _attempt(
    connection: Connection,
    exchanges: Mapping[Exchange, str],
    readers: Sequence[tuple[int, str | None, str]],
    finish: str,
    note: Callable[[str], None],
) -> bool:
    """Try until it has worked, or patience is over; where there is nothing to fall back upon, for longer.

    What hangs on a partition is not waited for: it does not go by itself.
    """
    started = monotonic()
    pause, longest = _POLL_SECONDS
    told = False
    while (found := _try(connection, exchanges, readers, finish)) != "done":
        if found == "needed":
            return False
        waited = monotonic() - started
        if waited > _PATIENCE and any(each.old for each in exchanges):
            return False
        if waited > _QUIET and (not told or waited > _LONGEST_WAIT):
            told = True
            tables = [each.table for each in exchanges]
            who = " and ".join(blockers.users(connection, tables)) or "another session"
            if waited > _LONGEST_WAIT:
                raise LoadFailed(
                    f"{', '.join(tables)}: no partition could be attached for {waited:.0f} s: {who} holds a lock",
                    hint="Somebody alters, analyzes or vacuums these tables; load again when that has ended.",
                    transient=True,
                )
            note(f"waiting for a lock of {who}")
        sleep(pause)
        pause = min(longest, pause * 1.5)
    return True


def _try(
    connection: Connection,
    exchanges: Mapping[Exchange, str],
    readers: Sequence[tuple[int, str | None, str]],
    finish: str = "",
) -> Literal["done", "locked", "needed"]:
    """Take all locks and make the exchanges; without `finish` only look whether that can be done.

    `needed` says that something hangs on a partition that is to be dropped.
    """
    import psycopg

    if any(each.old for each in exchanges) and set(readers) & set(find_readers(connection)):
        return "locked"
    statements = [*_locks(list(exchanges)), *exchanges.values()]
    connection.execute("savepoint exchange")
    try:
        _send(connection, [*statements, finish or "rollback to exchange", "release exchange"])
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DependentObjectsStillExist) as error:
        connection.execute("rollback to exchange; release exchange")
        return "locked" if isinstance(error, psycopg.errors.LockNotAvailable) else "needed"
    return "done"


def _send(connection: Connection, statements: Sequence[str]) -> None:
    """Send all in one message: each answer that we wait for keeps readers waiting."""
    connection.execute("; ".join(statements))


def _locks(exchanges: Sequence[Exchange]) -> list[str]:
    # A reader takes the table first, then its partitions: so do we.
    shared = [each.table for each in exchanges if not each.old]
    exclusive = [name for each in exchanges if each.old for name in (each.table, each.old)]
    statements = []
    if shared:  # beside readers, but not beside others who attach
        statements.append(f"lock table {_only(shared)} in share update exclusive mode nowait")
    if exclusive:
        statements.append(f"lock table {_only(exclusive)} in access exclusive mode nowait")
    return statements


def _only(tables: Sequence[str]) -> str:
    return ", ".join(f"only {table}" for table in tables)


def _prepare(connection: Connection, each: Exchange) -> str:
    """Do what can be done before anybody is kept out; return the statements that make the exchange."""
    statements = []
    if each.old:
        statements.append(f"drop table {each.old}")
    if each.new:
        connection.execute(f"alter table {each.new} alter column day drop default")
        connection.execute(f"alter table {each.new} set schema {SCHEMA}")
        row = connection.execute(
            "select quote_ident(staging_partition_name(%s, %s))", (each.table, each.day)
        ).fetchone()
        statements += [
            f"alter table {each.table} attach partition {moved(each)} for values in ({_quoted(each.day)})",
            f"alter table {moved(each)} drop constraint {CONSTRAINT}",
            f"alter table {moved(each)} rename to {row[0]}",
        ]
    return "; ".join(statements)


def moved(each: Exchange) -> str:
    """Return the name of the new partition since it has left where it landed."""
    return f"{SCHEMA}.{(each.new or '').rpartition('.')[2]}"


def _quoted(day: str) -> str:
    # A day's name has neither quotes nor backslashes.
    return f"'{day}'"
