"""Which columns a statement fills, and from what: `insert`, `update`, `merge`, `create table as`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner import sqltree, treenames
from runner.definition import SYSTEM_COLUMNS
from runner.lineage.bodies import Body
from runner.lineage.queries import Queries
from runner.lineage.values import DEFAULT, Item, Relation, Scope, Value, computed, either, single
from runner.sqltree import Node


@dataclass(frozen=True)
class Assignment:
    """A column that is given a value; `step` is the step whose temporary table it is of, else empty."""

    table: str
    column: str
    value: Value
    step: str = ""


class Changes:
    """Reads the statements of one step, in order, and knows the tables that it makes.

    `tables` maps tables to their columns, `defaults` to what fills columns that an `insert` leaves out;
    `functions` are those that are written in SQL, by name, `wholes` maps partitions to their tables, whose
    columns theirs are.
    """

    def __init__(
        self,
        step: str,
        tables: Mapping[str, Sequence[str]],
        defaults: Mapping[str, Mapping[str, Value]],
        note: Callable[[Assignment], None],
        functions: Mapping[str, Body] | None = None,
        wholes: Mapping[str, str] | None = None,
    ) -> None:
        self._step = step
        self._wholes = dict(wholes or {})
        self._tables = tables
        self._defaults = defaults
        self._note = note
        self._filtered: set[str] = set()
        self._made: dict[str, tuple[list[str], str]] = {}
        """Table that the step makes -> its columns, and the step where it is temporary."""
        self._queries = Queries(self._table, self._change, functions)

    def read(self, node: Node) -> None:
        """Take in one statement."""
        kind = node.kind
        if kind in ("PrepareStmt", "ExplainStmt", "DeclareCursorStmt"):
            self.read(node.query)
        elif kind == "CreateTableAsStmt":
            self._create_as(node.into, node.query)
        elif kind == "SelectStmt" and node.intoClause is not None:
            self._create_as(node.intoClause, node)
        elif kind in ("SelectStmt", *sqltree.CHANGES):
            self._queries.query(node, Scope())
        elif kind == "CreateStmt" and node.partbound is not None:
            for partition, whole, _ in treenames.parents(node):
                self._wholes[partition] = self._wholes.get(whole, whole)
        elif kind == "CreateStmt":
            columns: list[str] = []
            for element in node.tableElts or ():
                if element.kind == "ColumnDef":
                    columns.append(element.colname)
                elif element.kind == "TableLikeClause":
                    columns += [name for name, _ in self._table(element.relation).columns]
            self._made[node.relation.relname] = columns, self._owner(node.relation)
        elif kind == "CopyStmt" and node.is_from and node.relation is not None:
            table, step, columns = self._target(node.relation)
            for column in node.attlist or columns:
                self._note(Assignment(table, column, single("function", "copy"), step))

    def columns_of(self, query: Node) -> Relation:
        """Return what the columns of a query come from."""
        return self._queries.query(query, Scope())

    def value(self, node: Node, table: str) -> Value:
        """Return what an expression over the columns of one table comes from: a generated column's."""
        relation = self._columns(table, "", self._tables.get(table, ()))
        return self._queries.expressions.value(node, Scope(items=[Item.of(table, relation)]))

    def _create_as(self, into: Node, query: Node) -> None:
        relation = self.columns_of(query).renamed(into.colNames or ())
        owner = self._owner(into.rel)
        self._made[into.rel.relname] = [name for name, _ in relation.columns], owner
        for name, value in relation.columns:
            self._note(Assignment(into.rel.relname, name, value, owner))
        self._filter(into.rel.relname, owner, relation.filters)

    def _filter(self, table: str, owner: str, filters: Value) -> Value:
        """Remember what decides which rows a table has."""
        if filters.origins:
            self._filtered.add(table)
            self._note(Assignment(table, "*", filters, owner))
        return filters

    def _owner(self, relation: Node) -> str:
        return self._step if treenames.is_temporary(relation) else ""

    def _target(self, relation: Node) -> tuple[str, str, list[str]]:
        """Return a table's name, the step where it is temporary, and its columns."""
        if relation.relname in self._made and relation.schemaname in (None, "pg_temp"):
            columns, step = self._made[relation.relname]
            return relation.relname, step, columns
        name = sqltree.name_of(relation)
        whole = self._wholes.get(name, name)
        return whole, "", list(self._tables.get(name) or self._tables.get(whole, ()))

    def _table(self, relation: Node) -> Relation:
        return self._columns(*self._target(relation))

    def _columns(self, table: str, step: str, columns: Sequence[str]) -> Relation:
        found = [(column, single("column", column, table, step)) for column in columns]
        # A table that no schema file makes may have any column.
        known = SYSTEM_COLUMNS if columns else None
        return Relation(
            found,
            lambda name: single("column", name, table, step) if known is None or name in known else None,
            single("column", "*", table, step) if step and table in self._filtered else Value(),
        )

    def _change(self, node: Node, outer: Scope) -> Relation:
        scope = self._queries.with_clause(node, outer)
        kind = node.kind
        name, step, columns = self._target(node.relation)
        target = self._columns(name, step, columns)
        alias = node.relation.alias.aliasname if node.relation.alias is not None else node.relation.relname
        inside = Scope(scope, [Item.of(alias, target)])
        filters: list[Value] = []
        if kind == "InsertStmt":
            filters.append(self._insert(node, scope, inside, (name, step, columns)))
        elif kind == "MergeStmt":
            filters += self._queries.add_items([node.sourceRelation], inside)
            filters.append(self._queries.expressions.value(node.joinCondition, inside))
            for clause in node.mergeWhenClauses:
                filters += self._queries.expressions.values([clause.condition] if clause.condition else [], inside)
                self._merge(clause, inside, (name, step, columns), self._of_columns(node.relation, step))
        else:
            filters += self._queries.add_items(node.fromClause or node.usingClause, inside)
            filters += self._queries.expressions.values([node.whereClause] if node.whereClause else [], inside)
            self._set(node.targetList or (), inside, (name, step), self._of_columns(node.relation, step))
        decided = self._filter(name, step, computed(filters, None))
        for image in ("old", "new"):
            inside.items[0].names.setdefault(image, target)
        if node.returningClause is None:
            return Relation(filters=decided)
        for option in node.returningClause.options or ():
            inside.items[0].names[option.value] = target
        return self._queries.targets(node.returningClause.exprs, inside, [decided])

    def _insert(self, node: Node, scope: Scope, inside: Scope, target: tuple[str, str, list[str]]) -> Value:
        """Take in an `insert`; return what decides which rows it writes."""
        table, step, columns = target
        names = [column.name for column in node.cols or ()] or columns
        defaults = self._of_columns(node.relation, step)
        source = self._queries.query(node.selectStmt, scope) if node.selectStmt is not None else Relation()
        given = _completed(zip(names, (value for _, value in source.columns), strict=False), defaults)
        for name, value in given:
            self._note(Assignment(table, name, value, step))
        conflict = node.onConflictClause
        if conflict is None or not conflict.targetList:
            return source.filters
        offered = Relation(given, lambda name: single("constant", "null") if name in columns else None)
        # A bare name means the row that is there; only `excluded.name` the one that was offered.
        inside.items.append(Item([], {"excluded": offered}))
        self._set(conflict.targetList, inside, (table, step), defaults)
        guards = self._queries.expressions.values([conflict.whereClause] if conflict.whereClause else [], inside)
        inside.items.pop()
        return computed([source.filters, *guards], None)

    def _of_columns(self, relation: Node, step: str) -> Mapping[str, Value]:
        """Return the defaults of a table's columns; of a partition its own first."""
        name = sqltree.name_of(relation)
        return {} if step else {**self._defaults.get(self._wholes.get(name, name), {}), **self._defaults.get(name, {})}

    def _merge(
        self, clause: Node, scope: Scope, target: tuple[str, str, list[str]], defaults: Mapping[str, Value]
    ) -> None:
        table, step, columns = target
        if clause.commandType == "CMD_UPDATE":
            self._set(clause.targetList, scope, (table, step), defaults)
        elif clause.commandType == "CMD_INSERT":
            names = [column.name for column in clause.targetList or ()] or columns
            values = self._queries.expressions.values(clause.get("values"), scope)
            for name, value in _completed(zip(names, values, strict=False), defaults):
                self._note(Assignment(table, name, value, step))

    def _set(
        self, targets: Sequence[Node], scope: Scope, target: tuple[str, str], defaults: Mapping[str, Value]
    ) -> None:
        for each in targets:
            value = _defaulted(self._queries.expressions.value(each.val, scope), defaults.get(each.name))
            self._note(Assignment(target[0], each.name, value, target[1]))


def _completed(given: Iterable[tuple[str, Value]], defaults: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """Return what an insert gives its columns, and the defaults of those that it leaves out."""
    found = {name: _defaulted(value, defaults.get(name)) for name, value in given}
    return list((found | {name: value for name, value in defaults.items() if name not in found}).items())


def _defaulted(value: Value, default: Value | None) -> Value:
    """Return a value with the column's default, which is null where it has none, in place of the word."""
    if DEFAULT not in value.origins:
        return value
    rest = {origin: copied for origin, copied in value.origins.items() if origin != DEFAULT}
    return either([Value(rest, value.made, value.fields), default or single("constant", "null")])
