"""One mart: a materialized view and its indexes, read and refused before anything runs. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from runner import sqltext
from runner import step as step_module
from runner.sqltext import Statement
from runner.step import SqlFile

MART_KEYS = ("timeout", "lock_timeout", "description")

_FORM = (
    "A mart is one 'create materialized view NAME as …', and at least one 'create unique index … on NAME (…)'; "
    "further indexes, comments and grants may follow."
)
_OTHERS = (("comment", "on"), ("grant",))


class _Token(NamedTuple):
    kind: str
    text: str
    """As it stands there; words in lower case."""
    offset: int


@dataclass(frozen=True)
class Mart:
    """A file of `migrations/<pipeline>/marts/`; `name` is the materialized view's."""

    file: SqlFile
    name: str

    @property
    def id(self) -> str:
        """The file's name without its ending: `010_monthly_spend`."""
        return self.file.id

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over its statements without comments and white space."""
        texts = [sqltext.normalise(statement.text) for statement in self.file.statements]
        return hashlib.sha256(";".join(texts).encode()).hexdigest()

    @property
    def statement(self) -> Statement:
        """The statement that makes the view."""
        return self.file.statements[0]


def read(path: Path, root: Path) -> Mart:
    """Read the mart at `path`; ConfigError where its name, header or statements are wrong."""
    return of(step_module.read(path, root, MART_KEYS))


def of(file: SqlFile) -> Mart:
    """Return the mart of a file that was read with `MART_KEYS`; ConfigError where its statements are none."""
    create, *others = file.statements
    name = _made(file, create)
    usable = [_is_usable(file, statement, name) for statement in others]
    if not any(usable):
        raise step_module.refused(
            file.shown,
            file.text,
            create.start,
            f"{name} has no unique index by which it can be refreshed while it is read",
            f"Add 'create unique index {name}_key on {name} (…);' with the columns that tell its rows apart: "
            "columns alone, no expressions, and no 'where'.",
        )
    return Mart(file, name)


def _made(file: SqlFile, statement: Statement) -> str:
    """Return the name of the view that the first statement makes."""
    if statement.words[:3] != ("create", "materialized", "view"):
        what = " ".join(statement.words[:3]) or "this"
        raise step_module.refused(file.shown, file.text, statement.start, f"{what} makes no materialized view", _FORM)
    tokens = _tokens(statement)
    place = 6 if tuple(token.text for token in tokens[3:6]) == ("if", "not", "exists") else 3
    name, token = _name(file, tokens, place)
    if name.lower() != file.name.lower():
        raise step_module.refused(
            file.shown,
            file.text,
            token.offset,
            f"the file makes {name}",
            f"Call both the same: the view {file.name.lower()}, or the file {file.number:03}_{name}.sql.",
        )
    if tuple(token.text for token in tokens[-3:]) == ("with", "no", "data"):
        raise step_module.refused(
            file.shown,
            file.text,
            tokens[-3].offset,
            "a mart that is made with no data cannot be refreshed while it is read",
            "Leave 'with no data' out.",
        )
    return name


def _is_usable(file: SqlFile, statement: Statement, mart: str) -> bool:
    """Tell whether a statement makes an index that `refresh … concurrently` can use; ConfigError for no such thing."""
    words = statement.words
    if any(words[: len(other)] == other for other in _OTHERS):
        return False
    if words[:2] != ("create", "index") and words[:3] != ("create", "unique", "index"):
        what = " ".join(words[:2]) or "this"
        raise step_module.refused(file.shown, file.text, statement.start, f"{what} is no part of a mart", _FORM)
    tokens = _tokens(statement)
    place = next((at for at, token in enumerate(tokens) if token.text == "on"), len(tokens))
    for token in tokens[:place]:
        if token.text == "concurrently":
            raise step_module.refused(
                file.shown,
                file.text,
                token.offset,
                "an index of a mart is made in the mart's transaction, where nothing can be concurrent",
                "Leave 'concurrently' out: nobody reads the mart yet.",
            )
    place += 2 if [token.text for token in tokens[place + 1 : place + 2]] == ["only"] else 1
    name, token = _name(file, tokens, place)
    if name != mart:
        raise step_module.refused(
            file.shown, file.text, token.offset, f"an index on {name}", f"Make indexes on {mart} alone."
        )
    return words[1] == "unique" and _is_plain(tokens[place + 1 :])


def _is_plain(tokens: Sequence[_Token]) -> bool:
    """Tell whether an index is of columns alone and of all rows; `tokens` are those behind the table's name."""
    depth = 0
    for token in tokens:
        depth += (token.kind == "open") - (token.kind == "close")
        if depth > 1 or (depth == 0 and token.text == "where"):
            return False
    return True


def _name(file: SqlFile, tokens: Sequence[_Token], place: int) -> tuple[str, _Token]:
    """Return the name that stands at a place, without a schema, and its token."""
    token = tokens[place] if place < len(tokens) else tokens[-1]
    if place >= len(tokens) or token.kind not in ("word", "quoted"):
        raise step_module.refused(file.shown, file.text, token.offset, "a name is missing", _FORM)
    if place + 1 < len(tokens) and tokens[place + 1].text == ".":
        raise step_module.refused(
            file.shown,
            file.text,
            token.offset,
            "a mart is named without a schema",
            "Leave the schema out: a mart is made where the tables of the schema files are, by the search_path.",
        )
    return sqltext.parts(token.text)[0], token


def _tokens(statement: Statement) -> list[_Token]:
    return [
        _Token(kind, text.lower() if kind == "word" else text, statement.start + start)
        for kind, start, stop in sqltext.tokens(statement.text)
        if kind not in sqltext.COMMENTS
        for text in (statement.text[start:stop],)
    ]
