"""SQL as PostgreSQL's own parser sees it, in plain dictionaries: what is read in bulk, in a quarter of the time.

The nodes are those of `sqltree`, as libpg_query writes them to JSON: fields that are absent, false
or 0 are left out, enumerations are their names. Places are bytes of the text in UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runner import sqltree


class Node(dict[str, Any]):
    """A node: `node.kind` is `SelectStmt`, `node.fromClause` a field, None where it is left out.

    `kind` is empty where the field alone says what it holds (`relation`, `larg`, `alias`).
    A field with a name that is taken (`kind`, `keys`, `owner`) is read as `node["kind"]`. `meaning`
    and `owner` are for whoever resolves the names.
    """

    __slots__ = ("kind", "meaning", "owner")

    kind: str
    meaning: Any
    owner: Any

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    else:
        __getattr__ = dict.get


class Statement:
    """One statement: its node, and where its text starts and stops, in bytes."""

    __slots__ = ("node", "start", "stop")

    def __init__(self, node: Node, start: int, stop: int) -> None:
        self.node, self.start, self.stop = node, start, stop


def _node(fields: dict[str, Any]) -> Any:
    """Turn `{"SelectStmt": {…}}` into its inner node, `{"String": {…}}` into text, `{"List": {…}}` into a list."""
    if len(fields) == 1:
        ((name, value),) = fields.items()
        if "A" <= name[0] <= "Z":
            if name == "String":
                return value.get("sval", "")
            if name == "List":
                return value.get("items", [])
            value.kind = name
            return value
    node = Node(fields)
    node.kind = ""
    node.meaning = node.owner = None
    return node


def parse(text: str) -> list[Statement]:
    """Return the statements of `text`; sqltree.NotSql where PostgreSQL would refuse it."""
    parser = sqltree.parser()
    try:
        document = json.loads(parser.parse_sql_json(text), object_hook=_node)
    except parser.ParseError as error:
        raise sqltree.not_sql(text, error) from error
    length = len(text) if text.isascii() else len(text.encode())
    found = []
    for raw in document.stmts or ():
        start = raw.get("stmt_location", 0)
        stop = start + raw["stmt_len"] if raw.stmt_len else length
        found.append(Statement(raw.stmt, start, stop))
    return found


def inner(value: Any) -> Iterator[Node]:
    """Return the nodes right below a node or list."""
    for item in value.values() if isinstance(value, Node) else value:
        if isinstance(item, Node):
            yield item
        elif isinstance(item, list):
            yield from inner(item)


def walk(node: Node) -> Iterator[Node]:
    """Return `node` and all nodes below it, parents first."""
    yield node
    for child in inner(node):
        yield from walk(child)


def place(node: Node) -> int:
    """Return where a node's text starts, in bytes; that of its first part where it has none of its own."""
    own = node.get("location")
    if own is None and node.kind in _PLACED:
        return 0
    if own is not None and own >= 0:
        return int(own)
    return min((place(child) for child in inner(node)), default=_NOWHERE)


_NOWHERE = 1 << 60
# A place of 0 is left out like any other 0.
_PLACED = frozenset({"ColumnRef", "A_Const", "FuncCall", "RangeVar", "CommonTableExpr", "SubLink", "ResTarget"})


def name_of(relation: Node) -> str:
    """Return a RangeVar's name as it is written, without the schema `public`."""
    schema = relation.schemaname
    return f"{schema}.{relation.relname}" if schema and schema != "public" else str(relation.relname)


def constant(node: Node | None) -> str | None:
    """Return what a constant holds, as text; None for any other node, and for null."""
    while node is not None and node.kind == "TypeCast":
        node = node.arg
    if node is None or node.kind != "A_Const" or node.isnull:
        return None
    if node.sval is not None:
        return str(node.sval.get("sval", ""))
    if node.ival is not None:
        return str(node.ival.get("ival", 0))
    if node.fval is not None:
        return str(node.fval.get("fval", ""))
    if node.boolval is not None:
        return "true" if node.boolval.get("boolval") else "false"
    return None


def function(node: Node) -> str:
    """Return the name of the function that a node calls, without its schema; `current_date` and its like are ones."""
    if node.kind == "FuncCall":
        return str(node.funcname[-1])
    if node.kind == "SQLValueFunction":
        return str(node.op).removeprefix("SVFOP_").lower()
    return ""


def called(node: Node) -> str:
    """Return a call as a person writes it: `now()`, `current_date`."""
    return f"{function(node)}()" if node.kind == "FuncCall" else function(node)
