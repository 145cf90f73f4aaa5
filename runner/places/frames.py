"""The server's context of an error, as frames: the functions and queries it was in. Pure.

Words of PostgreSQL 14 to 18, in English, as servers have them unless `lc_messages` says otherwise; what
is not understood is left out (src/pl/plpgsql/src/pl_exec.c, src/backend/executor/functions.c and spi.c).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# The name of what a `do` block is inside the server.
BLOCK = "inline_code_block"

_PLPGSQL = re.compile(r"PL/pgSQL function (?P<name>.+?)(?: line (?P<line>\d+))?(?: (?P<what>(?:at|during|while) .+))?")
_COMPILED = re.compile(r'compilation of PL/pgSQL function "(?P<name>.+)" near line (?P<line>\d+)')
_SQL = re.compile(r'SQL function "(?P<name>.+?)"(?: statement (?P<statement>\d+)| during .+)?')
_QUERY = re.compile(r'(?:SQL statement|SQL expression|PL/pgSQL expression|PL/pgSQL assignment) "(?P<text>.*)')
_SIGNATURE = re.compile(r"(?P<name>.+?)(?:\((?P<types>.*)\))?")


@dataclass(frozen=True)
class Routine:
    """A function, procedure or `do` block, and where in it."""

    name: str
    """Without schema and quotes; `BLOCK` for a `do` block."""
    types: tuple[str, ...] | None = None
    """The types of its arguments as the server calls them; None where the server does not say."""
    line: int | None = None
    """The line of its body in which the plpgsql statement begins, counted from 1."""
    what: str = ""
    """What the statement is: `at RETURN`, `at SQL statement`, `during statement block …`."""
    statement: int | None = None
    """Which statement of a SQL function's body, counted from 1."""


@dataclass(frozen=True)
class Query:
    """A statement or expression that a routine ran, as the server has it."""

    text: str


def read(context: str | None) -> list[Routine | Query]:
    """Return the frames of an error's context, the outermost first."""
    found: list[Routine | Query] = []
    lines = (context or "").splitlines()
    while lines:
        line = lines.pop(0)
        if match := _QUERY.fullmatch(line):
            text = match["text"]
            # A query keeps its own line breaks; a frame always follows it.
            while lines and not (text.endswith('"') and _begins_frame(lines[0])):
                text += "\n" + lines.pop(0)
            found.append(Query(text.removesuffix('"')))
        elif match := _PLPGSQL.fullmatch(line):
            name, types = _signature(match["name"])
            found.append(Routine(name, types, int(match["line"] or 0) or None, match["what"] or ""))
        elif match := _COMPILED.fullmatch(line):
            found.append(Routine(_signature(match["name"])[0], None, int(match["line"]), "at compilation"))
        elif match := _SQL.fullmatch(line):
            name, types = _signature(match["name"])
            found.append(Routine(name, types, statement=int(match["statement"] or 0) or None))
    return found[::-1]


def _begins_frame(line: str) -> bool:
    return any(pattern.fullmatch(line) for pattern in (_PLPGSQL, _SQL, _QUERY))


def _signature(text: str) -> tuple[str, tuple[str, ...] | None]:
    match = _SIGNATURE.fullmatch(text)
    assert match is not None
    types = match["types"]
    name = re.split(r'\.(?=[^"]*(?:"[^"]*"[^"]*)*$)', match["name"])[-1]
    if name.startswith('"') and name.endswith('"'):
        name = name[1:-1].replace('""', '"')
    split = None if types is None else tuple(part.strip() for part in types.split(",") if part.strip())
    return name, split
