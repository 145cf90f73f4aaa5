"""011_roles and 012_agent_roles: newest role, and which agent has which, ever had, or never."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.steps import Row, Warehouse


@pytest.fixture
def warehouse(connection: psycopg.Connection[tuple[Any, ...]]) -> Warehouse:
    """An empty warehouse."""
    return Warehouse(connection)


def details(agent_id: int, role_ids: list[int] | None, **more: Any) -> Row:
    """A staging row of `agent_details`; no list at all where it was malformed."""
    return {"agent_id": agent_id, "role_ids": role_ids, **more}


ROLES: list[Row] = [{"role_id": 10}, {"role_id": 11}]


def mapping(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """Return all rows of agent_role_mapping."""
    return warehouse.rows("select agent_id, role_id, status from agent_role_mapping order by agent_id, role_id")


@pytest.mark.parametrize("order", [["day1", "day2"], ["day2", "day1"]], ids=["in order", "reversed"])
def test_the_newest_role_wins(warehouse: Warehouse, order: list[str]) -> None:
    """Time decides, then the later day; whichever is applied first."""
    entities: dict[str, list[Row]] = {
        "day1": [
            {"role_id": 1, "name": "new", "updated_at": "2024-06-01T00:00:00Z"},
            {"role_id": 2, "name": "day1", "updated_at": "2024-01-01T00:00:00Z"},
        ],
        "day2": [
            {"role_id": 1, "name": "old", "updated_at": "2024-01-01T00:00:00Z"},
            {"role_id": 2, "name": "day2", "updated_at": "2024-01-01T00:00:00Z"},
        ],
    }
    for day in order:
        warehouse.run(day, roles=entities[day])
    assert warehouse.rows("select role_id, name from roles order by role_id") == [(1, "new"), (2, "day2")]


def test_a_day_without_roles_skips_both(warehouse: Warehouse) -> None:
    """A skipped step changes nothing and says so."""
    warehouse.run("day1", roles=ROLES, agent_details=[details(1, [10])])
    before = warehouse.content()
    counts = warehouse.apply("day1", "010_agents") | warehouse.run("day2")
    assert counts["roles"] == (0, 0, 0, "skipped")
    assert counts["agent_roles"] == (0, 0, 0, "skipped")
    assert {name: rows for name, rows in warehouse.content().items() if "role" in name} == {
        name: rows for name, rows in before.items() if "role" in name
    }


@pytest.mark.parametrize("entity", ["roles", "agent_details"])
def test_either_entity_is_enough_for_the_mapping(warehouse: Warehouse, entity: str) -> None:
    """The mapping is skipped only where neither `agent_details` nor `roles` is there."""
    assert warehouse.run("day1", **{entity: []})["agent_roles"].status == "success"


def test_a_day_applied_again_without_both_changes_no_roles(warehouse: Warehouse) -> None:
    """A skipped step changes nothing, even where the day had contributed before."""
    warehouse.run("day1", roles=ROLES, agent_details=[details(1, [10])])
    warehouse.run("day1", agents=[{"agent_id": 1}])
    assert mapping(warehouse) == [(1, 10, "assigned")]


def test_named_roles_are_assigned(warehouse: Warehouse) -> None:
    """Each role that the agent's list names is assigned, once."""
    warehouse.run("day1", roles=ROLES, agent_details=[details(1, [11, 10, 11])])
    assert mapping(warehouse) == [(1, 10, "assigned"), (1, 11, "assigned")]


@pytest.mark.parametrize("order", [["day1", "day2"], ["day2", "day1"]], ids=["in order", "reversed"])
def test_a_role_that_only_an_earlier_day_names_is_removed(warehouse: Warehouse, order: list[str]) -> None:
    """The agent's latest day decides, whichever is applied first."""
    lists = {"day1": [10, 11], "day2": [11]}
    for day in order:
        warehouse.run(day, roles=ROLES, agent_details=[details(1, lists[day])])
    assert mapping(warehouse) == [(1, 10, "removed"), (1, 11, "assigned")]


