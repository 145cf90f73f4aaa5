"""What all steps have in common: reruns touch nothing, metrics tell the truth, psql runs them as they are."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import psycopg
import pytest

from runner import embedded
from tests.steps import KEYS, STEPS, Row, Warehouse

EARLY, LATE = "2024-01-01T00:00:00Z", "2024-06-01T00:00:00Z"
Day = dict[str, Any]

# Two days that make every kind of change in every table.
DAY_1: Day = {
    "agents": [{"agent_id": 1, "updated_at": EARLY}, {"agent_id": 2, "updated_at": LATE}, {"agent_id": 3}],
    "agent_details": [{"agent_id": 1, "role_ids": [10, 12]}, {"agent_id": 4, "role_ids": [11, 99]}],
    "rejected_agents": [7, 8],
    "roles": [{"role_id": 10}, {"role_id": 11}],
    "admin_groups": [
        {"group_id": 1, "agent_ids": [1, 5]},
        {"group_id": 2, "parent_group_id": 1, "agent_ids": [2, 3]},
        {"group_id": 3, "parent_group_id": 3},
    ],
    "budgets": [{"budget_id": "a"}, {"budget_id": "b"}],
    "cards": [{"card_id": "a", "updated_time": LATE}, {"card_id": "b"}],
    "transactions": [
        {"transaction_id": "a", "updated_time": LATE},
        {"transaction_id": "b", "merchant_name": "superseded"},
        {"transaction_id": "b", "currency": "AED"},
        {"transaction_id": "c", "currency": "AED", "payload_rate": 0.25},
    ],
}
DAY_2: Day = {
    "agents": [{"agent_id": 2, "updated_at": EARLY}, {"agent_id": 5}, {"agent_id": 7}],
    "agent_details": [{"agent_id": 1, "role_ids": [10]}, {"agent_id": 2, "role_ids": None}],
    "rejected_agents": [8, 9],
    "roles": [{"role_id": 12, "name": "Late"}],
    "admin_groups": [{"group_id": 1, "agent_ids": [2]}, {"group_id": 4, "parent_group_id": 3, "agent_ids": [5]}],
    "budgets": [{"budget_id": "b", "name": "Changed"}],
    "cards": [{"card_id": "a", "updated_time": EARLY}, {"card_id": "b", "name": "Changed"}],
    "transactions": [
        {"transaction_id": "a", "updated_time": EARLY},
        {"transaction_id": "b", "merchant_name": "Changed"},
        {"transaction_id": "d"},
    ],
}
NOTHING: Day = {"agent_details": [], "roles": [], "budgets": [], "cards": []}
REQUIRED_ONLY: Day = {}

SEQUENCES = {
    "in order": [("day1", DAY_1), ("day2", DAY_2)],
    "out of order": [("day2", DAY_2), ("day1", DAY_1)],
    "corrected": [("day1", DAY_1), ("day1", DAY_2)],
    "emptied": [("day1", DAY_1), ("day1", NOTHING)],
    "folders gone": [("day1", DAY_1), ("day2", DAY_2), ("day2", REQUIRED_ONLY)],
    "corrected late": [("day1", DAY_1), ("day3", DAY_1), ("day1", DAY_2), ("day2", DAY_2)],
}


@pytest.fixture
def warehouse(connection: psycopg.Connection[tuple[Any, ...]]) -> Warehouse:
    """An empty warehouse."""
    return Warehouse(connection)


@pytest.mark.parametrize("days", SEQUENCES.values(), ids=list(SEQUENCES))
def test_metrics_count_the_real_changes(warehouse: Warehouse, days: list[tuple[str, Day]]) -> None:
    """Inserted, updated and deleted rows are those found by comparing all tables before and after each step."""
    for day, entities in days:
        warehouse.stage(day, **entities)
        for step in STEPS:
            before = warehouse.content()
            ((_, counts),) = warehouse.apply(day, step.stem).items()
            after = warehouse.content()
            inserted = sum(len(after[table].keys() - before[table].keys()) for table in KEYS)
            deleted = sum(len(before[table].keys() - after[table].keys()) for table in KEYS)
            updated = sum(
                before[table][key] != after[table][key] for table in KEYS for key in before[table].keys() & after[table]
            )
            assert (step.stem, *counts[:3]) == (step.stem, inserted, updated, deleted)


@pytest.mark.parametrize("days", SEQUENCES.values(), ids=list(SEQUENCES))
def test_a_rerun_touches_no_row(warehouse: Warehouse, days: list[tuple[str, Day]]) -> None:
    """Applying the last day again neither writes nor locks a row, and says 0/0/0."""
    for day, entities in days:
        warehouse.run(day, **entities)
    before = warehouse.places()
    counts = warehouse.apply(days[-1][0])
    assert {name: each[:3] for name, each in counts.items()} == dict.fromkeys(counts, (0, 0, 0))
    assert warehouse.places() == before


def test_every_step_names_itself(warehouse: Warehouse) -> None:
    """`020_groups` writes groups_task, groups and its main table."""
    warehouse.run("day1")
    assert warehouse.rows("select task_name, pipeline_name, table_name, day from pipeline_metrics order by id") == [
        ("agents_task", "agents", "agents", "day1"),
        ("roles_task", "roles", "roles", "day1"),
        ("agent_roles_task", "agent_roles", "agent_role_mapping", "day1"),
        ("groups_task", "groups", "groups", "day1"),
        ("budgets_task", "budgets", "budgets", "day1"),
        ("cards_task", "cards", "cards", "day1"),
        ("transactions_task", "transactions", "transactions", "day1"),
    ]


def test_the_clock_is_looked_at_after_the_work(warehouse: Warehouse) -> None:
    """A step's duration is that of its transaction, never the 0 of a clock that stands still in it."""
    warehouse.run("day1", **DAY_1)
    assert (
        warehouse.rows(
            "select task_name from pipeline_metrics where duration_seconds <= 0"
            " or duration_seconds <> extract(epoch from finished_at - started_at)"
        )
        == []
    )


