"""Functions that schema files write in SQL: their parameters, and the query that makes what they return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner import sqltree, treenames


@dataclass(frozen=True)
class Body:
    """The last query of a function, and the names of its parameters."""

    query: Any
    parameters: tuple[str, ...]


def read(node: Any) -> Body | None:
    """Return the body of a CreateFunctionStmt; None where it is in another language, or returns nothing."""
    parameters = tuple(parameter.name for parameter in node.parameters or () if parameter.name)
    if node.sql_body is not None:
        statements = list(treenames.flattened(node.sql_body))
    else:
        options = {option.defname: option.arg for option in node.options or ()}
        language = getattr(options.get("language"), "sval", "sql").lower()
        if language != "sql" or "as" not in options:
            return None
        try:
            statements = [tree.node for tree in sqltree.parse(options["as"][0].sval)]
        except sqltree.NotSql:
            return None  # the server refuses to make it
    if not statements:
        return None
    last = statements[-1]
    if type(last).__name__ == "ReturnStmt":
        (tree,) = sqltree.parse("select 1")
        tree.node.targetList[0].val = last.returnval
        last = tree.node
    return Body(last, parameters) if type(last).__name__ == "SelectStmt" else None
