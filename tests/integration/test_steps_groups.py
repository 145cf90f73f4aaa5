"""020_groups: newest group, members of its latest list, and who is inactive in a tree that is none."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.steps import Row, Warehouse

AGENT: Row = {"agent_id": 1}


@pytest.fixture
def warehouse(connection: psycopg.Connection[tuple[Any, ...]]) -> Warehouse:
    """An empty warehouse."""
    return Warehouse(connection)


def group(group_id: int, agent_ids: list[int] | None = None, parent: int | None = None, **more: Any) -> Row:
    """A staging row of `admin_groups`, without members unless given."""
    return {"group_id": group_id, "agent_ids": agent_ids or [], "parent_group_id": parent, **more}


def malformed(group_id: int) -> Row:
    """A staging row whose `agent_ids` was no list."""
    return {"group_id": group_id, "agent_ids": None}


def inactive(warehouse: Warehouse) -> dict[int, bool]:
    """Return `inactive` of each group."""
    return dict(warehouse.rows("select group_id, inactive from groups"))


def members(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """Return all memberships."""
    return warehouse.rows("select group_id, agent_id from group_membership order by group_id, agent_id")


@pytest.mark.parametrize("order", [["day1", "day2"], ["day2", "day1"]], ids=["in order", "reversed"])
def test_the_newest_group_wins(warehouse: Warehouse, order: list[str]) -> None:
    """Time decides, then the later day; whichever is applied first."""
    early, late = "2024-01-01T00:00:00Z", "2024-06-01T00:00:00Z"
    entities: dict[str, list[Row]] = {
        "day1": [group(1, name="new", updated_at=late), group(2, name="day1", updated_at=early)],
        "day2": [group(1, name="old", updated_at=early), group(2, name="day2", updated_at=early)],
    }
    for day in order:
        warehouse.run(day, admin_groups=entities[day])
    assert warehouse.rows("select group_id, name from groups order by group_id") == [(1, "new"), (2, "day2")]


def test_inactive_is_right_after_the_first_run(warehouse: Warehouse) -> None:
    """A group whose active member is far below it is active at once."""
    warehouse.run(
        "day1",
        agents=[AGENT],
        admin_groups=[group(1), group(2, parent=1), group(3, [1], parent=2), group(4, parent=3), group(5)],
    )
    assert inactive(warehouse) == {1: False, 2: False, 3: False, 4: True, 5: True}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        pytest.param([group(1, [1], parent=1), group(2, parent=2)], {1: False, 2: True}, id="self-parents"),
        pytest.param(
            [group(1, parent=3), group(2, parent=1), group(3, [1], parent=2), group(4, parent=5), group(5, parent=4)],
            {1: False, 2: False, 3: False, 4: True, 5: True},
            id="cycles",
        ),
        pytest.param([group(1, [1], parent=99), group(2, parent=98)], {1: False, 2: True}, id="unknown parents"),
        pytest.param(
            [group(1), group(2, [1], parent=1), group(3, parent=1)], {1: False, 2: False, 3: True}, id="siblings"
        ),
    ],
)
def test_any_shape_is_harmless(warehouse: Warehouse, groups: list[Row], expected: dict[int, bool]) -> None:
    """Cycles, self-parents and unknown parents occur; activity goes up, never down nor sideways."""
    warehouse.run("day1", agents=[AGENT], admin_groups=groups)
    assert inactive(warehouse) == expected


def test_a_chain_of_ten_thousand_groups(warehouse: Warehouse) -> None:
    """One active member at the bottom keeps 10,000 groups active; its leaving makes all of them inactive."""
    depth = 10_000
    warehouse.stage("day1", agents=[AGENT], admin_groups=[])
    warehouse.connection.execute(
        """
        insert into stg_admin_groups (day, source_file, position, group_id, name, parent_group_id, agent_ids)
        select 'day1', 'a.json', id, id, 'Group ' || id, nullif(id - 1, 0),
            array_remove(array[case when id = %s then 1::bigint end], null)
        from generate_series(1, %s) as id
        """,
        (depth, depth),
    )
    warehouse.apply("day1")
    assert warehouse.one("select count(*) from groups where not inactive") == (depth,)
    counts = warehouse.run("day2")
    assert warehouse.one("select count(*) from groups where inactive") == (depth,)
    assert counts["groups"] == (0, depth, 0, "success")


def test_a_group_is_inactive_with_its_last_active_member(warehouse: Warehouse) -> None:
    """Members stay members when they become inactive, and keep nothing active."""
    warehouse.run("day1", agents=[AGENT], admin_groups=[group(1, [1])])
    warehouse.run("day2", admin_groups=[group(1, [1])])
    assert inactive(warehouse) == {1: True}
    assert members(warehouse) == [(1, 1)]


def test_a_new_parent_moves_the_activity(warehouse: Warehouse) -> None:
    """The tree is the newest records', in the same run that brings them."""
    warehouse.run("day1", agents=[AGENT], admin_groups=[group(1), group(2), group(3, [1], parent=1)])
    warehouse.run("day2", agents=[AGENT], admin_groups=[group(3, [1], parent=2)])
    assert inactive(warehouse) == {1: True, 2: False, 3: False}


