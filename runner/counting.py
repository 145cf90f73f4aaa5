"""Whether the counts of a metrics row are those of the rows that really changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Counts = tuple[int, int, int]
"""Rows inserted, updated and deleted."""


@dataclass(frozen=True)
class Changed:
    """How many rows of a table were changed; `keyed` tells whether a key tells its rows apart."""

    counts: Counts
    rewritten: int
    """Rows that were written and say the same."""
    keyed: bool


def holds(said: Counts, tables: Iterable[Changed]) -> bool:
    """Tell whether `said` counts what became of the rows of all tables.

    Without a key rows are told apart by what they say: there an update looks like a delete and an insert,
    and one to what another row said, as in `set place = place + 1`, like a row that stays. Each is
    believed to be what is said of it.
    """
    tables = list(tables)
    inserted, updated, deleted = (sum(each.counts[place] for each in tables) for place in range(3))
    vague = [each for each in tables if not each.keyed]
    pairs = sum(min(each.counts[0], each.counts[2]) for each in vague)
    # An update that was taken for a delete and an insert is missing in both.
    taken = inserted - said[0]
    stayed = said[1] - updated - taken
    return 0 <= taken <= pairs and said[2] == deleted - taken and 0 <= stayed <= sum(each.rewritten for each in vague)
