"""`-- lint: disable=RULE[,RULE] reason`: what is meant as it is, and says why.

At the top of a file it holds for the file. Elsewhere it holds for the line that it ends or stands
above, and for the whole statement where that line begins it, or where it stands behind its semicolon.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from runner import sqltext
from runner.lint.rules import RULES, Finding
from runner.lint.source import Source

_MARK = re.compile(r"--\s*lint\s*:\s*(?P<what>.*)", re.IGNORECASE)
_DISABLE = re.compile(r"disable\s*=\s*(?P<rules>[\w-]+(\s*,\s*[\w-]+)*)\s*(?P<reason>.*)", re.IGNORECASE)
_ITSELF = ("bad-disable", "unused-disable")


@dataclass
class _Disable:
    offset: int
    rules: dict[str, int]
    first: int
    last: int
    used: set[str] = field(default_factory=set)


def apply(source: Source) -> None:
    """Take the findings that are disabled out of a file, and report what is wrong with the comments themselves."""
    if _MARK.search(source.text) is None:
        return
    disables = _disables(source)
    kept: list[Finding] = []
    for finding in source.findings:
        hidden = False
        for disable in disables:
            if finding.rule.id in disable.rules and disable.first <= finding.line <= disable.last:
                disable.used.add(finding.rule.id)
                hidden = True
        if not hidden:
            kept.append(finding)
    source.findings[:] = kept
    for disable in disables:
        for rule, offset in disable.rules.items():
            if rule not in disable.used:
                source.report_at("unused-disable", offset, f"nothing here breaks '{rule}'")


def _disables(source: Source) -> list[_Disable]:
    found = []
    tokens = sqltext.tokens(source.text)
    header = next((begin for kind, begin, _ in tokens if kind not in sqltext.COMMENTS), len(source.text))
    for index, (kind, begin, stop) in enumerate(tokens):
        if kind != "line":
            continue
        match = _MARK.match(source.text, begin, stop)
        if match is None:
            continue
        disable = _parse(source, begin, match)
        if disable is None:
            continue
        if begin > header:
            disable.first, disable.last = _lines(source, tokens, index)
        found.append(disable)
    return found


def _parse(source: Source, begin: int, match: re.Match[str]) -> _Disable | None:
    asked = _DISABLE.match(match["what"])
    if asked is None:
        source.report_at("bad-disable", begin, f"'{match['what'].strip()}' is not 'disable=RULE reason'")
        return None
    start = match.start("what") + asked.start("rules")
    rules: dict[str, int] = {}
    for name in re.finditer(r"[\w-]+", asked["rules"]):
        if name[0] not in RULES or name[0] in _ITSELF:
            source.report_at("bad-disable", start + name.start(), f"there is no rule '{name[0]}' to disable")
        else:
            rules[name[0]] = start + name.start()
    if not asked["reason"].strip():
        source.report_at("bad-disable", begin, "it does not say why")
        return None
    return _Disable(begin, rules, 1, len(source.text) + 1)


def _lines(source: Source, tokens: list[tuple[str, int, int]], index: int) -> tuple[int, int]:
    """Return the first and last line that a comment behind the header speaks of."""
    line, _ = source.position(tokens[index][1])
    before = next((t for t in reversed(tokens[:index]) if t[0] not in sqltext.COMMENTS), None)
    if before is not None and source.position(before[1])[0] == line:
        if before[0] == "end":
            return _statement(source, before[1]) or (line, line)
        return line, line
    after = next((t for t in tokens[index:] if t[0] not in sqltext.COMMENTS), None)
    if after is None:
        return line, line
    line, _ = source.position(after[1])
    if before is None or before[0] == "end":
        return _statement(source, after[1]) or (line, line)
    return line, line


def _statement(source: Source, offset: int) -> tuple[int, int] | None:
    """Return the first and last line of the statement at a character."""
    for statement in source.statements:
        if statement.start <= offset <= statement.stop:
            return source.position(source.first_token(statement))[0], source.position(statement.stop)[0]
    return None
