"""What conditions prove: that a change is a difference, that a record is newer, that two parts touch other rows.

Conditions are looked at wherever they stand on a row's way: in the part that writes and in all
parts that it takes rows from. A proof that is not recognised must not become an error lightly, so
these take what looks like one for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runner import sqlnodes
from runner.lint.model import Column, Part, Query, Relation, closure, leaves
from runner.sqlnodes import Node

_DIFFERENT = ("<>", "!=", "<", ">")
_ORDERED = ("<", ">", "<=", ">=")

VERSION = re.compile(
    r"(last_?)?(updated|modified|changed|update|modification)(_?(at|on|time|date|ts|timestamp|key))?"
    r"|version(_\w+)?|\w+_version|revision|sequence_number|lsn"
)
"""Names of columns by which two records of one key are told apart by age."""


def operator(node: Node) -> str:
    """Return what a comparison asks: `<>`, `is distinct from`, `=` …"""
    kind = node["kind"]
    if kind == "AEXPR_DISTINCT":
        return "is distinct from"
    if kind == "AEXPR_NOT_DISTINCT":
        return "is not distinct from"
    name = node.name[-1] if node.name else ""
    return str(name) if kind == "AEXPR_OP" else ""


def mentions(thing: Node | Column | None, target: str, part: Part) -> set[str]:
    """Return the columns of the table `target` that a value comes from, directly or through other parts."""
    found = set()
    for leaf in leaves(thing):
        if isinstance(leaf, Column):
            if leaf.table is not None and leaf.table.name == target:
                found.add(leaf.name)
        elif leaf.kind == "ColumnRef" and len(leaf.fields) > 1 and isinstance(leaf.fields[-1], str):
            # A table that no schema file makes: its alias is all that is known.
            alias = part.target_relation.alias if part.target_relation is not None else target
            if leaf.fields[-2] in (alias, target):
                found.add(leaf.fields[-1])
    return found


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


def _within(node: Node, outer: Node) -> bool:
    return any(inner is node for inner in sqlnodes.walk(outer))


def version_columns(part: Part) -> set[str]:
    """Return the columns of the target that the part writes and that say how new a record is."""
    return {
        name
        for name, value in part.values.items()
        if VERSION.fullmatch(name) and name in (part.updates or part.values) and not is_clock(value)
    }


def is_clock(value: Node | Column) -> bool:
    """Return whether a value is the time of the run: a technical column, not a version."""
    found = list(leaves(value))
    return (
        bool(found)
        and all(
            isinstance(leaf, Node) and leaf.kind in ("FuncCall", "SQLValueFunction", "A_Const", "SetToDefault")
            for leaf in found
        )
        and any(isinstance(leaf, Node) and sqlnodes.function(leaf) in CLOCKS for leaf in found)
    )


CLOCKS = frozenset(
    {"now", "transaction_timestamp", "statement_timestamp", "clock_timestamp", "timeofday"}
    | {"current_timestamp", "current_timestamp_n", "current_date", "current_time", "current_time_n"}
    | {"localtimestamp", "localtimestamp_n", "localtime", "localtime_n"}
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


# Parts that touch other rows


@dataclass
class _Path:
    """What holds for rows that come one way; those of a union come two ways.

    `absences` are the names of what a row must not be in (`not exists`, `not in`, `except`,
    `… is null`): tables by their names, parts and temporary tables as `part:ID`. `answers` are
    what is asked, whether it is to be so, and the constant it is to be equal to.
    """

    absences: set[str]
    answers: set[_Answer]

    def __or__(self, other: _Path) -> _Path:
        return _Path(self.absences | other.absences, self.answers | other.answers)


_Answer = tuple[str, bool, str]
_MOST_PATHS = 32


def _paths(part: Part) -> list[_Path]:
    """Return the ways on which rows come into a part."""
    paths = _query_paths(part.query) if part.query is not None else [_Path(set(), set())]
    own = _facts(part.guards)
    if part.kind in ("insert", "upsert"):
        # A row that is inserted has these values: as good as a condition.
        for name, value in part.values.items():
            text = render(value)
            if text:
                own.answers.add((_equation(name, text), True, ""))
    return [path | own for path in paths]


def _query_paths(query: Query) -> list[_Path]:
    if query.arms and query.node is not None:
        left, right = query.arms
        if query.node.op == "SETOP_UNION":
            return [*_query_paths(left), *_query_paths(right)][:_MOST_PATHS]
        if query.node.op == "SETOP_EXCEPT":
            return [path | _Path(_origins(right), set()) for path in _query_paths(left)]
        return _query_paths(left)
    paths = [_facts(query.conditions)]
    for relation in query.relations:
        if relation.query is not None:
            inner = _query_paths(relation.query)
            paths = [path | more for path in paths for more in inner][:_MOST_PATHS]
    return paths


def _facts(conditions: Iterable[Node]) -> _Path:
    found = _Path(set(), set())
    for condition in conditions:
        for node, is_true in asked(condition):
            if node.kind == "NullTest" and is_true == (node.nulltesttype != "IS_NOT_NULL"):
                found.absences |= _null_side(node)
            elif node.kind == "SubLink" and isinstance(node.meaning, Query):
                excludes = node.subLinkType == "ALL_SUBLINK" if is_true else node.subLinkType != "ALL_SUBLINK"
                found.absences |= _origins(node.meaning) if excludes else set()
            found.answers.update(_answers(node, is_true))
    return found


def absences(part: Part) -> set[str]:
    """Return what rows of a part must not be in, whichever way they come."""
    return set.intersection(*(path.absences for path in _paths(part)))


def asked(condition: Node, is_true: bool = True) -> Iterator[tuple[Node, bool]]:
    """Return what a condition asks, and how: the whole, and each side of an `and`, but none of an `or`."""
    node, same = unfolded(condition)
    is_true = is_true == same
    yield node, is_true
    if node.kind == "BoolExpr" and (node.boolop == "AND_EXPR") == is_true:
        for argument in node.args:
            yield from asked(argument, is_true)


def _null_side(node: Node) -> set[str]:
    arg = node.arg
    if arg is None or arg.kind != "ColumnRef" or arg.owner is None or len(arg.fields) < 2:
        return set()
    for relation in arg.owner.relations:
        if relation.alias == arg.fields[-2] and relation.is_nullable:
            return _names(relation)
    return set()


def _names(relation: Relation) -> set[str]:
    found = set()
    if relation.table is not None:
        found.add(relation.table.name)
    if relation.part is not None:
        found.add(f"part:{id(relation.part)}")
    if relation.query is not None:
        found |= _origins(relation.query)
    if relation.table is None and relation.part is None and relation.query is None and relation.alias:
        found.add(relation.alias)
    return found


def _origins(query: Query) -> set[str]:
    found: set[str] = set()
    for arm in query.arms:
        found |= _origins(arm)
    for relation in query.relations:
        found |= _names(relation)
    return found


def are_apart(one: Part, other: Part) -> bool:
    """Return whether something tells the rows of two writing parts apart, whichever way they come."""
    first, second = closure(one), closure(other)
    mine, theirs = _with_others(one, first - second), _with_others(other, second - first)
    from_mine, from_theirs = _material(first, one.target), _material(second, one.target)
    return all(
        bool(path.absences & from_theirs or their.absences & from_mine) or _contradict(path.answers, their.answers)
        for path in mine
        for their in theirs
    )


def _with_others(part: Part, parts: set[Part]) -> list[_Path]:
    """Return the paths of a part, with what holds in the parts that only it takes rows from."""
    shared = _Path(set(), set())
    for other in parts - {part}:
        for path in _paths(other):
            shared |= path
    return [path | shared for path in _paths(part)]


def _material(parts: set[Part], target: str) -> set[str]:
    """Return what rows are made from; what is in the target already counts for every part."""
    return {f"part:{id(part)}" for part in parts} | {name for part in parts for name in part.reads} | {target}


def _contradict(mine: set[_Answer], theirs: set[_Answer]) -> bool:
    """Return whether one of the answers is the opposite of one of the others."""
    by_key: dict[str, list[tuple[bool, str]]] = {}
    for key, is_true, value in theirs:
        by_key.setdefault(key, []).append((is_true, value))
    for key, is_true, value in mine:
        for their_truth, their_value in by_key.get(key, ()):
            if is_true != their_truth and value == their_value:
                return True
            if is_true and their_truth and value and their_value and value != their_value:
                return True
    return False


def conjuncts(node: Node) -> Iterator[Node]:
    if node.kind == "BoolExpr" and node.boolop == "AND_EXPR":
        for argument in node.args:
            yield from conjuncts(argument)
    else:
        yield node


def _answers(node: Node, is_true: bool) -> Iterator[_Answer]:
    if node.kind == "NullTest":
        yield f"{render(node.arg)} is null", is_true == (node.nulltesttype != "IS_NOT_NULL"), ""
        return
    if node.kind == "A_Expr":
        sign = operator(node)
        if sign in ("<>", "!=", "is distinct from"):
            sign, is_true = "=", not is_true
        if sign in ("=", "is not distinct from"):
            left, right = render(node.lexpr), render(node.rexpr)
            value = sqlnodes.constant(node.rexpr)
            if value is not None:
                yield left, is_true, value
            yield _equation(left, right), is_true, ""
            return
    text = render(node)
    if text:
        yield text, is_true, ""


def unfolded(node: Node) -> tuple[Node, bool]:
    """Return what a condition asks when stand-ins are expanded and `not` is taken off, and whether it is to be true."""
    is_true = True
    node = expanded(node)
    while True:
        if node.kind == "BoolExpr" and node.boolop == "NOT_EXPR":
            node, is_true = expanded(node.args[0]), not is_true
        elif node.kind == "BooleanTest" and node.booltesttype in ("IS_FALSE", "IS_NOT_TRUE", "IS_TRUE", "IS_NOT_FALSE"):
            is_true = is_true == (node.booltesttype in ("IS_TRUE", "IS_NOT_FALSE"))
            node = expanded(node.arg)
        else:
            return node, is_true


def _equation(left: str, right: str) -> str:
    return " = ".join(sorted((left, right)))


def expanded(node: Node) -> Node:
    """Return the expression that a column stands for, where it is only one."""
    for _ in range(20):
        if node.kind == "ColumnRef" and isinstance(node.meaning, Column):
            source = _single(node.meaning)
        elif node.kind == "SubLink" and isinstance(node.meaning, Query) and not node.meaning.relations:
            outputs = node.meaning.outputs
            source = _single(outputs[0]) if node.subLinkType == "EXPR_SUBLINK" and len(outputs) == 1 else None
        elif node.kind == "TypeCast":
            source = node.arg
        else:
            source = None
        if source is None:
            return node
        node = source
    return node


def _single(column: Column) -> Node | None:
    """Return the one expression that makes a column."""
    for _ in range(20):
        if len(column.sources) != 1:
            return None
        source = column.sources[0]
        if isinstance(source, Node):
            return source
        column = source
    return None


def render(thing: Node | Column | None, depth: int = 0) -> str:
    """Return an expression as text by which two can be compared: columns by their names, stand-ins expanded."""
    if thing is None or depth > 30:
        return ""
    if isinstance(thing, Column):
        single = _single(thing)
        return render(single, depth + 1) if single is not None else thing.name
    node = expanded(thing)
    if node.kind == "ColumnRef":
        name = node.fields[-1]
        return str(name) if isinstance(name, str) else "*"
    if node.kind == "A_Const":
        return repr(sqlnodes.constant(node))
    parts = [node.kind, operator(node) if node.kind == "A_Expr" else sqlnodes.function(node)]
    parts += [str(value) for value in (node.boolop, node.nulltesttype) if value]
    for child in sqlnodes.inner(node):
        parts.append(render(child, depth + 1))
    return f"({' '.join(part for part in parts if part)})"
