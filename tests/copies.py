"""Full copies of tables, and what two of them say was changed in between: slow, plain, and what others are held to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg

from runner import changes
from runner.changes import RowChange, TableChanges

Connection = psycopg.Connection[tuple[Any, ...]]


def _copy(connection: Connection, table: str) -> list[tuple[dict[str, str | None], str]]:
    """Return each row as (column -> text, where it lies)."""
    names = [
        name
        for (name,) in connection.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"
            " order by attnum",
            (table,),
        )
    ]
    texts = ", ".join(f"{name}::text" for name in names)
    rows = connection.execute(f"select tableoid::text || ctid::text, {texts} from {table}".encode()).fetchall()
    return [(dict(zip(names, values, strict=True)), place) for place, *values in rows]


Copies = dict[str, list[tuple[dict[str, str | None], str]]]


def copies(connection: Connection, tables: Iterable[str]) -> Copies:
    return {table: _copy(connection, table) for table in tables}


def difference(before: Copies, after: Copies, keys: Mapping[str, Sequence[str]]) -> dict[str, list[Any]]:
    """Return table -> changes, sorted, as two full copies have them."""
    found: dict[str, list[Any]] = {}
    for table, key in keys.items():
        rows: list[Any] = []
        if key:
            old = {tuple(row[name] for name in key): (row, place) for row, place in before[table]}
            new = {tuple(row[name] for name in key): (row, place) for row, place in after[table]}
            for this in old.keys() | new.keys():
                was, now = old.get(this, (None, "")), new.get(this, (None, ""))
                if was != now:
                    kind = "insert" if was[0] is None else "delete" if now[0] is None else "update"
                    rows.append(("rewrite" if was[0] == now[0] else kind, was[0], now[0]))
        else:
            gone = [row for row, _ in before[table]]
            came = []
            for row, _ in after[table]:
                if row in gone:
                    gone.remove(row)
                else:
                    came.append(row)
            rows += [("delete", row, None) for row in gone] + [("insert", None, row) for row in came]
        found[table] = sorted(rows, key=str)
    return found


def seen(found: list[TableChanges], keys: Mapping[str, Sequence[str]]) -> dict[str, list[Any]]:
    """Return the same of what was found; rewritten rows of tables without a key are left out."""
    shown: dict[str, list[Any]] = {table: [] for table in keys}
    for one in found:
        rows = list(one.rows())
        assert [sum(row.kind == kind for row in rows) for kind in changes.KINDS] == [
            one.inserted,
            one.updated,
            one.deleted,
            one.rewritten,
        ]
        assert all(row.columns == _differing(row) for row in rows)
        shown[one.table.name] = sorted(
            ((row.kind, row.old, row.new) for row in rows if row.kind != "rewrite" or one.table.key), key=str
        )
    return shown


def _differing(row: RowChange) -> tuple[str, ...]:
    if row.kind != "update" or row.old is None or row.new is None:
        return ()
    return tuple(name for name, value in row.new.items() if row.old[name] != value)
