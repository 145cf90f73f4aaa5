"""CSV: a header of dotted names, empty cells are null, arrays are JSON text."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from staging_loaders import slow_json
from staging_loaders.record import ODD_CELL, Batch, Cells, Record, decode_utf8, require_field, unreadable
from staging_loaders.values import Unfit

# The library's limit of 128 kB a cell is about memory; a cell is not larger than its file.
csv.field_size_limit(sys.maxsize)
_ROWS = 1_000
# Index, path, and what reads a cell that is not mere text.
Column = tuple[int, tuple[str, ...], Callable[[str], object] | None]


def read_csv(
    path: str,
    lines: Iterator[tuple[int, bytes]],
    arrays: frozenset[tuple[str, ...]],
    fields: Sequence[tuple[str, ...]] = (),
    jsons: frozenset[tuple[str, ...]] = frozenset(),
) -> Iterator[Batch]:
    """Yield one record a row, many at a time; a header `contact.email` fills `email` of the object `contact`.

    A row longer than the header is rejected whole: no one knows which cell is the odd one.
    Raises UnreadableFile for wrong quoting, a repeated column, a header without one of the `fields`,
    and what is not UTF-8.
    """
    state = {"line": 1, "length": 0, "ended": 1}

    def text() -> Iterator[str]:
        for number, line in lines:
            state["line"], state["length"], state["ended"] = number, len(line), line.endswith(b"\n")
            yield decode_utf8(path, line, number)

    rows = csv.reader(text(), strict=True)
    try:
        header = next((row for row in rows if row), None)
        if header is None:
            raise unreadable(path, 1, 1, "the file has no header")
        for name in header:
            if name and header.count(name) > 1:
                raise unreadable(path, 1, 1, f"the column {name} is there more than once")
        require_field(path, state["line"], header, fields)
        columns = _columns(header, arrays, jsons)
        chosen = _chosen(columns, fields)
        batch: list[list[str]] = []
        for row in rows:
            if len(row) < len(header) and not state["ended"] and row:
                told = f"the row has {len(row)} of the header's {len(header)} cells: is the file truncated?"
                raise unreadable(path, state["line"], state["length"] + 1, told)
            if row:
                batch.append(row)
            if len(batch) == _ROWS:
                yield _batch(batch, header, columns, chosen)
                batch = []
        if batch:
            yield _batch(batch, header, columns, chosen)
    except csv.Error as error:
        ended = str(error) == "unexpected end of data"
        problem = "the file ends in the middle of a quoted cell" if ended else f"not CSV: {error}"
        raise unreadable(path, state["line"], state["length"] + 1 if ended else 1, problem) from error


def _batch(rows: list[list[str]], header: list[str], columns: list[Column], chosen: list[Column] | None) -> Batch:
    width = len(header)

    def exact(index: int) -> Record:
        row = rows[index]
        if any(row[width:]):
            cells: dict[str, object] = dict(zip(header, row, strict=False))
            return Unfit("the row has more cells than the header"), _text({**cells, "": row[width:]})
        return _record(row, columns), None

    if chosen is None:
        return Batch(len(rows), None, exact)
    odd = [ODD_CELL] * width
    regular = list(zip(*(row if len(row) == width else odd for row in rows), strict=True))
    cells = [
        [(cell if cell is ODD_CELL else reader(cell)) if cell else None for cell in regular[index]]
        if reader
        else regular[index]
        for index, _, reader in chosen
    ]
    return Batch(len(rows), None, exact, Cells(tuple(path for _, path, _ in chosen), cells, blank_is_null=True))


def _chosen(columns: list[Column], fields: Sequence[tuple[str, ...]]) -> list[Column] | None:
    """Return the columns that stand for `fields`; None where one stands for the object around a field, or within it."""
    wanted = set(fields)
    around = {path[:depth] for path in wanted for depth in range(1, len(path))}
    for _, path, _ in columns:
        if path in around or any(path[:depth] in wanted for depth in range(1, len(path))):
            return None
    return [column for column in columns if column[1] in wanted]


def _columns(header: list[str], arrays: frozenset[tuple[str, ...]], jsons: frozenset[tuple[str, ...]]) -> list[Column]:
    """Return index, path and what reads a cell, of each named column; `a` beside `a.b` gives way."""
    paths = [tuple(name.split(".")) for name in header]
    holders = {path[:depth] for path in paths for depth in range(1, len(path))}
    readers: dict[tuple[str, ...], Callable[[str], object]] = {
        **dict.fromkeys(jsons, _json),
        **dict.fromkeys(arrays, _array),
    }
    return [
        (index, path, readers.get(path)) for index, path in enumerate(paths) if path != ("",) and path not in holders
    ]


def _record(
    row: list[str], columns: list[tuple[int, tuple[str, ...], Callable[[str], object] | None]]
) -> dict[str, Any]:
    record: dict[str, Any] = {}
    width = len(row)
    for index, path, reader in columns:
        cell = row[index] if index < width else ""
        if not cell:
            continue
        node = record
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = reader(cell) if reader else cell
    return record


def _array(cell: str) -> object:
    """Return the array that a cell holds (None for JSON's null), or the cell itself where it holds none."""
    try:
        value = slow_json.decode(cell)
    except slow_json.NotJson:
        return cell
    return value if value is None or isinstance(value, list) else cell


def _json(cell: str) -> object:
    """Return the JSON value that a cell holds, or the cell itself where it holds none."""
    try:
        return slow_json.decode(cell)
    except slow_json.NotJson:
        return cell


def _text(cells: dict[str, object]) -> str:
    from staging_loaders.convert import json_text

    return json_text(cells)
