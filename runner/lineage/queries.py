"""What the columns of a query come from: its `from`, its set operations, its common table expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from runner import headings, sqltree
from runner.lineage.bodies import Body
from runner.lineage.expressions import Expressions, merged
from runner.lineage.values import Item, Relation, Scope, Value, computed, either, single
from runner.sqltree import Node


class Queries:
    """Resolves queries.

    `table` gives the relation of a RangeVar that is no common table expression, `change` that of an
    `insert`, `update`, `delete` or `merge`: what it returns. `functions` are those of the schema files, by name.
    """

    def __init__(
        self,
        table: Callable[[Node], Relation],
        change: Callable[[Node, Scope], Relation],
        functions: Mapping[str, Body] | None = None,
    ) -> None:
        self._table = table
        self._change = change
        self._bodies = functions or {}
        self._called: dict[str, Relation] = {}
        self.expressions = Expressions(self.query, self.call)

    def call(self, name: str) -> Relation | None:
        """Return what a function of the schema files returns, its arguments left out; None for any other."""
        if name not in self._bodies:
            return None
        if name not in self._called:
            self._called[name] = Relation()  # one that calls itself returns what it returns otherwise
            body = self._bodies[name]
            own = Relation([(parameter, single("argument", parameter)) for parameter in body.parameters])
            made = self.query(body.query, Scope(items=[Item.of(name, own)]))
            self._called[name] = Relation([(column, _without_arguments(value)) for column, value in made.columns])
        return self._called[name]

    def query(self, node: Node, outer: Scope) -> Relation:
        """Return the columns of a query that stands in `outer`."""
        if node.kind in sqltree.CHANGES:
            return self._change(node, outer)
        if node.kind != "SelectStmt":
            return Relation()  # what a prepared statement returns is not known here
        return self._select(node, outer)

    def _select(self, node: Node, outer: Scope) -> Relation:
        outer = self.with_clause(node, outer)
        if node.larg is not None:
            return self._both(self._select(node.larg, outer), self._select(node.rarg, outer))
        if node.valuesLists:
            return self._values(node.valuesLists, outer)
        scope = Scope(outer, windows={window.name: window for window in node.windowClause or ()})
        filters = self.add_items(node.fromClause, scope)
        filters += self.expressions.values([part for part in (node.whereClause, node.havingClause) if part], scope)
        found = self.targets(node.targetList, scope, filters)
        if node.limitCount is not None:  # then the order decides, too
            order = [self._sorted_by(sort.node, found, scope) for sort in node.sortClause or ()]
            found.filters = computed([found.filters, *order], None)
        return found

    def _sorted_by(self, node: Node, found: Relation, scope: Scope) -> Value:
        """Return what a part of `order by` comes from: a bare name or number means a column of the result."""
        number = node.ival.get("ival", 0) if node.ival is not None else 0
        if 0 < number <= len(found.columns):
            return found.columns[number - 1][1]
        if node.kind == "ColumnRef" and len(node.fields) == 1 and isinstance(node.fields[0], str):
            return found.get(node.fields[0]) or self.expressions.value(node, scope)
        return self.expressions.value(node, scope)

    def with_clause(self, node: Node, outer: Scope) -> Scope:
        """Return a scope with the common table expressions of a statement."""
        clause = node.withClause
        if clause is None:
            return outer
        scope = Scope(outer)
        for cte in clause.ctes:
            names = cte.aliascolnames or ()
            relation = self._recursive(cte, names, scope) if clause.recursive else None
            if relation is None:
                relation = self.query(cte.ctequery, scope).renamed(names)
            for part, columns in (
                (cte.search_clause, ("search_seq_column",)),
                (cte.cycle_clause, ("cycle_mark_column", "cycle_path_column")),
            ):
                made = [part[column] for column in columns] if part is not None else []
                relation.columns += [(name, computed([relation.row()], None)) for name in made]
            scope.ctes[cte.ctename] = relation
        return scope

    def _recursive(self, cte: Node, names: Sequence[str], scope: Scope) -> Relation | None:
        """Return a recursive expression: its first part, and what each further round adds, until that is nothing."""
        query = cte.ctequery
        if query.kind != "SelectStmt" or query.larg is None:
            return None
        inner = self.with_clause(query, scope)
        relation = self._select(query.larg, inner).renamed(names)
        while True:
            inside = Scope(inner, ctes={cte.ctename: relation})
            wider = self._both(relation, self._select(query.rarg, inside))
            if [dict(v.origins) for _, v in wider.columns] == [dict(v.origins) for _, v in relation.columns]:
                return wider
            relation = wider

    def _both(self, left: Relation, right: Relation) -> Relation:
        """Return a set operation: columns by place, names of the first."""
        columns = [
            (name, either([value, other]))
            for (name, value), (_, other) in zip(left.columns, right.columns, strict=False)
        ]
        return Relation(columns, left.more, computed([left.filters, right.filters], None))

    def _values(self, rows: Sequence[Sequence[Node]], scope: Scope) -> Relation:
        columns = zip(*([self.expressions.value(node, scope) for node in row] for row in rows), strict=False)
        return Relation([(f"column{place}", merged(column)) for place, column in enumerate(columns, 1)])

    def targets(self, nodes: Sequence[Node] | None, scope: Scope, filters: Sequence[Value] = ()) -> Relation:
        """Return the columns of a `select` or `returning` list."""
        columns: list[tuple[str, Value]] = []
        more = []
        for node in nodes or ():
            fields = node.val.fields
            if not fields or isinstance(fields[-1], str):
                columns.append((node.name or headings.of(node.val), self.expressions.value(node.val, scope)))
            elif len(fields) == 1:
                for item in scope.items:
                    columns += item.columns
                    more += item.more
            elif (relation := scope.relation(fields[-2])) is not None:
                columns += relation.columns
                more += [relation] if relation.more else []
        found = Relation(columns, filters=computed(filters, None))
        if more:
            found.more = lambda name: next((v for r in more if (v := r.get(name)) is not None), None)
        return found

    def add_items(self, nodes: Sequence[Node] | None, scope: Scope) -> list[Value]:
        """Add what a `from` or `using` brings to `scope`; return what decides which rows that are."""
        filters: list[Value] = []
        for node in nodes or ():
            scope.items.append(self._item(node, scope, filters))
        return filters

    def _item(self, node: Node, scope: Scope, filters: list[Value]) -> Item:
        kind = node.kind
        if kind == "RangeVar":
            relation = (scope.cte(node.relname) if not node.schemaname else None) or self._table(node)
            filters.append(relation.filters)
            return _aliased(node, relation, node.relname)
        if kind == "RangeSubselect":
            # Only a lateral one sees what stands beside it.
            around = scope if node.lateral else Scope(scope.parent, ctes=scope.ctes)
            relation = self.query(node.subquery, around)
            filters.append(relation.filters)
            return _aliased(node, relation, "")
        if kind == "RangeFunction":
            return self._functions(node, scope)
        if kind == "JoinExpr":
            return self._join(node, scope, filters)
        if kind == "RangeTableSample":
            return self._item(node.relation, scope, filters)
        # xmltable, json_table: every column is read from the document.
        value = self.expressions._work(node, scope)
        names = list(headings.in_document(node.columns))
        return _aliased(node, Relation([(name, value) for name in names], lambda _: value), kind.lower())

    def _join(self, node: Node, scope: Scope, filters: list[Value]) -> Item:
        left = self._item(node.larg, scope, filters)
        beside = Scope(scope.parent, [*scope.items, left], scope.ctes)
        right = self._item(node.rarg, beside, filters)
        if node.quals is not None:
            inside = Scope(scope.parent, [*scope.items, left, right], scope.ctes)
            filters.append(self.expressions.value(node.quals, inside))
        shared = node.usingClause or ()
        if node.isNatural:
            names = {name for name, _ in right.columns}
            shared = [name for name, _ in left.columns if name in names]
        sides = [Relation(left.columns), Relation(right.columns)]
        if node.jointype in ("JOIN_INNER", "JOIN_LEFT"):
            sides.pop()
        elif node.jointype == "JOIN_RIGHT":
            sides.pop(0)
        columns = [(name, either([v for side in sides if (v := side.get(name))])) for name in shared]
        filters += [value for side in (left, right) for name, value in side.columns if name in shared]
        columns += [(name, value) for side in (left, right) for name, value in side.columns if name not in shared]
        item = Item(columns, {**left.names, **right.names}, [*left.more, *right.more])
        return _aliased(node, Relation(columns), "") if node.alias is not None else item

    def _functions(self, node: Node, scope: Scope) -> Item:
        columns: list[tuple[str, Value]] = []
        whole: list[Value] = []
        alias = node.alias.aliasname if node.alias is not None else ""
        for function, definitions in node.functions:
            value = self.expressions.value(function, scope)
            whole.append(value)
            name = function.funcname[-1] if function.kind == "FuncCall" else "?column?"
            declared = [column.colname for column in definitions or node.coldeflist or ()]
            if declared:
                columns += [(column, value.get(column) or computed([value], function)) for column in declared]
            elif (called := self.call(name)) is not None and called.columns:
                given = self.expressions.values(function.args, scope)
                columns += [(column, computed([of_it, *given], function)) for column, of_it in called.columns]
            elif name == "unnest" and len(function.args) > 1:
                columns += [("unnest", self.expressions.value(argument, scope)) for argument in function.args]
            elif value.fields is not None and name not in headings.OF_FUNCTIONS:
                columns += value.fields.items()
            else:
                columns += [(column, value) for column in headings.OF_FUNCTIONS.get(name, (alias or name,))]
        if node.ordinality:
            columns.append(("ordinality", single("function", "row number")))
        every = computed(whole, None)
        open_ended = None if node.coldeflist else lambda name: every.get(name) or every
        name = alias or (columns[0][0] if columns else "")
        return _aliased(node, Relation(columns, open_ended), name)


def _without_arguments(value: Value) -> Value:
    """Return what a function's result comes from besides its arguments, which are those of each call."""
    return Value({origin: copied for origin, copied in value.origins.items() if origin.kind != "argument"}, value.made)


def _aliased(node: Node, relation: Relation, name: str) -> Item:
    alias = node.alias
    if alias is None:
        return Item.of(name, relation)
    return Item.of(alias.aliasname, relation.renamed(alias.colnames or ()))
