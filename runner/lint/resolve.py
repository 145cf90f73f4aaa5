"""Names to meanings, after PostgreSQL's rules: one walk over each statement of a script."""

from __future__ import annotations

from collections.abc import Callable

from runner import sqltree
from runner.catalog import Catalog
from runner.definition import Table
from runner.lint.model import Column, Part, Query, Relation, Script, Temporary
from runner.lint.names import Names, Report, table_like
from runner.lint.sources import renamed
from runner.lint.writes import Writes
from runner.sqltree import Node, Statement


class Resolver:
    """Resolves the statements of one script; `script` holds what they mean."""

    def __init__(self, catalog: Catalog, report: Report) -> None:
        self._names = Names(catalog, report)
        self._writes = Writes(self._names)
        self._queries = self._writes.queries

    @property
    def script(self) -> Script:
        return self._names.script

    def statement(self, statement: Statement) -> None:
        """Take in one statement."""
        node = statement.node
        self._names.parts = []
        self._names.frames = []
        handler = _STATEMENTS.get(node.kind)
        if handler is None:
            return
        self._names.part = Part("", node, len(self._names.script.statements))
        handler(self, node)
        self._names.parts.append(self._names.part)
        self._names.script.statements.append(self._names.parts)
        functions = self._names.catalog.functions
        for call in (call for part in self._names.parts for call in part.calls):
            own = functions.get(sqltree.function(call))
            self._names.script.is_opaque |= own is not None and own.acts

    def _top_select(self, node: Node) -> None:
        query = self._queries.select(node, None)
        self._names.part.query = query
        into = into_clause(node)
        if into is not None:
            self._make_temporary(into.rel, query, None)

    def _top_write(self, node: Node) -> None:
        self._writes.write(node, None)

    def _create_as(self, node: Node) -> None:
        if node.query.kind != "SelectStmt":
            return
        query = self._queries.select(node.query, None)
        self._names.part.query = query
        self._make_temporary(node.into.rel, query, node.into.colNames)

    def _make_temporary(self, relation: Node, query: Query, names: list[str] | None) -> None:
        if relation.relpersistence != "t":
            if self._names.catalog.table(sqltree.name_of(relation)) is None:
                table = Table(sqltree.name_of(relation), dict.fromkeys((c.name for c in query.outputs), ""))
                table.is_open = query.is_open
                self._names.catalog.tables[table.name] = table
            return
        outputs = renamed([Column(c.name, (c,)) for c in query.outputs], names)
        self._temporary(relation, Relation(None, outputs, is_open=query.is_open, query=query))

    def _temporary(self, node: Node, relation: Relation) -> None:
        self._names.script.temporaries[node.relname] = Temporary(node.relname, relation, [self._names.part], node)

    def _create(self, node: Node) -> None:
        own = Catalog(dict(self._names.catalog.tables))
        own.add([Statement(node, 0, 0)])
        name = sqltree.name_of(node.relation)
        table = own.tables.get(name)
        if table is None:
            return
        if node.relation.relpersistence == "t":
            relation = Relation(None, [Column(c) for c in table.columns], is_open=table.is_open, keys=table.keys)
            self._temporary(node.relation, relation)
        elif self._names.catalog.table(name) is None:
            self._names.catalog.tables[name] = table

    def _index(self, node: Node) -> None:
        temporary = self._names.temporary_named(node.relation)
        table = None
        if temporary is not None:
            table = Table(temporary.name, dict.fromkeys(temporary.relation.columns, ""))
            if node.unique:
                table.add_index(node)
                temporary.relation.keys += table.keys
            table.is_open = temporary.relation.is_open
        else:
            table = self._names.table(node.relation)
        for element in node.indexParams or ():
            self._names.known_column(table, element.name, node.relation)

    def _analyze(self, node: Node) -> None:
        for item in node.rels or ():
            if item.relation is None:
                continue
            names = self._names
            temporary = names.temporary_named(item.relation)
            table = names.table(item.relation) if temporary is None else table_like(temporary.relation, temporary.name)
            for name in item.va_cols or ():
                self._names.known_column(table, name, item.relation)

    def _tables(self, node: Node) -> None:
        for relation in node.relations or ():
            self._writes.writable(relation)

    def _alter(self, node: Node) -> None:
        if not node.missing_ok and node.objtype == "OBJECT_TABLE":
            self._writes.writable(node.relation)

    def _copy(self, node: Node) -> None:
        if node.relation is not None:
            self._writes.writable(node.relation)
        self._around(node)

    def _around(self, node: Node) -> None:
        inner = node.query
        if inner is None:
            return
        if inner.kind == "SelectStmt":
            self._names.part.query = self._queries.select(inner, None)
        elif inner.kind in sqltree.CHANGES:
            self._writes.write(inner, None)

    def _opaque(self, _node: Node) -> None:
        self._names.script.is_opaque = True

    def _set(self, node: Node) -> None:
        # Elsewhere the tables are others than the schema files make.
        self._names.script.is_elsewhere |= node.name == "search_path"

    def _drop(self, node: Node) -> None:
        if node.removeType != "OBJECT_TABLE":
            return
        for item in node.objects or ():
            name = item[-1] if isinstance(item, list) else item
            temporary = self._names.script.temporaries.get(str(name))
            if temporary is not None:
                temporary.is_dropped = True

    def _discard(self, _node: Node) -> None:
        for temporary in self._names.script.temporaries.values():
            temporary.is_dropped = True


def into_clause(node: Node) -> Node | None:
    """Return the `into` of a select; of a union it stands in the first one."""
    while node.larg is not None:
        node = node.larg
    return node.intoClause if isinstance(node.intoClause, Node) else None


_STATEMENTS: dict[str, Callable[[Resolver, Node], None]] = {
    "SelectStmt": Resolver._top_select,
    **dict.fromkeys(sqltree.CHANGES, Resolver._top_write),
    "CreateTableAsStmt": Resolver._create_as,
    "CreateStmt": Resolver._create,
    "IndexStmt": Resolver._index,
    "VacuumStmt": Resolver._analyze,
    "TruncateStmt": Resolver._tables,
    "LockStmt": Resolver._tables,
    "AlterTableStmt": Resolver._alter,
    "CopyStmt": Resolver._copy,
    "ViewStmt": Resolver._around,
    "PrepareStmt": Resolver._around,
    "DeclareCursorStmt": Resolver._around,
    "ExplainStmt": Resolver._around,
    "DoStmt": Resolver._opaque,
    "CallStmt": Resolver._opaque,
    "VariableSetStmt": Resolver._set,
    "DropStmt": Resolver._drop,
    "DiscardStmt": Resolver._discard,
}
