"""SQL written from PostgreSQL's nodes, by pglast, which is imported where it is used."""

from __future__ import annotations

from typing import Any

from runner.sqltree import Node

_CONSTANTS = {"ival": "Integer", "fval": "Float", "boolval": "Boolean", "sval": "String", "bsval": "BitString"}


def deparsed(node: Node) -> str:
    """Return an expression as SQL in one line; its kind where pglast cannot write it."""
    from pglast.stream import RawStream

    try:
        return " ".join(str(RawStream()(_object(node, node.kind))).split())
    except (AttributeError, NotImplementedError, TypeError):
        return node.kind  # such as json_arrayagg()
    except RecursionError:
        return "…"


def _object(node: Node, kind: str) -> Any:
    """Return pglast's own object of a node, with what the node leaves out."""
    from pglast import ast

    made = getattr(ast, kind)()
    for name, (c_type, types, _) in made.__slots__.items():
        if name in node:
            setattr(made, name, _value(node[name], c_type.rstrip("*")))
        elif types is int or c_type == "bool":
            setattr(made, name, 0)
        elif c_type == "char":
            setattr(made, name, "\0")
    if kind == "A_Const":
        for name, constant in _CONSTANTS.items():
            if name in node:
                made.val = _object(node[name], constant)
    return made


def _value(value: Any, kind: str) -> Any:
    from pglast import ast

    if isinstance(value, list):
        return tuple(_value(item, "Node") for item in value)
    if isinstance(value, Node):
        # Where a list has nothing, there is a node of no kind.
        return _object(value, value.kind or kind) if value.kind or kind != "Node" else None
    # Text is a name or word here, but a node of its own there.
    return ast.String(value) if isinstance(value, str) and kind in ("Node", "List", "String") else value
