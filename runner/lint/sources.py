"""What stands in a `from`: tables, parts of the statement, subqueries, functions, joins."""

from __future__ import annotations

from collections.abc import Callable

from runner import headings, sqltree
from runner.lint.model import Column, Query, Relation
from runner.lint.names import Cte, Names
from runner.sqltree import Node

# Functions of PostgreSQL's own that return one value a row, called like their alias in a `from`.
_VALUES = frozenset(
    {"unnest", "generate_series", "generate_subscripts", "regexp_split_to_table", "string_to_table", "jsonb_path_query"}
)


class Sources:
    """Adds the relations of a `from` to its query.

    `select` resolves a subquery, `expression` what is no source, `cte` a common table expression that
    is used before it is resolved.
    """

    def __init__(
        self,
        names: Names,
        select: Callable[[Node, Query | None], Query],
        expression: Callable[[Node, Query], None],
        cte: Callable[[Cte, Query | None], None],
    ) -> None:
        self._names = names
        self._select, self._expression, self._cte = select, expression, cte

    def add(self, node: Node, query: Query) -> tuple[list[Column], bool]:
        """Add the relations of a `from` item; return what `*` makes of it, and whether there is more."""
        kind = node.kind
        if kind == "JoinExpr":
            return self._join(node, query)
        if kind == "RangeVar":
            relation = self._range(node)
        elif kind == "RangeSubselect":
            sub = self._select(node.subquery, query if node.lateral else query.parent)
            alias = node.alias
            outputs = renamed([Column(c.name, (c,)) for c in sub.outputs], alias.colnames if alias else None)
            relation = Relation(alias.aliasname if alias else None, outputs, is_open=sub.is_open, query=sub)
        elif kind == "RangeFunction":
            relation = self._function(node, query)
        elif kind == "RangeTableSample":
            for child in (*(node.args or ()), *([node.repeatable] if node.repeatable else ())):
                self._expression(child, query)
            return self.add(node.relation, query)
        else:
            for child in sqltree.children(node):
                if child.kind:
                    self._expression(child, query)
            relation = Relation(node.alias.aliasname if node.alias else None, [], is_open=True)
        query.relations.append(relation)
        return relation.outputs, relation.is_open

    def _join(self, node: Node, query: Query) -> tuple[list[Column], bool]:
        first = len(query.relations)
        left, left_open = self.add(node.larg, query)
        middle = len(query.relations)
        right, right_open = self.add(node.rarg, query)
        if node.quals is not None:
            self._expression(node.quals, query)
            if node.jointype == "JOIN_INNER":
                query.conditions.append(node.quals)
        nullable = {"JOIN_LEFT": (middle, None), "JOIN_RIGHT": (first, middle), "JOIN_FULL": (first, None)}
        if node.jointype in nullable:
            start, stop = nullable[node.jointype]
            for relation in query.relations[start:stop]:
                relation.is_nullable = True
        shared = list(node.usingClause or ())
        if node.isNatural:
            names = {column.name for column in right}
            shared = [column.name for column in left if column.name in names]
        lefts, rights = ({c.name: c for c in side} for side in (left, right))
        merged = [Column(name, tuple(side[name] for side in (lefts, rights) if name in side)) for name in shared]
        rest = [c for c in (*left, *right) if c.name not in shared]
        outputs, is_open = [*merged, *rest], left_open or right_open
        if node.alias is not None:
            for relation in query.relations[first:]:
                relation.alias, relation.columns, relation.is_open = None, {}, False
            outputs = renamed(outputs, node.alias.colnames)
            query.relations.append(Relation(node.alias.aliasname, outputs, is_open=is_open))
        if node.join_using_alias is not None:
            query.relations.append(Relation(node.join_using_alias.aliasname, merged))
        return outputs, is_open

    def _range(self, node: Node) -> Relation:
        """Return the relation that a name in a `from` means."""
        name, alias = node.relname, node.alias
        shown = alias.aliasname if alias else name
        names = alias.colnames if alias else None
        if not node.schemaname:
            for frame in reversed(self._names.frames):
                entry = frame.get(name)
                if entry is None:
                    continue
                if not entry.is_begun:
                    self._cte(entry, None)
                if entry.part is not self._names.part:
                    self._names.part.uses.add(entry.part)
                return Relation(shown, renamed(entry.outputs, names), is_open=entry.is_open, part=entry.part)
        temporary = self._names.temporary_named(node)
        if temporary is not None:
            self._names.part.uses.update(temporary.makers)
            self._names.part.reads.add(f"pg_temp.{temporary.name}")
            own = temporary.relation
            return Relation(
                shown,
                renamed(own.outputs, names),
                is_open=own.is_open,
                part=temporary.makers[0],
                keys=own.keys,
            )
        self._names.part.reads.add(sqltree.name_of(node))
        table = self._names.table(node)
        if table is None:
            return Relation(shown, [], is_open=True)
        return Relation(
            shown, renamed(self._names.columns(table), names), is_open=table.is_open, table=table, keys=table.keys
        )

    def _function(self, node: Node, query: Query) -> Relation:
        alias = node.alias
        outputs: list[Column] = []
        is_open = False
        for entry in node.functions or ():
            call = entry[0]
            self._expression(call, query)
            definitions = entry[1] if len(entry) > 1 and isinstance(entry[1], list) else []
            columns, opens = self._returned(call, definitions or node.coldeflist or [], alias)
            outputs += [Column(name, (call,)) for name in columns]
            is_open |= opens
        if node.ordinality:
            outputs.append(Column("ordinality"))
        names = alias.colnames if alias else None
        shown = alias.aliasname if alias else headings.of(node.functions[0][0])
        if is_open and names:
            outputs = [Column(name) for name in names]
        return Relation(shown, renamed(outputs, names), is_open=is_open)

    def _returned(self, call: Node, definitions: list[Node], alias: Node | None) -> tuple[list[str], bool]:
        """Return the columns of a function in a `from`, and whether there may be others."""
        if definitions:
            return [definition.colname for definition in definitions], False
        if call.kind != "FuncCall":
            return [], True
        name = sqltree.function(call)
        own = self._names.catalog.functions.get(name)
        one = alias.aliasname if alias is not None else name
        if own is not None:
            return (list(own.columns) or [one], False) if own.columns is not None else ([], True)
        if name == "unnest" and len(call.args or ()) > 1:
            return [f"unnest{i}" for i in range(len(call.args))], False
        if name == "unnest":
            # Of an array of rows it returns their columns.
            return [one], False
        if name in _VALUES:
            return [one], False
        return list(headings.OF_FUNCTIONS.get(name, ())), name not in headings.OF_FUNCTIONS


def renamed(columns: list[Column], names: list[str] | None) -> list[Column]:
    """Return columns with the names that an alias gives the first of them."""
    if not names:
        return columns
    first = [Column(name, (column,)) for name, column in zip(names, columns, strict=False)]
    return [*first, *columns[len(first) :]]
