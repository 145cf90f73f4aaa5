"""Days in several orders, from emptied tables: which end in other rows, and the rows that show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runner.proofs import digest
from runner.proofs.digest import Digest, RowChange, Table
from runner.proofs.fault import Evidence, Fault
from runner.proofs.orders import Branch, Order, natural, shown
from runner.proofs.scope import Scope
from runner.proofs.trial import StepBroke, Trial
from runner.step import SqlFile

# Differing rows that are shown of a table, and columns of each.
SAMPLE = 5
_ROW = "(row)"

# Kinds of faults, those first that say most.
_PLAINEST = (
    "arrival",
    "random",
    "late-record-lost",
    "last-applied-wins",
    "first-applied-wins",
    "repetition",
    "order-matters",
)

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


def walk(
    trial: Trial,
    scope: Scope,
    steps: Sequence[SqlFile],
    branch: Branch,
    blocked: Sequence[str],
    tick: Callable[[Order], None] = lambda _: None,
) -> list[Difference]:
    """Apply all orders below `branch`, common beginnings once, and return the smallest difference of each step.

    Whatever was applied, the same set of days must make the same tables. `blocked` steps are known
    to be faulty, and so are not compared.
    """
    seen: dict[frozenset[str], tuple[Order, Digest]] = {}
    found: dict[str, Difference] = {}

    def visit(branch: Branch, before: Order) -> None:
        for day, below in branch.below.items():
            order = (*before, day)
            tick(order)
            with trial.aside():
                try:
                    go(trial, scope, steps, Way((day,)))
                except StepBroke as broke:
                    reference = seen.get(frozenset(order), (natural(order), {}))[0]
                    if broke.step.id not in blocked:
                        _keep(found, Difference(broke.step.id, (), Way(reference), Way(order), broken=broke))
                    continue
                state = digest.take(trial.connection, scope.final.values())
                reference, expected = seen.setdefault(frozenset(order), (order, state))
                for step, tables, also in differing(scope, expected, state, blocked):
                    _keep(found, Difference(step, tables, Way(reference), Way(order), also))
                visit(below, order)

    visit(branch, ())
    return [found[step.id] for step in steps if step.id in found]


def _keep(found: dict[str, Difference], new: Difference) -> None:
    if new.step not in found or new.size < found[new.step].size:
        found[new.step] = new


def differing(
    scope: Scope, one: Digest, other: Digest, blocked: Sequence[str] = ()
) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Yield (step, its tables that differ, tables of others that do) for each step that is where it begins."""
    names = set(digest.differing(one, other))
    for step, tables in scope.roots(names).items():
        if step not in blocked:
            yield step, tuple(tables), tuple(sorted(names - set(tables)))


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


def compare(trial: Trial, scope: Scope, steps: Sequence[SqlFile], difference: Difference, proof: str) -> Fault | None:
    """Do the same, and return the rows in which the two ways differ."""
    step, one, other = difference.step, difference.one, difference.other
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
            if difference.broken is None or broke.step != difference.broken.step:
                return None
            message = f"{other.name}: the step fails, and with {one.name} it does not\n{broke.message}"
            return Fault(proof, "fails-in-order", step, None, message, (one.order, other.order))
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
    if not changes:
        return None
    kinds = {
        change: _kind(trial, scope, steps, table, buckets, change, one, other, proof) for change in _telling(changes)
    }
    change, kind = min(kinds.items(), key=lambda item: _PLAINEST.index(item[1]))
    changes.sort(key=lambda other_change: other_change is not change)
    return fault_of(proof, kind, step, table, changes, one, other, len(differ[table.name]) > len(buckets))


def _telling(changes: Sequence[RowChange]) -> list[RowChange]:
    """Return the first row that is in both states, and the first that is missing in one."""
    missing = [change for change in changes if change.one is None or change.other is None]
    both = [change for change in changes if change.one is not None and change.other is not None]
    return [*both[:1], *missing[:1]]


def fault_of(
    proof: str, kind: str, step: str, table: Table, changes: Sequence[RowChange], one: Way, other: Way, more: bool
) -> Fault:
    """Return the fault that `changes` of a table show, `one` way beside the `other`."""
    if one == other:
        message = f"{one.name}, applied twice from empty tables, ends in different rows of {table.name}"
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


def _kind(
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
    """Return what the first differing row says of the cause, by what single days make of it."""
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
