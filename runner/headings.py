"""What PostgreSQL calls the columns of a query that have no names of their own.

The rules are those of FigureColname in its parse_target.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner import sqltree
from runner.sqltree import Node

UNNAMED = "?column?"

# What functions in `from` call their columns, where it is not their own name.
OF_FUNCTIONS = {
    "json_array_elements": ("value",), "json_array_elements_text": ("value",), "jsonb_array_elements": ("value",),
    "jsonb_array_elements_text": ("value",), "json_each": ("key", "value"), "json_each_text": ("key", "value"),
    "jsonb_each": ("key", "value"), "jsonb_each_text": ("key", "value"),
}  # fmt: skip

_OF_KINDS = {
    "A_ArrayExpr": "array", "CoalesceExpr": "coalesce", "GroupingFunc": "grouping", "JsonArrayAgg": "json_arrayagg",
    "JsonArrayConstructor": "json_array", "JsonArrayQueryConstructor": "json_array", "JsonObjectAgg": "json_objectagg",
    "JsonObjectConstructor": "json_object", "JsonParseExpr": "json", "JsonScalarExpr": "json_scalar",
    "JsonSerializeExpr": "json_serialize", "MergeSupportFunc": "merge_action", "RowExpr": "row",
    "XmlSerialize": "xmlserialize",
}  # fmt: skip
_OF_SUBLINKS = {"EXISTS_SUBLINK": "exists", "ARRAY_SUBLINK": "array"}


def of(node: Node) -> str:
    """Return what the column of an expression is called."""
    return _figured(node)[0]


def of_target(target: Node) -> str | None:
    """Return the name of a column in a select list; None for `*`."""
    if target.name:
        return str(target.name)
    fields = target.val.fields if target.val.kind == "ColumnRef" else ()
    return None if fields and isinstance(fields[-1], Node) else of(target.val)


def of_select(select: Node) -> tuple[list[str], bool]:
    """Return the names of a select's columns, and whether there may be others (`*`)."""
    while select.larg is not None:
        select = select.larg
    if select.valuesLists:
        return [f"column{i}" for i in range(1, len(select.valuesLists[0]) + 1)], False
    names = [of_target(target) for target in select.targetList or ()]
    return [name for name in names if name is not None], None in names


def in_document(nodes: Sequence[Node] | None) -> Iterator[str]:
    """Return the names of the columns of xmltable and json_table, nested ones too."""
    for node in nodes or ():
        name = node.colname or node.name
        if name:
            yield str(name)
        yield from in_document(node.columns)


def _figured(node: Node) -> tuple[str, bool]:
    """Return a name, and whether it holds against that of a cast or `case` around it."""
    kind = node.kind
    if kind == "ColumnRef":
        return str(node.fields[-1]), True
    if kind in ("FuncCall", "SQLValueFunction"):
        return sqltree.function(node).removesuffix("_n" if kind == "SQLValueFunction" else ""), True
    if kind == "TypeCast":
        name, holds = _figured(node.arg)
        return (name, holds) if holds else (str(node.typeName.names[-1]), False)
    if kind == "CaseExpr":
        name, holds = _figured(node.defresult) if node.defresult is not None else ("", False)
        return (name, holds) if holds else ("case", False)
    if kind == "CollateClause":
        return _figured(node.arg)
    if kind == "A_Indirection":
        names = [part for part in node.indirection if isinstance(part, str)]
        return (names[-1], True) if names else _figured(node.arg)
    if kind == "SubLink" and node.subLinkType == "EXPR_SUBLINK":
        names, _ = of_select(node.subselect)
        return (names[0] if names else UNNAMED), True
    name = _OF_SUBLINKS.get(node.subLinkType, "") if kind == "SubLink" else _OF_KINDS.get(kind, "")
    if kind in ("MinMaxExpr", "XmlExpr", "JsonFuncExpr"):
        name = _OF_OPERATIONS.get(node.op, "")
    elif kind == "A_Expr" and node["kind"] == "AEXPR_NULLIF":
        name = "nullif"
    return name or UNNAMED, bool(name)


_OF_OPERATIONS = {
    "IS_GREATEST": "greatest", "IS_LEAST": "least",
    "IS_XMLCONCAT": "xmlconcat", "IS_XMLELEMENT": "xmlelement", "IS_XMLFOREST": "xmlforest",
    "IS_XMLPARSE": "xmlparse", "IS_XMLPI": "xmlpi", "IS_XMLROOT": "xmlroot",
    "JSON_EXISTS_OP": "json_exists", "JSON_QUERY_OP": "json_query", "JSON_VALUE_OP": "json_value",
}  # fmt: skip
