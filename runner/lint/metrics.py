"""Rules of the template: one metrics row, of this run, finished after the work."""

from __future__ import annotations

from runner import sqltree
from runner.lint import counts, evidence
from runner.lint.counts import pointed_at
from runner.lint.model import Column, Part, Query, Relation, Script, leaves, nothing_known, results
from runner.lint.source import Source
from runner.sqltree import Node

METRICS = "pipeline_metrics"
_STARTS = frozenset({"now", "transaction_timestamp", "current_timestamp", "current_timestamp_n"})


def check(source: Source) -> None:
    """Report what is wrong with a step's metrics row."""
    script = source.script
    found = [part for part in script.parts if part.target == METRICS and part.kind in ("insert", "upsert", "merge")]
    if not found:
        if not script.is_opaque and source.statements:
            source.report_at("no-metrics", 0, f"{source.shown} does not insert into {METRICS}")
        return
    for part in found[1:]:
        source.report("many-metrics", part.node.relation, f"this is insert {found.index(part) + 1} into {METRICS}")
    part = found[0]
    rows = part.node.selectStmt.valuesLists if part.node.selectStmt is not None else None
    if rows and len(rows) > 1:
        source.report("many-metrics", part.node.relation, f"{len(rows)} rows are inserted into {METRICS}")
    _context(source, part)
    _names(source, part)
    wrong = [] if script.is_opaque else counts.check(source, part, script)
    # Metrics that do not come from the writes cannot read the clock after them: said of the counts.
    _times(source, part, None if wrong else script)
    if not script.is_opaque:
        counts.check_all(source, part, script, wrong)


def _context(source: Source, part: Part) -> None:
    for column, setting in (("flow_run_id", "app.flow_run_id"), ("day", "app.day")):
        if column not in part.values:
            if part.values:
                source.report("metrics-context", part.node.relation, f"the metrics do not say {column}")
            continue
        found = list(leaves(part.values[column]))
        named = [
            sqltree.constant(leaf.args[0])
            for leaf in found
            if isinstance(leaf, Node) and sqltree.function(leaf) == "current_setting" and leaf.args
        ]
        # What comes from a table may have got there from the settings.
        unknown = any(nothing_known(leaf) or (isinstance(leaf, Column) and leaf.table is not None) for leaf in found)
        if setting not in named and not (unknown and not named):
            message = f"{column} is not current_setting('{setting}')"
            source.report("metrics-context", pointed_at(part, column), message)


def _names(source: Source, part: Part) -> None:
    task = part.values.get("task_name")
    name = _constant(task)
    if name is not None and source.number is not None and name != f"{source.name}_task":
        source.report(
            "metrics-name",
            pointed_at(part, "task_name"),
            f"task_name is '{name}', and the step's is '{source.name}_task'",
        )
    for leaf in results(part.values.get("status")):
        status = sqltree.constant(leaf)
        if leaf.kind == "A_Const" and status not in ("success", "skipped"):
            source.report("metrics-status", leaf, f"the status is '{status}'")


def _constant(value: Node | Column | None) -> str | None:
    found = list(leaves(value))
    return sqltree.constant(found[0]) if len(found) == 1 and isinstance(found[0], Node) else None


def _times(source: Source, part: Part, script: Script | None) -> None:
    """Report clocks of another time than the start and the finish; without a `script` not where the finish is read."""
    for leaf in leaves(part.values.get("started_at")):
        if isinstance(leaf, Node) and sqltree.function(leaf) in evidence.CLOCKS - _STARTS:
            message = f"started_at is {sqltree.called(leaf)}, which is looked at when something asks for it"
            source.report("metrics-context", leaf, message)
    for leaf in leaves(part.values.get("finished_at")):
        if not isinstance(leaf, Node):
            continue
        name = sqltree.function(leaf)
        if name == "clock_timestamp" or name == "timeofday":
            if script is not None and not _is_after_work(leaf, part, script):
                message = "the clock is not read from the metrics, so it may be looked at before the work"
                source.report("metrics-finish", leaf, message)
        elif name in evidence.CLOCKS:
            what = "the transaction began" if name != "statement_timestamp" else "the statement came in"
            source.report("metrics-finish", leaf, f"finished_at is {sqltree.called(leaf)}, the time when {what}")


def _is_after_work(call: Node, part: Part, script: Script) -> bool:
    """Return whether the clock is read in a query that waits for the statement's writes."""
    siblings = [p for p in script.statements[part.number] if p.writes and p is not part]
    if not siblings:
        return True
    query: Query | None = call.owner
    while query is not None:
        if any(_waits(relation, siblings) for relation in query.relations):
            return True
        query = query.parent if query.part is call.owner.part else None
    return False


def _waits(relation: Relation, writers: list[Part]) -> bool:
    """Return whether rows of a relation are there only after one of the writers is done."""
    pending: list[Part] = []
    if relation.part is not None:
        pending.append(relation.part)
    inner = () if relation.query is None else (relation.query, *relation.query.arms)
    if any(_waits(own, writers) for query in inner for own in query.relations):
        return True
    seen = set(pending)
    while pending:
        part = pending.pop()
        if part in writers:
            return True
        for used in part.uses - seen:
            seen.add(used)
            pending.append(used)
    return False
