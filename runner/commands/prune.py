"""runner prune: what staging and the books keep of old days."""

from __future__ import annotations

import argparse
from typing import Any

from runner import console, database, project, retention, schema, sizes
from runner.commands.load import seconds
from runner.config import Settings
from runner.errors import DayHeld, UsageError
from runner.retention import Old, Pruner


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner prune`."""
    parser.add_argument(
        "--keep", dest="prune_keep", type=int, metavar="N", help="keep the newest N days (keep under [prune])"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would go; change nothing")
    parser.add_argument(
        "--wait",
        type=seconds,
        default=60,
        metavar="SECONDS",
        help="wait for those who read staging, in all (default: 60)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Prune; 0 where only the newest days are left, 3 where a run held an older one."""
    if settings.prune_keep is None:
        raise UsageError(
            "how many days are to be kept?",
            hint="Say --keep 30, or write keep = 30 under [prune] in runner.toml.",
        )
    pipeline = project.discover(settings)
    dsn = database.resolve(settings)
    gone: list[Old] = []
    left: dict[str, DayHeld] = {}
    with schema.connect(dsn, f"runner prune {pipeline.name}") as connection:
        found = retention.find(connection, settings, settings.prune_keep)
        if args.dry_run:
            gone += found.old
        else:
            pruner = Pruner(dsn, settings, found, args.wait, console.note, left.__setitem__)
            try:
                pruner.run(connection, gone.append)
            except BaseException:
                if gone:
                    console.note(f"{_days(gone)} went before this: each day is a transaction of its own")
                raise
    if args.json:
        console.print_json(_document(pipeline.name, settings.prune_keep, args.dry_run, found.kept, gone, left))
    elif gone or not left:
        _say(gone, args.dry_run, len(found.kept), pipeline.name)
    for day, held in left.items():
        console.warn(f"{day} stays: {held.message}")
    return 3 if left else 0


def _days(gone: list[Old]) -> str:
    return console.count(len(gone), "day")


def _say(gone: list[Old], dry_run: bool, kept: int, pipeline: str) -> None:
    if not gone:
        console.say(f"{pipeline}: nothing is older than the newest {console.count(kept, 'day')}")
        return
    rows = [
        (old.day, old.rows, old.rejects, old.metrics, old.check_results, sizes.shown(old.bytes)) for old in gone
    ]  # fmt: skip
    console.say(console.table(rows, ("day", "staging rows", "rejects", "metrics", "check results", "size")))
    size = sizes.shown(sum(old.bytes for old in gone))
    verb = "would go" if dry_run else "gone"
    console.say(f"\n{_days(gone)}, {sum(old.rows for old in gone):,} staging rows, {size} {verb}; {kept} kept whole")
    if any(old.held for old in gone):
        console.note("to apply or verify one of them again, load it first: runner load --day D")


def _document(
    pipeline: str, keep: int, dry_run: bool, kept: tuple[str, ...], gone: list[Old], left: dict[str, DayHeld]
) -> dict[str, Any]:
    return {
        "pipeline": pipeline,
        "keep": keep,
        "dry_run": dry_run,
        "kept": list(kept),
        "pruned": [
            {
                "day": old.day,
                "staging": [vars(each) for each in old.held],
                "rows": old.rows,
                "loads": old.loads,
                "rejects": old.rejects,
                "metrics": old.metrics,
                "check_results": old.check_results,
                "bytes": old.bytes,
            }
            for old in gone
        ],
        "left": [{"day": day, "reason": held.message} for day, held in left.items()],
    }