def test_a_removed_role_can_come_back(warehouse: Warehouse) -> None:
    """Assigned, removed, assigned."""
    for day, role_ids in (("day1", [10]), ("day2", []), ("day3", [10])):
        warehouse.run(day, roles=ROLES, agent_details=[details(1, role_ids)])
    assert mapping(warehouse) == [(1, 10, "assigned")]


def test_an_empty_list_removes(warehouse: Warehouse) -> None:
    """Absent or null means none."""
    warehouse.run("day1", roles=ROLES, agent_details=[details(1, [10])])
    warehouse.run("day2", agent_details=[details(1, [])])
    assert mapping(warehouse) == [(1, 10, "removed")]


def test_a_malformed_list_says_nothing(warehouse: Warehouse) -> None:
    """A list that is no list leaves the agent's roles as the day before had them."""
    warehouse.run("day1", roles=ROLES, agent_details=[details(1, [10])])
    warehouse.run("day2", agent_details=[details(1, None)])
    assert mapping(warehouse) == [(1, 10, "assigned")]


def test_a_day_without_the_agents_details_says_nothing(warehouse: Warehouse) -> None:
    """The agent's own latest day counts, not the pipeline's."""
    warehouse.run("day1", roles=ROLES, agent_details=[details(1, [10])])
    warehouse.run("day2", agents=[{"agent_id": 1}], agent_details=[details(2, [11])])
    assert mapping(warehouse) == [(1, 10, "assigned"), (2, 11, "assigned")]


def test_a_superseded_record_contributes_nothing(warehouse: Warehouse) -> None:
    """Only the day's newest record of the agent counts, even where its list is malformed."""
    warehouse.run("day1", roles=ROLES, agent_details=[details(1, [10]), details(1, None)])
    assert mapping(warehouse) == []


def test_roles_join_once_known(warehouse: Warehouse) -> None:
    """A role that no day has described yet is left out until one does, with what the days before said."""
    warehouse.run("day1", agent_details=[details(1, [10, 11])])
    warehouse.run("day2", agent_details=[details(1, [11])])
    assert mapping(warehouse) == []
    warehouse.run("day3", roles=ROLES)
    assert mapping(warehouse) == [(1, 10, "removed"), (1, 11, "assigned")]
    assert warehouse.rows("select * from agent_role_unknown") == []


def test_a_corrected_day_takes_its_roles_back(warehouse: Warehouse) -> None:
    """What only the day itself had named is gone, not removed; what another day names stays removed."""
    warehouse.run("day1", roles=ROLES, agent_details=[details(1, [10])])
    warehouse.run("day2", agent_details=[details(1, [10, 11, 12])])
    counts = warehouse.run("day2", agent_details=[details(1, [])])
    assert mapping(warehouse) == [(1, 10, "removed")]
    # Role 10 changes its status and the day its list; 11 goes from the mapping, 12 from the unknown.
    assert counts["agent_roles"] == (0, 2, 2, "success")


def test_a_corrected_day_that_drops_an_agent_falls_back_to_the_day_before(warehouse: Warehouse) -> None:
    """A list that is gone no longer hides the one before it."""
    warehouse.run("day1", roles=ROLES, agent_details=[details(1, [10])])
    warehouse.run("day2", agent_details=[details(1, [11])])
    warehouse.run("day2", agent_details=[])
    assert mapping(warehouse) == [(1, 10, "assigned")]


def test_history_needs_no_staging(warehouse: Warehouse) -> None:
    """Staging of earlier days can be dropped without harm."""
    warehouse.run("day1", roles=ROLES, agent_details=[details(1, [10])])
    for table in ("stg_agent_details", "stg_roles", "stg_loads"):
        warehouse.connection.execute(f"delete from {table}".encode())
    warehouse.run("day2", agent_details=[details(1, [11])])
    assert mapping(warehouse) == [(1, 10, "removed"), (1, 11, "assigned")]
