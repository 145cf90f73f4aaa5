"""Which engine reads a day, and why: as it is set, or by how much there is to read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Literal, cast

from runner import console, sizes
from staging_loaders.engine import Engine, Item, Result
from staging_loaders.local import Local
from staging_loaders.split import Work

if TYPE_CHECKING:
    from staging_loaders.session import Session

Name = Literal["spark", "local"]


@dataclass(frozen=True)
class Choice:
    """The engine that was `asked` for (`spark`, `local` or `auto`), the one that reads, and why."""

    asked: str
    engine: Name
    why: str

    def __str__(self) -> str:
        return f"{self.engine}: {self.why}"


@dataclass(frozen=True)
class Wish:
    """What is set about engines: `asked` as in Choice, and `limit`, the bytes above which `auto` means Spark.

    `bound` says why it must be Spark, where it must; `installed` whether there is Spark at all.
    """

    asked: str
    limit: int
    bound: str | None = None
    installed: bool = True


def choose(wish: Wish, work: Work) -> Choice:
    """Return the engine for what is to be read (pure)."""
    if wish.asked != "auto":
        return Choice(wish.asked, cast(Name, wish.asked), "as set")
    if wish.bound:
        return Choice("auto", "spark", wish.bound)
    much = f"{sizes.shown(work.bytes)} in {console.count(work.files, 'file')}"
    if (work.bytes < wish.limit) != (work.weight < wish.limit):
        much += f", as much work as {sizes.shown(work.weight)}"
    limit = f"the limit of {sizes.shown(wish.limit)}"
    if work.weight < wish.limit:
        return Choice("auto", "local", f"{much}, below {limit}")
    if not wish.installed:
        return Choice("auto", "local", f"{much}, above {limit}, but Spark is not installed")
    return Choice("auto", "spark", f"{much}, not below {limit}")


class Chosen:
    """An engine that is chosen when it is known what there is to read, as a context manager.

    `session` makes the one session of Spark, which starts when it is first needed; `told` hears of
    what `auto` means. A day after the first stays with Spark where Spark runs already.
    """

    def __init__(self, wish: Wish, session: Callable[[], Session], told: Callable[[Choice], None]) -> None:
        self._wish = wish
        self._session = session
        self._told = told
        self._stack = ExitStack()
        self._engines: dict[Name, Engine] = {}
        self._guard = threading.Lock()
        self.choice: Choice | None = None

    def __enter__(self) -> Chosen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def name(self) -> str:
        return self.choice.engine if self.choice else self._wish.asked

    @property
    def start_seconds(self) -> float:
        return sum(engine.start_seconds for engine in self._engines.values())

    @property
    def parallelism(self) -> int:
        return self._engine().parallelism

    def expect(self, work: Work) -> None:
        choice = choose(self._wish, work)
        if self.choice and self.choice.engine == "spark" and self._engines["spark"].start_seconds:
            choice = self.choice
        if choice != self.choice and choice.asked == "auto":
            self._told(choice)
        self.choice = choice
        self._engine().expect(work)

    def run(
        self, task: Callable[[Item], Result], items: Sequence[Item], tick: Callable[[], None] | None = None
    ) -> list[Result]:
        return self._engine().run(task, items, tick)

    def _engine(self) -> Engine:
        name: Name = self.choice.engine if self.choice else "local" if self._wish.asked == "local" else "spark"
        with self._guard:
            if name not in self._engines:
                made: AbstractContextManager[Engine] = self._session() if name == "spark" else Local()
                self._engines[name] = self._stack.enter_context(made)
            return self._engines[name]
