"""The code that makes lines for COPY of ordinary records: written once for an entity, from its declaration.

Each value is checked for its usual type first; another one that fits is converted as the exact converter
does it, and any other ends the record, which that converter takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from staging_loaders import values
from staging_loaders.checksum import rewritten
from staging_loaders.convert import LONGEST_KEY
from staging_loaders.entity import Entity, Field

# A number of that many characters, without an exponent, is written as numeric writes it.
_SHORT = 999

_TAB = r"\t"
ODD = ("    odd.append(position)", "    continue")


class RowCode:
    """Writes `build` for an entity; a value is called as its column, and `_`.

    `opening` begins a loop over `records` and fetches what is needed of one (it may end it with ODD),
    `get` returns the expression of what stands at a declared path, None for null and absent.
    """

    def __init__(self, entity: Entity, opening: Sequence[str], get: Callable[[tuple[str, ...]], str]) -> None:
        self.entity = entity
        self.opening = opening
        self.get = get
        self.lines: list[str] = []

    def build(self) -> str:
        """Return the code."""
        columns = [f"{{{column}_}}" for column in self.entity.columns]
        line = _TAB.join(columns)
        left_out = rewritten(self.entity)
        told = "line"
        if left_out:
            shown = [column[:-1] + "told}" if index in left_out else column for index, column in enumerate(columns)]
            told = rf"f'{{beginning}}{{position}}\t{_TAB.join(shown)}'"
        self.add(0, "def build(records, position, beginning, digest, lines, odd):", "    checksum = 0")
        self.add(1, *self.opening)
        self.add(2, "slashes = 0")
        # A default is taken from a currency, which has to be known by then.
        for field in sorted(self.entity.fields, key=lambda field: field.minor_unit_of is not None):
            self.field(field)
        self.add(
            2,
            rf"line = f'{{beginning}}{{position}}\t{line}'",
            rf"if line.count('\t') != {len(columns) + 1} or line.count('\\') != slashes "
            r"or '\n' in line or '\r' in line or '\0' in line:",
            *ODD,
            "lines.append(line)",
            f"checksum += digest({told}.encode())",
        )
        self.add(1, "return checksum", "")
        return "\n".join(self.lines)

    def add(self, level: int, *lines: str) -> None:
        self.lines += ["    " * level + line for line in lines]

    def field(self, field: Field) -> None:
        value = f"{field.column}_"
        first, *others = map(self.get, field.paths)
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
            self.add(2, f"if len(str({value})) > {LONGEST_KEY // 4}:", *ODD)

    def text(self, field: Field, value: str) -> list[str]:
        blank = [f"elif not {value} or {value}.isspace():", *ODD] if field.required else []
        return [
            f"if type({value}) is not str:",
            *_indented(
                *_null(field, value, "if"),
                f"{'if' if field.required else 'elif'} {value} == 0:",  # or minus zero, which a text keeps
                *ODD,
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
            *_indented(*ODD),
            *_null(field, value, "elif"),
            "else:",
            *_converted("integer", value),
            *([f"    if not {low} <= int({value}) <= {high}:", *_indented(*ODD)] if limited else []),
        ]

    def number(self, field: Field, value: str) -> list[str]:
        limited = any(limit is not None for limit in (field.minimum, field.maximum, field.below))
        allowed = [f"    if not {value}allowed(str({value})):", *_indented(*ODD)] if limited else []
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
            *ODD,
        ]

    def array(self, field: Field, value: str) -> list[str]:
        return [
            f"{value} = '{{}}' if {value} is None else {value}array({value})",
            f"if {value} is None:",
            *ODD,
        ]

    def json(self, field: Field, value: str) -> list[str]:
        # Its text may be told in other words by the server, so that the digest leaves it out.
        return [
            f"{value}told = ''",
            f"if {value} is None:",
            *(ODD if field.required else [*_null_mark(value), f"    {value}told = {value}"]),
            f"elif not {value}fits({value}):",
            *ODD,
            rf"elif '\\' in {value}:",
            rf"    {value} = {value}.replace('\\', '\\\\')",
            rf"    slashes += {value}.count('\\')",
        ]


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
    return [f"    {value} = {function}({value})", f"    if {value} is None:", *_indented(*ODD)]
