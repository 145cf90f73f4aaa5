"""A part of a SQL file, and its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from runner import sqltext
from runner.step import SqlFile


@dataclass(frozen=True)
class Token:
    """A token that is neither space nor comment; `offset` counts from the beginning of its file."""

    kind: str
    text: str
    """As it is written, but words in lower case and quoted names without quotes."""
    offset: int
    stop: int
    depth: int
    """How many parentheses and brackets are open before it."""


@dataclass(frozen=True)
class Fragment:
    """A part of a file: a statement, the body of a function, an expression in it."""

    file: SqlFile
    start: int
    text: str

    @cached_property
    def tokens(self) -> list[Token]:
        """Its tokens, comments left out."""
        found, depth = [], 0
        for kind, start, stop in sqltext.tokens(self.text):
            if kind in sqltext.COMMENTS:
                continue
            depth -= kind == "close"
            text = self.text[start:stop]
            if kind == "word":
                text = text.lower()
            elif kind == "quoted":
                text = text[1:-1].replace('""', '"')
            found.append(Token(kind, text, self.start + start, self.start + stop, depth))
            depth += kind == "open"
        return found

    def part(self, start: int, stop: int | None = None) -> Fragment:
        """Return the part between two offsets into the file, to the end where `stop` is None."""
        return Fragment(self.file, start, self.text[start - self.start : None if stop is None else stop - self.start])
