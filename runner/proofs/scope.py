"""Which tables the steps of a pipeline read and write, and what that makes of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner import changes, diagnosis, sqltext, sqltree, treenames
from runner.database import Connection
from runner.errors import StepFailed
from runner.proofs import digest
from runner.proofs.digest import Table
from runner.proofs.hidden import Catalog, Hidden
from runner.sqltree import Relations
from runner.step import SqlFile

# The runner's own staging books: a day without them is not loaded.
_BOOKS = {"stg_loads"}
_COUNTED_NOWHERE = ("pipeline_metrics", "check_results")


@dataclass(frozen=True)
class Scope:
    """The tables of a pipeline, by name as SQL quotes it.

    `staging` is what days bring, `final` what the steps make of it; `marks` are the watermarks, which
    are proven nothing about but that a rerun does not move them.
    """

    steps: tuple[SqlFile, ...]
    reads: Mapping[str, frozenset[str]]
    """Step -> tables it reads."""
    writes: Mapping[str, frozenset[str]]
    """Step -> tables it writes, watermarks and the runner's own aside."""
    emptied: Mapping[str, frozenset[str]]
    """Step -> names of what it truncates, alters or drops, see `changes.to_copy`."""
    apart: frozenset[str]
    """Tables whose rows are counted nowhere: watermarks and the runner's own."""
    final: Mapping[str, Table]
    staging: Mapping[str, Table]
    marks: Mapping[str, Table]
    unclear: Mapping[str, str]
    """Step -> why it may write other tables, too; empty where it does not."""

    def compared(self, step: SqlFile) -> list[str]:
        """Return the tables of a step whose rows are compared."""
        return sorted(self.writes[step.id] & set(self.final))

    def needed(self, step: SqlFile) -> list[SqlFile]:
        """Return the steps whose tables `step` reads, at any remove, and itself, in order; there may be later ones."""
        kept, size = {step.id}, 0
        while size < len(kept):
            size = len(kept)
            read = frozenset().union(*(self.reads[name] for name in kept))
            kept |= {other.id for other in self.steps if self.writes[other.id] & read}
        return [other for other in self.steps if other.id in kept]

    def from_later(self, step: SqlFile) -> list[str]:
        """Return the tables that `step` reads and only later steps write."""
        place = self.steps.index(step)
        before, after = (
            frozenset().union(*(self.writes[other.id] for other in steps))
            for steps in (self.steps[: place + 1], self.steps[place + 1 :])
        )
        return sorted(self.reads[step.id] & after - before - set(self.staging))

    def roots(self, differing: Iterable[str]) -> dict[str, list[str]]:
        """Return step -> tables it writes that differ, of the steps that read none that differ by an earlier step."""
        differing = set(differing)
        found: dict[str, list[str]] = {}
        blamed: set[str] = set()
        for step in self.steps:
            own = sorted((self.writes[step.id] & differing) - blamed)
            if own and not self.reads[step.id] & blamed:
                found[step.id] = own
            blamed |= set(own)
        return found

    def staging_of(self, steps: Sequence[SqlFile]) -> list[Table]:
        """Return the staging tables that `steps` read."""
        read = frozenset().union(*(self.reads[step.id] for step in steps))
        return [table for name, table in self.staging.items() if name in read]


def find(connection: Connection, steps: Sequence[SqlFile]) -> Scope:
    """Return what the steps read and write in this database; StepFailed for what is not SQL."""
    relations = {step.id: _relations(step) for step in steps}
    within = _within(connection, steps)
    for name, each in within.items():
        relations[name] |= Relations(each.words, each.writes)
    named = {name for each in relations.values() for name in each.reads | each.writes}
    canonical = _resolve(connection, named)
    marks = _resolve(connection, {name for step in steps for name in step.watermark})
    technical = [name for step in steps for name in step.technical]
    tables = digest.describe(connection, {*canonical.values(), *marks.values()}, technical)
    apart = frozenset({*marks.values(), *_resolve(connection, _COUNTED_NOWHERE).values()})

    def known(names: Iterable[str]) -> frozenset[str]:
        return frozenset(canonical[name] for name in names if canonical.get(name) in tables)

    reads = {step.id: known(relations[step.id].reads) for step in steps}
    writes = {step.id: known(relations[step.id].writes) - apart for step in steps}
    written = frozenset().union(*writes.values())
    return Scope(
        tuple(steps),
        reads,
        writes,
        {step.id: changes.to_copy(step) | within[step.id].emptied for step in steps},
        apart,
        final={name: tables[name] for name in sorted(written) if not _is_staging(name)},
        staging={
            name: table
            for name, table in sorted(tables.items())
            if _is_staging(name) and "day" in table.columns and name not in _BOOKS
        },
        marks={name: tables[name] for name in sorted(marks.values()) if name in tables},
        unclear={name: each.unclear for name, each in within.items()},
    )


def _relations(step: SqlFile) -> Relations:
    found = Relations()
    for statement in step.statements:
        try:
            for tree in sqltree.parse(statement.text):
                each = sqltree.relations(tree.node)
                temporary = frozenset(treenames.made_temporary(tree.node))
                # A table that is dropped and made again stays one that others see.
                found |= Relations(
                    each.reads - found.made, (each.writes | each.made - temporary) - found.made, temporary, each.emptied
                )
        except sqltree.NotSql as error:
            at = sqltext.locate(step.text, statement.start + error.offset)
            raise StepFailed(
                f"{step.shown}:{at.line}:{at.column}: {error.message}", hint=diagnosis.hint_for_state("42601")
            ) from error
    return found


def _within(connection: Connection, steps: Sequence[SqlFile]) -> dict[str, Hidden]:
    """Return step -> what its blocks and the functions that it calls do."""
    catalog = Catalog(connection)
    found = {step.id: Hidden() for step in steps}
    for step in steps:
        for statement in step.statements:
            for tree in sqltree.parse(statement.text):
                if tree.kind == "DoStmt":
                    options = {option.defname: option.arg.sval for option in tree.node.args}
                    found[step.id] |= catalog.of_block(options["as"], options.get("language", "plpgsql").lower())
                    continue
                calls = {
                    node.funcname[-1].sval for node in sqltree.walk(tree.node) if type(node).__name__ == "FuncCall"
                }
                found[step.id] |= catalog.of_calls(calls)
    return found


def _is_staging(name: str) -> bool:
    return name.rpartition(".")[2].strip('"').startswith("stg_")


def _resolve(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """Return given name -> name as SQL quotes it, for those that exist."""
    found = connection.execute(
        "select name, to_regclass(name)::text from unnest(%s::text[]) as given(name)"
        " where to_regclass(name) is not null",
        (sorted(names),),
    )
    return dict(found.fetchall())
