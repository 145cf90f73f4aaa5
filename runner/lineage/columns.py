"""The columns of a pipeline and what fills them: loaders, schema files and steps together.

Found from the files alone. What a `do` block or a function of PL/pgSQL writes is not followed, and named
among the `gaps`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runner import catalog, graph, sqltext, sqltree, treenames
from runner.catalog import Catalog
from runner.config import Settings
from runner.effects import Effects
from runner.errors import UsageError
from runner.lineage import bodies
from runner.lineage.bodies import Body
from runner.lineage.changes import Assignment, Changes
from runner.lineage.deparse import deparsed
from runner.lineage.expressions import merged
from runner.lineage.values import Origin, Value, computed, single
from runner.mart import Mart
from runner.project import Pipeline
from runner.sqltree import Node
from runner.step import SqlFile

_SERIALS = ("serial", "bigserial", "smallserial", "serial2", "serial4", "serial8")
_TECHNICAL = {"day": ("setting", "app.day"), "source_file": ("function", "path of the file"),
              "position": ("function", "place in the file")}  # fmt: skip


@dataclass(frozen=True)
class Edge:
    """A column gets its value from an origin: as it is (`copied`), or worked on (`computed`).

    `by` is the step, schema file or loader that does it, `expression` its SQL and `line` where it
    stands; both are empty for a copy.
    """

    target: Origin
    origin: Origin
    copied: bool
    by: str
    expression: str = ""
    line: int = 0

    @property
    def how(self) -> str:
        return "copied" if self.copied else "computed"


@dataclass
class Lineage:
    """All edges of a pipeline, and its tables."""

    tables: dict[str, list[str]] = field(default_factory=dict)
    """Table -> its columns, in order."""
    final: list[str] = field(default_factory=list)
    """The tables of the schema files that steps fill, in the order of the files."""
    effects: dict[str, Effects] = field(default_factory=dict)
    gaps: dict[str, list[str]] = field(default_factory=dict)
    """Step -> tables that it writes in ways that are not followed."""
    unread: list[str] = field(default_factory=list)
    """Where statements are that are nested too deep to be followed: `010_agents:12`."""
    marts: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    """Mart, by its file -> its view, and the tables, views and marts that it reads."""
    wholes: Mapping[str, str] = field(default_factory=dict)
    """Partition -> its table, whose columns its own are."""
    _edges: dict[Origin, list[Edge]] = field(default_factory=dict)

    def add(self, edges: Iterable[Edge]) -> None:
        for edge in edges:
            self._edges.setdefault(edge.target, []).append(edge)

    def edges(self) -> Iterator[Edge]:
        """Return every edge."""
        for found in self._edges.values():
            yield from found

    def into(self, column: Origin) -> Sequence[Edge]:
        """Return what a column's value comes from in one step of the way."""
        return self._edges.get(column, ())

    def behind(self, column: Origin) -> list[Edge]:
        """Return all edges that lead to a column, nearest first."""
        found: list[Edge] = []
        seen, pending = {column}, [column]
        while pending:
            for edge in self.into(pending.pop(0)):
                found.append(edge)
                if edge.origin not in seen:
                    seen.add(edge.origin)
                    pending.append(edge.origin)
        return found

    def sources(self, column: Origin) -> dict[Origin, bool]:
        """Return where a column's value comes from in the end, and whether it is that as it is, all the way."""
        found: dict[Origin, bool] = {}
        states: dict[Origin, bool] = {column: True}
        pending = [column]
        while pending:
            at = pending.pop(0)
            for edge in self.into(at):
                copied = states[at] and edge.copied
                if states.get(edge.origin) not in (copied, False):
                    states[edge.origin] = copied
                    pending.append(edge.origin)
                if not self.into(edge.origin):
                    found[edge.origin] = states[edge.origin]
        return found

    def column(self, name: str) -> Origin:
        """Return what `table.column` names (`table.*`: which rows it has); UsageError with what may be meant."""
        from difflib import get_close_matches

        known = {f"{t}.{c}": Origin("column", c, t) for t, columns in self.tables.items() for c in columns}
        known = {f"{each.table}.{each.name}": each for each in self._edges} | known
        # As the page of lineage prints it, or else as SQL spells it.
        if name not in known and "." in name:
            name = ".".join(sqltext.parts(name))
        table, _, column = name.rpartition(".")
        table = table.removeprefix("public.")
        table = self.wholes.get(table, table)
        if (found := known.get(f"{table}.{column}")) is not None:
            return found
        if not table:
            close = [each for each in known if each.rpartition(".")[2] == column]
            hint = "Name its table, too" + (f": {', '.join(sorted(close)[:5])}." if close else ": agents.email.")
            raise UsageError(f"{name!r} names no table", hint=hint)
        close = get_close_matches(f"{table}.{column}", known, n=3, cutoff=0.6)
        tables = ", ".join(self.final) or "none that a step fills"
        hint = f"Did you mean {' or '.join(close)}?" if close else f"Tables: {tables}."
        raise UsageError(f"there is no column {table}.{column}", hint=hint)


