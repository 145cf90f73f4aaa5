"""What a backfill on the command line prints: a bar, a line each chunk, a summary, and which command tries again."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TextIO

from runner import backfill, backfill_run, console, durations, loading, mart_refresh, schema
from runner.backfill import Chunk
from runner.backfill_plan import Plan
from runner.backfill_run import DayEnd, Ended
from runner.config import Settings
from runner.errors import RunnerError
from runner.progress import Advance, Progress
from runner.project import Pipeline
from runner.wording import describe_backfill, describe_mart, told

# How many missing days are named.
_SHOWN = 10


class Bar(Progress):
    """A line that says how many days are done, which one is at work and how long the rest may take."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._total = total
        self._begun = 0
        self._started = time.monotonic()
        self._doing = ""

    def began(self, day: str) -> None:
        """Count another day that begins."""
        self._begun += 1
        self.show(day)

    def show(self, text: str) -> None:
        """Say what goes on, behind the bar."""
        self._doing = text
        super().show(f"{self._line()}  {text}" if self._begun else text)

    def __call__(self, advance: Advance) -> None:
        """Draw the entities that are loaded above the bar."""
        self._entities[advance.entity] = advance
        self.show(self._doing)

    def _line(self) -> str:
        done = self._begun - 1
        width = 20
        filled = width * done // max(self._total, 1)
        marks = self._marks()
        took = time.monotonic() - self._started
        rest = f", {durations.shown(timedelta(seconds=took / done * (self._total - done)))} left" if done else ""
        return f"{marks[0] * filled}{marks[1] * (width - filled)}  {done:,} of {self._total:,} days{rest}"


class Shown:
    """Prints what happened, a line each chunk, and keeps it for the JSON."""

    def __init__(self, args: argparse.Namespace, pipeline: Pipeline, plan: Plan, id: str) -> None:
        self._args = args
        self._pipeline = pipeline
        self._plan = plan
        self._width = max([10, *(len(chunk.name) for chunk in plan.chunks)])
        self._started = time.perf_counter()
        self._document: dict[str, Any] = {
            "pipeline": pipeline.name,
            "backfill": id,
            "resumed": plan.resumed is not None,
            "request": dataclasses.asdict(plan.request),
            "days": len(plan.days),
            "missing": list(plan.missing),
            "done_before": [day for day in plan.days if day in plan.done],
            "migrated": [],
            "chunks": [],
            "marts": [],
        }

    def began(self, migrated: list[str], made: list[str]) -> None:
        """Say what there is to do, and which schema files and marts that needed."""
        self._document["migrated"] = [*migrated, *(f"marts/{name}" for name in made)]
        plan = self._plan
        _note_missing(plan)
        if plan.done:
            console.note(f"going on: {console.count(len(plan.done), 'day')} of {len(plan.days):,} are done")
        if not self._args.json:
            for name in migrated:
                console.say(f"{'schema':<{self._width}}  {name} applied")
            for name in made:
                console.say(f"{'mart':<{self._width}}  {name} made")

    def chunk(self, chunk: Chunk, ended: Ended, seconds: float) -> None:
        """Say how a chunk ended."""
        self._document["chunks"].append(
            {
                "chunk": chunk.name,
                "status": ended.status,
                "seconds": round(seconds, 6),
                "days": [_day(end) for end in ended.days],
                "not_run": ended.not_run,
            }
        )
        if self._args.json:
            return
        count = console.count(len(chunk.days), "day")
        line = f"{chunk.name:<{self._width}}  {count:<8}  {_describe(ended):<56}{seconds:8.2f} s"
        console.say(console.style(line, "red") if ended.undone else line)

    def marts(self, dsn: str, id: str) -> RunnerError | None:
        """Refresh the marts, once for all days, and say how each ended; return what went wrong."""
        progress = Progress()
        try:
            refreshed = mart_refresh.refresh(
                dsn,
                self._pipeline.name,
                self._pipeline.marts,
                flow_run_id=id,
                log=progress.note,
                running=lambda names: progress.show(f"marts  {', '.join(names)} …"),
            )
        except RunnerError as error:
            return error
        finally:
            progress.clear()
        for one in refreshed:
            self._document["marts"].append(dataclasses.asdict(one))
            if not self._args.json:
                console.say(f"{'mart':<{self._width}}  {one.mart:<22}  {describe_mart(one):<42}{one.seconds:8.2f} s")
        return None

    def ended(self, ended: Ended, failed: RunnerError | None) -> None:
        """Say how all ended, and which command tries again what was not done."""
        retry = self.command(failed=ended.undone) if ended.undone else None
        error = backfill_run.error_of(ended.undone, len(self._plan.days), retry or "") or failed
        if self._args.json:
            counts = {name: [end.day for end in ended.of(name)] for name in ("done", "failed", "held")}
            ends = counts | {"not_run": ended.not_run, "retry": retry, "error": told(error) if error else None}
            console.print_json(self._document | ends)
            return
        console.say(_summary(self._plan, ended, time.perf_counter() - self._started))
        if ended.undone:
            console.note(f"not done: {', '.join(ended.undone)}")
            console.note(f"try just these again: {retry}")

    def command(self, *, failed: Sequence[str] = (), resume: bool = False) -> str:
        """Return the command that tries those days again, or goes on, with the options that were given."""
        args = self._args
        options = ["--resume"] if resume else []
        for name, default in (
            ("project", None), ("pipeline", None), ("data", None), ("load", "auto"), ("max_rejects", None),
            ("engine", None), ("master", None), ("jobs", 1), ("wait", 0), ("marts", "auto"),
        ):  # fmt: skip
            value = getattr(args, name, None)
            if value is not None and value != default:
                options += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
        options += [f"--{name.replace('_', '-')}" for name in ("require_yarn", "stop_on_error") if getattr(args, name)]
        return backfill.command(self._plan.request, options, failed=failed)


