"""The orders in which days are tried: every permutation of few days, a seeded sample of many. Pure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from runner import days

# Above this many days the permutations are sampled.
EXHAUSTIVE = 3

Order = tuple[str, ...]
"""Days as they are applied, one after the other; a day may come again."""


@dataclass
class Branch:
    """What is applied after a common beginning: day -> what comes after it."""

    below: dict[str, Branch] = field(default_factory=dict)

    def add(self, order: Order) -> None:
        """Add an order, which shares its beginning with those that are there."""
        here = self
        for day in order:
            here = here.below.setdefault(day, Branch())

    def count(self) -> int:
        """Return how many applications of a day walking all branches takes."""
        return sum(1 + branch.count() for branch in self.below.values())


def choose(given: Sequence[str], *, seed: int, sample: int = 8) -> list[Order]:
    """Return the orders to try of days in natural order; each ends with a day that comes again.

    Up to three days: every permutation, and after each every day but its last again. More: the natural
    order, its reverse and `sample` random permutations, each followed by one random day of it.
    """
    if len(given) < 2:
        return [tuple(given)] if given else []
    if len(given) <= EXHAUSTIVE:
        return [(*order, again) for order in itertools.permutations(given) for again in order[:-1]]
    choice = random.Random(seed)
    orders = [tuple(given), tuple(reversed(given))]
    orders += [tuple(choice.sample(given, len(given))) for _ in range(sample)]
    return [(*order, choice.choice(order[:-1])) for order in dict.fromkeys(orders)]


def tree(orders: Sequence[Order]) -> Branch:
    """Return the orders with their common beginnings joined, so that those are applied once."""
    root = Branch()
    for order in orders:
        root.add(order)
    return root


def smaller(one: Order, other: Order) -> Iterator[tuple[Order, Order]]:
    """Yield pairs of orders of fewer days that may still end in different tables, the shortest first.

    Both of a pair have the same set of days, all of them from `one` and `other`.
    """
    all_days = natural((*one, *other))
    for a, b in itertools.combinations(all_days, 2):
        first, second = (a, b), (b, a)
        for pair in ((first, second), (first, (a, b, a)), (second, (b, a, b))):
            if len(pair[0]) + len(pair[1]) < len(one) + len(other):
                yield pair
    if len(all_days) > EXHAUSTIVE:
        for dropped in all_days:
            yield tuple(day for day in one if day != dropped), tuple(day for day in other if day != dropped)


def natural(order: Order) -> Order:
    """Return each day of an order once, in natural order."""
    return tuple(sorted(set(order), key=days.order))


def shown(order: Order) -> str:
    """Return an order as people read it: `day1, day2, day1`."""
    return ", ".join(order)