def read(settings: Settings, pipeline: Pipeline) -> Lineage:
    """Return the lineage of a pipeline; ConfigError where the parser is not installed."""
    lineage = Lineage(effects=graph.effects(pipeline))
    known = catalog.of_the_runner()
    related: list[tuple[str, str, bool]] = []
    for file in pipeline.schema:
        try:
            statements = sqltree.parse(file.text)
        except sqltree.NotSql:
            continue  # the server will say so
        known.add(statements)
        related += [found for statement in statements for found in treenames.parents(statement.node)]
    lineage.wholes = _wholes({table: parent for table, parent, is_partition in related if is_partition})
    families = _wholes({table: parent for table, parent, _ in related})
    own = set(catalog.of_the_runner().tables)
    lineage.tables = {name: list(table.columns) for name, table in known.tables.items()}
    lineage.add(_of_loaders(settings))
    views = {name for name, table in known.tables.items() if table.is_view}
    defaults: dict[str, dict[str, Value]] = {}
    functions = _functions(pipeline.schema)
    filled: set[str] = set()
    for file in [*pipeline.schema, *pipeline.steps]:
        reader = _Reader(file, lineage.tables, defaults, functions, lineage.wholes)
        edges = reader.read()
        lineage.add(edges)
        lineage.unread += reader.unread
        if file not in pipeline.schema:
            written = {edge.target.table for edge in edges if not edge.target.step}
            seen = {families.get(name, name) for name in written | reader.named}
            unseen = {name for name in lineage.effects[file.id].writes - views if families.get(name, name) not in seen}
            if unseen:
                lineage.gaps[file.id] = sorted({lineage.wholes.get(name, name) for name in unseen})
            filled |= written | set(lineage.gaps.get(file.id, ()))
    lineage.final = [name for name in lineage.tables if name in filled and name not in own]
    for mart in pipeline.marts:
        _add_mart(lineage, mart, known, _Reader(mart.file, lineage.tables, defaults, functions, lineage.wholes))
    return lineage


def _add_mart(lineage: Lineage, mart: Mart, known: Catalog, reader: _Reader) -> None:
    try:
        statements = sqltree.parse(mart.statement.text)
    except sqltree.NotSql:
        return  # the server will say so
    known.add(statements)
    if (table := known.table(mart.name)) is not None:
        lineage.tables[mart.name] = list(table.columns)
    lineage.add(reader.read())
    lineage.unread += reader.unread
    lineage.marts[mart.id] = mart.name, sorted(treenames.read(statements[0].node))


def _wholes(parents: Mapping[str, str]) -> dict[str, str]:
    """Return table -> the outermost of its parents."""
    found = {}
    for table in parents:
        above = table
        while above in parents and parents[above] != table:
            above = parents[above]
        found[table] = above
    return found


def _functions(files: Iterable[SqlFile]) -> dict[str, Body]:
    """Return the functions that schema files write in SQL, by name; the last of a name counts."""
    found = {}
    for file in files:
        try:
            statements = sqltree.parse(file.text)
        except sqltree.NotSql:
            continue  # the server will say so
        for node in (statement.node for statement in statements):
            if node.kind == "CreateFunctionStmt" and (body := bodies.read(node)) is not None:
                found[node.funcname[-1]] = body
    return found


def _of_loaders(settings: Settings) -> Iterator[Edge]:
    """Return what fills the staging tables: fields of the source files, by the declarations of the entities."""
    from runner import loading

    if not loading.has_loaders(settings):
        return
    from staging_loaders.entity import dotted, load_declarations

    for entity in load_declarations(settings.declarations).values():
        by = f"load {entity.name}"
        fields = {each.column: each for each in entity.fields}
        for column, (kind, name) in _TECHNICAL.items():
            yield Edge(Origin("column", column, entity.table), Origin(kind, name), True, by)
        for each in entity.fields:
            target = Origin("column", each.column, entity.table)
            wanted = [(path, True) for path in each.paths]
            if each.minor_unit_of:
                wanted += [(path, False) for path in fields[each.minor_unit_of].paths]
            for path, copied in wanted:
                yield Edge(target, Origin("field", dotted(path), entity.name), copied, by)