def _describe(ended: Ended) -> str:
    """Return what became of a chunk: what was read and changed, or which days failed."""
    parts = []
    if failed := ended.of("failed"):
        parts.append(f"FAILED: {', '.join(end.day for end in failed)}")
    if held := ended.of("held"):
        parts.append(f"held by another run: {', '.join(end.day for end in held)}")
    if ended.not_run:
        parts.append(f"not run: {console.count(len(ended.not_run), 'day')}")
    if parts:
        return "; ".join(parts)
    return describe_backfill(ended.days)


def _day(end: DayEnd) -> dict[str, Any]:
    found = {field.name: getattr(end, field.name) for field in dataclasses.fields(end)}
    return found | {"seconds": round(end.seconds, 6), "error": told(end.error) if end.error else None}


def _summary(plan: Plan, ended: Ended, seconds: float) -> str:
    counts = [
        (len(ended.of("done")), "done"),
        (len(plan.done), "done before"),
        (len(ended.of("failed")), "failed"),
        (len(ended.of("held")), "held"),
        (len(ended.not_run), "not run"),
    ]
    text = ", ".join(f"{number:,} {what}" for number, what in counts if number)
    return f"{console.count(len(plan.days), 'day')}: {text}; {durations.shown(timedelta(seconds=seconds))}"


def _note_missing(plan: Plan) -> None:
    if plan.missing:
        more = f" and {len(plan.missing) - _SHOWN:,} more" if len(plan.missing) > _SHOWN else ""
        shown = ", ".join(plan.missing[:_SHOWN])
        console.note(f"{console.count(len(plan.missing), 'day')} not there, and left out: {shown}{more}")


def show_plan(args: argparse.Namespace, settings: Settings, dsn: str, pipeline: Pipeline, plan: Plan) -> int:
    """Show the chunks: their days, what is done, and how much is to be read."""
    with schema.connect(dsn, "runner backfill") as connection:
        known = connection.execute("select to_regclass('stg_loads') is not null").fetchone() == (True,)
    rows, chunks = [], []
    for chunk in plan.chunks:
        new: dict[str, tuple[int, int]] = {}
        for day in chunk.days:
            if args.load == "never" or day in plan.done or day in plan.held or not loading.has_loaders(settings):
                continue
            loads = [load for load in loading.plan(settings, dsn if known else None, day, args.load) if load.changed]
            if loads := [load for load in loads if load.present]:
                new[day] = sum(len(load.files) for load in loads), sum(load.bytes for load in loads)
        files, size = (sum(found[at] for found in new.values()) for at in (0, 1))
        done = sum(day in plan.done for day in chunk.days)
        rows.append((chunk.name, len(chunk.days), done, len(new), files, size))
        chunks.append(
            {"chunk": chunk.name, "days": list(chunk.days), "done_before": done, "new": list(new), "files": files,
             "bytes": size}
        )  # fmt: skip
    if args.json:
        request = dataclasses.asdict(plan.request)
        console.print_json(
            {"pipeline": pipeline.name, "request": request, "missing": list(plan.missing), "chunks": chunks}
        )
        return 0
    _note_missing(plan)
    console.say(console.table(rows, ("chunk", "days", "done before", "new", "files", "bytes")))
    marts = ", ".join(mart.id for mart in pipeline.marts)
    console.say(
        f"\n{console.count(len(plan.days) - len(plan.done), 'day')} to apply" + (f"; then {marts}" if marts else "")
    )
    return 0
