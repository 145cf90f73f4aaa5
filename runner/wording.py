"""What a load or a step did, in the words of the command line and the flows."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runner import console
from runner.apply import StepResult
from runner.checks import CheckResult
from runner.errors import RunnerError

if TYPE_CHECKING:
    from runner.backfill_run import DayEnd
    from runner.mart_refresh import Refreshed
    from staging_loaders.load import EntityLoad


NAME_WIDTH = 22
"""How wide the names of entities, steps and schema files stand, where none is longer."""


def outcome(day: str, kind: str, name: str, text: str, seconds: float | None = None, *, width: int = NAME_WIDTH) -> str:
    """Return the line that says what a schema file, load or step did."""
    took = "" if seconds is None else f"{seconds:8.2f} s"
    return f"{day}  {kind:<6}  {name:<{width}}  {text:<56}{took}".rstrip()


def say_outcome(
    day: str, kind: str, name: str, text: str, seconds: float | None = None, *, width: int = NAME_WIDTH
) -> None:
    """Print that line, in colours where the terminal has them."""
    line = console.printable(outcome(day, kind, name, text, seconds, width=width))
    start = len(f"{day}  {kind:<6}  ")
    stop = start + len(name)
    took = len(line) if seconds is None else line.rindex(f"{seconds:.2f} s")
    parts = console.style(line[start:stop], "bold"), line[stop:took], console.style(line[took:], "dim")
    console.say(line[:start] + "".join(parts) if console.colourful(sys.stdout) else line)


def told(error: RunnerError) -> dict[str, Any]:
    """Return what the JSON says of an error; of failed checks, what they found, too."""
    checked = [dataclasses.asdict(result) for result in getattr(error, "results", ())]
    return {"message": error.message, "hint": error.hint} | ({"checks": checked} if checked else {})


def describe_step(result: StepResult, reads: Sequence[str] = ()) -> str:
    """Return what a step did, in words; `reads` are the entities it takes from staging."""
    if result.status == "skipped":
        return f"skipped: the day has no {' and no '.join(reads)}" if reads else "skipped"
    counts = (
        (result.rows_inserted, "inserted"),
        (result.rows_updated, "updated"),
        (result.rows_deleted, "deleted"),
    )
    text = ", ".join(f"{count:,} {verb}" for count, verb in counts if count) or "nothing to change"
    return f"{text} (done before)" if result.already_done else text


def describe_check(result: CheckResult) -> str:
    """Return what a checkpoint found, in words."""
    if result.status == "passed":
        return "passed"
    return f"{result.status}: {console.count(result.rows_failed, 'row')}"


def describe_mart(refreshed: Refreshed) -> str:
    """Return what became of a mart, in words."""
    return f"refreshed: {console.count(refreshed.rows, 'row')}"


def describe_backfill(days: Sequence[DayEnd]) -> str:
    """Return what became of days of a backfill that are done."""
    changed, read = sum(end.rows_changed for end in days), sum(end.records_read for end in days)
    parts = [f"{console.count(changed, 'row')} changed" if changed else "nothing to change"]
    for number, what in (
        (read, "record read"),
        (sum(end.rows_rejected for end in days), "reject"),
        (sum(end.warnings for end in days), "warning"),
    ):
        if number:
            parts.append(f"{number:,} records read" if what == "record read" else console.count(number, what))
    return ", ".join(parts)


def load_lines(loads: Sequence[EntityLoad]) -> list[tuple[str, str]]:
    """Return (entity, what became of it) for each entity that was read or is gone, and for all together."""
    lines = [(load.entity, _counts(load)) for load in loads if load.status == "loaded"]
    gone = [
        (load.entity, f"files are gone: {console.count(load.rows_removed, 'row')} removed")
        for load in loads
        if load.rows_removed
    ]
    unchanged = [load.entity for load in loads if load.status == "unchanged"]
    total = _Counts(*(sum(getattr(load, name) for load in loads) for name in _Counts._fields))
    same = f"; files of {len(unchanged)} unchanged" if lines and unchanged else ""
    none = f"files of {console.count(len(unchanged), 'entity')} unchanged"
    return [*sorted([*lines, *gone]), ("all", _counts(total) + same if lines else none)]


class _Counts(NamedTuple):
    records_read: int
    rows_loaded: int
    rejects: int
    warnings: int


def _counts(load: EntityLoad | _Counts) -> str:
    """Return what became of records: read = loaded + rejected."""
    text = f"{load.records_read:,} read = {load.rows_loaded:,} loaded + {load.rejects:,} rejected"
    return f"{text}, {console.count(load.warnings, 'warning')}" if load.warnings else text
