"""A SQL file as lint reads it: with all that is wrong with it, where the runner stops at the first."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import Literal

from runner import sqltree, step
from runner.errors import ConfigError
from runner.lint.model import Script
from runner.lint.rules import RULES, Finding
from runner.sqltree import Node, Statement
from runner.step import SqlFile

Kind = Literal["step", "schema", "check", "checkpoint", "mart"]


class Source:
    """A file, its text and statements, and the findings in it.

    `file` is None where the runner would refuse the file; `statements` then still hold what can
    be parsed.
    """

    def __init__(self, path: Path, shown: str, kind: Kind) -> None:
        self.path, self.shown, self.kind = path, shown, kind
        self.text = ""
        self.file: SqlFile | None = None
        self.statements: list[Statement] = []
        self.is_too_deep = False
        """Whether it is nested deeper than lint reads: then it may make, read and write anything."""
        self.script = Script()
        self.findings: list[Finding] = []
        match = step.NAME.fullmatch(path.stem)
        self.number = int(match["number"]) if match else None
        self.name = match["name"] if match else path.stem

    def report(self, rule: str, node: Node | int, message: str) -> None:
        """Note a finding at a node, or at a place."""
        self.report_at(rule, node if isinstance(node, int) else sqltree.place(node), message)

    def report_at(self, rule: str, offset: int, message: str) -> None:
        """Note a finding at a character of the text."""
        line, column = self.position(offset)
        self.findings.append(Finding(self.shown, line, column, RULES[rule], message, self.line(line)))

    def has(self, *rules: str) -> bool:
        """Return whether one of these rules was found broken."""
        return any(finding.rule.id in rules for finding in self.findings)

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column of a character."""
        offset = max(0, min(offset, len(self.text)))
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Return a line of the text."""
        stop = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : stop].rstrip("\r\n")

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def first_token(self, statement: Statement) -> int:
        """Return where a statement's own text starts, after blanks and comments."""
        from runner import sqltext

        for kind, begin, _ in sqltext.tokens(self.text[statement.start : statement.stop]):
            if kind not in sqltext.COMMENTS:
                return statement.start + begin
        return statement.start


_PLACED = re.compile(r"(?P<line>\d+)(:(?P<column>\d+))?: (?P<message>.*)", re.DOTALL)


def refusal(source: Source, error: ConfigError) -> tuple[int, str]:
    """Return where in the file (a character) the runner's refusal points, and what it says."""
    message = error.message.splitlines()[0].removeprefix(f"{source.shown}").lstrip(": ")
    match = _PLACED.match(message)
    if match is None:
        return 0, message
    line = int(match["line"])
    offset = source._starts[min(line, len(source._starts)) - 1] + int(match["column"] or 1) - 1
    return offset, match["message"]
