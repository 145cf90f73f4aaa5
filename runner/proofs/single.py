"""One application of a step: whether what it says of its changes is true, and what a second run changes."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from runner import checks, console
from runner.changes import RowChange
from runner.check import Check
from runner.checks import CheckResult
from runner.proofs import counts
from runner.proofs.effect import SAMPLE, Applied, Effect, apply, key_of, whole, words
from runner.proofs.fault import Evidence, Fault
from runner.proofs.orders import Order
from runner.proofs.scope import Scope
from runner.proofs.trial import StepBroke, Trial
from runner.step import SqlFile


def prove(
    trial: Trial,
    scope: Scope,
    step: SqlFile,
    order: Order,
    wanted: Sequence[Check],
    proofs: Sequence[str],
    *,
    quick: bool = False,
) -> tuple[Applied, list[Fault]]:
    """Run a step on the last day of `order`, and try to prove what one application can; it stays applied once.

    `quick` looks at the second run alone.
    """
    day = order[-1]
    if quick:
        metrics = trial.run(step, day)
        trial.tidy()
        first = Applied(metrics, (), ())
    else:
        first = apply(trial, scope, step, day, wanted if "checks" in proofs else ())
    faults = []
    if "metrics" in proofs and first.said != first.total:
        faults.append(counts.wrong(scope, step, order, first))
    failed = [result for result in first.checks if result.status == "failed"]
    faults += [_check_failed(step, order, first.metrics.table, result) for result in failed]
    if "rerun" in proofs:
        faults += [_staging_changed(step, order, each) for each in first.effects if each.table in scope.staging]
        faults += _rerun(trial, scope, step, order, first.metrics.table)
    return first, faults


def _rerun(trial: Trial, scope: Scope, step: SqlFile, order: Order, table: str) -> list[Fault]:
    with trial.aside():
        try:
            second = apply(trial, scope, step, order[-1])
        except StepBroke as broke:
            message = f"{order[-1]}: applied again, the step fails\n{broke.message}"
            return [Fault("rerun", "rerun-fails", step.id, table, message, (order,))]
        if not any((*effect.counts, effect.rewritten) != (0, 0, 0, 0) for effect in second.effects + second.marks):
            return _says_zero(step, order, second, table)
        third = None
        if any(any(effect.counts) for effect in second.effects):
            try:
                third = apply(trial, scope, step, order[-1])
            except StepBroke:
                third = None
    settled = third is not None and not any(any(effect.counts) for effect in third.effects)
    faults = []
    for effect in second.effects:
        count = sum(effect.counts)
        kind = _kind(effect, settled) if count else "rewritten-unchanged"
        what = words(effect.counts) if count else f"{effect.rewritten:,} rewritten and left as they were"
        message = f"{order[-1]}: applied again, the step changes {effect.table}: {what}"
        if not count:
            message = f"{order[-1]}: applied again, the step writes rows of {effect.table}: {what}"
        rows = [row for row in effect.rows if (row.kind == "rewrite") == (not count)]
        evidence, keys = _changed_rows(rows, (count or effect.rewritten), effect.keyed)
        faults.append(Fault("rerun", kind, step.id, effect.table, message, (order,), evidence, keys))
    for effect in second.marks:
        message = f"{order[-1]}: applied again, the step moves the watermark {effect.table}"
        evidence, keys = _changed_rows(effect.rows, sum(effect.counts) + effect.rewritten, effect.keyed)
        faults.append(Fault("rerun", "watermark-moved", step.id, effect.table, message, (order,), evidence, keys))
    return faults


def _staging_changed(step: SqlFile, order: Order, effect: Effect) -> Fault:
    message = f"{order[-1]}: the step changes {effect.table}, which it should only read: {words(effect.counts)}"
    rows = [(row.kind, whole(row)) for row in effect.rows[:2]]
    evidence = Evidence(("change", "row"), tuple(rows), max(0, sum(effect.counts) - len(rows)))
    return Fault("rerun", "staging-changed", step.id, effect.table, message, (order,), evidence)


def _says_zero(step: SqlFile, order: Order, second: Applied, table: str) -> list[Fault]:
    if second.said == (0, 0, 0):
        return []
    message = f"{order[-1]}: applied again, the step changes nothing, and its metrics row says {words(second.said)}"
    return [Fault("rerun", "rerun-counts", step.id, table, message, (order,))]


def _kind(effect: Effect, settled: bool) -> str:
    if effect.inserted and not effect.updated and not effect.deleted:
        return "inserted-again"
    if settled:
        return "one-run-late"
    updates = [row for row in effect.rows if row.kind == "update"]
    if updates and all(_grows(row) for row in updates):
        return "adds-up"
    return "never-settles"


def _grows(row: RowChange) -> bool:
    """Tell whether all that changes in a row are whole or exact numbers, as those that add up do."""
    for column in row.columns:
        try:
            old, new = (Decimal((side or {}).get(column) or "") for side in (row.old, row.new))
        except InvalidOperation:
            return False
        if abs(new) <= abs(old):
            return False
    return bool(row.columns)


def _check_failed(step: SqlFile, order: Order, table: str, result: CheckResult) -> Fault:
    count = console.count(result.rows_failed, "row")
    message = f"{order[-1]}: the check {result.check} finds {count}: {result.description} ({result.source})"
    headers = tuple(result.sample[0]) if result.sample else ()
    rows = tuple(tuple(checks.shown(row.get(name)) for name in headers) for row in result.sample)
    evidence = Evidence(headers, rows, result.rows_failed - len(rows)) if headers else None
    keys = tuple(value for row in rows[:1] for value in row[:2] if value)
    return Fault("checks", "check-failed", step.id, table, message, (order,), evidence, keys)


def _changed_rows(rows: Sequence[RowChange], count: int, keyed: bool) -> tuple[Evidence | None, tuple[str, ...]]:
    """Return changed rows as a table, a line a column that differs, and the first one's key."""
    if not rows:
        return None, ()
    rows = rows[:SAMPLE]
    names = tuple(rows[0].key) if keyed else ("row",)
    lines: list[tuple[str | None, ...]] = []
    for row in rows:
        key = tuple(row.key.values()) if keyed else (whole(row),)
        if row.kind != "update":
            lines.append((*key, row.kind, None, None, None))
        for column in row.columns:
            lines.append((*key, row.kind, column, (row.old or {})[column], (row.new or {})[column]))
    headers = (*names, "change", "column", "after the first run", "after the second")
    if all(line[-3] is None for line in lines):
        headers, lines = headers[:-3], [line[:-3] for line in lines]
    return Evidence(headers, tuple(lines), max(0, count - len(rows))), key_of(rows[0], keyed)
