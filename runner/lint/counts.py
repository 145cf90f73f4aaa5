"""Rules of the counts in the metrics: of what was written, of its kind, and of all of it."""

from __future__ import annotations

from collections.abc import Collection

from runner import sqltree
from runner.lint import conditions
from runner.lint.model import Column, Part, Query, Relation, Script, leaves, nothing_known
from runner.lint.source import Source
from runner.lint.upserts import is_bookkeeping
from runner.sqltree import Node

_COUNTS = ("rows_inserted", "rows_updated", "rows_deleted")
# What a count may be of, and the word for it.
_COUNTED = {
    "rows_inserted": ("insert", "upsert", "merge"),
    "rows_updated": ("update", "upsert", "merge"),
    "rows_deleted": ("delete", "merge"),
}
_VERBS = {"insert": "inserts", "upsert": "inserts or updates", "update": "updates", "delete": "deletes"}


def check(source: Source, part: Part, script: Script) -> list[str]:
    """Report wrong counts; return the columns that count something else than writes."""
    written = [p for p in script.parts if p.writes and not p.is_temporary and not is_bookkeeping(p.target)]
    given = {column: value for column in _COUNTS if (value := part.values.get(column)) and not _is_zero(value)}
    wrong = [column for column, value in given.items() if not _count(source, part, column, value)]
    if wrong or not part.values or source.has("metrics-kind"):
        return wrong
    for column in _COUNTS:
        kinds = set(_COUNTED[column]) - {"merge"}
        writer = next((p for p in written if p.kind in kinds), None)
        # Of one that nobody counts at all it is said at the writer.
        if column not in given and writer is not None and writer in _counted(part):
            message = f"{column} is 0, though {writer.shown} {_VERBS[writer.kind]} rows of '{writer.target}'"
            source.report("metrics-counts", pointed_at(part, column), message)
    return wrong


def _is_zero(value: Node | Column) -> bool:
    found = list(leaves(value))
    return bool(found) and all(isinstance(leaf, Node) and sqltree.constant(leaf) == "0" for leaf in found)


def _count(source: Source, part: Part, column: str, value: Node | Column) -> bool:
    """Report a count of another kind of write, or of something else: then return False."""
    found = list(leaves(value))
    if any(nothing_known(leaf) for leaf in found):
        return True
    aggregates = [leaf for leaf in found if isinstance(leaf, Node) and sqltree.function(leaf) == "count"]
    others = [
        leaf
        for leaf in found
        if (isinstance(leaf, Column) and leaf.table is not None)
        or (isinstance(leaf, Node) and sqltree.function(leaf) not in ("", "count", "sum", "coalesce"))
    ]
    constants = [
        c for c in (sqltree.constant(leaf) for leaf in found if isinstance(leaf, Node)) if c not in (None, "0")
    ]
    if not aggregates:
        if constants and not others and not any(isinstance(leaf, Node) and sqltree.function(leaf) for leaf in found):
            source.report(
                "metrics-counts", pointed_at(part, column), f"{column} is {constants[0]}, whatever was written"
            )
        return True
    for call in aggregates:
        writers = _writers(call.owner)
        if writers is None:
            continue
        if not writers:
            names = ", ".join(sorted(_shown(relation) for relation in call.owner.relations)) or "nothing"
            source.report("metrics-counts", call, f"{column} counts {names}, not what a write returned")
            return False
        # Counts that were kept in a table before may stand side by side in one column.
        wrong = _wrong(call, column, writers) if call.owner.part.number == part.number else ""
        if wrong:
            source.report("metrics-kind", call, f"{column} {wrong}")
            return True
    return True


def _shown(relation: Relation) -> str:
    if relation.part is not None and relation.part.name:
        return f"'{relation.part.name}'"
    return f"'{relation.table.name if relation.table else relation.alias}'"


def _writers(query: Query) -> set[Part] | None:
    """Return the writing parts whose returned rows a query counts; None where it is not known what it counts."""
    found: set[Part] = set()
    unknown = False
    for relation in query.relations:
        if relation.part is not None:
            found |= _reached(relation.part)
        elif relation.query is not None:
            inner = [_writers(q) for q in (relation.query, *relation.query.arms)]
            unknown |= any(i is None for i in inner)
            found |= set().union(*(i for i in inner if i))
        elif relation.table is None:
            unknown = True
    return None if unknown and not found else found


def _reached(part: Part) -> set[Part]:
    """Return the writing parts that a part's rows come from, not looking through them."""
    if part.writes and not part.is_temporary:
        return {part}
    found, pending, seen = set(), [*part.uses], {part, *part.uses}
    while pending:
        used = pending.pop()
        if used.writes and not used.is_temporary:
            found.add(used)
            continue
        for more in used.uses - seen:
            seen.add(more)
            pending.append(more)
    return found


