"""Conditions and expressions: what they ask, with the columns that stand for others expanded."""

from __future__ import annotations

from collections.abc import Iterator

from runner import sqltree
from runner.lint.model import Column, Query
from runner.sqltree import Node

# Conditions within conditions, stand-ins counted, that are still looked at.
_DEEPEST = 8


def operator(node: Node) -> str:
    """Return what a comparison asks: `<>`, `is distinct from`, `=` …"""
    kind = node["kind"]
    if kind == "AEXPR_DISTINCT":
        return "is distinct from"
    if kind == "AEXPR_NOT_DISTINCT":
        return "is not distinct from"
    name = node.name[-1] if node.name else ""
    return str(name) if kind == "AEXPR_OP" else ""


def asked(condition: Node, is_true: bool = True, depth: int = 0) -> Iterator[tuple[Node, bool]]:
    """Return what a condition asks, and how: the whole, and each side of an `and`, but none of an `or`."""
    node, same = unfolded(condition)
    is_true = is_true == same
    yield node, is_true
    if node.kind == "BoolExpr" and (node.boolop == "AND_EXPR") == is_true and depth < _DEEPEST:
        for argument in node.args:
            yield from asked(argument, is_true, depth + 1)


def conjuncts(node: Node) -> Iterator[Node]:
    if node.kind == "BoolExpr" and node.boolop == "AND_EXPR":
        for argument in node.args:
            yield from conjuncts(argument)
    else:
        yield node


def unfolded(node: Node) -> tuple[Node, bool]:
    """Return what a condition asks when stand-ins are expanded and `not` is taken off, and whether it is to be true."""
    is_true = True
    node = expanded(node)
    while True:
        if node.kind == "BoolExpr" and node.boolop == "NOT_EXPR":
            node, is_true = expanded(node.args[0]), not is_true
        elif node.kind == "BooleanTest" and node.booltesttype in ("IS_FALSE", "IS_NOT_TRUE", "IS_TRUE", "IS_NOT_FALSE"):
            is_true = is_true == (node.booltesttype in ("IS_TRUE", "IS_NOT_FALSE"))
            node = expanded(node.arg)
        else:
            return node, is_true


def expanded(node: Node) -> Node:
    """Return the expression that a column stands for, where it is only one."""
    for _ in range(20):
        if node.kind == "ColumnRef" and isinstance(node.meaning, Column):
            source = _single(node.meaning)
        elif node.kind == "SubLink" and isinstance(node.meaning, Query) and not node.meaning.relations:
            outputs = node.meaning.outputs
            source = _single(outputs[0]) if node.subLinkType == "EXPR_SUBLINK" and len(outputs) == 1 else None
        elif node.kind == "TypeCast":
            source = node.arg
        else:
            source = None
        if source is None:
            return node
        node = source
    return node


def _single(column: Column) -> Node | None:
    """Return the one expression that makes a column."""
    for _ in range(20):
        if len(column.sources) != 1:
            return None
        source = column.sources[0]
        if isinstance(source, Node):
            return source
        column = source
    return None


def render(thing: Node | Column | None) -> str:
    """Return an expression as text by which two can be compared: columns by their names, stand-ins expanded."""
    if thing is None:
        return ""
    if isinstance(thing, Column):
        if thing.text is None:
            thing.text = thing.name  # what it is made from may be made from it
            single = _single(thing)
            if single is not None:
                thing.text = _shortened(render(single))
        return thing.text
    if thing.kind == "ColumnRef":
        if isinstance(thing.meaning, Column):
            return render(thing.meaning)
        name = thing.fields[-1]
        return str(name) if isinstance(name, str) else "*"
    if thing.kind == "A_Const":
        return repr(sqltree.constant(thing))
    node = expanded(thing)
    if node is not thing:
        return render(node)
    parts = [node.kind, operator(node) if node.kind == "A_Expr" else sqltree.function(node)]
    parts += [str(value) for value in (node.boolop, node.nulltesttype) if value]
    parts += map(render, sqltree.children(node))
    return f"({' '.join(part for part in parts if part)})"


def _shortened(text: str) -> str:
    """Return a text of bounded length that is equal for equal ones: columns made from columns grow fast."""
    return text if len(text) < 1000 else f"{text[:100]}…{hash(text)}"
