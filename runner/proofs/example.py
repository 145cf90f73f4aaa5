"""A counterexample made small: the fewest days and staging rows with which a fault still comes about."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from runner.proofs import digest
from runner.proofs.fault import Fault, StagingRow
from runner.proofs.scope import Scope
from runner.proofs.shrink import Deadline, minimise
from runner.proofs.trial import Staged, Trial
from runner.step import SqlFile

# More staging rows than these are no small example.
_MOST_SHOWN = 12

_VAGUE = ("order-matters", "repetition")

Probe = Callable[[], Fault | None]
"""Looks for a fault with the staging at hand, from empty tables, and leaves everything as it was."""

Test = Callable[[], bool]
"""Tells whether the fault is there, and no more than that."""


def shrink(
    trial: Trial, scope: Scope, steps: Sequence[SqlFile], fault: Fault, probe: Probe, test: Test, deadline: Deadline
) -> Fault:
    """Return the fault with as few staging rows as the time allows; `fault` is what `probe` finds with all.

    `trial` stands at empty tables. First only rows that hold the differing row's key are tried.
    """
    from psycopg.errors import QueryCanceled

    tables = scope.staging_of(steps)
    days = fault.days

    def fails(kept: Sequence[Staged]) -> bool:
        try:
            with trial.aside():
                trial.keep_staged(tables, days, kept)
                return test()
        except QueryCanceled:  # the time is over, or a plan for few rows met many
            return False

    def fails_without_any() -> bool:
        try:
            with trial.aside():
                trial.keep_staged(scope.staging.values(), None, ())
                return test()
        except QueryCanceled:
            return False

    trial.limit = deadline.left
    try:
        if fails([]):
            # A step may look at what other days have staged, too.
            nothing = fails_without_any()
            return dataclasses.replace(fault, minimal=True if nothing else None)
        marks = [key for key in fault.keys if key not in days]
        rows = trial.staged(tables, days, marks) if marks else []
        if not rows or deadline.passed() or not fails(rows):
            rows = trial.staged(tables, days)
        kept, minimal = minimise(rows, fails, deadline)
    finally:
        trial.limit = None
    if len(kept) > _MOST_SHOWN:
        return dataclasses.replace(fault, minimal=False)
    with trial.aside():
        trial.keep_staged(tables, days, kept)
        smallest = probe() or fault
    staging = tuple(_staging_row(trial, scope, row) for row in kept)
    # With all of staging a cause can show that the smallest example hides.
    kind = smallest.kind if fault.kind in _VAGUE else fault.kind
    result = dataclasses.replace(smallest, kind=kind, staging=staging, minimal=minimal)
    if result.kind == "late-record-lost" and _same_thing(result):
        return dataclasses.replace(result, kind="left-behind")
    return result


def _same_thing(fault: Fault) -> bool:
    """Tell whether both days speak of what the differing row is about: then one did not have it removed."""
    days = {row.values.get("day") for row in fault.staging if any(key in row.values.values() for key in fault.keys)}
    return len(days) > 1


def _staging_row(trial: Trial, scope: Scope, row: Staged) -> StagingRow:
    table = scope.staging[row.table]
    columns = ", ".join(f"{digest.quote(name)}::text" for name in table.columns)
    values = trial.connection.execute(
        f"select {columns} from {table.name} where tableoid = %s and ctid = %s::tid".encode(), (row.leaf, row.ctid)
    ).fetchone()
    assert values is not None  # nobody else writes while the days are held
    return StagingRow(table.name, dict(zip(table.columns, values, strict=True)))
