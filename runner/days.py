"""Day names and their natural order."""

from __future__ import annotations

import re

from runner.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)


def check(day: str) -> str:
    """Return `day`, refusing what is not a day name."""
    if not is_day(day):
        raise UsageError(
            f"{day!r} is not a day name",
            hint="A day is up to 64 letters, digits, '_', '.' or '-', the first a letter or digit: day1, 2026-01-05.",
        )
    return day


def is_day(name: str) -> bool:
    """Tell whether a day can have this name."""
    return _NAME.fullmatch(name) is not None


def order(day: str) -> tuple[str, str]:
    """Return a sort key: digit runs compare as numbers (`day2` < `day10`), ties by text.

    Each run of digits is padded to 64, the longest a day name can hold, so that plain string
    order is natural order.
    """
    return _DIGITS.sub(lambda run: run.group().zfill(64), day), day
