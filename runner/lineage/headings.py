"""What PostgreSQL calls columns that have no names of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.sqltree import Node

# What functions in `from` call their columns, where it is not their own name.
OF_FUNCTIONS = {
    "json_array_elements": ("value",), "json_array_elements_text": ("value",), "jsonb_array_elements": ("value",),
    "jsonb_array_elements_text": ("value",), "json_each": ("key", "value"), "json_each_text": ("key", "value"),
    "jsonb_each": ("key", "value"), "jsonb_each_text": ("key", "value"),
}  # fmt: skip


def of(node: Node) -> str:
    """Return what PostgreSQL calls a column that has no name of its own."""
    kind = node.kind
    if kind == "ColumnRef":
        return str(node.fields[-1])
    if kind == "FuncCall":
        return str(node.funcname[-1])
    if kind in ("TypeCast", "CollateClause"):
        inner = of(node.arg)
        return str(node.typeName.names[-1]) if inner == "?column?" and kind == "TypeCast" else inner
    if kind == "A_Indirection":
        names = [part for part in node.indirection if isinstance(part, str)]
        return str(names[-1]) if names else of(node.arg)
    if kind == "CaseExpr":
        inner = of(node.defresult) if node.defresult is not None else "?column?"
        return inner if inner != "?column?" else "case"
    if kind == "SubLink" and node.subLinkType == "EXPR_SUBLINK":
        target = (node.subselect.targetList or [None])[0]
        return "?column?" if target is None else target.name or of(target.val)
    return _OTHERS.get(kind) or (node.op[3:].lower() if kind == "MinMaxExpr" else "?column?")


_OTHERS = {"CoalesceExpr": "coalesce", "A_ArrayExpr": "array", "RowExpr": "row"}


def in_document(nodes: Sequence[Node] | None) -> Iterator[str]:
    """Return the names of the columns of xmltable and json_table, nested ones too."""
    for node in nodes or ():
        name = node.colname or node.name
        if name:
            yield str(name)
        yield from in_document(node.columns)
