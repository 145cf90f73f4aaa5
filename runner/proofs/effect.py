"""What a run of a step changed, table by table, and what its metrics row says of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from runner import changes, checks, counting
from runner.changes import RowChange, TableChanges
from runner.check import Check
from runner.checks import CheckResult
from runner.counting import Changed, Counts
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
    def counts(self) -> Counts:
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
    def total(self) -> Counts:
        """Rows inserted, updated and deleted in all tables; as the metrics row says where that holds."""
        if counting.holds(self.said, (Changed(each.counts, each.rewritten, each.keyed) for each in self.effects)):
            return self.said
        columns = zip(*(effect.counts for effect in self.effects), strict=True)
        return tuple(map(sum, columns)) or (0, 0, 0)  # type: ignore[return-value]

    @property
    def said(self) -> Counts:
        """What the metrics row says of that."""
        return self.metrics.rows_inserted, self.metrics.rows_updated, self.metrics.rows_deleted


class _InUse(StepBroke):
    """A step wants to empty or alter tables that the watch holds."""

    def __init__(self, broke: StepBroke, tables: set[str]) -> None:
        super().__init__(broke.step, broke.day, broke.message, broke.hint)
        self.tables = tables


def apply(trial: Trial, scope: Scope, step: SqlFile, day: str, wanted: Sequence[Check] = ()) -> Applied:
    """Run a step and the checks that are `wanted` of it, and return what it changed; StepBroke where it fails."""
    copied = set(scope.emptied[step.id])
    while True:
        try:
            with trial.attempt():
                return _watched(trial, scope, step, day, wanted, copied)
        except _InUse as error:
            # Something out of sight empties or alters them: with copies, all over again.
            copied |= error.tables


def _watched(
    trial: Trial, scope: Scope, step: SqlFile, day: str, wanted: Sequence[Check], copied: Collection[str]
) -> Applied:
    with changes.watch(trial.connection, copied) as watched:
        try:
            metrics = trial.run(step, day)
        except StepBroke as broke:
            if broke.in_use and (held := set(watched.named_in(broke.message)) - set(copied)):
                raise _InUse(broke, held) from broke
            raise
        results = checks.run(trial.connection, wanted if metrics.status != "skipped" else ())
        by_name: dict[str, list[TableChanges]] = {}
        for each in watched.changes():
            by_name.setdefault(each.table.name, []).append(each)
        found = [_effect(*each) if len(each) == 1 else _remade(each) for each in by_name.values()]
    trial.tidy()
    return Applied(
        metrics,
        tuple(effect for effect in found if effect.table not in scope.marked[step.id] | scope.books),
        tuple(effect for effect in found if effect.table in scope.marked[step.id]),
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


def key_of(row: RowChange, keyed: bool) -> tuple[str, ...]:
    """Return the texts of a row's key, or of all that it says."""
    values = row.key if keyed else (row.new or row.old or {})
    return tuple(value for value in values.values() if value)


def whole(row: RowChange) -> str:
    """Return all that a row says as people read it."""
    values = row.new or row.old or {}
    return ", ".join(f"{name}={value}" for name, value in values.items() if value is not None)


def words(counts: Counts) -> str:
    """Return counts as people read them: `1 inserted, 0 updated, 0 deleted`."""
    return ", ".join(f"{count:,} {kind}" for count, kind in zip(counts, KINDS, strict=True))
