"""Which columns a new step copies, by which key and version, in which order, and cast to what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import ConfigError, UsageError
from runner.relation import Column, Relation, suggestion

if TYPE_CHECKING:
    from runner.database import Connection

# What a staging table has besides the columns of its records.
PROVENANCE = ("day", "source_file", "position")
# A source's own time of the last change; for others --version-column.
_VERSIONS = ("updated_at", "updated_time", "version_key")
_DAY_COLUMNS = ("version_key", "day_key")
# Types without an equality that tells all values apart: compared as text.
_WITHOUT_EQUALITY = re.compile(r"(.*\.)?(json|xml|point|box|path|polygon|circle|line|lseg|citext)(\[\])*")
_WITHOUT_ORDER = re.compile(r"(json|xml|point|box|path|polygon|circle|line|lseg|xid|cid|tid)(\[\])*")
_TEXTS = re.compile(r"(text|character varying)(\([0-9]+\))?")
_VOLATILE = re.compile(
    r"\b(nextval|now|\w+_timestamp|timeofday|random|gen_random_uuid|uuid\w*)\(|\b(CURRENT|LOCAL)_?(DATE|TIME)", re.I
)


@dataclass(frozen=True)
class Request:
    """What the command line asks for; None is left to the tables."""

    number: int
    name: str
    pipeline: str
    shape: str
    key: tuple[str, ...] | None = None
    version_column: str | None = None


def key_of(request: Request, target: Relation, source: Relation) -> tuple[str, ...]:
    """Return the key that is asked for, or else the table's own, as far as the source has it."""
    possible = [
        key
        for key in target.keys
        if all(name in source.columns and not target.columns[name].is_generated for name in key)
    ]
    if request.key is None:
        if possible and (possible[0] == target.keys[0] or len(possible) == 1):
            return possible[0]
        if possible:
            told = "; ".join(f"--key {','.join(key)}" for key in possible)
            raise UsageError(f"{target.name} has more than one key that {source.name} knows", hint=f"Choose: {told}")
        if target.keys:
            raise UsageError(
                f"{source.name} cannot fill the key of {target.name}, {', '.join(target.keys[0])}",
                hint=f"Give {target.name} a unique constraint over columns of {source.name}, or name another source "
                "with --from-table.",
            )
        raise UsageError(f"{target.name} has no primary key", hint="Give it one in a schema file, then: runner migrate")
    for name in request.key:
        column = target.column(name)
        source.column(name)
        if column.is_generated:
            raise UsageError(
                f"{target.name}.{name} is written by the server alone", hint="Name a key that staging has."
            )
    if len(set(request.key)) < len(request.key):
        raise UsageError(f"the key names a column twice: {', '.join(request.key)}", hint="Name each once.")
    if not any(set(key) == set(request.key) for key in target.keys):
        columns = ", ".join(target.columns[name].sql for name in request.key)
        known = "; ".join(", ".join(key) for key in target.keys)
        raise UsageError(
            f"nothing keeps {', '.join(request.key)} unique in {target.name}"
            + (f"; its keys: {known}" if known else ""),
            hint=f"Put into a schema file: alter table {target.sql} add unique ({columns});",
        )
    return request.key


def version_of(request: Request, target: Relation, source: Relation) -> str:
    """Return the column whose newest value wins, empty for none."""
    given = request.version_column
    if given is not None and request.shape in ("append", "recompute"):
        raise UsageError(
            f"--version-column has no meaning for --shape {request.shape}", hint="Leave it out, or use --shape upsert."
        )
    if request.shape in ("append", "recompute") or (given == "none" and given not in target.columns):
        return ""
    if given is None:
        common = [name for name in _VERSIONS if name in target.columns and name in source.columns]
        return next((name for name in common if _has_order(target.columns[name], source.columns[name])), "")
    column, taken = target.column(given), source.column(given)
    if not _has_order(column, taken):
        raise UsageError(
            f"{target.name}.{given} is {column.type}: which of its values is the newest, and whether null is older, "
            "cannot be said",
            hint="Name a time or a number; or make it not null.",
        )
    return given


def _has_order(column: Column, taken: Column) -> bool:
    if column.is_generated or _WITHOUT_ORDER.fullmatch(column.base):
        return False
    return (column.not_null and taken.not_null) or bool(lowest(column, taken))


def lowest(column: Column, taken: Column) -> str:
    """Return the literal that is older than every value, empty where nothing is null or there is none."""
    if column.not_null and taken.not_null:
        return ""
    if re.fullmatch(r"timestamp with(out)? time zone|date|numeric|real|double precision", column.base):
        return "'-infinity'"
    bits = {"smallint": 15, "integer": 31, "bigint": 63}
    if column.base in bits:
        return f"'{-(2 ** bits[column.base])}'"
    return "''" if _TEXTS.fullmatch(column.type) else ""


