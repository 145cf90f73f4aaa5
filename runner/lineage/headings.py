"""What PostgreSQL calls columns that have no names of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

# What functions in `from` call their columns, where it is not their own name.
OF_FUNCTIONS = {
    "json_array_elements": ("value",), "json_array_elements_text": ("value",), "jsonb_array_elements": ("value",),
    "jsonb_array_elements_text": ("value",), "json_each": ("key", "value"), "json_each_text": ("key", "value"),
    "jsonb_each": ("key", "value"), "jsonb_each_text": ("key", "value"),
}  # fmt: skip


def of(node: Any) -> str:
    """Return what PostgreSQL calls a column that has no name of its own."""
    kind = type(node).__name__
    if kind == "ColumnRef":
        return str(node.fields[-1].sval)
    if kind == "FuncCall":
        return str(node.funcname[-1].sval)
    if kind in ("TypeCast", "CollateClause"):
        inner = of(node.arg)
        return str(node.typeName.names[-1].sval) if inner == "?column?" and kind == "TypeCast" else inner
    if kind == "A_Indirection":
        names = [part.sval for part in node.indirection if type(part).__name__ == "String"]
        return str(names[-1]) if names else of(node.arg)
    if kind == "CaseExpr":
        inner = of(node.defresult) if node.defresult is not None else "?column?"
        return inner if inner != "?column?" else "case"
    if kind == "SubLink" and node.subLinkType.name == "EXPR_SUBLINK":
        target = (getattr(node.subselect, "targetList", None) or [None])[0]
        return "?column?" if target is None else target.name or of(target.val)
    return _OTHERS.get(kind) or (node.op.name[3:].lower() if kind == "MinMaxExpr" else "?column?")


_OTHERS = {"CoalesceExpr": "coalesce", "A_ArrayExpr": "array", "RowExpr": "row"}


def in_document(nodes: Sequence[Any] | None) -> Iterator[str]:
    """Return the names of the columns of xmltable and json_table, nested ones too."""
    for node in nodes or ():
        name = getattr(node, "colname", None) or getattr(node, "name", None)
        if name:
            yield str(name)
        yield from in_document(getattr(node, "columns", None))
