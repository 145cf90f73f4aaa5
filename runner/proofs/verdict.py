"""How each proof of each step came out, in a word and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner import checks, console
from runner.proofs.bench import Bench
from runner.proofs.effect import KINDS
from runner.proofs.fault import PROOFS, Fault
from runner.step import SqlFile


@dataclass(frozen=True)
class Verdict:
    """How a proof of a step came out: `ok`, `fault` or `open` where it was not tried; `text` says what was seen."""

    step: str
    proof: str
    outcome: str
    text: str


def verdicts(bench: Bench, faults: Sequence[Fault]) -> list[Verdict]:
    """Return a verdict for each chosen step and proof."""
    found = []
    for step in bench.task.chosen:
        for proof in [name for name in PROOFS if name in bench.task.proofs]:
            own = [fault for fault in faults if (fault.step, fault.proof) == (step.id, proof)]
            if own:
                found.append(Verdict(step.id, proof, "fault", ", ".join(dict.fromkeys(fault.kind for fault in own))))
            elif behind := bench.behind(step):
                failing = ", ".join("it" if name == step.id else name for name in behind)
                found.append(Verdict(step.id, proof, "open", f"not tried to the end: {failing} fails"))
            elif proof in ("deterministic", "order"):
                found.append(Verdict(step.id, proof, *_from_nothing(bench, step, proof, faults)))
            else:
                found.append(Verdict(step.id, proof, "ok", _applied(bench, step, proof)))
    return found


def _applied(bench: Bench, step: SqlFile, proof: str) -> str:
    """Return what was seen by a proof of single applications, which found no fault."""
    tally = bench.tallies[step.id]
    if proof == "rerun":
        applied = console.count(tally.applications, "application")
        return f"{console.count(tally.changed.total(), 'row')} changed in {applied}, none when applied again"
    if proof == "metrics":
        return ", ".join(f"{tally.changed[kind]:,} {kind}" for kind in KINDS) + ", as counted"
    if not tally.checks:
        return "it has none" if not checks.of(bench.task.checks, step) else "none ran: the step was skipped"
    warned = [f"{name} warns of {console.count(rows, 'row')}" for name, rows in tally.warned.items()]
    return "; ".join([console.count(len(tally.checks), "check"), *warned])


def _from_nothing(bench: Bench, step: SqlFile, proof: str, faults: Sequence[Fault]) -> tuple[str, str]:
    """Return the outcome of a proof that begins from nothing and found no fault of a step, and what was seen."""
    scope = bench.scope
    if step.id in bench.blocked():
        return "open", "not compared: see the other faults"
    if scope.unclear[step.id] and not scope.counted:
        return "open", f"which tables it writes is not known: {scope.unclear[step.id]}, and track_counts is off"
    compared = scope.compared(step)
    others = sorted(scope.left_out.get(step.id, frozenset()))
    for name in sorted(scope.writes[step.id] & set(scope.marks)):
        marking = ", ".join(other for other, marks in scope.marked.items() if name in marks)
        others.append(f"{name} (a watermark of {marking})")
    if not compared:
        named = f": {', '.join(others)}" if others else ""
        return "open", f"none of the tables that it writes can be compared{named}"
    if differ := sorted(bench.differing.get(proof, set()) & set(compared)):
        near = {other.id for other in scope.needed(step, *(each for name in differ for each in scope.writers(name)))}
        theirs = {fault.step for fault in faults if fault.proof in ("rerun", proof)} & near
        theirs = (theirs or {name for name, _ in scope.roots(bench.differing[proof])} & near) - {step.id}
        why = f", which may come from {', '.join(sorted(theirs))}" if theirs else ""
        return "open", f"other rows of {', '.join(differ)}{why}"
    left = f"; not compared: {', '.join(others)}" if others else ""
    count = len(bench.task.days)
    if proof == "deterministic":
        if bench.unturned:
            return "open", f"with the rows of staging in another order, and other plans, {bench.unturned}"
        return "ok", f"{console.count(count, 'day')} made twice, and from staging rows in another order{left}"
    if count < 2:
        return "open", "takes two days in staging"
    seen = f"{console.count(len(bench.orders), 'order')} of {count} days, the same rows in "
    return "ok", f"{seen}{console.count(len(compared), 'table')}{left}"
