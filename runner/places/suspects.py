"""Which place in a statement can have raised an error that the server gives no place. Pure.

The server names a position for what it cannot parse or resolve. For what fails while a
statement runs (a division, a cast, a constraint) it names none, but says what kind of thing
failed, and mostly there is one such thing. All work is on tokens, so that the statement
need not be parsed, nor be of the kind that a parser knows, such as an assignment of plpgsql.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

from runner.places import casts, expressions, targets
from runner.places.expressions import Finder, calls
from runner.places.fault import Fault
from runner.places.fragment import Fragment, Token
from runner.places.types import SPELLINGS

# An error's class that says: a value did not fit.
DATA = "22"
# What cannot run inside a transaction, and time-outs: it is the statement as a whole.
_WHOLE = ("25001", "57014")


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
    if size and not casts.read(fragment, "numeric", f"({size[1]},{size[2]})"):
        spellings = [f"{name}({size[1]},{size[2]})" for name in SPELLINGS["numeric"]]
    elif length:
        spellings = [f"{name}{length[2]}" for name in (*SPELLINGS[length[1]], "character varying")]
    elif (number := re.match(r"(smallint|integer|bigint) out of range", fault.message)) and not (
        casts.read(fragment, number[1]) or expressions.arithmetic(fragment, number[1])
    ):
        spellings = list(SPELLINGS[number[1]])
    elif fault.domain and not casts.read(fragment, fault.domain):
        spellings = [fault.domain]
    else:
        return []
    is_meant = re.compile(rf"(\w+\.)?({'|'.join(map(re.escape, spellings))})(?:(?<=\))|(?!\w))").match
    found = []
    for target in targets.read(fragment):
        types = columns(target.table)
        found += [at for name, at in target.columns.items() if is_meant(types.get(name, ""))]
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
    if fault.sqlstate == "42804" and fault.message.startswith("CASE types"):
        return expressions.otherwise(fragment, offset)
    for token, following in itertools.pairwise(fragment.tokens):
        if token.offset == offset and token.text == "(" and f'"{following.text}"' in fault.message:
            return following.offset
    return offset


def _whole_numbers(fragment: Fragment, fault: Fault) -> list[int]:
    """Find what made a number too large: a cast to its type, else arithmetic, else a sum, else the target."""
    name = fault.message.split(" out of range")[0]
    found = casts.read(fragment, name)
    return found or expressions.arithmetic(fragment, name) or targets.only_column(fragment) or targets.written(fragment)


def _fields(fragment: Fragment, fault: Fault) -> list[int]:
    """Find the cast to the number of digits that the detail names, else the only column that is written."""
    size = re.search(r"precision (\d+), scale (\d+)", fault.detail)
    found = []
    if size:
        found = casts.read(fragment, "numeric", f"({size[1]},{size[2]})")
        if not found and size[2] == "0":
            found = casts.read(fragment, "numeric", f"({size[1]})")
    return found or targets.only_column(fragment) or targets.written(fragment)


def _lengths(fragment: Fragment, _: Fault) -> list[int]:
    return targets.only_column(fragment) or targets.written(fragment)


def _constraints(fragment: Fragment, fault: Fault) -> list[int]:
    """Find the column that the server names, else the table that is written."""
    if fault.domain:
        found = casts.read(fragment, fault.domain)
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


def _conflicts(fragment: Fragment, _: Fault) -> list[int]:
    tokens = fragment.tokens
    return [a.offset for a, b in itertools.pairwise(tokens) if (a.text, b.text) == ("on", "conflict")]


def _system_columns(fragment: Fragment, _: Fault) -> list[int]:
    """Find the system columns that are returned, with the table's name in front of them."""
    tokens = fragment.tokens
    found: list[int] = []
    depth: int | None = None
    for index, token in enumerate(tokens):
        if token.kind == "word" and token.text == "returning":
            depth = token.depth
        elif depth is not None and token.depth < depth:
            depth = None
        elif depth is not None and token.text in ("xmin", "xmax", "cmin", "cmax"):
            found.append(tokens[index - 2 if tokens[index - 1].text == "." else index].offset)
    return found


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
    ("0A000", "system column", _system_columns),
    ("55P03", "", _locks),
    ("22012", "", expressions.divisions),
    ("23", "", _constraints),
    ("22000", "^range lower bound", casts.ranges),
    ("22001", "", _lengths),
    ("22003", "numeric field overflow", _fields),
    ("22003", "for type", casts.values),
    ("22003", "overflow|underflow", calls("exp power", "* ^ / +")),
    ("22003", "out of range", _whole_numbers),
    ("22P02", "", casts.values),
    ("22007", "for type", casts.values),
    ("22007", "", calls("to_date to_timestamp")),
    ("22008", "^(date|time|timestamp|interval) out of range", calls("make_interval justify_interval", "* / + -")),
    ("22008", r"field value out of range: \d+-|time field value", calls(
        "make_date make_time make_timestamp make_timestamptz"
    )),
    ("22008", "", casts.dates),
    ("21000", "subquery", expressions.subqueries),
    ("21000", "ON CONFLICT", _conflicts),
    ("21000", "MERGE", calls("merge")),
    ("2201B", "", calls(
        "regexp_replace regexp_match regexp_matches regexp_count regexp_instr regexp_like regexp_substr "
        "regexp_split_to_array regexp_split_to_table substring similar",
        "~ ~* !~ !~*",
    )),
    ("2201W", "", calls("limit fetch")),
    ("2201X", "", calls("offset")),
    ("2201F", "square root", calls("sqrt", "|/")),
    ("2201F", "", calls("power pow", "^")),
    ("2201E", "", calls("ln log log10")),
    ("2201G", "", calls("width_bucket")),
    ("22014", "", calls("ntile")),
    ("22016", "", calls("nth_value")),
    ("22013", "", calls("rows range groups")),
    ("22011", "", calls("substring substr overlay")),
    ("22025|22019", "", calls("like similar ilike escape")),
    ("2203", "", calls(
        "jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_path_exists jsonb_path_match "
        "json_value json_query json_table",
        "@? @@",
    )),
    ("22023", "cannot cast jsonb", casts.scalars),
    ("22023", "", _literals),
    ("22023", "unit|not recognized for type|not supported for type", calls("date_trunc extract date_part")),
    ("22023", "time zone", calls("timezone zone")),
    ("22023", r"format\(\)", calls("format")),
    ("22023", "base64|hexadecimal", calls("decode")),
    ("22023", "step size", calls("generate_series")),
    ("22023", "field position", calls("split_part")),
    ("22023", r"array_elements|extract elements|elements from", calls(
        "jsonb_array_elements json_array_elements jsonb_array_elements_text json_array_elements_text"
    )),
    ("22023", "array length", calls("jsonb_array_length json_array_length")),
    ("22023", "deconstruct|_each", calls("jsonb_each json_each jsonb_each_text json_each_text")),
    ("22023", "object_keys", calls("jsonb_object_keys json_object_keys")),
    ("54000", "null character|requested character", calls("chr")),
    ("54000", "requested length", calls("repeat lpad rpad")),
    ("22P05|22021", "", calls("convert_from convert_to convert chr decode")),
    ("2200H", "", calls("nextval")),
]  # fmt: skip
