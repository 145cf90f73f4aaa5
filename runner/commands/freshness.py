"""runner freshness: how old the newest data of each table is."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence

from runner import console, database, durations, freshness, metrics, project, schema
from runner.config import Settings
from runner.errors import UsageError
from runner.freshness import Freshness, Rule
from runner.relation import suggestion


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner freshness`."""
    parser.add_argument("--table", metavar="T[,T]", help="only these tables")
    parser.add_argument("--warn", metavar="AGE", help="warn of data that is older (default: never)")
    parser.add_argument(
        "--error", metavar="AGE", help="data that is older is stale, and the exit code 1 (default: 25h)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the newest data of each table and its age; 1 where any is stale."""
    pipeline = project.discover(settings)
    warn, error = (
        freshness.duration(text, f"--{name}") if text is not None else None
        for name, text in (("warn", args.warn), ("error", args.error))
    )
    rules = _chosen(freshness.rules(settings, pipeline.steps, warn, error), args.table)
    with schema.connect(database.resolve(settings), "runner freshness") as connection:
        if metrics.nothing_yet(connection):
            found = [Freshness(rule, None, None) for rule in rules]
        else:
            found = freshness.look(connection, pipeline.name, rules)
    stale = any(one.level == "stale" for one in found)
    if args.json:
        console.print_json([one.document() for one in found])
        return int(stale)
    if not found:
        console.note(f"{pipeline.name} has no steps yet, and so no tables to look at")
        return 0
    headers = ("table", "by", "newest", "age", "limit", "level")
    colours = {"fresh": "green", "warning": "yellow", "stale": "red", "skipped": "dim"}
    console.say(console.table(map(row, found), headers, colours=colours))
    counted = Counter[str](one.level for one in found)
    console.say("\n" + ", ".join(f"{counted[level]} {level}" for level in colours if counted[level]))
    return int(stale)


def row(found: Freshness) -> tuple[str, ...]:
    """Return the cells that tell a person what was found."""
    rule = found.rule
    limit = rule.warn if found.level == "warning" and rule.warn is not None else rule.error
    return (
        rule.table, rule.column or "last run", f"{found.newest:%Y-%m-%d %H:%M:%S}" if found.newest else "never",
        durations.shown(found.age) if found.age is not None else "", durations.shown(limit), found.level,
    )  # fmt: skip


def _chosen(rules: Sequence[Rule], names: str | None) -> list[Rule]:
    if names is None:
        return list(rules)
    known = {rule.table: rule for rule in rules}
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known:
            near = suggestion(name, list(known))
            raise UsageError(
                f"no step writes a table {name!r}, and [freshness.tables] does not name it{near}",
                hint=f"There are {', '.join(known)}.",
            )
    return [known[name] for name in dict.fromkeys(wanted)]
