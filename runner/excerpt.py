"""A place in a SQL file as people see it: `file:line:column`, and the line with a caret below the place."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from runner import sqltext

# Columns of a terminal that a line may take behind its number, so that none of 80 columns wraps it.
_WIDTH = 72
_BEFORE = 48


def position(shown: str, text: str, offset: int) -> str:
    """Return `shown:line:column`, both counted from 1, the column in characters."""
    at = sqltext.locate(text, offset)
    return f"{shown}:{at.line}:{at.column}"


def draw(text: str, offset: int, others: Iterable[int] = ()) -> str:
    """Return the line of `offset` with its number and a caret below; `others` on that line get one too.

    A long line is cut around the caret. Tabs become spaces, and wide characters count twice,
    so that the caret stands below its character on a terminal.
    """
    at = sqltext.locate(text, offset)
    start = min(max(offset, 0), len(text)) - (at.column - 1)
    source = at.source.rstrip("\r\n")
    own = min(at.column - 1, len(source))  # the line's end may be two characters
    columns = sorted({own, *(other - start for other in others if 0 <= other - start < len(source))})
    first, last = _window(source, own)
    lead = "…" if first else ""
    shown = lead + "".join(map(_plain, source[first:last])) + ("…" if last < len(source) else "")
    carets = ""
    for column in columns:
        if first <= column <= last:
            carets = carets.ljust(width(lead + source[first:column])) + "^"
    gutter = f"{at.line:>5} | "
    return f"{gutter}{shown}\n{' ' * (len(gutter) - 2)}| {carets}"


def width(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    return sum(map(_columns, text))


def _plain(character: str) -> str:
    return " " if character in "\t\r" else character


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _window(source: str, column: int) -> tuple[int, int]:
    """Return which characters of a line are shown, so that `column` is among them."""
    if width(source) <= _WIDTH:
        return 0, len(source)
    first, taken = min(column, len(source)), 0
    while first and taken + _columns(source[first - 1]) < _BEFORE:
        first -= 1
        taken += _columns(source[first])
    last = first
    taken = 2  # for the signs of what is cut off
    while last < len(source) and taken + _columns(source[last]) <= _WIDTH:
        taken += _columns(source[last])
        last += 1
    # What is left of the width goes to the part before the caret.
    while first and taken + _columns(source[first - 1]) <= _WIDTH:
        first -= 1
        taken += _columns(source[first])
    return first, last
