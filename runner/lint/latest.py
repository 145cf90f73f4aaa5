"""Snapshots: whether a day is taken only where no later one was applied. Then the day is the whole truth.

Such a step keeps the days that it took in a table of its own (or in a column of its rows), and asks that
table as a whole: `not exists (select from item_days where day_key > …)`. A comparison row by row is none:
a late record in a later day still overwrites a newer one.
"""

from __future__ import annotations

from runner import sqltree
from runner.lint.conditions import asked, expanded, operator
from runner.lint.model import Column, Part, Query, closure, leaves
from runner.sqltree import Node

_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_SAME = ("=", "is not distinct from")


def is_latest(part: Part) -> bool:
    """Return whether something on the way to the write asks that no later day was applied."""
    return any(
        _asks(condition)
        for other in closure(part)
        for condition in [*other.guards, *(each for query in other.queries for each in query.conditions)]
    )


def _asks(condition: Node, is_true: bool = True) -> bool:
    return any(_asks_one(node, holds) for node, holds in asked(condition, is_true))


def _asks_one(node: Node, is_true: bool) -> bool:
    if node.kind == "BoolExpr":
        # Without any day yet there is no latest: `latest is null or latest <= …`.
        is_either = (node.boolop == "OR_EXPR") == is_true
        arms = [arm for arm in node.args if expanded(arm).kind != "NullTest"]
        return is_either and bool(arms) and all(_asks(arm, is_true) for arm in arms)
    if node.kind == "CoalesceExpr":
        return _asks(node.args[0], is_true)
    if node.kind == "SubLink" and isinstance(node.meaning, Query):
        return _asks_rows(node, node.meaning, is_true)
    if node.kind != "A_Expr":
        return False
    sign, left, right = operator(node), node.lexpr, node.rexpr
    if sign in _SAME and is_true and sqltree.constant(right) == "0":
        counted = expanded(left)
        return isinstance(counted.meaning, Query) and _calls(counted, "count") and _has_later(counted.meaning)
    if sign in _OPPOSITE and not is_true:
        sign, is_true = _OPPOSITE[sign], True
    if _is_day(left):
        sign, left, right = _MIRRORED.get(sign, sign), right, left
    return is_true and sign in ("<", "<=", *_SAME) and _is_day(right) and _is_last_of_all(left)


def _asks_rows(node: Node, query: Query, is_true: bool) -> bool:
    kind = node.subLinkType
    if kind == "EXISTS_SUBLINK":
        return not is_true and _has_later(query)
    if kind == "EXPR_SUBLINK":
        # (select is_latest from context)
        targets: list[Node] = (query.node.targetList if query.node is not None else None) or []
        return len(targets) == 1 and _asks(targets[0].val, is_true)
    # … >= all (select day_key from item_days)
    signs = (">", ">=") if kind == "ALL_SUBLINK" else ("<", "<=")
    sign = node.operName[-1] if node.operName else ""
    return (
        is_true == (kind == "ALL_SUBLINK")
        and sign in signs
        and _is_day(node.testexpr)
        and _is_alone(query)
        and any(_is_stored(output) for output in query.outputs)
    )


def _has_later(query: Query) -> bool:
    """Return whether a query is for the days after the one that is applied."""
    for condition in query.conditions if _is_alone(query) else ():
        for node, is_true in asked(condition):
            sign = operator(node) if node.kind == "A_Expr" else ""
            if sign not in _OPPOSITE:
                continue
            sign, stored, day = sign if is_true else _OPPOSITE[sign], node.lexpr, node.rexpr
            if _is_day(stored):
                sign, stored, day = _MIRRORED[sign], day, stored
            if sign in (">", ">=") and _is_day(day) and _is_stored(stored):
                return True
    return False


def _is_last_of_all(value: Node) -> bool:
    """Return whether a value is the greatest that a table has, and not that of a row or of some rows."""
    inner = [node.meaning for node in sqltree.walk(expanded(value)) if node.kind == "SubLink"]
    if not _is_stored(value) or not all(isinstance(query, Query) and _is_alone(query) for query in inner):
        return False
    return _calls(value, "max") or any(query.node is not None and query.node.limitCount is not None for query in inner)


def _calls(value: Node, name: str) -> bool:
    return any(isinstance(leaf, Node) and sqltree.function(leaf) == name for leaf in leaves(value))


def _is_alone(query: Query) -> bool:
    """Return whether a subquery is the same for every row: it names nothing outside but the day."""
    own = {id(column) for relation in query.relations for column in relation.outputs}
    return all(
        node.meaning is None or id(node.meaning) in own or _is_day(node)
        for condition in query.conditions
        for node in sqltree.walk(condition)
        if node.kind == "ColumnRef"
    )


def _is_day(value: Node | None) -> bool:
    """Return whether a value is made of the day that is applied, and of nothing else: `day_order(…)` of it, too."""
    is_found = False
    for leaf in leaves(value):
        if isinstance(leaf, Column):
            if leaf.name != "day" or leaf.table is None or not leaf.table.name.startswith("stg_"):
                return False
            is_found = True
        elif leaf.kind not in ("FuncCall", "A_Const", "TypeCast"):
            return False
        elif sqltree.function(leaf) == "current_setting" and leaf.args:
            is_found |= sqltree.constant(leaf.args[0]) == "app.day"
    return is_found


def _is_stored(value: Node | Column) -> bool:
    """Return whether a value comes from tables that are no staging; one that is not known is taken for such."""
    found = [leaf for leaf in leaves(value) if isinstance(leaf, Column) or leaf.kind == "ColumnRef"]
    return bool(found) and all(
        isinstance(leaf, Node) or (leaf.table is not None and not leaf.table.name.startswith("stg_")) for leaf in found
    )
