"""SQL as PostgreSQL's own parser sees it: statements and their nodes, in plain dictionaries.

Needs pglast, which is imported where it is used. The nodes are those of https://github.com/pganalyze/libpg_query
and PostgreSQL's parsenodes.h, as libpg_query writes them to JSON, which takes a quarter of the time that
pglast's own objects take: fields that are absent, false or 0 are left out, enumerations are their names.
Places are 0-based characters of the text.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError

CHANGES = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
"""The kinds of statements that change rows: of the table in their field `relation`."""


class NotSql(Exception):
    """PostgreSQL would not parse the text; `offset` is the character it stumbles over."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class TooDeep(NotSql):
    """The text is nested deeper than Python follows; PostgreSQL may take it."""

    def __init__(self) -> None:
        super().__init__("nested deeper than a person writes", 0)


class Node(dict[str, Any]):
    """A node: `node.kind` is `SelectStmt`, `node.fromClause` a field, None where it is left out.

    `kind` is empty where the field alone says what it holds (`larg`, `alias`), but for tables and calls.
    A field with a name that is taken (`kind`, `keys`, `owner`) is read as `node["kind"]`. `meaning`
    and `owner` are for whoever resolves the names, None until then.
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
    """One statement: its node, and where its text starts and stops."""

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
    node.kind = "RangeVar" if "relname" in fields else "FuncCall" if "funcname" in fields else ""
    return node


def parse(text: str) -> list[Statement]:
    """Return the statements of `text`, transaction control included; NotSql where PostgreSQL would refuse it.

    TooDeep where one of them is a chain of some 470 operators; ConfigError where the parser is not installed.
    """
    pg = parser()
    try:
        written = pg.parse_sql_json(text)
        if _depth(written) > _DEEPEST and _depth(_STRING.sub("", written)) > _DEEPEST:
            raise TooDeep
        return _parsed(text, written)
    except pg.ParseError as error:
        raise not_sql(error) from error
    except RecursionError as error:
        raise TooDeep from error


def _depth(written: str) -> int:
    """Return how deep the objects and lists of a JSON text lie in one another; brackets in strings count, too."""
    # 2 for one that opens, 0 for one that closes.
    brackets = written.encode().translate(_OPENS, _OTHERS)
    return max(accumulate(map((-1).__add__, brackets)), default=0)


# What every Python's json can read, and whoever follows the nodes by recursion: newer ones read far deeper.
_DEEPEST = 950
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_OPENS = bytes(2 * (byte in b"[{") for byte in range(256))
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def _parsed(text: str, written: str) -> list[Statement]:
    """Return the statements of `text` from what libpg_query wrote of it."""
    if text.isascii():
        return [Statement(*found) for found in _statements(json.loads(written, object_hook=_node), len(text))]
    character = _characters(text)

    def placed(fields: dict[str, Any]) -> Any:
        if "location" in fields:
            fields["location"] = character(fields["location"])
        return _node(fields)

    raw = _statements(json.loads(written, object_hook=placed), len(text.encode()))
    return [Statement(node, character(start), character(stop)) for node, start, stop in raw]


def _statements(document: Node, length: int) -> Iterator[tuple[Node, int, int]]:
    for raw in document.stmts or ():
        start = raw.get("stmt_location", 0)
        yield raw.stmt, start, start + raw["stmt_len"] if raw.stmt_len else length


def _characters(text: str) -> Callable[[int], int]:
    """Return what turns a place in bytes, as libpg_query counts, into one in characters."""
    further = [match.start() for match in re.finditer(rb"[\x80-\xbf]", text.encode())]
    return lambda place: place - bisect_left(further, place)


def not_sql(error: Any) -> NotSql:
    """Return pglast's refusal as ours."""
    message, place = error.args[0], error.args[1] if len(error.args) > 1 else 0
    return NotSql(message, place or 0)


def parser() -> Any:
    """Return pglast's `parser` module; ConfigError, which says how to install it, where there is none."""
    try:
        from pglast import parser
    except ModuleNotFoundError as error:
        from runner import extras

        raise ConfigError(
            "this needs PostgreSQL's own parser, pglast, which is not installed",
            hint=f"Install it: {extras.install('parser')}",
        ) from error
    return parser


def children(node: Node | list[Any]) -> Iterator[Node]:
    """Return the nodes right below a node or list, through lists."""
    for item in node.values() if isinstance(node, Node) else node:
        if isinstance(item, Node):
            yield item
        elif isinstance(item, list):
            yield from children(item)


def walk(node: Node) -> Iterator[Node]:
    """Return `node` and all nodes below it, parents first."""
    pending = [node]
    while pending:
        node = pending.pop()
        yield node
        pending += reversed([*children(node)])


def place(node: Node) -> int:
    """Return where a node's text starts; that of its first part where it has no place of its own."""
    own = node.get("location")
    if own is None and node.kind in _PLACED:
        return 0
    if own is not None and own >= 0:
        return int(own)
    return min((place(child) for child in children(node)), default=_NOWHERE)


_NOWHERE = 1 << 60
# A place of 0 is left out like any other 0.
_PLACED = frozenset({"ColumnRef", "A_Const", "FuncCall", "RangeVar", "CommonTableExpr", "SubLink", "ResTarget"})


def name_of(relation: Node) -> str:
    """Return a RangeVar's name as it is written, without the schema `public`."""
    schema = relation.schemaname
    return f"{schema}.{relation.relname}" if schema and schema != "public" else str(relation.relname)


def text_of(node: Node | None) -> str | None:
    """Return the text of a string constant, cast or not; None for any other node."""
    while node is not None and node.kind == "TypeCast":
        node = node.arg
    if node is None or node.kind != "A_Const" or node.sval is None:
        return None
    return str(node.sval.get("sval", ""))


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
