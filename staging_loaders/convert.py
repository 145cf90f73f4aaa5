"""One decoded record of an entity -> a staging row, or a reject, and the warnings on the way.

`compile_entity` turns a declaration into one function, once; nothing is looked up by name
per record. Pure: the caller knows file and position.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from staging_loaders import values
from staging_loaders.entity import Entity, Field, dotted
from staging_loaders.jsonb import jsonb
from staging_loaders.values import Number, Unfit


class Problem(NamedTuple):
    """What is wrong with a record, or with one field of it. `raw` is the field's value as text."""

    reason: str
    field: str | None = None
    raw: str | None = None


class Loaded(NamedTuple):
    """A good record: PostgreSQL input text for each of the entity's columns, None for null."""

    row: list[str | None]
    warnings: list[Problem]


class Rejected(NamedTuple):
    """A record that is kept out; `key` is its key's text where that alone is valid."""

    problem: Problem
    key: str | None


Converter = Callable[[object], Loaded | Rejected]

NOT_AN_OBJECT = Problem("the record is not an object")

_SCALARS: dict[str, Callable[[Any], str | None]] = {
    "integer": values.integer,
    "number": values.number,
    "text": values.text,
    "time": values.moment,
    "date": values.day,
    "boolean": values.boolean,
    "currency": values.currency,
}
_NOUNS = {
    "integer": "an integer",
    "number": "a number",
    "text": "text",
    "time": "a time",
    "date": "a date",
    "boolean": "true or false",
    "currency": "an ISO 4217 currency code",
    "json": "JSON that a jsonb column holds",
}
_EMPTY: Mapping[str, Any] = {}

# What an index of PostgreSQL can hold is a third of a page, 2,704 bytes; a longer key would stop its step.
LONGEST_KEY = 2_048


def compile_entity(entity: Entity) -> Converter:
    """Return the function that converts a record of `entity`."""
    containers, lookups = _plan(entity)
    fields = tuple(
        (index, lookups[index], _scalar(field), _special(field), field) for index, field in enumerate(entity.fields)
    )
    width = len(fields)
    key_index = entity.columns.index(entity.key)
    defaults = _defaults(entity)
    keeps_whole = () in entity.paths

    def convert(record: object) -> Loaded | Rejected:
        if type(record) is not dict:
            return Rejected(Problem(record.reason) if isinstance(record, Unfit) else NOT_AN_OBJECT, None)
        nodes: list[Mapping[str, Any]] = [record]
        warnings: list[Problem] = []
        faults: list[Problem] = []
        for parent, name, shown in containers:
            node = nodes[parent].get(name)
            if type(node) is dict:
                nodes.append(node)
                continue
            nodes.append(_EMPTY)
            if node is not None:
                warnings.append(Problem(f"{shown} is not an object", shown, raw_text(node)))
        if keeps_whole:
            nodes.append({"": record})
        row: list[str | None] = [None] * width
        for index, lookup, scalar, special, field in fields:
            for node_index, name in lookup:
                value = nodes[node_index].get(name)
                if value is not None:
                    break
            else:
                if special:
                    _absent(field, row, index, faults)
                continue
            converted = scalar(value) if scalar is not None else convert_array(field, value, warnings)
            row[index] = converted
            if converted is None:
                problem = _malformed(field, lookup, nodes, value)
                (faults if field.required or field.reject_malformed else warnings).append(problem)
            elif special:
                broken = broken_rule(field, converted)
                if broken:
                    shown = _shown(field, lookup, nodes)
                    faults.append(Problem(f"{shown} is {broken}", shown, raw_text(value)))
        key = row[key_index]
        if key is not None and len(key) > LONGEST_KEY // 4 and len(key.encode()) > LONGEST_KEY:
            shown = entity.fields[key_index].name
            faults.append(Problem(f"{shown} is longer than {LONGEST_KEY} bytes", shown, key))
            row[key_index] = None
        if faults:
            reason = "; ".join(fault.reason for fault in faults)
            key = row[key_index]
            return Rejected(Problem(reason, faults[0].field, faults[0].raw), None if _blank(key) else key)
        for index, currency_index in defaults:
            code = row[currency_index]
            if row[index] is None and code is not None:
                row[index] = str(values.minor_units()[code])
        return Loaded(row, warnings)

    return convert


def raw_text(value: object) -> str:
    """Return a value as `stg_rejects` keeps it: strings as they are, everything else as JSON."""
    if type(value) is str:
        return values.clean(value)
    return json_text(value)


