"""010_agents: newest record of either source, presence by day, who is active."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.steps import Row, Warehouse

EARLY, LATE = "2024-01-01T00:00:00Z", "2024-06-01T00:00:00Z"


@pytest.fixture
def warehouse(connection: psycopg.Connection[tuple[Any, ...]]) -> Warehouse:
    """An empty warehouse."""
    return Warehouse(connection)


def agent(agent_id: int = 1, name: str = "Ann", updated_at: str | None = EARLY, **more: Any) -> Row:
    """A staging row of `agents` or `agent_details`."""
    return {"agent_id": agent_id, "name": name, "updated_at": updated_at, **more}


def names(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """Return (id, name) of all agents."""
    return warehouse.rows("select agent_id, name from agents order by agent_id")


def statuses(warehouse: Warehouse) -> dict[int, str]:
    """Return the status of each agent."""
    return dict(warehouse.rows("select agent_id, status from agents"))


def presence(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """Return the history of presence."""
    return warehouse.rows("select agent_id, day, is_active from agent_status_history order by agent_id, day")


@pytest.mark.parametrize(
    ("records", "winner"),
    [
        pytest.param([agent(name="old"), agent(name="new", updated_at=LATE)], "new", id="newest time"),
        pytest.param([agent(name="new", updated_at=LATE), agent(name="old")], "new", id="whatever its place"),
        pytest.param([agent(name="timed"), agent(name="bare", updated_at=None)], "timed", id="no time is oldest"),
        pytest.param([agent(name="first"), agent(name="last")], "last", id="last in file"),
        pytest.param(
            [agent(name="b", source_file="b.json"), agent(name="a", source_file="a.json")], "b", id="last file"
        ),
        pytest.param(
            [agent(name="lower", source_file="a.json"), agent(name="upper", source_file="B.json")],
            "lower",
            id="files as plain strings",
        ),
    ],
)
def test_within_a_day_the_newest_record_wins(warehouse: Warehouse, records: list[Row], winner: str) -> None:
    """Of a day's records the newest stands, then the last in file order."""
    warehouse.run("day1", agents=records)
    assert names(warehouse) == [(1, winner)]


@pytest.mark.parametrize(
    ("agents", "details", "winner"),
    [
        pytest.param(agent(name="agents"), agent(name="details"), "agents", id="equal time"),
        pytest.param(
            agent(name="agents", updated_at=None), agent(name="details", updated_at=None), "agents", id="none"
        ),
        pytest.param(agent(name="agents"), agent(name="details", updated_at=LATE), "details", id="newer details"),
    ],
)
def test_agents_win_over_details_on_equal_time(warehouse: Warehouse, agents: Row, details: Row, winner: str) -> None:
    """The newest record of either source stands; `agents` on equal time and day."""
    warehouse.run("day1", agents=[agents], agent_details=[details])
    assert names(warehouse) == [(1, winner)]


@pytest.mark.parametrize("order", [["day2", "day10"], ["day10", "day2"]], ids=["in order", "reversed"])
def test_on_equal_time_the_later_day_wins(warehouse: Warehouse, order: list[str]) -> None:
    """Of two records with the same time the later day's stands, whichever is applied first, even from details."""
    entities: dict[str, dict[str, list[Row]]] = {
        "day2": {"agents": [agent(name="day2")]},
        "day10": {"agent_details": [agent(name="day10")]},
    }
    for day in order:
        warehouse.run(day, **entities[day])
    assert names(warehouse) == [(1, "day10")]


def test_an_older_record_never_overwrites_a_newer_one(warehouse: Warehouse) -> None:
    """A later day with an older record leaves the row alone."""
    warehouse.run("day1", agents=[agent(name="new", updated_at=LATE)])
    warehouse.run("day2", agents=[agent(name="old")])
    assert names(warehouse) == [(1, "new")]


def test_a_day_between_loses_to_one_that_said_the_same_again(warehouse: Warehouse) -> None:
    """A record repeated on a later day counts as that day's, so a late day between does not win."""
    for day, name in (("day1", "same"), ("day3", "same"), ("day2", "other")):
        warehouse.run(day, agents=[agent(name=name)])
    assert names(warehouse) == [(1, "same")]


def test_a_corrected_day_replaces_its_own_record(warehouse: Warehouse) -> None:
    """A day applied again with other content at the same time replaces what it brought."""
    warehouse.run("day1", agents=[agent(name="typo")])
    warehouse.run("day1", agents=[agent(name="right")])
    assert names(warehouse) == [(1, "right")]


def test_a_corrected_day_does_not_take_back_the_newest_record(warehouse: Warehouse) -> None:
    """Where the newest version wins, the newest ever seen stays."""
    warehouse.run("day1", agents=[agent(name="new", updated_at=LATE)])
    warehouse.run("day1", agents=[agent(name="old")])
    assert names(warehouse) == [(1, "new")]


