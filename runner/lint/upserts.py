"""Rules of writing: guards of upserts and updates, keys behind them, rows left to chance."""

from __future__ import annotations

from collections.abc import Iterator

from runner import sqltree
from runner.lint import evidence, latest
from runner.lint.model import Part
from runner.lint.source import Source
from runner.sqltree import Node

BOOKKEEPING = frozenset({"pipeline_metrics", "check_results", "stg_loads", "stg_rejects", "reference_loads"})
"""The runner's own tables."""


def is_bookkeeping(table: str) -> bool:
    """Return whether the metrics leave a table out: the runner's own, and watermarks (`…_pipeline_state`)."""
    return table in BOOKKEEPING or table.endswith("_pipeline_state")


def check(source: Source) -> None:
    """Report upserts and updates without a guard, and writes of all rows."""
    # What a name means that is not known, no guard can be told by.
    is_known = not source.has("unknown-table", "unknown-column")
    for part in source.script.parts:
        if part.kind in ("update", "delete"):
            _rows(source, part)
        if part.is_temporary or part.target in BOOKKEEPING:
            continue
        if part.kind in ("upsert", "merge") and is_known:
            _upsert(source, part)
        if part.kind in ("insert", "upsert"):
            _key(source, part)
        if part.kind in ("insert", "upsert", "merge"):
            _returned(source, part)
        if part.kind == "update" and source.kind == "step" and is_known:
            _update(source, part)
    for statement in source.statements:
        if statement.node.kind == "TruncateStmt":
            _truncate(source, statement.node)


def _upsert(source: Source, part: Part) -> None:
    at = part.node.onConflictClause or _update_clause(part.node)
    if at is None:
        return
    place = sqltree.place(at) if part.kind == "upsert" else sqltree.place(part.node.relation)
    if not evidence.differs(part):
        source.report(
            "unguarded-upsert", place, f"unchanged rows of '{part.target}' are written anew, and counted as updated"
        )
    versions = evidence.version_columns(part)
    is_recent = evidence.is_recent(part, versions)
    if not versions:
        # Where only the day tells old from new, any order that is asked for may be the one of the records.
        versions = evidence.day_columns(part)
        is_recent = evidence.is_recent(part, {*part.values, *part.updates})
    _recent(source, part, place, set() if is_recent else versions)


def _recent(source: Source, part: Part, place: int, versions: set[str]) -> None:
    """Report version columns that nothing compares, where there are any and the day is not all that counts."""
    if versions and not latest.is_latest(part):
        names = " or ".join(f"'{name}'" for name in sorted(versions))
        source.report(
            "no-recency-guard",
            place,
            f"an older record overwrites a newer one: nothing compares {names} of '{part.target}'",
        )


def _update(source: Source, part: Part) -> None:
    if part.node.whereClause is not None and not evidence.differs(part) and not _is_fixed(part):
        message = f"'{part.target}' is updated where nothing may have changed"
        source.report("unguarded-update", part.node.relation, message)
    versions = {name for name in evidence.version_columns(part) if evidence.is_staged(part.values[name])}
    if not evidence.is_recent(part, versions) and not evidence.keeps_version(part, versions):
        _recent(source, part, sqltree.place(part.node.relation), versions)


def _update_clause(node: Node) -> Node | None:
    return next((c for c in node.mergeWhenClauses or () if c.commandType == "CMD_UPDATE"), None)


def _is_fixed(part: Part) -> bool:
    """Return whether a condition asks for the columns that are set: `set x = true where not x`."""
    asked = {
        node.fields[-1]
        for query in part.queries
        for condition in query.conditions
        for node in sqltree.walk(condition)
        if node.kind == "ColumnRef" and isinstance(node.fields[-1], str)
    }
    return bool(asked & set(part.values))


def _key(source: Source, part: Part) -> None:
    """Report an `on conflict (…)` that PostgreSQL has no unique key for."""
    clause = part.node.onConflictClause
    relation = part.target_relation
    if clause is None or clause.infer is None or clause.infer.conname or relation is None or relation.table is None:
        return
    table = relation.table
    columns = [element.name for element in clause.infer.indexElems or ()]
    if None in columns or table.is_open or table.is_view or table.partial_keys:
        return
    if frozenset(columns) not in table.keys:
        source.report(
            "conflict-target", clause, f"'{part.target}' has no unique key of ({', '.join(map(str, columns))})"
        )


def _returned(source: Source, part: Part) -> None:
    """Report system columns of rows that go to a partition, which the server refuses to return."""
    relation, returning = part.target_relation, part.node.returningClause
    if relation is None or relation.table is None or not relation.table.is_partitioned or returning is None:
        return
    clauses = part.node.mergeWhenClauses or ()
    if part.kind == "merge" and not any(clause.commandType == "CMD_INSERT" for clause in clauses):
        return
    for node in _outside_of_subqueries(returning.exprs):
        if node.kind == "ColumnRef" and node.fields[-1] in _OF_VERSIONS and node.fields[:-1] in ([], [relation.alias]):
            message = f"'{part.target}' is partitioned: the server refuses to return {node.fields[-1]} of its new rows"
            source.report("partitioned-xmax", node, message)
            return


_OF_VERSIONS = ("xmin", "xmax", "cmin", "cmax")


def _outside_of_subqueries(nodes: list[Node]) -> Iterator[Node]:
    for node in sqltree.children(nodes):
        yield node
        if node.kind != "SubLink":
            yield from _outside_of_subqueries(list(node.values()))


def _rows(source: Source, part: Part) -> None:
    if part.is_temporary:
        return
    where = part.node.whereClause
    verb = "updated" if part.kind == "update" else "deleted"
    if where is None:
        source.report("missing-where", part.node.relation, f"all rows of '{part.target}' are {verb}")


def _truncate(source: Source, node: Node) -> None:
    for relation in node.relations or ():
        name = sqltree.name_of(relation)
        if relation.relname in source.script.temporaries or relation.schemaname == "pg_temp":
            continue
        if name.startswith("stg_"):
            message = f"'{name}' loses all days, and a rerun would find this one empty"
        else:
            message = f"'{name}' is emptied and locked against its readers, and the metrics count nothing"
        source.report("truncate", relation, message)
