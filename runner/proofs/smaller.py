"""Faults with the smallest example of each, as far as the time goes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

from runner import checks
from runner.proofs import blame, contrast, digest, example, orders, single
from runner.proofs.bench import Bench
from runner.proofs.fault import PROOFS, Evidence, Fault
from runner.proofs.orders import Order
from runner.proofs.shrink import Deadline
from runner.proofs.trial import StepBroke, Trial
from runner.proofs.ways import Difference, Way, differ, go
from runner.step import SqlFile


def examples(bench: Bench) -> list[Fault]:
    """Return the faults in the order of steps and proofs, each with a small counterexample where there is time."""
    places = [step.id for step in bench.task.steps]
    faults = [_told(bench, fault) for fault in bench.faults.values()]
    faults.sort(key=lambda fault: (places.index(fault.step), list(PROOFS).index(fault.proof)))
    if not faults or not bench.task.shrink or not {"deterministic", "order"} & set(bench.task.proofs):
        return faults
    deadline = Deadline(bench.task.shrink)
    small = []
    with bench.trial(bench.steps) as trial:
        bench.empty(trial)
        for number, fault in enumerate(faults):
            bench.show(f"{fault.step}: looking for the smallest example …")
            small.append(_smaller(bench, trial, fault, deadline.share(len(faults) - number)))
    return small


def _told(bench: Bench, fault: Fault) -> Fault:
    """Say of a fault what is known only now: of its table, and which others differ without a fault of their own."""
    table = fault.table or ""
    said = fault.writers or blame.out_of_sight(bench, fault.step, table)
    if fault.kind == "table-not-counted" and table in bench.scope.staging:
        said = f"{table} is staging: a step that leaves its rows there has none to count"
    own = {each.table for each in bench.faults.values() if each.proof == fault.proof and each.step != fault.step}
    after = {
        name
        for name in fault.also
        for writer in bench.writers(name)
        if fault.step in {step.id for step in bench.scope.needed(writer)}
    }
    return dataclasses.replace(fault, writers=said, also=tuple(name for name in fault.also if name in after - own))


def fewer_days(bench: Bench, trial: Trial, difference: Difference) -> Difference:
    """Return the difference with the fewest days with which it comes about."""
    deadline = Deadline(bench.task.shrink / 2)
    steps = bench.reach(difference)[:2][-1]
    for one, other in orders.smaller(difference.one.order, difference.other.order):
        if deadline.passed():
            break
        smaller = dataclasses.replace(difference, one=Way(one), other=Way(other))
        if differ(trial, bench.scope, steps, smaller):
            return smaller
    return difference


def _smaller(bench: Bench, trial: Trial, fault: Fault, deadline: Deadline) -> Fault:
    if fault.kind == "fails":
        return fault
    if fault.kind == "clock":
        return _of_clock(bench, trial, fault, deadline)
    if fault.proof in ("deterministic", "order"):
        return _of_difference(bench, trial, fault, deadline)
    return _of_application(bench, trial, fault, deadline)


def _of_difference(bench: Bench, trial: Trial, fault: Fault, deadline: Deadline) -> Fault:
    one, other = Way(fault.orders[0]), Way(fault.orders[-1], turned=fault.kind == "arrival")
    broken = StepBroke(bench.step(fault.step), other.order[-1], "", None) if fault.kind == "fails-in-order" else None
    tables = (fault.table,) if fault.table else ()
    difference = Difference(fault.step, tables, one, other, broken=broken)
    for steps in bench.reach(difference):
        probe: example.Probe = partial(contrast.compare, trial, bench.scope, steps, difference, fault.proof)
        test: example.Test = partial(differ, trial, bench.scope, steps, difference)
        if test():
            small = example.shrink(trial, bench.scope, steps, fault, probe, test, deadline)
            kind = small.kind if fault.kind not in ("reads-later-step", "notes-changes") else fault.kind
            return dataclasses.replace(small, also=fault.also, writers=fault.writers, kind=kind)
    return fault


def _of_application(bench: Bench, trial: Trial, fault: Fault, deadline: Deadline) -> Fault:
    """Return the example of a fault that one application of a step shows, on as few days as it takes."""
    (whole,) = fault.orders
    days = bench.task.days
    steps = bench.scope.needed(bench.step(fault.step))
    for order_ in dict.fromkeys([whole[-1:], whole, days[: days.index(whole[-1]) + 1]]):
        probe = partial(_applied, bench, trial, steps, fault, order_)
        found = probe()
        if found is not None:
            found = dataclasses.replace(found, from_empty=True)
            test = partial(_is_there, probe)
            small = example.shrink(trial, bench.scope, steps, found, probe, test, deadline)
            return dataclasses.replace(small, writers=fault.writers)
    return fault


def _is_there(probe: example.Probe) -> bool:
    return probe() is not None


def _applied(bench: Bench, trial: Trial, steps: Sequence[SqlFile], fault: Fault, order_: Order) -> Fault | None:
    """Return the fault as it comes about on the last day of `order_`, from the tables as they are now."""
    step = bench.step(fault.step)
    before = steps[: steps.index(step)]
    first = fault.kind == "staging-changed"
    wanted = checks.of(bench.task.checks, step)
    quick = fault.proof == "rerun" and not first
    with trial.aside():
        try:
            go(trial, bench.scope, steps, Way(order_[:-1]))
            go(trial, bench.scope, before, Way(order_[-1:]))
            _, faults = single.prove(trial, bench.scope, step, order_, wanted, (fault.proof,), quick=quick)
        except StepBroke:
            return None
    return next((found for found in faults if (found.kind, found.table) == (fault.kind, fault.table)), None)


def _of_clock(bench: Bench, trial: Trial, fault: Fault, deadline: Deadline) -> Fault:
    """Return the fault with one row, its two values, and the staging rows that make it.

    Inside one transaction the clock stands still: the row is made by fewer staging rows where it still says the same.
    """
    evidence, (whole,) = fault.evidence, fault.orders
    if evidence is None or fault.table is None:
        return fault
    table = bench.scope.final[fault.table]
    width = len(evidence.headers) - 3
    key = evidence.rows[0][:width]
    lines = tuple(row for row in evidence.rows if row[:width] == key)
    one_row = Evidence(evidence.headers, lines)
    columns = [row[width] for row in lines]
    if not table.key or not set(columns) <= set(table.columns):
        return fault  # which row it is hangs on the time, too
    difference = Difference(fault.step, (table.name,), Way(whole), Way(whole))
    steps = bench.reach(difference)[:2][-1]

    def values(order_: Order) -> list[str | None] | None:
        try:
            with trial.aside():
                go(trial, bench.scope, steps, Way(order_))
                for row in digest.rows(trial.connection, table, range(digest.BUCKETS)):
                    named = dict(zip(table.columns, row, strict=True))
                    if tuple(named[name] for name in table.key) == key:
                        return [named[name or ""] for name in columns]
        except StepBroke:
            pass
        return None

    for order_ in dict.fromkeys([whole[-1:], whole]):
        expected = values(order_)
        if expected is not None and not any(text in lines[place][width + 1 :] for place, text in enumerate(expected)):
            message = contrast.once_more(Way(order_), table.name)
            shown = dataclasses.replace(fault, orders=(order_,), evidence=one_row, message=message)

            def there(order_: Order = order_, expected: list[str | None] = expected) -> bool:
                return values(order_) == expected

            def found(shown: Fault = shown) -> Fault:
                return shown

            return example.shrink(trial, bench.scope, steps, shown, found, there, deadline)
    return fault
