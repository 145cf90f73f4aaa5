"""Keywords that are nearly spelt right."""

from __future__ import annotations

import pytest

from runner.places import spelling


@pytest.mark.parametrize(
    ("marked", "word", "keyword"),
    [
        pytest.param("▲selct a from t", "selct", "select", id="a letter left out"),
        pytest.param("select a from t ▲wheere b", "wheere", "where", id="a letter added"),
        pytest.param("select a ▲form t", "form", "from", id="letters that changed places"),
        pytest.param("select a fromm ▲t where b", "fromm", "from", id="the word before"),
    ],
)
def test_a_slip_is_named(marked: str, word: str, keyword: str) -> None:
    """The word at the place, or the one before it, is nearly a keyword."""
    assert spelling.misspelt(marked.replace("▲", ""), marked.index("▲")) == (word, keyword)


@pytest.mark.parametrize(
    "marked",
    [
        pytest.param("select ifnull(▲`name`, 0)", id="a function that ends as a keyword does"),
        pytest.param("select name ▲from t", id="a keyword"),
        pytest.param("select a, ▲, b", id="no word"),
        pytest.param("", id="nothing"),
    ],
)
def test_other_words_are_left_alone(marked: str) -> None:
    """What is two letters longer than a keyword is a word of its own."""
    assert spelling.misspelt(marked.replace("▲", ""), max(marked.find("▲"), 0)) is None
