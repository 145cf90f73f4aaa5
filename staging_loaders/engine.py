"""What runs the parts of a load: Spark (session.py), processes of this machine (local.py), or this process alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from staging_loaders.split import Work

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """What runs the parts of a load, each somewhere, all of them once or more."""

    @property
    def name(self) -> str:
        """`spark` or `local`."""

    @property
    def start_seconds(self) -> float:
        """How long it took to get ready, by the clock; 0 as long as nothing was started."""

    @property
    def parallelism(self) -> int:
        """How many parts run at a time."""

    def expect(self, work: Work) -> None:
        """Learn what a day's load is to read in all, before its first part."""

    def run(
        self, task: Callable[[Item], Result], items: Sequence[Item], tick: Callable[[], None] | None = None
    ) -> list[Result]:
        """Return `task` of each item, in order; `tick` is called now and then meanwhile."""


class Inline:
    """Runs the parts one after another in this process: no Spark, no Java."""

    name = "local"
    start_seconds = 0.0
    parallelism = 1

    def expect(self, work: Work) -> None:
        pass

    def run(
        self, task: Callable[[Item], Result], items: Sequence[Item], tick: Callable[[], None] | None = None
    ) -> list[Result]:
        results = []
        for item in items:
            results.append(task(item))
            if tick:
                tick()
        return results
