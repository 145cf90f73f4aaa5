"""Which engine reads a day, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from staging_loaders.choice import Choice, Chosen, Wish, choose
from staging_loaders.engine import Inline
from staging_loaders.files import SourceFile
from staging_loaders.split import Work, work

SMALL = Work(3, 1_000_000, 1_030_000)
LARGE = Work(20, 70_000_000, 70_200_000)
MANY = Work(50_000, 40_000_000, 540_000_000)
AUTO = Wish("auto", 64_000_000)


@pytest.mark.parametrize(
    ("wish", "amount", "said"),
    [
        pytest.param(Wish("spark", 0), SMALL, "spark: as set", id="spark"),
        pytest.param(Wish("local", 0), LARGE, "local: as set", id="local"),
        pytest.param(AUTO, SMALL, "local: 1 MB in 3 files, below the limit of 64 MB", id="small"),
        pytest.param(AUTO, LARGE, "spark: 70 MB in 20 files, not below the limit of 64 MB", id="large"),
        pytest.param(
            AUTO,
            MANY,
            "spark: 40 MB in 50,000 files, as much work as 540 MB, not below the limit of 64 MB",
            id="many small files",
        ),
        pytest.param(
            Wish("auto", 64_000_000, installed=False),
            LARGE,
            "local: 70 MB in 20 files, above the limit of 64 MB, but Spark is not installed",
            id="without Spark",
        ),
        pytest.param(
            Wish("auto", 64_000_000, "the run must be on YARN"), SMALL, "spark: the run must be on YARN", id="bound"
        ),
    ],
)
def test_choose(wish: Wish, amount: Work, said: str) -> None:
    """What was asked for; else local below the limit and Spark from there on, as long as there is Spark."""
    assert str(choose(wish, amount)) == said


def test_what_compressed_files_weigh() -> None:
    """A compressed file counts as what it unfolds to."""
    plain, packed = SourceFile("a.json", "a.json", 10_000_000), SourceFile("a.json.gz", "a.json.gz", 10_000_000)
    assert work([packed]).bytes == work([plain]).bytes
    assert work([packed]).weight > 5 * work([plain]).weight


class Spark(Inline):
    """A Spark that says whether it runs."""

    name = "spark"

    def __init__(self) -> None:
        self.start_seconds = 0.0

    def __enter__(self) -> Spark:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, task: Any, items: Any, tick: Any = None) -> list[Any]:
        self.start_seconds = 3.0
        return super().run(task, items, tick)


def test_a_session_that_is_not_needed_is_not_made() -> None:
    """Local work makes no session, and the choice is told once."""
    told: list[Choice] = []
    made: list[Spark] = []

    def session() -> Any:
        made.append(Spark())
        return made[-1]

    with Chosen(AUTO, session, told.append) as engine:
        engine.expect(SMALL)
        assert engine.run(len, ["ab", "c"]) == [2, 1]
        engine.expect(SMALL)
        assert (made, [choice.engine for choice in told], engine.name) == ([], ["local"], "local")
        engine.expect(LARGE)
        assert engine.run(len, ["ab"]) == [2]
        assert (len(made), engine.name, engine.start_seconds) == (1, "spark", 3.0)
        # It runs now, so nothing is gained by leaving it idle.
        engine.expect(SMALL)
        assert (len(made), engine.name) == (1, "spark")
    assert [choice.engine for choice in told] == ["local", "spark"]


def test_what_is_asked_for_is_not_told() -> None:
    """Only what `auto` means is news."""
    told: list[Choice] = []
    with Chosen(Wish("local", 0), lambda: pytest.fail("no session"), told.append) as engine:
        engine.expect(SMALL)
        assert engine.run(len, ["ab"]) == [2]
    assert told == []