def test_no_temporary_table_outlives_its_step(warehouse: Warehouse) -> None:
    """Steps of a run share a connection, and may use the same names."""
    warehouse.run("day1", **DAY_1)
    assert warehouse.rows("select relname from pg_class where relpersistence = 't' and relkind = 'r'") == []


def test_psql_runs_the_files_as_they_are(warehouse: Warehouse, database: str) -> None:
    """Once the two settings are made, `psql -f` does what the runner does."""
    psql = shutil.which("psql") or str(embedded.binaries(18) / "psql")
    warehouse.stage("day1", **DAY_1)
    subprocess.run(
        [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, "-d", database]
        + ["-c", "set app.flow_run_id = 'by-hand'", "-c", "set app.day = 'day1'"]
        + [argument for step in STEPS for argument in ("-f", str(step))],
        check=True,
        capture_output=True,
    )
    assert warehouse.one("select count(*), max(flow_run_id) from pipeline_metrics") == (len(STEPS), "by-hand")
    before = warehouse.content()
    warehouse.apply("day1")
    assert warehouse.content() == before


CONSTRAINED: dict[str, tuple[str, Row]] = {
    "an unknown agent status": ("agent_status_is_known", {"table": "agents", "set": "status = 'gone'"}),
    "an unknown role status": ("role_status_is_known", {"table": "agent_role_mapping", "set": "status = 'gone'"}),
    "a negative budget": ("budget_limit_is_not_negative", {"table": "budgets", "set": "limit_amount = -1"}),
    "a negative card": ("card_limit_is_not_negative", {"table": "cards", "set": "current_limit = -1"}),
    "a rate without a source": ("missing_has_no_rate", {"table": "transactions", "set": "fx_source = 'MISSING'"}),
    "a price that is no product": ("amount_is_priced", {"table": "transactions", "set": "amount_usd = 7"}),
    "a dollar at another rate": (
        "dollars_are_priced_at_one",
        {"table": "transactions", "set": "exchange_rate = 2, amount_usd = 2 * original_amount"},
    ),
}


@pytest.mark.parametrize(("name", "change"), CONSTRAINED.values(), ids=list(CONSTRAINED))
def test_final_tables_hold_their_rules(warehouse: Warehouse, name: str, change: Row) -> None:
    """A constraint named for its rule refuses what no step may write."""
    warehouse.run("day1", **DAY_1)
    where = " where fx_source = 'USD'" if change["table"] == "transactions" else ""
    with pytest.raises(psycopg.errors.CheckViolation, match=name):
        warehouse.connection.execute(f"update {change['table']} set {change['set']}{where}".encode())
