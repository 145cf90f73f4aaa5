"""The checks of the Zluri steps: each lets a good day pass, and finds what it is for."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from runner import checks
from runner.checks import CheckResult
from tests.model.chain import PIPELINE
from tests.steps import Warehouse

JANUARY, MAY = "2026-01-05T00:00:00Z", "2026-05-05T00:00:00Z"
DAY: dict[str, list[dict[str, Any]]] = {
    "agents": [{"agent_id": 1, "updated_at": MAY}, {"agent_id": 2, "updated_at": MAY}],
    "agent_details": [{"agent_id": id, "updated_at": JANUARY, "role_ids": [7]} for id in (1, 2, 3)],
    "roles": [{"role_id": 7, "updated_at": MAY}, {"role_id": 8, "updated_at": MAY}],
    "admin_groups": [
        {"group_id": 50, "updated_at": MAY, "agent_ids": [1, 2]},
        {"group_id": 51, "updated_at": MAY, "agent_ids": [3]},
        {"group_id": 52, "updated_at": MAY, "parent_group_id": 53, "agent_ids": [2]},
        {"group_id": 53, "updated_at": MAY, "parent_group_id": 52, "agent_ids": []},
    ],
    "budgets": [{"budget_id": "b", "limit_amount": 100, "overspend_buffer": 10, "spent_total": 110}],
    "cards": [{"card_id": "c", "updated_time": MAY, "budget_id": "b"}],
    "transactions": [
        {"transaction_id": "t", "updated_time": MAY, "occurred_time": "2026-01-05T12:00:00Z", "currency": "EUR"},
        {"transaction_id": "p", "updated_time": MAY, "currency": "ARS", "payload_rate": 1},
    ],
}
# Check -> what breaks its rule behind the steps' back, and the first column of the rows that it then finds.
BROKEN: dict[str, tuple[str, list[Any]]] = {
    "010_agents_are_the_newest": ("update agents set updated_at = '2026-02-01' where agent_id = 1", [1]),
    "010_active_agents_are_the_snapshots": (
        "update agents set status = case agent_id when 3 then 'active' else 'inactive' end where agent_id > 1", [2, 3],
    ),
    "010_snapshot_is_in_the_history": (
        "delete from agent_status_history where agent_id = 1;"
        " insert into agent_status_history values (9, 'day2', true)", [1, 9],
    ),
    "010_snapshot_is_not_halved": (
        "insert into agent_status_history select id, 'day1', true from generate_series(10, 19) as id", ["day1"],
    ),
    "011_roles_are_the_newest": ("delete from roles where role_id = 8", [8]),
    "012_assigned_roles_are_known": ("insert into agent_role_mapping values (9, 7, 'removed')", [9]),
    "012_assigned_roles_are_in_the_list": ("insert into agent_role_mapping values (3, 8, 'assigned')", [3]),
    "012_listed_roles_are_known": ("insert into agent_role_unknown values (1, 99)", [1]),
    "020_groups_are_the_newest": ("update groups set version_key = day_order('day1') where group_id = 51", [51]),
    "020_inactive_groups_have_nobody": (
        # A group that falls silent with its members, one that comes alive without, a cycle that holds itself up.
        "update groups set inactive = not inactive where group_id in (50, 51);"
        " delete from group_membership where group_id = 52", [50, 51, 52, 53],
    ),
    "020_members_are_known": ("insert into group_membership values (50, 99)", [50]),
    "020_members_are_in_the_list": ("insert into group_membership values (51, 1)", [51]),
    "020_listed_members_are_known": ("insert into group_member_unknown values (50, 99)", [50]),
    "030_budgets_are_the_latest": ("update budgets set version_key = day_order('day1')", ["b"]),
    "030_budgets_are_kept": ("update budgets set spent_total = 110.01", ["b"]),
    "031_cards_are_the_newest": ("update cards set updated_time = null", ["c"]),
    "031_budgets_of_cards_are_known": ("delete from budgets", ["c"]),
    "040_transactions_are_the_newest": ("delete from transactions where transaction_id = 't'", ["t"]),
    "040_watermark_is_not_behind": (
        "update transaction_pipeline_state set last_processed_time = '2026-05-04 23:00Z'",
        ["2026-05-05T00:00:00+00:00"],
    ),
    "040_known_rates_are_used": (
        "update transactions set fx_source = 'PAYLOAD', exchange_rate = 1, amount_usd = original_amount"
        " where transaction_id = 't'", ["t"],
    ),
    "040_rates_are_known": (
        "update transactions set fx_source = 'MISSING', exchange_rate = null, amount_usd = null"
        " where transaction_id = 'p'", ["p"],
    ),
}  # fmt: skip


@pytest.fixture
def day2(connection: psycopg.Connection[tuple[Any, ...]]) -> Warehouse:
    """Two days applied, the same records on both."""
    connection.execute("set time zone 'UTC'")
    connection.execute("insert into fx_rates values ('USD', '2026-01-05', 1.1, 'ECB')")
    warehouse = Warehouse(connection)
    warehouse.run("day1", **DAY)
    warehouse.run("day2", **DAY)
    return warehouse


def found(warehouse: Warehouse) -> dict[str, CheckResult]:
    """Return what each check finds in the warehouse as it is."""
    with warehouse.connection.transaction():
        return {result.check: result for result in checks.run(warehouse.connection, PIPELINE.checks)}


def test_every_check_is_tried() -> None:
    """No check is shipped that was not seen to find something, and every step has an error check."""
    assert set(BROKEN) == {check.name for check in PIPELINE.checks}
    assert {check.step for check in PIPELINE.checks if check.severity == "error"} == {s.id for s in PIPELINE.steps}


def test_a_good_day_passes(day2: Warehouse) -> None:
    """Days without anything to look at pass every check, warnings included."""
    assert {name: result.sample for name, result in found(day2).items() if result.status != "passed"} == {}


@pytest.mark.parametrize("name", BROKEN)
def test_each_check_finds_what_it_is_for(day2: Warehouse, name: str) -> None:
    """A table that breaks the check's rule is found, in rows that begin with the key."""
    statement, keys = BROKEN[name]
    day2.connection.execute(statement.encode())
    result = found(day2)[name]
    assert [next(iter(row.values())) for row in result.sample] == keys


def test_a_later_day_decides(day2: Warehouse) -> None:
    """A day applied after a later one passes: status, lists and versions are those of the later day."""
    day2.run("day3", agents=[{"agent_id": 1}], admin_groups=[{"group_id": 50, "agent_ids": [1]}])
    day2.run("day1", **DAY)
    assert {name for name, result in found(day2).items() if result.status == "failed"} == set()


def test_a_rejected_agent_was_there(day2: Warehouse) -> None:
    """A record that is rejected names its agent all the same."""
    day2.run("day2", rejected_agents=[2, 99], **(DAY | {"agents": DAY["agents"][:1]}))
    assert found(day2)["010_snapshot_is_in_the_history"].status == "passed"


def test_what_the_day_brings_no_more_keeps_its_rate(day2: Warehouse) -> None:
    """A transaction that was priced without a rate, and is not in the day's files any more, is not priced again."""
    day2.run("day2", transactions=[{"transaction_id": "q", "updated_time": MAY, "currency": "GBP"}])
    day2.connection.execute(
        "insert into fx_rates values ('GBP', '2024-01-01', 1, 'ECB'), ('USD', '2024-01-01', 1, 'ECB')"
    )
    assert found(day2)["040_known_rates_are_used"].rows_failed == 1
    day2.run("day2")
    assert found(day2)["040_known_rates_are_used"].rows_failed == 0
