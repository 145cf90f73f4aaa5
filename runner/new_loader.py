"""What a new declaration says: its fields, guessed from the records of a sample, or one to begin with."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner import console, extras
from runner.errors import ConfigError, UsageError
from runner.reserved import RESERVED

# A field's type -> its column's, see docs/declarations.md.
COLUMN_TYPES = {
    "integer": "bigint",
    "number": "numeric",
    "boolean": "boolean",
    "time": "timestamptz",
    "date": "date",
    "currency": "text",
    "text": "text",
    "integer[]": "bigint[]",
    "text[]": "text[]",
    "json": "jsonb",
}
_FILLED_BY_THE_LOADER = ("day", "source_file", "position")
# Records that are looked at.
_ENOUGH = 100_000
# Digits that an identifier has and a number has not, or too many for one.
_WRITTEN_WITH_CARE = re.compile(r"\s*[+-]?(0[0-9]|\+)|.{19}")


@dataclass(eq=False)
class Found:
    """What the sample has at one path: the types that fit all of its values so far."""

    path: tuple[str, ...]
    fits: dict[str, Callable[[Any], str | None]]
    records: int = 0
    has_number: bool = False
    has_boolean: bool = False
    holds_objects: bool = False
    distinct: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class NewField:
    """A line of the declaration and of the table."""

    column: str
    path: str
    type: str
    is_key: bool
    remark: str = ""

    @property
    def spec(self) -> str:
        """The field as TOML writes it."""
        # TOML takes all that JSON does but this one character.
        path = json.dumps(self.path, ensure_ascii=False).replace("\x7f", "\\u007f")
        parts = [f"from = {path}"] if self.path != self.column else []
        parts.append(f'type = "{self.type}"')
        parts += ["required = true"] if self.is_key else []
        return f"{{ {', '.join(parts)} }}"

    @property
    def column_type(self) -> str:
        return COLUMN_TYPES[self.type] + (" not null" if self.is_key else "")


@dataclass(frozen=True)
class NewFields:
    """The fields of a new declaration; `notes` say what is odd about the sample."""

    key: str
    fields: tuple[NewField, ...]
    notes: tuple[str, ...] = ()
    sample: str = ""


def blank(key: str) -> NewFields:
    """Return a declaration that knows nothing but the key."""
    column = _column((key,), set())
    return NewFields(column, (NewField(column, key, "text", True),))


def guess(sample: Path, entity: str, key: str | None) -> NewFields:
    """Return the fields of the records in `sample`, each of the narrowest type that fits all of its values.

    Of a large file the first 100,000 records are looked at.
    Raises UnreadableFile for a file that is not what its ending says, and UsageError where nothing
    could be the key.
    """
    read = _read(sample)
    if _is_csv(sample):
        _check_separator(sample)
    if not read.records:
        raise UsageError(f"{sample} has no record to guess from", hint="Name a file with some, or leave out --sample.")
    odd = dict.fromkeys(found.path for found in read.sometimes_objects())
    notes = [
        f"{'.'.join(path)} holds objects in an array, or is sometimes an object: it is kept as json" for path in odd
    ]
    # What is within such a value is kept with it.
    kept = [found for path, found in read.found.items() if not any(path[:depth] in odd for depth in range(len(path)))]
    types = {found.path: "json" if found.path in odd else _type(found, _is_csv(sample)) for found in kept}
    chosen = _key(kept, types, entity, key, read.records, sample)
    taken: set[str] = set()
    fields = []
    for found in sorted(kept, key=lambda found: found is not chosen):
        column = _column(found.path, taken)
        taken.add(column)
        remark = "always null in the sample" if not found.records else ""
        fields.append(NewField(column, ".".join(found.path), types[found.path], found is chosen, remark))
    # The name becomes a part of a comment, which ends with its line.
    shown = console.printable(sample.name).replace("\n", " ")
    return NewFields(fields[0].column, tuple(fields), tuple(notes), shown)


def _read(sample: Path) -> _Sample:
    """Return what the records of a file have at each path."""
    try:
        from staging_loaders.read import read_records

        if not sample.is_file():
            raise UsageError(f"there is no file {sample}", hint="Name a JSON, JSON Lines or CSV file.")
        read = _Sample(_array_of if _is_csv(sample) else _as_it_is)
        for record, _ in itertools.islice(read_records(str(sample)), _ENOUGH):
            if isinstance(record, dict):
                read.add(record)
        return read
    except ImportError as error:
        raise ConfigError(
            f"reading a sample needs {error.name}", hint=f"Install it: {extras.install('load')}"
        ) from error


class _Sample:
    """What records have at each path, in the order of the first appearance."""

    def __init__(self, value_of: Callable[[Any], Any]) -> None:
        self.found: dict[tuple[str, ...], Found] = {}
        self.records = 0
        self._objects: set[tuple[str, ...]] = set()
        self._value_of = value_of
        self._types = _converters()

    def add(self, record: dict[str, Any]) -> None:
        """Weigh each value of a record."""
        self.records += 1
        self._look(record, ())

    def _look(self, node: dict[str, Any], above: tuple[str, ...]) -> None:
        for name, value in node.items():
            if not name or "." in name:
                continue  # no path of a declaration leads there
            path = (*above, name)
            if isinstance(value, dict):
                self._objects.add(path)
                if path in self.found and not self.found[path].records:
                    del self.found[path]  # until here it was null
                self._look(value, path)
            elif value is not None or path not in self._objects:
                if path not in self.found:
                    self.found[path] = Found(path, dict(self._types))
                _weigh(self.found[path], self._value_of(value))

    def sometimes_objects(self) -> list[Found]:
        """Return what no plain field can take: objects in an array, or now an object and then a value."""
        return [found for path, found in self.found.items() if found.holds_objects or path in self._objects]


def _check_separator(sample: Path) -> None:
    """Refuse a CSV file whose header is one name with another separator in it."""
    import gzip

    with (gzip.open if sample.name.lower().endswith(".gz") else open)(sample, "rb") as file:
        header = file.readline().decode(errors="replace").strip()
    names = {";": "a semicolon", "\t": "a tab", "|": "a bar"}
    for sign, name in names.items():
        if sign in header and "," not in header:
            raise UsageError(
                f"{sample} has one column, {header!r}: {name} seems to separate its cells, and in CSV a comma does",
                hint="Write the file with commas, or as JSON Lines; loads read it the same way.",
            )


def _is_csv(sample: Path) -> bool:
    return sample.name.lower().removesuffix(".gz").endswith(".csv")


def _as_it_is(value: Any) -> Any:
    return value


def _array_of(value: Any) -> Any:
    """Return the array that a cell of CSV holds as JSON text, any other value as it is."""
    if isinstance(value, str) and value.startswith("["):
        try:
            decoded = json.loads(value)
        except ValueError:
            return value
        return decoded if isinstance(decoded, list) else value
    return value


def _weigh(found: Found, value: Any) -> None:
    """Drop the types that do not fit `value`; null and blank text say nothing."""
    if value is None or (type(value) is str and not value.strip()):
        return
    found.records += 1
    if isinstance(value, list):
        found.holds_objects |= any(isinstance(element, (dict, list)) for element in value)
    elif isinstance(value, bool):
        found.has_boolean = True
    elif type(value) is str:
        if _WRITTEN_WITH_CARE.match(value):
            found.fits.pop("integer", None)
            found.fits.pop("number", None)
    else:
        found.has_number = True
    found.fits = {kind: fits for kind, fits in found.fits.items() if fits(value) is not None}
    if not isinstance(value, list):
        found.distinct.add(str(value))


def _converters() -> dict[str, Callable[[Any], str | None]]:
    """Return the loader's own conversions, the narrowest type first."""
    from staging_loaders import values

    def array(element: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
        return lambda value: (
            "" if isinstance(value, list) and all(element(v) is not None for v in value if v is not None) else None
        )

    return {
        "boolean": values.boolean,
        "integer": values.integer,
        "number": values.number,
        "time": values.moment,
        "date": values.day,
        "currency": values.currency,
        "integer[]": array(
            lambda value: None if isinstance(value, str) and type(value) is str else values.integer(value)
        ),
        "text[]": array(values.text),
        "text": values.text,
    }


def _type(found: Found, is_csv: bool) -> str:
    """Return the narrowest type; text that looks like a number stays text, unless all of the file is text."""
    for kind in found.fits:
        if found.records == 0:
            break
        if kind in ("integer", "number") and not (found.has_number or is_csv):
            continue
        if kind == "boolean" and not (found.has_boolean or is_csv):
            continue
        if kind == "currency" and "currency" not in "".join(found.path).lower():
            continue
        return kind
    return "text"


def _key(
    kept: list[Found],
    types: dict[tuple[str, ...], str],
    entity: str,
    given: str | None,
    records: int,
    sample: Path,
) -> Found:
    """Return the field that names a record: every one has it, and no two have the same."""
    complete = [found for found in kept if found.records == records and not types[found.path].endswith(("[]", "json"))]
    if given is not None:
        wanted = [found for found in kept if given in (".".join(found.path), _column(found.path, set()))]
        if not wanted:
            from runner.relation import suggestion

            known = [".".join(found.path) for found in kept]
            raise UsageError(
                f"{sample} has no field {given!r}{suggestion(given, known)}", hint=f"Its fields: {', '.join(known)}."
            )
        if wanted[0] not in complete:
            raise UsageError(
                f"{given} cannot be the key: {records - wanted[0].records} of {records} records are without it, "
                "or it is an array",
                hint="Name a field that every record has.",
            )
        return wanted[0]
    singular = entity.removesuffix("s")
    names = ["id", f"{entity}_id", f"{singular}_id", "uuid", "key", "code"]
    by_name = {_column(found.path, set()): found for found in complete}
    likely = [by_name[name] for name in names if name in by_name]
    likely += [found for name, found in by_name.items() if name.endswith(("_id", "_uuid", "_key", "_code"))]
    for candidates in (likely, complete):
        for found in candidates:
            if len(found.distinct) == records:
                return found
    if likely:
        return likely[0]
    raise UsageError(f"no field of {sample} could be the key", hint="Name one with --key.")


def _column(path: tuple[str, ...], taken: set[str]) -> str:
    """Return the name of a column for a path: `contact.jobTitle` becomes contact_job_title."""
    words = [re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", part) for part in path]
    name = re.sub(r"[^a-z0-9]+", "_", "_".join(words).lower()).strip("_")[:60] or "field"
    if name[0].isdigit():
        name = f"_{name}"
    if name in RESERVED or name in _FILLED_BY_THE_LOADER:
        name += "_"
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name[:56]}_{number}", number + 1
    return unique
