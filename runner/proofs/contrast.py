"""The rows in which two ways end differently, and the fault that they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.proofs import digest, kinds
from runner.proofs.digest import RowChange, Table
from runner.proofs.fault import Evidence, Fault
from runner.proofs.scope import Scope
from runner.proofs.trial import StepBroke, Trial
from runner.proofs.ways import Difference, Way, go
from runner.step import SqlFile

# Differing rows that are shown of a table, and columns of each.
SAMPLE = 5
_ROW = "(row)"


@dataclass(frozen=True)
class Contrast:
    """The differing rows of one table, of some `buckets`; `more` says that other buckets differ, too."""

    table: Table
    buckets: Sequence[int]
    changes: Sequence[RowChange]
    more: bool


def look(trial: Trial, scope: Scope, steps: Sequence[SqlFile], difference: Difference) -> Contrast | StepBroke | None:
    """Go both ways again, from the tables and the staging as they are now, and return the rows that differ.

    Where the other way fails, and that is the difference, return how. None where there is no difference.
    """
    one, other = difference.one, difference.other
    tables = [scope.final[name] for name in difference.tables]
    try:
        with trial.aside():
            go(trial, scope, steps, one)
            first = digest.take(trial.connection, tables)
    except StepBroke:
        return None
    with trial.aside():
        try:
            go(trial, scope, steps, other)
        except StepBroke as broke:
            return broke if difference.broken is not None and broke.step == difference.broken.step else None
        if difference.broken is not None:
            return None
        differ = digest.differing(first, digest.take(trial.connection, tables))
        if not differ:
            return None
        table = next(table for table in tables if table.name in differ)
        buckets = _few(differ[table.name], first[table.name])
        after_other = digest.rows(trial.connection, table, buckets)
    with trial.aside():
        go(trial, scope, steps, one)
        after_one = digest.rows(trial.connection, table, buckets)
    changes = digest.compare(table, after_one, after_other)
    return Contrast(table, buckets, changes, len(differ[table.name]) > len(buckets)) if changes else None


def compare(trial: Trial, scope: Scope, steps: Sequence[SqlFile], difference: Difference, proof: str) -> Fault | None:
    """Do the same, and return the fault that the rows show."""
    one, other = difference.one, difference.other
    found = look(trial, scope, steps, difference)
    if isinstance(found, StepBroke):
        message = f"{other.name}: the step fails, and with {one.name} it does not\n{found.message}"
        return Fault(proof, "fails-in-order", difference.step, None, message, (one.order, other.order))
    if found is None:
        return None
    told = {
        change: kinds.of_change(trial, scope, steps, found.table, found.buckets, change, one, other, proof)
        for change in _telling(found.changes)
    }
    change, kind = min(told.items(), key=lambda item: kinds.PLAINEST.index(item[1]))
    changes = [change, *(each for each in found.changes if each is not change)]
    return fault_of(proof, kind, difference.step, found.table, changes, one, other, found.more)


def _telling(changes: Sequence[RowChange]) -> list[RowChange]:
    """Return the first row that is in both states, and the first that is missing in one."""
    missing = [change for change in changes if change.one is None or change.other is None]
    both = [change for change in changes if change.one is not None and change.other is not None]
    return [*both[:1], *missing[:1]]


def once_more(way: Way, table: str) -> str:
    """Return what is said of a way that ends in other rows when it is gone once more."""
    return f"{way.name}, applied twice from empty tables, ends in different rows of {table}"


def fault_of(
    proof: str, kind: str, step: str, table: Table, changes: Sequence[RowChange], one: Way, other: Way, more: bool
) -> Fault:
    """Return the fault that `changes` of a table show, `one` way beside the `other`."""
    if one == other:
        message = once_more(one, table.name)
    elif other.turned:
        message = f"{one.name} ends in different rows of {table.name} when the rows of staging lie in another order"
    elif set(one.order) == set(other.order) and len(one.order) == len(other.order):
        message = f"{one.name} and {other.name} end in different rows of {table.name}"
    else:
        message = f"{one.name} and then {other.name} end in different rows of {table.name}"
    names = (one.name, other.name) if one != other else ("once", "again")
    rows, left = _rows(table, changes)
    headers = ((*table.key,) if table.key else ("row",)) + ("column", *names)
    keys = tuple(text for text in changes[0].key.values() if text) if table.key else _texts(changes[0])
    return Fault(
        proof,
        kind,
        step,
        table.name,
        message + (" (and in others than are shown)" if more else ""),
        (one.order,) if one.order == other.order else (one.order, other.order),
        Evidence(headers, rows, left),
        keys,
    )


def _rows(table: Table, changes: Sequence[RowChange]) -> tuple[tuple[tuple[str | None, ...], ...], int]:
    rows: list[tuple[str | None, ...]] = []
    for change in changes[:SAMPLE]:
        key = tuple(change.key.values())
        if not table.key:
            key = (", ".join(f"{name}={text}" for name, text in change.key.items() if text is not None),)
        if change.one is None or change.other is None:
            rows.append(
                (*key, _ROW, *("missing" if side is None else "is there" for side in (change.one, change.other)))
            )
            continue
        rows += [(*key, name, change.one[name], change.other[name]) for name in change.columns]
    return tuple(rows), max(0, len(changes) - SAMPLE)


def _texts(change: RowChange) -> tuple[str, ...]:
    return tuple(text for text in change.key.values() if text and len(text) > 2)


def _few(buckets: Sequence[int], held: Mapping[int, tuple[int, int]]) -> list[int]:
    """Return buckets with not too many rows: all of a small table, else one."""
    chosen: list[int] = []
    count = 0
    for bucket in buckets:
        count += held.get(bucket, (1, 0))[0]
        if chosen and count > 10_000:
            break
        chosen.append(bucket)
    return chosen
