"""What kind of fault a row shows that differs between two ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.proofs import digest
from runner.proofs.digest import RowChange, Table
from runner.proofs.scope import Scope
from runner.proofs.trial import StepBroke, Trial
from runner.proofs.ways import Way, go
from runner.step import SqlFile

# Kinds of faults, those first that say most.
PLAINEST = (
    "arrival",
    "random",
    "late-record-lost",
    "last-applied-wins",
    "first-applied-wins",
    "repetition",
    "order-matters",
)


def of_change(
    trial: Trial,
    scope: Scope,
    steps: Sequence[SqlFile],
    table: Table,
    buckets: Sequence[int],
    change: RowChange,
    one: Way,
    other: Way,
    proof: str,
) -> str:
    """Return what a row that differs between two ways says of the cause, by what single days make of it."""
    if one.turned or other.turned:
        return "arrival"
    if proof == "deterministic":
        return "random"
    repeated = "order-matters" if len(one.order) == len(other.order) else "repetition"
    if one.order[-1] == other.order[-1]:
        return repeated
    sides = (change.one, change.other)
    alone = [_alone(trial, scope, steps, table, buckets, change, way.order[-1]) for way in (one, other)]
    if change.one is None or change.other is None:
        there, single = [side is not None for side in sides], [side is not None for side in alone]
        if there == single:
            return "last-applied-wins"
        return "late-record-lost" if there == single[::-1] else repeated
    ends, by_day = [_only(side, change.columns) for side in sides], [_only(side, change.columns) for side in alone]
    if _agree(ends, by_day):
        return "last-applied-wins"
    return "first-applied-wins" if _agree(ends, by_day[::-1]) else repeated


def _agree(ends: Sequence[object], single: Sequence[object]) -> bool:
    """Tell whether each end is what a single day makes; a day that makes none of it says nothing."""
    pairs = [(end, alone) for end, alone in zip(ends, single, strict=True) if alone is not None]
    return bool(pairs) and all(end == alone for end, alone in pairs)


def _alone(
    trial: Trial,
    scope: Scope,
    steps: Sequence[SqlFile],
    table: Table,
    buckets: Sequence[int],
    change: RowChange,
    day: str,
) -> Mapping[str, str | None] | None:
    """Return the row that a single day makes, None where it makes none."""
    try:
        with trial.aside():
            go(trial, scope, steps, Way((day,)))
            for row in digest.rows(trial.connection, table, buckets):
                values = dict(zip(table.columns, row, strict=True))
                if all(values[name] == text for name, text in change.key.items()):
                    return values
    except StepBroke:
        pass
    return None


def _only(row: Mapping[str, str | None] | None, columns: Sequence[str]) -> list[str | None] | None:
    return None if row is None else [row[name] for name in columns]
