"""The counts of a metrics row beside what really became of the rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import counting
from runner.counting import Changed

NUMBERS = st.integers(0, 3)
COUNTS = st.tuples(NUMBERS, NUMBERS, NUMBERS)


@pytest.mark.parametrize(
    ("said", "keyed", "vague", "expected"),
    [
        ((0, 1, 0), None, Changed((1, 0, 1), 0, False), True),
        ((1, 0, 1), None, Changed((1, 0, 1), 0, False), True),
        ((0, 2, 0), None, Changed((1, 0, 1), 0, False), False),
        ((0, 2, 0), None, Changed((1, 0, 1), 1, False), True),
        ((1, 1, 0), None, Changed((1, 0, 1), 0, False), False),
        ((1, 2, 0), Changed((1, 1, 0), 0, True), Changed((1, 0, 1), 0, False), True),
        ((0, 2, 0), Changed((1, 1, 1), 0, True), Changed((0, 0, 0), 0, False), False),
        ((0, 2, 0), None, Changed((0, 1, 0), 1, True), False),
    ],
    ids=["update", "replaced", "too many", "passed on", "one side", "beside another", "of another", "rewritten"],
)
def test_rows_without_a_key(said: counting.Counts, keyed: Changed | None, vague: Changed, expected: bool) -> None:
    """An update of a table without a key may be counted as one or as a delete and an insert; of others it may not."""
    assert counting.holds(said, [table for table in (keyed, vague) if table]) is expected


@given(COUNTS, COUNTS, NUMBERS)
def test_keyed_tables_are_counted_exactly(said: counting.Counts, real: counting.Counts, rewritten: int) -> None:
    """Where a key tells rows apart, only the very counts hold."""
    assert counting.holds(said, [Changed(real, rewritten, True)]) is (said == real)


def test_nothing_changed() -> None:
    """Where no table changed, only zeros hold."""
    assert counting.holds((0, 0, 0), [])
    assert not counting.holds((1, 0, 0), [])
