"""runner rejects: which records were kept out or mended, and why."""

from __future__ import annotations

import argparse
from typing import Any

from runner import console, database, days, loading, metrics, project, schema
from runner.commands.metrics import rows as number
from runner.config import Settings
from runner.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner rejects`."""
    parser.add_argument("--day", metavar="D", help="of one day")
    parser.add_argument("--entity", metavar="E", help="of one entity, by its folder's name")
    parser.add_argument("--severity", choices=("reject", "warning"), help="only records kept out, or only warnings")
    parser.add_argument("--limit", type=number, default=50, metavar="N", help="show N of them (default: 50; 0: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON document, with the raw records")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print rejects and warnings, and how many there are of each reason."""
    pipeline = project.discover(settings)
    day = days.check(args.day) if args.day is not None else None
    found: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    known_day = False
    with schema.connect(database.resolve(settings), "runner rejects") as connection:
        if not metrics.nothing_yet(connection):
            found, counts = metrics.rejects(
                connection,
                pipeline.name,
                day=day,
                entity=args.entity,
                severity=args.severity,
                limit=args.limit or None,
            )
            known_day = day is not None and metrics.is_loaded(connection, pipeline.name, day)
    if not found and args.entity is not None and args.entity not in (known := loading.declared(settings)):
        raise UsageError(
            f"{pipeline.name} declares no entity {args.entity!r}",
            hint=f"Entities: {', '.join(known)}." if known else f"It declares none under {settings.declarations}.",
        )
    if args.json:
        console.print_json(found)
        return 0
    if not found:
        none = f"no {args.severity}s" if args.severity else "no rejects and no warnings"
        console.say(none if day is None or known_day else f"{day} is not loaded")
        return 0
    headers = ("day", "entity", "severity", "file:record", "field", "key", "value", "reason")
    rows = [
        (
            row["day"], row["entity"], row["severity"], f"{row['source_file']}:{row['position']}",
            row["field"], row["record_key"], row["raw_value"], row["reason"],
        )
        for row in found
    ]  # fmt: skip
    console.say(console.table(rows, headers, width=60, colours={"reject": "red", "warning": "yellow"}))
    left = sum(counts.values()) - len(found)
    more = f"; {left:,} more with --limit 0" if left else ""
    told = [console.count(counts.get(kind, 0), kind) for kind in ("reject", "warning") if args.severity in (None, kind)]
    console.say(f"\n{', '.join(told)}{more}")
    return 0
