"""Divisions, arithmetic, calls, subqueries and branches in a fragment: what can fail in an expression. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

from runner.places.fault import Fault
from runner.places.fragment import Fragment, Token

Finder = Callable[[Fragment, Fault], list[int]]
"""Returns the offsets, in its file, of what in a fragment can have raised an error."""


def calls(names: str, signs: str = "") -> Finder:
    """Find calls of functions (and other words that tell), and operators, both separated by blanks."""
    words, wanted = set(names.split()), set(signs.split())

    def finder(fragment: Fragment, _: Fault) -> list[int]:
        return sorted(
            [token.offset for token in fragment.tokens if token.kind == "word" and token.text in words]
            + [offset for sign, offset, _ in operators(fragment) if sign in wanted]
        )

    return finder


def operators(fragment: Fragment) -> Iterator[tuple[str, int, int]]:
    """Yield each operator as a whole, its offset, and the index of the token behind it."""
    tokens = fragment.tokens
    index = 0
    while index < len(tokens):
        last = index
        while tokens[index].kind == "other" and last + 1 < len(tokens) and _joined(tokens[last], tokens[last + 1]):
            last += 1
        if tokens[index].kind == "other":
            sign = "".join(token.text for token in tokens[index : last + 1])
            yield sign, tokens[index].offset, last + 1
        index = last + 1


def _joined(token: Token, following: Token) -> bool:
    # A sign in front of a number (`1 /-x`) is an operator of its own: none but these ends in one.
    signs = "+-*/<>=~!@#%^&|`?:"
    adjacent = following.kind == "other" and following.offset == token.stop and following.text in signs
    return adjacent and (following.text not in "+-" or token.text in "<>@~!#%^&|`?-")


def divisions(fragment: Fragment, _: Fault) -> list[int]:
    """Return where something is divided by what can be zero; by what is zero for certain, where there is such."""
    tokens = fragment.tokens
    found = [(offset, tokens[after:]) for sign, offset, after in operators(fragment) if sign in ("/", "%")]
    for index, token in enumerate(tokens[:-1]):
        if token.text in ("mod", "div") and tokens[index + 1].text == "(":
            found.append((token.offset, _second_argument(tokens[index + 1 :])))
    zeros = [offset for offset, divisor in found if _constant(divisor) == 0]
    if zeros:
        return sorted(zeros)
    return sorted(offset for offset, divisor in found if _constant(divisor) is None and not _is_guarded(divisor))


def _second_argument(tokens: list[Token]) -> list[Token]:
    for index, token in enumerate(tokens):
        if token.text == "," and token.depth == tokens[0].depth + 1:
            return tokens[index + 1 :]
    return []


def _constant(tokens: list[Token]) -> float | None:
    """Return the number that an operand is; None where it is none."""
    start = next((i for i, token in enumerate(tokens) if token.text not in ("(", "+", "-")), len(tokens))
    opened = sum(token.text == "(" for token in tokens[:start])
    closing = tokens[start + 1 : start + 1 + opened]
    if start == len(tokens) or len(closing) < opened or any(token.text != ")" for token in closing):
        return None
    try:
        return float(tokens[start].text.strip("'"))
    except ValueError:
        return None


def _is_guarded(tokens: list[Token]) -> bool:
    """Tell whether an operand is `nullif(…, 0)` or `greatest(…, 1)`, which are never zero (nor is null)."""
    words = [token for token in tokens[:3] if token.text != "("]
    if not words or words[0].text not in ("nullif", "greatest"):
        return False
    opening = next((token for token in tokens if token.text == "(" and token.offset > words[0].offset), None)
    if opening is None:
        return False
    inside = [token for token in tokens if token.offset > opening.offset]
    stop = next((i for i, token in enumerate(inside) if token.depth == opening.depth), len(inside))
    last = inside[stop - 1]
    if last.kind != "number" or inside[stop - 2].text != ",":
        return False
    return (float(last.text) == 0) == (words[0].text == "nullif")


def arithmetic(fragment: Fragment, type_name: str) -> list[int]:
    """Return where whole numbers are added, subtracted and multiplied; those that change little only without others."""
    tokens = fragment.tokens
    found: list[int] = []
    small: list[int] = []
    for sign, offset, after in operators(fragment):
        before = tokens[after - len(sign) - 1] if after > len(sign) else None
        if sign not in ("+", "-", "*", "^") or before is None or after >= len(tokens):
            continue
        counted = sign == "*" and before.text in ("select", "(", ".", ",")
        binary = before.kind in ("word", "quoted", "number", "string", "close")
        if counted or not binary or tokens[after].text in (")", ",", "from"):
            continue
        numbers = [abs(value) for token in (before, tokens[after]) if (value := _constant([token])) is not None]
        if any(value != int(value) or value > _LARGEST.get(type_name, value) for value in numbers):
            continue  # what has such an operand is of another type
        (small if any(value < 1000 for value in numbers) else found).append(offset)
    return found or small


_LARGEST = {"smallint": 2**31 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


def subqueries(fragment: Fragment, _: Fault) -> list[int]:
    """Return the opening parentheses of subqueries that stand for one value; of those that can have several rows."""
    clauses: dict[int, str] = {}
    found: list[int] = []
    tokens = fragment.tokens
    for index, token in enumerate(tokens[:-1]):
        if token.kind == "word" and _CLAUSES.fullmatch(token.text):
            clauses[token.depth] = token.text
        if token.text != "(":
            continue
        before = tokens[index - 1] if index else None
        word = before.text if before is not None else ""
        clause = clauses.get(token.depth, "")
        is_call = before is not None and before.kind in ("word", "quoted") and not _NO_CALL.fullmatch(word)
        clauses[token.depth + 1] = "call" if is_call else clause
        begins = tokens[index + 1].text in ("select", "with", "values")
        is_value = clause not in _ROWS or word in _SIGNS or is_call
        if begins and is_value and not _BEFORE_ROWS.fullmatch(word):
            found.append(index)
    many = [index for index in found if not _is_one_row(tokens, index)]
    return [tokens[index].offset for index in many or found]


def _is_one_row(tokens: list[Token], opening: int) -> bool:
    """Tell whether a subquery has one row at most: it aggregates all rows, takes the first, or reads no table."""
    depth = tokens[opening].depth
    inside = []
    for token in tokens[opening + 1 :]:
        if token.depth == depth:
            break
        if token.depth == depth + 1:
            inside.append(token.text)
    aggregates = len(inside) > 1 and _AGGREGATE.fullmatch(inside[1]) is not None and "group" not in inside
    first = any(pair == ("limit", "1") for pair in itertools.pairwise(inside))
    return aggregates or first or "from" not in inside


def otherwise(fragment: Fragment, offset: int) -> int:
    """Return the value behind `else` where the server names the only one behind `then`, which it compares with it."""
    cases: list[list[Token]] = []
    for index, token in enumerate(fragment.tokens):
        if token.kind != "word":
            continue
        if token.text == "case":
            cases.append([])
        elif cases and token.text in ("then", "else"):
            cases[-1] += fragment.tokens[index + 1 : index + 2]
        elif cases and token.text == "end":
            values = [value.offset for value in cases.pop()]
            if len(values) == 2 and values[0] == offset:
                return values[1]
    return offset


_CLAUSES = re.compile(
    "select|from|join|on|where|group|having|order|limit|offset|set|values|returning|using|when|then|else|with|union|"
    "return|if|while"
)
# Where a subquery is a table.
_ROWS = ("from", "join", "using", "with", "union", "")
_SIGNS = ("=", ">", "<", "+", "-", "*", "/", "|", "%")
_BEFORE_ROWS = re.compile(
    "in|exists|any|all|some|array|as|materialized|lateral|union|except|intersect|from|join|into|conflict"
)
_NO_CALL = re.compile(
    _CLAUSES.pattern + "|" + _BEFORE_ROWS.pattern + "|and|or|not|case|by|over|filter|distinct|between|like|is|do|only"
)
_AGGREGATE = re.compile("count|sum|max|min|avg|every|bool_(and|or)|(string|array|json|jsonb)_agg")
