"""Where statements begin and end, and what counts for a checksum."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import sqltext


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("select 'it''s', E'it\\'s', \"a\"\"b\", $$ ' $$, $a$ $$ $a$, $1 -- '", None, id="all closed"),
        pytest.param("/*/ a */ /**/ /* /* */ */ select 1", None, id="comments that look open"),
        pytest.param("select 'O''Hara; select 1", (7, "quoted string"), id="string"),
        pytest.param("select E'it\\'s", (7, "quoted string"), id="string with escapes"),
        pytest.param('select "a""b', (7, "quoted name"), id="name"),
        pytest.param("do $a$ begin; end $b$", (3, "dollar-quoted string"), id="dollar quote"),
        pytest.param("select 1 /* /* */ ; select 2", (9, "comment"), id="comment"),
    ],
)
def test_unterminated(text: str, found: tuple[int, str] | None) -> None:
    """A quote or comment without an end is found where it begins."""
    assert sqltext.unterminated(text) == found


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        pytest.param("select 1; select 2", ["select 1", "select 2"], id="two"),
        pytest.param("select 1;\n-- the end;\n", ["select 1"], id="comment at the end"),
        pytest.param(";;select 1;;", ["select 1"], id="empty statements"),
        pytest.param("select 'a;''b;'; select 2", ["select 'a;''b;'", "select 2"], id="quoted"),
        pytest.param(r"select E'\';'; select 2", [r"select E'\';'", "select 2"], id="backslash escape"),
        pytest.param(r"select '\'; select 2", [r"select '\'", "select 2"], id="backslash is plain"),
        pytest.param('select "a;""b"; select 2', ['select "a;""b"', "select 2"], id="quoted identifier"),
        pytest.param("do $$begin; end$$; select 2", ["do $$begin; end$$", "select 2"], id="dollar quote"),
        pytest.param("do $a$ $b$;$b$ $a$; select 2", ["do $a$ $b$;$b$ $a$", "select 2"], id="nested dollar quotes"),
        pytest.param("select a$b$c; select $1$2", ["select a$b$c", "select $1$2"], id="dollars that do not quote"),
        pytest.param("/* a; /* b; */ c; */ select 1", ["select 1"], id="nested comments"),
        pytest.param("select 1 /* never closed; select 2", ["select 1"], id="unclosed comment"),
        pytest.param("create rule r as on insert to t do (a; b); select 1", None, id="rule"),
        pytest.param(
            "create function f() returns int begin atomic select case when true then 1 end; select 2; end; select 3",
            None,
            id="standard function body",
        ),
        pytest.param("select case when a then b end; select 2", None, id="case outside a body"),
    ],
)
def test_split(text: str, statements: list[str] | None) -> None:
    """A semicolon ends a statement only where PostgreSQL says so."""
    found = sqltext.split(text)
    if statements is None:
        assert len(found) == 2
    else:
        assert [statement.text for statement in found] == statements
    assert all(text[s.start : s.start + len(s.text)] == s.text for s in found)


@given(st.text(alphabet="';\"$-*/ab\n\\()E ", max_size=60))
def test_split_takes_any_text(text: str) -> None:
    """Every text splits without an error, into pieces of itself, in order."""
    position = 0
    for statement in sqltext.split(text):
        assert statement.start >= position
        assert text[statement.start : statement.start + len(statement.text)] == statement.text
        position = statement.start + len(statement.text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("select 1", "-- why\nselect\n  1 /* x */", True, id="comments and white space"),
        pytest.param("select 'a b'", "select 'a  b'", False, id="white space in a string"),
        pytest.param("select '--a'", "select ''", False, id="comment in a string"),
        pytest.param("select 1", "select 2", False, id="another value"),
    ],
)
def test_normalise(one: str, other: str, same: bool) -> None:
    """Comments and white space between words do not count; everything else does."""
    assert (sqltext.normalise(one) == sqltext.normalise(other)) is same


def test_locate() -> None:
    """A character's place is its line and column, counted from 1, with the line."""
    text = "select 1\n  from nowhere\n"
    assert sqltext.locate(text, text.index("nowhere")) == sqltext.Location(2, 8, "  from nowhere")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Agents", ("agents",)),
        ('"Mart".Prices', ("Mart", "prices")),
        ('m."a.b"."say ""x"""', ("m", "a.b", 'say "x"')),
    ],
)
def test_names_as_sql_writes_them(name: str, parts: tuple[str, ...]) -> None:
    """What is quoted is taken as it is, also a dot; the rest is in lower case."""
    assert sqltext.parts(name) == parts
