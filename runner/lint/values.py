"""Rules of values: what a clock or chance puts into the data, or decides about it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from runner import sqltree
from runner.lint import evidence
from runner.lint.model import Column, Part, closure, function, leaves, results
from runner.lint.source import Source
from runner.lint.upserts import BOOKKEEPING
from runner.sqltree import Node

RANDOM = frozenset(
    {"random", "random_normal", "gen_random_uuid", "gen_random_bytes", "uuid_generate_v1", "uuid_generate_v1mc"}
    | {"uuid_generate_v4", "uuidv4", "uuidv7", "timeofday", "clock_timestamp", "nextval", "pg_backend_pid"}
    | {"txid_current", "pg_current_xact_id"}
)
# When a row was written is not what it says: such columns may differ.
_TECHNICAL = re.compile(
    r"(etl|dwh?|meta|sys|row|_)*_?(loaded|inserted|processed|applied|ingested|imported|synced|synchronized|refreshed"
    r"|written|recorded|stored|calculated|computed|modified|created|updated|load|insert|process|run|sync|etl)"
    r"_?(at|on|time|ts|date|timestamp)"
)
LISTS = frozenset({"array_agg", "string_agg", "json_agg", "jsonb_agg", "xmlagg", "json_object_agg"})


def check(source: Source) -> None:
    """Report what makes a rerun write other rows than the run before."""
    parts = source.script.parts
    written = [p for p in parts if p.writes and not p.is_temporary and p.target not in BOOKKEEPING]
    reached: set[Part] = set()
    for part in written:
        reached |= closure(part)
    _values(source, written)
    _conditions(source, reached)


def _values(source: Source, written: Iterable[Part]) -> None:
    """Report values of tables that are made by a clock or by chance."""
    seen: set[int] = set()
    for part in written:
        for column, value in (*part.values.items(), *part.updates.items()):
            for leaf in leaves(value):
                if not isinstance(leaf, Node) or id(leaf) in seen:
                    continue
                name = function(leaf)
                if not name:
                    continue
                if name in evidence.CLOCKS and evidence.is_clock(value) and _is_technical(column, part):
                    continue
                if name in RANDOM:
                    seen.add(id(leaf))
                    source.report(
                        "volatile-value",
                        leaf,
                        f"{name}() gives '{column}' of '{part.target}' another value at each run",
                    )
                elif name in evidence.CLOCKS:
                    seen.add(id(leaf))
                    source.report("clock-in-data", leaf, f"'{column}' of '{part.target}' depends on when the step runs")
            for end in results(value):
                name = sqltree.function(end)
                if name in LISTS and is_unordered(end) and id(end) not in seen:
                    seen.add(id(end))
                    source.report("aggregate-order", end, f"{name} puts '{column}' together in the order of the plan")


def _is_technical(column: str, part: Part) -> bool:
    """Return whether a column says when its row was written: by its name, and where no source has one of that name."""
    if not _TECHNICAL.fullmatch(column):
        return False
    relations = (relation for some in closure(part) for query in some.queries for relation in query.relations)
    return not any(r.table is not None and r.table.name != part.target and column in r.columns for r in relations)


def is_unordered(call: Node) -> bool:
    """Return whether an aggregate puts its list together in no order."""
    # PostgreSQL sorts for `distinct`.
    return not (call.agg_order or call.agg_distinct or call.agg_within_group)


def _conditions(source: Source, parts: Iterable[Part]) -> None:
    """Report conditions and orders of what is written that hang on a clock or on chance."""
    seen: set[int] = set()
    for part in sorted(parts, key=lambda p: p.number):
        for query in part.queries:
            for node in (*query.conditions, *query.sort, *(part.guards if query is part.queries[0] else ())):
                if isinstance(node, Column):
                    continue
                for inner in sqltree.walk(node):
                    name = function(inner)
                    if not name or id(inner) in seen:
                        continue
                    seen.add(id(inner))
                    if name in RANDOM and name != "pg_backend_pid":
                        source.report("volatile-value", inner, f"{name}() chooses other rows at each run")
                    elif name in evidence.CLOCKS:
                        source.report("clock-in-data", inner, "which rows are meant depends on when the step runs")
            for item in (query.node.fromClause or ()) if query.node is not None else ():
                for inner in sqltree.walk(item):
                    if inner.kind == "RangeTableSample" and inner.repeatable is None:
                        message = "a sample without 'repeatable' has other rows at each run"
                        source.report("volatile-value", inner.relation, message)