def test_members_are_known_agents_named_once(warehouse: Warehouse) -> None:
    """Repetitions and unknown agents are left out."""
    warehouse.run("day1", agents=[AGENT, {"agent_id": 2}], admin_groups=[group(1, [2, 1, 2, 99])])
    assert members(warehouse) == [(1, 1), (1, 2)]


def test_a_group_of_unknown_agents_is_inactive(warehouse: Warehouse) -> None:
    """An id that nobody knows is no active member, even where the snapshot names it."""
    warehouse.run("day1", rejected_agents=[7], admin_groups=[group(1, [7])])
    assert inactive(warehouse) == {1: True}


def test_unknown_agents_become_members_once_known(warehouse: Warehouse) -> None:
    """A day that makes an agent known makes it a member where an earlier day named it."""
    warehouse.run("day1", admin_groups=[group(1, [1])])
    warehouse.run("day2", agents=[AGENT])
    assert members(warehouse) == [(1, 1)]
    assert inactive(warehouse) == {1: False}


def test_a_group_that_a_later_day_does_not_mention_keeps_its_members(warehouse: Warehouse) -> None:
    """The group's own latest day counts."""
    warehouse.run("day1", agents=[AGENT], admin_groups=[group(1, [1])])
    warehouse.run("day2", agents=[AGENT], admin_groups=[group(2)])
    assert members(warehouse) == [(1, 1)]


def test_a_group_that_lost_its_last_member_has_none(warehouse: Warehouse) -> None:
    """An empty list means none."""
    warehouse.run("day1", agents=[AGENT], admin_groups=[group(1, [1])])
    warehouse.run("day2", agents=[AGENT], admin_groups=[group(1, [])])
    assert members(warehouse) == []


def test_a_malformed_list_says_nothing(warehouse: Warehouse) -> None:
    """Members stay those of the latest well-formed list."""
    warehouse.run("day1", agents=[AGENT], admin_groups=[group(1, [1])])
    warehouse.run("day2", agents=[AGENT], admin_groups=[malformed(1)])
    assert members(warehouse) == [(1, 1)]


@pytest.mark.parametrize("order", [["day2", "day10"], ["day10", "day2"]], ids=["in order", "reversed"])
def test_the_latest_list_decides(warehouse: Warehouse, order: list[str]) -> None:
    """The later day's list stands, whichever is applied first, and whatever `updated_at` says."""
    lists = {
        "day2": group(1, [1], updated_at="2024-06-01T00:00:00Z"),
        "day10": group(1, [2], updated_at="2024-01-01T00:00:00Z"),
    }
    for day in order:
        warehouse.run(day, agents=[AGENT, {"agent_id": 2}], admin_groups=[lists[day]])
    assert members(warehouse) == [(1, 2)]


def test_a_superseded_record_contributes_nothing(warehouse: Warehouse) -> None:
    """Only the day's newest record of the group counts, even where its list is malformed."""
    warehouse.run("day1", agents=[AGENT], admin_groups=[group(1, [1]), malformed(1)])
    assert members(warehouse) == []


def test_a_corrected_day_replaces_its_members(warehouse: Warehouse) -> None:
    """The day's list is replaced; members, list and activity are counted."""
    warehouse.run("day1", agents=[AGENT, {"agent_id": 2}], admin_groups=[group(1, [1])])
    counts = warehouse.run("day1", agents=[AGENT, {"agent_id": 2}], admin_groups=[group(1, [2])])
    assert members(warehouse) == [(1, 2)]
    assert counts["groups"] == (1, 1, 1, "success")


def test_a_corrected_day_that_drops_a_group_falls_back_to_the_day_before(warehouse: Warehouse) -> None:
    """A list that is gone no longer hides the one before it; the group itself stays."""
    warehouse.run("day1", agents=[AGENT, {"agent_id": 2}], admin_groups=[group(1, [1])])
    warehouse.run("day2", agents=[AGENT, {"agent_id": 2}], admin_groups=[group(1, [2])])
    warehouse.run("day2", agents=[AGENT, {"agent_id": 2}])
    assert members(warehouse) == [(1, 1)]
    assert list(inactive(warehouse)) == [1]


def test_history_needs_no_staging(warehouse: Warehouse) -> None:
    """Staging of earlier days can be dropped without harm."""
    warehouse.run("day1", agents=[AGENT], admin_groups=[group(1, [1]), group(2, [1, 2])])
    for table in ("stg_admin_groups", "stg_agents", "stg_loads"):
        warehouse.connection.execute(f"delete from {table}".encode())
    warehouse.run("day2", agents=[AGENT, {"agent_id": 2}])
    assert members(warehouse) == [(1, 1), (2, 1), (2, 2)]
