"""Rules of orders: which rows `distinct on`, `limit` and windows keep, and whether the next run keeps the same."""

from __future__ import annotations

from collections.abc import Iterable

from runner import sqltree
from runner.lint import conditions
from runner.lint.model import Column, Part, Query, Relation, leaves
from runner.lint.source import Source
from runner.lint.values import LISTS
from runner.sqltree import Node

_FILE_ORDER = ("source_file", "position")
_ORDERED_CALLS = frozenset({"row_number", "first_value", "last_value", "nth_value", "lag", "lead", "ntile"})
_TIMES = ("timestamptz", "timestamp", "date", "time", "timetz", "bool")


def check(source: Source) -> None:
    """Report orders that leave ties where a tie decides."""
    parts = list(source.script.parts)
    for part in parts:
        for query in part.queries:
            if query.node is not None and query.node.kind == "SelectStmt":
                _distinct(source, query)
                _limit(source, query, parts)
    for call, query in source.script.windows:
        _window(source, call, query)


def _distinct(source: Source, query: Query) -> None:
    node = query.node
    if node is None or not node.distinctClause or not node.distinctClause[0].kind:
        return
    keys = list(node.distinctClause)
    if all(_is_among(output, keys) for output in query.outputs) and not query.is_open:
        return
    if len(query.relations) == 1 and _is_unique(query.relations[0], {name for key in keys for name in _names(key)}):
        return
    rest = [key for key in query.sort if not _is_among(key, keys)]
    if not rest:
        source.report("distinct-on-order", keys[0], "any row of each key may be kept: nothing else orders them")
        return
    missing = _missing(query, [*keys, *query.sort])
    if missing:
        source.report("distinct-on-order", rest[-1] if isinstance(rest[-1], Node) else keys[0],
                      f"rows that are equal so far are kept by chance: {missing} would tell them apart")  # fmt: skip


def _is_unique(relation: Relation, names: set[str]) -> bool:
    """Return whether no two rows of a relation are equal in these columns: they hold a key, or all it is grouped by."""
    if any(key <= names for key in relation.keys):
        return True
    query = relation.query or (relation.part.query if relation.part is not None and not relation.part.writes else None)
    if query is None or query.node is None or not query.node.groupClause or query.is_open:
        return False
    texts = [conditions.render(output) for output in query.outputs]
    for item in query.node.groupClause:
        number = sqltree.constant(item) if item.kind == "A_Const" else None
        text = conditions.render(item)
        places = [int(number) - 1] if number else [place for place, other in enumerate(texts) if other == text]
        if item.kind == "GroupingSet" or not any(relation.outputs[place].name in names for place in places):
            return False
    return True


def _limit(source: Source, query: Query, parts: list[Part]) -> None:
    node = query.node
    if node is None or node.limitOption == "LIMIT_OPTION_WITH_TIES":
        return
    limit = node.limitCount
    if limit is None and node.limitOffset is None:
        return
    if limit is not None and (sqltree.constant(limit) == "0" or (limit.kind == "A_Const" and limit.isnull)):
        return
    if limit is not None and not _matters(query, parts):
        return
    fixed = _fixed(query)
    if query.relations and all(_is_single(relation, fixed, query) for relation in query.relations):
        return
    place = limit if limit is not None else node.limitOffset
    if not query.sort:
        if node.groupClause is None and _is_aggregate(query):
            return
        source.report("limit-order", place, "which rows are kept is left to chance: nothing orders them")
        return
    missing = _missing(query, query.sort, only_times=True)
    if missing:
        source.report(
            "limit-order", place, f"rows that are equal so far are kept by chance: {missing} would tell them apart"
        )


def _matters(query: Query, parts: list[Part]) -> bool:
    """Return whether it makes a difference which rows are kept: not where all are alike, or only asked for."""
    if any(link.meaning is query and link.subLinkType == "EXISTS_SUBLINK" for part in parts for link in part.sublinks):
        return False
    if query.is_open or query.arms:
        return True
    return any(
        isinstance(leaf, Column) or leaf.kind != "A_Const" for output in query.outputs for leaf in leaves(output)
    )


def _is_aggregate(query: Query) -> bool:
    names = ("count", "sum", "max", "min", "avg", "bool_or", "bool_and", *LISTS)
    return any(
        isinstance(source, Node) and sqltree.function(source) in names and source.over is None
        for output in query.outputs
        for source in output.sources
    )


