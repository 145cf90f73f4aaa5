"""Which partition of a staging table holds a day, and whether another may simply take its place.

It may not where somebody would miss something: triggers, rules and foreign keys want to see each
row, subscribers of a publication want to hear of each, a partition may carry what its owner gave it
alone. There rows are replaced, one by one, in a partition that is made where the day has none.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from runner.database import BRIEF, Connection, set_local
from runner.errors import LoadFailed
from staging_loaders import blockers

SCHEMA = "staging_days"

_QUIET = 3.0
_WAIT = 300.0
_POLL_SECONDS = 0.05


def is_by_day(connection: Connection, table: str) -> bool:
    """Tell whether the days of `table` are partitions that can be exchanged without anybody missing anything.

    Not where triggers, rules or foreign keys want to see each row, where a column counts itself, where a
    default partition would be searched or one holds several days, where another role owns the table, or
    where a publication tells others of its rows.
    """
    row = connection.execute(
        "select exists (select from pg_partitioned_table as parted "
        "inner join pg_class as tables on tables.oid = parted.partrelid "
        "inner join pg_attribute as keys on keys.attrelid = parted.partrelid and keys.attnum = parted.partattrs[0] "
        "where parted.partrelid = to_regclass(%s) and parted.partstrat = 'l' and parted.partnatts = 1 "
        "and keys.attname = 'day' and parted.partdefid = 0 and not tables.relispartition "
        "and not tables.relrowsecurity and pg_has_role(tables.relowner, 'USAGE') "
        "and not exists (select from pg_inherits inner join pg_class as parts on parts.oid = inhrelid "
        "where inhparent = tables.oid "
        "and pg_get_expr(relpartbound, inhrelid) !~ '^FOR VALUES IN [(](''[^'']*''|NULL)[)]$') "
        "and not exists (select from pg_trigger where tgrelid = tables.oid) "
        "and not exists (select from pg_rewrite where ev_class = tables.oid) "
        "and not exists (select from pg_attribute as others "
        "where others.attrelid = tables.oid and others.attidentity <> ''))",
        (table,),
    ).fetchone()
    return bool(row[0]) and not is_published(connection, table)


def is_published(connection: Connection, table: str) -> bool:
    """Tell whether a publication tells others of the rows of `table`, or of one of its partitions."""
    schemas = (
        "or exists (select from pg_publication_namespace where pnnspid in (select relnamespace from family)) "
        if connection.info.server_version >= 150000
        else ""
    )
    row = connection.execute(
        "with family as (select oid, relnamespace from pg_class where oid = to_regclass(%(table)s) "
        "or oid in (select inhrelid from pg_inherits where inhparent = to_regclass(%(table)s))) "
        "select exists (select from pg_publication where puballtables) "
        f"or exists (select from pg_publication_rel where prrelid in (select oid from family)) {schemas}",
        {"table": table},
    ).fetchone()
    return bool(row[0])


def partition(connection: Connection, table: str, day: str) -> str | None:
    """Return the name of the partition that holds `day`, and no other day."""
    row = connection.execute("select staging_partition(to_regclass(%s), %s)::text", (table, day)).fetchone()
    name: str | None = row[0]
    return name


def is_plain(connection: Connection, name: str, new: str | None) -> bool:
    """Tell whether the partition `name` has nothing that the table `new`, or a mere drop, would not keep.

    A load's own partitions are plain; one that somebody made elsewhere or gave privileges, triggers,
    policies, indexes, settings, partitions or a comment of its own is not.
    """
    row = connection.execute(
        "select tables.relkind = 'r' and tables.relnamespace = to_regnamespace(%(schema)s) "
        "and pg_has_role(tables.relowner, 'USAGE') and not tables.relrowsecurity "
        "and tables.relreplident in ('d', (select parents.relreplident from pg_class as parents "
        "inner join pg_inherits on inhparent = parents.oid where inhrelid = tables.oid)) "
        "and (tables.reloptions is null or tables.reloptions = '{autovacuum_enabled=off}') "
        "and tables.relacl is not distinct from (select relacl from pg_class where oid = to_regclass(%(new)s)) "
        "and not exists (select from pg_attribute where attrelid = tables.oid and attacl is not null) "
        "and not exists (select from pg_trigger where tgrelid = tables.oid) "
        "and not exists (select from pg_policy where polrelid = tables.oid) "
        "and not exists (select from pg_rewrite where ev_class = tables.oid) "
        "and not exists (select from pg_constraint where conrelid = tables.oid and contype = 'c' and coninhcount = 0) "
        "and not exists (select from pg_index where indrelid = tables.oid "
        "and not exists (select from pg_inherits where inhrelid = indexrelid)) "
        "and not exists (select from pg_description "
        "where classoid = 'pg_class'::regclass and objoid = tables.oid and objsubid = 0) "
        "from pg_class as tables where tables.oid = to_regclass(%(name)s)",
        {"schema": SCHEMA, "name": name, "new": new},
    ).fetchone()
    return bool(row and row[0])


def storage(connection: Connection, table: str) -> tuple[str, str]:
    """Return how and where partitions of `table` are kept, as `create table` says it before and after its settings.

    Both are empty where the table leaves it to the database. A partition would take them from its table by itself.
    """
    row = connection.execute(
        "select coalesce('using ' || quote_ident(amname), ''), coalesce('tablespace ' || quote_ident(spcname), '') "
        "from pg_class as tables left join pg_am on pg_am.oid = relam "
        "left join pg_tablespace as spaces on spaces.oid = reltablespace where tables.oid = to_regclass(%s)",
        (table,),
    ).fetchone()
    method, tablespace = row
    return method, tablespace


def hand_on(connection: Connection, table: str, name: str) -> None:
    """Give the partition `name` what the server does not hand on from its `table`, and a reload would so take away.

    That is the replica identity (of all columns, or nothing) and how finely statistics of columns are kept.
    """
    rows = connection.execute(
        "select case relreplident when 'f' then 'replica identity full' else 'replica identity nothing' end "
        "from pg_class where oid = to_regclass(%(table)s) and relreplident in ('f', 'n') union all "
        "select format('alter column %%I set statistics %%s', attname, attstattarget) from pg_attribute "
        "where attrelid = to_regclass(%(table)s) and attnum > 0 and not attisdropped "
        "and coalesce(attstattarget, -1) <> -1",
        {"table": table},
    ).fetchall()
    if rows:
        connection.execute(f"alter table {name} {', '.join(change for (change,) in rows)}")


def owner_to_ask(connection: Connection, table: str, day: str) -> str | None:
    """Return who owns `table` where it has no partition for `day` and this role may not make one, else None."""
    row = connection.execute(
        "select pg_get_userbyid(relowner), pg_has_role(relowner, 'USAGE') from pg_class where oid = to_regclass(%s)",
        (table,),
    ).fetchone()
    if not row or row[1] or not _lacks(connection, table, day):
        return None
    owner: str = row[0]
    return owner


def make(connection: Connection, table: str, day: str, note: Callable[[str], None]) -> None:
    """Make the empty partition of `day` where rows are to be inserted and there is none. Opens a transaction.

    The lock that this takes is never waited for in a queue, in which readers would stand behind us.
    `note` is told who holds it, and LoadFailed raised where it cannot be had for five minutes.
    """
    import psycopg

    if not _lacks(connection, table, day):
        return
    started, told = time.monotonic(), False
    while True:
        try:
            with connection.transaction():
                set_local(connection, BRIEF)
                connection.execute(f"lock table only {table} in access exclusive mode nowait")
                made = connection.execute("select staging_day(to_regclass(%s), %s)::text", (table, day)).fetchone()
                hand_on(connection, table, made[0])
            return
        except psycopg.errors.LockNotAvailable:
            waited = time.monotonic() - started
            if waited > _QUIET and (not told or waited > _WAIT):
                told = True
                who = " and ".join(blockers.users(connection, [table], readers=True)) or "another session"
                note(f"waiting for a lock of {who}")
            if waited > _WAIT:
                raise LoadFailed(
                    f"{table}: no partition for {day} could be made for {_WAIT:.0f} s: {who} uses the table",
                    hint=f"Make it when they have ended (select staging_day('{table}', '{day}')), then load again.",
                    transient=True,
                ) from None
        time.sleep(_POLL_SECONDS)


def _lacks(connection: Connection, table: str, day: str) -> bool:
    """Tell whether `table` is partitioned by day and no partition takes rows of `day`."""
    # A day's name has no quotes, so in a partition's bounds it stands between two.
    row = connection.execute(
        "select exists (select from pg_partitioned_table as parted "
        "inner join pg_attribute as keys on keys.attrelid = parted.partrelid and keys.attnum = parted.partattrs[0] "
        "where parted.partrelid = to_regclass(%(table)s) and parted.partstrat = 'l' and keys.attname = 'day' "
        "and parted.partdefid = 0 and not exists (select from pg_inherits "
        "inner join pg_class as parts on parts.oid = inhrelid where inhparent = parted.partrelid "
        "and strpos(pg_get_expr(relpartbound, inhrelid), quote_literal(%(day)s)) > 0))",
        {"table": table, "day": day},
    ).fetchone()
    return bool(row[0])
