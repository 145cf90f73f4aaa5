"""Rules between steps: who writes what another one reads."""

from __future__ import annotations

from collections.abc import Sequence

from runner import sqltree
from runner.lint.source import Source
from runner.sqltree import Node


def check(steps: Sequence[Source]) -> None:
    """Report a step that reads a table which a later step writes, and no earlier one nor itself."""
    if any(source.is_too_deep for source in steps):
        return
    ordered = sorted((s for s in steps if s.number is not None), key=lambda s: (s.number or 0, s.name))
    writers: dict[str, list[int]] = {}
    for index, source in enumerate(ordered):
        for table in _written(source):
            writers.setdefault(table, []).append(index)
    for index, source in enumerate(ordered):
        reported: set[str] = set()
        for part in source.script.parts:
            for table in sorted(part.reads - reported):
                places = writers.get(table, [])
                if not places or min(places) <= index:
                    continue
                reported.add(table)
                first = ordered[min(places)]
                source.report(
                    "reads-later-step", _place(part.node, table), f"'{table}' is only written later, by {first.shown}"
                )


def check_marts(steps: Sequence[Source], marts: Sequence[Source]) -> None:
    """Report a step that reads a mart: it would have the rows of the run before."""
    names = {source.name.lower(): source for source in marts if source.number is not None}
    for source in steps:
        reported: set[str] = set()
        for part in source.script.parts:
            for table in sorted((part.reads & names.keys()) - reported):
                reported.add(table)
                place = _place(part.node, table)
                # Said better than that no schema file makes it.
                source.findings = [
                    finding
                    for finding in source.findings
                    if (finding.rule.id, (finding.line, finding.column)) != ("unknown-table", source.position(place))
                ]
                source.report("reads-mart", place, f"'{table}' is a mart, refreshed after all steps")


def _written(source: Source) -> set[str]:
    return {part.target for part in source.script.parts if part.writes and not part.is_temporary}


def _place(node: Node, table: str) -> int:
    for inner in sqltree.walk(node):
        if inner.kind == "RangeVar" and sqltree.name_of(inner) == table:
            return sqltree.place(inner)
    return sqltree.place(node)
