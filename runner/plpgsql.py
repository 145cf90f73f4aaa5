"""Blocks and functions as PostgreSQL's own parser sees them: their queries and expressions, as trees. Pure.

Needs pglast. The statements are those of https://github.com/pganalyze/libpg_query, which has no
catalogue: it refuses bodies with types of schemas that it does not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runner import sqltree
from runner.sqltree import Node

# What the parser takes for a single value, whose fields it then does not know.
_ROWTYPE = re.compile(r'(?:[\w$.]|"[^"]*")+\s*%\s*rowtype\b', re.IGNORECASE)
# How the text of an expression is to be read (raw_parser's modes): as it stands, or behind a `select`.
_STATEMENT = 0
_EXPRESSION = 2


@dataclass(frozen=True)
class Body:
    """What a body sends to the server: nodes of statements, an expression being that of its `select`.

    `builds` tells whether it also sends statements that it builds itself (`execute`).
    """

    nodes: tuple[Node, ...]
    builds: bool


def of_block(body: str) -> Body:
    """Read the body of a `do`; NotSql where the parser does not understand it."""
    tag = "body"
    while f"${tag}$" in body:
        tag += "_"
    return read(f"do ${tag}${body}${tag}$")


def of_function(node: Node, text: str) -> Body | None:
    """Read a `create function`, given as node and as text; None for languages other than SQL and PL/pgSQL.

    NotSql where the parser does not understand its body.
    """
    options = {option.defname: option.arg for option in node.options or ()}
    language = options.get("language", "sql").lower()
    if node.sql_body is not None:
        return Body(tuple(sqltree.children([node.sql_body])), False)
    if language not in ("sql", "plpgsql") or "as" not in options:
        return None
    if language == "plpgsql":
        return read(text)
    return Body(tuple(statement.node for statement in sqltree.parse(options["as"][0])), False)


def read(statement: str) -> Body:
    """Read a `do` or a `create function` in PL/pgSQL; NotSql where the parser does not understand it."""
    pg = sqltree.parser()
    try:
        document = json.loads(pg.parse_plpgsql_json(_ROWTYPE.sub("record", statement)))
    except pg.ParseError as error:
        raise sqltree.not_sql(error) from error
    found = list(_parts(document))
    nodes = [tree.node for kind, part in found if kind == "PLpgSQL_expr" for tree in sqltree.parse(_sql(part))]
    builds = any(kind in ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors", "dynquery") for kind, _ in found)
    return Body(tuple(nodes), builds)


def _parts(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield each name of a document with what it stands for, in order."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield name, value
            yield from _parts(value)
    elif isinstance(document, list):
        for value in document:
            yield from _parts(value)


def _sql(expression: dict[str, Any]) -> str:
    """Return an expression as a statement that PostgreSQL would parse."""
    text, mode = expression["query"], expression.get("parseMode", _STATEMENT)
    if mode == _STATEMENT:
        return str(text)
    if mode == _EXPRESSION:
        return f"select {text}"
    end = _end_of_target(text)
    return f"select {text[:end]}, {text[end:].lstrip(':=')}"


def _end_of_target(assignment: str) -> int:
    """Return where the name that is assigned to ends: at the `:=` or `=` outside of its subscripts."""
    depth = 0
    for place, character in enumerate(assignment):
        depth += (character == "[") - (character == "]")
        if not depth and character in ":=":
            return place
    return len(assignment)
