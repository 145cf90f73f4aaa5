"""What a new step says: its shape's template, filled from the columns of the server's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runner import new_step_columns as columns
from runner.errors import UsageError
from runner.relation import Column, Relation

if TYPE_CHECKING:
    from runner.database import Connection

SHAPES = {
    "upsert": "the newest record of each key wins, whichever day brings it",
    "snapshot": "exactly what the latest day has; rows that are gone are deleted",
    "append": "facts: new keys are inserted, nothing is ever changed",
    "recompute": "computed from another table; only rows that differ are written",
}

# A table called like a common table expression of the templates is written with its schema.
_TAKEN = (
    *("context", "newest", "changed", "upserted", "metrics", "finished", "named", "desired", "changes"),
    *("inserted", "updated", "deleted", "day_added", "stored", "target", "known", "excluded"),
)


@dataclass(frozen=True)
class Loader:
    """The entity that fills a staging table, and whether each day must have it."""

    entity: str
    required: bool


@dataclass(frozen=True)
class NewStep:
    """The values of a step's template; names are written as SQL needs them."""

    number: int
    name: str
    pipeline: str
    shape: str
    table: str
    table_name: str
    source: str
    source_name: str
    entity: str
    may_skip: bool
    key: list[str]
    key_words: str
    version: str
    lowest: str
    """What stands for a version that is null, as a literal; empty where none can be."""
    day_column: str
    selected: list[str]
    """What is taken from the source, cast where the table's type is another."""
    written: list[str]
    values: list[str]
    """The columns that are not of the key."""
    compared: list[str]
    conditions: list[str]
    ordered: list[str]
    is_unique: bool
    is_partitioned: bool
    of_the_day: str
    technical: list[str]
    days_table: str = ""
    days_table_name: str = ""
    days_key: str = ""
    notes: list[str] = field(default_factory=list)
    """What a person is told: columns that the step leaves alone."""
    has_day_column: bool = True
    needs_day_order: bool = False

    @property
    def id(self) -> str:
        return f"{self.number:03d}_{self.name}"

    @property
    def description(self) -> str:
        name = self.table_name
        return {
            "upsert": f"{name}, the newest record of each",
            "snapshot": f"{name}, as of the latest day",
            "append": f"{name}, new facts only",
            "recompute": f"{name}, computed from {self.source_name}",
        }[self.shape]

    @property
    def superseded(self) -> list[str]:
        """What is said of a day's records of one key, a line each."""
        newest = f"the newest {self.version}, then " if self.version else ""
        if self._in_file_order:
            return [
                f"One record for each key: {newest}the last in file order.",
                "The day's other records of the key are superseded.",
            ]
        return [
            f"One record for each key: {newest}the greatest by its values, since staging does",
            "not say which came last. The day's other records of the key are superseded.",
        ]

    @property
    def first(self) -> str:
        return "the first in file order counts." if self._in_file_order else "the order of their values decides."

    @property
    def tie(self) -> str:
        return f"with the same {self.version} the later day wins." if self.version else "the later day wins."

    @property
    def is_new(self) -> str:
        """What the template calls its own column for new rows, apart from those of the table."""
        return "is_new" if "is_new" not in self.written else "is_new_row"

    @property
    def is_gone(self) -> str:
        return "is_gone" if "is_gone" not in self.written else "is_gone_row"

    @property
    def _in_file_order(self) -> bool:
        return bool(self.ordered) and self.ordered[-1].startswith("position")


