"""A table of the server as scaffolds see it: its columns, and what tells its rows apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner import sqltext
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.database import Connection

# Tables, partitioned tables, views, materialised views, foreign tables.
_READABLE = ("r", "p", "v", "m", "f")

_FIND = """
select tables.oid, namespaces.nspname, tables.relname, tables.relkind, pg_table_is_visible(tables.oid),
    quote_ident(tables.relname), quote_ident(namespaces.nspname)
from pg_class as tables
inner join pg_namespace as namespaces on namespaces.oid = tables.relnamespace
where tables.relkind = any(%(kinds)s)
    and namespaces.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'landing')
    and not pg_is_other_temp_schema(namespaces.oid)
    and (pg_table_is_visible(tables.oid) or namespaces.nspname = %(schema)s)
order by tables.relname
"""

# An identity column that always generates is written by the server alone, as a generated one is.
_COLUMNS = """
select
    columns.attname,
    quote_ident(columns.attname),
    format_type(columns.atttypid, columns.atttypmod),
    format_type(coalesce(nullif(types.typbasetype, 0), columns.atttypid), null),
    types.typcategory::text,
    columns.attnotnull,
    columns.attgenerated <> '' or columns.attidentity = 'a',
    columns.attidentity <> '',
    pg_get_expr(defaults.adbin, defaults.adrelid),
    case when columns.attcollation <> types.typcollation then quote_ident(collations.collname) end
from pg_attribute as columns
inner join pg_type as types on types.oid = columns.atttypid
left join pg_collation as collations on collations.oid = columns.attcollation
left join pg_attrdef as defaults
    on defaults.adrelid = columns.attrelid and defaults.adnum = columns.attnum and columns.attgenerated = ''
where columns.attrelid = %(table)s and columns.attnum > 0 and not columns.attisdropped
order by columns.attnum
"""

# Only these can tell rows apart for `on conflict`: over columns, without a condition, checked at once.
_KEYS = """
select array(
    select columns.attname::text
    from unnest(indexes.indkey) with ordinality as keys (number, place)
    inner join pg_attribute as columns
        on columns.attrelid = indexes.indrelid and columns.attnum = keys.number
    where keys.place <= indexes.indnkeyatts
    order by keys.place
)
from pg_index as indexes
where indexes.indrelid = %(table)s
    and indexes.indisunique
    and indexes.indisvalid
    and indexes.indimmediate
    and indexes.indpred is null
    and indexes.indexprs is null
order by indexes.indisprimary desc, indexes.indexrelid
"""


@dataclass(frozen=True)
class Column:
    """A column; `sql` is its name as SQL writes it, `type` as format_type() does, `category` pg_type's."""

    name: str
    sql: str
    type: str
    base: str
    """The type without length and precision; that below it where it is a domain."""
    category: str
    not_null: bool
    is_generated: bool
    """Whether the server alone writes it."""
    is_identity: bool
    default: str | None
    collation: str | None
    """Its collation as SQL writes it, where that is not its type's own."""


@dataclass(frozen=True)
class Relation:
    """A table or view; `sql` is its name as SQL writes it, with its schema where that is needed."""

    name: str
    sql: str
    qualified: str
    kind: str
    columns: dict[str, Column]
    keys: tuple[tuple[str, ...], ...]
    """Unique columns, those of the primary key first."""

    def column(self, name: str) -> Column:
        """Return a column by its name; UsageError names those that are like it."""
        if name not in self.columns:
            raise UsageError(
                f"{self.name} has no column {name!r}{suggestion(name, self.columns)}",
                hint=f"Its columns: {', '.join(self.columns)}.",
            )
        return self.columns[name]


def find(connection: Connection, name: str, *, pending: str = "") -> Relation:
    """Return the table or view that `name` means, as it is written or in lower case, with its schema or without.

    Where there are quotes in it, it is read as SQL reads it. Raises UsageError where there is none;
    `pending` is then said in place of the usual hint.
    """
    schema, _, bare = name.rpartition(".")
    spellings: tuple[str, ...] = (name, bare, bare.lower())
    if '"' in name and (parts := sqltext.parts(name)):
        schema, bare = ".".join(parts[:-1]), parts[-1]
        spellings = (bare,)
    rows = connection.execute(_FIND, {"kinds": list(_READABLE), "schema": schema}).fetchall()
    for wanted in spellings:
        for oid, namespace, relname, kind, visible, quoted, quoted_namespace in rows:
            if relname == wanted and (not schema or namespace == schema or wanted == name):
                return Relation(
                    name=relname,
                    sql=quoted if visible else f"{quoted_namespace}.{quoted}",
                    qualified=f"{quoted_namespace}.{quoted}",
                    kind=kind,
                    columns={row[0]: Column(*row) for row in connection.execute(_COLUMNS, {"table": oid})},
                    keys=tuple(tuple(row[0]) for row in connection.execute(_KEYS, {"table": oid})),
                )
    raise UsageError(
        f"the database has no table {name!r}{suggestion(name, [row[2] for row in rows])}",
        hint=pending or "Make it in a schema file, then: runner migrate",
    )


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return a question that names what is like `word`, or nothing."""
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
