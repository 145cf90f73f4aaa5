"""runner status: days and steps at a glance."""

from __future__ import annotations

import argparse

from runner import console, database, days, metrics, project
from runner.config import Settings

_MARKS = {"success": ("ok", "green"), "skipped": ("skipped", "dim"), "failure": ("FAILED", "red")}


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner status`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print a row a day: how each step ended last, and who runs the day now."""
    pipeline = project.discover(settings)
    with database.connect(database.resolve(settings), "runner status") as connection:
        found = {} if metrics.nothing_yet(connection) else metrics.states(connection, pipeline.name)
        running = {} if metrics.nothing_yet(connection) else _running(connection, pipeline.name)
    names = sorted({day for day, _ in found} | set(running), key=days.order)
    steps = {day: {step.id: found.get((day, step.task_name)) for step in pipeline.steps} for day in names}
    if args.json:
        console.print_json(
            [
                {
                    "day": day,
                    "steps": {name: state.status if state else None for name, state in steps[day].items()},
                    "running": running.get(day),
                }
                for day in names
            ]
        )
        return 0
    if not names:
        console.note("no day was applied yet: runner apply --day D")
        return 0
    rows = []
    for day in names:
        last = max((state.finished_at for state in steps[day].values() if state), default=None)
        marks = [_MARKS[state.status][0] if state else "-" for state in steps[day].values()]
        rows.append((day, *marks, f"{last:%Y-%m-%d %H:%M:%S}" if last else "", running.get(day, "")))
    console.say(console.table(rows, ("day", *(step.id for step in pipeline.steps), "last", "running")))
    return 0


def _running(connection: database.Connection, pipeline: str) -> dict[str, str]:
    """Return day -> holder, for leases that are alive."""
    rows = connection.execute(
        "select day, format('%%s on %%s (pid %%s)', flow_run_id, host, pid) from runner_leases"
        " where pipeline = %s and heartbeat_at > clock_timestamp() - interval '1 minute'",
        (pipeline,),
    )
    return dict(rows.fetchall())
