"""runner lineage: what steps read and write, and where a column's value comes from."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence

from runner import console, graph, project
from runner.config import Settings
from runner.lineage import columns, show


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner lineage`."""
    parser.add_argument("--column", metavar="T.C", help="a column with its table: agents.email")
    parser.add_argument("--format", choices=("text", "mermaid", "json"), default="text", help="default: text")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the lineage of a column, or of all steps; from the files alone."""
    pipeline = project.discover(settings)
    lineage = columns.read(settings, pipeline)
    nearest = graph.nearest(graph.build(lineage.effects))
    column = None if args.column is None else lineage.column(args.column)
    if args.format == "json":
        known = show.document(lineage, nearest) if column is None else show.column_document(lineage, column)
        console.print_json({"pipeline": pipeline.name} | known)
    elif args.format == "mermaid":
        console.say(show.step_chart(lineage) if column is None else show.column_chart(lineage, column))
    elif column is None:
        _say_steps([*show.steps(lineage, nearest), *show.marts(lineage)])
        if not pipeline.steps:
            console.note(f"{pipeline.name} has no steps yet: put them into {settings.migrations}, such as 010_name.sql")
    else:
        _say_tree(show.tree(lineage, column))
        sources = [
            (str(origin), "copied" if copied else "computed") for origin, copied in lineage.sources(column).items()
        ]
        if sources:
            console.say("\n" + console.table(sources, ("in the end from", "how"), colours={"computed": "yellow"}))
        elif not lineage.unread and not any(column.table in tables for tables in lineage.gaps.values()):
            console.note(f"{column}: none of the steps, schema files and declarations fills it")
    met = None if column is None else {column.table, *(edge.origin.table for edge in lineage.behind(column))}
    for step, tables in lineage.gaps.items():
        if named := [table for table in tables if (table != "pipeline_metrics" if met is None else table in met)]:
            console.warn(f"{step} writes {', '.join(named)} in a block or function, which is not followed")
    for place in lineage.unread:
        console.warn(f"{place} is nested too deep to be followed")
    return 0


def _say_steps(rows: Sequence[tuple[str, str, str]]) -> None:
    """Print a block a step: what it waits for, reads and writes."""
    width = max((len(step) for step, _, _ in rows), default=0)
    for step, what, names in rows:
        margin = f"{console.style(step.ljust(width), 'bold')}  {what:<7}  "
        first, *further = textwrap.wrap(names, max(100 - width, 30)) or [""]
        console.say(margin + first)
        for line in further:
            console.say(" " * (width + 11) + line)


def _say_tree(lines: Sequence[tuple[str, str, str, str]]) -> None:
    """Print a column's tree, a line an origin: what it is, how it is used, where, by which expression."""
    widths = [max(len(line[place]) for line in lines) for place in range(3)]
    for line in lines:
        what, how, where = (text.ljust(width) for text, width in zip(line, widths, strict=False))
        how = console.style(how, "yellow") if line[1] == "computed" else how
        told = console.style(console.printable(line[3]), "dim")
        console.say(f"{what}  {how}  {where}  {told}".rstrip() if line[1] else console.style(line[0], "bold"))
