"""What the steps ask of a day: its place in time, and whether it was loaded."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner import days
from tests.steps import Warehouse

Connection = psycopg.Connection[tuple[Any, ...]]

# Few characters, so that prefixes, equal numbers and leading zeros come together often.
NAMES = st.one_of(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True),
    st.text("019aA-._", min_size=1, max_size=8).filter(lambda name: name[0] in "019aA"),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NAMES, min_size=2, max_size=20, unique=True))
def test_day_order_is_the_runners(connection: Connection, names: list[str]) -> None:
    """The server sorts day names as the runner does, ties included."""
    rows = connection.execute(
        """select day from unnest(%s::text[]) as day order by day_order(day) collate "C" """, (names,)
    ).fetchall()
    assert [name for (name,) in rows] == sorted(names, key=days.order)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        pytest.param("day2", "day10", id="numbers"),
        pytest.param("2026-01-05", "2026-01-15", id="dates"),
        pytest.param("2025-12-31", "2026-01-01", id="years"),
        pytest.param("day01", "day1", id="leading zeros by text"),
        pytest.param("day1", "day01a", id="a continuation is later"),
        pytest.param("day-1", "day1", id="a hyphen before a digit"),
        pytest.param("day9", "day_1", id="a digit before an underscore"),
        pytest.param("9" * 63, "1" + "0" * 63, id="the longest number"),
    ],
)
def test_a_day_comes_before_another(connection: Connection, earlier: str, later: str) -> None:
    """Runs of digits compare as numbers, the rest as text."""
    query = """select day_order(%s) collate "C" < day_order(%s)"""
    assert connection.execute(query, (earlier, later)).fetchone() == (True,)


@pytest.mark.parametrize(
    ("step", "entity"),
    [("010_agents", "agents"), ("020_groups", "admin_groups"), ("040_transactions", "transactions")],
    ids=["agents", "groups", "transactions"],
)
def test_a_day_that_is_not_loaded_is_refused(connection: Connection, step: str, entity: str) -> None:
    """A day without a load is not a day on which nobody was there: the step fails and says what to do."""
    with pytest.raises(psycopg.errors.RaiseException, match=f"{entity} of day7 is not loaded") as caught:
        Warehouse(connection).apply("day7", step)
    assert caught.value.diag.message_hint == "Load the day first: runner load --day day7"
