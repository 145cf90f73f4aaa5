"""From an error of the server to the places in SQL files where it came up: the statement, then the functions it ran."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runner import sqltext
from runner.places import casts, definitions, frames, suspects, targets
from runner.places.definitions import Definition, Definitions
from runner.places.fault import Fault
from runner.places.fragment import Fragment
from runner.places.frames import Query, Routine
from runner.step import SqlFile

if TYPE_CHECKING:
    import psycopg

    from runner.sqltext import Statement


# A text that does not have the form of its type.
_TEXT_STATES = ("22P02", "22007", "22008")
_METRICS = "pipeline_metrics"


@dataclass(frozen=True)
class Place:
    """An offset in a file; `others` are places there that are as likely to be the one."""

    file: SqlFile
    offset: int
    others: tuple[int, ...] = ()
    inside: str = ""
    """The function or view in which it is; empty for the statement that was sent."""


@dataclass(frozen=True)
class Trace:
    """Where an error came up: the first place is in the statement that was sent, the last one the innermost.

    `query` is text that a function put together and ran, and that stands in no file, with the
    offset of the error in it. `rest` is what the server said of where it was, if that led nowhere.
    """

    places: tuple[Place, ...]
    query: tuple[str, int] | None = None
    rest: str = ""


def follow(file: SqlFile, statement: Statement | None, error: psycopg.Error) -> Trace:
    """Return where `error` came up that the server raised for `statement`; for the commit where that is None."""
    diag = error.diag
    start = statement.start if statement else 0
    if statement is None:
        return Trace(_at_commit(file, Fault.of(error)))
    if diag.statement_position:
        offset = start + int(diag.statement_position) - 1
        fragment = Fragment(file, start, statement.text)
        return Trace((Place(file, suspects.nearer(fragment, offset, Fault.of(error))),))
    try:
        return _Walk(Fragment(file, start, statement.text), error).trace()
    except Exception:
        # A fault in what is only guessed must not stand in the way of what is known.
        return Trace((Place(file, start),), rest=diag.context or "")


def _at_commit(file: SqlFile, fault: Fault) -> tuple[Place, ...]:
    """Return where a deferred constraint was broken: what writes its table. A lost connection is nowhere."""
    if not fault.table:
        return ()
    statements = [Fragment(file, statement.start, statement.text) for statement in file.statements]
    writing = [one for one in statements if any(target.table == fault.table for target in targets.read(one))]
    found = [offset for fragment in writing or statements for offset in suspects.find(fragment, fault)]
    return (Place(file, found[0], tuple(found[1:])),) if found else (Place(file, statements[-1].start),)


class _Walk:
    """Goes along the frames, from the statement inwards, and narrows down a fragment of SQL on the way."""

    def __init__(self, statement: Fragment, error: psycopg.Error) -> None:
        self.error = error
        self.fault = Fault.of(error)
        self.fragment = statement
        """The part of a file that is left: the error is in it."""
        self.statement = statement
        """The statement of a routine, before it was narrowed down to a query of its."""
        self.area = statement
        """The body in which a query is looked for."""
        self.inside = ""
        self.places: list[Place] = []
        self.dynamic = ""
        self.definitions = Definitions(statement.file)

    def trace(self) -> Trace:
        diag = self.error.diag
        for frame in frames.read(diag.context):
            if isinstance(frame, Query):
                # The server's own, such as the look-up of a foreign key, is in no routine.
                if self.area is not self.fragment:
                    self._enter_query(frame.text)
            elif not self._enter(frame):
                # Where it was called is known, the function is not: it is the server's own, or in no file.
                self._call(frame.name)
                return Trace(tuple(self.places), rest=(diag.context or "").splitlines()[0])
        if diag.internal_query and diag.internal_position:
            return self._at_internal_position(diag.internal_query, int(diag.internal_position) - 1)
        if self.dynamic:
            self._add(self.fragment.start)
            found = suspects.find(Fragment(self.fragment.file, 0, self.dynamic), self.fault)
            return Trace(tuple(self.places), (self.dynamic, found[0] if found else 0))
        self._suspect()
        known = self.places[1:] or frames.read(diag.context)
        return Trace(tuple(self.places), rest="" if known else _first_line(diag.context))

    def _add(self, offset: int, others: tuple[int, ...] = ()) -> None:
        self.places.append(Place(self.fragment.file, offset, others, self.inside))

    def _enter(self, routine: Routine) -> bool:
        """Go into a function or block; False where its text is not known."""
        validated = self._creates(routine.name)
        if routine.name == frames.BLOCK or validated:
            body = definitions.body_of(self.fragment)
            inside = self.inside
        else:
            found = self.definitions.find(routine.name, routine.types)
            body, inside = (found.body, routine.name) if found else (None, "")
        if body is None:
            return False
        if routine.name != frames.BLOCK and not validated:
            self._call(routine.name)
        self.inside, self.area, self.dynamic = inside, body, ""
        self.fragment = self.statement = _statement_of(body, routine)
        if validated:
            last = sqltext.split(body.text)[-1:]
            self.fragment = self.statement = body.part(body.start + last[0].start) if last else body
        return True

    def _creates(self, name: str) -> bool:
        """Tell whether the statement defines the function: then it is being read, not run."""
        words = [token.text for token in self.fragment.tokens[:4] if token.text not in ("or", "replace")]
        creates = words[:2] in (["create", "function"], ["create", "procedure"])
        return not self.places and creates and bool(_calls(self.fragment, name))

    def _call(self, name: str) -> None:
        """Add the place where the fragment calls the function `name`; for a trigger's what it fires on."""
        if self.dynamic:
            self._add(self.fragment.start)
            return
        calls = _calls(self.fragment, name)
        if not calls:
            calls = [
                offset
                for offset, found in self.definitions.mentioned(self.fragment)
                if _calls(found.body, name) or found.name == name
            ]
        if calls:
            self._add(calls[0], tuple(calls[1:]))
            return
        tables = self.definitions.triggered(name)
        fired = [target.offset for target in targets.read(self.fragment) if target.table in tables]
        self._add((fired or targets.written(self.fragment) or [suspects.fallback(self.fragment, self.fault)])[0])

    def _enter_query(self, text: str) -> None:
        """Narrow the fragment down to a query that the function ran."""
        start = _align(self.area, self.fragment.start, text)
        if start is None:
            self.dynamic = text
        else:
            self.fragment = self.area.part(max(start, self.area.start), start + len(text))

    def _at_internal_position(self, query: str, position: int) -> Trace:
        start = _align(self.area, self.fragment.start, query)
        if start is None:
            start = _align(self.area, self.area.start, query)
        if start is not None:
            self._add(start + position)
            return Trace(tuple(self.places))
        self._add(self.fragment.start)
        return Trace(tuple(self.places), (query, position))

    def _suspect(self) -> None:
        """Add what can have raised the error, in the fragment or in what it calls without the server's telling."""
        fault = self._of_the_whole()
        found = (
            suspects.assigned(self.fragment, fault, self.definitions.columns)
            or suspects.find(self.fragment, fault)
            or self._conditions()
        )
        if len(found) > 1 and self.fault.sqlstate in _TEXT_STATES:
            found = casts.of_texts(self.fragment, found, lambda name: self.definitions.types(self.fragment, name))
        if found:
            self._add(found[0], tuple(found[1:]))
            return
        for offset, definition, inner in self._hidden():
            self._add(offset)
            self.places.append(Place(definition.body.file, inner[0], tuple(inner[1:]), definition.name))
            return
        self._add(suspects.fallback(self.statement, self.fault))

    def _of_the_whole(self) -> Fault:
        """Return the error as one of the table that the fragment writes, where the server names its partition."""
        written = {target.table for target in targets.read(self.fragment)}
        if not self.fault.table or self.fault.table in written:
            return self.fault
        wholes = [name for name in self.definitions.wholes(self.fault.table) if name in written]
        others = written - {_METRICS}
        # What has no context has come up in this statement itself, whatever made the partition.
        if not wholes and not self.error.diag.context and len(others) == 1:
            wholes = [*others]
        return replace(self.fault, table=wholes[0]) if wholes else self.fault

    def _conditions(self) -> list[int]:
        """Return suspects behind `elsif`: the server names the line of the `if` for all conditions."""
        if self.fragment is self.area or not self.fragment.tokens or self.fragment.tokens[0].text != "if":
            return []
        rest = self.area.part(self.fragment.start)
        begin: int | None = None
        for token in rest.tokens:
            if token.text in ("elsif", "elseif"):
                begin = token.stop
            elif token.text == "then" and begin is not None:
                if found := suspects.find(self.area.part(begin, token.offset), self.fault):
                    return found
                begin = None
        return []

    def _hidden(self) -> list[tuple[int, Definition, list[int]]]:
        """Return views and functions that become a part of the statement, and that have what can have failed."""
        if not self.fault.sqlstate.startswith(suspects.DATA):
            return []
        found = []
        for offset, definition in self.definitions.mentioned(self.fragment):
            if inner := suspects.find(definition.body, self.fault):
                found.append((offset, definition, inner))
        return found[:1]


