"""What a name means in its place: columns and tables looked up from the inside out.

What is not understood is left open, and an open relation may have any column: so nothing that
PostgreSQL accepts is complained about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from runner import sqltree
from runner.catalog import Catalog
from runner.definition import SYSTEM_COLUMNS, Table
from runner.lint.model import Column, Part, Query, Relation, Script, Temporary
from runner.sqltree import Node

Report = Callable[[str, Node, str], None]
"""Takes the rule, the node and the message of something wrong."""


# `agents.to_jsonb` is `to_jsonb(agents)`: functions of PostgreSQL's own that take any row.
_OF_ROWS = frozenset(
    {"any_value", "array_agg", "concat", "count", "hash_record", "json_agg", "json_agg_strict", "json_build_array"}
    | {"json_build_object", "jsonb_agg", "jsonb_agg_strict", "jsonb_build_array", "jsonb_build_object", "max", "min"}
    | {"num_nonnulls", "num_nulls", "pg_collation_for", "pg_column_compression", "pg_column_size", "pg_typeof"}
    | {"quote_literal", "quote_nullable", "record_out", "record_send", "row_to_json", "to_json", "to_jsonb"}
)

_UNKNOWN = Relation("?", [], is_open=True)


class Cte:
    """A common table expression in scope."""

    def __init__(self, node: Node, part: Part, depth: int) -> None:
        self.node, self.part, self.depth = node, part, depth
        self.outputs: list[Column] = []
        self.is_open = True
        self.is_begun = False


class Names:
    """Looks names up, against a catalog and the part at hand; what is wrong goes to `report`.

    `frames` are the common table expressions in scope, `parts` what the statement at hand is made of so far.
    """

    def __init__(self, catalog: Catalog, report: Report) -> None:
        self.catalog = catalog
        self.script = Script()
        self.report = report
        self.frames: list[dict[str, Cte]] = []
        self.parts: list[Part] = []
        self.part = Part("", Node(), 0)
        self._base: dict[str, tuple[Table, list[Column]]] = {}

    def temporary_named(self, node: Node) -> Temporary | None:
        """Return the temporary table of a name."""
        if node.schemaname not in (None, "pg_temp"):
            return None
        return self.script.temporaries.get(node.relname)

    def table(self, node: Node) -> Table | None:
        """Return the table of a name; what the project cannot know is None without a report."""
        name = sqltree.name_of(node)
        table = self.catalog.table(name)
        hidden = self.catalog.is_open or self.script.is_opaque or self.script.is_elsewhere
        if table is None and self.catalog.made and not hidden and not self._is_elsewhere(node, name):
            like = meant(name, self.catalog.tables)
            self.report("unknown-table", node, f"no schema file makes a table '{name}'{like}")
        return table

    def _is_elsewhere(self, node: Node, name: str) -> bool:
        """Return whether a relation may be there without a schema file that makes it as a table."""
        if node.relname.startswith("pg_") or node.schemaname not in (None, "public", *self.catalog.schemas):
            return True
        # Sequences of columns are made with their tables.
        return name in self.catalog.sequences or node.relname.endswith("_seq")

    def columns(self, table: Table) -> list[Column]:
        """Return the columns of a table, the same ones each time."""
        known, columns = self._base.get(table.name, (None, []))
        # One that a step alters is another object.
        if known is not table or len(columns) != len(table.columns):
            columns = [Column(name, (), table) for name in table.columns]
            self._base[table.name] = table, columns
        return columns

    def column(self, node: Node, query: Query) -> None:
        """Give a ColumnRef its meaning: a column, or a relation for a whole row."""
        fields = node.fields
        name = fields[-1]
        if type(name) is not str:
            if len(fields) > 1:
                node.meaning = self.relation(node, fields[-2], query)
            return
        if len(fields) == 1:
            found = self.lookup(name, query)
            if found is None:
                if name in self.catalog.functions:
                    return
                self._unknown(node, name, query)
        else:
            relation = self.relation(node, fields[-2], query)
            if relation is None:
                return
            found = relation.columns.get(name)
            if found is None:
                known = name in SYSTEM_COLUMNS or name in _OF_ROWS or name in self.catalog.functions
                if known or relation.is_open or not relation.outputs:
                    return
                like = meant(name, relation.columns)
                self.report("unknown-column", node, f"'{fields[-2]}' has no column '{name}'{like}")
                return
        node.meaning = found if found is not _UNKNOWN else None
        node.owner = query
        if isinstance(found, Column) and found.table is not None:
            self.part.read_columns.add((found.table.name, found.name))

    def lookup(self, name: str, query: Query | None) -> Column | Relation | None:
        """Return what a bare name means; `_UNKNOWN` where it may mean something, None where it cannot."""
        level = query
        while level is not None:
            for relation in level.relations:
                column = relation.columns.get(name)
                if column is not None and not relation.is_qualified_only:
                    return column
            for relation in level.relations:
                if relation.is_open:
                    return _UNKNOWN
                if relation.alias == name:
                    return relation
            if level.relations and name in SYSTEM_COLUMNS:
                return _UNKNOWN
            level = level.parent
        return None

    def relation(self, node: Node, name: object, query: Query) -> Relation | None:
        """Return the relation that a qualified name means; None, reported, where there is none."""
        level: Query | None = query
        while level is not None:
            for relation in level.relations:
                if relation.alias == name:
                    return relation
            level = level.parent
        if len(node.fields) == 2:
            self.report("unknown-column", node, f"nothing in this query is called '{name}'")
        return None

    def _unknown(self, node: Node, name: str, query: Query) -> None:
        known: dict[str, object] = {}
        level: Query | None = query
        while level is not None:
            for relation in level.relations:
                known |= relation.columns
            level = level.parent
        self.report("unknown-column", node, f"no table here has a column '{name}'{meant(name, known)}")

    def known_column(self, table: Table | None, name: str | None, at: Node) -> None:
        """Report a column that a table has not."""
        if table is None or table.is_open or name is None or name in table.columns:
            return
        self.report("unknown-column", at, f"'{table.name}' has no column '{name}'{meant(name, table.columns)}")

    def known_constraint(self, name: str, at: Node) -> None:
        """Report the name of a constraint that no schema file gives, and PostgreSQL does not make by itself."""
        hidden = self.catalog.is_open or self.script.is_opaque or self.script.is_elsewhere
        if hidden or name in self.catalog.constraints or _OWN_CONSTRAINT.search(name):
            return
        like = meant(name, self.catalog.constraints)
        self.report("conflict-target", at, f"no schema file names a constraint '{name}'{like}")


_OWN_CONSTRAINT = re.compile(r"_(pkey|key|excl)\d*$")


def meant(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that says which of the known names may be meant; empty where none is like it."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)
    return f"; did you mean '{close[0]}'?" if close else ""


def table_like(relation: Relation, name: str = "") -> Table:
    """Return a relation's table, or what stands for it where it is temporary."""
    if relation.table is not None:
        return relation.table
    return Table(name or relation.alias or "", dict.fromkeys(relation.columns, ""), is_open=relation.is_open)
