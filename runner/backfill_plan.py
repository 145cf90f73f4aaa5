"""What a backfill would do: the days that there are, in chunks, without those that it has done. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NoReturn

from runner import backfill, backfill_book, database, loading
from runner.backfill import Chosen, Chunk, Request
from runner.config import Settings
from runner.errors import NotLoaded, UsageError
from runner.project import Pipeline


@dataclass(frozen=True)
class Plan:
    """The chunks of a request and what is known of their days.

    `resumed` is the id of the backfill that goes on, whose days that are `done` are left out. `held` are days that
    staging holds and no folder does: their steps run on that.
    """

    request: Request
    chunks: tuple[Chunk, ...]
    missing: tuple[str, ...] = ()
    done: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    resumed: str | None = None

    @property
    def days(self) -> tuple[str, ...]:
        """All days that there are, in their order."""
        return tuple(day for chunk in self.chunks for day in chunk.days)

    @property
    def left(self) -> tuple[Chunk, ...]:
        """The chunks in which there is something to do, with the days for which there is."""
        chunks = (Chunk(chunk.name, tuple(day for day in chunk.days if day not in self.done)) for chunk in self.chunks)
        return tuple(chunk for chunk in chunks if chunk.days)


def make(
    settings: Settings,
    pipeline: Pipeline,
    dsn: str,
    connection: database.Connection,
    asked: Request | None,
    *,
    load: str,
    resume: bool,
    note: Callable[[str], None],
) -> Plan:
    """Return what is to be done of what is `asked` for; None asks for the days of the newest backfill.

    With `resume` the newest backfill of the same days goes on, and what it has done is left out. Raises UsageError
    where there is nothing to go on with, or no day.
    """
    known = _has(connection, "runner_backfills")
    found = backfill_book.newest(connection, pipeline.name, asked) if resume and known else None
    if found is None and asked is None:
        raise UsageError(
            "there is no backfill to go on with", hint="Begin one: runner backfill --start-date A --end-date B"
        )
    if found is None and resume:
        note("there is no such backfill to go on with: this one begins")
    request = asked or (found.request if found else Request())
    chosen, held = _days(settings, connection, pipeline.name, request, load)
    if not chosen.days:
        raise UsageError(f"there are no days of {request.shown}", hint=_hint(settings, load))
    if request.days and chosen.missing and found is None:
        # Who lists a day wants just that one; of a range, days without files are left out.
        raise UsageError(f"there is no day {', '.join(chosen.missing)}", hint=_hint(settings, load))
    done: frozenset[str] = frozenset()
    if found is not None:
        before = backfill_book.done(connection, found.id, backfill_book.checksum(pipeline)) & set(chosen.days)
        done = frozenset(
            day for day in before if load != "auto" or day in held or not _is_new(settings, connection, dsn, day)
        )
    chunks = tuple(backfill.chunks(chosen.days, request.mode))
    return Plan(request, chunks, chosen.missing, done, held & set(chosen.days), found.id if found else None)


def _days(
    settings: Settings, connection: database.Connection, pipeline: str, asked: Request, load: str
) -> tuple[Chosen, frozenset[str]]:
    """Return the days that are meant, and those in staging that have no folder."""
    if not loading.has_loaders(settings):
        # Of SQL alone: a day is whatever its steps make of its name.
        return backfill.choose(asked, asked.days or _calendar(asked)), frozenset()
    loaded = _loaded(connection, pipeline)
    if load == "never":
        return backfill.choose(asked, loaded), frozenset(loaded)
    there = set(loading.days_with_files(settings))
    return backfill.choose(asked, there | loaded), frozenset(loaded - there)


def _calendar(asked: Request) -> list[str]:
    try:
        first, last = date.fromisoformat(asked.start or ""), date.fromisoformat(asked.end or "")
    except ValueError:
        raise UsageError(
            "a pipeline of SQL alone has no days from which a range could be taken",
            hint="Give two dates, or list the days: --days day1,day2",
        ) from None
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]


def _loaded(connection: database.Connection, pipeline: str) -> set[str]:
    if not _has(connection, "stg_loads"):
        return set()
    return {day for (day,) in connection.execute("select distinct day from stg_loads where pipeline = %s", (pipeline,))}


def _is_new(settings: Settings, connection: database.Connection, dsn: str, day: str) -> bool:
    """Tell whether the day's files are others than those that staging holds."""
    if not loading.has_loaders(settings):
        return False
    plans = loading.plan(settings, dsn, day, "auto")
    gone = loading.loaded(connection, settings, day) - {plan.entity for plan in plans if plan.present}
    return bool(gone) or any(plan.present and plan.changed for plan in plans)


def _has(connection: database.Connection, table: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", (table,)).fetchone()
    return bool(row[0])


def _hint(settings: Settings, load: str) -> str:
    if load == "never":
        return "With --load never they must be in staging; see runner status."
    if not loading.has_loaders(settings):
        return "Give two dates, or list the days: --days day1,day2"
    there = loading.days_with_files(settings)
    if not there:
        return f"There are no days in {settings.data}: name another folder (--data, DATA_BASE_PATH)."
    return f"In {settings.data} are {backfill.span((there[0], there[-1]))}."


def refuse_nothing() -> NoReturn:
    """Raise UsageError for a backfill of no days."""
    raise UsageError("which days?", hint="Give --start-date and --end-date, or --days D,D")


def require_loaded(settings: Settings, connection: database.Connection, day: str) -> None:
    """Raise NotLoaded for a day whose steps are to run on staging that does not hold it."""
    if not _has(connection, "stg_loads"):
        raise NotLoaded(f"{day} is not loaded", hint=f"Load it: runner load --day {day}")
    loading.require_loaded(settings, day, loading.loaded(connection, settings, day))
