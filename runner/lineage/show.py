"""Lineage for people and machines: a tree, a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html), JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.lineage.columns import Edge, Lineage
from runner.lineage.values import Origin

_LONGEST = 72


def tree(lineage: Lineage, column: Origin) -> list[tuple[str, str, str, str]]:
    """Return the lines of a column's tree: what, how, by whom and where, the expression."""
    lines: list[tuple[str, str, str, str]] = [(str(column), "", "", "")]
    seen = {column}

    def grow(at: Origin, path: tuple[Origin, ...], margin: str) -> None:
        edges = list(lineage.into(at))
        told = None
        for place, edge in enumerate(edges):
            last = place == len(edges) - 1
            name = str(edge.origin) + (" (temporary)" if edge.origin.step and edge.origin.name != "*" else "")
            if edge.origin in path:
                name += " (earlier rows)"
            elif edge.origin in seen and lineage.into(edge.origin):
                name += " (above)"
            where = f"{edge.by}:{edge.line}" if edge.line else edge.by
            # One expression has many origins: it is told with the first.
            expression = "" if (where, edge.expression) == told else edge.expression
            told = where, edge.expression
            lines.append((f"{margin}{'└─' if last else '├─'} {name}", edge.how, where, _cut(expression)))
            if edge.origin not in seen:
                seen.add(edge.origin)
                grow(edge.origin, (*path, edge.origin), margin + ("   " if last else "│  "))

    grow(column, (column,), "")
    return lines


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def steps(lineage: Lineage, nearest: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str, str]]:
    """Return (step, what, names) for each step: what it waits for, reads and writes."""
    for step, effects in lineage.effects.items():
        found = {
            "after": nearest[step],
            "reads": sorted(effects.reads - effects.writes),
            "writes": sorted(effects.writes - {"pipeline_metrics"}),
            "unclear": [effects.unclear] if effects.unclear else [],
        }
        label = step
        for what, names in found.items():
            if names:
                yield label, what, ", ".join(names)
                label = ""


def marts(lineage: Lineage) -> Iterator[tuple[str, str, str]]:
    """Return (mart, what, names) for each mart: what it reads, and the view that it makes."""
    for mart, (name, reads) in lineage.marts.items():
        yield mart, "reads", ", ".join(reads)
        yield "", "makes", name


def column_chart(lineage: Lineage, column: Origin) -> str:
    """Return a Mermaid flowchart of what leads to a column: solid where it is copied, dotted where computed."""
    edges = lineage.behind(column)[::-1]
    nodes = list(dict.fromkeys([*(edge.origin for edge in edges), column]))
    ids = {node: f"n{number}" for number, node in enumerate(nodes)}
    lines = ["flowchart LR"]
    for number, group in enumerate(dict.fromkeys(_group(node) for node in nodes if node.table)):
        lines.append(f'    subgraph g{number}["{_label(group)}"]')
        for node in nodes:
            if node.table and _group(node) == group:
                lines.append(f'        {ids[node]}["{_label("which rows" if node.name == "*" else node.name)}"]')
        lines.append("    end")
    lines += [f'    {ids[node]}(["{_label(str(node))}"])' for node in nodes if not node.table]
    for edge in edges:
        arrow = "-->" if edge.copied else "-.->"
        lines.append(f'    {ids[edge.origin]} {arrow}|"{_label(edge.by)}"| {ids[edge.target]}')
    return "\n".join(lines)


def _group(node: Origin) -> str:
    """Return the title of the box in which a column or field stands."""
    if node.kind == "field":
        return f"files of {node.table}"
    return f"{node.table} (temporary, {node.step})" if node.step else node.table


def step_chart(lineage: Lineage) -> str:
    """Return a Mermaid flowchart of steps and the tables that they read and write."""
    named = (each.reads | each.writes for each in lineage.effects.values())
    of_marts = {name for view, reads in lineage.marts.values() for name in (view, *reads)}
    names = sorted(frozenset(of_marts).union(*named) - {"pipeline_metrics"})
    tables = {name: f"t{number}" for number, name in enumerate(names)}
    steps = {name: f"s{number}" for number, name in enumerate((*lineage.effects, *lineage.marts))}
    lines = ["flowchart LR"]
    lines += [f'    {key}[("{_label(name)}")]' for name, key in tables.items()]
    lines += [f'    {key}["{_label(name)}"]' for name, key in steps.items()]
    for step, effects in lineage.effects.items():
        lines += [f"    {tables[name]} --> {steps[step]}" for name in names if name in effects.reads - effects.writes]
        lines += [f"    {steps[step]} ==> {tables[name]}" for name in names if name in effects.writes]
    for mart, (view, reads) in lineage.marts.items():
        lines += [f"    {tables[name]} --> {steps[mart]}" for name in reads if name in tables]
        lines.append(f"    {steps[mart]} ==> {tables[view]}")
    return "\n".join(lines)


def _label(text: str) -> str:
    """Return text for between quotes, where Mermaid takes `#` and `&` for the beginning of a character's name."""
    for character, name in (("#", "#35;"), ("&", "#amp;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(character, name)
    return " ".join(text.split())


def column_document(lineage: Lineage, column: Origin) -> dict[str, Any]:
    """Return what is known of a column for JSON: its sources in the end, and every edge on the way."""
    return {
        "column": str(column),
        "sources": sources(lineage, column),
        "edges": [edge_row(edge) for edge in lineage.behind(column)],
    }


def document(lineage: Lineage, nearest: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return what is known of all steps and all columns of final tables for JSON."""
    return {
        "steps": [
            {
                "step": step,
                "after": nearest[step],
                "reads": sorted(effects.reads),
                "writes": sorted(effects.writes),
                "unclear": effects.unclear or None,
                "not_followed": lineage.gaps.get(step, []),
            }
            for step, effects in lineage.effects.items()
        ],
        "marts": [{"mart": mart, "view": name, "reads": reads} for mart, (name, reads) in lineage.marts.items()],
        "columns": [
            {"column": f"{table}.{name}", "sources": sources(lineage, Origin("column", name, table))}
            for table in (*lineage.final, *(name for name, _ in lineage.marts.values()))
            for name in lineage.tables[table]
        ],
        "edges": [edge_row(edge) for edge in lineage.edges()],
    }


def sources(lineage: Lineage, column: Origin) -> list[dict[str, Any]]:
    """Return where a column's value comes from in the end."""
    return [
        {**_row(origin), "how": "copied" if copied else "computed"}
        for origin, copied in lineage.sources(column).items()
    ]


def edge_row(edge: Edge) -> dict[str, Any]:
    return {
        "to": _row(edge.target),
        "from": _row(edge.origin),
        "how": edge.how,
        "by": edge.by,
        "line": edge.line or None,
        "expression": edge.expression or None,
    }


def _row(origin: Origin) -> dict[str, Any]:
    """Return an origin for JSON; what it has not is left out."""
    row = {"kind": origin.kind, "table": origin.table, "name": origin.name, "temporary_in": origin.step}
    if origin.kind == "field":
        row["entity"] = row.pop("table")
    return {key: value for key, value in row.items() if value}
