"""What holds for the rows of a part, by the ways on which they come, and whether two parts share rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runner import sqltree
from runner.lint.conditions import asked, operator, render
from runner.lint.model import Part, Query, Relation, closure
from runner.sqltree import Node

_Answer = tuple[str, bool, str]
_MOST_PATHS = 32


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


def _paths(part: Part) -> list[_Path]:
    """Return the ways on which rows come into a part; worked out once."""
    if part.paths is not None:
        return part.paths
    paths = _query_paths(part.query) if part.query is not None else [_Path(set(), set())]
    own = _facts(part.guards)
    if part.kind in ("insert", "upsert"):
        # A row that is inserted has these values: as good as a condition.
        for name, value in part.values.items():
            text = render(value)
            if text:
                own.answers.add((_equation(name, text), True, ""))
    part.paths = [path | own for path in paths]
    return part.paths


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
            value = sqltree.constant(node.rexpr)
            if value is not None:
                yield left, is_true, value
            yield _equation(left, right), is_true, ""
            return
    text = render(node)
    if text:
        yield text, is_true, ""


def _equation(left: str, right: str) -> str:
    return " = ".join(sorted((left, right)))


def absences(part: Part) -> set[str]:
    """Return what rows of a part must not be in, whichever way they come."""
    return set.intersection(*(path.absences for path in _paths(part)))


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
