"""Ordinary records of an entity -> lines for COPY, by a function that is generated once from its declaration.

A record is ordinary when it becomes a row without a warning, and no text of it holds what COPY escapes.
All others are left to the exact converter (staging_loaders/convert.py), which alone decides about odd
values; for an ordinary one both make the same row. `print(record_code(entity, shape(entity)))` shows the code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from staging_loaders import jsonb, values
from staging_loaders.checksum import Digest
from staging_loaders.convert import broken_rule, convert_array
from staging_loaders.entity import Entity, Field
from staging_loaders.read_json import refusals
from staging_loaders.row_code import ODD, RowCode
from staging_loaders.shape import Node, Shape, shape

Build = Callable[[Sequence[Any], int, str, Digest, list[str], list[int]], int]
"""Called with records (their bytes, or columns of cells), the position before the first one, the beginning of
their lines (the file's name, which must need no escapes, and a tab) and a line's digest. Adds lines to the one
list, the positions of records that are not ordinary to the other, and returns the sum of the lines' digests, see
staging_loaders/checksum.py."""

# Of dates, and of fractions of a second, that are remembered; there are but 86,400 times of day.
_MOST_SEEN = 20_000


def compile_records(entity: Entity) -> Build | None:
    """Return what makes lines of records in JSON; None for an entity without (see `shape`)."""
    found = shape(entity)
    if found is None:
        return None
    names = {"decode": found.decode, "REFUSALS": refusals(), "written": jsonb.written}
    names |= {f"decode_{name}": decode for name, decode in found.decoders.items()}
    return _compiled(entity, record_code(entity, found), names)


def record_code(entity: Entity, found: Shape) -> str:
    """Return the code of what `compile_records` compiles."""
    opening = ["for raw in records:", "    position += 1", "    try:", "        record = decode(raw)"]
    opening += [f"        {line}" for line in _nodes("record", found.root)]
    opening += ["    except REFUSALS:", *(f"    {line}" for line in ODD)]
    jsons = entity.json_paths

    def get(path: tuple[str, ...]) -> str:
        got = _get(found.root.at(path[:-1]).name, found.root.at(path)) if path else "raw"
        return f"written({got})" if path in jsons else got

    return RowCode(entity, opening, get).build()


def _nodes(above: str, node: Node) -> Iterator[str]:
    """Yield what fetches the objects that hold fields, parents first."""
    for inner in node.inner.values():
        if inner.inner:
            yield f"{inner.name} = {_get(above, inner)}"
            if inner.raw:
                yield f"{inner.name} = decode_{inner.name}({inner.name}) if {inner.name} is not None else None"
            yield from _nodes(inner.name, inner)


def _get(above: str, node: Node) -> str:
    found = f"{above}.{node.name}"
    return found if above == "record" else f"{found} if {above} is not None else None"


@lru_cache(maxsize=64)
def compile_cells(entity: Entity, paths: tuple[tuple[str, ...], ...], blank_is_null: bool) -> Build | None:
    """Return what makes lines of columns that stand for `paths`; None for an entity with JSON.

    Its records are the columns, each a sequence of cells; what no column stands for is absent.
    """
    if entity.json_paths:
        return None
    cells, arrays = {path: f"c{number}" for number, path in enumerate(paths)}, entity.array_paths
    opening = [f"for ({', '.join(cells.values())},) in zip(*records):", "    position += 1"]

    def get(path: tuple[str, ...]) -> str:
        cell = cells.get(path, "None")
        # An empty array is no blank.
        return f"{cell} or None" if blank_is_null and path in cells and path not in arrays else cell

    return _compiled(entity, RowCode(entity, opening, get).build(), {})


def _compiled(entity: Entity, code: str, more: dict[str, Any]) -> Build:
    dates: set[str] = set()
    names: dict[str, Any] = {
        "Number": values.Number,
        "minor_units": values.minor_units() if any(field.type == "currency" for field in entity.fields) else {},
        "dates": dates,
        "clocks": set(),
        "fractions": set(),
        "integer": values.integer,
        "number": values.number,
        "boolean": values.boolean,
        "text": values.text,
        "day": _day(dates),
        **{f"{field.column}_array": _array(field) for field in entity.fields if field.is_array},
        **{f"{field.column}_allowed": _allowed(field) for field in entity.fields},
        **{f"{field.column}_fits": jsonb.fits(field) for field in entity.fields if field.type == "json"},
        **more,
    }
    names["moment"] = _moment(dates, names["clocks"], names["fractions"])
    exec(compile(code, f"<rows of {entity.name}>", "exec"), names)
    build: Build = names["build"]
    return build


def _array(field: Field) -> Callable[[object], str | None]:
    """Return what makes an array of ordinary elements, None of others."""
    ordinary = {int} if field.type == "integer[]" else {str}

    def array(value: object) -> str | None:
        if type(value) is not list or not ordinary.issuperset(map(type, value)):
            return None
        warnings: list[Any] = []
        converted = convert_array(field, value, warnings)
        return None if warnings else converted

    return array


def _allowed(field: Field) -> Callable[[str], bool]:
    return lambda converted: broken_rule(field, converted) is None


def _moment(dates: set[str], clocks: set[str], fractions: set[str]) -> Callable[[object], str | None]:
    """Return the conversion of a time, which remembers the parts of those that are in UTC.

    Any date, time of day and fraction with `Z` make such a time together: no part depends on another.
    `fractions` are those that stay as they are written, without zeros at their end.
    """
    shortened: dict[str, str] = {}

    def moment(value: object) -> str | None:
        if type(value) is str and value[19:] in shortened and value[10:19] in clocks and value[:10] in dates:
            return value[:19] + shortened[value[19:]]
        converted = values.moment(value)
        if converted is not None and converted[:19] == value[:19] and value[-1] == "Z":  # type: ignore[index]
            clocks.add(converted[10:19])
            _remember(dates, converted[:10])
            if converted == value:
                _remember(fractions, converted[19:])
            elif len(shortened) < _MOST_SEEN:
                shortened[value[19:]] = converted[19:]  # type: ignore[index]
        return converted

    return moment


def _day(dates: set[str]) -> Callable[[object], str | None]:
    def day(value: object) -> str | None:
        converted = values.day(value)
        if converted is not None:
            _remember(dates, converted)
        return converted

    return day


def _remember(seen: set[str], part: str) -> None:
    if len(seen) < _MOST_SEEN:
        seen.add(part)
