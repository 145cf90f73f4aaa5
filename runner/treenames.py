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


def used(text: str) -> tuple[set[str], set[str]]:
    """Return the words of a PL/pgSQL body that may be tables it reads, and that may be tables it writes.

    A word is both but where each of its places says otherwise: behind `insert into`, or behind `from`
    or before a column.
    """
    places: dict[str, list[tuple[str, str, str]]] = {}
    found = [
        (kind, text[start:stop])
        for kind, start, stop in sqltext.tokens(text)
        if kind not in sqltext.COMMENTS and not text[start:stop].isspace()
    ]
    said = ["", "", *(word.lower() for _, word in found), ""]
    for place, (kind, word) in enumerate(found):
        if kind in ("word", "quoted"):
            name = word.lower() if kind == "word" else word[1:-1].replace('""', '"')
            places.setdefault(name, []).append((said[place], said[place + 1], said[place + 3]))
    added = {name for name, each in places.items() if all(place[:2] == ("insert", "into") for place in each)}
    seen = {name for name, each in places.items() if all(_is_read(*place) for place in each)}
    return set(places) - added, set(places) - seen


def _is_read(second: str, first: str, after: str) -> bool:
    """Return whether a word is only read: by the two words before it and what stands behind."""
    return after == "." or (first in ("from", "join", "using") and second != "delete")


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
