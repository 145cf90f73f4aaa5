"""SQL as PostgreSQL's own parser sees it: statements with their places, and the tables they read and write.

Needs pglast, which is imported where it is used. Offsets are 0-based characters into the text.
Node names are those of https://github.com/pganalyze/libpg_query and PostgreSQL's parsenodes.h.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runner.errors import ConfigError


class NotSql(Exception):
    """PostgreSQL would not parse the text; `offset` is the character it stumbles over."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(frozen=True)
class Tree:
    """One statement: its node (`SelectStmt`, `InsertStmt`, …) and where its text stands."""

    node: Any
    start: int
    stop: int

    @property
    def kind(self) -> str:
        """The node's name: `SelectStmt`."""
        return type(self.node).__name__


@dataclass(frozen=True)
class Relations:
    """The tables that a statement reads, writes and makes, as it names them (`schema.table` where it says so).

    Names of common table expressions are not among them. `made` are new tables, temporary ones
    included; `emptied` are truncated, and are among `writes` too.
    """

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    made: frozenset[str] = frozenset()
    emptied: frozenset[str] = frozenset()

    def __or__(self, other: Relations) -> Relations:
        return Relations(
            self.reads | other.reads, self.writes | other.writes, self.made | other.made, self.emptied | other.emptied
        )


def parse(text: str) -> list[Tree]:
    """Return the statements of `text`, transaction control included; NotSql where PostgreSQL would refuse it.

    ConfigError where the parser is not installed.
    """
    pg = parser()
    try:
        raw = pg.parse_sql(text)
    except pg.ParseError as error:
        raise not_sql(text, error) from error
    trees = []
    for statement in raw or ():
        start = statement.stmt_location or 0
        stop = start + statement.stmt_len if statement.stmt_len else len(text)
        trees.append(Tree(statement.stmt, start, stop))
    return trees


def not_sql(text: str, error: Any) -> NotSql:
    """Return pglast's refusal of `text` as ours."""
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


def children(node: Any) -> Iterator[Any]:
    """Return the nodes right below `node`, through lists and tuples."""
    from pglast import ast

    for name in node:
        yield from _nodes(getattr(node, name), ast.Node)


def _nodes(value: Any, node_type: type) -> Iterator[Any]:
    if isinstance(value, node_type):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _nodes(item, node_type)


def walk(node: Any) -> Iterator[Any]:
    """Return `node` and all nodes below it, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)


def table_name(relation: Any) -> str:
    """Return a RangeVar's name as it is written: `agents`, `pg_temp.agents`."""
    return f"{relation.schemaname}.{relation.relname}" if relation.schemaname else str(relation.relname)


def relations(node: Any) -> Relations:
    """Return what a statement reads and writes, its common table expressions looked through."""
    return _relations(node, frozenset())


# Fields whose RangeVar is written, not read.
_WRITTEN = {
    "InsertStmt": "relation",
    "UpdateStmt": "relation",
    "DeleteStmt": "relation",
    "MergeStmt": "relation",
}


def _relations(node: Any, hidden: frozenset[str]) -> Relations:
    """`hidden` are the names of common table expressions in scope, which hide tables of the same name."""
    kind = type(node).__name__
    found = Relations()
    clause = getattr(node, "withClause", None)
    if clause is not None:
        names = frozenset(cte.ctename for cte in clause.ctes)
        seen = hidden | names if clause.recursive else hidden
        for cte in clause.ctes:
            found |= _relations(cte.ctequery, seen)
            seen |= {cte.ctename}
        hidden |= names
    if kind == "RangeVar":
        # A name with a schema is never that of a common table expression.
        hides = not node.schemaname and node.relname in hidden
        return Relations() if hides else Relations(reads=frozenset({table_name(node)}))
    skipped: list[Any] = [clause]
    if kind in _WRITTEN:
        target = getattr(node, _WRITTEN[kind])
        found |= Relations(writes=frozenset({table_name(target)}))
        skipped.append(target)
    elif kind == "CreateTableAsStmt" or (kind == "SelectStmt" and node.intoClause is not None):
        into = node.into if kind == "CreateTableAsStmt" else node.intoClause
        found |= Relations(made=frozenset({table_name(into.rel)}))
        skipped.append(into)
    elif kind == "CreateStmt":
        found |= Relations(made=frozenset({table_name(node.relation)}))
        skipped.append(node.relation)
    elif kind == "TruncateStmt":
        names = frozenset(table_name(relation) for relation in node.relations)
        return Relations(writes=names, emptied=names)
    elif kind == "CopyStmt" and node.relation is not None:
        name = frozenset({table_name(node.relation)})
        return Relations(writes=name) if node.is_from else Relations(reads=name)
    elif kind in ("VacuumStmt", "LockStmt", "DropStmt", "AlterTableStmt", "IndexStmt", "CommentStmt"):
        return found
    for child in children(node):
        if not any(child is other for other in skipped):
            found |= _relations(child, hidden)
    return found
