"""Ordinary records of an entity -> rows for COPY, by a function that is generated once from its declaration.

A record is ordinary when it becomes a row without a warning, and no text of it holds what COPY escapes.
All others are left to the exact converter (staging_loaders/convert.py), which alone decides about odd
values; for an ordinary one both make the same row. Rows are lines of text, or binary where the entity has JSON:
that goes as it was read then, neither decoded nor escaped. `print(record_code(entity, shape(entity)))` shows the code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from staging_loaders import binary, jsonb, values
from staging_loaders.checksum import Digest
from staging_loaders.convert import broken_rule, convert_array
from staging_loaders.entity import TYPES, Entity, Field
from staging_loaders.read_json import refusals
from staging_loaders.row_code import ODD, RowCode
from staging_loaders.shape import Node, Shape, shape

Build = Callable[[Sequence[Any], int, str, Digest, list[Any], list[int]], int]
"""Called with records (their bytes, or columns of cells), the position before the first one, the beginning of
their lines (the file's name, which must need no escapes, and a tab) and a line's digest. Adds rows (text, or bytes of
the binary format) to the one list, the positions of records that are not ordinary to the other, and returns the sum
of the rows' digests, see staging_loaders/checksum.py."""

# Of dates, and of fractions of a second, that are remembered; a day has but 1,440 minutes.
_MOST_SEEN = 20_000


def is_binary(entity: Entity) -> bool:
    """Tell whether the rows that `compile_records` makes are binary."""
    return bool(entity.json_paths)


@lru_cache(maxsize=64)
def compile_records(entity: Entity, kinds: tuple[tuple[str, str], ...] = ()) -> Build | None:
    """Return what makes rows of records in JSON; None for an entity without (see `shape`).

    `kinds` are columns of the table with their types, as `TYPES` names them; of others it is the first there.
    """
    found = shape(entity)
    if found is None:
        return None
    names = {"decode": found.decode, "REFUSALS": refusals(), "written": jsonb.written}
    names |= {f"decode_{name}": decode for name, decode in found.decoders.items()}
    if not is_binary(entity):
        return _compiled(entity, record_code(entity, found), names)
    types = {field.column: TYPES[field.type][0] for field in entity.fields} | dict(kinds)
    return _compiled(entity, record_code(entity, found, types), names | binary.names(types))


def record_code(entity: Entity, found: Shape, kinds: Mapping[str, str] | None = None) -> str:
    """Return the code of what `compile_records` compiles; `kinds` for an entity whose rows are binary."""
    opening = ["for raw in records:", "    position += 1", "    try:", "        record = decode(raw)"]
    opening += [f"        {line}" for line in _nodes("record", found.root)]
    opening += ["    except REFUSALS:", *(f"    {line}" for line in ODD)]
    jsons = entity.json_paths

    def get(path: tuple[str, ...]) -> str:
        if not path:
            return "bytes(raw)"
        got = _get(found.root.at(path[:-1]).name, found.root.at(path))
        return f"written({got})" if path in jsons else got

    return RowCode(entity, opening, get, kinds).build()


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
    dates: dict[str, int] = {}
    minutes: dict[str, int] = {}
    seconds: dict[str, int] = {}
    fractions: dict[str, int] = {}
    names: dict[str, Any] = {
        "NULL_TEXT": binary.NULL_TEXT,
        "Number": values.Number,
        "minor_units": values.minor_units() if any(field.type == "currency" for field in entity.fields) else {},
        "dates": dates,
        "minutes": minutes,
        "seconds": seconds,
        "fractions": fractions,
        "microseconds": binary.microseconds,
        "integer": values.integer,
        "number": values.number,
        "boolean": values.boolean,
        "text": values.text,
        "day": _day(dates),
        **{f"{field.column}_array": _array(field) for field in entity.fields if field.is_array},
        **{f"{field.column}_allowed": _allowed(field) for field in entity.fields},
        **{f"{field.column}_fits": jsonb.fits(field) for field in entity.fields if field.type == "json"},
        "moment": _moment(dates, minutes, seconds, fractions),
        **more,
    }
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


def _moment(
    dates: dict[str, int], minutes: dict[str, int], seconds: dict[str, int], fractions: dict[str, int]
) -> Callable[[object], str | None]:
    """Return the conversion of a time, which remembers the parts of those that are in UTC, and their microseconds.

    Any date, hour and minute, second and fraction with `Z` make such a time together: no part depends on another.
    `fractions` are those that stay as they are written, without zeros at their end.
    """
    shortened: dict[str, str] = {}

    def moment(value: object) -> str | None:
        if (
            type(value) is str
            and value[19:] in shortened
            and value[16:19] in seconds
            and value[10:16] in minutes
            and value[:10] in dates
        ):
            return value[:19] + shortened[value[19:]]
        converted = values.moment(value)
        if converted is not None and converted[:19] == value[:19] and value[-1] == "Z":  # type: ignore[index]
            minutes[converted[10:16]] = binary.of_minute(converted[10:16])
            seconds[converted[16:19]] = binary.of_second(converted[16:19])
            _remember(dates, converted[:10], binary.of_day)
            if converted == value:
                _remember(fractions, converted[19:], binary.of_fraction)
            elif len(shortened) < _MOST_SEEN:
                shortened[value[19:]] = converted[19:]  # type: ignore[index]
        return converted

    return moment


def _day(dates: dict[str, int]) -> Callable[[object], str | None]:
    def day(value: object) -> str | None:
        converted = values.day(value)
        if converted is not None:
            _remember(dates, converted, binary.of_day)
        return converted

    return day


def _remember(seen: dict[str, int], part: str, microseconds: Callable[[str], int]) -> None:
    if len(seen) < _MOST_SEEN and part not in seen:
        seen[part] = microseconds(part)
