"""Functions, procedures and views as SQL files define them: where their bodies stand, by name."""

from __future__ import annotations

import itertools
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from runner import step as step_module
from runner.errors import RunnerError
from runner.places.fragment import Fragment, Token
from runner.places.types import SPELLINGS
from runner.sqltext import Statement
from runner.step import SqlFile

_NOISE = ("or", "replace", "temp", "temporary", "recursive", "materialized", "global", "local", "if", "not", "exists")
_QUOTE = re.compile(r"\$\w*\$")


@dataclass(frozen=True)
class Definition:
    """A routine or view; `body` is its code, without the quotes around it."""

    name: str
    kind: str
    """`function`, `procedure` or `view`."""
    body: Fragment
    arguments: tuple[str, ...] = ()
    """What is written for each argument, in lower case: `x integer default 0`."""


class Definitions:
    """What a SQL file may call: defined in the file itself, and in the schema files of its pipeline.

    They are read when first asked for. Of several definitions of a name, the last one comes first.
    """

    def __init__(self, file: SqlFile) -> None:
        self._file = file

    @cached_property
    def _all(self) -> list[Definition]:
        files = [*_schema_files(self._file), self._file]
        return [found for file in reversed(files) for found in reversed(_defined(file))]

    def find(self, name: str, types: tuple[str, ...] | None = None) -> Definition | None:
        """Return the routine `name`, of as many arguments as `types` has, where there is one."""
        named = [found for found in self._all if found.name == name and found.kind != "view"]
        fitting = [found for found in named if types is not None and len(found.arguments) == len(types)]
        typed = [found for found in fitting if types and all(map(_is_of, found.arguments, types))]
        return next(iter(typed or fitting or named), None)

    def columns(self, table: str) -> dict[str, str]:
        """Return column -> type, as `create table` writes it, of a table; empty where none of the files makes it."""
        files = [*_schema_files(self._file), self._file]
        for file in reversed(files):
            for statement in _statements(file):
                if found := _columns(Fragment(file, statement.start, statement.text), table):
                    return found
        return {}

    def wholes(self, partition: str) -> list[str]:
        """Return the tables of which `partition` is a partition, the innermost first."""
        parents: dict[str, str] = {}
        for file in [*_schema_files(self._file), self._file]:
            for statement in _statements(file):
                if statement.words[:1] in (("create",), ("alter",)):
                    parents |= _partitions(Fragment(file, statement.start, statement.text))
        found: list[str] = []
        while (partition := parents.get(partition, "")) and partition not in found:
            found.append(partition)
        return found

    def types(self, fragment: Fragment, column: str) -> set[str]:
        """Return the types of the columns of this name in the tables that a fragment names."""
        names = {token.text for token in fragment.tokens if token.kind in ("word", "quoted")}
        return {types[column] for name in names if column in (types := self.columns(name))}

    def triggered(self, function: str) -> list[str]:
        """Return the tables on which triggers call a function."""
        found = []
        for file in [*_schema_files(self._file), self._file]:
            for statement in _statements(file):
                if statement.words[:1] == ("create",) and "trigger" in statement.words:
                    words = [token.text for token in Fragment(file, statement.start, statement.text).tokens]
                    found += words[words.index("on") + 1 :][:1] if function in words and "on" in words else []
        return found

    def mentioned(self, fragment: Fragment) -> list[tuple[int, Definition]]:
        """Return the routines that a fragment calls and the views that it names, with the names' offsets."""
        found = []
        by_name: dict[str, Definition] = {}
        for definition in self._all:
            by_name.setdefault(definition.name, definition)
        for token, following in zip(fragment.tokens, [*fragment.tokens[1:], None], strict=True):
            named = by_name.get(token.text) if token.kind in ("word", "quoted") else None
            calls = following is not None and following.text == "("
            if named is not None and named.body is not fragment and (calls or named.kind == "view"):
                found.append((token.offset, named))
        return found


def body_of(statement: Fragment) -> Fragment | None:
    """Return the code of a `do`, `create function` or `create procedure` statement; None where it has none.

    It is what stands between its dollar quotes or plain quotes, or behind `return` or `begin atomic`.
    """
    previous = ""
    for token in statement.tokens:
        if token.depth == 0:
            if token.kind == "dollar" and (quote := _QUOTE.match(token.text)):
                return statement.part(token.offset + quote.end(), token.stop - quote.end())
            if token.kind in ("string", "escaped") and previous in ("as", "do"):
                begin = token.offset + token.text.index("'") + 1
                return statement.part(begin, token.stop - 1)
            if token.text == "return" or (previous, token.text) == ("begin", "atomic"):
                return statement.part(token.stop)
        previous = token.text
    return None


