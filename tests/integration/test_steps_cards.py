"""030_budgets and 031_cards: the latest day's budget, the newest card."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.steps import Row, Warehouse


@pytest.fixture
def warehouse(connection: psycopg.Connection[tuple[Any, ...]]) -> Warehouse:
    """An empty warehouse."""
    return Warehouse(connection)


@pytest.mark.parametrize("order", [["day2", "day10"], ["day10", "day2"]], ids=["in order", "reversed"])
def test_a_budget_is_the_latest_days(warehouse: Warehouse, order: list[str]) -> None:
    """The later day's budget stands, whichever is applied first."""
    for day in order:
        warehouse.run(day, budgets=[{"budget_id": "b", "name": day}])
    assert warehouse.rows("select name from budgets") == [("day10",)]


def test_a_budget_that_the_latest_day_does_not_have_stays(warehouse: Warehouse) -> None:
    """The latest day that has the budget counts; applying it again without the budget takes nothing back."""
    warehouse.run("day1", budgets=[{"budget_id": "b"}])
    warehouse.run("day2", budgets=[{"budget_id": "c"}])
    warehouse.run("day1", budgets=[])
    assert warehouse.rows("select budget_id from budgets order by budget_id") == [("b",), ("c",)]


def test_within_a_day_the_last_budget_stands(warehouse: Warehouse) -> None:
    """Budgets have no time of update: file order decides."""
    warehouse.run("day1", budgets=[{"budget_id": "b", "name": "first"}, {"budget_id": "b", "name": "last"}])
    assert warehouse.rows("select name from budgets") == [("last",)]


def test_a_corrected_budget_is_replaced(warehouse: Warehouse) -> None:
    """A day applied again with another amount writes it, exactly."""
    warehouse.run("day1", budgets=[{"budget_id": "b", "limit_amount": Decimal("1")}])
    counts = warehouse.run("day1", budgets=[{"budget_id": "b", "limit_amount": Decimal("0.1000000000000000000001")}])
    assert warehouse.rows("select limit_amount from budgets") == [(Decimal("0.1000000000000000000001"),)]
    assert counts["budgets"] == (0, 1, 0, "success")


@pytest.mark.parametrize("order", [["day1", "day2"], ["day2", "day1"]], ids=["in order", "reversed"])
def test_the_newest_card_wins(warehouse: Warehouse, order: list[str]) -> None:
    """Time decides, then the later day; no time is oldest."""
    early, late = "2024-01-01T00:00:00Z", "2024-06-01T00:00:00Z"
    entities: dict[str, list[Row]] = {
        "day1": [
            {"card_id": "a", "name": "new", "updated_time": late},
            {"card_id": "b", "name": "day1", "updated_time": early},
            {"card_id": "c", "name": "timed", "updated_time": early},
        ],
        "day2": [
            {"card_id": "a", "name": "old", "updated_time": early},
            {"card_id": "b", "name": "day2", "updated_time": early},
            {"card_id": "c", "name": "bare", "updated_time": None},
        ],
    }
    for day in order:
        warehouse.run(day, cards=entities[day])
    assert warehouse.rows("select card_id, name from cards order by card_id") == [
        ("a", "new"),
        ("b", "day2"),
        ("c", "timed"),
    ]


@pytest.mark.parametrize("entity", ["budgets", "cards"])
def test_a_day_without_the_folder_is_skipped(warehouse: Warehouse, entity: str) -> None:
    """A missing folder leaves a metrics row that says so."""
    assert warehouse.run("day1")[entity] == (0, 0, 0, "skipped")


@pytest.mark.parametrize("entity", ["budgets", "cards"])
def test_an_empty_file_is_not_a_missing_folder(warehouse: Warehouse, entity: str) -> None:
    """A folder without records is applied, and changes nothing."""
    assert warehouse.run("day1", **{entity: []})[entity] == (0, 0, 0, "success")
