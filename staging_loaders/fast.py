"""Ordinary records of an entity -> lines for COPY, by a function that is generated once from its declaration.

A record is ordinary when it becomes a row without a warning, and no text of it holds what COPY escapes.
All others are left to the exact converter (staging_loaders/convert.py), which alone decides about odd
values; for an ordinary one both make the same row. `print(source(entity, shape))` shows the code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from staging_loaders import jsonb, values
from staging_loaders.checksum import Digest, rewritten
from staging_loaders.convert import LONGEST_KEY, broken_rule, convert_array
from staging_loaders.entity import Entity, Field
from staging_loaders.read_json import refusals
from staging_loaders.shape import Node, Shape, shape

Build = Callable[[Sequence[Any], int, str, Digest, list[str], list[int]], int]
"""Called with raw records, the position before the first one, the beginning of their lines (the file's name, which
must need no escapes, and a tab) and a line's digest. Adds lines to the one list, the positions of records that are
not ordinary to the other, and returns the sum of the lines' digests, see staging_loaders/checksum.py."""

# Of dates, and of fractions of a second, that are remembered; there are but 86,400 times of day.
_MOST_SEEN = 20_000
# A number of that many characters, without an exponent, is written as numeric writes it.
_SHORT = 999


def compile_fast(entity: Entity) -> Build | None:
    """Return the function that makes lines of ordinary records; None for an entity without (see `shape`)."""
    found = shape(entity)
    if found is None:
        return None
    names: dict[str, Any] = {
        "REFUSALS": refusals(),
        "INT_MIN": values.INTEGER_MIN,
        "INT_MAX": values.INTEGER_MAX,
        "Number": values.Number,
        "minor_units": values.minor_units() if any(field.type == "currency" for field in entity.fields) else {},
        "dates": set(),
        "clocks": set(),
        "fractions": set(),
        "integer": values.integer,
        "number": values.number,
        "boolean": values.boolean,
        "text": values.text,
        "written": jsonb.written,
        "decode": found.decode,
        **{f"decode_{name}": decode for name, decode in found.decoders.items()},
        **{f"{field.column}_array": _array(field) for field in entity.fields if field.is_array},
        **{f"{field.column}_allowed": _allowed(field) for field in entity.fields},
        **{f"{field.column}_fits": jsonb.fits(field) for field in entity.fields if field.type == "json"},
    }
    names["moment"] = _moment(names["dates"], names["clocks"], names["fractions"])
    names["day"] = _day(names["dates"])
    code = compile(source(entity, found), f"<rows of {entity.name}>", "exec")
    exec(code, names)
    build: Build = names["build"]
    return build


def source(entity: Entity, found: Shape) -> str:
    """Return the code of `build`."""
    return "\n".join(_Writer(entity, found).build()) + "\n"


