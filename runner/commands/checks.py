"""runner checks: what the checks of the steps found."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from runner import check_results, checks, console, database, days, metrics, project, schema
from runner.config import Settings
from runner.project import Pipeline

_STATUSES = ("passed", "warned", "failed")


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner checks`."""
    parser.add_argument("--day", metavar="D", help="of one day")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print what each check found when its step ran last, and the first rows of those that found any.

    Of all days together a line a check, with the newest of its findings; of one day, or as JSON, each result.
    """
    pipeline = project.discover(settings)
    day = days.check(args.day) if args.day is not None else None
    with schema.connect(database.resolve(settings), "runner checks") as connection:
        if metrics.nothing_yet(connection):
            found = []
        elif day is None and not args.json:
            found = check_results.summary(connection, pipeline.name)
        else:
            found = check_results.latest(connection, pipeline.name, day)
    if args.json:
        console.print_json(found)
        return 0
    if not found:
        if not pipeline.checks:
            console.note(f"{pipeline.name} has no checks: put them into {settings.migrations / 'checks'}")
        else:
            console.note("no checks were run" + ("" if day is None else f" on {day}") + " yet: runner apply --day D")
        return 0
    (_say_summary if day is None else _say_results)(found)
    _say_findings(pipeline, found)
    counted = (
        Counter(row["status"] for row in found)
        if day is not None
        else Counter({status: sum(row[status] for row in found) for status in _STATUSES})
    )
    told = [f"{counted[status]:,} {status}" for status in _STATUSES if counted[status]]
    console.say(f"\n{', '.join(told)}")
    return 0


def _say_results(found: list[dict[str, Any]]) -> None:
    rows = [
        (
            row["day"], row["step"], row["check_name"], row["severity"], row["status"], row["rows_failed"],
            f"{row['seconds']:.3f}", f"{row['checked_at']:%Y-%m-%d %H:%M:%S}",
        )
        for row in found
    ]  # fmt: skip
    headers = ("day", "step", "check", "severity", "status", "rows", "seconds", "checked")
    console.say(
        console.table(rows, headers, colours={"passed": "green", "warned": "yellow", "failed": "red", "error": "dim"})
    )


def _say_summary(found: list[dict[str, Any]]) -> None:
    """Print a line a check: on how many days it passed or not, and where it found something last."""
    rows = [
        (
            row["step"], row["check_name"], row["severity"], row["passed"], row["warned"], row["failed"],
            row["day"], row["rows_failed"],
        )
        for row in found
    ]  # fmt: skip
    headers = ("step", "check", "severity", "passed", "warned", "failed", "last found", "rows")
    console.say(console.table(rows, headers, colours={"error": "dim"}))


def _say_findings(pipeline: Pipeline, found: list[dict[str, Any]]) -> None:
    described = {check.name: check.description for check in pipeline.checks}
    for row in found:
        if row["rows_failed"]:
            what = described.get(row["check_name"], "rows that must not exist")
            console.say(f"\n{row['day']}  {row['check_name']}: {console.count(row['rows_failed'], 'row')}: {what}")
            console.say(console.printable("\n".join(checks.sample_lines(row["sample"], row["rows_failed"]))))
