"""What in a statement can have raised an error that the server gives no place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.places import suspects
from runner.places.fault import Fault
from runner.places.fragment import Fragment
from runner.step import SqlFile

DIVISION = Fault("22012", "division by zero")
INTEGER = Fault("22P02", 'invalid input syntax for type integer: "x"')
MANY = Fault("21000", "more than one row returned by a subquery used as an expression")
RANGE = Fault("22003", "integer out of range")


def fragment(text: str) -> Fragment:
    """Return a fragment of a file that is nowhere."""
    return Fragment(SqlFile(Path("010_a.sql"), "010_a.sql", 10, "a", text), 0, text)


@pytest.mark.parametrize(
    ("marked", "fault"),
    [
        pytest.param("select a ▲/ b, c ▲/ d", DIVISION, id="all divisions that can be"),
        pytest.param("select a / 2, a / (3), a / nullif(b, 0), a / greatest(b, 1), a ▲/ b", DIVISION, id="no others"),
        pytest.param("select a ▲/ (2 - b)", DIVISION, id="a number in an expression is no constant"),
        pytest.param("select a ▲/ greatest(b, 0), a ▲/ nullif(b, 1)", DIVISION, id="guards that guard nothing"),
        pytest.param("select a / b, a ▲/ 0", DIVISION, id="what is zero for certain"),
        pytest.param("select '/', \"/\", a ▲% -b -- /", DIVISION, id="not in texts, names and comments"),
        pytest.param("select a▲::int, b::bigint, '1'::int, count(*)::int", INTEGER, id="casts of columns first"),
        pytest.param("select ▲cast(a as int4), cast(b as text)", INTEGER, id="cast written out"),
        pytest.param("select a▲::integer, b▲::integer", INTEGER, id="all casts that can be"),
        pytest.param("select ▲(select a from t), (select max(a) from t), (select 1)", MANY, id="subqueries of rows"),
        pytest.param("select a from (select 1) as t where a in (select 2) and exists (select 3)", MANY, id="none"),
        pytest.param("select a + 1, a ▲* b, count(*), t.* from t", RANGE, id="what multiplies"),
    ],
)  # fmt: skip
def test_find(marked: str, fault: Fault) -> None:
    """The places found are those marked, and no others."""
    parts = marked.split("▲")
    expected = [sum(map(len, parts[:index])) for index in range(1, len(parts))]
    assert suspects.find(fragment("".join(parts)), fault) == expected


STATES = ["22012", "22P02", "22003", "22007", "22008", "22001", "21000", "23502", "23505", "23514", "55P03", "42883"]
VOCABULARY = (
    "select insert into update set delete from t ( ) , a b / * + :: int as cast case ; '1' 'x' 1 0 on conflict "
    "( ( ) values do $$ nullif greatest mod count . \" ' -- [ ] if then elsif type alter table merge lock copy"
)
WORDS = st.sampled_from(VOCABULARY.split())


@given(
    st.lists(WORDS, max_size=30).map(" ".join),
    st.sampled_from(STATES),
    st.sampled_from(
        ["", 'for type integer: "x"', "for type json", "out of range", "subquery", 'relation "t"', "ON CONFLICT"]
    ),
)
def test_any_text_is_looked_through(text: str, sqlstate: str, message: str) -> None:
    """Whatever the statement looks like, what is found lies in it."""
    fault = Fault(sqlstate, message, "Key (a, b)=(1, 2)", "t", "a", "c")
    places = [*suspects.find(fragment(text), fault), suspects.fallback(fragment(text), fault)]
    assert all(0 <= place <= len(text) for place in places)


@pytest.mark.parametrize(
    "marked",
    [
        pytest.param("select case when a then △1 else ▲now() end", id="one branch"),
        pytest.param("select case when a then △1 else ▲case when b then 'x' else 'y' end end", id="one in its else"),
        pytest.param(
            "select case when case when a then b else c end then △1 else ▲now() end", id="one in its condition"
        ),
        pytest.param("select case when a then 1 when b then ▲△now() else 2 end", id="another branch"),
        pytest.param("select case when a then ▲△1 when b then now() else now() end", id="one of several"),
        pytest.param("select case when a then (▲△1) else now() end", id="what begins elsewhere"),
        pytest.param('select "case", "end" from t where ▲△a', id="names"),
    ],
)
def test_the_branches_of_a_case_are_read_in_their_order(marked: str) -> None:
    """The server compares with `else` first, and names a branch; ▲ is where a reader is told to look."""
    text = marked.replace("▲", "").replace("△", "")
    named = marked.replace("▲", "").index("△")
    fault = Fault("42804", "CASE types timestamp with time zone and integer cannot be matched")
    assert suspects.nearer(fragment(text), named, fault) == marked.replace("△", "").index("▲")
