"""Functions that schema files write in SQL: their parameters, and the query that makes what they return."""

from __future__ import annotations

from dataclasses import dataclass

from runner import sqltree
from runner.sqltree import Node


@dataclass(frozen=True)
class Body:
    """The last query of a function, and the names of its parameters."""

    query: Node
    parameters: tuple[str, ...]


def read(node: Node) -> Body | None:
    """Return the body of a CreateFunctionStmt; None where it is in another language, or returns nothing."""
    parameters = tuple(parameter.name for parameter in node.parameters or () if parameter.name)
    if node.sql_body is not None:
        statements = list(sqltree.children([node.sql_body]))
    else:
        options = {option.defname: option.arg for option in node.options or ()}
        language = options.get("language", "sql").lower()
        if language != "sql" or "as" not in options:
            return None
        try:
            statements = [statement.node for statement in sqltree.parse(options["as"][0])]
        except sqltree.NotSql:
            return None  # the server refuses to make it
    if not statements:
        return None
    last = statements[-1]
    if last.kind == "ReturnStmt":
        (statement,) = sqltree.parse("select 1")
        statement.node.targetList[0]["val"] = last.returnval
        last = statement.node
    return Body(last, parameters) if last.kind == "SelectStmt" else None
