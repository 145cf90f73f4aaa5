"""What an expression's value comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from runner import sqltree
from runner.lineage.deparse import deparsed
from runner.lineage.values import DEFAULT, Relation, Scope, Value, chosen, computed, either, single
from runner.sqltree import Node

# Functions that keep the fields of the row or document they are given.
_KEEPING = {
    "array_agg", "json_agg", "json_strip_nulls", "jsonb_agg", "jsonb_strip_nulls", "row_to_json", "to_json", "to_jsonb",
    "any_value", "first_value", "last_value", "lag", "lead", "unnest", "json_array_elements", "jsonb_array_elements",
    "jsonb_to_record", "jsonb_to_recordset", "json_to_record", "json_to_recordset",
}  # fmt: skip
# Functions that take a row's type first, and then the document.
_POPULATING = {"json_populate_record", "json_populate_recordset", "jsonb_populate_record", "jsonb_populate_recordset"}
_BUILDING = {"json_build_object", "jsonb_build_object"}
_READING = {"->", "->>"}


class Expressions:
    """Says what expressions come from.

    `query` says what the columns of a subquery come from, `call` what a function of the project reads by itself.
    """

    def __init__(
        self, query: Callable[[Node, Scope], Relation], call: Callable[[str], Relation | None] = lambda _: None
    ) -> None:
        self._query = query
        self._call = call

    def value(self, node: Node, scope: Scope) -> Value:
        """Return where the value of an expression comes from."""
        handler: Callable[[Node, Scope], Value] = getattr(self, f"_{node.kind}", self._work)
        return handler(node, scope)

    def values(self, nodes: Sequence[Node] | None, scope: Scope) -> list[Value]:
        """Return the values of several expressions; None is none."""
        return [self.value(node, scope) for node in nodes or ()]

    def _work(self, node: Node, scope: Scope) -> Value:
        """Return the value of an expression that works on its parts."""
        found = computed((self.value(part, scope) for part in _parts(node)), node)
        return found if found.origins else single("function", deparsed(node))

    def _ColumnRef(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        *names, last = node.fields
        if isinstance(last, Node):  # A_Star
            relation = scope.relation(names[-1]) if names else None
            return relation.row() if relation is not None else single("unknown", ".".join([*names, "*"]))
        found = scope.column(last) if not names else None
        if names:
            relation = scope.relation(names[-1])
            found = relation.get(last) if relation is not None else None
        return found if found is not None else single("unknown", ".".join([*names, last]))

    def _NullTest(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        """A column that is null may be that of a row which an outer join did not find: what finds rows counts, too."""
        parts = [self.value(node.arg, scope)]
        if node.arg.kind == "ColumnRef":
            *names, last = node.arg.fields
            relation = scope.relation(names[-1]) if names else None
            if relation is not None:
                parts.append(relation.filters)
            elif not names:
                parts.append(scope.filters(last))
        return computed(parts, node)

    def _ParamRef(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        return single("argument", f"${node.get('number', 0)}")

    def _A_Const(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        is_word = node.isnull or node.boolval is not None
        return single("constant", deparsed(node).lower() if is_word else deparsed(node))

    def _TypeCast(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        value = self.value(node.arg, scope)
        if all(origin.kind == "constant" for origin in value.origins):
            return value
        return computed([value], node, value.fields)

    def _CollateClause(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        return self.value(node.arg, scope)

    def _NamedArgExpr(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        return self.value(node.arg, scope)

    def _SetToDefault(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        return Value({DEFAULT: True})

    def _CaseExpr(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        tested = [*self.values([node.arg] if node.arg else [], scope), *(self.value(w.expr, scope) for w in node.args)]
        results = [when.result for when in node.args] + ([node.defresult] if node.defresult else [])
        return chosen(tested, self.values(results, scope), node)

    def _CoalesceExpr(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        return chosen([], self.values(node.args, scope), node)

    def _MinMaxExpr(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        return chosen([], self.values(node.args, scope), node)

    def _MultiAssignRef(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        if node.source.kind == "RowExpr":
            return self.value(node.source.args[node.colno - 1], scope)
        if node.source.kind == "SubLink":
            columns = self._query(node.source.subselect, scope).columns
            if len(columns) >= node.colno:
                found: Value = columns[node.colno - 1][1]
                return found
        return self._work(node.source, scope)

    def _SubLink(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        relation = self._query(node.subselect, scope)
        columns = [value for _, value in relation.columns]
        kind = node.subLinkType
        if kind == "EXPR_SUBLINK" and columns:
            return columns[0]
        tested = [self.value(node.testexpr, scope)] if node.testexpr else []
        if kind == "EXISTS_SUBLINK":
            columns = []
        if kind != "ARRAY_SUBLINK":
            tested.append(relation.filters)
        found = computed([*tested, *columns], node, columns[0].fields if len(columns) == 1 else None)
        return found if found.origins else single("function", deparsed(node))

    def _A_Expr(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        if node.name[-1] in _READING and node.lexpr is not None:
            read: Value | None = self.value(node.lexpr, scope).get(sqltree.text_of(node.rexpr) or "")
            if read is not None:
                return read
        return self._work(node, scope)

    def _A_Indirection(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        value = self.value(node.arg, scope)
        fields = value.fields
        for part in node.indirection:
            inside = value.get(part) if isinstance(part, str) else None
            if inside is not None:
                value = inside
            else:
                inner = [self.value(below, scope) for below in _parts(part)] if isinstance(part, Node) else []
                value = computed([value, *inner], node, fields)
        return value

    def _FuncCall(self, node: Node, scope: Scope) -> Value:  # noqa: N802
        name = node.funcname[-1]
        if name == "current_setting" and node.args and (setting := sqltree.text_of(node.args[0])):
            return single("setting", setting)
        arguments = self.values(node.args, scope)
        parts = list(arguments)
        if node.agg_within_group:
            parts += self.values([sort.node for sort in node.agg_order or ()], scope)
        if not parts and node.agg_filter is not None:
            parts.append(self.value(node.agg_filter, scope))
        if node.over is not None:
            parts += self._window(node.over, scope)
        called = self._call(name)
        if called is not None:
            parts += [value for _, value in called.columns]
        found = computed(parts, node, self._fields(name, node, arguments))
        return found if found.origins else single("function", deparsed(node))

    def _window(self, window: Node | None, scope: Scope) -> list[Value]:
        """Return what the frame of a window function is made by: `over (…)`, or one that has a name."""
        found = []
        if window is not None and window.name:  # over name
            window = scope.windows.get(window.name)
        while window is not None:
            found += self.values(window.partitionClause, scope)
            found += self.values([sort.node for sort in window.orderClause or ()], scope)
            window = scope.windows.get(window.refname or "")
        return found

    def _fields(self, name: str, node: Node, arguments: Sequence[Value]) -> dict[str, Value] | None:
        """Return the fields of what a function makes of rows and documents."""
        known: Mapping[str, Value] | None = None
        if name in _KEEPING and arguments:
            known = arguments[0].fields
        elif name in _POPULATING and len(arguments) > 1:
            known = arguments[1].fields
        elif name in _BUILDING:
            keys = [sqltree.text_of(key) for key in node.args[::2]]
            known = {key: value for key, value in zip(keys, arguments[1::2], strict=False) if key}
        return dict(known) if known else None


def merged(values: Sequence[Value]) -> Value:
    """Return the value of several assignments to one column."""
    return values[0] if len(values) == 1 else either(values)


def _parts(node: Node) -> Iterator[Node]:
    """Return the expressions right below a node: what names types, operators and sorting is looked through."""
    for name, value in node.items():
        if name in ("typeName", "alias"):
            continue
        for part in sqltree.children([value]):
            if part.kind in ("", "SortBy", "ResTarget", "A_Indices"):
                yield from _parts(part)
            else:
                yield part
