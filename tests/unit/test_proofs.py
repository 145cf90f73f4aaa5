"""The pure parts of the proofs: which orders are tried, how counterexamples shrink, what of them is shown."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.proofs import digest, orders
from runner.proofs.digest import Table
from runner.proofs.fault import CAUSES, PROOFS, StagingRow, shown_columns
from runner.proofs.shrink import Deadline, minimise

DAYS = tuple(f"day{number}" for number in range(1, 12))


class Clock:
    """A clock that goes on by one second with each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_few_days_are_tried_in_every_order() -> None:
    """Up to three days, every permutation is there, and after it every day but its last comes again."""
    for size in (2, 3):
        found = orders.choose(DAYS[:size], seed=0)
        assert {order[:-1] for order in found} == set(itertools.permutations(DAYS[:size]))
        assert len(found) == len(set(found)) == len(list(itertools.permutations(DAYS[:size]))) * (size - 1)
        assert all(order[-1] in order[:-2] for order in found)


def test_one_day_has_one_order() -> None:
    """One day, or none, has nothing to be permuted."""
    assert orders.choose(DAYS[:1], seed=0) == [("day1",)]
    assert orders.choose((), seed=0) == []


@given(size=st.integers(4, 11), seed=st.integers(0, 100))
def test_many_days_are_sampled(size: int, seed: int) -> None:
    """The same seed gives the same orders; the natural one and its reverse are always among them."""
    found = orders.choose(DAYS[:size], seed=seed)
    assert found == orders.choose(DAYS[:size], seed=seed)
    assert [order[:-1] for order in found[:2]] == [DAYS[:size], DAYS[:size][::-1]]
    assert len(found) <= 10
    assert all(sorted(order[:-1]) == sorted(DAYS[:size]) and order[-1] in order[:-2] for order in found)


def test_common_beginnings_are_applied_once() -> None:
    """A tree of orders has a branch for each day that differs."""
    tree = orders.tree([("a", "b", "c"), ("a", "b", "d"), ("b", "a")])
    assert tree.count() == 6
    assert orders.tree(orders.choose(DAYS[:3], seed=0)).count() == 27


@given(one=st.permutations(DAYS[:5]), other=st.permutations(DAYS[:5]))
def test_smaller_orders_have_the_same_days(one: list[str], other: list[str]) -> None:
    """What is tried instead of two orders is shorter, and both of a pair have the same set of days."""
    pairs = list(orders.smaller(tuple(one), tuple(other)))
    assert (("day1", "day2"), ("day2", "day1")) in pairs
    for first, second in pairs:
        assert set(first) == set(second)
        assert len(first) + len(second) < len(one) + len(other)


@given(items=st.lists(st.integers(), unique=True, max_size=40), data=st.data())
def test_a_counterexample_is_found_exactly(items: list[int], data: st.DataObject) -> None:
    """Where certain items must be there together, those are what is left, in their order."""
    needed = data.draw(st.lists(st.sampled_from(items), unique=True)) if items else []

    def fails(kept: Sequence[int]) -> bool:
        return bool(kept) and set(needed) <= set(kept)

    kept, minimal = minimise(items, fails, Deadline(3600))
    assert minimal
    assert kept == [item for item in items if item in needed] or (not needed and len(kept) <= 1)


def test_shrinking_ends_in_time() -> None:
    """When the time is over, the smallest found so far is returned, and that it may not be the smallest."""
    tried: list[int] = []

    def fails(kept: Sequence[int]) -> bool:
        tried.append(len(kept))
        return 7 in kept and 90 in kept

    kept, minimal = minimise(range(100), fails, Deadline(4, Clock()))
    assert not minimal
    assert len(tried) == 3
    assert {7, 90} <= set(kept)


def test_time_is_shared() -> None:
    """Each of several counterexamples gets its part of the time that is left."""
    clock = Clock()
    whole = Deadline(100, clock)
    part = whole.share(4)
    clock.now += 30
    assert part.passed()
    assert not whole.passed()


def test_rows_are_paired_by_key() -> None:
    """A row with one key in both states has changed columns; another is missing on one side."""
    table = Table("things", ("id",), ("id", "name", "size"))
    one = Counter([("1", "a", None), ("2", "b", "5"), ("3", "c", "5")])
    other = Counter([("1", "a", None), ("2", "b", "6"), ("4", "d", "5")])
    changed, gone, new = digest.compare(table, one, other)
    assert (changed.key, changed.columns) == ({"id": "2"}, ["size"])
    assert (gone.key, gone.other) == ({"id": "3"}, None)
    assert (new.key, new.one) == ({"id": "4"}, None)


def test_rows_without_a_key_are_told_apart_by_all_columns() -> None:
    """A table without a key may hold a row twice in one state and once in the other."""
    table = Table("things", (), ("name",))
    (change,) = digest.compare(table, Counter({("a",): 2}), Counter({("a",): 1}))
    assert change.key == {"name": "a"}
    assert change.other is None


def test_what_differs_is_shown_of_staging() -> None:
    """Of many columns those are shown that name the row, say when it is from, or differ."""
    common = {f"column_{number}": "same" for number in range(20)}
    rows = [
        StagingRow("stg_things", {"day": "day1", "id": "1", **common, "name": "a", "updated_at": "t", "none": None}),
        StagingRow("stg_things", {"day": "day2", "id": "1", **common, "name": "b", "updated_at": "t", "none": None}),
    ]
    shown = shown_columns(rows, ["id"])
    assert shown[:2] == ["day", "id"]
    assert {"name", "updated_at"} <= set(shown)
    assert "none" not in shown
    assert len(shown) == 7
    common["column_15"] = "7"
    rows = [StagingRow("stg_things", {"day": "day1", **common})]
    assert "column_15" in shown_columns(rows, [], ["7"])


@pytest.mark.parametrize("kind", CAUSES)
def test_every_cause_says_what_to_do(kind: str) -> None:
    """The cause of each kind of fault is a sentence or more, and names of kinds are words with hyphens."""
    assert CAUSES[kind].endswith((".", "COLUMN", "TABLE"))
    assert kind.replace("-", "").isalpha()
    assert kind.islower()


def test_the_page_names_every_proof_and_kind() -> None:
    """docs/verify.md has a row for each proof and each kind of fault, by the names that the command prints."""
    page = (Path(__file__).parents[2] / "docs" / "verify.md").read_text(encoding="utf-8")
    for name in (*PROOFS, *CAUSES):
        assert f"`{name}` |" in page, name
