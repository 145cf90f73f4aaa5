"""Which days a backfill is of, and in which chunks."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import backfill, days
from runner.backfill import Chosen, Request
from runner.errors import UsageError

JANUARY = [f"2026-01-{number:02}" for number in range(1, 32)]


@pytest.mark.parametrize(
    ("start", "end", "listed", "message"),
    [
        ("2026-01-01", None, [], "the range of days has no --end-date"),
        (None, "2026-01-01", [], "the range of days has no --start-date"),
        ("2026-01-02", "2026-01-01", [], "2026-01-02 comes after 2026-01-01"),
        ("day10", "day9", [], "day10 comes after day9"),
        ("day1", "2026-01-01", [], "are not of one kind"),
        ("2026-02-30", "2026-03-01", [], "there is no date 2026-02-30"),
        ("../x", "../y", [], "is not a day name"),
        ("day1", "day2", ["day3"], "a range and a list"),
        (None, None, ["day 1"], "is not a day name"),
    ],
)
def test_what_is_no_request(start: str | None, end: str | None, listed: list[str], message: str) -> None:
    """It is refused, and the hint says what to give."""
    with pytest.raises(UsageError, match=message) as caught:
        backfill.request(start, end, listed)
    assert caught.value.hint


def test_chunks_of_no_kind() -> None:
    """There are three kinds of chunks."""
    with pytest.raises(UsageError, match="there are no 'yearly' chunks"):
        backfill.request(listed=["day1"], mode="yearly")


def test_a_list() -> None:
    """Days of a list stand in their natural order, each once; those that are not there are told of."""
    asked = backfill.request(listed=["day10,day2", "day1", "day2"])
    assert asked.days == ("day1", "day2", "day10")
    assert backfill.choose(asked, ["day1", "day3", "day10"]) == Chosen(("day1", "day10"), ("day2",))


def test_a_range_of_dates() -> None:
    """Days that are called by dates; a date without a day is missing, and other names are not meant."""
    known = ["2026-01-02", "2025-12-31", "2026-01-05", "2026-01-03-again", "day1", "2026-01-04"]
    chosen = backfill.choose(backfill.request("2026-01-01", "2026-01-05"), known)
    assert chosen == Chosen(("2026-01-02", "2026-01-04", "2026-01-05"), ("2026-01-01", "2026-01-03"))


def test_a_range_of_names() -> None:
    """Names between two others in the natural order of days, both included; the bounds need not be there."""
    chosen = backfill.choose(backfill.request("day2", "day11"), ["day1", "day2", "day9", "day10", "day12", "x"])
    assert chosen == Chosen(("day2", "day9", "day10"), ())
    assert backfill.choose(backfill.request("day02", "day3"), ["day2", "day3"]).days == ("day2", "day3")


def test_chunks_of_dates() -> None:
    """Weeks begin on Mondays and months on their first; a chunk has only days that are there."""
    assert [chunk.name for chunk in backfill.chunks(JANUARY[:3], "daily")] == JANUARY[:3]
    weeks = backfill.chunks(["2025-12-29", *JANUARY], "weekly")
    assert [(chunk.name, len(chunk.days)) for chunk in weeks] == [
        ("2026-W01", 5), ("2026-W02", 7), ("2026-W03", 7), ("2026-W04", 7), ("2026-W05", 6),
    ]  # fmt: skip
    months = backfill.chunks(["2025-12-31", *JANUARY, "2026-02-03"], "monthly")
    assert [(chunk.name, len(chunk.days)) for chunk in months] == [("2025-12", 1), ("2026-01", 31), ("2026-02", 1)]


def test_chunks_of_names() -> None:
    """Days that are not called by dates are a week when there are seven of them."""
    chunks = backfill.chunks([f"day{number}" for number in range(1, 10)], "weekly")
    assert [(chunk.name, len(chunk.days)) for chunk in chunks] == [("day1 to day7", 7), ("day8 to day9", 2)]
    assert [chunk.name for chunk in backfill.chunks(["day1", "day2"], "daily")] == ["day1", "day2"]
    assert [len(chunk.days) for chunk in backfill.chunks([f"d{number}" for number in range(31)], "monthly")] == [30, 1]


@given(
    st.lists(st.one_of(st.integers(0, 900), st.sampled_from(["day1", "day2", "2026-02-30", "x-9"])), unique=True),
    st.sampled_from(backfill.MODES),
)
def test_chunks_have_all_days(numbers: list[int | str], mode: backfill.Mode) -> None:
    """Each day is in one chunk, in the order of all."""
    names = [str(date(2025, 6, 1) + timedelta(days=one)) if isinstance(one, int) else one for one in numbers]
    chosen = sorted(names, key=days.order)
    chunks = backfill.chunks(chosen, mode)
    assert [day for chunk in chunks for day in chunk.days] == chosen
    assert all(chunk.days for chunk in chunks)


def test_commands() -> None:
    """The command that asks for the same, and the one that asks for what failed; a shell takes both."""
    asked = Request("2026-01-01", "2026-01-31", mode="weekly")
    assert backfill.command(asked, ["--resume"]) == (
        "runner backfill --start-date 2026-01-01 --end-date 2026-01-31 --chunk-mode weekly --resume"
    )
    assert backfill.command(Request(days=("day1",)), ["--data", "my days"], failed=["a", "b"]) == (
        "runner backfill --days a,b --data 'my days'"
    )
    assert backfill.command(Request(days=("day1", "day2"))) == "runner backfill --days day1,day2"


@pytest.mark.parametrize(
    ("request_", "shown"),
    [
        (Request("day1", "day9"), "day1 to day9"),
        (Request("day1", "day1"), "day1"),
        (Request(days=("day1", "day2")), "day1, day2"),
        (Request(days=("day1", "day2", "day3", "day4")), "4 days from day1 to day4"),
    ],
)
def test_how_it_is_called(request_: Request, shown: str) -> None:
    """A person reads which days are meant."""
    assert request_.shown == shown
