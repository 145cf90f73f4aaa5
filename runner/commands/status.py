"""runner status: days and steps at a glance."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping

from runner import check_results, console, database, days, lease, metrics, project, schema
from runner.config import Settings
from runner.metrics import StepState

_MARKS = {"success": "ok", "skipped": "skipped", "failure": "FAILED"}
_COLOURS = {"ok": "green", "skipped": "dim", "-": "dim", "FAILED": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner status`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print a row a day: how each step and the checkpoints ended last, and who runs the day now."""
    pipeline = project.discover(settings)
    with schema.connect(database.resolve(settings), "runner status") as connection:
        new = metrics.nothing_yet(connection)
        found = {} if new else metrics.states(connection, pipeline.name)
        running = {} if new else lease.holders(connection, pipeline.name)
        results = [] if new else check_results.latest(connection, pipeline.name, status="warned")
        checked = {} if new else check_results.checkpoints(connection, pipeline.name)
    warned = Counter((row["day"], row["step"]) for row in results)
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
                    "warnings": {name: warned[day, name] for name in steps[day] if warned[day, name]},
                    "checkpoints": checked.get(day),
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
            *(_mark(state, warned[day, name]) for name, state in steps[day].items()),
            *([_checkpoints(checked.get(day), len(pipeline.checkpoints))] if pipeline.checkpoints else ()),
            f"{last[day]:%Y-%m-%d %H:%M:%S}" if last[day] else "",
            running.get(day, ""),
        )
        for day in names
    ]
    shown = ["day", *(step.id for step in pipeline.steps), *(["checkpoints"] if pipeline.checkpoints else [])]
    headers = (*shown, "last", *(("running",) if running else ()))
    colours = _COLOURS | {f"ok, {console.count(number, 'warning')}": "yellow" for number in warned.values()}
    console.say(console.table([row[: len(headers)] for row in rows], headers, colours=colours))
    return 0


def _mark(state: StepState | None, warnings: int) -> str:
    """Return what a day and step show: how it ended last, and how many of its checks warned then."""
    mark = _MARKS[state.status] if state else "-"
    return f"{mark}, {console.count(warnings, 'warning')}" if mark == "ok" and warnings else mark


def _checkpoints(found: Mapping[str, int] | None, known: int) -> str:
    """Return what a day shows of its checkpoints; those that could not be run, or are new, have found nothing."""
    if found is None:
        return "-"
    if found["failed"]:
        return "FAILED"
    if (done := sum(found.values())) < known:
        return f"{done} of {known}"
    return f"ok, {console.count(found['warned'], 'warning')}" if found["warned"] else "ok"
