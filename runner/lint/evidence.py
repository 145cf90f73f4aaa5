"""What conditions prove: that a change is a difference, that a record is newer, that two parts touch other rows.

Conditions are looked at wherever they stand on a row's way: in the part that writes and in all
parts that it takes rows from. A proof that is not recognised must not become an error lightly, so
these take what looks like one for one.
"""

from __future__ import annotations

import re

from runner import sqltree
from runner.lint.conditions import asked, operator, unfolded
from runner.lint.model import Column, Part, Query, Relation, closure, function, leaves
from runner.lint.paths import absences
from runner.sqltree import Node

_DIFFERENT = ("<>", "!=", "<", ">")
_ORDERED = ("<", ">", "<=", ">=")

VERSION = re.compile(
    r"(last_?)?(updated|modified|changed|update|modification)(_?(at|on|time|date|ts|timestamp|key))?"
    r"|version(_\w+)?|\w+_version|revision|sequence_number|lsn"
)
"""Names of columns by which two records of one key are told apart by age."""

CLOCKS = frozenset(
    {"now", "transaction_timestamp", "statement_timestamp", "clock_timestamp", "timeofday"}
    | {"current_timestamp", "current_timestamp_n", "current_date", "current_time", "current_time_n"}
    | {"localtimestamp", "localtimestamp_n", "localtime", "localtime_n"}
)


def differs(part: Part) -> bool:
    """Return whether something on the way to the write looks for a difference from the target."""
    for other in closure(part):
        if _negated_equality(other, part):
            return True
        for node in other.comparisons:
            sign = operator(node)
            if sign == "is distinct from" or sign in _DIFFERENT:
                own = other is part and any(_within(node, guard) for guard in part.guards)
                if own or mentions(node, part.target, part):
                    return True
        if part.target in absences(other):
            return True
    return False


def _negated_equality(other: Part, part: Part) -> bool:
    for node in other.negations:
        inner, is_true = unfolded(node)
        if inner.kind == "A_Expr" and not is_true and operator(inner) in ("=", "is not distinct from"):
            own = other is part and any(_within(node, guard) for guard in part.guards)
            if own or mentions(inner, part.target, part):
                return True
    return False


def mentions(thing: Node | Column | None, target: str, part: Part) -> set[str]:
    """Return the columns of the table `target` that a value comes from, directly or through other parts."""
    found = set()
    for leaf in leaves(thing):
        if isinstance(leaf, Column):
            if leaf.table is not None and leaf.table.name == target:
                found.add(leaf.name)
        elif isinstance(leaf.meaning, Relation):
            if leaf.meaning.table is not None and leaf.meaning.table.name == target:
                found |= {"*", *leaf.meaning.columns}
        elif leaf.kind == "ColumnRef" and len(leaf.fields) > 1 and isinstance(leaf.fields[-1], str):
            # A table that no schema file makes: its alias is all that is known.
            alias = part.target_relation.alias if part.target_relation is not None else target
            if leaf.fields[-2] in (alias, target):
                found.add(leaf.fields[-1])
    return found


def _within(node: Node, outer: Node) -> bool:
    return any(inner is node for inner in sqltree.walk(outer))


def version_columns(part: Part) -> set[str]:
    """Return the columns of the target that the part writes and that say how new a record is."""
    return {
        name
        for name, value in part.values.items()
        if VERSION.fullmatch(name) and name in (part.updates or part.values) and not is_clock(value)
    }


def day_columns(part: Part) -> set[str]:
    """Return the columns that an upsert sets to the day of the data, whatever they are called; none where it is a key.

    A key of the day, or rows found by it, are other rows on another day.
    """
    days = {name for name, value in part.updates.items() if _is_day(value) and _is_day(part.values.get(name))}
    clause = part.node.onConflictClause
    keys = {element.name for element in (clause.infer.indexElems or ())} if clause and clause.infer else set()
    for node in part.comparisons:
        asks_for_same = operator(node) in ("=", "is not distinct from")
        if asks_for_same and not any(_within(node, guard) for guard in part.guards):
            keys |= mentions(node, part.target, part)
    return set() if days & keys else days


def _is_day(value: Node | Column | None) -> bool:
    """Return whether a value is the day that is applied: the setting, or the column `day` of a staging table."""
    found = [leaf for leaf in leaves(value) if not (isinstance(leaf, Node) and leaf.kind == "A_Const")]
    return bool(found) and all(
        (leaf.table is not None and leaf.table.name.startswith("stg_") and leaf.name == "day")
        if isinstance(leaf, Column)
        else sqltree.function(leaf) == "current_setting"
        and bool(leaf.args)
        and sqltree.constant(leaf.args[0]) == "app.day"
        for leaf in found
    )


def is_staged(value: Node | Column) -> bool:
    """Return whether a value comes from staging tables alone: from the records of the day."""
    found = [leaf for leaf in leaves(value) if isinstance(leaf, Column)]
    return bool(found) and all(leaf.table is not None and leaf.table.name.startswith("stg_") for leaf in found)


def is_clock(value: Node | Column) -> bool:
    """Return whether a value is the time of the run: a technical column, not a version."""
    found = list(leaves(value))
    return (
        bool(found)
        and all(
            isinstance(leaf, Node)
            and leaf.kind in ("FuncCall", "SQLValueFunction", "A_Const", "SetToDefault", "TypeCast")
            for leaf in found
        )
        and any(isinstance(leaf, Node) and function(leaf) in CLOCKS for leaf in found)
    )


def is_recent(part: Part, versions: set[str]) -> bool:
    """Return whether something on the way to the write compares one of the version columns by order."""
    for other in closure(part):
        for node in other.comparisons:
            if operator(node) in _ORDERED and mentions(node, part.target, part) & versions:
                return True
        for node in other.sublinks:
            # … > all (select updated_at from target)
            asks = bool(node.operName) and node.operName[-1] in _ORDERED
            outputs = node.meaning.outputs if asks and isinstance(node.meaning, Query) else ()
            if any(mentions(column, part.target, part) & versions for column in outputs):
                return True
        if part.target in absences(other) and not part.updates:
            return True
    return False


def keeps_version(part: Part, versions: set[str]) -> bool:
    """Return whether an update is only of rows that have no version yet, or the same one."""
    for condition in part.query.conditions if part.query is not None else ():
        for node, is_true in asked(condition):
            is_null = node.kind == "NullTest" and is_true == (node.nulltesttype == "IS_NULL")
            is_same = node.kind == "A_Expr" and is_true and operator(node) in ("=", "is not distinct from")
            if (is_null or is_same) and mentions(node, part.target, part) & versions:
                return True
    return False
