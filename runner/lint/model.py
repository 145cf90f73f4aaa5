"""What the names of a script mean: columns, relations, queries, and the parts of a statement.

A part is what PostgreSQL runs as one: a common table expression, or the statement around them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner import sqltree
from runner.definition import SYSTEM_COLUMNS, Table, type_of
from runner.sqltree import Node


class Column:
    """A column of a table (`table`), or of a query (`sources`: the expressions or columns it comes from)."""

    __slots__ = ("name", "sources", "table", "text")

    def __init__(self, name: str, sources: tuple[Node | Column, ...] = (), table: Table | None = None) -> None:
        self.name, self.sources, self.table = name, sources, table
        self.text: str | None = None
        """What makes it, rendered, once that was asked; see `conditions`."""


class Relation:
    """What stands in a `from`: a table, a part of the statement (`part`), a subquery or a function."""

    __slots__ = (
        "alias",
        "columns",
        "is_nullable",
        "is_open",
        "is_qualified_only",
        "keys",
        "outputs",
        "part",
        "query",
        "table",
    )

    def __init__(
        self,
        alias: str | None,
        outputs: list[Column],
        *,
        is_open: bool = False,
        table: Table | None = None,
        part: Part | None = None,
        query: Query | None = None,
        keys: list[frozenset[str]] | None = None,
    ) -> None:
        self.alias = alias
        self.set_outputs(outputs)
        self.is_open = is_open
        """Whether it may have other columns than these."""
        self.table, self.part, self.query = table, part, query
        self.keys = keys or []
        self.is_nullable = False
        """Whether an outer join may leave it empty."""
        self.is_qualified_only = False
        """Whether only `alias.column` means its columns: those of `excluded`, `old` and `new`."""

    def set_outputs(self, outputs: list[Column]) -> None:
        """Give it these columns; the first of a name is what the name means."""
        self.outputs = outputs
        self.columns: dict[str, Column] = {}
        for column in outputs:
            self.columns.setdefault(column.name, column)


class Query:
    """One select, or the names that the clauses of another statement see; `parent` is what it may also refer to."""

    __slots__ = ("arms", "conditions", "is_open", "node", "outputs", "parent", "part", "relations", "sort")

    def __init__(self, node: Node | None, part: Part, parent: Query | None) -> None:
        self.node, self.part, self.parent = node, part, parent
        self.relations: list[Relation] = []
        self.outputs: list[Column] = []
        self.is_open = False
        self.conditions: list[Node] = []
        """The `where` and the conditions of inner joins."""
        self.sort: list[Node | Column] = []
        self.arms: tuple[Query, ...] = ()


class Part:
    """A common table expression, or a statement without its own; `name` is empty for the latter.

    `kind` is `select`, `insert`, `upsert`, `update`, `delete`, `merge` or `other`; `target` is the
    table it writes, as the statement calls it.
    """

    def __init__(self, name: str, node: Node, number: int) -> None:
        self.name, self.node, self.number = name, node, number
        self.kind = "select"
        self.target = ""
        self.target_relation: Relation | None = None
        self.kin: frozenset[str] = frozenset()
        """The tables that share rows with the target: itself, what it is a partition of, and its partitions."""
        self.is_temporary = False
        """Whether the target is a temporary table."""
        self.uses: set[Part] = set()
        self.reads: set[str] = set()
        self.read_columns: set[tuple[str, str]] = set()
        self.query: Query | None = None
        """The select, or the clauses of an update, delete or merge; of an insert the select that it inserts."""
        self.values: dict[str, Node | Column] = {}
        """Column -> what an insert or update gives it."""
        self.updates: dict[str, Node | Column] = {}
        """Column -> what `do update` or the updates of a merge give it."""
        self.guards: list[Node] = []
        """The conditions of `do update … where`, and of the clauses of a merge."""
        self.returning: list[Column] = []
        self.queries: list[Query] = []
        self.comparisons: list[Node] = []
        self.null_tests: list[Node] = []
        self.sublinks: list[Node] = []
        self.negations: list[Node] = []
        self.calls: list[Node] = []
        self.paths: list[Any] | None = None
        """What holds for its rows, once that was asked; see `paths`."""

    @property
    def writes(self) -> bool:
        """Whether it changes rows of a table."""
        return self.kind in ("insert", "upsert", "update", "delete", "merge")

    @property
    def shown(self) -> str:
        """The part as messages name it."""
        return f"'{self.name}'" if self.name else "the statement"


class Temporary:
    """A temporary table or view of the script: its columns, and the parts that fill it.

    `node` is the name where it is made; `ends` tells whether the commit or the script drops it.
    """

    def __init__(self, name: str, relation: Relation, makers: list[Part], node: Node, *, ends: bool = False) -> None:
        self.name, self.relation, self.makers, self.node = name, relation, makers, node
        self.ends = ends
        self.below: list[Temporary] = []
        """What a view reads: it goes with the first of them."""

    @property
    def stays(self) -> bool:
        """Whether it outlives the transaction."""
        return not self.ends and all(other.stays for other in self.below)


class Script:
    """The parts of a file, statement by statement, and its temporary tables by name."""

    def __init__(self) -> None:
        self.statements: list[list[Part]] = []
        self.temporaries: dict[str, Temporary] = {}
        self.made: list[Temporary] = []
        """All of them, also those that another one took the name of."""
        self.windows: list[tuple[Node, Query]] = []
        self.is_opaque = False
        """Whether a `do` block, a procedure or a function does things that are not seen."""
        self.is_elsewhere = False
        """Whether it sets the search path."""

    @property
    def parts(self) -> Iterator[Part]:
        """Return all parts, in the order in which they stand."""
        for parts in self.statements:
            yield from parts


def closure(part: Part) -> set[Part]:
    """Return `part` and all parts that it takes rows from, through temporary tables too."""
    found = {part}
    pending = [part]
    while pending:
        for used in pending.pop().uses:
            if used not in found:
                found.add(used)
                pending.append(used)
    return found


def function(node: Node) -> str:
    """Return the function that a node calls; `now` for what asks the clock in another way: 'today'::date, age(born)."""
    if node.kind == "TypeCast":
        is_moment = type_of(node.typeName) in _MOMENTS and (sqltree.text_of(node.arg) or "").strip().lower() in _NOW
        return "now" if is_moment else ""
    name = sqltree.function(node)
    return "now" if name == "age" and len(node.args or ()) == 1 and not _is_of_row(node.args[0]) else name


_MOMENTS = ("timestamptz", "timestamp", "date", "time", "timetz")
_NOW = ("now", "today", "tomorrow", "yesterday")


def _is_of_row(node: Node) -> bool:
    """Return whether a node names the transaction that wrote a row, whose age is not one of time."""
    return node.kind == "ColumnRef" and node.fields[-1] in SYSTEM_COLUMNS


def leaves(thing: Node | Column | None, seen: set[int] | None = None) -> Iterator[Node | Column]:
    """Return where a value comes from: columns of tables, function calls, constants, and what is not known.

    Columns of queries are followed into what makes them; of an aggregate the arguments are followed, too.
    """
    seen = set() if seen is None else seen
    if thing is None or id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, Column):
        if not thing.sources:
            yield thing
        for source in thing.sources:
            yield from leaves(source, seen)
        return
    if thing.kind == "ColumnRef":
        if isinstance(thing.meaning, Column):
            yield from leaves(thing.meaning, seen)
        else:
            yield thing
        return
    if thing.kind == "SubLink":
        if isinstance(thing.meaning, Query) and thing.subLinkType == "EXPR_SUBLINK":
            for output in thing.meaning.outputs:
                yield from leaves(output, seen)
        else:
            yield thing
        return
    is_clock = thing.kind == "TypeCast" and function(thing) != ""
    if is_clock or thing.kind in ("FuncCall", "SQLValueFunction", "A_Const", "SetToDefault", "MergeSupportFunc"):
        yield thing
    for child in _values(thing):
        yield from leaves(child, seen)


def _values(node: Node) -> Iterator[Node]:
    """Return the nodes below that make the value: not the order, filter and window of a call."""
    for name, value in node.items():
        if name in ("agg_order", "agg_filter", "over", "typeName"):
            continue
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, Node):
                yield item
            elif isinstance(item, list):
                yield from (inner for inner in item if isinstance(inner, Node))


def nothing_known(_thing: Any) -> bool:
    """Return whether a leaf says nothing of where its value comes from."""
    return (isinstance(_thing, Column) and _thing.table is None) or (
        isinstance(_thing, Node) and _thing.kind in ("ColumnRef", "SubLink")
    )


def results(value: Node | Column | None, seen: set[int] | None = None) -> list[Node]:
    """Return the expressions that a value can be: those of a `case`, not its conditions."""
    seen = set() if seen is None else seen
    if value is None or id(value) in seen:
        return []
    seen.add(id(value))
    if isinstance(value, Column):
        return [node for source in value.sources for node in results(source, seen)]
    if value.kind == "CaseExpr":
        ends = [clause.result for clause in value.args or ()] + [value.defresult]
        return [node for end in ends for node in results(end, seen)]
    if value.kind == "ColumnRef" and isinstance(value.meaning, Column):
        return results(value.meaning, seen)
    return results(value.arg, seen) if value.kind == "TypeCast" else [value]
