"""Rules of one statement's snapshot: its parts do not see what the others write."""

from __future__ import annotations

from runner.lint import paths
from runner.lint.model import Part, closure
from runner.lint.source import Source


def check(source: Source) -> None:
    """Report parts that read, change or insert what a sibling changes."""
    if source.has("unknown-table", "unknown-column"):
        return  # what a name means that is not known, nothing can be told by
    for parts in source.script.statements:
        writers = [part for part in parts if part.writes]
        if len(parts) < 2 or not writers:
            continue
        _same_rows(source, writers)
        users: dict[Part, list[Part]] = {}
        for part in parts:
            for used in part.uses:
                users.setdefault(used, []).append(part)
        for reader in parts:
            _stale(source, reader, writers, users)


def _same_rows(source: Source, writers: list[Part]) -> None:
    for number, second in enumerate(writers):
        for first in writers[:number]:
            if first.target != second.target or "whole" in (_extent(first), _extent(second)):
                continue
            kinds = {first.kind, second.kind}
            if "delete" in kinds and kinds & {"insert", "upsert"}:
                rule = "delete-then-insert"
                what = f"{first.shown} and {second.shown} delete and insert rows of '{second.target}' in one statement"
            elif (
                kinds <= {"insert"}
                or kinds <= {"delete"}
                or kinds == {"insert", "update"}
                or kinds == {"insert", "upsert"}
            ):
                continue
            else:
                rule = "same-row-twice"
                what = (
                    f"{first.shown} and {second.shown} may change the same row of '{second.target}', "
                    "and only one of the changes takes effect"
                )
            if not paths.are_apart(first, second):
                source.report(rule, second.node.relation, what)
                return


def _extent(part: Part) -> str:
    """Return `whole` for an update or delete of all rows, of which `missing-where` speaks."""
    return "whole" if part.kind in ("update", "delete") and part.node.whereClause is None else ""


def _stale(source: Source, reader: Part, writers: list[Part], users: dict[Part, list[Part]]) -> None:
    for writer in writers:
        read = _read(reader, writer)
        if writer is reader or not read or reader in closure(writer):
            continue
        if writer.kind == "update" and not _reads_changed(reader, writer):
            continue
        goals = _goals(reader, users)
        stale = [goal for goal in goals if goal.target != "pipeline_metrics" and not _apart(reader, goal, writer)]
        # To compare what was written with what was there before is the use of the old rows.
        stale = [goal for goal in stale if not (goal.is_temporary and writer in goal.uses)]
        if not stale or _combines(reader, stale, writer):
            continue
        source.report(
            "sibling-read",
            _read_at(reader, read),
            f"{reader.shown} reads '{read}' as it was before {writer.shown} writes "
            + ("it" if read == writer.target else f"'{writer.target}'"),
        )
        return


def _read(reader: Part, writer: Part) -> str:
    """Return the table that a part reads and another one writes, itself or its partitions; empty where none is."""
    names = reader.reads & writer.kin
    return writer.target if writer.target in reader.reads else min(names, default="")


def _apart(reader: Part, goal: Part, writer: Part) -> bool:
    """Return whether a part that writes the same table may go by its old rows: each by its own, or others."""
    if goal.target != writer.target and goal.target not in writer.kin:
        return False
    if goal.kind != "update" or reader is goal or paths.are_apart(writer, goal):
        return True
    way = [part for part in closure(goal) if reader in closure(part)]
    return not any(query.node is not None and query.node.groupClause for part in way for query in part.queries)


def _read_at(reader: Part, target: str) -> int:
    """Return where the part names the table it reads."""
    from runner import sqltree

    written = [node.relation for node in sqltree.walk(reader.node) if node.kind in sqltree.CHANGES]
    for node in sqltree.walk(reader.node):
        is_read = node.kind == "RangeVar" and not any(node is other for other in written)
        if is_read and sqltree.name_of(node) == target.removeprefix("pg_temp."):
            return sqltree.place(node)
    return sqltree.place(reader.node)


def _reads_changed(reader: Part, writer: Part) -> bool:
    read = {column for table, column in reader.read_columns if table == _read(reader, writer)}
    return not read or bool(read & set(writer.values))


def _goals(part: Part, users: dict[Part, list[Part]]) -> list[Part]:
    """Return the writing parts, or the statement, in which what a part returns ends."""
    if part.writes or not part.name:
        return [part]
    found: list[Part] = []
    pending, seen = [part], {part}
    while pending:
        for user in users.get(pending.pop(), ()):
            if user in seen:
                continue
            seen.add(user)
            if user.writes or not user.name:
                found.append(user)
            else:
                pending.append(user)
    return found


def _combines(reader: Part, goals: list[Part], writer: Part) -> bool:
    """Return whether the table is put together with what the writer brings: then the old rows are what is wanted."""
    sources = {part for part in closure(writer) if part is not writer and (part.reads or part.uses)}
    tables = {name for part in closure(writer) for name in part.reads} - {writer.target}
    for goal in goals:
        for part in closure(goal):
            if reader not in closure(part):
                continue
            shares = bool(part.uses & sources) or bool(part.reads & tables)
            if shares and (_has_union(part) or paths.absences(part)):
                return True
    return False


def _has_union(part: Part) -> bool:
    return any(query.arms or sum(relation.is_nullable for relation in query.relations) > 1 for query in part.queries)
