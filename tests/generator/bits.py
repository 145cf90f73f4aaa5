"""Deterministic noise: the same numbers give the same choices on every machine and version."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1


def _mix(value: int) -> int:
    """One round of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Bits:
    """A stream of choices that depends on nothing but its seed and its keys.

    Each record gets a stream of its own, so that a record does not change when others
    are added before it, and none has to be kept in memory to make the next.
    """

    def __init__(self, seed: int, *keys: int | str) -> None:
        state = _mix(seed & _MASK)
        for key in keys:
            number = zlib.crc32(key.encode()) if isinstance(key, str) else key
            state = _mix(state ^ (number & _MASK))
        self._state = state

    def next(self) -> int:
        """Return 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        return _mix(self._state)

    def below(self, limit: int) -> int:
        """Return an integer from 0 to `limit` - 1."""
        return self.next() % limit

    def between(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        return low + self.next() % (high - low + 1)

    def chance(self, share: float) -> bool:
        """Return whether something that happens in `share` of the cases (0 to 1) happens."""
        return self.next() < share * (1 << 64)

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of `choices`."""
        return choices[self.next() % len(choices)]

    def uuid(self) -> str:
        """Return a version 4 UUID's text."""
        number = (self.next() << 64 | self.next()) & ~(0xF << 76) & ~(0x3 << 62) | (0x4 << 76) | (0x2 << 62)
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