def _first_line(context: str | None) -> str:
    return (context or "").split("\n", 1)[0]


def _calls(fragment: Fragment, name: str) -> list[int]:
    """Return where a function is called, with the schema in front of its name."""
    tokens = fragment.tokens
    found = []
    for index, token in enumerate(tokens[:-1]):
        if token.text == name and token.kind in ("word", "quoted") and tokens[index + 1].text == "(":
            while index > 1 and tokens[index - 1].text == ".":
                index -= 2
            found.append(tokens[index].offset)
    return found


def _statement_of(body: Fragment, routine: Routine) -> Fragment:
    """Return the statement of a body that a frame names: by number in SQL, by line in plpgsql."""
    if routine.statement is not None:
        statements = sqltext.split(body.text)
        if routine.statement <= len(statements):
            statement = statements[routine.statement - 1]
            return body.part(body.start + statement.start, body.start + statement.start + len(statement.text))
        return body
    if routine.line is None:
        return body
    lines = body.text.splitlines(keepends=True)
    start = body.start + sum(map(len, lines[: routine.line - 1]))
    stop = start + len(lines[routine.line - 1]) if routine.line <= len(lines) else start
    tokens = [token for token in body.part(start).tokens if token.offset < stop]
    wanted = _keyword(routine.what)
    named = [token.offset for token in tokens if token.text == wanted]
    begin = (named or [token.offset for token in tokens] or [start])[0]
    rest = body.part(begin)
    end = next((token.stop for token in rest.tokens if token.kind == "end"), None)
    if wanted in ("if", "while", "for", "foreach"):
        closing = next((t.stop for t in rest.tokens if t.depth == 0 and t.text in ("then", "loop")), None)
        end = closing or end
    return body.part(begin, end)


def _keyword(what: str) -> str:
    """Return the word with which a plpgsql statement begins: `at RETURN QUERY` -> `return`."""
    words = what.removeprefix("at ").split()
    return words[0].lower() if words and words[0].isupper() and words[0] != "SQL" else ""


def _align(area: Fragment, start: int, query: str) -> int | None:
    """Return the offset at which a query of a function stands in its body, so that characters match; None if nowhere.

    plpgsql blanks `into …` out, and writes `SELECT` for `perform`, whose last letter it keeps a blank.
    """
    texts = [(query, 0)]
    if query.startswith("SELECT "):
        texts.append((query[6:], 6))
    if blank := re.search(r"\S( {6,})", query):
        texts.append((query[: blank.start(1)], 0))
    for text, skipped in texts:
        if not text.strip():
            continue
        for begin in (start - area.start, 0):
            index = area.text.find(text, max(begin, 0))
            if index >= 0:
                return area.start + index - skipped
    return None
