"""The marts of Zluri on the shipped days, against sums worked out apart; its checkpoints, each seen to find."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import checkpoint, checks, cli, mart, mart_making, mart_refresh
from runner.checks import CheckResult
from tests.conftest import ROOT, Server
from tests.model import chain
from tests.model.files import read_folder
from tests.model.warehouse import Warehouse as Model

Connection = psycopg.Connection[tuple[Any, ...]]

DAYS = ("day1", "day2", "day3")


@pytest.fixture(scope="module")
def shipped(server: Server, template: str) -> Iterator[tuple[str, Model]]:
    """A database with the shipped days applied and the marts refreshed, and the model of it."""
    name = server.create(template)
    url, model = server.on(name), Model()
    with psycopg.connect(url, autocommit=True) as connection:
        mart_making.migrate(connection, "zluri", chain.PIPELINE.marts)
        chain.fill_rates(connection)
        for day in DAYS:
            content = read_folder(ROOT / "tests" / "days" / f"sync-{day}")
            chain.apply(connection, day, content)
            model.apply(day, content)
    mart_refresh.refresh(url, "zluri", chain.PIPELINE.marts)
    yield url, model
    server.drop(name)


@pytest.fixture
def days(shipped: tuple[str, Model]) -> Iterator[Connection]:
    """A connection to that database, whose changes are taken back."""
    with psycopg.connect(shipped[0]) as connection:
        connection.execute("set time zone 'UTC'")
        yield connection
        connection.rollback()


def test_spend(days: Connection, shipped: tuple[str, Model]) -> None:
    """Each transaction counts once, in its month, currency and budget, with its amount to the last digit."""
    tables = shipped[1].tables()
    expected: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, Decimal(0), None, 0])
    for row in tables["transactions"].values():
        month = row["occurred_time"].date().replace(day=1)
        found = expected[month, row["original_currency"], row["budget_id"] or ""]
        found[0] += 1
        found[1] += row["original_amount"]
        if row["amount_usd"] is not None:
            found[2] = (found[2] or 0) + row["amount_usd"]
        found[3] += row["fx_source"] == "MISSING"
    names = {key: row["name"] for (key,), row in tables["budgets"].items()}
    rows = days.execute(
        "select month, currency, budget_id, transactions, amount, amount_usd, unpriced, budget_name from monthly_spend"
    ).fetchall()
    assert {row[:3]: list(row[3:7]) for row in rows} == dict(expected)
    assert {row[2]: row[7] for row in rows} == {row[2]: names.get(row[2]) for row in rows}


def test_activity(days: Connection, shipped: tuple[str, Model]) -> None:
    """Agents and groups of each day, as its files name them; who came and left is seen from the day before."""
    rows = days.execute(
        "select day, agents, agents_active, agents_came, agents_left, groups, groups_active"
        " from daily_activity order by day_key"
    ).fetchall()
    history = shipped[1].tables()["agent_status_history"].values()
    before: set[int] | None = None
    expected: list[tuple[Any, ...]] = []
    for day in DAYS:
        active = {row["agent_id"] for row in history if row["day"] == day and row["is_active"]}
        came, left = (None, None) if before is None else (len(active - before), len(before - active))
        content = read_folder(ROOT / "tests" / "days" / f"sync-{day}")
        groups = Model().apply(day, content).newest("admin_groups").values()
        members = [set(row["agent_ids"]) for row in groups if row["agent_ids"] is not None]
        expected.append(
            (
                day,
                sum(row["day"] == day for row in history),
                *(len(active), came, left),
                *(len(members), sum(bool(named & active) for named in members)),
            )
        )
        before = active
    assert rows == expected


def test_health(days: Connection) -> None:
    """Each day was applied once; day2 has no roles, day3 neither budgets nor cards."""
    rows = days.execute(
        "select day, runs, steps_done, steps_skipped, failures, runs_with_failures, last_failure_at,"
        " rows_changed = (select sum(rows_affected) from pipeline_metrics where pipeline_metrics.day = health.day)"
        " from pipeline_health as health order by day"
    ).fetchall()
    assert rows == [
        ("day1", 1, 7, 0, 0, 0, None, True),
        ("day2", 1, 5, 2, 0, 0, None, True),
        ("day3", 1, 5, 2, 0, 0, None, True),
    ]


# Checkpoint -> what breaks its rule behind the steps' back, and the first column of the rows that it then finds.
BROKEN = {
    "010_staging_is_whole": ("delete from stg_cards where day = 'day2'", ["cards"]),
    "020_nobody_is_orphaned": (
        "insert into group_membership values (1, 2); insert into agent_status_history values (3, 'day2', true)",
        ["agent_status_history", "group_membership"],
    ),
    "030_totals_agree": (
        "delete from transactions where original_currency = 'EUR';"
        " update transactions set original_amount = original_amount + 0.01, amount_usd = null, exchange_rate = null,"
        " fx_source = 'MISSING' where original_currency = 'GBP'",
        ["EUR", "GBP"],
    ),
}


def found(connection: Connection, day: str) -> dict[str, CheckResult]:
    """Return what each checkpoint of a day finds."""
    connection.execute("select set_config('app.day', %s, true)", (day,))
    return {result.check: result for result in checks.run(connection, chain.PIPELINE.checkpoints)}


@pytest.mark.parametrize("day", DAYS)
def test_the_shipped_days_pass(days: Connection, day: str) -> None:
    """Each of them, also when later ones have been applied."""
    assert {result.check: result.sample for result in found(days, day).values() if result.status != "passed"} == {}


@pytest.mark.parametrize("name", [checkpoint.name for checkpoint in chain.PIPELINE.checkpoints])
def test_each_checkpoint_finds_what_it_is_for(days: Connection, name: str) -> None:
    """A table that breaks its rule is found, in rows that begin with the key."""
    statement, keys = BROKEN[name]
    days.execute(statement.encode())
    assert [next(iter(row.values())) for row in found(days, "day2")[name].sample] == keys


PAGE = (ROOT / "docs" / "marts.md").read_text(encoding="utf-8")


def test_the_page_knows_what_is_shipped(days: Connection) -> None:
    """It has a row for each mart and each checkpoint, and every column of a mart."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE))
    shipped = {one.name for one in chain.PIPELINE.marts} | {each.name for each in chain.PIPELINE.checkpoints}
    assert shipped <= rows.keys()
    for one in chain.PIPELINE.marts:
        described = days.execute(f"select * from {one.name} limit 0".encode()).description or ()
        missing = [column.name for column in described if not re.search(rf"`{column.name}`", rows[one.name])]
        assert missing in ([], ["day"], ["month", "currency"])  # which are what a row is of


def test_the_pages_examples(tmp_path: Path, shipped: tuple[str, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its checkpoint is one, its mart is one where the dots stand for a query, and its commands are known."""
    first, second = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "010_members.sql").write_text(first, encoding="utf-8")
    assert checkpoint.read(tmp_path / "010_members.sql", tmp_path).severity == "error"
    (tmp_path / "010_monthly_spend.sql").write_text(second.replace("…", "1 as month"), encoding="utf-8")
    assert mart.read(tmp_path / "010_monthly_spend.sql", tmp_path).name == "monthly_spend"
    monkeypatch.setenv("DATABASE_URL", shipped[0])
    (console,) = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in console.splitlines():
        words = line.partition("#")[0].split()
        assert words[0] == "runner" and cli.main([*words[1:], "--project", str(ROOT)]) == 0
