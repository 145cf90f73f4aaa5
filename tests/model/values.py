"""What a JSON value means as an integer, number, time, date, boolean or text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final


@dataclass(frozen=True)
class Number:
    """A JSON number as it is written."""

    text: str


class _Malformed:
    def __repr__(self) -> str:
        return "MALFORMED"


MALFORMED: Final = _Malformed()

_INTEGER = re.compile(r" *([+-]?[0-9]+) *", re.ASCII)
_NUMBER = re.compile(r" *([+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?) *", re.ASCII)
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"(?:Z|([+-])([0-9]{2}):?([0-9]{2}))?",
    re.ASCII,
)


def integer(value: Any) -> Any:
    """Return an `int` within 64 bits, or `MALFORMED`."""
    if isinstance(value, Number):
        exact = Decimal(value.text)
        if exact == 0:
            return 0
        # A 64-bit number has at most 19 digits: 1e999999999 need not be written out to be refused.
        if exact.adjusted() > 19 or exact.adjusted() < 0 or exact != exact.to_integral_value():
            return MALFORMED
        number = int(exact)
    elif isinstance(value, str) and (found := _INTEGER.fullmatch(value)):
        number = int(found[1])
    else:
        return MALFORMED
    return number if -(2**63) <= number < 2**63 else MALFORMED


def number(value: Any) -> Any:
    """Return an exact `Decimal`, or `MALFORMED`."""
    if isinstance(value, Number):
        return Decimal(value.text)
    if isinstance(value, str) and (found := _NUMBER.fullmatch(value)):
        return Decimal(found[1])
    return MALFORMED


def day(value: Any) -> Any:
    """Return a `date`, or `MALFORMED`."""
    if isinstance(value, str) and (found := _DATE.fullmatch(value)):
        try:
            return date(int(found[1]), int(found[2]), int(found[3]))
        except ValueError:
            return MALFORMED
    return MALFORMED


def time(value: Any) -> Any:
    """Return a `datetime` in UTC, or `MALFORMED`; what is smaller than a microsecond is cut off."""
    if not isinstance(value, str) or not (found := _TIME.fullmatch(value)):
        return MALFORMED
    calendar, hour, minute, second, fraction, sign, offset_hours, offset_minutes = found.groups()
    when = day(calendar)
    if when is MALFORMED:
        return MALFORMED
    if int(offset_hours or 0) > 23 or int(offset_minutes or 0) > 59:
        return MALFORMED
    offset = timedelta(hours=int(offset_hours or 0), minutes=int(offset_minutes or 0))
    try:
        local = datetime(
            when.year,
            when.month,
            when.day,
            int(hour),
            int(minute),
            int(second or 0),
            int((fraction or "0")[:6].ljust(6, "0")),
            UTC,
        )
        return local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError):
        return MALFORMED


def boolean(value: Any) -> Any:
    """Return a `bool`, or `MALFORMED`."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value, MALFORMED) if isinstance(value, str) else MALFORMED


def text(value: Any) -> Any:
    """Return a `str` that PostgreSQL can hold, or `MALFORMED`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Number):
        return value.text
    if isinstance(value, str):
        return re.sub("[\x00\ud800-\udfff]", "\ufffd", value)
    return MALFORMED
