"""Casts in a fragment, and which of them can have refused a value. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

from runner.places import expressions, targets
from runner.places.fault import Fault
from runner.places.fragment import Fragment, Token
from runner.places.types import SPELLINGS


def read(fragment: Fragment, type_name: str, modifier: str = "", *, constants: bool = True) -> list[int]:
    """Return where something becomes a `type_name` (as the server calls it): `::`, `cast`, or the type in a list.

    With a `modifier` (`(5,2)`, `[]`) only casts that have it. What the server converts while
    it reads the statement, `'1'::integer`, is left out where it is not alone.
    """
    tokens = fragment.tokens
    weak: list[int] = []
    spellings = SPELLINGS.get(type_name, (type_name.split(".")[-1].strip('"'),))
    found: list[int] = []
    constant: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind not in ("word", "quoted") or token.text not in spellings:
            continue
        if not _spells(type_name, [word.text for word in tokens[index + 1 : index + 4]], token.text):
            continue
        if modifier and not "".join(word.text for word in tokens[index + 1 : index + 8]).startswith(modifier):
            continue
        place = _cast(tokens, index)
        if place is not None:
            operand = index - 3 if tokens[index - 1].text == ":" else index - 2
            is_cast = tokens[index - 1].text in (":", "as")
            (weak if not is_cast else constant if _is_constant(tokens, operand) else found).append(place)
    return found or weak or (constant if constants else [])


def _is_constant(tokens: list[Token], last: int) -> bool:
    """Tell whether the operand that ends at `last` is a literal, the time, or a number: it has no wrong text."""
    operand = tokens[last]
    if operand.text == ")":
        opening = next((i for i in range(last - 1, -1, -1) if tokens[i].depth == operand.depth), 0)
        if opening > 0 and tokens[opening - 1].kind in ("word", "quoted"):
            return _NUMBERS.fullmatch(tokens[opening - 1].text) is not None
        operand = tokens[last - 1] if opening == last - 2 else operand
    return operand.kind in ("string", "number") or operand.text.startswith("current_")


# Functions whose results are numbers or times, however they are called.
_NUMBERS = re.compile(
    "now|clock_timestamp|length|char_length|octet_length|count|sum|avg|row_number|rank|dense_rank|extract|date_part|"
    "floor|ceil|ceiling|round|trunc|abs|mod|position|strpos|cardinality|array_length|random|date_trunc"
)


def of_texts(fragment: Fragment, offsets: list[int], types_of: Callable[[str], set[str]]) -> list[int]:
    """Return those of some casts whose operands can be texts; all where that tells nothing.

    `types_of` tells the types that a column of this name has in the tables that the files define.
    """
    tokens = fragment.tokens
    kept = []
    for before, token in itertools.pairwise(tokens):
        if token.offset in offsets:
            types = types_of(before.text) if token.text == ":" and before.kind in ("word", "quoted") else set()
            if not types or any(_TEXTS.match(name) for name in types):
                kept.append(token.offset)
    return kept or offsets


_TEXTS = re.compile("text|varchar|character|char|json|bpchar|citext|name")


def _spells(type_name: str, following: list[str], spelling: str) -> bool:
    if spelling in ("timestamp", "time"):
        return ("with" in following[:1]) == ("with time zone" in type_name)
    if spelling == "double":
        return following[:1] == ["precision"]
    if spelling == "character":
        return ("varying" in following[:1]) == (type_name == "character varying")
    return True


def _cast(tokens: list[Token], index: int) -> int | None:
    """Return where the cast to the type at `index` stands; None where the word is no type."""
    previous = tokens[index - 1] if index else None
    following = tokens[index + 1] if index + 1 < len(tokens) else None
    if previous is None:
        return None
    if previous.text == ":" and index > 1 and tokens[index - 2].text == ":":
        return tokens[index - 2].offset
    if previous.text == "as":
        # The innermost open parenthesis, and what stands before it.
        for before in range(index - 2, 0, -1):
            if tokens[before].kind == "open" and tokens[before].depth == previous.depth - 1:
                return tokens[before - 1].offset if tokens[before - 1].text == "cast" else None
        return None
    if previous.text == "type":  # alter table … alter column … type …
        return tokens[index].offset
    if following is not None and following.text == "(" and previous.text not in (".", "numeric"):
        return tokens[index].offset  # date(x); a type in a list of columns may have a modifier, too
    in_list = previous.kind in ("word", "quoted") and previous.depth > 0 and following is not None
    return tokens[index].offset if in_list and following is not None and following.text in (",", ")", "[") else None


def values(fragment: Fragment, fault: Fault) -> list[int]:
    """Find the cast that refused a value: by its type, or else by the value itself, where it is written out."""
    # invalid input syntax for type integer: "x"; value "x" is out of range for type integer
    named = re.search(
        r'for type (?P<type>[a-z" ]+?)(?:: "|$)|for enum (?P<enum>[^:]+)|malformed (?P<made>\w+)', fault.message
    )
    found: list[int] = []
    if named and named["made"]:
        found = _array_casts(fragment) if named["made"] == "array" else []
    elif named:
        found = read(fragment, named["type"] or named["enum"])
    if len(found) != 1 and (value := re.search(r'"(.*)"', fault.message, re.DOTALL)):
        written = "'" + value[1].replace("'", "''") + "'"
        literals = [token.offset for token in fragment.tokens if token.kind == "string" and token.text == written]
        found = literals if len(literals) == 1 and not (found and _is_cast_literal(fragment, literals[0])) else found
    return found or _records(fragment) or targets.only_column(fragment)


def ranges(fragment: Fragment, _: Fault) -> list[int]:
    """Find what makes a range of two bounds, or of a text."""
    tokens = fragment.tokens
    made = [a.offset for a, b in itertools.pairwise(tokens) if a.text in _RANGES and b.text == "("]
    return sorted({*made, *(place for name in _RANGES for place in read(fragment, name))})


_RANGES = ("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange")


def scalars(fragment: Fragment, fault: Fault) -> list[int]:
    """Find the cast that a jsonb value of another kind refuses."""
    named = re.search(r"to type (.+)", fault.message)
    return read(fragment, named[1]) if named else []


def _is_cast_literal(fragment: Fragment, offset: int) -> bool:
    """Tell whether a literal is cast where it stands: then the server would have named it."""
    after = [token.text for token in fragment.tokens if token.offset > offset][:2]
    return after == [":", ":"]


def _array_casts(fragment: Fragment) -> list[int]:
    tokens = fragment.tokens
    found = [
        index - 3
        for index, token in enumerate(tokens)
        if token.text == "[" and index > 3 and (tokens[index - 3].text, tokens[index - 2].text) == (":", ":")
    ]
    return [tokens[i].offset for i in found if not _is_constant(tokens, i - 1)] or [tokens[i].offset for i in found]


def _records(fragment: Fragment) -> list[int]:
    names = (
        "json_populate_record json_populate_recordset jsonb_populate_record jsonb_populate_recordset "
        "json_to_record json_to_recordset jsonb_to_record jsonb_to_recordset"
    )
    return expressions.calls(names)(fragment, Fault())


def dates(fragment: Fragment, fault: Fault) -> list[int]:
    types = ("date", "timestamp with time zone", "timestamp without time zone", "time without time zone", "interval")
    found = sorted(offset for name in types for offset in read(fragment, name, constants=False))
    if len(found) == 1:
        return found
    return expressions.calls("to_date to_timestamp make_date make_timestamp")(fragment, fault) or found
