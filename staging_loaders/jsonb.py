"""Any JSON value -> text that a `jsonb` column takes, or None where it is beyond what the column holds.

A value that is too deep for its field, a number beyond numeric and a text beyond `LONGEST` are; NUL and
lone surrogates become U+FFFD. Numbers stay as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Any

from staging_loaders.entity import Field
from staging_loaders.slow_json import DEEPEST
from staging_loaders.values import NUMERIC_AFTER, Number, clean, number

# jsonb holds 256 MB, of which a number takes up to six times its text.
LONGEST = 32 << 20

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
# Digits behind the point and an exponent.
_DIGITS = re.compile(r"-?[0-9]+(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,6}))?", re.ASCII)


class _Unfit(Exception):
    """The value is beyond what a column holds."""


def levels(field: Field) -> int:
    """Return how many objects and arrays may stand in one another in the value of `field`.

    What lies deeper than DEEPEST in a record may have been read as null, which must not pass for the value.
    """
    return DEEPEST - 1 - max(map(len, field.paths))


def jsonb(field: Field) -> Callable[[Any], str | None]:
    """Return what makes text of a decoded value."""
    deepest = levels(field)

    def convert(value: Any) -> str | None:
        try:
            text = _text(value, deepest)
        except _Unfit:
            return None
        return text if len(text.encode()) <= LONGEST else None

    return convert


def _text(value: Any, room: int) -> str:
    kind = type(value)
    if kind is str:
        return encode_basestring(clean(value))
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value)
    if kind is Number and (plain := number(value)) is not None:
        return str(value) if _is_fine(value) else plain
    if room > 0 and kind is dict:
        items = (f"{_text(str(key), room - 1)}: {_text(item, room - 1)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if room > 0 and kind in (list, tuple):
        return f"[{', '.join([_text(item, room - 1) for item in value])}]"
    raise _Unfit


def _is_fine(number: str) -> bool:
    """Tell whether numeric, which also counts the zeros at a number's end, takes one of its size as it is written."""
    match = _DIGITS.fullmatch(number)
    return match is not None and len(match[1] or "") - int(match[2] or 0) <= NUMERIC_AFTER


def written(raw: Any) -> bytes | None:
    """Return the value that `raw`, bytes of JSON, holds as it is written; None for null."""
    if raw is None:
        return None
    data = bytes(raw)
    return None if data == b"null" else data


def fits(field: Field) -> Callable[[bytes], bool]:
    """Return what tells of bytes from `written` that they can go as they are, but for the size of their numbers."""
    deepest = levels(field)

    def test(data: bytes) -> bool:
        if len(data) > LONGEST // 4 or (b"\\" in data and b"\\u0000" in data):
            return False
        return data.count(b"{") + data.count(b"[") <= deepest or _depth(data.decode()) <= deepest

    return test


def _depth(text: str) -> int:
    depth = deepest = 0
    for token in _TOKEN.finditer(text):
        mark = token.group()
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest
