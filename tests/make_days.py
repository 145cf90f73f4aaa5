"""Make synthetic days: `python -m tests.make_days --out DIR`. The same options give the same files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from tests.generator import shipped
from tests.generator.files import write_each, write_entity
from tests.generator.odd import sprinkle
from tests.generator.world import ENTITIES, World

# Above this, one file a record is a burden to file systems; details then come in pages too.
_MOST_FILES = 5_000


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    result = argparse.ArgumentParser(prog="python -m tests.make_days", description=__doc__)
    add = result.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="where the sync-<day> folders go")
    add("--shipped", action="store_true", help="make the days that the repository ships; other options do not count")
    add("--days", type=int, default=3, help="how many days (3)")
    add(
        "--first-day",
        type=int,
        default=1,
        help="number of the first day to write (1); the world before it stays the same",
    )
    add("--start", type=date.fromisoformat, default=date(2026, 3, 5), help="date of day 1 (2026-03-05)")
    add("--iso", action="store_true", help="name days by their dates, not day1, day2, …")
    add("--seed", type=int, default=1)
    add("--agents", type=int, default=40, metavar="N")
    add("--details", type=int, metavar="N", help=f"agents with details (as many as agents, at most {_MOST_FILES})")
    add("--groups", type=int, default=15, metavar="N")
    add("--members", type=int, default=4, metavar="N", help="members of a group on average (4)")
    add("--chain-depth", type=int, default=4, metavar="N", help="groups below one another (4)")
    add("--roles", type=int, default=8, metavar="N")
    add("--budgets", type=int, default=10, metavar="N")
    add("--cards", type=int, default=20, metavar="N")
    add("--transactions", type=int, default=100, metavar="N", help="a day (100)")
    add("--late", type=float, default=0.05, metavar="SHARE", help="updates of earlier days among them (0.05)")
    add("--odd", type=float, default=0.01, metavar="SHARE", help="records that drift or are bad (0.01)")
    add(
        "--pad",
        type=int,
        default=0,
        metavar="BYTES",
        help="least size of a transaction in JSON, filled with an ignored field",
    )
    add("--lean", action="store_true", help="leave out the fields of transactions that nobody reads")
    add("--format", choices=("json", "jsonl", "gz", "csv", "parquet", "mixed"), default="json")
    add("--page-size", type=int, default=5_000, metavar="N", help="records a file (5000)")
    add("--only", metavar="E[,E]", help=f"entities to write: {', '.join(ENTITIES)}")
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the days and print how many records each folder got."""
    given = parser().parse_args(arguments)
    if given.shipped:
        shipped.write(given.out)
        return
    world = World(
        seed=given.seed, days=given.days, start=given.start, iso=given.iso, agents=given.agents,
        details=min(given.agents, _MOST_FILES) if given.details is None else given.details,
        groups=given.groups, chain=given.chain_depth, members=given.members, roles=given.roles,
        budgets=given.budgets, cards=given.cards, transactions=given.transactions, late=given.late,
        odd=given.odd, pad=given.pad, payload=not given.lean,
    )  # fmt: skip
    wanted = given.only.split(",") if given.only else list(ENTITIES)
    for day in range(given.first_day, given.first_day + world.days):
        for entity in wanted:
            records = sprinkle(world, entity, day, ENTITIES[entity](world, day))
            folder = given.out / f"sync-{world.name(day)}" / entity
            if entity == "agent_details" and world.details <= _MOST_FILES:
                count = write_each(folder, records)
            else:
                size = world.pad if entity == "transactions" else 0
                count = write_entity(folder, entity, records, given.format, given.page_size, size)
            print(f"{world.name(day)}\t{entity}\t{count}")


if __name__ == "__main__":
    main()
