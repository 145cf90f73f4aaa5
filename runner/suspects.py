"""Which place in a statement can have raised an error that the server gives no place. Pure.

The server names a position for what it cannot parse or resolve. For what fails while a
statement runs (a division, a cast, a constraint) it names none, but says what kind of thing
failed, and mostly there is one such thing. All work is on tokens, so that the statement
need not be parsed, nor be of the kind that a parser knows, such as an assignment of plpgsql.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner import targets
from runner.definitions import SPELLINGS, Fragment, Token

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class Fault:
    """What the server says of an error, empty where it says nothing."""

    sqlstate: str = ""
    message: str = ""
    detail: str = ""
    table: str = ""
    column: str = ""
    constraint: str = ""
    domain: str = ""
    relation: str = ""
    """The table of the row that was worked on, where the context names it."""

    @classmethod
    def of(cls, error: psycopg.Error) -> Fault:
        """Return what an error of the server says."""
        diag = error.diag
        return cls(
            error.sqlstate or "",
            diag.message_primary or "",
            diag.message_detail or "",
            diag.table_name or "",
            diag.column_name or "",
            diag.constraint_name or "",
            diag.datatype_name or "",
            relation[1] if (relation := re.search(r'in relation "(.+?)"', diag.context or "")) else "",
        )


# An error's class that says: a value did not fit.
DATA = "22"
# What cannot run inside a transaction, and time-outs: it is the statement as a whole.
_WHOLE = ("25001", "57014")

Finder = Callable[[Fragment, Fault], list[int]]


def find(fragment: Fragment, fault: Fault) -> list[int]:
    """Return the offsets, in its file, of what in `fragment` can have raised the error; most often one, or none."""
    for states, message, finder in _FINDERS:
        applies = re.match(states, fault.sqlstate) and re.search(message, fault.message)
        if applies and (found := finder(fragment, fault)):
            return found
    return _quoted(fragment, fault)


def assigned(fragment: Fragment, fault: Fault, columns: Callable[[str], dict[str, str]]) -> list[int]:
    """Return the only column of the statement's target that has the type which a value did not fit.

    `columns` tells the columns of a table and their types.
    """
    size = re.search(r"precision (\d+), scale (\d+)", fault.detail)
    length = re.search(r"too long for type (character varying|character)(\(\d+\))", fault.message)
    if size and not casts(fragment, "numeric", f"({size[1]},{size[2]})"):
        spellings = [f"{name}({size[1]},{size[2]})" for name in SPELLINGS["numeric"]]
    elif length:
        spellings = [f"{name}{length[2]}" for name in (*SPELLINGS[length[1]], "charactervarying")]
    else:
        return []
    found = []
    for target in targets.read(fragment):
        types = columns(target.table)
        found += [at for name, at in target.columns.items() if types.get(name, "").startswith(tuple(spellings))]
    return found if len(found) == 1 else []


def fallback(fragment: Fragment, fault: Fault) -> int:
    """Return what to point at where nothing is suspected: what is defined or written, else the first word."""
    tokens = fragment.tokens
    first = tokens[0].text if tokens else ""
    if fault.sqlstate not in _WHOLE:
        defines = first in ("create", "alter", "drop", "truncate", "lock", "refresh")
        if defines and (name := _object(tokens)) is not None:
            return name.offset
        written = targets.written(fragment)
        if fault.sqlstate.startswith(DATA) and len(written) == 1:
            return written[0]
    return tokens[0].offset if tokens else fragment.start


def _object(tokens: list[Token]) -> Token | None:
    """Return the name of what a statement creates, alters or drops: the first word that is no keyword of it."""
    names = (token for token in tokens[1:] if token.kind in ("word", "quoted"))
    return next((token for token in names if not _KEYWORDS.fullmatch(token.text)), None)


_KEYWORDS = re.compile(
    "or|replace|temp|temporary|unlogged|recursive|materialized|global|local|if|not|exists|unique|concurrently|only|"
    "table|view|index|function|procedure|schema|type|domain|trigger|constraint|sequence|extension|policy|aggregate"
)


def nearer(fragment: Fragment, offset: int, fault: Fault) -> int:
    """Return a place that says more than the one that the server names, where it is known to be beside the point."""
    if fault.sqlstate == "42601" and (found := _backticks(fragment)) and found[0] < offset:
        return found[0]
    for token, following in itertools.pairwise(fragment.tokens):
        if token.offset == offset and token.text == "(" and f'"{following.text}"' in fault.message:
            return following.offset
    return offset


def _calls(names: str, operators: str = "") -> Finder:
    """Find calls of functions (and other words that tell), and operators, both separated by blanks."""
    words, signs = set(names.split()), set(operators.split())

    def finder(fragment: Fragment, _: Fault) -> list[int]:
        return sorted(
            [token.offset for token in fragment.tokens if token.kind == "word" and token.text in words]
            + [offset for sign, offset, _ in _operators(fragment) if sign in signs]
        )

    return finder


def _operators(fragment: Fragment) -> Iterator[tuple[str, int, int]]:
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


def _divisions(fragment: Fragment, _: Fault) -> list[int]:
    """Return where something is divided by what can be zero; by what is zero for certain, where there is such."""
    tokens = fragment.tokens
    found = [(offset, tokens[after:]) for sign, offset, after in _operators(fragment) if sign in ("/", "%")]
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
    tokens = [token for token in tokens[:4] if token.text not in ("(", "+", "-")]
    if not tokens or tokens[0].kind not in ("number", "string"):
        return None
    try:
        return float(tokens[0].text.strip("'"))
    except ValueError:
        return None


def _is_guarded(tokens: list[Token]) -> bool:
    """Tell whether an operand is `nullif(…, 0)` or `greatest(…, 1)`, which are never zero (nor is null)."""
    words = [token for token in tokens[:3] if token.text != "("]
    if not words or words[0].text not in ("nullif", "greatest"):
        return False
    opening = next(token for token in tokens if token.text == "(" and token.offset > words[0].offset)
    inside = [token for token in tokens if token.offset > opening.offset]
    stop = next((i for i, token in enumerate(inside) if token.depth == opening.depth), len(inside))
    last = inside[stop - 1]
    if last.kind != "number" or inside[stop - 2].text != ",":
        return False
    return (float(last.text) == 0) == (words[0].text == "nullif")


def casts(fragment: Fragment, type_name: str, modifier: str = "", *, constants: bool = True) -> list[int]:
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
    """Tell whether the operand that ends at `last` is a literal, or the time: neither fails while rows are read."""
    operand = tokens[last]
    if operand.text == ")" and last > 1 and tokens[last - 2].text == "(":
        operand = tokens[last - 1]
    now = operand.text == ")" and last > 1 and tokens[last - 2].text == "now"
    return now or operand.kind in ("string", "number") or operand.text.startswith("current_")


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


def _values(fragment: Fragment, fault: Fault) -> list[int]:
    """Find the cast that refused a value: by its type, or else by the value itself, where it is written out."""
    # invalid input syntax for type integer: "x"; value "x" is out of range for type integer
    named = re.search(
        r'for type (?P<type>[a-z" ]+?)(?:: "|$)|for enum (?P<enum>[^:]+)|malformed (?P<made>\w+)', fault.message
    )
    found: list[int] = []
    if named and named["made"]:
        found = _array_casts(fragment) if named["made"] == "array" else []
    elif named:
        found = casts(fragment, named["type"] or named["enum"])
    if len(found) != 1 and (value := re.search(r'"(.*)"', fault.message, re.DOTALL)):
        written = "'" + value[1].replace("'", "''") + "'"
        literals = [token.offset for token in fragment.tokens if token.kind == "string" and token.text == written]
        found = literals if len(literals) == 1 and not (found and _is_cast_literal(fragment, literals[0])) else found
    return found or _records(fragment) or targets.only_column(fragment)


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
    names = "json_populate_record json_populate_recordset jsonb_populate_record jsonb_populate_recordset"
    return _calls(names + " jsonb_to_recordset json_to_recordset jsonb_to_record json_to_record")(fragment, Fault())


def _dates(fragment: Fragment, fault: Fault) -> list[int]:
    types = ("date", "timestamp with time zone", "timestamp without time zone", "time without time zone", "interval")
    found = sorted(offset for name in types for offset in casts(fragment, name, constants=False))
    if len(found) == 1:
        return found
    return _calls("to_date to_timestamp make_date make_timestamp")(fragment, fault) or found


def _whole_numbers(fragment: Fragment, fault: Fault) -> list[int]:
    """Find what made a number too large: a cast to its type, else arithmetic, else a sum, else the target."""
    name = fault.message.split(" out of range")[0]
    found = casts(fragment, name)
    return found or _arithmetic(fragment) or targets.only_column(fragment) or targets.written(fragment)


def _arithmetic(fragment: Fragment) -> list[int]:
    tokens = fragment.tokens
    found = []
    for sign, offset, after in _operators(fragment):
        before = tokens[after - len(sign) - 1] if after > len(sign) else None
        binary = before is not None and (before.kind in ("word", "quoted", "number", "string", "close"))
        counted = sign == "*" and before is not None and before.text in ("select", "(", ".", ",")
        follows = after < len(tokens) and tokens[after].text not in (")", ",", "from")
        if sign in ("+", "-", "*", "^") and binary and not counted and follows:
            found.append(offset)
    return found


def _fields(fragment: Fragment, fault: Fault) -> list[int]:
    """Find the cast to the number of digits that the detail names, else the only column that is written."""
    size = re.search(r"precision (\d+), scale (\d+)", fault.detail)
    found = []
    if size:
        found = casts(fragment, "numeric", f"({size[1]},{size[2]})")
        if not found and size[2] == "0":
            found = casts(fragment, "numeric", f"({size[1]})")
    return found or targets.only_column(fragment) or targets.written(fragment)


def _lengths(fragment: Fragment, _: Fault) -> list[int]:
    return targets.only_column(fragment) or targets.written(fragment)


def _constraints(fragment: Fragment, fault: Fault) -> list[int]:
    """Find the column that the server names, else the table that is written."""
    if fault.domain:
        found = casts(fragment, fault.domain)
        return found or targets.only_column(fragment) or targets.written(fragment)
    table = fault.table
    # Rows of this table are still referenced from the one that the server names.
    if referenced := re.match(r'update or delete on table "(.+?)"', fault.message):
        table = referenced[1]
    columns = [fault.column] if fault.column else _key(fault.detail)
    if found := targets.columns(fragment, table, columns):
        return found
    first = fragment.tokens[0].text if fragment.tokens else ""
    defined = _named(fragment, [fault.constraint, fault.column]) if first in ("alter", "create") else []
    return defined or targets.written(fragment, table)


def _key(detail: str) -> list[str]:
    """Return the columns of a key: `Key (day, agent_id)=(day1, 3) already exists.`"""
    key = re.match(r"Key \((.+?)\)[=\s]", detail)
    return [column.strip().strip('"') for column in key[1].split(",")] if key else []


def _subqueries(fragment: Fragment, _: Fault) -> list[int]:
    """Return the opening parentheses of subqueries that stand for one value."""
    clauses: dict[int, str] = {}
    found = []
    tokens = fragment.tokens
    for index, token in enumerate(tokens):
        if token.kind == "word" and _CLAUSES.fullmatch(token.text):
            clauses[token.depth] = token.text
        if token.text != "(" or index + 1 == len(tokens):
            continue
        clauses[token.depth + 1] = ""
        begins = tokens[index + 1].text in ("select", "with", "values")
        before = tokens[index - 1].text if index else ""
        of_rows = clauses.get(token.depth, "") in _ROWS and before not in (
            "=",
            ">",
            "<",
            "+",
            "-",
            "*",
            "/",
            "|",
            "case",
        )
        if begins and not _BEFORE_ROWS.fullmatch(before) and not of_rows:
            found.append(token.offset)
    return found


_CLAUSES = re.compile(
    "select|from|join|on|where|group|having|order|limit|offset|set|values|returning|using|when|then|else|with|union|"
    "return|if|while"
)
# Where a subquery is a table.
_ROWS = ("from", "join", "using", "with", "union", "")
_BEFORE_ROWS = re.compile(
    "in|exists|any|all|some|array|as|materialized|lateral|union|except|intersect|from|join|into|conflict"
)
_OPERATORS = ("=", ">", "<", "+", "-", "*", "/", "|", "%", "~", "and", "or", "not")


def _conflicts(fragment: Fragment, _: Fault) -> list[int]:
    tokens = fragment.tokens
    return [a.offset for a, b in itertools.pairwise(tokens) if (a.text, b.text) == ("on", "conflict")]


def _named(fragment: Fragment, names: list[str]) -> list[int]:
    """Return the first place where one of `names` stands as a name."""
    for name in names:
        for token in fragment.tokens:
            if token.kind in ("word", "quoted") and token.text == name:
                return [token.offset]
    return []


def _quoted(fragment: Fragment, fault: Fault) -> list[int]:
    """Find the first thing that the message quotes: a value that is written out once, or a name."""
    quoted = re.findall(r'"(.*?)"', fault.message, re.DOTALL)
    return _literals(fragment, fault) or _named(fragment, [name for value in quoted for name in _names(value)])


def _names(value: str) -> list[str]:
    return [value, value.split(".")[-1]]


def _literals(fragment: Fragment, fault: Fault) -> list[int]:
    """Return where a value that the message quotes is written out, if that is once."""
    for value in re.findall(r'"(.*?)"', fault.message, re.DOTALL):
        written = "'" + value.replace("'", "''") + "'"
        found = [token.offset for token in fragment.tokens if token.text == written]
        if len(found) == 1:
            return found
    return []


def _unquoted(fragment: Fragment, fault: Fault) -> list[int]:
    """Find what the message names without quotes: `function f() does not exist`, `cannot drop table t because`."""
    named = re.match(r"(?:function|procedure|cannot drop \w+) (.+?)(?:\(| because)", fault.message)
    return _named(fragment, _names(named[1])) if named else []


def _twice(fragment: Fragment, fault: Fault) -> list[int]:
    """Find the last place of a name that is given twice."""
    name = re.search(r'"(.*?)"', fault.message)
    return [token.offset for token in fragment.tokens if name and token.text == name[1]][-1:]


def _defaults(fragment: Fragment, _: Fault) -> list[int]:
    tokens = fragment.tokens
    return [b.offset for a, b in itertools.pairwise(tokens) if a.text == "default"]


def _row_locks(fragment: Fragment, _: Fault) -> list[int]:
    tokens = fragment.tokens
    locks = ("update", "no", "share", "key")
    return [a.offset for a, b in itertools.pairwise(tokens) if a.text == "for" and b.text in locks]


def _locks(fragment: Fragment, fault: Fault) -> list[int]:
    """Find the table whose row or lock was waited for; a foreign key waits for another than the one written."""
    return _named(fragment, [fault.relation]) or targets.written(fragment)


def _backticks(fragment: Fragment) -> list[int]:
    return [token.offset for token in fragment.tokens if token.text == "`"][:1]


# SQLSTATE or how it begins, a part of the message, how to find the place; the first that finds one counts.
_FINDERS: list[tuple[str, str, Finder]] = [
    ("42712", "", _twice),
    ("42701", "specified more than once", _twice),
    ("42804", "default expression", _defaults),
    ("42P10", "ON CONFLICT", _conflicts),
    ("42883|2BP01", "", _unquoted),
    ("0A000", "^FOR ", _row_locks),
    ("55P03", "", _locks),
    ("22012", "", _divisions),
    ("23", "", _constraints),
    ("22001", "", _lengths),
    ("22003", "numeric field overflow", _fields),
    ("22003", "for type", _values),
    ("22003", "overflow|underflow", _calls("exp power", "* ^ / +")),
    ("22003", "out of range", _whole_numbers),
    ("22P02", "", _values),
    ("22007", "for type", _values),
    ("22007", "", _calls("to_date to_timestamp")),
    ("22008", "^(date|time|timestamp|interval) out of range", _calls("make_interval justify_interval", "* / + -")),
    ("22008", r"field value out of range: \d+-|time field value", _calls(
        "make_date make_time make_timestamp make_timestamptz"
    )),
    ("22008", "", _dates),
    ("21000", "subquery", _subqueries),
    ("21000", "ON CONFLICT", _conflicts),
    ("21000", "MERGE", _calls("merge")),
    ("2201B", "", _calls(
        "regexp_replace regexp_match regexp_matches regexp_count regexp_instr regexp_like regexp_substr "
        "regexp_split_to_array regexp_split_to_table substring similar",
        "~ ~* !~ !~*",
    )),
    ("2201W", "", _calls("limit fetch")),
    ("2201X", "", _calls("offset")),
    ("2201F", "square root", _calls("sqrt", "|/")),
    ("2201F", "", _calls("power pow", "^")),
    ("2201E", "", _calls("ln log log10")),
    ("2201G", "", _calls("width_bucket")),
    ("22014", "", _calls("ntile")),
    ("22016", "", _calls("nth_value")),
    ("22013", "", _calls("rows range groups")),
    ("22011", "", _calls("substring substr overlay")),
    ("22025|22019", "", _calls("like similar ilike escape")),
    ("2203", "", _calls(
        "jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_path_exists jsonb_path_match "
        "json_value json_query json_table",
        "@? @@",
    )),
    ("22023", "", _literals),
    ("22023", "unit|not recognized for type|not supported for type", _calls("date_trunc extract date_part")),
    ("22023", "time zone", _calls("timezone zone")),
    ("22023", r"format\(\)", _calls("format")),
    ("22023", "base64|hexadecimal", _calls("decode")),
    ("22023", "step size", _calls("generate_series")),
    ("22023", "field position", _calls("split_part")),
    ("22023", r"array_elements|extract elements|elements from", _calls(
        "jsonb_array_elements json_array_elements jsonb_array_elements_text json_array_elements_text"
    )),
    ("22023", "array length", _calls("jsonb_array_length json_array_length")),
    ("22023", "deconstruct|_each", _calls("jsonb_each json_each jsonb_each_text json_each_text")),
    ("22023", "object_keys", _calls("jsonb_object_keys json_object_keys")),
    ("54000", "null character|requested character", _calls("chr")),
    ("54000", "requested length", _calls("repeat lpad rpad")),
    ("22P05|22021", "", _calls("convert_from convert_to convert chr decode")),
    ("2200H", "", _calls("nextval")),
]  # fmt: skip
