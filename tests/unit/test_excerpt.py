"""A line of SQL with a caret below: at the right column of a terminal, whatever the line holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import excerpt

LINES = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=300)


@pytest.mark.parametrize(
    ("text", "offset", "drawn"),
    [
        pytest.param("select 1", 7, "    1 | select 1\n      |        ^", id="plain"),
        pytest.param("a\nselect\t\tx\n", 10, "    2 | select  x\n      |         ^", id="tabs"),
        pytest.param("'日本', x", 6, "    1 | '日本', x\n      |         ^", id="wide"),
        pytest.param("'e\u0301', x", 6, "    1 | 'e\u0301', x\n      |      ^", id="combining"),
        pytest.param("a\r\nb c\r\n", 5, "    2 | b c\n      |   ^", id="line ends of Windows"),
        pytest.param("select", 6, "    1 | select\n      |       ^", id="end of the text"),
        pytest.param("", 0, "    1 | \n      | ^", id="nothing"),
    ],
)
def test_caret(text: str, offset: int, drawn: str) -> None:
    """The caret stands below its character."""
    assert excerpt.draw(text, offset) == drawn


def test_several_carets() -> None:
    """Other places on the line get a caret, those on other lines none."""
    assert excerpt.draw("a / b, c / d\ne / f", 2, [9, 15]) == "    1 | a / b, c / d\n      |   ^      ^"


@given(LINES, st.data())
def test_long_lines_fit_a_terminal(line: str, data: st.DataObject) -> None:
    """However long and wide a line is, it takes 80 columns at most, and the caret is below its character."""
    offset = data.draw(st.integers(0, len(line)))
    shown, carets = excerpt.draw(line, offset).split("\n")
    assert excerpt.width(shown) <= 80
    caret = carets.index("^")
    before, after = (
        [index for index in range(len(shown) + 1) if excerpt.width(shown[:index]) == caret][-1:],
        line[offset:],
    )
    if after:
        expected = " " if after[0] in "\t\r" else after[0]
        rest = shown[before[0] :].lstrip("\u0301")
        assert rest.startswith(expected) or excerpt.width(expected) == 0
