"""runner status: days and steps at a glance."""

from __future__ import annotations

import argparse

from runner import console, database, days, lease, metrics, project
from runner.config import Settings

_MARKS = {"success": "ok", "skipped": "skipped", "failure": "FAILED"}
_COLOURS = {"ok": "green", "skipped": "dim", "-": "dim", "FAILED": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner status`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print a row a day: how each step ended last, and who runs the day now."""
    pipeline = project.discover(settings)
    with database.connect(database.resolve(settings), "runner status") as connection:
        found = {} if metrics.nothing_yet(connection) else metrics.states(connection, pipeline.name)
        running = {} if metrics.nothing_yet(connection) else lease.holders(connection, pipeline.name)
    names = sorted({day for day, _ in found} | set(running), key=days.order)
    steps = {day: {step.id: found.get((day, step.task_name)) for step in pipeline.steps} for day in names}
    last = {
        day: max((state.finished_at for state in steps[day].values() if state), default=None) for day in names
    }  # fmt: skip
    if args.json:
        console.print_json(
            [
                {
                    "day": day,
                    "steps": {name: state.status if state else None for name, state in steps[day].items()},
                    "finished_at": last[day],
                    "running": vars(running[day]) if day in running else None,
                }
                for day in names
            ]
        )
        return 0
    if not names:
        console.note("no day was applied yet: runner apply --day D")
        return 0
    rows = [
        (
            day,
            *(_MARKS[state.status] if state else "-" for state in steps[day].values()),
            f"{last[day]:%Y-%m-%d %H:%M:%S}" if last[day] else "",
            running.get(day, ""),
        )
        for day in names
    ]
    headers = ("day", *(step.id for step in pipeline.steps), "last", *(("running",) if running else ()))
    console.say(console.table([row[: len(headers)] for row in rows], headers, colours=_COLOURS))
    return 0
