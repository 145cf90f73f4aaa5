"""A day's rows, replaced one by one where there is no partition to exchange, and looked at where they lie."""

from __future__ import annotations

from runner.database import Connection
from runner.errors import LoadFailed
from staging_loaders import checksum
from staging_loaders.entity import TYPE_NAME, Entity


def count(connection: Connection, entity: Entity, table: str, day: str | None = None) -> tuple[int, int | None]:
    """Return how many rows of `day` (None: all) lie in `table`, and their checksum.

    The checksum is None where a column's type rounds what it is given.
    """
    kinds = {
        name: (kind, rounds)
        for name, kind, rounds in connection.execute(
            f"select attname::text, {TYPE_NAME}, atttypmod >= 0 and atttypid <> 'text'::regtype "
            "from pg_attribute where attrelid = to_regclass(%s) and attnum > 0",
            (table,),
        )
    }
    columns = ("source_file", "position", *entity.columns)
    source, values = (f"{table} where day = %s", (day,)) if day is not None else (table, ())
    if any(kinds.get(name, ("", True))[1] for name in columns):
        (rows,) = connection.execute(f"select count(*) from {source}", values).fetchone()
        return rows, None
    expression = checksum.stored([(name, kinds[name][0]) for name in columns], connection.info.server_version)
    rows, stored = connection.execute(f"select count(*), {expression} from {source}", values).fetchone()
    return rows, stored or 0


def replace(connection: Connection, entity: Entity, day: str, landed: str, sent: tuple[int, int]) -> None:
    """Replace the day's rows of the entity's table by those of `landed`, and look again at what lies there then.

    `sent` is how many rows were read, and their checksum. Raises LoadFailed where they are not what
    the table holds, or cannot be deleted or inserted for a reason that has a remedy.
    """
    import psycopg

    columns = ", ".join(("source_file", "position", *entity.columns))
    remove(connection, entity.table, day)
    try:
        connection.execute(f"insert into {entity.table} (day, {columns}) select %s, {columns} from {landed}", (day,))
    except psycopg.errors.CheckViolation as error:
        if error.diag.constraint_name:
            raise
        raise LoadFailed(
            f"{entity.table} has no partition that takes the rows of {day}",
            hint=f"Nothing was published. Make one (create table … partition of {entity.table} …) and load again.",
        ) from error
    rows, stored = count(connection, entity, entity.table, day)
    same = rows == sent[0] and stored in (None, sent[1])
    suspects = _suspects(connection, entity.table)
    if same and suspects and (stored is None or checksum.rewritten(entity)):
        # What that checksum leaves out is compared with what landed, which has the same types.
        same = _digest(connection, landed, columns) == _digest(connection, entity.table, columns, day)
    if not same:
        what = f"holds {rows:,}" if rows != sent[0] else "holds as many, but not the same"
        raise LoadFailed(
            f"{entity.name}: {sent[0]:,} rows were read, and {entity.table}, into which they were inserted, {what}"
            + suspects,
            hint="Nothing was published. A staging table holds what was read: remove what changes it there, "
            "and change values in a step.",
        )


def remove(connection: Connection, table: str, day: str) -> None:
    """Delete the day's rows of `table`. Raises LoadFailed where some stay, or a publication does not let them go."""
    import psycopg

    if not _has(connection, table, day):  # a publication minds the statement, whether or not it finds a row
        return
    try:
        with connection.transaction():
            connection.execute(f"delete from {table} where day = %s", (day,))
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        said = error.diag.message_primary or ""
        if "replica identity" not in said:
            raise
        raise LoadFailed(
            said,
            hint="Nothing was published. A publication tells of each row that is deleted, and needs to name it: "
            f"alter table {_leaf(connection, table, day)} replica identity full",
        ) from error
    if _has(connection, table, day):
        raise LoadFailed(
            f"{table}: rows of {day} stay when they are deleted" + _suspects(connection, table),
            hint="Nothing was published. Remove what keeps them, or delete them yourself, then load again.",
        )


def _digest(connection: Connection, table: str, columns: str, day: str | None = None) -> object:
    """Return what is the same for the same rows of `day` (None: all) in any order, whatever their types."""
    source, values = (f"{table} where day = %s", (day,)) if day is not None else (table, ())
    return connection.execute(
        f'select sum(hashtextextended(row({columns})::text collate "C", 0)) from {source}', values
    ).fetchone()


def _has(connection: Connection, table: str, day: str) -> bool:
    row = connection.execute(f"select exists (select from {table} where day = %s)", (day,)).fetchone()
    return bool(row[0])


def _leaf(connection: Connection, table: str, day: str) -> str:
    """Return the name of the table that holds a day's rows."""
    row = connection.execute(
        "select coalesce(staging_partition(to_regclass(%s), %s), to_regclass(%s))::text", (table, day, table)
    ).fetchone()
    name: str = row[0]
    return name


def _suspects(connection: Connection, table: str) -> str:
    """Return what of a table, or of its partitions, changes rows on their way: triggers, rules, row security."""
    found = connection.execute(
        "with family as (select oid, relrowsecurity from pg_class where oid = to_regclass(%(table)s) "
        "or oid in (select inhrelid from pg_inherits where inhparent = to_regclass(%(table)s))) "
        "select distinct 'trigger ' || tgname from pg_trigger inner join family on tgrelid = family.oid "
        "where not tgisinternal and tgenabled <> 'D' "
        "union select distinct 'rule ' || rulename from pg_rewrite inner join family on ev_class = family.oid "
        "union select 'row security' from family where relrowsecurity order by 1",
        {"table": table},
    ).fetchall()
    return f" (it has: {', '.join(name for (name,) in found)})" if found else ""
