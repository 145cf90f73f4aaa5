"""Keywords that are nearly spelt right. Pure."""

from __future__ import annotations

import difflib
import re

_WORD = re.compile(r"[A-Za-z_]+")

# Those that begin a clause, or that it cannot do without; and those of plpgsql.
_TEXT = (
    "select from where group order having limit offset insert into values update delete join inner left right full "
    "outer cross using union except intersect distinct returning conflict nothing case when then else partition over "
    "filter recursive with materialized create table temporary primary references foreign constraint default unique "
    "between exists interval language function returns declare begin return perform execute exception loop elsif raise"
)
_KEYWORDS = _TEXT.split()


def misspelt(text: str, offset: int) -> tuple[str, str] | None:
    """Return the word at `offset`, or the one before it, that is nearly a keyword, and the keyword."""
    before = list(_WORD.finditer(text, max(0, offset - 80), offset))[-1:]
    at = _WORD.match(text, offset)
    for match in [at, *before]:
        word = match[0].lower() if match else ""
        # A slip adds a letter or leaves one out: `ifnull` is no `full`.
        likely = [key for key in _KEYWORDS if abs(len(key) - len(word)) < 2]
        if len(word) > 3 and word not in _KEYWORDS and (close := difflib.get_close_matches(word, likely, 1, 0.8)):
            return word, close[0]
        # Two letters of a short word have changed places.
        if len(word) == 4 and (turned := [key for key in _KEYWORDS if sorted(key) == sorted(word) and key != word]):
            return word, turned[0]
    return None
