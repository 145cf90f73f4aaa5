"""Ways to come to an end, days in an order, and whether two of them end in the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.proofs import digest
from runner.proofs.orders import Order, shown
from runner.proofs.scope import Scope
from runner.proofs.trial import StepBroke, Trial
from runner.step import SqlFile

# Other plans than usual: what they change was never promised. A key on staging would hide how its rows lie.
PLANNER = {
    "enable_hashagg": "off",
    "enable_hashjoin": "off",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_bitmapscan": "off",
    "max_parallel_workers_per_gather": "0",
}


@dataclass(frozen=True)
class Way:
    """A way to come to an end: days in an order, as staging has their rows or with those turned around."""

    order: Order
    turned: bool = False

    @property
    def name(self) -> str:
        """The way as people read it."""
        return shown(self.order) + (" (staging turned)" if self.turned else "")


@dataclass(frozen=True)
class Difference:
    """Two ways that end in different rows of tables of a step; `broken` is how the other way failed instead."""

    step: str
    tables: tuple[str, ...]
    one: Way
    other: Way
    also: tuple[str, ...] = ()
    broken: StepBroke | None = None
    shared: bool = False
    """Whether other steps write the table, too."""

    @property
    def size(self) -> int:
        """How many applications of a day it takes."""
        return len(self.one.order) + len(self.other.order)


def go(trial: Trial, scope: Scope, steps: Sequence[SqlFile], way: Way) -> None:
    """Apply days one after the other; StepBroke where a step fails."""
    if way.turned:
        trial.turn_staged(scope.staging_of(steps), list(set(way.order)))
    for day in way.order:
        apply_day(trial, steps, day, turned=way.turned)


def apply_day(trial: Trial, steps: Sequence[SqlFile], day: str, *, turned: bool = False) -> None:
    """Apply one day, with other plans than usual where its staging is turned around."""
    for step in steps:
        trial.run(step, day, PLANNER if turned else None)
        trial.tidy()


def differ(trial: Trial, scope: Scope, steps: Sequence[SqlFile], difference: Difference) -> bool:
    """Go both ways again, from the tables and the staging as they are now, and tell whether the difference is there."""
    tables = [scope.final[name] for name in difference.tables]
    states = []
    for way in (difference.one, difference.other):
        try:
            with trial.aside():
                go(trial, scope, steps, way)
                states.append(digest.take(trial.connection, tables))
        except StepBroke as broke:
            return bool(states) and difference.broken is not None and broke.step == difference.broken.step
    return difference.broken is None and bool(digest.differing(*states))
