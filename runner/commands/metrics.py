"""runner metrics: what each step did."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from datetime import datetime

from runner import console, database, days, metrics, project, schema
from runner.config import Settings


def rows(text: str) -> int:
    """Return how many rows to show, refusing a negative number."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner metrics`."""
    parser.add_argument("--day", metavar="D", help="rows of one day")
    parser.add_argument("--run", metavar="ID", help="rows of one run, by its flow_run_id or how that begins")
    parser.add_argument("--limit", type=rows, default=100, metavar="N", help="the newest N rows (default: 100; 0: all)")
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table")
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print metrics rows, oldest first."""
    pipeline = project.discover(settings)
    day = days.check(args.day) if args.day is not None else None
    with schema.connect(database.resolve(settings), "runner metrics") as connection:
        found = (
            []
            if metrics.nothing_yet(connection)
            else metrics.rows(connection, pipeline.name, day=day, run=args.run, limit=args.limit or None)
        )
    if args.format == "json":
        console.print_json(found)
    elif args.format == "csv":
        written = io.StringIO()
        writer = csv.DictWriter(written, metrics.COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _text(value) for key, value in row.items()} for row in found)
        # A file or a program gets it as it is.
        sys.stdout.write(console.printable(written.getvalue()) if sys.stdout.isatty() else written.getvalue())
    elif not found:
        asked = args.run is not None or day is not None
        console.note("there are no such metrics" if asked else "no metrics yet: runner apply --day D")
    else:
        _print_table(found)
    return 0


def _text(value: object) -> object:
    """Times as in JSON; a number keeps its digits, nothing stays nothing."""
    return console.plain(value) if isinstance(value, datetime) else value


def _print_table(found: list[dict[str, object]]) -> None:
    headers = ("day", "step", "table", "inserted", "updated", "deleted", "status", "try", "seconds", "finished", "run")
    lines = [
        (
            row["day"], row["pipeline_name"], row["table_name"], row["rows_inserted"], row["rows_updated"],
            row["rows_deleted"], row["status"], row["attempt"], f"{row['duration_seconds'] or 0:.3f}",
            f"{row['finished_at']:%Y-%m-%d %H:%M:%S}", str(row["flow_run_id"])[:8],
        )
        for row in found
    ]  # fmt: skip
    console.say(console.table(lines, headers, colours={"success": "green", "skipped": "dim", "failure": "red"}))
    for row in found:
        if row["error_message"]:
            console.say(f"\n{row['day']} {row['pipeline_name']}: {console.printable(str(row['error_message']))}")