def _schema_files(file: SqlFile) -> list[SqlFile]:
    """Return the schema files that ran before `file`, in order; those that cannot be read are left out."""
    folders = (file.path.parent / "schema", file.path.parent.parent / "schema")
    folder = next((folder for folder in folders if folder.is_dir()), None)
    found: list[SqlFile] = []
    if folder is None:
        return found
    root = Path(str(file.path).removesuffix(file.shown))
    for path in folder.glob("[!._]*.sql"):
        if path != file.path:
            with suppress(RunnerError):
                found.append(step_module.read(path, root, step_module.SCHEMA_KEYS))
    if folder == file.path.parent:
        found = [earlier for earlier in found if earlier.number < file.number]
    return sorted(found, key=lambda schema: schema.number)


def _defined(file: SqlFile) -> list[Definition]:
    return [found for statement in _statements(file) if (found := _definition(file, statement)) is not None]


def _statements(file: SqlFile) -> list[Statement]:
    try:
        return file.statements
    except RunnerError:
        return []


def _columns(statement: Fragment, table: str) -> dict[str, str]:
    words = [token for token in statement.tokens if token.text not in _NOISE]
    if [token.text for token in words[:2]] != ["create", "table"] or len(words) < 4 or words[2].text != table:
        return {}
    found: dict[str, str] = {}
    column = ""
    for previous, token in itertools.pairwise(words[3:]):
        if token.depth == 1 and previous.text in ("(", ",") and previous.depth <= 1:
            column = token.text
            found[column] = ""
        elif column and not (token.depth == 1 and token.text == ","):
            is_word = found[column] and token.kind in ("word", "quoted") and previous.kind in ("word", "quoted")
            found[column] += f" {token.text}" if is_word else token.text
    return found


def _partitions(statement: Fragment) -> dict[str, str]:
    """Return partition -> table of what a statement creates or attaches."""
    tokens = statement.tokens
    for index, token in enumerate(tokens[2:-2], 2):
        if token.text != "partition" or token.depth:
            continue
        name = _last_name(tokens, index + 2 if tokens[index + 1].text == "of" else index + 1)
        if tokens[index + 1].text == "of":
            return {tokens[index - 1].text: name}
        if tokens[index - 1].text == "attach":
            return {name: tokens[index - 2].text}
    return {}


def _last_name(tokens: list[Token], index: int) -> str:
    """Return the name that begins at `index`, without the schema in front of it."""
    while index + 2 < len(tokens) and tokens[index + 1].text == ".":
        index += 2
    return tokens[index].text


def _definition(file: SqlFile, statement: Statement) -> Definition | None:
    if statement.words[:1] != ("create",):
        return None
    whole = Fragment(file, statement.start, statement.text)
    tokens = [token for token in whole.tokens[1:] if token.text not in _NOISE]
    if len(tokens) < 3 or tokens[0].text not in ("function", "procedure", "view"):
        return None
    kind, index = tokens[0].text, 1
    while index + 2 < len(tokens) and tokens[index + 1].text == ".":
        index += 2
    name = tokens[index].text
    if kind == "view":
        return Definition(name, kind, whole)
    body = body_of(whole)
    return None if body is None else Definition(name, kind, body, _arguments(whole, tokens[index].stop))


def _arguments(whole: Fragment, start: int) -> tuple[str, ...]:
    """Return the arguments in the parentheses behind `start`, without those that only come out."""
    arguments: list[list[str]] = [[]]
    for token in whole.part(start).tokens:
        if token.depth == 0 and token.text == ")":
            break
        if token.depth == 1 and token.text == ",":
            arguments.append([])
        elif token.depth:
            arguments[-1].append(token.text)
    return tuple(" ".join(words) for words in arguments if words and words[0] != "out")


def _is_of(argument: str, type_name: str) -> bool:
    words = argument.split(" default ")[0].split()
    return bool(words) and (type_name.split("(")[0] in argument or words[-1] in SPELLINGS.get(type_name, ()))
