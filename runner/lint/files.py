"""Rules of files: names, encoding, headers, syntax, numbers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from runner import dialects, mart, sqltext, sqltree, step
from runner.errors import ConfigError
from runner.lint.source import Kind, Source, refusal

_KEYS: dict[str, tuple[str, ...]] = {"step": step.STEP_KEYS, "schema": step.SCHEMA_KEYS, "mart": mart.MART_KEYS}


def read(path: Path, root: Path, kind: Kind) -> Source:
    """Return the file at `path` with what is wrong with it as a file."""
    source = Source(path, _shown(path, root), kind)
    if not _read_text(source):
        return source
    if source.number is None and kind not in ("check", "checkpoint"):
        source.report_at("file-name", 0, f"{path.name} is not named like 010_agents.sql")
    elif kind in _KEYS:
        try:
            source.file = step.read(path, root, _KEYS[kind])
        except ConfigError as error:
            source.report_at("bad-header", *refusal(source, error))
    try:
        source.statements = sqltree.parse(source.text)
    except sqltree.TooDeep:
        source.is_too_deep = True  # left to the server
    except sqltree.NotSql as error:
        if not _is_data(source, error.offset):
            source.report_at("syntax", error.offset, _syntax(source.text, error))
    else:
        if not source.statements:
            source.report_at("empty", 0, f"{source.shown} contains no statement")
    return source


def _syntax(text: str, error: sqltree.NotSql) -> str:
    """Return the parser's words, and what the statement seems to mean where that can be read."""
    statements = [found for found in sqltext.split(text) if found.start <= error.offset]
    reading = dialects.recognise(statements[-1].text) if statements else None
    return f"{error.message}. {reading.hint}" if reading else error.message


def _is_data(source: Source, offset: int) -> bool:
    """Report a copy from the client whose lines of data follow it, and are no SQL."""
    before = [statement for statement in sqltext.split(source.text) if statement.start + len(statement.text) <= offset]
    try:
        nodes = [found.node for found in sqltree.parse(before[-1].text)] if before else []
    except sqltree.NotSql:
        return False
    if not nodes or nodes[-1].kind != "CopyStmt" or not nodes[-1].is_from or nodes[-1].filename:
        return False
    source.report_at("client-copy", before[-1].start, CLIENT_COPY)
    return True


CLIENT_COPY = "there is no client that this copy could read from or write to"


def _shown(path: Path, root: Path) -> str:
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def _read_text(source: Source) -> bool:
    try:
        with source.path.open(encoding="utf-8", newline="") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        source.report_at("unreadable", 0, f"{source.shown} is not UTF-8 text (byte {error.start})")
        return False
    except OSError as error:
        source.report_at("unreadable", 0, f"{source.shown} cannot be read: {error.strerror}")
        return False
    source.text = text.removeprefix("\ufeff")
    if "\0" in text:
        source.report_at("unreadable", text.index("\0"), "a NUL character; is the file UTF-16?")
        return False
    return True


def check_numbers(sources: Sequence[Source]) -> None:
    """Report files of one folder that share a number or a name, at the later one of each pair."""
    numbered = sorted((s for s in sources if s.number is not None), key=lambda s: (s.number or 0, s.name))
    for first, second in itertools.pairwise(numbered):
        if first.number == second.number:
            second.report_at("duplicate-number", 0, f"{first.shown} has the number {second.number}, too")
    names: dict[str, Source] = {}
    for source in numbered:
        other = names.setdefault(source.name, source)
        if other is not source:
            source.report_at("duplicate-name", 0, f"{other.shown} has the name '{source.name}', too")