class _Writer:
    """Writes the code for an entity: its nodes are called as in the shape, its values as the column, and `_`."""

    def __init__(self, entity: Entity, found: Shape) -> None:
        self.entity = entity
        self.shape = found
        self.lines: list[str] = []

    def build(self) -> list[str]:
        columns = [f"{{{column}_}}" for column in self.entity.columns]
        line = _TAB.join(columns)
        left_out = rewritten(self.entity)
        told = "line"
        if left_out:
            shown = [column[:-1] + "told}" if index in left_out else column for index, column in enumerate(columns)]
            told = rf"f'{{beginning}}{{position}}\t{_TAB.join(shown)}'"
        self.add(0, "def build(raws, position, beginning, digest, lines, odd):", "    checksum = 0")
        self.add(1, "for raw in raws:")
        self.add(2, "position += 1", "slashes = 0", "try:", "    record = decode(raw)")
        self.nodes("record", self.shape.root)
        self.add(2, "except REFUSALS:", *_ODD)
        # A default is taken from a currency, which has to be known by then.
        for field in sorted(self.entity.fields, key=lambda field: field.minor_unit_of is not None):
            self.field(field)
        self.add(
            2,
            rf"line = f'{{beginning}}{{position}}\t{line}'",
            rf"if line.count('\t') != {len(columns) + 1} or line.count('\\') != slashes "
            r"or '\n' in line or '\r' in line or '\0' in line:",
            *_ODD,
            "lines.append(line)",
            f"checksum += digest({told}.encode())",
        )
        self.add(1, "return checksum")
        return self.lines

    def add(self, level: int, *lines: str) -> None:
        self.lines += ["    " * level + line for line in lines]

    def nodes(self, above: str, node: Node) -> None:
        """Fetch the objects that hold fields, parents first."""
        for inner in node.inner.values():
            if inner.inner:
                self.add(3, f"{inner.name} = {_get(above, inner)}")
                if inner.raw:
                    self.add(
                        3, f"{inner.name} = decode_{inner.name}({inner.name}) if {inner.name} is not None else None"
                    )
                self.nodes(inner.name, inner)

    def field(self, field: Field) -> None:
        value = f"{field.column}_"
        first, *others = [self.get(path, field) for path in field.paths]
        self.add(2, f"{value} = {first}")
        for other in others:
            self.add(2, f"if {value} is None:", f"    {value} = {other}")
        writers: dict[str, Callable[[Field, str], list[str]]] = {
            "text": self.text,
            "integer": self.integer,
            "number": self.number,
            "boolean": self.boolean,
            "time": self.time,
            "date": self.date,
            "currency": self.currency,
            "json": self.json,
        }
        self.add(2, *writers.get(field.type, self.array)(field, value))
        if field.column == self.entity.key and field.type in ("text", "number"):
            self.add(2, f"if len(str({value})) > {LONGEST_KEY // 4}:", *_ODD)

    def get(self, path: tuple[str, ...], field: Field) -> str:
        """Return the expression of what stands at `path`; null and absent are None."""
        if not path:
            found = "raw"
        else:
            above = self.shape.node(path[:-1])
            found = _get(above.name, self.shape.node(path))
        return f"written({found})" if field.type == "json" else found

    def text(self, field: Field, value: str) -> list[str]:
        blank = [f"elif not {value} or {value}.isspace():", *_ODD] if field.required else []
        return [
            f"if type({value}) is not str:",
            *_indented(
                *_null(field, value, "if"),
                f"{'if' if field.required else 'elif'} {value} == 0:",  # or minus zero, which a text keeps
                *_ODD,
                "else:",
                *_converted("text", value),
            ),
            *blank,
        ]

    def integer(self, field: Field, value: str) -> list[str]:
        least = [values.INTEGER_MIN, field.minimum, None if field.below is None else 1 - field.below]
        most = [values.INTEGER_MAX, field.maximum, None if field.below is None else field.below - 1]
        low = max(limit for limit in least if limit is not None)
        high = min(limit for limit in most if limit is not None)
        limited = (low, high) != (values.INTEGER_MIN, values.INTEGER_MAX)
        return [
            f"if type({value}) is int:",
            f"    if not {low} <= {value} <= {high}:",
            *_indented(*_ODD),
            *_null(field, value, "elif"),
            "else:",
            *_converted("integer", value),
            *([f"    if not {low} <= int({value}) <= {high}:", *_indented(*_ODD)] if limited else []),
        ]

    def number(self, field: Field, value: str) -> list[str]:
        limited = any(limit is not None for limit in (field.minimum, field.maximum, field.below))
        allowed = [f"    if not {value}allowed(str({value})):", *_indented(*_ODD)] if limited else []
        return [
            f"if type({value}) is Number:",
            f"    if len({value}) > {_SHORT} or 'e' in {value} or 'E' in {value} or {value}[:2] == '-0':",
            *_indented(*_converted("number", value)),
            *allowed,
            f"elif type({value}) is int:",
            *(allowed or ["    pass"]),
            *_null(field, value, "elif"),
            "else:",
            *_converted("number", value),
            *allowed,
        ]

    def boolean(self, field: Field, value: str) -> list[str]:
        return [
            f"if {value} is True:",
            f"    {value} = 'true'",
            f"elif {value} is False:",
            f"    {value} = 'false'",
            *_null(field, value, "elif"),
            "else:",
            *_converted("boolean", value),
        ]

    def time(self, field: Field, value: str) -> list[str]:
        return [
            f"if type({value}) is str and {value}[:10] in dates and {value}[10:19] in clocks "
            f"and {value}[19:] in fractions:",
            "    pass",
            *_null(field, value, "elif"),
            "else:",
            *_converted("moment", value),
        ]

    def date(self, field: Field, value: str) -> list[str]:
        return [
            f"if type({value}) is str and {value} in dates:",
            "    pass",
            *_null(field, value, "elif"),
            "else:",
            *_converted("day", value),
        ]

    def currency(self, field: Field, value: str) -> list[str]:
        return [
            f"if type({value}) is str and {value} in minor_units:",
            "    pass",
            *_null(field, value, "elif"),
            "else:",
            *_ODD,
        ]

    def array(self, field: Field, value: str) -> list[str]:
        return [
            f"{value} = '{{}}' if {value} is None else {value}array({value})",
            f"if {value} is None:",
            *_ODD,
        ]

    def json(self, field: Field, value: str) -> list[str]:
        # Its text may be told in other words by the server, so that the digest leaves it out.
        return [
            f"{value}told = ''",
            f"if {value} is None:",
            *(_ODD if field.required else [*_null_mark(value), f"    {value}told = {value}"]),
            f"elif not {value}fits({value}):",
            *_ODD,
            rf"elif '\\' in {value}:",
            rf"    {value} = {value}.replace('\\', '\\\\')",
            rf"    slashes += {value}.count('\\')",
        ]


_TAB = r"\t"
_ODD = ("    odd.append(position)", "    continue")


def _get(above: str, node: Node) -> str:
    found = f"{above}.{node.name}"
    return found if above == "record" else f"{found} if {above} is not None else None"


def _indented(*lines: str) -> list[str]:
    return ["    " + line for line in lines]


def _null(field: Field, value: str, word: str) -> list[str]:
    """Return the branch for a value that is not there; a record that lacks a required one is not ordinary."""
    if field.required:
        return []
    if field.minor_unit_of is not None:
        currency = f"{field.minor_unit_of}_"
        return [
            f"{word} {value} is None:",
            f"    {value} = minor_units.get({currency})",
            f"    if {value} is None:",
            *_indented(*_null_mark(value)),
        ]
    return [f"{word} {value} is None:", *_null_mark(value)]


def _null_mark(value: str) -> list[str]:
    return [rf"    {value} = '\\N'", "    slashes += 1"]


def _converted(function: str, value: str) -> list[str]:
    """Return what converts a value that is not of the usual type, as the exact converter does."""
    return [f"    {value} = {function}({value})", f"    if {value} is None:", *_indented(*_ODD)]


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
