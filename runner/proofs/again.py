"""The same days once more: with staging rows that lie the other way, and in a later transaction."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from runner.proofs import blame, contrast, digest, order
from runner.proofs.bench import Bench
from runner.proofs.contrast import Contrast
from runner.proofs.digest import Digest
from runner.proofs.trial import StepBroke, Trial
from runner.proofs.ways import Difference, Way, apply_day, go

_PROOF = "deterministic"


def compare(bench: Bench, trial: Trial, expected: Sequence[Digest]) -> list[Difference]:
    """Compare with tables made of staging rows that lie the other way, and with an earlier transaction's.

    `expected` are the digests of the latter, one a day. Differences from it are returned, for a later look.
    """
    natural = bench.task.days
    once_more = _digests(bench, trial, Way(natural))
    turned = _digests(bench, trial, Way(natural, turned=True))
    later: dict[tuple[str, str], Difference] = {}
    names = bench.differing.setdefault(_PROOF, set())
    for number, (one, other, third) in enumerate(itertools.zip_longest(expected, once_more, turned)):
        prefix = Way(natural[: number + 1])
        names.update(digest.differing(one, other))
        for step, tables, also in order.differing(bench.scope, one, other, bench.blocked()):
            difference = Difference(step, tables, prefix, prefix, also)
            if bench.concerns(difference):
                later.setdefault((step, tables[0]), difference)
        if third is None:
            continue
        names.update(digest.differing(other, third))
        for step, tables, also in order.differing(
            bench.scope, other, third, [*bench.blocked(), *(name for name, _ in later)]
        ):
            difference = Difference(step, tables, prefix, Way(prefix.order, turned=True), also)
            if bench.concerns(difference):
                blame.note(bench, trial, difference, _PROOF)
    return list(later.values())


def _digests(bench: Bench, trial: Trial, way: Way) -> list[Digest]:
    """Return what the tables hold after each day; fewer where a step fails because staging is turned around."""
    digests: list[Digest] = []
    with trial.aside():
        if way.turned:
            trial.turn_staged(bench.scope.staging_of(bench.whole), way.order)
        try:
            for number, day in enumerate(way.order):
                bench.show(f"{Way(way.order[: number + 1], way.turned).name} …")
                apply_day(trial, bench.whole, day, turned=way.turned)
                digests.append(bench.take(trial))
        except StepBroke as broke:
            # Other plans may take too long: that is no fault of the step.
            if not way.turned:
                raise
            bench.unturned = f"{broke.step.id} fails on {broke.day}: {broke.reason.splitlines()[0]}"
    return digests


def note_later(bench: Bench, difference: Difference) -> None:
    """Note that a later transaction made other rows; two more tell chance, which differs in one, from the clock."""
    way = difference.one
    table = bench.scope.final[difference.tables[0]]
    steps = bench.reach(difference)[1 if len(bench.reach(difference)) > 1 else 0]
    states = []
    for times in (2, 1):
        with bench.trial(steps) as trial:
            bench.empty(trial)
            for _ in range(times):
                with trial.aside():
                    go(trial, bench.scope, steps, way)
                    states.append(digest.rows(trial.connection, table, range(digest.BUCKETS)))
    first, again, later = states
    for kind, state in (("random", again), ("clock", later)):
        changes = digest.compare(table, first, state)
        if changes:
            fault = contrast.fault_of(_PROOF, kind, difference.step, table, changes, way, way, False)
            with bench.trial(steps) as trial:
                bench.empty(trial)
                found = Contrast(table, range(digest.BUCKETS), changes, False)
                fault = blame.of_clock(bench, trial, steps, way, found, fault)
            if fault.step in bench.chosen:
                bench.note(fault)
            return