def test_an_agent_that_the_latest_day_does_not_name_is_inactive(warehouse: Warehouse) -> None:
    """Who is missing from the latest day's snapshot is inactive, and keeps the row."""
    warehouse.run("day1", agents=[agent(1), agent(2)])
    warehouse.run("day2", agents=[agent(2)])
    assert statuses(warehouse) == {1: "inactive", 2: "active"}


def test_a_returning_agent_is_active_again(warehouse: Warehouse) -> None:
    """The latest day decides alone."""
    for day, ids in (("day1", [1]), ("day2", []), ("day3", [1])):
        warehouse.run(day, agents=[agent(each) for each in ids])
    assert statuses(warehouse) == {1: "active"}


def test_an_empty_snapshot_makes_everybody_inactive(warehouse: Warehouse) -> None:
    """A day whose `agents` is empty is still the latest one."""
    warehouse.run("day1", agents=[agent(1)])
    warehouse.run("day2")
    assert statuses(warehouse) == {1: "inactive"}


def test_a_late_day_before_an_empty_snapshot_activates_nobody(warehouse: Warehouse) -> None:
    """The latest applied day stays the latest, though it left no presence."""
    warehouse.run("day9")
    warehouse.run("day2", agents=[agent(1)])
    assert statuses(warehouse) == {1: "inactive"}


def test_details_alone_make_known_and_not_active(warehouse: Warehouse) -> None:
    """An agent that only `agent_details` names is known, inactive, and in the history as such."""
    warehouse.run("day1", agent_details=[agent(1)])
    assert statuses(warehouse) == {1: "inactive"}
    assert presence(warehouse) == [(1, "day1", False)]


def test_named_by_both_is_active(warehouse: Warehouse) -> None:
    """`is_active` says that `agents` named the id, whatever `agent_details` did."""
    warehouse.run("day1", agents=[agent(1)], agent_details=[agent(1), agent(2)])
    assert presence(warehouse) == [(1, "day1", True), (2, "day1", False)]


def test_a_rejected_record_with_a_valid_id_is_presence(warehouse: Warehouse) -> None:
    """A known agent whose record is rejected is still there."""
    warehouse.run("day1", agents=[agent(1, name="Ann")])
    warehouse.run("day2", rejected_agents=[1])
    assert statuses(warehouse) == {1: "active"}
    assert presence(warehouse) == [(1, "day1", True), (1, "day2", True)]


def test_a_rejected_record_makes_nobody_known(warehouse: Warehouse) -> None:
    """An id that no good record brought is in neither table."""
    warehouse.run("day1", rejected_agents=[1])
    assert names(warehouse) == []
    assert presence(warehouse) == []


@pytest.mark.parametrize(
    ("day", "status"), [("day1", "active"), ("day3", "inactive")], ids=["from an earlier day", "from a later day"]
)
def test_earlier_presence_counts_once_the_agent_is_known(warehouse: Warehouse, day: str, status: str) -> None:
    """Presence of an id not known yet moves into the history with the record that makes it known."""
    warehouse.run("day2", rejected_agents=[1])
    warehouse.run(day, agent_details=[agent(1)])
    assert presence(warehouse) == sorted([(1, day, False), (1, "day2", True)], key=lambda row: row[1])
    assert statuses(warehouse) == {1: status}
    assert warehouse.rows("select * from agent_presence_unknown") == []


def test_a_day_applied_again_replaces_its_presence(warehouse: Warehouse) -> None:
    """Who is no longer named leaves the day's history; who changed source changes in it."""
    warehouse.run("day1", agents=[agent(1), agent(2), agent(3)], rejected_agents=[8, 9])
    counts = warehouse.run("day1", agents=[agent(1)], agent_details=[agent(2)], rejected_agents=[9])
    assert presence(warehouse) == [(1, "day1", True), (2, "day1", False)]
    assert statuses(warehouse) == {1: "active", 2: "inactive", 3: "inactive"}
    assert warehouse.rows("select agent_id from agent_presence_unknown") == [(9,)]
    # Two statuses and one presence change; agent 3 and id 8 go.
    assert counts["agents"] == (0, 2 + 1, 2, "success")


def test_a_late_day_leaves_the_statuses_to_the_latest(warehouse: Warehouse) -> None:
    """A day applied after a later one adds presence and changes no status."""
    warehouse.run("day2", agents=[agent(1)])
    warehouse.run("day1", agents=[agent(2)])
    assert statuses(warehouse) == {1: "active", 2: "inactive"}


def test_history_needs_no_staging(warehouse: Warehouse) -> None:
    """Staging of earlier days can be dropped without harm."""
    warehouse.run("day1", agents=[agent(1)])
    warehouse.run("day3", agents=[agent(1)])
    for table in ("stg_agents", "stg_agent_details", "stg_loads"):
        warehouse.connection.execute(f"delete from {table}".encode())
    warehouse.run("day2", agents=[agent(2, name="Bob")])
    assert statuses(warehouse) == {1: "active", 2: "inactive"}
    assert presence(warehouse) == [(1, "day1", True), (1, "day3", True), (2, "day2", True)]
