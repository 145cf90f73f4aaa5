"""Which days a backfill is of, and in which chunks. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Literal, get_args

from runner import days
from runner.errors import UsageError

Mode = Literal["daily", "weekly", "monthly"]
MODES: tuple[Mode, ...] = get_args(Mode)

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# Days that are not called by dates are no one's calendar: so many in a row are a week and a month.
_IN_A_ROW = {"daily": 1, "weekly": 7, "monthly": 30}


@dataclass(frozen=True)
class Request:
    """The days that were asked for: from `start` to `end`, or those of a list, in chunks."""

    start: str | None = None
    end: str | None = None
    days: tuple[str, ...] = ()
    mode: Mode = "daily"

    @property
    def shown(self) -> str:
        """The days as a person says them: `2026-01-01 to 2026-03-31`, `day1, day2`, `12 days from day1 to day12`."""
        if self.start is not None and self.end is not None:
            return span((self.start, self.end))
        if len(self.days) <= 3:
            return ", ".join(self.days)
        return f"{len(self.days)} days from {span((self.days[0], self.days[-1]))}"


@dataclass(frozen=True)
class Chunk:
    """Days that are told of and tried again together, in their order."""

    name: str
    days: tuple[str, ...]


@dataclass(frozen=True)
class Chosen:
    """The days of a request that there are, in their order, and those that there are not."""

    days: tuple[str, ...]
    missing: tuple[str, ...]


def request(
    start: str | None = None, end: str | None = None, listed: Iterable[str] = (), mode: str = "daily"
) -> Request:
    """Return what is asked for; UsageError for what is no range, no list, or both.

    `listed` are days, or several with commas between them.
    """
    names = tuple(name.strip() for text in listed for name in text.split(",") if name.strip())
    if mode not in MODES:
        raise UsageError(f"there are no {mode!r} chunks", hint=f"There are {', '.join(MODES)}.")
    if names and (start is not None or end is not None):
        raise UsageError("a range and a list of days are both given", hint="Leave one of the two out.")
    if (start is None) != (end is None):
        lacks = "--end-date" if end is None else "--start-date"
        raise UsageError(f"the range of days has no {lacks}", hint="Give both; they belong to the range.")
    for name in (*names, *(name for name in (start, end) if name is not None)):
        days.check(name)
    if start is not None and end is not None:
        for bound in (start, end):
            if _DATE.fullmatch(bound) and _date(bound) is None:
                raise UsageError(f"there is no date {bound}", hint="Write a date of the calendar: 2026-01-31.")
        if (_date(start) is None) != (_date(end) is None):
            raise UsageError(f"{start} and {end} are not of one kind", hint="Give two dates, or two names: day1, day9.")
        if days.order(start) > days.order(end):
            raise UsageError(f"{start} comes after {end}", hint=f"Give the earlier one first: {end}, {start}.")
    unique = sorted(dict.fromkeys(names), key=days.order)
    return Request(start, end, tuple(unique), mode)


def choose(asked: Request, known: Iterable[str]) -> Chosen:
    """Return which of the `known` days are meant.

    Of two dates, the days that are called by dates between them; of two other names, those that the natural order
    of days has between them. A date without a day is missing, and so is a day of the list.
    """
    there = set(known)
    if asked.start is None or asked.end is None:
        return Chosen(
            tuple(day for day in asked.days if day in there), tuple(day for day in asked.days if day not in there)
        )
    first, last = _date(asked.start), _date(asked.end)
    if first is None or last is None:
        low, high = days.order(asked.start)[0], days.order(asked.end)[0]
        return Chosen(tuple(sorted((day for day in there if low <= days.order(day)[0] <= high), key=days.order)), ())
    wanted = [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
    return Chosen(tuple(day for day in wanted if day in there), tuple(day for day in wanted if day not in there))


def chunks(chosen: Sequence[str], mode: Mode) -> list[Chunk]:
    """Return the days in chunks: of a day, of a week from Monday on, of a month.

    Days that are not called by dates are 7 or 30 in a row.
    """
    found: list[Chunk] = []
    for named, group in groupby(chosen, lambda day: _date(day) is not None):
        if not named:
            row, size = tuple(group), _IN_A_ROW[mode]
            parts = [row[at : at + size] for at in range(0, len(row), size)]
            found += [Chunk(span(part), part) for part in parts]
            continue
        for name, part in groupby(group, lambda day: _period(day, mode)):
            found.append(Chunk(name, tuple(part)))
    return found


def span(names: Sequence[str]) -> str:
    """Return days in a row as their first and last."""
    return names[0] if names[0] == names[-1] else f"{names[0]} to {names[-1]}"


def command(asked: Request, options: Sequence[str] = (), *, failed: Sequence[str] = ()) -> str:
    """Return the command line that asks for the same again, or just for those days that failed."""
    if failed:
        given = ["--days", ",".join(failed)]
    elif asked.start is not None and asked.end is not None:
        given = ["--start-date", asked.start, "--end-date", asked.end]
    else:
        given = ["--days", ",".join(asked.days)]
    mode = ["--chunk-mode", asked.mode] if asked.mode != "daily" else []
    return shlex.join(["runner", "backfill", *given, *mode, *options])


def _period(day: str, mode: Mode) -> str:
    """Return the name of the chunk of a day that is called by its date: `2026-01-05`, `2026-W02`, `2026-01`."""
    if mode == "daily":
        return day
    if mode == "monthly":
        return day[:7]
    year, week, _ = date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02}"


def _date(name: str) -> date | None:
    """Return the date that is a day's name, None for another name."""
    if not _DATE.fullmatch(name):
        return None
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None
