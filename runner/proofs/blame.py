"""Which of several steps that write a table makes the difference, and the fault that is noted under it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from runner.proofs import contrast, digest
from runner.proofs.bench import Bench
from runner.proofs.contrast import Contrast
from runner.proofs.digest import RowChange, Table
from runner.proofs.fault import Fault
from runner.proofs.trial import StepBroke, Trial
from runner.proofs.ways import PLANNER, Difference, Way, differ
from runner.step import SqlFile

# Kinds of faults that are about whole rows.
_OF_ROWS = {"late-record-lost", "left-behind", "last-applied-wins", "repetition", "order-matters"}


def note(bench: Bench, trial: Trial, difference: Difference, proof: str) -> None:
    """Note a difference as the fault that its rows show, where it is that of a chosen step."""
    for steps in bench.reach(difference):
        fault = contrast.compare(trial, bench.scope, steps, difference, proof)
        if fault is None:
            continue
        fault = _accuse(bench, trial, steps, difference, fault)
        if fault.step in bench.chosen:
            if bench.scope.from_later(bench.step(fault.step)):
                fault = dataclasses.replace(fault, kind="reads-later-step")
            elif _notes_changes(bench, fault):
                fault = dataclasses.replace(fault, kind="notes-changes")
            bench.note(dataclasses.replace(fault, also=difference.also))
        return


def _notes_changes(bench: Bench, fault: Fault) -> bool:
    """Tell whether rows differ that a trigger or a foreign key alone writes."""
    unnamed = fault.table in bench.scope.unnamed.get(fault.step, ())
    # Where a block builds its statements itself, it may well be one of those.
    named_nowhere = unnamed and not bench.scope.unclear[fault.step] and len(bench.writers(fault.table or "")) == 1
    return named_nowhere and fault.kind in _OF_ROWS


def _accuse(bench: Bench, trial: Trial, steps: Sequence[SqlFile], difference: Difference, fault: Fault) -> Fault:
    """Put the fault under the step without which there is no difference."""
    table = fault.table
    if table is None:
        return fault
    all_writers = bench.writers(table)
    writers = [step for step in all_writers if step in steps]
    if len(all_writers) < 2 or not writers:
        return dataclasses.replace(fault, writers=out_of_sight(bench, fault.step, table))
    difference = dataclasses.replace(difference, tables=(table,))
    others = [step for step in all_writers if step not in writers]
    if len(writers) == 1:
        return _under(bench, fault, writers[0], others, f"without {_names(others)} the difference stays")
    needed = [
        writer
        for writer in writers
        if not differ(trial, bench.scope, [step for step in steps if step is not writer], difference)
    ]
    if len(needed) == 1:
        others = [step for step in all_writers if step is not needed[0]]
        return _under(bench, fault, needed[0], others, "without this step there is no difference")
    last = _last(bench, trial, steps, difference, needed or writers)
    if last is not None:
        others = [step for step in all_writers if step is not last]
        return _under(bench, fault, last, others, "this step wrote what differs last")
    if needed:
        return _under(bench, fault, needed[0], needed[1:], "without any one of them there is no difference")
    return _under(bench, fault, writers[0], writers[1:], "without any one of them the difference stays")


def _under(bench: Bench, fault: Fault, step: SqlFile, others: Sequence[SqlFile], why: str) -> Fault:
    assert fault.table is not None
    also = f"{_names(others)} {'writes' if len(others) == 1 else 'write'} {fault.table}, too: {why}"
    hidden = out_of_sight(bench, step.id, fault.table)
    return dataclasses.replace(fault, step=step.id, writers=f"{also}. {hidden}" if hidden else also)


def out_of_sight(bench: Bench, step: str, table: str) -> str:
    """Return that no statement of a step names a table that it writes, or nothing where one does."""
    if table not in bench.scope.unnamed.get(step, ()):
        return ""
    return f"No statement of {step} names {table}: a trigger, a foreign key, a view or a built statement writes it"


def of_clock(bench: Bench, trial: Trial, steps: Sequence[SqlFile], way: Way, found: Contrast, fault: Fault) -> Fault:
    """Put the fault of rows that hold the time under the step that wrote them last."""
    writers = bench.writers(found.table.name)
    if len(writers) < 2:
        return dataclasses.replace(fault, writers=out_of_sight(bench, fault.step, found.table.name))
    last = last_writer(trial, bench, steps, way, found, writers) or writers[0]
    others = [step for step in writers if step is not last]
    return _under(bench, fault, last, others, "this step wrote what differs last")


def _last(
    bench: Bench, trial: Trial, steps: Sequence[SqlFile], difference: Difference, among: Sequence[SqlFile]
) -> SqlFile | None:
    """Return the step that wrote last what differs, where it is one of `among`, and the same both ways."""
    found = contrast.look(trial, bench.scope, steps, difference)
    if found is None or isinstance(found, StepBroke):
        return None
    last = {last_writer(trial, bench, steps, way, found, among) for way in (difference.one, difference.other)}
    return last.pop() if len(last) == 1 else None


def last_writer(
    trial: Trial, bench: Bench, steps: Sequence[SqlFile], way: Way, found: Contrast, among: Sequence[SqlFile]
) -> SqlFile | None:
    """Return the step, of `among`, that last changed the first of the rows found; None where another one did."""
    change, last, held = found.changes[0], None, None
    with trial.aside():
        if way.turned:
            trial.turn_staged(bench.scope.staging_of(steps), list(set(way.order)))
        for day in way.order:
            for step in steps:
                trial.run(step, day, PLANNER if way.turned else None)
                trial.tidy()
                now = _of_row(trial, found.table, found.buckets, change)
                if now != held:
                    last, held = step, now
    return last if last in among else None


def _of_row(trial: Trial, table: Table, buckets: Sequence[int], change: RowChange) -> tuple[str | None, ...] | None:
    """Return what a row says in the columns that differ, None where it is missing."""
    for row in digest.rows(trial.connection, table, buckets):
        values = dict(zip(table.columns, row, strict=True))
        if all(values[name] == text for name, text in change.key.items()):
            return tuple(values[name] for name in change.columns)
    return None


def _names(steps: Sequence[SqlFile]) -> str:
    return ", ".join(step.id for step in steps)
