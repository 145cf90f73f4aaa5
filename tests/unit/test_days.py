"""Day names and their natural order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import days
from runner.errors import UsageError


@pytest.mark.parametrize("day", ["day1", "2026-01-05", "a", "A.b_c-1", "9" * 64])
def test_names(day: str) -> None:
    """Letters, digits, '_', '.' and '-' make a name."""
    assert days.check(day) == day


@pytest.mark.parametrize(
    "day", ["", " ", ".hidden", "-x", "a/b", "../a", "a b", "a\n", "a\0", "tag1'", "ä", "١", "a" * 65, "day1;"]
)
def test_wrong_names(day: str) -> None:
    """Anything else is refused, with an example of what is right."""
    with pytest.raises(UsageError) as caught:
        days.check(day)
    assert "day1" in str(caught.value.hint)


def test_natural_order() -> None:
    """Digit runs compare as numbers, dates in time, ties by text."""
    ordered = ["2025-12-31", "2026-01-05", "2026-1-06", "day", "day01", "day1", "day2", "day10", "day10.9", "day10.10"]
    shuffled = random.Random(1).sample(ordered, len(ordered))
    assert sorted(shuffled, key=days.order) == ordered


@given(st.integers(0, 10**20), st.integers(0, 10**20))
def test_numbers_compare_as_numbers(one: int, other: int) -> None:
    """However long the digits are."""
    assert (days.order(f"d{one}") < days.order(f"d{other}")) == (one < other)
