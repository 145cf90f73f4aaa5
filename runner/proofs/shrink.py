"""Making a counterexample small: delta debugging, within a time limit.

After Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28(2), 2002.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")

# Of so few items it is quicker to try each.
_FEW = 8


class Deadline:
    """A point in time after which nothing more is tried."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def passed(self) -> bool:
        """Tell whether the time is over."""
        return self._clock() >= self._end

    def left(self) -> float:
        """Return how many seconds are left."""
        return max(0.0, self._end - self._clock())

    def share(self, parts: int) -> Deadline:
        """Return the end of one part of the time that is left."""
        return Deadline(self.left() / max(parts, 1), self._clock)


def minimise(
    items: Sequence[Item], fails: Callable[[Sequence[Item]], bool], deadline: Deadline
) -> tuple[list[Item], bool]:
    """Return a small part of `items` that still fails, and whether no single item of it can be left out.

    `fails(items)` is known to hold. Where the deadline passes, the smallest part found so far is returned.
    """
    kept = list(items)
    parts = 2
    while len(kept) > _FEW:
        size = -(-len(kept) // parts)
        chunks = [kept[start : start + size] for start in range(0, len(kept), size)]
        found = False
        for number, chunk in enumerate(chunks):
            # Of two halves, one's complement is the other.
            rest = [item for other in (*chunks[:number], *chunks[number + 1 :]) for item in other]
            candidate = chunk if parts == 2 else rest
            if deadline.passed():
                return kept, False
            if fails(candidate):
                kept, found = candidate, True
                break
        if found:
            parts = max(parts - 1, 2)
        elif size == 1:
            return kept, True
        else:
            parts = min(parts * 2, len(kept))
    return _one_by_one(kept, fails, deadline)


def _one_by_one(
    items: list[Item], fails: Callable[[Sequence[Item]], bool], deadline: Deadline
) -> tuple[list[Item], bool]:
    """Leave out one item after the other, until each is needed."""
    kept, place, needed = items, 0, 0
    while len(kept) > 1 and needed < len(kept):
        if deadline.passed():
            return kept, False
        place %= len(kept)
        rest = [*kept[:place], *kept[place + 1 :]]
        if fails(rest):
            kept, needed = rest, 0
        else:
            place, needed = place + 1, needed + 1
    return kept, True