class _Reader:
    """Reads one file: its statements' assignments, and the columns that generate themselves."""

    def __init__(
        self,
        file: SqlFile,
        tables: dict[str, list[str]],
        defaults: dict[str, dict[str, Value]],
        functions: Mapping[str, Body],
        wholes: Mapping[str, str],
    ) -> None:
        self._file = file
        self._found: dict[Origin, list[tuple[Value, int]]] = {}
        self._start = 0
        self._defaults = defaults
        self._changes = Changes(file.id, tables, defaults, self._note, functions, wholes)
        self.named: set[str] = set()
        """Tables that its statements write by name, also where they fill no column."""
        self.unread: list[str] = []

    def read(self) -> list[Edge]:
        for statement in self._file.statements:
            self._start = statement.start
            try:
                self._read(statement.text)
            except (sqltree.TooDeep, RecursionError):
                line = sqltext.locate(self._file.text, statement.start).line
                self.unread.append(f"{self._file.id}:{line}")
            except sqltree.NotSql:
                continue  # the server will say so
        return [edge for target, values in self._found.items() for edge in self._edges(target, values)]

    def _read(self, text: str) -> None:
        for node in (statement.node for statement in sqltree.parse(text)):
            self.named |= set(_named(node))
            self._changes.read(node)
            self._read_definitions(node)

    def _note(self, assignment: Assignment) -> None:
        target = Origin("column", assignment.column, assignment.table, assignment.step)
        self._found.setdefault(target, []).append((assignment.value, self._start))

    def _read_definitions(self, node: Node) -> None:
        kind = node.kind
        if kind == "ViewStmt":
            for column, value in self._changes.columns_of(node.query).renamed(node.aliases or ()).columns:
                self._note(Assignment(treenames.table(node.view), column, value))
        elif kind in ("CreateStmt", "AlterTableStmt") and node.relation is not None:
            for found in sqltree.walk(node):
                if found.kind == "ColumnDef":
                    self._read_column(treenames.table(node.relation), found)

    def _read_column(self, table: str, column: Node) -> None:
        """Take in what fills a column by itself: what it is generated from, its default, its sequence."""
        if column.typeName is not None and column.typeName.names[-1] in _SERIALS:
            self._defaults.setdefault(table, {})[column.colname] = single("function", "sequence")
        for constraint in column.constraints or ():
            kind = constraint.contype
            if kind == "CONSTR_IDENTITY":
                self._defaults.setdefault(table, {})[column.colname] = single("function", "sequence")
            elif kind == "CONSTR_DEFAULT":
                self._read_default(table, column.colname, constraint.raw_expr)
            elif kind == "CONSTR_GENERATED":
                value = self._changes.value(constraint.raw_expr, table)
                # What one column is made of is worked on, whatever it is.
                value = computed([value], value.made or constraint.raw_expr)
                self._note(Assignment(table, column.colname, value))

    def _read_default(self, table: str, column: str, expression: Node) -> None:
        value = self._changes.value(expression, table)
        if value.made is not None:
            # A step that uses it says where it stands: here.
            value.made.owner = self._file, self._start
        self._defaults.setdefault(table, {})[column] = value

    def _edges(self, target: Origin, values: Sequence[tuple[Value, int]]) -> Iterator[Edge]:
        value = merged([value for value, _ in values]) if values else Value()
        for origin, copied in value.origins.items():
            made, start = next(((one.made, at) for one, at in values if one.made and origin in one.origins), (None, 0))
            if copied or made is None:
                yield Edge(target, origin, copied, self._file.id)
                continue
            file, start = made.owner or (self._file, start)
            line = sqltext.locate(file.text, min(start + sqltree.place(made), len(file.text))).line
            yield Edge(target, origin, copied, file.id, deparsed(made), line)


def _named(node: Node) -> Iterator[str]:
    """Yield the tables that a statement names and writes, makes, alters or drops."""
    if node.kind == "DropStmt":
        yield from treenames.dropped(node)
    elif node.kind in ("AlterTableStmt", "RenameStmt", "IndexStmt", "RefreshMatViewStmt") and node.relation is not None:
        yield treenames.table(node.relation)
    else:
        found = treenames.relations(node)
        yield from map(treenames.plain, found.writes | found.made)
