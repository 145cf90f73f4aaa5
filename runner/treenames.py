"""The tables that a statement names: those it reads, writes, makes and drops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runner import sqltree
from runner.sqltree import Node

TEMPORARY = "pg_temp"


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


def relations(node: Node, hidden: frozenset[str] = frozenset()) -> Relations:
    """Return what a statement reads and writes, its common table expressions looked through.

    `hidden` are the names of those around it, which hide tables of the same name.
    """
    found = Relations()
    clause = node.withClause
    if clause is not None:
        names = frozenset(cte.ctename for cte in clause.ctes)
        seen = hidden | names if clause.recursive else hidden
        for cte in clause.ctes:
            found |= relations(cte.ctequery, seen)
            seen |= {cte.ctename}
        hidden |= names
    if node.kind == "RangeVar":
        # A name with a schema is never that of a common table expression.
        hides = not node.schemaname and node.relname in hidden
        return Relations() if hides else Relations(reads=_names(node))
    skipped = [clause]
    if node.kind in sqltree.CHANGES:
        found |= Relations(writes=_names(node.relation))
        skipped.append(node.relation)
    elif (into := _into(node)) is not None:
        found |= Relations(made=_names(into.rel))
        skipped.append(into)
    elif node.kind == "CreateStmt":
        found |= Relations(made=_names(node.relation))
        skipped.append(node.relation)
    elif node.kind == "TruncateStmt":
        return Relations(writes=_names(*node.relations), emptied=_names(*node.relations))
    elif node.kind == "CopyStmt" and node.relation is not None:
        return Relations(writes=_names(node.relation)) if node.is_from else Relations(reads=_names(node.relation))
    elif node.kind in ("VacuumStmt", "LockStmt", "DropStmt", "AlterTableStmt", "IndexStmt", "CommentStmt"):
        return found
    for child in sqltree.children(node):
        if not any(child is other for other in skipped):
            found |= relations(child, hidden)
    return found


def _names(*nodes: Node) -> frozenset[str]:
    return frozenset(f"{node.schemaname}.{node.relname}" if node.schemaname else node.relname for node in nodes)


def _into(node: Node) -> Node | None:
    """Return where `create table as` and `select into` put their rows."""
    into: Node | None = node.into or node.intoClause
    return into


def table(relation: Node) -> str:
    """Return a RangeVar's table, as `plain` has it."""
    return plain(sqltree.name_of(relation))


def plain(name: str) -> str:
    """Return a table's name without the schema `public`; all temporary ones are one."""
    return TEMPORARY if name.startswith(f"{TEMPORARY}.") else name.removeprefix("public.")


def read(query: Node) -> frozenset[str]:
    """Return the tables that a query reads, as `plain` has them."""
    return frozenset(map(plain, relations(query).reads))


def made_temporary(node: Node) -> set[str]:
    """Return the temporary table that a statement makes."""
    into = _into(node)
    relation = node.relation if node.kind == "CreateStmt" else into.rel if into is not None else None
    return {relation.relname} if relation is not None and is_temporary(relation) else set()


def is_temporary(relation: Node) -> bool:
    """Return whether a RangeVar makes a temporary table."""
    return relation.relpersistence == "t" or (relation.schemaname or "").startswith(TEMPORARY)


def parents(node: Node) -> Iterator[tuple[str, str, bool]]:
    """Yield (table, its parent, whether it is a partition of it) of what a statement makes or attaches."""
    if node.kind == "CreateStmt":
        for parent in node.inhRelations or ():
            yield table(node.relation), table(parent), node.partbound is not None
    elif node.kind == "AlterTableStmt" and node.relation is not None:
        for command in node.cmds or ():
            definition: Any = command.get("def")
            if command.subtype == "AT_AttachPartition":
                yield table(definition.name), table(node.relation), True
            elif command.subtype == "AT_AddInherit":
                yield table(node.relation), table(definition), False


def dropped(node: Node) -> Iterator[str]:
    """Return the tables, views and sequences that a `drop` names; of functions, none."""
    for item in node.objects:
        parts = [part for part in item if isinstance(part, str)] if isinstance(item, list) else []
        if parts:
            yield plain(".".join(parts[-2:]))
