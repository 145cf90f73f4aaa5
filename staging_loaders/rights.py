"""What a role needs to load, and the statements that give it what it lacks."""

from __future__ import annotations

from collections.abc import Sequence

from runner.database import Connection
from runner.errors import LoadFailed
from staging_loaders import partitions
from staging_loaders.landing import SCHEMA

_STAGING = ("select", "insert", "delete")
_KEPT = ("select", "insert", "update")
# What a load reads and writes besides staging.
_OTHERS = {
    "schema_history": ("select",),
    "runner_leases": (*_KEPT, "delete"),
    "stg_loads": (*_KEPT, "delete"),
    "stg_rejects": (*_KEPT, "delete"),
    "reference_loads": _KEPT,
    "fx_rates": _KEPT,
}


def missing(connection: Connection, tables: Sequence[str]) -> list[str]:
    """Return the statements by which an owner lets this role load into `tables`; none where it may.

    Tables that do not exist need no grant: whoever makes them owns them.
    """
    (role, may_create) = connection.execute(
        "select quote_ident(current_user), has_database_privilege(current_database(), 'create')"
    ).fetchone()
    schemas = [SCHEMA]
    by_day = [table for table in tables if partitions.is_by_day(connection, table)]
    if by_day or any(not _exists(connection, table) for table in tables):
        schemas.append(partitions.SCHEMA)
    statements = [f"grant create on tablespace {name} to {role}" for name in _closed_tablespaces(connection, by_day)]
    for schema in schemas:
        (there, usable) = connection.execute(
            "select to_regnamespace(%(name)s) is not null, coalesce("
            "has_schema_privilege(to_regnamespace(%(name)s), 'usage') "
            "and has_schema_privilege(to_regnamespace(%(name)s), 'create'), false)",
            {"name": schema},
        ).fetchone()
        if there and not usable:
            statements.append(f"grant usage, create on schema {schema} to {role}")
        elif not there and not may_create:
            statements.append(f"create schema {schema} authorization {role}")
    grants: dict[str, list[str]] = {}
    for table, kinds in {**_OTHERS, **dict.fromkeys(tables, _STAGING)}.items():
        lacking = [
            kind
            for (kind,) in connection.execute(
                "select kind from unnest(%s::text[]) as kinds (kind) "
                "where not has_table_privilege(to_regclass(%s), kind)",
                (list(kinds), table),
            )
        ]
        if lacking:
            grants.setdefault(", ".join(lacking), []).append(table)
    return statements + [f"grant {kinds} on {', '.join(lacked)} to {role}" for kinds, lacked in grants.items()]


def require(connection: Connection, day: str, tables: Sequence[str]) -> None:
    """Refuse to load `day` where this role may not, before anything is read.

    Raises LoadFailed with the statements for the owner.
    """
    lacking = missing(connection, tables)
    if lacking:
        raise LoadFailed(
            f"{day} was not loaded: the role lacks rights to load into {', '.join(tables)}",
            hint=f"Nothing was changed. Let the owner run: {'; '.join(lacking)}",
        )
    owners = {table: partitions.owner_to_ask(connection, table, day) for table in tables}
    others = {table: owner for table, owner in owners.items() if owner}
    if others:
        calls = ", ".join(f"staging_day('{table}', '{day}')" for table in others)
        raise LoadFailed(
            f"{day} was not loaded: {', '.join(others)} has no partition for it, and only the owner can make one",
            hint=f"Nothing was changed. Let {' and '.join(sorted(set(others.values())))} run: select {calls}",
        )


def _closed_tablespaces(connection: Connection, tables: Sequence[str]) -> list[str]:
    """Return the tablespaces of `tables` and their indexes in which this role may make none; partitions go there."""
    rows = connection.execute(
        "select distinct quote_ident(spcname) from pg_tablespace as spaces "
        "inner join pg_class as kept on kept.reltablespace = spaces.oid "
        "where not has_tablespace_privilege(spaces.oid, 'create') and (kept.oid = any (%(tables)s::regclass[]) "
        "or kept.oid in (select indexrelid from pg_index where indrelid = any (%(tables)s::regclass[]))) order by 1",
        {"tables": list(tables)},
    )
    return [name for (name,) in rows]


def _exists(connection: Connection, table: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", (table,)).fetchone()
    return bool(row[0])