def _window(source: Source, call: Node, query: Query) -> None:
    name = sqltree.function(call)
    window = call.over
    if name not in _ORDERED_CALLS:
        return
    if window.name and query.node is not None:
        window = next((w for w in query.node.windowClause or () if w.name == window.name), window)
    order = [item.node for item in window.orderClause or ()]
    if window.refname and not order:
        return
    partition = list(window.partitionClause or ())
    if not order:
        source.report("window-order", call, f"{name} goes by the order of the plan: nothing orders its rows")
        return
    missing = _missing(query, [*partition, *order])
    if missing:
        source.report(
            "window-order", call, f"rows that are equal so far are numbered by chance: {missing} would tell them apart"
        )


def _missing(query: Query, keys: Iterable[Node | Column], *, only_times: bool = False) -> str:
    """Return what an order lacks to be total; empty where it is, or where that is not known.

    With `only_times` an order is doubted only where it ends in a time, which two rows may well share.
    """
    if query.arms:
        return ""
    keys = list(keys)
    names = {name for key in keys for name in _names(key)}
    available = set().union(*(relation.columns for relation in query.relations)) if query.relations else set()
    if all(name in available for name in _FILE_ORDER):
        lacking = [name for name in _FILE_ORDER if name not in names]
        if not lacking:
            return ""
        if not _is_total(query, names):
            return " and ".join(f"'{name}'" for name in lacking)
        return ""
    if any(not relation.keys for relation in query.relations) or not query.relations:
        return ""
    if only_times and not _ends_in_time(keys[-1], query):
        return ""
    if _is_total(query, names):
        return ""
    lacking = sorted(min(query.relations[0].keys, key=len) - names)
    return " and ".join(f"'{name}'" for name in lacking)


def _ends_in_time(key: Node | Column, query: Query) -> bool:
    for leaf in leaves(key):
        if isinstance(leaf, Column) and leaf.table is not None and leaf.table.columns.get(leaf.name) in _TIMES:
            return True
    return False


def _is_total(query: Query, names: set[str]) -> bool:
    determined = names | _fixed(query)
    return all(
        any(key <= determined for key in relation.keys) for relation in query.relations if not relation.is_nullable
    ) and bool(query.relations)


def _is_single(relation: Relation, fixed: set[str], query: Query) -> bool:
    """Return whether a relation has at most one row, because a key of it is given."""
    if relation.is_nullable and len(query.relations) > 1:
        return any(key <= fixed for key in relation.keys)
    return any(key <= fixed for key in relation.keys)


def _fixed(query: Query) -> set[str]:
    """Return the columns that a condition sets equal to something that is the same for all rows of the query."""
    found: set[str] = set()
    for condition in query.conditions:
        for node in conditions.conjuncts(condition):
            if node.kind != "A_Expr" or conditions.operator(node) != "=":
                continue
            for one, other in ((node.lexpr, node.rexpr), (node.rexpr, node.lexpr)):
                if one is not None and one.kind == "ColumnRef" and one.owner is query and _is_given(other, query):
                    found.add(str(one.fields[-1]))
    return found


def _is_given(node: Node | None, query: Query) -> bool:
    """Return whether an expression names nothing of the query's own relations."""
    if node is None:
        return False
    for inner in sqltree.walk(node):
        if inner.kind == "ColumnRef" and inner.owner is query and _is_own(inner, query):
            return False
    return True


def _is_own(reference: Node, query: Query) -> bool:
    if isinstance(reference.meaning, Column):
        return any(column is reference.meaning for relation in query.relations for column in relation.columns.values())
    return True


def _names(key: Node | Column, seen: set[int] | None = None) -> set[str]:
    """Return the names of the columns that an order or partition goes by."""
    seen = set() if seen is None else seen
    if id(key) in seen:
        return set()
    seen.add(id(key))
    if isinstance(key, Column):
        return {key.name, *(name for source in key.sources for name in _names(source, seen))}
    if key.kind == "ColumnRef":
        own = {key.fields[-1]} if isinstance(key.fields[-1], str) else set()
        return own | (_names(key.meaning, seen) if isinstance(key.meaning, Column) else set())
    if key.kind in ("CollateClause", "TypeCast"):
        return _names(key.arg, seen)
    if key.kind == "RowExpr":
        return {name for argument in key.args or () for name in _names(argument, seen)}
    return set()


def _is_among(key: Node | Column, keys: Iterable[Node]) -> bool:
    text = conditions.render(key)
    return any(conditions.render(other) == text for other in keys)
