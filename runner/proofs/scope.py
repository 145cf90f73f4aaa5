"""Which tables the steps of a pipeline read and write, and what that makes of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runner import changes, diagnosis, sqltext, sqltree, tables, treenames
from runner.database import Connection
from runner.errors import StepFailed
from runner.proofs import digest, touched
from runner.proofs.digest import Table
from runner.proofs.hidden import Catalog, Hidden
from runner.proofs.touched import Touched
from runner.step import SqlFile
from runner.treenames import Relations

# The runner's own staging books: a day without them is not loaded.
_BOOKS = {"stg_loads"}
_BOOKKEPT = ("pipeline_metrics", "check_results")


@dataclass(frozen=True)
class Scope:
    """The tables of a pipeline, by name as SQL quotes it.

    `staging` is what days bring, `final` what the steps make of it; `marks` are the watermarks of any step,
    which are not compared.
    """

    steps: tuple[SqlFile, ...]
    reads: Mapping[str, frozenset[str]]
    """Step -> tables it reads."""
    writes: Mapping[str, frozenset[str]]
    """Step -> tables it writes, its watermarks and the runner's own aside."""
    emptied: Mapping[str, frozenset[str]]
    """Step -> names of what it truncates, alters or drops, see `changes.to_copy`."""
    marked: Mapping[str, frozenset[str]]
    """Step -> its watermarks, whose rows it does not count, and which a rerun must not write."""
    books: frozenset[str]
    """The runner's own tables, whose rows nobody counts."""
    final: Mapping[str, Table]
    staging: Mapping[str, Table]
    marks: Mapping[str, Table]
    texts: Mapping[str, Relations]
    """Step -> what its text names, its blocks and functions among it, tables that it is yet to make, too."""
    unclear: Mapping[str, str]
    """Step -> why its text does not say all that it reads and writes; empty where it does."""
    unnamed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Step -> tables it writes out of sight: by a trigger, a foreign key, a view or a statement that it builds."""
    left_out: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Step -> what it writes that cannot be compared."""
    counted: bool = True
    """Whether the server counts what is touched, so that `with_touched` finds all."""

    def compared(self, step: SqlFile) -> list[str]:
        """Return the tables of a step whose rows are compared."""
        return sorted(self.writes[step.id] & set(self.final))

    def writers(self, table: str) -> list[SqlFile]:
        """Return the steps that write a table, in order."""
        return [step for step in self.steps if table in self.writes[step.id]]

    def needed(self, *steps: SqlFile) -> list[SqlFile]:
        """Return the steps whose tables `steps` read, at any remove, and those, in order; there may be later ones."""
        kept, size = {step.id for step in steps}, 0
        while size < len(kept):
            size = len(kept)
            read = frozenset().union(*(self.reads[name] for name in kept))
            kept |= {other.id for other in self.steps if (self.writes[other.id] | self.marked[other.id]) & read}
        return [other for other in self.steps if other.id in kept]

    def from_later(self, step: SqlFile) -> list[str]:
        """Return the tables that `step` reads and only later steps write."""
        place = self.steps.index(step)
        before, after = (
            frozenset().union(*(self.writes[other.id] for other in steps))
            for steps in (self.steps[: place + 1], self.steps[place + 1 :])
        )
        return sorted(self.reads[step.id] & after - before - set(self.staging))

    def roots(self, differing: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
        """Return (step, tables it writes that differ) for the steps that read none that differ by an earlier step.

        A table that several steps write stands alone: its difference may be another one's than that of the rest.
        """
        differing = set(differing)
        found: list[tuple[str, tuple[str, ...]]] = []
        blamed: set[str] = set()
        for step in self.steps:
            unnamed = self.unnamed.get(step.id, frozenset())
            # What a trigger writes follows from what the step does.
            own = sorted((self.writes[step.id] & differing) - blamed, key=lambda name: (name in unnamed, name))
            if own and not self.reads[step.id] & blamed:
                alone = [name for name in own if len(self.writers(name)) == 1]
                found += [(step.id, tuple(alone))] if alone else []
                found += [(step.id, (name,)) for name in own if name not in alone]
            blamed |= set(own)
        return found

    def staging_of(self, steps: Sequence[SqlFile]) -> list[Table]:
        """Return the staging tables that `steps` read or write."""
        named = frozenset().union(*(self.reads[step.id] | self.writes[step.id] for step in steps))
        return [table for name, table in self.staging.items() if name in named]

    def with_touched(self, connection: Connection, touched: Touched) -> Scope:
        """Return the scope with what the runs of steps were seen to write, and to read where their text does not say.

        The same one where nothing is new.
        """
        seen = {
            step.id: touched.writes.get(step.id, set())
            - self.writes[step.id]
            - self.left_out.get(step.id, frozenset())
            - self.marked[step.id]
            - self.books
            for step in self.steps
        }
        read = {step.id: touched.reads.get(step.id, set()) - self.reads[step.id] for step in self.steps}
        read = {step: names - _BOOKS if self.unclear[step] else set() for step, names in read.items()}
        if not any(seen.values()) and not any(read.values()):
            return self
        named = _resolve_exact(connection, {name for each in self.texts.values() for name in each.reads | each.writes})
        read = {step: each | _only(named, self.texts[step].reads) for step, each in read.items()}
        names = {name for each in (*seen.values(), *read.values()) for name in each}
        known = digest.describe(connection, names)
        may = _may_empty(connection, known)
        new = {step: frozenset(each & may) for step, each in seen.items()}
        writes = {step: each | new[step] for step, each in self.writes.items()}
        staging = {name: table for name, table in known.items() if _is_brought(table)}
        return replace(
            self,
            reads={step: each | (read[step] & set(known)) for step, each in self.reads.items()},
            writes=writes,
            final=_final(connection, self.steps, writes, self.marks, self.final),
            staging=dict(sorted({**self.staging, **staging}.items())),
            unnamed={
                step: self.unnamed.get(step, frozenset()) | (new[step] - _only(named, self.texts[step].writes))
                for step in new
            },
            left_out={step: self.left_out.get(step, frozenset()) | (names - may) for step, names in seen.items()},
        )


def find(connection: Connection, steps: Sequence[SqlFile]) -> Scope:
    """Return what the steps read and write in this database; StepFailed for what is not SQL."""
    relations = {step.id: _relations(step) for step in steps}
    within = _within(connection, steps)
    relations = {name: each | within[name].relations for name, each in relations.items()}
    canonical = _resolve_exact(connection, {name for each in relations.values() for name in each.reads | each.writes})
    spelled = tables.resolve(connection, {name for step in steps for name in (*step.watermark, *_BOOKKEPT)})
    marked = {step.id: frozenset(spelled[name] for name in step.watermark if name in spelled) for step in steps}
    books = frozenset(spelled[name] for name in _BOOKKEPT if name in spelled)
    known = digest.describe(connection, {*canonical.values(), *spelled.values()})
    beyond = _beyond(connection, canonical.values())

    def named(names: Iterable[str]) -> frozenset[str]:
        return frozenset(canonical[name] for name in names if canonical.get(name) in known)

    reads = {step.id: named(relations[step.id].reads) for step in steps}
    writes = {step.id: named(relations[step.id].writes) - marked[step.id] - books for step in steps}
    marks = {name: known[name] for name in sorted(frozenset().union(*marked.values())) if name in known}
    return Scope(
        tuple(steps),
        reads,
        writes,
        {step.id: changes.to_copy(step) | within[step.id].emptied for step in steps},
        marked,
        books,
        final=_final(connection, steps, writes, marks),
        staging={name: table for name, table in sorted(known.items()) if _is_brought(table)},
        marks=marks,
        texts=relations,
        unclear={name: each.unclear for name, each in within.items()},
        left_out={
            step.id: frozenset(canonical.get(name, "") for name in relations[step.id].writes) & beyond for step in steps
        },
        counted=touched.is_counted(connection),
    )


def _final(
    connection: Connection,
    steps: Sequence[SqlFile],
    writes: Mapping[str, frozenset[str]],
    marks: Iterable[str],
    seen: Mapping[str, Table] | None = None,
) -> dict[str, Table]:
    """Return the tables to compare of those that steps write, without the columns that the steps call technical.

    `seen` is what is known already, of tables, too, that a step makes and a rollback took back.
    """
    written = {name for each in writes.values() for name in each if not _is_staging(name)} - set(marks)
    found = digest.describe(connection, written, _technical(connection, steps, writes))
    return dict(sorted({**(seen or {}), **found}.items()))


def _technical(
    connection: Connection, steps: Sequence[SqlFile], writes: Mapping[str, frozenset[str]]
) -> dict[str, set[str]]:
    """Return table -> columns not to compare; one without its table is of all tables that its step writes."""
    found: dict[str, set[str]] = {}
    for step in steps:
        for name in step.technical:
            *table, column = sqltext.parts(name)
            spelled = ".".join(map(digest.quote, table))
            for each in tables.resolve(connection, [spelled]).values() if table else writes[step.id]:
                found.setdefault(each, set()).add(column)
    return found


def _only(resolved: Mapping[str, str], names: Iterable[str]) -> set[str]:
    return {resolved[name] for name in names if name in resolved}


def _relations(step: SqlFile) -> Relations:
    found = Relations()
    for statement in step.statements:
        try:
            for tree in sqltree.parse(statement.text):
                each = treenames.relations(tree.node)
                temporary = frozenset(treenames.made_temporary(tree.node))
                # A table that is dropped and made again stays one that others see.
                found |= Relations(
                    each.reads - found.made, (each.writes | each.made - temporary) - found.made, temporary, each.emptied
                )
        except sqltree.TooDeep:
            continue  # `_within` says so
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
            try:
                for tree in sqltree.parse(statement.text):
                    found[step.id] |= catalog.of(tree.node)
            except sqltree.TooDeep as error:
                found[step.id] |= Hidden(unclear=f"a statement is {error.message}")
    return found


def _is_brought(table: Table) -> bool:
    """Tell whether days bring the rows of a table."""
    return _is_staging(table.name) and "day" in table.columns and table.name not in _BOOKS


def _beyond(connection: Connection, names: Iterable[str]) -> set[str]:
    """Return the foreign tables and materialized views among `names`, which are not compared."""
    found = connection.execute(
        "select name from unnest(%s::text[]) as given(name)"
        " inner join pg_class as class on class.oid = to_regclass(name) where class.relkind in ('f', 'm')",
        (sorted(set(names)),),
    )
    return {name for (name,) in found}


def _may_empty(connection: Connection, names: Iterable[str]) -> set[str]:
    """Return the tables that this session may look at and empty: a function may have written with other rights."""
    found = connection.execute(
        "select name from unnest(%s::text[]) as given(name)"
        " where has_table_privilege(name, 'select') and has_table_privilege(name, 'delete')",
        (sorted(names),),
    )
    return {name for (name,) in found}


def _is_staging(name: str) -> bool:
    return name.rpartition(".")[2].strip('"').startswith("stg_")


def _resolve_exact(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """Return name as the parser has it, without quotes -> name as SQL quotes it, for those that exist."""
    spellings = {}
    for name in names:
        parts = name.split(".")
        # Where a dot is part of a name, the parser does not tell.
        for place in range(len(parts)):
            split = (".".join(parts[:place]), ".".join(parts[place:]))
            spellings[".".join(digest.quote(part) for part in split if part)] = name
    found = tables.resolve(connection, spellings)
    return {spellings[spelling]: name for spelling, name in found.items()}
