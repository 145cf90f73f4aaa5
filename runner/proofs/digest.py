"""What tables hold, as digests that are quick to compare, and the rows in which two states differ.

A digest is a sum of hashes, so it does not depend on the order of rows, and is split into buckets by
key, so that only a part of a large table need be looked at where two differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.database import Connection

BUCKETS = 256


@dataclass(frozen=True)
class Table:
    """A table as SQL names it, its key (none: the whole row is) and the columns that are compared.

    Generated columns follow from others, and technical ones say nothing about the data: neither is compared.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    numbers: frozenset[str] = frozenset()
    """Columns of exact numbers, of which 1.0 and 1.00 are the same."""

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns that tell rows apart: the key, or else all."""
        return self.key or self.columns


Digest = Mapping[str, Mapping[int, tuple[int, int]]]
"""Table -> bucket -> (rows, sum of hashes)."""

Row = tuple[str | None, ...]
"""A row's compared columns, each as its text."""


def describe(
    connection: Connection, names: Iterable[str], technical: Mapping[str, Collection[str]] | None = None
) -> dict[str, Table]:
    """Return name as SQL quotes it -> table, for those of `names` that are tables and not temporary.

    `technical` is table, named likewise -> columns to leave out.
    """
    left_out = technical or {}
    found = connection.execute(
        """
        select class.oid, class.oid::regclass::text, array(
            select attribute.attname::text
            from pg_attribute as attribute
            where attribute.attrelid = class.oid
                and attribute.attnum > 0
                and not attribute.attisdropped
                and attribute.attgenerated = ''
            order by attribute.attnum
        ), array(
            select attribute.attname::text
            from pg_attribute as attribute
            where attribute.attrelid = class.oid and attribute.atttypid = 'numeric'::regtype
        )
        from unnest(%s::text[]) as given(name)
        inner join pg_class as class on class.oid = to_regclass(given.name)
        where class.relkind in ('r', 'p') and class.relpersistence <> 't'
        """,
        (sorted(set(names)),),
    ).fetchall()
    keys = _keys(connection, [oid for oid, *_ in found])
    tables = {}
    for oid, name, columns, numbers in found:
        kept = tuple(column for column in columns if column not in left_out.get(name, ()))
        key = next((key for key in keys.get(oid, ()) if set(key) <= set(kept)), ())
        tables[name] = Table(name, key, kept, frozenset(numbers))
    return tables


def _keys(connection: Connection, oids: Sequence[int]) -> dict[int, list[tuple[str, ...]]]:
    """Return table -> its unique keys of columns that are not null, the primary key first."""
    keys: dict[int, list[tuple[str, ...]]] = {}
    for oid, columns in connection.execute(
        """
        select index.indrelid, array_agg(attribute.attname::text order by part.place)
        from pg_index as index
        cross join unnest(index.indkey::smallint[]) with ordinality as part(number, place)
        inner join pg_attribute as attribute
            on attribute.attrelid = index.indrelid and attribute.attnum = part.number
        where index.indrelid = any(%s::oid[])
            and index.indisunique
            and index.indisvalid
            and index.indpred is null
            and index.indexprs is null
            and part.place <= index.indnkeyatts
        group by index.indexrelid, index.indrelid, index.indisprimary
        having bool_and(attribute.attnotnull)
        order by not index.indisprimary, index.indexrelid
        """,
        (list(oids),),
    ):
        keys.setdefault(oid, []).append(tuple(columns))
    return keys


def take(connection: Connection, tables: Iterable[Table]) -> Digest:
    """Return the digest of tables as they are now; one that a step is yet to make is empty."""
    tables = list(tables)
    there = existing(connection, tables)
    parts = [
        f"select {number}, bucket, count(*), sum(hash) from ("
        f"select {_bucket(table)} as bucket, hashtextextended({_record(table, table.columns)}, 0)::numeric as hash"
        f" from {table.name}) as hashed group by bucket"
        for number, table in enumerate(tables)
        if table in there
    ]
    digest: dict[str, dict[int, tuple[int, int]]] = {table.name: {} for table in tables}
    if not parts:
        return digest
    for number, bucket, count, total in connection.execute(" union all ".join(parts).encode()):
        digest[tables[number].name][bucket] = count, int(total)
    return digest


def existing(connection: Connection, tables: Iterable[Table]) -> list[Table]:
    """Return those of `tables` that are there now: others a step makes anew."""
    tables = list(tables)
    found = connection.execute(
        "select name from unnest(%s::text[]) as given(name) where to_regclass(name) is not null",
        ([table.name for table in tables],),
    ).fetchall()
    return [table for table in tables if (table.name,) in found]


def differing(one: Digest, other: Digest) -> dict[str, list[int]]:
    """Return table -> buckets in which two digests differ; tables that agree are left out."""
    found = {}
    for name in one:
        buckets = {*one[name], *other[name]}
        differ = sorted(b for b in buckets if one[name].get(b) != other[name].get(b))
        if differ:
            found[name] = differ
    return found


def rows(connection: Connection, table: Table, buckets: Sequence[int]) -> Counter[Row]:
    """Return the rows of some buckets, with how often each is there."""
    if not existing(connection, [table]):
        return Counter()
    columns = ", ".join(f"{_value(table, column)}::text" for column in table.columns)
    found = connection.execute(
        f"select {columns or 'null'} from {table.name} where {_bucket(table)} = any(%s)", (list(buckets),)
    )
    return Counter(tuple(row) for row in found)


@dataclass(frozen=True, eq=False)
class RowChange:
    """One row of two states: its key, and column -> (text in one, text in the other).

    `one` or `other` is None where the row is missing there.
    """

    key: Mapping[str, str | None]
    one: Mapping[str, str | None] | None
    other: Mapping[str, str | None] | None

    @property
    def columns(self) -> list[str]:
        """The columns that differ, where the row is in both."""
        if self.one is None or self.other is None:
            return []
        return [name for name, text in self.one.items() if text != self.other[name]]


def compare(table: Table, one: Counter[Row], other: Counter[Row]) -> list[RowChange]:
    """Return the rows in which two states differ, paired by key, in the order of their keys."""
    pairs: dict[Row, list[Row | None]] = {}
    places = [table.columns.index(name) for name in table.identity]
    for side, rows_of_side in ((0, one - other), (1, other - one)):
        for row in rows_of_side:
            pairs.setdefault(tuple(row[place] for place in places), [None, None])[side] = row
    named = [
        tuple(dict(zip(table.columns, row, strict=True)) if row else None for row in pair) for pair in pairs.values()
    ]
    return [
        RowChange(dict(zip(table.identity, key, strict=True)), *pair)
        for key, pair in sorted(zip(pairs, named, strict=True), key=lambda item: [text or "" for text in item[0]])
    ]


def quote(name: str) -> str:
    """Return a column's name as SQL takes it whatever it is."""
    return '"' + name.replace('"', '""') + '"'


def _value(table: Table, column: str) -> str:
    return f"trim_scale({quote(column)})" if column in table.numbers else quote(column)


def _record(table: Table, columns: Sequence[str]) -> str:
    return f"row({', '.join(_value(table, column) for column in columns)})::text"


def _bucket(table: Table) -> str:
    return f"(hashtextextended({_record(table, table.identity)}, 1) & {BUCKETS - 1})"
