"""Names that a step's header declares: of its watermarks, and of columns that say nothing about the data."""

from __future__ import annotations

from runner import sqltext, step
from runner.catalog import Catalog
from runner.lint.names import Names, meant
from runner.lint.source import Source
from runner.sqltree import Node


def check(source: Source, catalog: Catalog) -> None:
    """Report tables and columns that no schema file knows: a declaration of them would be without effect."""
    if source.file is None or not (source.file.watermark or source.file.technical):
        return
    header = step.read_header(source.text, source.shown, step.STEP_KEYS)
    for name, offset in header.listed("watermark"):
        _Declared(source, catalog, offset).table(sqltext.parts(name))
    for name, offset in header.listed("technical"):
        *table, column = sqltext.parts(name)
        _Declared(source, catalog, offset).column(tuple(table), column)


class _Declared:
    """A name at a place of the header, looked up as those of the statements are."""

    def __init__(self, source: Source, catalog: Catalog, offset: int) -> None:
        self._source, self._catalog, self._offset = source, catalog, offset
        self._names = Names(catalog, self._report)
        self._names.script = source.script

    def _report(self, rule: str, _node: Node, message: str) -> None:
        self._source.report_at(rule, self._offset, message)

    def table(self, parts: tuple[str, ...]) -> None:
        """Report a table that nothing makes."""
        node = _relation(parts)
        if self._names.temporary_named(node) is None:
            self._names.table(node)

    def column(self, table: tuple[str, ...], column: str) -> None:
        """Report a column that its table has not, or no table where none is named."""
        if table:
            node = _relation(table)
            if self._names.temporary_named(node) is None:
                self._names.known_column(self._names.table(node), column, node)
            return
        script, known = self._source.script, self._catalog
        if not known.made or known.is_open or script.is_opaque or script.is_elsewhere:
            return
        targets = {part.target.removeprefix("public.") for part in script.parts if part.writes}
        # What a trigger writes is not seen, so any table may have it.
        tables = [each for each in known.tables.values() if not each.is_view or each.name in targets]
        if any(each.is_open or column in each.columns for each in tables):
            return
        own = {name for each in tables if each.name in targets for name in each.columns}
        self._report("unknown-column", Node(), f"no table has a column '{column}'{meant(column, own)}")


def _relation(parts: tuple[str, ...]) -> Node:
    """Return the node of a table's name: `schema.table`, or a table alone."""
    node = Node(relname=parts[-1])
    node.kind = "RangeVar"
    if len(parts) > 1:
        node["schemaname"] = parts[-2]
    return node
