"""The server's context of an error, read as functions and queries."""

from __future__ import annotations

import pytest

from runner.places import frames
from runner.places.frames import BLOCK, Query, Routine


@pytest.mark.parametrize(
    ("context", "found"),
    [
        pytest.param(None, [], id="none"),
        pytest.param("JSON data, line 1: {", [], id="something else"),
        pytest.param(
            'SQL statement "select\n 1/0"\nPL/pgSQL function inline_code_block line 2 at SQL statement',
            [Routine(BLOCK, None, 2, "at SQL statement"), Query("select\n 1/0")],
            id="a block",
        ),
        pytest.param(
            "PL/pgSQL function f(integer) line 3 at RETURN\n"
            'PL/pgSQL assignment "y := f(x)"\n'
            'PL/pgSQL function a."B c"(integer,double precision) line 4 at assignment',
            [
                Routine("B c", ("integer", "double precision"), 4, "at assignment"),
                Query("y := f(x)"),
                Routine("f", ("integer",), 3, "at RETURN"),
            ],
            id="nested functions",
        ),
        pytest.param('SQL function "s" statement 2', [Routine("s", statement=2)], id="SQL function"),
        pytest.param('SQL function "s" during inlining', [Routine("s")], id="SQL function that is inlined"),
        pytest.param("PL/pgSQL function pg_temp_3.f()", [Routine("f", ())], id="function without a line"),
        pytest.param(
            'SQL expression "1/0"\nPL/pgSQL function f() line 1 during statement block local variable initialization',
            [Routine("f", (), 1, "during statement block local variable initialization"), Query("1/0")],
            id="declaration",
        ),
        pytest.param(
            'SQL statement "select \'"\n"\'"\nPL/pgSQL function f() line 2 at SQL statement',
            [Routine("f", (), 2, "at SQL statement"), Query("select '\"\n\"'")],
            id="quotes and line ends in a query",
        ),
    ],
)
def test_read(context: str | None, found: list[Routine | Query]) -> None:
    """Frames come outermost first; what is not understood is left out."""
    assert frames.read(context) == found
