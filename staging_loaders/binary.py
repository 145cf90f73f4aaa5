"""Values on their way into a row of COPY's binary format, from the text that the exact converter would write.

Each field of a row is its length and then its bytes. What repeats is remembered: dates, times of day,
numbers. The server need not parse any of it, and takes a `jsonb` as the text it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from struct import Struct
from typing import Any

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
NULL_TEXT = "\\N"

# Of each kind of value, how many are remembered.
_MOST_SEEN = 20_000
# What a type's values take: `struct`'s letter, and the bytes.
INTEGERS = {"bigint": ("q", 8), "integer": ("i", 4), "smallint": ("h", 2)}
_ELEMENTS = {"text[]": 25, "bigint[]": 20, "numeric[]": 1700}
_ELEMENT = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_DAY_MICROSECONDS = 86_400_000_000
_EPOCH = date(2000, 1, 1).toordinal()
_NEGATIVE = 0x4000

length = Struct(">i").pack
_long = Struct(">iq").pack
_day = Struct(">ii").pack
_number = Struct(">iHhHH").pack
_array = Struct(">iiiiii").pack


class Seen(dict[Any, Any]):
    """What `make` returns of each key, which is remembered; null is always there."""

    def __init__(self, make: Callable[[Any], Any], null: Any = NULL) -> None:
        super().__init__({NULL_TEXT: null})
        self._make = make

    def __missing__(self, key: Any) -> Any:
        made = self._make(key)
        if len(self) < _MOST_SEEN:
            self[key] = made
        return made


def names(kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return what the code of a row calls (see row_code.py); `kinds` are the columns' types."""
    return {
        "NULL": NULL,
        "lengths": Seen(length),
        "counted": Seen(lambda size: length(size).decode("latin-1")),
        "uncounted": NULL.decode("latin-1"),
        "spelt": spelt,
        "packed_bigint": _long,
        **{f"packed_{kind}": Struct(f">i{letter}").pack for kind, (letter, _) in INTEGERS.items()},
        "packed_numeric": Seen(numeric),
        "packed_boolean": {"true": b"\0\0\0\1\1", "false": b"\0\0\0\1\0", NULL_TEXT: NULL},
        "packed_date": Seen(lambda text: _day(4, _days(text))),
        **{f"{column}_packed": Seen(array(kind)) for column, kind in kinds.items() if kind in _ELEMENTS},
    }


def spelt(text: str) -> str:
    """Return a text in the characters that Latin-1 writes as the bytes of UTF-8."""
    return text if text.isascii() else text.encode().decode("latin-1")


def of_day(text: str) -> int:
    """Return the microseconds from the year 2000 to the beginning of a date in UTC."""
    return _days(text) * _DAY_MICROSECONDS


def of_minute(text: str) -> int:
    """Return the microseconds of an hour and minute, `T10:00`."""
    return (int(text[1:3]) * 3600 + int(text[4:6]) * 60) * 1_000_000


def of_second(text: str) -> int:
    """Return the microseconds of a second, `:00`."""
    return int(text[1:3]) * 1_000_000


def of_fraction(text: str) -> int:
    """Return the microseconds of what follows the seconds, `Z` or `.12Z`."""
    return int(text[1:-1].ljust(6, "0")) if len(text) > 1 else 0


def microseconds(text: str) -> int:
    """Return the microseconds from the year 2000 to a time, as `values.moment` writes it."""
    return of_day(text[:10]) + of_minute(text[10:16]) + of_second(text[16:19]) + of_fraction(text[19:])


def numeric(value: object) -> bytes:
    """Return the field of a number without an exponent: four decimal digits in each of its own."""
    text = str(value)
    negative = text[0] == "-"
    whole, _, fraction = text[negative:].partition(".")
    whole = whole.lstrip("0")
    digits = whole.zfill(-len(whole) % 4 + len(whole)) + fraction + "0" * (-len(fraction) % 4)
    weight = (len(whole) + 3) // 4 - 1
    groups = [int(digits[at : at + 4]) for at in range(0, len(digits), 4)]
    while groups and not groups[-1]:
        groups.pop()
    sign = _NEGATIVE if negative else 0
    head = _number(8 + 2 * len(groups), len(groups), weight, sign, len(fraction))
    return head + b"".join([group.to_bytes(2) for group in groups])


def array(kind: str) -> Callable[[str], bytes]:
    """Return what makes the field of an array of `kind` from its text, in which each text stands in quotes."""
    oid = _ELEMENTS[kind]

    def packed(literal: str) -> bytes:
        if literal == "{}":
            return length(12) + length(0) + length(0) + length(oid)
        if kind == "text[]":
            fields = [_text(re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)) for text in _ELEMENT.findall(literal)]
        elif kind == "bigint[]":
            fields = [_long(8, int(text)) for text in literal[1:-1].split(",")]
        else:
            fields = [numeric(text) for text in literal[1:-1].split(",")]
        body = b"".join(fields)
        return _array(20 + len(body), 1, 0, oid, len(fields), 1) + body

    return packed


def _text(text: str) -> bytes:
    data = text.encode()
    return length(len(data)) + data


def _days(text: str) -> int:
    return date.fromisoformat(text).toordinal() - _EPOCH
