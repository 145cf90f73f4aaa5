"""The code that makes lines for COPY of ordinary records: written once for an entity, from its declaration.

Each value is checked for its usual type first; another one that fits is converted as the exact converter
does it, and any other ends the record, which that converter takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from staging_loaders import jsonb, values
from staging_loaders.binary import INTEGERS
from staging_loaders.convert import LONGEST_KEY
from staging_loaders.entity import Entity, Field

# A number of that many characters, without an exponent, is written as numeric writes it.
_SHORT = 999

_TAB = r"\t"
ODD = ("    odd.append(position)", "    continue")


class RowCode:
    """Writes `build` for an entity; a value is called as its column, and `_`.

    `opening` begins a loop over `records` and fetches what is needed of one (it may end it with ODD),
    `get` returns the expression of what stands at a declared path, None for null and absent. `kinds` are the
    columns' types where rows are to be binary, None where they are to be text, which takes no JSON.
    """

    def __init__(
        self,
        entity: Entity,
        opening: Sequence[str],
        get: Callable[[tuple[str, ...]], str],
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        self.entity = entity
        self.opening = opening
        self.get = get
        self.kinds = kinds
        self.lines: list[str] = []

    def build(self) -> str:
        """Return the code."""
        # What the server may write in other words takes part in the digest only as being null or not.
        told = [f"{{{field.column}_{'told' if field.type == 'json' else ''}}}" for field in self.entity.fields]
        self.add(0, "def build(records, position, beginning, digest, lines, odd):", "    checksum, null = 0, NULL_TEXT")
        if self.kinds is not None:
            start = (len(told) + 2).to_bytes(2)
            self.add(1, "name = beginning[:-1].encode()", f"start = {start!r} + lengths[len(name)] + name")
        self.add(1, *self.opening)
        self.add(2, "slashes = 0")
        # A default is taken from a currency, which has to be known by then.
        for field in sorted(self.entity.fields, key=lambda field: field.minor_unit_of is not None):
            self.field(field)
        self.add(
            2,
            rf"line = f'{{beginning}}{{position}}\t{_TAB.join(told)}'",
            rf"if line.count('\t') != {len(told) + 1} or ('\\' in line and line.count('\\') != slashes) "
            r"or '\n' in line or '\r' in line or '\0' in line:",
            *ODD,
            "data = line.encode()",
            *(["lines.append(line)"] if self.kinds is None else self.binary(self.kinds)),
            "checksum += digest(data)",
        )
        self.add(1, "return checksum", "")
        return "\n".join(self.lines)

    def binary(self, kinds: Mapping[str, str]) -> list[str]:
        """Return what adds the row in the binary format, of values in the text format.

        Texts that stand side by side are encoded together, their lengths between them: as Latin-1, where each
        character is a byte, so a text that is not ASCII is spelt in the characters of its bytes before.
        """
        texts = [f"{field.column}_" for field in self.entity.fields if kinds[field.column] == "text"]
        items = ["start", "packed_bigint(8, position)"]
        for is_text, fields in groupby(self.entity.fields, lambda field: kinds[field.column] == "text"):
            if is_text:
                items.append(f"f'{''.join(map(_counted, fields))}'.encode('latin-1')")
            else:
                for field in fields:
                    items += _packed(field, kinds[field.column])
        return [
            *(["if not line.isascii():", *_indented(*(f"{text} = spelt({text})" for text in texts))] if texts else []),
            f"lines.append(b''.join(({', '.join(items)})))",
        ]

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
        if self.kinds is not None and self.kinds[field.column] in ("integer", "smallint"):
            most = 1 << 8 * INTEGERS[self.kinds[field.column]][1] - 1
            self.add(2, f"if {value} is not null and not {-most} <= int({value}) < {most}:", *ODD)
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
        if self.kinds is None:
            return [
                f"if type({value}) is str and {value}[:10] in dates and {value}[10:16] in minutes "
                f"and {value}[16:19] in seconds and {value}[19:] in fractions:",
                "    pass",
                *_null(field, value, "elif"),
                "else:",
                *_converted("moment", value),
            ]
        return [
            f"if type({value}) is str and ({value}day := dates.get({value}[:10])) is not None "
            f"and ({value}minute := minutes.get({value}[10:16])) is not None "
            f"and ({value}second := seconds.get({value}[16:19])) is not None "
            f"and ({value}fraction := fractions.get({value}[19:])) is not None:",
            f"    {value}at = {value}day + {value}minute + {value}second + {value}fraction",
            *_null(field, value, "elif"),
            "else:",
            *_converted("moment", value),
            f"    {value}at = microseconds({value})",
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
        return [
            f"if {value} is None:",
            *(ODD if field.required else [rf"    {value}told = '\\N'", "    slashes += 1"]),
            *([] if field.required else [f"    {value}head, {value} = NULL, b''"]),
            # Nearly all are short and shallow. What is left out is counted sooner than what is there, and what
            # lies between the first backslash and the last is searched sooner than all.
            rf"elif (len({value}) > {jsonb.LONGEST // 4} "
            rf"or b'\\u0000' in {value}[{value}.find(b'\\'):{value}.rfind(b'\\') + 6] "
            rf"or len({value}) - len({value}.replace(b'{{', b'').replace(b'[', b'')) > {jsonb.levels(field)}) "
            rf"and not {value}fits({value}):",
            *ODD,
            "else:",
            rf"    {value}told, {value}head = '', lengths[len({value}) + 1] + b'\1'",
        ]


def _counted(field: Field) -> str:
    """Return the part of an f-string that is a text's length and the text."""
    value = f"{field.column}_"
    if field.required:
        return f"{{counted[len({value})]}}{{{value}}}"
    return f"{{uncounted if {value} is null else counted[len({value})] + {value}}}"


def _packed(field: Field, kind: str) -> list[str]:
    """Return the expressions of a value's length and bytes."""
    value = f"{field.column}_"
    maybe = "" if field.required else f"NULL if {value} is null else "
    if kind in INTEGERS:
        return [f"{maybe}packed_{kind}({INTEGERS[kind][1]}, int({value}))"]
    if kind == "timestamp with time zone":
        return [f"{maybe}packed_bigint(8, {value}at)"]
    if kind == "jsonb":
        return [f"{value}head", value]
    return [f"{field.column}_packed[{value}]" if field.is_array else f"packed_{kind}[{value}]"]


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
    return [f"    {value} = null", "    slashes += 1"]


def _converted(function: str, value: str) -> list[str]:
    """Return what converts a value that is not of the usual type, as the exact converter does."""
    return [f"    {value} = {function}({value})", f"    if {value} is None:", *_indented(*ODD)]
