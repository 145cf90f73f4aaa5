"""Where a load puts rows before anybody reads them, and how one part of it gets there exactly once.

Tables of the schema `landing`, three an attempt to land an entity: rows, rejects, parts. A part
is some files read by one worker in one transaction, which also writes its row into the parts
table; a part that Spark runs again finds that row and does nothing. Only the load's own process
creates tables, so a straggler of a dead load has nowhere to write to. Where a day is a partition of
staging, the table of the rows is what becomes it, so that each row is written once.
"""

from __future__ import annotations

import contextlib
import difflib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner import limits
from runner.database import BRIEF, WATCHED, Connection, connect, set_local, set_unlimited, try_lock
from runner.errors import LoadFailed
from staging_loaders import blockers, exchange, partitions
from staging_loaders.entity import TYPE_NAME, TYPES, Entity

SCHEMA = "landing"
WORKER_NAME = "runner copy "
REJECT_COLUMNS = ("severity", "reason", "field", "source_file", "position", "record_key", "raw_value", "raw_record")
_POLL_SECONDS = 0.05
_CREATE_WAIT = 60.0
_DROP_WAIT = "2s"


@dataclass(frozen=True)
class Target:
    """The landing tables of one attempt to land an entity."""

    prefix: str

    @property
    def rows(self) -> str:
        return f"{SCHEMA}.{self.prefix}_rows"

    @property
    def rejects(self) -> str:
        return f"{SCHEMA}.{self.prefix}_rejects"

    @property
    def parts(self) -> str:
        return f"{SCHEMA}.{self.prefix}_parts"


def prefix(load: str, attempt: int) -> str:
    """Return the names' beginning: the load's id (12 hexadecimal digits), then the attempt within it."""
    return f"l{load}_{attempt}"


@contextlib.contextmanager
def alive(dsn: str, load: str) -> Iterator[Connection]:
    """Hold the load's sign of life: an open transaction with an advisory lock, and no snapshot.

    When the process dies the server ends the transaction, and the next load drops the tables.
    """
    connection = connect(dsn, "runner load")
    try:
        # Left open on purpose; it holds neither a snapshot nor a row, so vacuum is not held back.
        connection.autocommit = False
        set_local(connection, WATCHED)
        set_unlimited(connection)
        if not try_lock(connection, exclusive=_life(load)):
            raise LoadFailed(f"another load calls itself {load}", hint="Try again.")
        # A statement with parameters keeps its snapshot until the next one comes; one without does not.
        connection.execute("select")
        yield connection
    finally:
        connection.close()


def create(connection: Connection, target: Target, entity: Entity, day: str) -> None:
    """Create the tables of `target`.

    What does not become a partition is unlogged: what a crash of the server loses, its load has lost too.
    """
    columns = ", ".join(("source_file", "position", *entity.columns))
    with connection.transaction():
        set_local(connection, BRIEF | {"lock_timeout": blockers.LOCK_TIMEOUT})
        wait_for_lock(connection, "landing", _CREATE_WAIT)
        _make_schema(connection, SCHEMA)
        if partitions.is_by_day(connection, entity.table):
            _make_schema(connection, partitions.SCHEMA)
            exchange.create_like(connection, entity.table, target.rows, day)
        else:
            connection.execute(
                f"create unlogged table {target.rows} as select {columns} from {entity.table} with no data"
            )
        connection.execute(
            f"create unlogged table {target.rejects} as "
            f"select {', '.join(REJECT_COLUMNS)} from stg_rejects with no data"
        )
        connection.execute(
            f"create unlogged table {target.parts} (part integer primary key, files bigint not null, "
            "records bigint not null, rows bigint not null, rejects bigint not null, warnings bigint not null, "
            "useless_files text[] not null, useless_rejects bigint[] not null, "
            "checksum bigint not null)"
        )


def _make_schema(connection: Connection, name: str) -> None:
    # `if not exists` asks for the right to make it even where it exists. to_regnamespace() may not know yet
    # of one that another load has just made.
    if connection.execute("select from pg_namespace where nspname = %s", (name,)).fetchone() is None:
        connection.execute(f"create schema {name}")


def drop(connection: Connection, load: str) -> None:
    """Drop the tables of a load that has ended; what is held for longer than a moment is left to the next load."""
    import psycopg

    # Workers of a cancelled job go on for a while, with nothing to gain.
    connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where usename = current_user and starts_with(application_name, %s) and pid in ("
        "select locks.pid from pg_locks as locks inner join pg_class as tables on tables.oid = locks.relation "
        "where tables.relnamespace = to_regnamespace(%s) and starts_with(tables.relname, %s))",
        (WORKER_NAME, SCHEMA, f"l{load}_"),
    )
    names = connection.execute(
        "select relname from pg_class where relnamespace = to_regnamespace(%s) and relkind = 'r' "
        "and starts_with(relname, %s) order by relname",
        (SCHEMA, f"l{load}_"),
    ).fetchall()
    for (name,) in names:  # each by itself: two at a time could deadlock with a worker
        with contextlib.suppress(psycopg.errors.LockNotAvailable), connection.transaction():
            connection.execute(f"set local lock_timeout = '{_DROP_WAIT}'")
            connection.execute(f"drop table if exists {SCHEMA}.{name}")


