"""What an entity is: its table, fields, source paths, types and rules, declared in a TOML file.

`staging_loaders/<pipeline>/<entity>.toml`, named after the entity's folder in a day:

    table = "stg_cards"      # in the order of [fields], after day, source_file and position
    required = false         # must a day have it?
    key = "card_id"          # the column that names a record; kept with rejected ones

    [fields]
    card_id = { from = "id", type = "text", required = true }
    name = { from = ["contact.name", "name"], type = "text" }   # the first that is not null

A field may carry: `from` (default: the column's name), `type` (see TYPES), `required`,
`malformed = "reject"` (default "warn"), `min` and `max` (inclusive), `below` (its size is smaller),
`default = { minor_unit_of = "<currency column>" }`. docs/declarations.md tells all of it with examples.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import ConfigError
from runner.reserved import RESERVED
from staging_loaders.toml_lines import line_of

# A field's type -> the column types it fits, as PostgreSQL's format_type() names them.
TYPES: dict[str, tuple[str, ...]] = {
    "integer": ("bigint", "numeric", "integer", "smallint"),
    "number": ("numeric",),
    "text": ("text",),
    "time": ("timestamp with time zone",),
    "date": ("date",),
    "boolean": ("boolean",),
    "currency": ("text",),
    "json": ("jsonb",),
    "integer[]": ("bigint[]", "numeric[]"),
    "text[]": ("text[]",),
}
# The name of a column's type, of a row of pg_attribute: as above also where quote_all_identifiers is on.
TYPE_NAME = "replace(format_type(atttypid, null), '\"', '')"
WHOLE = "."
_ORDERED = ("integer", "number")
_TAKEN = ("day", "source_file", "position")
_KINDS = {str: "a string", bool: "true or false", int: "an integer", dict: "a table"}

FIELD_KEYS = {"from", "type", "required", "malformed", "min", "max", "below", "default"}
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", re.ASCII)


@dataclass(frozen=True)
class Field:
    """One column of a staging table and where its value comes from."""

    column: str
    paths: tuple[tuple[str, ...], ...]
    type: str = "text"
    required: bool = False
    reject_malformed: bool = False
    minimum: int | None = None
    maximum: int | None = None
    below: int | None = None
    minor_unit_of: str | None = None

    @property
    def is_array(self) -> bool:
        return self.type.endswith("[]")

    @property
    def name(self) -> str:
        """The field as a person knows it from the source: `contact.email`."""
        return dotted(self.paths[0])


@dataclass(frozen=True)
class Entity:
    """One folder of a day and the staging table it fills."""

    name: str
    table: str
    required: bool
    key: str
    fields: tuple[Field, ...]
    text: str  # the declaration itself, for its fingerprint

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(field.column for field in self.fields)

    @property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """Where in a record a value is looked for."""
        return tuple(path for field in self.fields for path in field.paths)

    def always_has(self, field: Field) -> bool:
        """Tell whether no record is loaded without a value of `field`: an absent array is empty, a malformed null."""
        if field.minor_unit_of:
            return any(other.column == field.minor_unit_of and other.required for other in self.fields)
        return field.required or (field.is_array and field.reject_malformed)

    @property
    def array_paths(self) -> frozenset[tuple[str, ...]]:
        """Where arrays are expected: a CSV cell there holds JSON text."""
        return frozenset(path for field in self.fields if field.is_array for path in field.paths)

    @property
    def json_paths(self) -> frozenset[tuple[str, ...]]:
        """Where any JSON is expected: a CSV cell there may hold it as text."""
        return frozenset(path for field in self.fields if field.type == "json" for path in field.paths)


def dotted(path: tuple[str, ...]) -> str:
    """Return a path as a declaration says it; the record itself is `.`."""
    return ".".join(path) or WHOLE


def load_declarations(folder: Path) -> dict[str, Entity]:
    """Return the entities declared in `folder` by name; ConfigError names file and key of what is wrong."""
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise ConfigError(
            f"no loader declarations in {folder}",
            hint="Declare each entity in a file of its own there, named after its folder in a day: orders.toml.",
        )
    entities = {file.stem: read_declaration(file) for file in files}
    tables: dict[str, str] = {}
    for entity in entities.values():
        if entity.table in tables:
            reader = _Reader(folder / f"{entity.name}.toml", entity.text)
            raise reader.fail("table", f"{entity.table} is already filled by {tables[entity.table]}.toml")
        tables[entity.table] = entity.name
    return entities


def read_declaration(file: Path) -> Entity:
    """Return the entity that `file` declares."""
    hint = "A declaration is a TOML file in UTF-8."
    if file.exists() and not file.is_file():  # a pipe would be waited for
        raise ConfigError(f"{file}: not a file", hint=hint)
    try:
        text = file.read_bytes().decode("utf-8-sig")
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem, _, place = str(error).partition(" (at ")
        numbers = re.findall(r"[0-9]+", place) or [str(text.count("\n") + 1)]
        raise ConfigError(f"{':'.join([str(file), *numbers])}: {problem}", hint=hint) from error
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{file}: {getattr(error, 'strerror', None) or error}", hint=hint) from error
    return _Reader(file, text).entity(file.stem, data)


class _Reader:
    """Reads the values of one declaration, naming file, line and key in each error."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        self.text = text

    def entity(self, name: str, data: dict[str, Any]) -> Entity:
        if not _FOLDER.fullmatch(name):
            raise self.fail("file name", "it names the entity's folder: letters, digits, '_' and '-', at most 40")
        self.known("", data, {"table", "required", "key", "fields"})
        table = self.identifier("table", data)
        declared = self.get("fields", data, dict)
        fields = tuple(self.field(column, spec) for column, spec in declared.items())
        entity = Entity(
            name, table, self.get("required", data, bool, False), self.identifier("key", data), fields, self.text
        )
        by_column = {field.column: field for field in fields}
        if entity.key not in by_column or not by_column[entity.key].required:
            raise self.fail("key", f"{entity.key} is not a field with required = true")
        if by_column[entity.key].type == "json":
            raise self.fail("key", f"{entity.key} is json, which names no record")
        for field in fields:
            other = by_column.get(field.minor_unit_of or "")
            if field.minor_unit_of and (other is None or other.type != "currency"):
                raise self.fail(f"fields.{field.column}.default", f"{field.minor_unit_of} is not a currency field")
        return entity

    def field(self, column: str, spec: Any) -> Field:
        where = f"fields.{column}."
        if not _NAME.fullmatch(column) or column in _TAKEN:
            raise self.fail(where[:-1], f"not a column name of ours: a-z, 0-9, '_', and none of {', '.join(_TAKEN)}")
        self.unreserved(where[:-1], column)
        if not isinstance(spec, dict):
            raise self.fail(where[:-1], 'a field is a table, such as { from = "id", type = "text" }')
        self.known(where, spec, FIELD_KEYS)
        kind = self.get("type", spec, str, "text", where)
        if kind not in TYPES:
            raise self.fail(where + "type", f"{kind!r} is no type{_similar(kind, TYPES)}; there are {', '.join(TYPES)}")
        malformed = self.get("malformed", spec, str, "warn", where)
        if malformed not in ("warn", "reject"):
            raise self.fail(where + "malformed", 'either "warn" or "reject"')
        limits = {key: self.get(key, spec, int, None, where) for key in ("min", "max", "below")}
        if kind not in _ORDERED and any(limit is not None for limit in limits.values()):
            raise self.fail(where[:-1], f"min, max and below are for {' and '.join(_ORDERED)}")
        if limits["min"] is not None and limits["max"] is not None and limits["min"] > limits["max"]:
            raise self.fail(where + "min", f"{limits['min']} is more than max, {limits['max']}: nothing would pass")
        if limits["below"] is not None and limits["below"] <= 0:
            raise self.fail(where + "below", "no size is below that; it must be more than 0")
        default = self.get("default", spec, dict, {}, where)
        self.known(where + "default.", default, {"minor_unit_of"})
        if default and kind != "integer":
            raise self.fail(where + "default", "a minor unit is an integer")
        required = self.get("required", spec, bool, False, where)
        paths = self.paths(where + "from", spec.get("from", column))
        if () in paths and kind != "json":
            raise self.fail(where + "from", 'the whole record is of the type "json"')
        if required and (default or TYPES[kind][0].endswith("[]")):
            raise self.fail(where + "required", "an array or a field with a default cannot be required")
        return Field(
            column,
            paths,
            kind,
            required,
            malformed == "reject",
            limits["min"],
            limits["max"],
            limits["below"],
            default.get("minor_unit_of"),
        )

    def paths(self, key: str, value: Any) -> tuple[tuple[str, ...], ...]:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise self.fail(key, 'a path such as "contact.email", or a list of them')
        if WHOLE in texts and len(texts) > 1:
            raise self.fail(key, "the whole record is never null: no other path is looked at beside it")
        paths = tuple(() if text == WHOLE else tuple(text.split(".")) for text in texts)
        if not all(all(path) for path in paths):
            raise self.fail(key, "a part of a path is empty")
        return paths

    def identifier(self, key: str, data: dict[str, Any]) -> str:
        value: str = self.get(key, data, str)
        if not _NAME.fullmatch(value):
            raise self.fail(key, f"{value!r} is not a lower-case SQL name")
        self.unreserved(key, value)
        return value

    def unreserved(self, key: str, name: str) -> None:
        if name in RESERVED:
            raise self.fail(
                key, f"{name!r} is a word of SQL's own, which would need quotes; take another, such as {name}_"
            )

    def get(self, key: str, data: dict[str, Any], kind: type, default: Any = ..., where: str = "") -> Any:
        value = data.get(key, default)
        if value is ...:
            raise self.fail(where + key, "missing")
        if key in data and type(value) is not kind:
            raise self.fail(where + key, f"must be {_KINDS[kind]}")
        return value

    def known(self, where: str, table: dict[str, Any], names: set[str]) -> None:
        for key in table:
            if key not in names:
                raise self.fail(where + key, f"unknown key{_similar(key, names)}; known are {', '.join(sorted(names))}")

    def fail(self, key: str, problem: str) -> ConfigError:
        line = line_of(self.text, key)
        place = f"{self.file}:{line}" if line else str(self.file)
        return ConfigError(
            f"{place}: {key}: {problem}", hint="Mend the declaration: docs/declarations.md lists its keys."
        )


def _similar(word: str, known: Iterable[str]) -> str:
    """Return a question that names the known word which may be meant, or nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word.lower(), list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
