"""Selects and expressions, resolved from the outside in: `with`, `from`, the list, the conditions, the order."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from runner import headings, sqltree
from runner.lint.model import Column, Part, Query
from runner.lint.names import Cte, Names
from runner.lint.sources import Sources, renamed
from runner.sqltree import Node


class Queries:
    """Resolves selects, and notes in the part what the rules ask about; `sources` resolves what stands in a `from`.

    `write` resolves an insert, update, delete or merge that is a common table expression; it returns
    whether what that returns may have other columns.
    """

    def __init__(self, names: Names, write: Callable[[Node, Query | None], bool]) -> None:
        self._names = names
        self._write = write
        self.sources = Sources(names, self.select, self.expression, self._cte)

    def select(self, node: Node, parent: Query | None, on_left: Callable[[Query], None] | None = None) -> Query:
        """Resolve a select. `on_left` is told the left side of a union, which a recursive one refers to."""
        query = Query(node, self._names.part, parent)
        self._names.part.queries.append(query)
        frames = len(self._names.frames)
        if node.withClause is not None:
            self.with_clause(node.withClause, parent)
        if node.larg is not None:
            left = self.select(node.larg, parent)
            if on_left is not None:
                on_left(left)
            right = self.select(node.rarg, parent)
            query.arms = left, right
            query.is_open = left.is_open or right.is_open
            query.outputs = [
                Column(a.name, (a, b)) for a, b in zip(left.outputs, right.outputs, strict=False)
            ] or left.outputs
        elif node.valuesLists:
            self._values(node, query)
        else:
            self._plain(node, query)
        self._sort(node, query)
        for limit in (node.limitCount, node.limitOffset):
            if limit is not None:
                self.expression(limit, Query(None, self._names.part, parent))
        del self._names.frames[frames:]
        return query

    def _values(self, node: Node, query: Query) -> None:
        rows = node.valuesLists
        for row in rows:
            self.expressions(row, query)
        query.outputs = [
            Column(f"column{i + 1}", tuple(row[i] for row in rows if i < len(row))) for i in range(len(rows[0]))
        ]

    def _plain(self, node: Node, query: Query) -> None:
        stars: list[tuple[list[Column], bool]] = []
        for item in node.fromClause or ():
            stars.append(self.sources.add(item, query))
        self.targets(node.targetList or (), query, stars)
        if node.whereClause is not None:
            query.conditions.append(node.whereClause)
            self.expression(node.whereClause, query)
        for item in node.groupClause or ():
            self._group(item, query)
        if node.havingClause is not None:
            self.expression(node.havingClause, query)
        for window in node.windowClause or ():
            self.expression(window, query)

    def targets(self, targets: Iterable[Node], query: Query, stars: list[tuple[list[Column], bool]]) -> None:
        """Resolve a select list, or that of `returning`."""
        for target in targets:
            value = target.val
            if value.kind == "ColumnRef" and isinstance(value.fields[-1], Node):
                self._star(value, query, stars)
                continue
            self.expression(value, query)
            query.outputs.append(Column(headings.of_target(target) or headings.UNNAMED, (value,)))

    def _star(self, node: Node, query: Query, stars: list[tuple[list[Column], bool]]) -> None:
        if len(node.fields) == 1:
            found = stars
        else:
            relation = self._names.relation(node, node.fields[-2], query)
            if relation is None:
                query.is_open = True
                return
            found = [(relation.outputs, relation.is_open)]
        for columns, is_open in found:
            query.outputs += columns
            query.is_open |= is_open
            for column in columns:
                if column.table is not None:
                    self._names.part.read_columns.add((column.table.name, column.name))

    def _sort(self, node: Node, query: Query) -> None:
        named = {column.name: column for column in reversed(query.outputs)}
        for item in node.sortClause or ():
            key = item.node
            name = _bare(key)
            if name in named:
                key.meaning = named[name]
            elif query.arms:
                pass  # only the names of the result can stand here
            else:
                self.expression(key, query)
            query.sort.append(_positioned(key, query))
        for key in node.distinctClause or ():
            name = _bare(key) if isinstance(key, Node) and key.kind else None
            if name in named:
                key.meaning = named[name]
            elif isinstance(key, Node) and key.kind:
                self.expression(key, query)

    def _group(self, node: Node, query: Query) -> None:
        if node.kind == "GroupingSet":
            for item in node.content or ():
                for inner in item.args or () if item.kind == "RowExpr" else (item,):
                    self._group(inner, query)
            return
        name = _bare(node)
        if name is not None and self._names.lookup(name, query) is None:
            for column in query.outputs:
                if column.name == name:
                    node.meaning = column
                    return
        self.expression(node, query)

    def with_clause(self, clause: Node, parent: Query | None) -> None:
        """Resolve common table expressions; they are in scope until the caller takes their frame away."""
        frame: dict[str, Cte] = {}
        self._names.frames.append(frame)
        depth = len(self._names.frames)
        entries = [Cte(node, Part(node.ctename, node.ctequery, self._names.part.number), depth) for node in clause.ctes]
        if clause.recursive:
            frame |= {entry.node.ctename: entry for entry in entries}
        for entry in entries:
            self._cte(entry, parent)
            frame[entry.node.ctename] = entry

    def _cte(self, entry: Cte, parent: Query | None) -> None:
        if entry.is_begun:
            return
        entry.is_begun = True
        outer, frames, self._names.part = self._names.part, self._names.frames, entry.part
        self._names.frames = frames[: entry.depth]
        names = entry.node.aliascolnames

        def of_left(query: Query) -> None:
            entry.outputs, entry.is_open = renamed(query.outputs, names), query.is_open

        body = entry.node.ctequery
        if body.kind == "SelectStmt":
            query = self.select(body, parent, of_left if body.larg is not None else None)
            entry.part.query = query
            outputs, entry.is_open = query.outputs, query.is_open
        else:
            entry.is_open = self._write(body, parent)
            outputs = entry.part.returning
        entry.outputs = renamed([Column(c.name, (c,)) for c in outputs], names)
        search, cycle = entry.node.search_clause, entry.node.cycle_clause
        if search is not None:
            entry.outputs.append(Column(search.search_seq_column))
        if cycle is not None:
            entry.outputs += [Column(cycle.cycle_mark_column), Column(cycle.cycle_path_column)]
        self._names.part, self._names.frames = outer, frames
        self._names.parts.append(entry.part)

    def expressions(self, nodes: Iterable[Node], query: Query) -> None:
        """Resolve several expressions."""
        for node in nodes:
            self.expression(node, query)

    def expression(self, node: Node, query: Query) -> None:
        """Resolve an expression: say what its names mean, and note what the rules ask about."""
        kind = node.kind
        if kind == "ColumnRef":
            self._names.column(node, query)
            return
        if kind == "A_Const":
            return
        part = self._names.part
        if kind == "SubLink":
            if node.testexpr is not None:
                self.expression(node.testexpr, query)
            node.meaning = self.select(node.subselect, query)
            node.owner = query
            part.sublinks.append(node)
            return
        if kind == "SelectStmt":
            node.meaning = self.select(node, query)
            return
        if kind == "FuncCall":
            node.owner = query
            part.calls.append(node)
            if node.over is not None:
                self._names.script.windows.append((node, query))
        elif kind == "SQLValueFunction":
            node.owner = query
            part.calls.append(node)
            return
        elif kind == "A_Expr":
            part.comparisons.append(node)
        elif kind == "NullTest":
            part.null_tests.append(node)
        elif kind == "BoolExpr":
            if node.boolop == "NOT_EXPR":
                part.negations.append(node)
        elif kind == "BooleanTest":
            part.negations.append(node)
        elif kind == "TypeCast":
            self.expression(node.arg, query)
            return
        for value in node.values():
            if type(value) is Node:
                self.expression(value, query)
            elif type(value) is list:
                self._list(value, query)

    def _list(self, values: list[object], query: Query) -> None:
        for item in values:
            if type(item) is Node:
                self.expression(item, query)
            elif type(item) is list:
                self._list(item, query)


def _bare(node: Node) -> str | None:
    """Return the name of an unqualified column."""
    if node.kind == "ColumnRef" and len(node.fields) == 1 and isinstance(node.fields[0], str):
        return node.fields[0]
    return None


def _positioned(key: Node, query: Query) -> Node | Column:
    """Return the output that `order by 2` means, or the key itself."""
    number = sqltree.constant(key)
    if key.kind == "A_Const" and number is not None and number.isdigit() and 0 < int(number) <= len(query.outputs):
        return query.outputs[int(number) - 1]
    return key