def drop_dead(connection: Connection) -> int:
    """Drop the tables of loads that are no more; return how many loads that were."""
    found = connection.execute(
        "select distinct substr(relname, 2, 12) from pg_class where relnamespace = to_regnamespace(%s) "
        "and relkind = 'r' and relname ~ '^l[0-9a-f]{12}_'",
        (SCHEMA,),
    ).fetchall()
    dropped = 0
    for (load,) in found:
        with connection.transaction():
            dead = try_lock(connection, exclusive=_life(load))
        if dead:  # for good, since no other load takes its name
            drop(connection, load)
            dropped += 1
    return dropped


def check_table(connection: Connection, entity: Entity) -> tuple[str, str] | None:
    """Return what keeps `entity` from being loaded into its table, None if nothing does.

    It is the key of the declaration that does not fit, and why.
    """
    rows = connection.execute(
        f"select attname::text, {TYPE_NAME}, attnotnull, attgenerated <> '' or attidentity = 'a', "
        "atthasdef or attidentity <> '' from pg_attribute "
        "where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum",
        (entity.table,),
    ).fetchall()
    found = {column: kind for column, kind, *_ in rows}
    if not found:
        near = difflib.get_close_matches(entity.table, _tables(connection), n=1, cutoff=0.8)
        asked = f"; did you mean {near[0]}?" if near else ""
        return "table", f"the database has no table {entity.table}{asked}"
    by_itself = {column for column, _, _, generated, _ in rows if generated}
    for column, kinds in [
        ("day", ("text",)),
        ("source_file", ("text",)),
        ("position", ("bigint",)),
        *((field.column, TYPES[field.type]) for field in entity.fields),
    ]:
        key = "table" if column in ("day", "source_file", "position") else f"fields.{column}"
        if column not in found:
            return key, f"{entity.table} has no column {column}"
        if found[column] not in kinds:
            return key, f"{entity.table}.{column} is {found[column]}, not {kinds[0]}"
        if column in by_itself:
            return key, f"{entity.table}.{column} is generated always: only the server fills it"
    never_null = {column for column, _, not_null, *_ in rows if not_null}
    for field in entity.fields:
        if field.column in never_null and not entity.always_has(field):
            remedy = 'malformed = "reject"' if field.is_array else "required = true"
            return f"fields.{field.column}", (
                f"{entity.table}.{field.column} is not null, and a record may come without it: "
                f"say {remedy}, or alter table {entity.table} alter column {field.column} drop not null"
            )
    filled = {"day", "source_file", "position", *entity.columns, *(column for column, *_, itself in rows if itself)}
    empty = next((column for column, *_ in rows if column in never_null - filled), None)
    if empty is not None and not _has_triggers(connection, entity.table):
        return "table", (
            f"{entity.table}.{empty} is not null, and nothing fills it: declare a field of that name, "
            "or give the column a default"
        )
    return None


def _has_triggers(connection: Connection, table: str) -> bool:
    """Tell whether triggers or rules of `table` may fill its columns."""
    row = connection.execute(
        "select exists (select from pg_trigger where tgrelid = to_regclass(%(table)s) and not tgisinternal) "
        "or exists (select from pg_rewrite where ev_class = to_regclass(%(table)s))",
        {"table": table},
    ).fetchone()
    return bool(row[0])


def _tables(connection: Connection) -> list[str]:
    rows = connection.execute(
        "select relname from pg_class where relkind in ('r', 'p') and pg_table_is_visible(oid) "
        "and relnamespace <> 'pg_catalog'::regnamespace"
    )
    return [name for (name,) in rows]


def wait_for_lock(connection: Connection, key: str, seconds: float) -> None:
    """Take the advisory lock `key` until the transaction's end, waiting up to `seconds`."""
    until = time.monotonic() + seconds
    while not try_lock(connection, exclusive=key):
        limits.restart()
        if time.monotonic() > until:
            raise LoadFailed(
                f"{key} has been in use for {seconds:.0f} s", hint="Wait for the other run to end, then try again."
            )
        time.sleep(_POLL_SECONDS)


def becomes_partition(connection: Connection, target: Target) -> bool:
    """Tell whether the rows of `target` lie in what can become a partition."""
    row = connection.execute(
        "select exists (select from pg_constraint where conrelid = to_regclass(%s) and conname = %s)",
        (target.rows, exchange.CONSTRAINT),
    ).fetchone()
    return bool(row[0])


def part_counts(connection: Connection, target: Target) -> Sequence[Any]:
    """Return parts, files, records, rows, rejects and warnings landed so far, and the rows' checksum."""
    row = connection.execute(
        "select count(*), coalesce(sum(files), 0)::bigint, coalesce(sum(records), 0)::bigint, "
        "coalesce(sum(rows), 0)::bigint, coalesce(sum(rejects), 0)::bigint, coalesce(sum(warnings), 0)::bigint, "
        "coalesce(sum(checksum), 0)::bigint "
        f"from {target.parts}"
    ).fetchone()
    return list(row)


def parts_done(connection: Connection, target: Target) -> tuple[set[int], int, int, int]:
    """Return the numbers of the parts that have landed so far, and their files, records and rejects."""
    row = connection.execute(
        "select coalesce(array_agg(part), '{}'), coalesce(sum(files), 0)::bigint, coalesce(sum(records), 0)::bigint, "
        f"coalesce(sum(rejects), 0)::bigint from {target.parts}"
    ).fetchone()
    numbers, files, records, rejects = row
    return set(numbers), files, records, rejects


def _life(load: str) -> str:
    return f"landing:{load}"