def compose(
    request: columns.Request, target: Relation, source: Relation, loader: Loader | None, connection: Connection
) -> NewStep:
    """Return the step that fills `target` from `source`, which is its staging table unless it is recomputed.

    Raises UsageError or ConfigError for what cannot work, and says what can.
    """
    staged = request.shape != "recompute"
    _check_tables(target, source, staged)
    day_column = columns.day_column(target, source) if request.shape == "upsert" else ""
    key = columns.key_of(request, target, source)
    version = columns.version_of(request, target, source)
    copied = [
        column
        for name, column in target.columns.items()
        if name in source.columns and not column.is_generated and name != day_column
    ]
    if request.shape == "append":
        copied = columns.without_provenance(copied, key)
    names = [column.name for column in copied]
    left_out = [column for name, column in target.columns.items() if name not in names and name != day_column]
    columns.check_required(left_out, target, source)
    values = [column for column in copied if column.name not in key]
    step = NewStep(
        number=request.number,
        name=request.name,
        pipeline=request.pipeline,
        shape=request.shape,
        table=_sql(target),
        table_name=target.name,
        source=_sql(source),
        source_name=source.name,
        entity=loader.entity if loader else "",
        may_skip=request.shape == "snapshot" or (staged and loader is not None and not loader.required),
        key=[target.columns[name].sql for name in key],
        key_words=_words(key),
        version=target.columns[version].sql if version else "",
        lowest=columns.lowest(target.columns[version], source.columns[version]) if version else "",
        day_column=_quoted(day_column, target),
        selected=[columns.taken(column, target, source, connection) for column in copied],
        written=[column.sql for column in copied],
        values=[column.sql for column in values],
        compared=[columns.comparable(column) for column in values],
        conditions=[
            f"{source.columns[name].sql} is not null"
            for name in key
            if not source.columns[name].not_null and (not target.columns[name].not_null or not staged)
        ],
        ordered=columns.order(request, key, version, copied, source),
        is_unique=not staged and any(set(unique) <= set(key) for unique in source.keys),
        is_partitioned=target.kind == "p",
        of_the_day=columns.of_the_day(source) if staged else "",
        technical=[c.sql for c in left_out if columns.is_technical(c)],
        notes=_notes(left_out, target, source),
        has_day_column=not day_column or day_column in target.columns,
    )
    if request.shape in ("upsert", "append") and step.may_skip:
        step.conditions.append("(select is_loaded from context)")
    return step


def with_days(step: NewStep, quoted: str, quoted_key: str, name: str) -> NewStep:
    """Return a snapshot with the table that remembers the days it was taken from."""
    return replace(step, days_table=quoted, days_key=quoted_key, days_table_name=name)


def _check_tables(target: Relation, source: Relation, staged: bool) -> None:
    if target.kind not in ("r", "p"):
        raise UsageError(f"{target.name} is not a table that a step could write", hint="Name the table under it.")
    if target.qualified == source.qualified:
        raise UsageError(f"{target.name} cannot be filled from itself", hint="Name another table with --from-table.")
    if set(columns.PROVENANCE) <= set(target.columns) and target.name.startswith("stg_"):
        raise UsageError(
            f"{target.name} is staging, which a loader fills",
            hint=f"Name the table that the step is to fill from it, with --from-table {target.name}.",
        )
    if staged and "day" not in source.columns:
        raise UsageError(
            f"{source.name} has no column 'day', so it is not staging",
            hint="Name staging with --from-table, or compute the table from others with --shape recompute.",
        )
    if not staged and set(columns.PROVENANCE) <= set(source.columns):
        raise UsageError(
            f"{source.name} is staging: what is computed from all of its days would depend on which are kept",
            hint="Compute the table from final ones, or use another --shape.",
        )


def _notes(left_out: Sequence[Column], target: Relation, source: Relation) -> list[str]:
    notes = []
    for column in left_out:
        if column.is_generated or column.is_identity:
            continue
        if column.name in source.columns:
            notes.append(f"{target.name}.{column.name} is left out: which day came first must not show in a fact")
        elif column.default is not None:
            notes.append(f"{target.name}.{column.name} keeps its default: {source.name} has no such column")
        else:
            notes.append(f"{target.name}.{column.name} stays null: {source.name} has no such column")
    return notes


def _sql(relation: Relation) -> str:
    return relation.qualified if relation.name in _TAKEN else relation.sql


def _quoted(name: str, target: Relation) -> str:
    return target.columns[name].sql if name in target.columns else name


def _words(names: Sequence[str]) -> str:
    names = [" ".join(name.split()) for name in names]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
