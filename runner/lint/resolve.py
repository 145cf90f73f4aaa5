"""Names to meanings, after PostgreSQL's rules: one walk over each statement of a script."""

from __future__ import annotations

import copy
from collections.abc import Callable

from runner import sqltree, treenames
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
            self._make(into, query, None)

    def _top_write(self, node: Node) -> None:
        self._writes.write(node, None)

    def _create_as(self, node: Node) -> None:
        if node.query.kind != "SelectStmt":
            return
        query = self._queries.select(node.query, None)
        self._names.part.query = query
        self._make(node.into, query, node.into.colNames)

    def _make(self, into: Node, query: Query, names: list[str] | None) -> None:
        outputs = renamed([Column(c.name, (c,)) for c in query.outputs], names)
        if treenames.is_temporary(into.rel):
            relation = Relation(None, outputs, is_open=query.is_open, query=query)
            self._temporary(into.rel, relation, ends=into.onCommit == "ONCOMMIT_DROP")
        else:
            self._lasting(into.rel, outputs, is_open=query.is_open)

    def _lasting(self, relation: Node, outputs: list[Column], *, is_open: bool, is_view: bool = False) -> None:
        """Take in a table or view that stays, where no other file makes it."""
        name = sqltree.name_of(relation)
        if self._is_new(name):
            columns = dict.fromkeys((column.name for column in outputs), "")
            self._names.catalog.tables[name] = Table(name, columns, is_open=is_open, is_view=is_view)

    def _temporary(self, node: Node, relation: Relation, *, ends: bool) -> Temporary:
        made = Temporary(node.relname, relation, [self._names.part], node, ends=ends)
        self._names.script.temporaries[node.relname] = made
        self._names.script.made.append(made)
        return made

    def _create(self, node: Node) -> None:
        own = Catalog(dict(self._names.catalog.tables))
        own.add([Statement(node, 0, 0)])
        name = sqltree.name_of(node.relation)
        table = own.tables.get(name)
        if table is None:
            return
        if treenames.is_temporary(node.relation):
            relation = Relation(None, [Column(c) for c in table.columns], is_open=table.is_open, keys=table.keys)
            self._temporary(node.relation, relation, ends=node.oncommit == "ONCOMMIT_DROP")
        elif self._is_new(name):
            self._names.catalog.tables[name] = table

    def _is_new(self, name: str) -> bool:
        """Return whether no file makes a table of that name, or the last one that did was dropped."""
        known = self._names.catalog.table(name)
        return known is None or (known.is_open and not known.columns)

    def _view(self, node: Node) -> None:
        query = self._queries.select(node.query, None)
        part = self._names.part
        part.query = query
        outputs = renamed([Column(c.name, (c,)) for c in query.outputs], node.aliases)
        temporaries = self._names.script.temporaries.items()
        below = [temporary for name, temporary in temporaries if f"pg_temp.{name}" in part.reads]
        # A view of a temporary table is one, whether it says so or not.
        if below or treenames.is_temporary(node.view):
            relation = Relation(None, outputs, is_open=query.is_open, query=query)
            self._temporary(node.view, relation, ends=False).below = below
        else:
            self._lasting(node.view, outputs, is_open=query.is_open, is_view=True)

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
        temporary = self._names.temporary_named(node.relation)
        if temporary is not None:
            for command in node.cmds or ():
                _alter(temporary.relation, command)
            return
        if not node.missing_ok and node.objtype == "OBJECT_TABLE":
            self._writes.writable(node.relation)
        self._change(node)

    def _rename(self, node: Node) -> None:
        temporary = self._names.temporary_named(node.relation) if node.relation is not None else None
        if temporary is None:
            self._change(node)
        elif node.renameType == "OBJECT_COLUMN":
            own = temporary.relation
            own.set_outputs([Column(node.newname, (c,)) if c.name == node.subname else c for c in own.outputs])
            own.keys = [frozenset(node.newname if n == node.subname else n for n in key) for key in own.keys]
        elif node.renameType in ("OBJECT_TABLE", "OBJECT_VIEW"):
            del self._names.script.temporaries[temporary.name]
            temporary.name = node.newname
            self._names.script.temporaries[node.newname] = temporary

    def _change(self, node: Node) -> None:
        """Take in what a statement does to a table that stays: what follows, and later steps, see it so."""
        table = self._names.catalog.table(sqltree.name_of(node.relation)) if node.relation is not None else None
        if table is not None:
            self._names.catalog.tables[table.name] = copy.deepcopy(table)
            self._names.catalog.add([Statement(node, 0, 0)])

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
        if node.removeType not in ("OBJECT_TABLE", "OBJECT_VIEW"):
            return
        for item in node.objects or ():
            schema, name = (["", *item] if isinstance(item, list) else ["", item])[-2:]
            temporary = self._names.script.temporaries.get(str(name)) if schema in ("", "pg_temp") else None
            table = self._names.catalog.table(f"{schema}.{name}" if schema else str(name))
            if temporary is not None:
                temporary.ends = True
            elif table is not None:
                # It is made anew, or else the server says so.
                self._names.catalog.tables[table.name] = Table(table.name, is_open=True)

    def _discard(self, _node: Node) -> None:
        for temporary in self._names.script.made:
            temporary.ends = True


def _alter(relation: Relation, command: Node) -> None:
    """Take in one command of an `alter table` of a temporary table."""
    if command.subtype == "AT_AddColumn":
        name = command["def"].colname
        if name not in relation.columns:
            relation.set_outputs([*relation.outputs, Column(name)])
    elif command.subtype == "AT_DropColumn":
        relation.set_outputs([column for column in relation.outputs if column.name != command.name])
        relation.keys = [key for key in relation.keys if command.name not in key]
    elif command.subtype == "AT_AddConstraint" and "keys" in command["def"]:
        relation.keys = [*relation.keys, frozenset(command["def"]["keys"])]


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
    "ViewStmt": Resolver._view,
    "RenameStmt": Resolver._rename,
    "PrepareStmt": Resolver._around,
    "DeclareCursorStmt": Resolver._around,
    "ExplainStmt": Resolver._around,
    "DoStmt": Resolver._opaque,
    "CallStmt": Resolver._opaque,
    "VariableSetStmt": Resolver._set,
    "DropStmt": Resolver._drop,
    "DiscardStmt": Resolver._discard,
}
