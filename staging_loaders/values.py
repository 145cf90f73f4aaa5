"""One value of a source file -> PostgreSQL input text, or None where it is malformed.

Each function takes a decoded, non-null JSON value: `str`, `bool`, `int`, `Number` (any number
that is not a plain integer, as it was written), `list` or `dict`. The text it returns is exact,
independent of the server's settings (times carry `Z`), never longer than what the type holds, and
the one way to write the value that `checksum` knows of: what the server makes of it reads the same.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import cache
from typing import NamedTuple

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1

# The limits of PostgreSQL's numeric: digits before and after the decimal point.
_NUMERIC_BEFORE, NUMERIC_AFTER = 131072, 16383

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?",
    re.ASCII,
)
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


class Number(str):
    """A JSON number that is not a plain integer, as it was written: `1.50`, `1e3`."""

    __slots__ = ()


class Unfit(NamedTuple):
    """Stands for a record that a file holds but no value can: why it is rejected."""

    reason: str


def clean(text: str) -> str:
    """Return `text` with what PostgreSQL cannot store (NUL, lone surrogates) as U+FFFD."""
    if text.isascii():
        return text.replace("\x00", "\ufffd") if "\x00" in text else text
    return _NOT_STORABLE.sub("\ufffd", text)


def text(value: object) -> str | None:
    """Text as it is; numbers and booleans as their text."""
    kind = type(value)
    if kind is str:
        return clean(value)  # type: ignore[arg-type]
    if kind is int or kind is Number:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    return None


def integer(value: object) -> str | None:
    """A 64-bit integer: a number with an integral value (`7`, `7.0`, `7e0`), or a string of digits."""
    kind = type(value)
    if kind is int:
        return str(value) if INTEGER_MIN <= value <= INTEGER_MAX else None  # type: ignore[operator]
    if kind is str:
        digits = value.strip(" ")  # type: ignore[attr-defined]
        return _integral(digits) if _INTEGER.fullmatch(digits) else None
    return _integral(str(value)) if kind is Number else None


def number(value: object) -> str | None:
    """An exact decimal, from a number or a string that holds one."""
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is str:
        return _numeric(value.strip(" "))  # type: ignore[attr-defined]
    return _numeric(str(value)) if kind is Number else None


def boolean(value: object) -> str | None:
    """true or false, also as a string."""
    if value is True or value == "true":
        return "true"
    if value is False or value == "false":
        return "false"
    return None


def moment(value: object) -> str | None:
    """A time in UTC, `2026-01-05T10:00:00.12Z`: no zeros at its end, digits beyond microseconds cut off."""
    if type(value) is not str or not _TIME.fullmatch(value):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        if value[-1] == "Z" and value[10] == "T" and 20 <= len(value) <= 27 and (len(value) == 20 or value[-2] != "0"):
            return value
        return _in_utc(parsed)
    except (ValueError, OverflowError):
        return _year_zero(value)


def day(value: object) -> str | None:
    """A date."""
    if type(value) is not str or not _DATE.fullmatch(value):
        return None
    try:
        date.fromisoformat(value)
    except ValueError:
        return None
    return value


def currency(value: object) -> str | None:
    """A current ISO 4217 alphabetic code, in capitals."""
    return value if type(value) is str and value in minor_units() else None


@cache
def minor_units() -> dict[str, int]:
    """Currency code -> digits after the decimal point; 2 where ISO 4217 names none (gold, test codes).

    Source: the PyPI package iso4217, which carries the maintenance agency's list one.
    """
    from iso4217 import Currency  # it parses the agency's XML when imported

    return {entry.code: 2 if entry.exponent is None else entry.exponent for entry in Currency}


def _in_utc(parsed: datetime) -> str:
    if parsed.tzinfo is not None:
        parsed = parsed.astimezone(UTC)
    text = parsed.replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def _year_zero(value: str) -> str | None:
    # Python has no year 0, but its last hours may be year 1 in UTC. 400 years later the calendar is the same.
    if not value.startswith("0000"):
        return None
    try:
        utc = _in_utc(datetime.fromisoformat("0400" + value[4:]))
    except ValueError:
        return None
    return "0001" + utc[4:] if utc.startswith("0401") else None


def _parts(written: str) -> tuple[str, str, int] | None:
    """Split a number into sign, significant digits and power of ten; None if it is none, or out of all bounds.

    Nothing is multiplied out, so that `1e999999999` costs no more than its text.
    """
    match = _NUMBER.fullmatch(written)
    if match is None:
        return None
    sign, whole, fraction, exponent = match.groups("")
    digits = (whole + fraction).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return "", "0", 0
    power = exponent.lstrip("+-").lstrip("0")
    if len(power) > 9:
        return None
    scaled = int(power or "0") * (-1 if exponent.startswith("-") else 1) - len(fraction)
    return sign, significant, scaled + len(digits) - len(significant)


def _integral(written: str) -> str | None:
    parts = _parts(written)
    if parts is None:
        return None
    sign, digits, power = parts
    if power < 0 or len(digits) + power > 19:
        return None
    value = int(sign + digits) * 10**power
    return str(value) if INTEGER_MIN <= value <= INTEGER_MAX else None


def _numeric(written: str) -> str | None:
    """Return a number as numeric writes it: no exponent, plus or leading zeros, no sign before zero."""
    if len(written) < 1000 and _PLAIN_NUMBER.fullmatch(written) and (written[0] != "-" or written.strip("-0.")):
        return written
    parts = _parts(written)
    if parts is None:
        return None
    sign, digits, power = parts
    if power < -NUMERIC_AFTER or len(digits) + power > _NUMERIC_BEFORE:
        return None
    sign = sign.strip("+")
    if power >= 0:
        return sign + digits + "0" * power
    digits = digits.zfill(1 - power)
    return f"{sign}{digits[:power]}.{digits[power:]}"
