"""One application of a step: what it changed, what it says of that, and what a second run changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from runner import changes, checks, console
from runner.changes import RowChange, TableChanges
from runner.check import Check
from runner.checks import CheckResult
from runner.proofs.fault import Evidence, Fault
from runner.proofs.orders import Order
from runner.proofs.scope import Scope
from runner.proofs.trial import StepBroke, Trial
from runner.step import SqlFile
from runner.transaction import Metrics

KINDS = ("inserted", "updated", "deleted")

# Changed rows that are shown of a table.
SAMPLE = 5


@dataclass(frozen=True)
class Effect:
    """How a table's rows were changed by a run of a step, and the first changed rows."""

    table: str
    keyed: bool
    inserted: int
    updated: int
    deleted: int
    rewritten: int
    rows: tuple[RowChange, ...]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Rows inserted, updated and deleted."""
        return self.inserted, self.updated, self.deleted


@dataclass(frozen=True)
class Applied:
    """A run of a step: its metrics row, what changed in its tables and in its watermarks, and its checks."""

    metrics: Metrics
    effects: tuple[Effect, ...]
    marks: tuple[Effect, ...]
    checks: tuple[CheckResult, ...] = ()

    @property
    def total(self) -> tuple[int, int, int]:
        """Rows inserted, updated and deleted in all tables."""
        columns = zip(*(effect.counts for effect in self.effects), strict=True)
        return tuple(map(sum, columns)) or (0, 0, 0)  # type: ignore[return-value]

    @property
    def said(self) -> tuple[int, int, int]:
        """What the metrics row says of that."""
        return self.metrics.rows_inserted, self.metrics.rows_updated, self.metrics.rows_deleted


def apply(trial: Trial, scope: Scope, step: SqlFile, day: str, wanted: Sequence[Check] = ()) -> Applied:
    """Run a step and the checks that are `wanted` of it, and return what it changed; StepBroke where it fails."""
    with changes.watch(trial.connection, scope.emptied[step.id]) as watched:
        metrics = trial.run(step, day)
        results = checks.run(trial.connection, wanted if metrics.status != "skipped" else ())
        by_name: dict[str, list[TableChanges]] = {}
        for each in watched.changes():
            by_name.setdefault(each.table.name, []).append(each)
        found = [_effect(*each) if len(each) == 1 else _remade(each) for each in by_name.values()]
    trial.tidy()
    return Applied(
        metrics,
        tuple(effect for effect in found if effect.table not in scope.apart),
        tuple(effect for effect in found if effect.table in scope.marks),
        results,
    )


def _effect(each: TableChanges) -> Effect:
    return Effect(
        each.table.name,
        bool(each.table.key),
        each.inserted,
        each.updated,
        each.deleted,
        each.rewritten,
        tuple(_written(row, each.table.generated) for row in each.rows(SAMPLE)),
    )


def _remade(each: Sequence[TableChanges]) -> Effect:
    """Return the effect on a table that was dropped and made again: its old rows beside the new ones."""
    table = each[0].table
    key = table.key if all(one.table.key == table.key for one in each) else ()
    gone: dict[tuple[str | None, ...], list[RowChange]] = {}
    rows = [_written(row, table.generated) for one in each for row in one.rows()]
    for row in rows:
        if row.kind == "delete":
            gone.setdefault(_identity(row.old or {}, key), []).append(row)
    changed = []
    for row in rows:
        if row.kind != "insert":
            continue
        new = row.new or {}
        same = gone.get(_identity(new, key))
        if not same:
            changed.append(row)
        elif old := same.pop().old:
            columns = tuple(name for name in new if old.get(name) != new[name] and name not in table.generated)
            changed += [RowChange("update", row.key, old, new, columns)] if columns else []
    changed += [row for same in gone.values() for row in same]
    counts = Counter(row.kind for row in changed)
    shown = [row for kind in changes.KINDS for row in [row for row in changed if row.kind == kind][:SAMPLE]]
    return Effect(table.name, bool(key), counts["insert"], counts["update"], counts["delete"], 0, tuple(shown))


def _identity(values: Mapping[str, str | None], key: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(values.get(name) for name in key) if key else tuple(values.values())


def _written(row: RowChange, generated: Collection[str]) -> RowChange:
    """Leave out the columns that follow from others."""
    return replace(row, columns=tuple(name for name in row.columns if name not in generated))


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
        faults.append(_wrong_counts(step, order, first))
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
        what = _words(effect.counts) if count else f"{effect.rewritten:,} rewritten and left as they were"
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
    message = f"{order[-1]}: the step changes {effect.table}, which it should only read: {_words(effect.counts)}"
    rows = [(row.kind, _whole(row)) for row in effect.rows[:2]]
    evidence = Evidence(("change", "row"), tuple(rows), max(0, sum(effect.counts) - len(rows)))
    return Fault("rerun", "staging-changed", step.id, effect.table, message, (order,), evidence)


def _says_zero(step: SqlFile, order: Order, second: Applied, table: str) -> list[Fault]:
    if second.said == (0, 0, 0):
        return []
    message = f"{order[-1]}: applied again, the step changes nothing, and its metrics row says {_words(second.said)}"
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


def _wrong_counts(step: SqlFile, order: Order, applied: Applied) -> Fault:
    said, real = applied.said, applied.total
    rewritten = sum(effect.rewritten for effect in applied.effects)
    missing = tuple(a - b for a, b in zip(real, said, strict=True))
    table: str | None = applied.metrics.table
    uncounted = [
        effect.table
        for effect in applied.effects
        if all(count == gap for count, gap in zip(effect.counts, missing, strict=True) if gap)
    ]
    if min(missing) >= 0 and uncounted:
        kind, table = "table-not-counted", uncounted[-1]
    elif sum(missing) == 0 and missing[2] == 0:
        kind = "update-counted-as-insert" if missing[0] < 0 else "insert-counted-as-update"
    elif rewritten and -sum(missing) == rewritten and missing[2] == 0:
        kind = "rewrites-counted"
    else:
        kind = "wrong-counts"
    rows = [(effect.table, *map(str, effect.counts)) for effect in applied.effects]
    if len(rows) > 1:
        rows.append(("all tables", *map(str, real)))
    rows.append(("metrics row", *map(str, said)))
    message = f"{order[-1]}: the metrics row says {_words(said)}; really it is {_words(real)}"
    evidence = Evidence(("table", *KINDS), tuple(rows))
    return Fault("metrics", kind, step.id, table, message, (order,), evidence, _miscounted(applied.effects, missing))


def _miscounted(effects: Sequence[Effect], missing: Sequence[int]) -> tuple[str, ...]:
    """Return the key of a row of a kind that is counted too seldom, or else of any."""
    wanted = {kind for kind, gap in zip(("insert", "update", "delete"), missing, strict=True) if gap > 0}
    rows = [(row, effect.keyed) for effect in effects for row in effect.rows]
    rows.sort(key=lambda item: item[0].kind not in wanted)
    return _key(*rows[0]) if rows else ()


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
        key = tuple(row.key.values()) if keyed else (_whole(row),)
        if row.kind != "update":
            lines.append((*key, row.kind, None, None, None))
        for column in row.columns:
            lines.append((*key, row.kind, column, (row.old or {})[column], (row.new or {})[column]))
    headers = (*names, "change", "column", "after the first run", "after the second")
    if all(line[-3] is None for line in lines):
        headers, lines = headers[:-3], [line[:-3] for line in lines]
    return Evidence(headers, tuple(lines), max(0, count - len(rows))), _key(rows[0], keyed)


def _key(row: RowChange, keyed: bool) -> tuple[str, ...]:
    values = row.key if keyed else (row.new or row.old or {})
    return tuple(value for value in values.values() if value)


def _whole(row: RowChange) -> str:
    values = row.new or row.old or {}
    return ", ".join(f"{name}={value}" for name, value in values.items() if value is not None)


def _words(counts: tuple[int, int, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for count, kind in zip(counts, KINDS, strict=True))
