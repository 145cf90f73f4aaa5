"""The changed rows of a table, as they lie in the temporary tables of a transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from runner.database import Connection
from runner.tables import Table, literal, quoted

_CODES = {"insert": "i", "update": "u", "delete": "d", "rewrite": "r"}
KINDS = {code: kind for kind, code in _CODES.items()}
"""`runner_kind` of a pair -> what became of the row."""

_SIDES, _BOTH = {"insert": ("new",), "delete": ("old",)}, ("old", "new")
# Rows that are taken from the server at once.
_BATCH = 1_000

Row = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """The changed rows of a table, in temporary tables of the transaction."""

    connection: Connection
    table: Table
    pairs: str
    old: str | None
    """Where old rows are; None where there are none."""
    new: str | None
    """Where new rows are; None where the table is gone."""
    order: tuple[str, ...]

    def rows(self, kind: str, limit: int | None) -> Iterator[tuple[Row | None, Row | None]]:
        """Yield (old, new) by key, each column as text; None where there is no such row."""
        names = self.table.columns
        texts = [f"{side}.{quoted(name)}::text" for side in _SIDES.get(kind, _BOTH) for name in names]
        for values in self._select(kind, ", ".join(texts) or "null", limit):
            starts = range(0, len(values), len(names))
            yield _sided(kind, [dict(zip(names, values[at : at + len(names)], strict=True)) for at in starts])

    def documents(self, kind: str) -> Iterator[tuple[Row | None, Row | None, Sequence[str]]]:
        """Yield (old, new) by key, each column as JSON has it, and the columns that are null on one side alone.

        Numbers that are not whole are Decimal.
        """
        rows = []
        for side in _SIDES.get(kind, _BOTH):
            columns = ", ".join(f"{side}.{quoted(name)}" for name in self.table.columns)
            rows.append(f"(select to_json(line)::text from (select {columns}) as line)")
        nulls = [
            f"case when (old.{quoted(name)} is null) <> (new.{quoted(name)} is null) then {literal(name)} end"
            for name in (self.table.columns if len(rows) > 1 else ())
        ]
        rows.append(f"array_remove(array[{', '.join(nulls)}]::text[], null)")
        for *texts, differing in self._select(kind, ", ".join(rows), None):
            old, new = _sided(kind, [json.loads(text, parse_float=Decimal) for text in texts])
            yield old, new, differing

    def _select(self, kind: str, columns: str, limit: int | None) -> Iterator[Sequence[Any]]:
        order = ", ".join((*(f"pair.{name}" for name in self.order), "pair.runner_old", "pair.runner_new"))
        first = "" if limit is None else f" limit {limit}"
        joins = []
        for side in _SIDES.get(kind, _BOTH):
            source = self.old if side == "old" else self.new
            if source is None:
                return
            place = ("runner_tid", "runner_rel") if side == "old" else ("ctid", "tableoid")
            joins.append(
                f"inner join {source} as {side} on {side}.{place[0]} = pair.runner_{side}"
                f" and {side}.{place[1]} = pair.runner_{side}_rel"
            )
        query = (
            f"select {columns} from (select * from {self.pairs} as pair where runner_kind = '{_CODES[kind]}'"
            f" order by {order}{first}) as pair {' '.join(joins)} order by {order}"
        )
        with self.connection.cursor(name=f"{self.pairs.removeprefix('pg_temp.')}_{kind}") as cursor:
            cursor.itersize = _BATCH
            cursor.execute(query.encode())
            yield from cursor


def _sided(kind: str, rows: Sequence[Row]) -> tuple[Row | None, Row | None]:
    given = dict(zip(_SIDES.get(kind, _BOTH), rows, strict=True))
    return given.get("old"), given.get("new")