def day_column(target: Relation, source: Relation) -> str:
    """Return the table's column that says which day brought a row, or the name of the one to add."""
    for name in _DAY_COLUMNS:
        column = target.columns.get(name)
        if column is None or name in source.columns:
            continue
        if column.type != "text" or column.collation not in ('"C"', '"POSIX"', "ucs_basic"):
            raise ConfigError(
                f'{target.name}.{name} is to say which day brought a row, and is not text collate "C"',
                hint=f'Put into a schema file: alter table {target.sql} alter {column.sql} type text collate "C";',
            )
        return name
    free = [name for name in _DAY_COLUMNS if name not in target.columns and name not in source.columns]
    if not free:
        raise ConfigError(
            f"{target.name} has no room for the day that brought a row: {' and '.join(_DAY_COLUMNS)} are taken",
            hint="Give another name to one of them.",
        )
    return free[0]


def without_provenance(copied: list[Column], key: Sequence[str]) -> list[Column]:
    """Leave out which day a fact came from: of two that bring it, that would be the one applied first."""
    kept = [column for column in copied if column.name in key or column.name not in PROVENANCE]
    for column in copied:
        if column not in kept and column.not_null and column.default is None:
            raise UsageError(
                f"the column {column.name} would depend on which of two days with the same fact is applied first",
                hint=f"Make {column.name} nullable, or a part of the key; or use --shape upsert.",
            )
    return kept


def check_required(left_out: Sequence[Column], target: Relation, source: Relation) -> None:
    for column in left_out:
        if column.not_null and column.default is None and not column.is_generated and not column.is_identity:
            raise UsageError(
                f"{source.name} has no column {column.name!r}, and {target.name} requires it"
                + suggestion(column.name, [name for name in source.columns if name not in target.columns]),
                hint=f"Give both the same name, or {target.name}.{column.name} a default, in a schema file.",
            )


def taken(column: Column, target: Relation, source: Relation, connection: Connection) -> str:
    """Return how the source's column is selected: cast to the type in which it is compared and stored."""
    import psycopg

    own = source.columns[column.name]
    if own.type == column.type or (_TEXTS.fullmatch(own.type) and _TEXTS.fullmatch(column.type)):
        if own.collation and column.collation and own.collation != column.collation:
            return f"{own.sql} collate {column.collation} as {column.sql}"
        return own.sql
    # A length would cut off what is too long, instead of refusing it.
    wanted = "bpchar" if column.type.startswith("character(") else column.type
    if _TEXTS.fullmatch(column.type):
        wanted = "text"
    try:
        connection.execute(f"select null::{own.type}::{wanted}".encode())
    except psycopg.errors.CannotCoerce as error:
        raise UsageError(
            f"{source.name}.{column.name} is {own.type}, which cannot become {target.name}.{column.name}, "
            f"{column.type}",
            hint="Give both the same type, in a schema file.",
        ) from error
    except psycopg.Error:
        pass  # such as a domain that refuses null
    return f"{own.sql}::{wanted} as {column.sql}"


def comparable(column: Column) -> str:
    return f"{column.sql}::text" if _WITHOUT_EQUALITY.fullmatch(column.base) else column.sql


def order(request: Request, key: Sequence[str], version: str, copied: Sequence[Column], source: Relation) -> list[str]:
    """Return what the records of a day, or the rows of a source, are ordered by: one a key comes first."""
    columns = source.columns
    by_key = [columns[name].sql for name in key]
    if request.shape != "recompute" and {"source_file", "position"} <= set(columns):
        last = "" if request.shape == "append" else " desc"
        newest = [f"{columns[version].sql} desc nulls last"] if version else []
        return [*by_key, *newest, f"source_file{last}", f"position{last}"]
    # Rows that are the same in all of these are the same.
    unique = source.keys[0] if request.shape == "recompute" and source.keys else ()
    rest = unique or ([version] if version else []) + [column.name for column in copied]
    others = [columns[name] for name in dict.fromkeys(rest) if name not in key]
    return by_key + [
        f"{column.sql}{'::text' if _WITHOUT_ORDER.fullmatch(column.base) else ''} desc nulls last" for column in others
    ]


def of_the_day(source: Relation) -> str:
    column = source.columns["day"]
    cast = "" if column.category == "S" else f"::{column.type}"
    return f"day = current_setting('app.day'){cast}"


def is_technical(column: Column) -> bool:
    """Tell whether the server fills the column with when, or as which one, a row was written."""
    if not column.sql.isprintable():
        return False  # a header cannot name it
    return column.is_identity or bool(column.default and _VOLATILE.search(column.default))
