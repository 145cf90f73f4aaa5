"""Names in PostgreSQL's trees: of tables, of those made or dropped, in constants and in the bodies of functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner import sqltext, sqltree

TEMPORARY = "pg_temp"


def table(relation: Any) -> str:
    """Return a RangeVar's table, as `plain` has it."""
    return plain(sqltree.table_name(relation))


def plain(name: str) -> str:
    """Return a table's name without the schema `public`; all temporary ones are one."""
    return TEMPORARY if name.startswith(f"{TEMPORARY}.") else name.removeprefix("public.")


def words(text: str) -> set[str]:
    """Return the names and key words of a text; quoted names as they are, others in lower case."""
    found = set()
    for kind, start, stop in sqltext.tokens(text):
        if kind == "word":
            found.add(text[start:stop].lower())
        elif kind == "quoted":
            found.add(text[start + 1 : stop - 1].replace('""', '"'))
    return found


def made_temporary(node: Any) -> set[str]:
    """Return the temporary table that a statement makes."""
    into = getattr(node, "into", None) or getattr(node, "intoClause", None)
    relation: Any = node.relation if type(node).__name__ == "CreateStmt" else getattr(into, "rel", None)
    if relation is None:
        return set()
    temporary = relation.relpersistence == "t" or (relation.schemaname or "").startswith(TEMPORARY)
    return {relation.relname} if temporary else set()


def dropped(node: Any) -> Iterator[str]:
    """Return the tables, views and sequences that a `drop` names; of functions, none."""
    for item in node.objects:
        parts = [part.sval for part in (item if isinstance(item, tuple) else ()) if hasattr(part, "sval")]
        if parts:
            yield plain(".".join(parts[-2:]))


def flattened(body: Any) -> Iterator[Any]:
    """Return the statements of a body in standard SQL, which nests them in lists."""
    if isinstance(body, (tuple, list)):
        for item in body:
            yield from flattened(item)
    else:
        yield body


def constant(node: Any) -> str | None:
    """Return the text of a string constant, cast or not."""
    if type(node).__name__ == "TypeCast":
        node = node.arg
    value: Any = getattr(node, "val", None)
    return str(value.sval) if type(value).__name__ == "String" else None