def _wrong(call: Node, column: str, writers: set[Part]) -> str:
    """Return why this `count` of one write is none of the column's; empty where it may be one."""
    query: Query = call.owner
    if len(writers) != 1 or len(query.relations) != 1 or query.relations[0].part not in writers:
        return ""
    (writer,) = writers
    if writer.kind not in _COUNTED[column]:
        return f"counts {writer.shown}, which {_VERBS.get(writer.kind, writer.kind)} rows"
    if writer.kind not in ("upsert", "merge") or (query.node is not None and query.node.groupClause):
        return ""
    filters = [condition for condition in (call.agg_filter, *query.conditions) if condition is not None]
    if not filters:
        if call.args and not call.agg_star:
            return ""
        return f"counts all of {writer.shown}, inserted and updated alike"
    asked = _asked_for(filters[0]) if len(filters) == 1 else ""
    if asked and asked != column.removeprefix("rows_"):
        return f"counts the rows of {writer.shown} that were {asked}"
    return ""


_ACTIONS = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}


def _asked_for(node: Node) -> str:
    """Return which rows a condition asks for, by an xmax that is 0 or not or by merge_action(); empty for others."""
    node, is_true = conditions.unfolded(node)
    if node.kind != "A_Expr" or conditions.operator(node) not in ("=", "<>", "!="):
        return ""
    is_equal = is_true == (conditions.operator(node) == "=")
    sides = [conditions.expanded(side) for side in (node.lexpr, node.rexpr) if side is not None]
    constants = [text for side in sides if (text := sqltree.constant(side)) is not None]
    if constants == ["0"] and any(side.kind == "ColumnRef" and side.fields[-1] == "xmax" for side in sides):
        return "inserted" if is_equal else "updated"
    if len(constants) == 1 and is_equal and any(side.kind == "MergeSupportFunc" for side in sides):
        return _ACTIONS.get(constants[0], "")
    return ""


def _counted(part: Part) -> set[Part]:
    """Return the writing parts whose returned rows the metrics are made from."""
    found = set()
    for used in part.uses:
        found |= {used} if used.writes and not used.is_temporary else _reached(used)
    return found


def check_all(source: Source, part: Part, script: Script, wrong: Collection[str] = ()) -> None:
    """Report writes that are in no count, but for those that a column of `wrong` was to count."""
    counted = _counted(part)
    missed = [
        writer
        for writer in script.parts
        if writer.writes
        and not writer.is_temporary
        and not is_bookkeeping(writer.target)
        and writer not in counted
        and not _feeds(writer, part, script)
    ]
    for column in wrong:
        missed = _without_meant(missed, part, column)
    for writer in missed:
        rows = {"insert": "inserted into", "upsert": "written to", "update": "updated in", "delete": "deleted from"}
        what = rows.get(writer.kind, "written to")
        source.report(
            "uncounted-write", writer.node.relation, f"rows {what} '{writer.target}' are in no count of the metrics"
        )


def _without_meant(missed: list[Part], part: Part, column: str) -> list[Part]:
    """Leave out what a wrong count was to count, for that is said of it: writes of its kind, first of `table_name`."""
    meant = [writer for writer in missed if writer.kind in _COUNTED[column]]
    named = {sqltree.constant(leaf) for leaf in leaves(part.values.get("table_name")) if isinstance(leaf, Node)}
    meant = [writer for writer in meant if writer.target.removeprefix("public.") in named] or meant
    return [writer for writer in missed if writer not in meant]


def _feeds(writer: Part, part: Part, script: Script) -> bool:
    """Return whether what a write returned is kept where the metrics may read it: a temporary table, a setting."""
    kept = [p for p in script.statements[writer.number] if writer in _reached(p)]
    if any(p.is_temporary and p.writes for p in kept):
        return True
    made = {_setting(call) for p in kept for call in p.calls if sqltree.function(call) == "set_config"}
    read = {
        _setting(leaf)
        for column in (*_COUNTS, "rows_affected")
        for leaf in leaves(part.values.get(column))
        if isinstance(leaf, Node) and sqltree.function(leaf) == "current_setting"
    }
    return bool(made & read) or (bool(made and read) and None in made | read)


def _setting(call: Node) -> str | None:
    """Return the name of the setting that a call makes or reads; None where it is worked out."""
    name = sqltree.constant(call.args[0]) if call.args else None
    return None if name is None else name.lower()


def pointed_at(part: Part, column: str) -> Node:
    """Return the node to point at for a column of the metrics: its expression, else the insert."""
    value = part.values.get(column)
    while isinstance(value, Column) and value.sources:
        value = value.sources[0]
    return conditions.expanded(value) if isinstance(value, Node) else part.node.relation