def json_text(value: object) -> str:
    """Return `value` as JSON, numbers as they were written; a value too deep to write is cut short."""
    try:
        return values.clean(_json(value))
    except RecursionError:
        return "(nested too deeply)"


def _json(value: object) -> str:
    kind = type(value)
    if kind is dict:
        return "{" + ", ".join(f"{_json(str(key))}: {_json(item)}" for key, item in value.items()) + "}"  # type: ignore[attr-defined]
    if kind is list:
        return "[" + ", ".join(map(_json, value)) + "]"  # type: ignore[call-overload]
    if kind is Number or kind is int:
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=repr)


def _plan(entity: Entity) -> tuple[tuple[tuple[int, str, str], ...], list[tuple[tuple[int, str], ...]]]:
    """Number the objects that hold fields (0 is the record), parents first, so that each is fetched once."""
    numbers: dict[tuple[str, ...], int] = {(): 0}
    containers: list[tuple[int, str, str]] = []
    for field in entity.fields:
        for path in field.paths:
            for depth in range(1, len(path)):
                if path[:depth] not in numbers:
                    containers.append((numbers[path[: depth - 1]], path[depth - 1], ".".join(path[:depth])))
                    numbers[path[:depth]] = len(numbers)
    # After all of them comes one that holds the record itself.
    whole = (len(numbers), "")
    lookups = [
        tuple((numbers[path[:-1]], path[-1]) if path else whole for path in field.paths) for field in entity.fields
    ]
    return tuple(containers), lookups


def _scalar(field: Field) -> Callable[[Any], str | None] | None:
    if field.is_array:
        return None
    return jsonb(field) if field.type == "json" else _SCALARS[field.type]


def _special(field: Field) -> bool:
    """Whether more than the type decides about a value, or about its absence."""
    limits = (field.minimum, field.maximum, field.below)
    return field.required or field.is_array or any(limit is not None for limit in limits)


def _defaults(entity: Entity) -> tuple[tuple[int, int], ...]:
    columns = entity.columns
    return tuple(
        (columns.index(field.column), columns.index(field.minor_unit_of))
        for field in entity.fields
        if field.minor_unit_of
    )


def _absent(field: Field, row: list[str | None], index: int, faults: list[Problem]) -> None:
    if field.is_array:
        row[index] = "{}"
    elif field.required:
        faults.append(Problem(f"{field.name} is missing", field.name))


def _shown(field: Field, lookup: tuple[tuple[int, str], ...], nodes: list[Mapping[str, Any]]) -> str:
    """Return the path that the field's value came from."""
    used = next(i for i, (node, name) in enumerate(lookup) if nodes[node].get(name) is not None)
    return dotted(field.paths[used])


def _malformed(
    field: Field, lookup: tuple[tuple[int, str], ...], nodes: list[Mapping[str, Any]], value: object
) -> Problem:
    shown = _shown(field, lookup, nodes)
    if type(value) is str and not value.strip():
        return Problem(f"{shown} is blank", shown, raw_text(value))
    noun = "an array" if field.is_array else _NOUNS[field.type]
    return Problem(f"{shown} is not {noun}", shown, raw_text(value))


def _blank(converted: str | None) -> bool:
    return converted is None or not converted.strip()


def broken_rule(field: Field, converted: str) -> str | None:
    """Return how a value of the right type breaks a rule of its field, None if it does not."""
    if field.required and not converted.strip():
        return "blank"
    if field.minimum is None and field.maximum is None and field.below is None:
        return None
    from decimal import Decimal

    value = Decimal(converted)  # compared, never computed with: exact at any size
    if field.minimum is not None and value < field.minimum:
        return f"less than {field.minimum}"
    if field.maximum is not None and value > field.maximum:
        return f"more than {field.maximum}"
    if field.below is not None and value.copy_abs() >= field.below:
        return f"not below {field.below} in size"
    return None


def convert_array(field: Field, value: object, warnings: list[Problem]) -> str | None:
    """Return a PostgreSQL array of the good elements, None where `value` is no array."""
    if type(value) is not list:
        return None
    element_type = field.type[:-2]
    scalar = _SCALARS[element_type]
    good: list[str] = []
    for ordinal, element in enumerate(value, 1):
        converted = None if element is None else scalar(element)
        if converted is None:
            shown = f"{field.name}[{ordinal}]"
            warnings.append(Problem(f"{shown} is not {_NOUNS[element_type]}", field.name, raw_text(element)))
        else:
            good.append(_quoted(converted) if element_type == "text" else converted)
    return "{" + ",".join(good) + "}"


def _quoted(element: str) -> str:
    return '"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"'
