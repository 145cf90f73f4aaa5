"""Proofs of a pipeline's steps on days that are in staging; everything happens in transactions that are rolled back.

First on the tables as they are, then from emptied ones: what a day's application changes, what it says of
that, what its repetition changes, and whether the order of days matters.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from runner import checks, console, database
from runner.check import Check
from runner.proofs import digest, example, order, orders, scope, single
from runner.proofs.digest import Digest
from runner.proofs.fault import PROOFS, Fault
from runner.proofs.order import Difference, Way
from runner.proofs.orders import Order
from runner.proofs.scope import Scope
from runner.proofs.shrink import Deadline
from runner.proofs.trial import StepBroke, Trial
from runner.step import SqlFile

_AS_THEY_ARE = "as the tables are"

# Where the same order already ends in other rows, another one proves nothing.
_UNSETTLED = {
    "inserted-again", "one-run-late", "adds-up", "never-settles", "rerun-fails", "staging-changed", "clock",
    "random", "arrival",
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """What is to be proven: `chosen` of the pipeline's `steps`, on `days` in natural order.

    `proofs` are names of PROOFS. `shrink` is how many seconds may be spent on making counterexamples small.
    """

    pipeline: str
    steps: tuple[SqlFile, ...]
    chosen: tuple[SqlFile, ...]
    days: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    proofs: tuple[str, ...] = tuple(PROOFS)
    seed: int = 0
    shrink: float = 30.0


@dataclass(frozen=True)
class Verdict:
    """How a proof of a step came out: `ok`, `fault` or `open` where it was not tried; `text` says what was seen."""

    step: str
    proof: str
    outcome: str
    text: str


@dataclass
class Tally:
    """What was seen of a step while it was proven."""

    applications: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    checks: set[str] = field(default_factory=set)
    warned: dict[str, int] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)


class Verifier:
    """Runs the proofs of a task. `connect` opens a connection; `show` is told what goes on, for a progress line."""

    def __init__(
        self,
        task: Task,
        connect: Callable[[], database.Connection],
        show: Callable[[str], None] = lambda _: None,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._task = task
        self._connect = connect
        self._show = show
        self._log = log
        self._faults: dict[tuple[str, str, str | None], Fault] = {}
        self._tallies = {step.id: Tally() for step in task.steps}
        self._scope: Scope
        self._steps: tuple[SqlFile, ...] = ()
        self._orders: list[Order] = []
        self._began_empty = False
        self._broken: set[str] = set()
        self._unturned = ""

    def run(self) -> tuple[list[Verdict], list[Fault]]:
        """Return a verdict for each step and proof, and the faults, with small counterexamples.

        A step that fails by itself, and those that read what it writes, are not proven further. Raises
        StepBroke where another session was in the way.
        """
        task = self._task
        with self._trial(task.steps) as trial:
            self._scope = scope.find(trial.connection, task.steps)
            needed = {step.id for chosen in task.chosen for step in self._scope.needed(chosen)}
            self._steps = tuple(step for step in task.steps if step.id in needed)
            self._began_empty = not any(self._take(trial).values())
            if self._single_proofs:
                for number, day in enumerate(task.days):
                    # From nothing the days before count, too.
                    order_ = task.days[: number + 1] if self._began_empty else (day,)
                    self._apply(trial, order_, _AS_THEY_ARE, from_empty=self._began_empty)
        if {"deterministic", "order"} & set(task.proofs):
            self._from_empty_without_broken()
        faults = self._small(list(self._faults.values()))
        return self._verdicts(faults), faults

    def _from_empty_without_broken(self) -> None:
        """Prove what begins from nothing, all over again without a step that fails in it."""
        while self._whole:
            try:
                self._from_empty()
                return
            except StepBroke as broke:
                natural = self._task.days
                self._fails(broke, natural[: natural.index(broke.day) + 1], from_empty=True)

    def _fails(self, broke: StepBroke, order_: Order, *, from_empty: bool) -> None:
        """Note that a step fails by itself, and go on without it."""
        if broke.transient or broke.step.id in self._broken:
            raise broke
        self._broken.add(broke.step.id)
        before = f" after {orders.shown(order_[:-1])}" if len(order_) > 1 else ""
        message = f"{broke.day}: the step fails{before}\n{broke.reason}"
        proof = next((proof for proof in ("rerun", "order") if proof in self._task.proofs), self._task.proofs[0])
        self._note(Fault(proof, "fails", broke.step.id, None, message, (order_,), from_empty=from_empty))

    @property
    def _whole(self) -> tuple[SqlFile, ...]:
        """The steps to run: none that fails by itself, and none that reads what such a one writes."""
        return tuple(step for step in self._steps if not self._behind(step))

    def _behind(self, step: SqlFile) -> list[str]:
        """Return the steps that fail by themselves and that a step needs, itself among them."""
        return [other.id for other in self._scope.needed(step) if other.id in self._broken]

    @property
    def _single_proofs(self) -> tuple[str, ...]:
        return tuple(proof for proof in self._task.proofs if proof in ("rerun", "metrics", "checks"))

    def _trial(self, steps: Sequence[SqlFile]) -> Trial:
        return Trial(self._connect, self._task.pipeline, steps, self._task.days, self._log)

    def _empty(self, trial: Trial) -> None:
        trial.empty([*self._scope.final.values(), *self._scope.marks.values()])

    def _apply(self, trial: Trial, order_: Order, where: str, *, from_empty: bool) -> None:
        """Apply the last day of an order, and prove of each chosen step what one application can."""
        for step in self._whole:
            if self._behind(step):
                continue  # since this day
            self._show(f"{where}: {orders.shown(order_)}  {step.id} …")
            try:
                with trial.attempt():
                    self._apply_step(trial, step, order_, from_empty=from_empty)
            except StepBroke as broke:
                if where != _AS_THEY_ARE:
                    raise
                days_ = self._task.days
                self._fails(broke, days_[: days_.index(broke.day) + 1], from_empty=from_empty)

    def _apply_step(self, trial: Trial, step: SqlFile, order_: Order, *, from_empty: bool) -> None:
        if step not in self._task.chosen:
            trial.run(step, order_[-1])
            trial.tidy()
            return
        wanted = checks.of(self._task.checks, step)
        applied, faults = single.prove(trial, self._scope, step, order_, wanted, self._single_proofs)
        self._count(step, order_, applied)
        for fault in faults:
            self._note(dataclasses.replace(fault, from_empty=from_empty))

    def _note(self, fault: Fault) -> None:
        """Keep the first fault of its kind."""
        self._faults.setdefault((fault.step, fault.kind, fault.table), fault)

    def _count(self, step: SqlFile, order_: Order, applied: single.Applied) -> None:
        tally = self._tallies[step.id]
        tally.applications += 1
        tally.tables.update(effect.table for effect in applied.effects)
        tally.changed.update(dict(zip(single.KINDS, applied.total, strict=True)))
        tally.checks.update(result.check for result in applied.checks)
        for result in applied.checks:
            if result.status == "warned":
                tally.warned[result.check] = max(result.rows_failed, tally.warned.get(result.check, 0))

    def _from_empty(self) -> None:
        task = self._task
        natural = task.days
        # The days once more, the last first; what begins from nothing was proven before.
        backward = (*reversed(natural), natural[-1]) if len(natural) > 1 else ()
        with self._trial(self._whole) as trial:
            self._empty(trial)
            expected = []
            with trial.aside():
                for number, day in enumerate(natural):
                    if self._began_empty or not self._single_proofs:
                        self._show(f"{orders.shown(natural[: number + 1])} …")
                        order.apply_day(trial, self._whole, day)
                    else:
                        self._apply(trial, natural[: number + 1], "from empty tables", from_empty=True)
                    expected.append(self._take(trial))
            # A step that fails here is one that the orders find, or a rerun did.
            with suppress(StepBroke):
                for number, day in enumerate(backward if self._single_proofs else ()):
                    if number == 0:
                        order.apply_day(trial, self._whole, day)
                    else:
                        self._apply(trial, backward[: number + 1], "from empty tables", from_empty=True)
        # A later transaction, in which the clock shows another time.
        later: list[Difference] = []
        with self._trial(self._whole) as trial:
            self._empty(trial)
            if "deterministic" in task.proofs:
                later = self._deterministic(trial, expected)
            blocked = [*self._blocked(), *(difference.step for difference in later)]
            if "order" in task.proofs and len(task.days) > 1:
                self._in_orders(trial, blocked)
        for difference in later:
            self._clock(difference)

    def _take(self, trial: Trial) -> Digest:
        return digest.take(trial.connection, self._scope.final.values())

    def _deterministic(self, trial: Trial, expected: Sequence[Digest]) -> list[Difference]:
        """Compare with tables made of staging rows that lie the other way, and with an earlier transaction's.

        Differences from the latter are returned, for a later look.
        """
        natural = self._task.days
        again: list[Digest] = []
        turned: list[Digest] = []
        for digests, way in ((again, Way(natural)), (turned, Way(natural, turned=True))):
            with trial.aside():
                if way.turned:
                    trial.turn_staged(self._scope.staging_of(self._whole), natural)
                try:
                    for number in range(len(natural)):
                        self._show(f"{way.name}: {natural[number]} …")
                        order.apply_day(trial, self._whole, natural[number], turned=way.turned)
                        digests.append(self._take(trial))
                except StepBroke as broke:
                    # Other plans may take too long; that the step fails is not known.
                    if not way.turned:
                        raise
                    self._unturned = broke.step.id
        later: dict[str, Difference] = {}
        for number, (one, other, third) in enumerate(itertools.zip_longest(expected, again, turned)):
            prefix = Way(natural[: number + 1])
            for step, tables, also in order.differing(self._scope, one, other, self._blocked()):
                if step in self._chosen_ids:
                    later.setdefault(step, Difference(step, tables, prefix, prefix, also))
            turned_way = Way(prefix.order, turned=True)
            if third is None:
                continue
            for step, tables, also in order.differing(self._scope, other, third, [*self._blocked(), *later]):
                if step in self._chosen_ids:
                    self._compare(trial, Difference(step, tables, prefix, turned_way, also), "deterministic")
        return list(later.values())

    @property
    def _chosen_ids(self) -> set[str]:
        return {step.id for step in self._task.chosen}

    def _blocked(self) -> list[str]:
        """Return the steps of which another order proves nothing, because the same one already ends in other rows."""
        # What reads staging that another step changes differs because of that.
        changed = {fault.table for fault in self._faults.values() if fault.kind == "staging-changed"}
        disturbed = [step.id for step in self._steps if self._scope.reads[step.id] & changed]
        return [*(fault.step for fault in self._faults.values() if fault.kind in _UNSETTLED), *disturbed]

    def _clock(self, difference: Difference) -> None:
        """Note that a later transaction made other rows; two more tell chance, which differs in one, from the clock."""
        steps = self._scope.needed(self._step(difference.step))
        table = self._scope.final[difference.tables[0]]
        states = []
        for times in (2, 1):
            with self._trial(steps) as trial:
                self._empty(trial)
                for _ in range(times):
                    with trial.aside():
                        order.go(trial, self._scope, steps, difference.one)
                        states.append(digest.rows(trial.connection, table, range(digest.BUCKETS)))
        first, again, later = states
        for kind, state in (("random", again), ("clock", later)):
            changes = digest.compare(table, first, state)
            if changes:
                way = difference.one
                self._note(order.fault_of("deterministic", kind, difference.step, table, changes, way, way, False))
                return

    def _compare(self, trial: Trial, difference: Difference, proof: str) -> None:
        """Note a difference as the fault that its rows show."""
        for steps in (self._scope.needed(self._step(difference.step)), self._whole):
            fault = order.compare(trial, self._scope, steps, difference, proof)
            if fault is not None:
                if self._scope.from_later(self._step(fault.step)):
                    fault = dataclasses.replace(fault, kind="reads-later-step")
                # Which of them it is, rows do not say.
                writers = [step.id for step in self._steps if fault.table in self._scope.writes[step.id]]
                told = f" (written by {', '.join(writers)})" if len(writers) > 1 else ""
                self._note(dataclasses.replace(fault, also=difference.also, message=fault.message + told))
                return

    def _in_orders(self, trial: Trial, blocked: Sequence[str]) -> None:
        self._orders = orders.choose(self._task.days, seed=self._task.seed)
        branches = orders.tree(self._orders)
        total, done = branches.count(), 0

        def tick(current: Order) -> None:
            nonlocal done
            done += 1
            self._show(f"orders: {done} of {total} applications  {orders.shown(current)} …")

        found = order.walk(trial, self._scope, self._whole, branches, blocked, tick)
        for difference in found:
            if difference.step in self._chosen_ids:
                self._compare(trial, self._fewer_days(trial, difference), "order")

    def _fewer_days(self, trial: Trial, difference: Difference) -> Difference:
        step = self._step(difference.step)
        steps = self._scope.needed(step)
        deadline = Deadline(self._task.shrink / 2)
        for one, other in orders.smaller(difference.one.order, difference.other.order):
            if deadline.passed():
                break
            smaller = dataclasses.replace(difference, one=Way(one), other=Way(other))
            if order.differ(trial, self._scope, steps, smaller):
                return smaller
        return difference

    def _step(self, name: str) -> SqlFile:
        return next(step for step in self._steps if step.id == name)

    def _small(self, faults: list[Fault]) -> list[Fault]:
        """Return the faults in the order of steps and proofs, each with a small counterexample where there is time."""
        faults.sort(key=lambda fault: (self._steps.index(self._step(fault.step)), list(PROOFS).index(fault.proof)))
        if not faults or not self._task.shrink or not {"deterministic", "order"} & set(self._task.proofs):
            return faults
        deadline = Deadline(self._task.shrink)
        small = []
        with self._trial(self._steps) as trial:
            self._empty(trial)
            for number, fault in enumerate(faults):
                self._show(f"{fault.step}: looking for the smallest example …")
                small.append(self._smaller(trial, fault, deadline.share(len(faults) - number)))
        return small

    def _smaller(self, trial: Trial, fault: Fault, deadline: Deadline) -> Fault:
        step = self._step(fault.step)
        steps = self._scope.needed(step)
        if fault.kind in ("clock", "fails"):
            return fault
        if fault.proof in ("deterministic", "order"):
            one, other = Way(fault.orders[0]), Way(fault.orders[-1], turned=fault.kind == "arrival")
            tables = (fault.table,) if fault.table else ()
            broken = None
            if fault.kind == "fails-in-order":
                broken = StepBroke(step, other.order[-1], "", None)
            difference = Difference(step.id, tables, one, other, broken=broken)
            probe: example.Probe = partial(order.compare, trial, self._scope, steps, difference, fault.proof)
            test: example.Test = partial(order.differ, trial, self._scope, steps, difference)
            small = example.shrink(trial, self._scope, steps, fault, probe, test, deadline) if test() else fault
            kind = small.kind if fault.kind != "reads-later-step" else fault.kind
            told = fault.message[fault.message.rfind(" (written by ") :] if " (written by " in fault.message else ""
            message = small.message if small.message.endswith(told) else small.message + told
            return dataclasses.replace(small, also=fault.also, kind=kind, message=message)
        (whole,) = fault.orders
        for order_ in dict.fromkeys([whole[-1:], whole, self._task.days[: self._task.days.index(whole[-1]) + 1]]):
            probe = partial(self._again, trial, steps, fault, order_)
            found = probe()
            if found is not None:
                found = dataclasses.replace(found, from_empty=True)
                test = partial(self._is_there, probe)
                return example.shrink(trial, self._scope, steps, found, probe, test, deadline)
        return fault

    def _is_there(self, probe: example.Probe) -> bool:
        return probe() is not None

    def _again(self, trial: Trial, steps: Sequence[SqlFile], fault: Fault, order_: Order) -> Fault | None:
        """Return the fault as it comes about on the last day of `order_`, from the tables as they are now."""
        step = self._step(fault.step)
        before = steps[: steps.index(step)]
        first = fault.kind == "staging-changed"
        wanted = checks.of(self._task.checks, step)
        with trial.aside():
            try:
                order.go(trial, self._scope, steps, Way(order_[:-1]))
                order.go(trial, self._scope, before, Way(order_[-1:]))
                _, faults = single.prove(
                    trial, self._scope, step, order_, wanted, (fault.proof,), quick=fault.proof == "rerun" and not first
                )
            except StepBroke:
                return None
        return next((found for found in faults if (found.kind, found.table) == (fault.kind, fault.table)), None)

    def _verdicts(self, faults: Sequence[Fault]) -> list[Verdict]:
        verdicts = []
        for step in self._task.chosen:
            for proof in PROOFS:
                if proof not in self._task.proofs:
                    continue
                own = [fault for fault in faults if (fault.step, fault.proof) == (step.id, proof)]
                if own:
                    verdicts.append(Verdict(step.id, proof, "fault", ", ".join(fault.kind for fault in own)))
                else:
                    verdicts.append(Verdict(step.id, proof, *self._seen(step, proof)))
        return verdicts

    def _seen(self, step: SqlFile, proof: str) -> tuple[str, str]:
        """Return the outcome of a proof that found no fault of a step, and what it looked at."""
        tally, days = self._tallies[step.id], self._task.days
        if behind := self._behind(step):
            failing = ", ".join("it" if name == step.id else name for name in behind)
            return "open", f"not tried to the end: {failing} fails"
        if proof in ("deterministic", "order") and step.id in self._blocked():
            return "open", "not compared: see the other faults"
        if proof == "rerun":
            applied = console.count(tally.applications, "application")
            return "ok", f"{console.count(tally.changed.total(), 'row')} changed in {applied}, none when applied again"
        if proof == "metrics":
            return "ok", ", ".join(f"{tally.changed[kind]:,} {kind}" for kind in single.KINDS) + ", as counted"
        if proof == "checks" and not tally.checks:
            return "ok", "it has none" if not checks.of(self._task.checks, step) else "none ran: the step was skipped"
        if proof == "checks":
            warned = [f"{name} warns of {console.count(rows, 'row')}" for name, rows in tally.warned.items()]
            return "ok", "; ".join([console.count(len(tally.checks), "check"), *warned])
        if self._scope.unclear[step.id]:
            return "open", f"which tables it writes is not known: {self._scope.unclear[step.id]}"
        compared = self._scope.compared(step)
        if not compared:
            return "open", "none of the tables that it is known to write can be compared"
        if proof == "deterministic" and self._unturned:
            return "open", f"with the rows of staging in another order, and other plans, {self._unturned} fails"
        if proof == "deterministic":
            return "ok", f"{console.count(len(days), 'day')} made twice, and from staging rows in another order"
        if len(days) < 2:
            return "open", "takes two days in staging"
        seen = f"{console.count(len(self._orders), 'order')} of {len(days)} days, the same rows in "
        others = ", ".join(sorted(tally.tables - set(compared)))
        return "ok", f"{seen}{console.count(len(compared), 'table')}{f'; not compared: {others}' if others else ''}"
