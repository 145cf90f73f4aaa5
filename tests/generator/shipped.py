"""The small days that the repository ships: ordinary records, and every oddity the sources may bring."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from tests.generator import oddities
from tests.generator.files import as_array, as_csv, as_gzip, as_lines, as_parquet, as_results, encode
from tests.generator.world import World, agents, budgets, cards, details, groups, roles, transactions

WORLD = World(
    seed=5, start=date(2026, 3, 5), agents=30, details=30, groups=12, chain=3, members=2, roles=6, budgets=8, cards=12,
    transactions=45, late=0.15, payload=False,
)  # fmt: skip
_BOM = b"\xef\xbb\xbf"


def day1() -> dict[str, bytes]:
    """Everything is there, in many forms of file. File below the day's folder -> content."""
    people, happened = list(agents(WORLD, 1)), list(transactions(WORLD, 1))
    lean, full = happened[:30], list(transactions(replace(WORLD, payload=True), 1))[30:]
    return {
        "agents/page-1.json": _BOM + as_results(people[:15]),
        "agents/page-2.json": as_array([*people[15:], *oddities.agents_day1_page2()]),
        "agents/page-10.json": as_results(oddities.agents_day1_page10()),
        "agents/page-3-odd.jsonl": as_lines(oddities.agents_day1()),
        "agents/_SUCCESS": b"",
        "agents/.DS_Store": b"\x00\x00\x00\x01Bud1 no source file\n",
        **{f"agent_details/{record['id']}.json": _object(record) for record in details(WORLD, 1)},
        **{f"agent_details/{name}.json": _object(record) for name, record in oddities.details_day1().items()},
        "admin_groups/page-1.json": as_results(groups(WORLD, 1)),
        "admin_groups/page-2-odd.json": as_results(oddities.groups_day1()),
        "roles/roles.json": as_array([*roles(WORLD, 1), *oddities.roles_day1()]),
        "budgets/budgets.csv": as_csv("budgets", [*budgets(WORLD, 1), *oddities.budgets_day1()], ("note",)),
        "cards/cards.parquet": as_parquet("cards", cards(WORLD, 1)),
        "cards/odd.ndjson": as_lines(oddities.cards_day1()),
        "transactions/page-1.json": as_results(lean),
        "transactions/page-2.jsonl.gz": as_gzip(as_lines(full)),
        "transactions/page-3-odd.json": as_results(oddities.transactions_day1()),
    }


def day2() -> dict[str, bytes]:
    """No roles and no agent_details: the steps that read them are skipped."""
    happened = list(transactions(WORLD, 2))
    return {
        "agents/page-1.json": as_results(agents(WORLD, 2)),
        "agents/page-2-odd.json": as_results(oddities.agents_day2()),
        "admin_groups/groups.jsonl": as_lines([*groups(WORLD, 2), *oddities.groups_day2()]),
        "admin_groups/_tmp/half.json": b'{"results": [{"id": 1, ',
        "budgets/budgets.json": as_results([*budgets(WORLD, 2), *oddities.budgets_day2()]),
        "cards/cards.json": as_results([*cards(WORLD, 2), *oddities.cards_day2()]),
        "transactions/page-1.jsonl": as_lines(happened[:25]),
        "transactions/page-2.json.gz": as_gzip(as_results(happened[25:])),
        "transactions/page-3-odd.json": as_array(oddities.transactions_day2()),
    }


def day3() -> dict[str, bytes]:
    """No budgets and no cards; agents as CSV, transactions as Parquet and in folders."""
    happened = list(transactions(WORLD, 3))
    return {
        "agents/agents.csv": as_csv("agents", [*agents(WORLD, 3), *oddities.agents_day3()], ("note",)),
        **{f"agent_details/{record['id']}.json": _object(record) for record in list(details(WORLD, 3))[:12]},
        **{f"agent_details/{name}.json": _object(record) for name, record in oddities.details_day3().items()},
        "admin_groups/groups.json": as_results([*groups(WORLD, 3), *oddities.groups_day3()]),
        "roles/roles.json": as_results([*roles(WORLD, 3), *oddities.roles_day3()]),
        "transactions/east/page-1.parquet": as_parquet("transactions", happened[:20]),
        "transactions/west/page-1.json": as_results(happened[20:]),
        "transactions/west/page-2-odd.json": as_results(oddities.transactions_day3()),
    }


def _object(record: oddities.Record) -> bytes:
    return (encode(record) + "\n").encode()


DAYS = {"day1": day1, "day2": day2, "day3": day3}


def write(base: Path) -> None:
    """Write `sync-day1` to `sync-day3` below `base`."""
    for day, files in DAYS.items():
        for name, content in files().items():
            path = base / f"sync-{day}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
