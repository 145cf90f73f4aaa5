"""Findings as text, JSON and SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from runner import __version__, console, excerpt
from runner.lint.project import Report
from runner.lint.rules import RULES, Finding

_COLOURS = {"error": "red", "warning": "yellow"}


def text(report: Report, *, excerpts: bool) -> str:
    """Return the findings a line each, with their lines and hints below where `excerpts` are wanted; then a summary."""
    shown = [_line(finding, excerpts=excerpts) for finding in report.findings]
    return ("\n\n" if excerpts else "\n").join([*shown, summary(report)])


def summary(report: Report) -> str:
    """Return one line: what was looked at, and how much was found."""
    errors, warnings = report.count("error"), report.count("warning")
    found = [console.count(number, word) for number, word in ((errors, "error"), (warnings, "warning")) if number]
    return f"{console.count(report.files, 'file')}: {', '.join(found) or 'nothing to complain about'}"


def _line(finding: Finding, *, excerpts: bool) -> str:
    rule = console.style(finding.rule.id, _COLOURS[finding.rule.severity])
    place = f"{finding.file}:{finding.line}:{finding.column}"
    line = f"{place}: {rule} {console.printable(finding.message)}"
    if finding.rule.severity == "warning":
        line += " (warning)"
    if not excerpts:
        return line
    drawn = excerpt.draw("\n" * (finding.line - 1) + finding.source, finding.line - 1 + finding.column - 1)
    return f"{line}\n{console.printable(drawn)}\n{console.style('hint: ', 'blue')}{finding.rule.hint}"


def document(report: Report) -> dict[str, Any]:
    """Return the findings for machines."""
    return {
        "files": report.files,
        "errors": report.count("error"),
        "warnings": report.count("warning"),
        "findings": [
            {
                "file": finding.file,
                "line": finding.line,
                "column": finding.column,
                "rule": finding.rule.id,
                "severity": finding.rule.severity,
                "message": finding.message,
                "hint": finding.rule.hint,
            }
            for finding in report.findings
        ],
    }


def sarif(report: Report) -> dict[str, Any]:
    """Return the findings as code hosts and editors take them; all rules are described, found or not."""
    numbers = {rule: number for number, rule in enumerate(RULES)}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "runner lint", "semanticVersion": __version__, "rules": _rules()}},
                "columnKind": "unicodeCodePoints",
                "results": _results(report.findings, numbers),
            }
        ],
    }


def _rules() -> list[dict[str, Any]]:
    return [
        {
            "id": rule.id,
            "shortDescription": {"text": rule.summary},
            "help": {"text": rule.hint},
            "defaultConfiguration": {"level": rule.severity},
        }
        for rule in RULES.values()
    ]


def _results(findings: Sequence[Finding], numbers: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "ruleId": finding.rule.id,
            "ruleIndex": numbers[finding.rule.id],
            "level": finding.rule.severity,
            "message": {"text": finding.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(finding.file)},
                        "region": {"startLine": finding.line, "startColumn": finding.column},
                    }
                }
            ],
        }
        for finding in findings
    ]
