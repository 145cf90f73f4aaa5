"""Proofs of a pipeline's steps on days that are in staging; everything happens in transactions that are rolled back.

First on the tables as they are, then from emptied ones: what a day's application changes, what it says of
that, what its repetition changes, and whether the order of days matters.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from contextlib import suppress

from runner import checks, database
from runner.proofs import again, blame, order, orders, single, smaller, verdict
from runner.proofs.bench import Bench, Task
from runner.proofs.digest import Digest
from runner.proofs.fault import Fault
from runner.proofs.orders import Order
from runner.proofs.trial import StepBroke, Trial
from runner.proofs.verdict import Verdict
from runner.proofs.ways import Difference, apply_day
from runner.step import SqlFile

__all__ = ["Task", "Verdict", "Verifier"]

_AS_THEY_ARE, _FROM_EMPTY = "as the tables are", "from empty tables"
_BEGIN_EMPTY = ("deterministic", "order")


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
        self._bench = Bench(task, connect, show, log)
        self._began_empty = False

    def run(self) -> tuple[list[Verdict], list[Fault]]:
        """Return a verdict for each step and proof, and the faults, with small counterexamples.

        A step that fails by itself, and those that read what it writes, are not proven further. Raises
        StepBroke where another session was in the way.
        """
        bench, days = self._bench, self._task.days
        with bench.trial(self._task.steps) as trial:
            bench.survey(trial)
            self._began_empty = not any(bench.take(trial).values())
            if self._single_proofs:
                for number, day in enumerate(days):
                    # From nothing the days before count, too.
                    order_ = days[: number + 1] if self._began_empty else (day,)
                    self._apply(trial, order_, _AS_THEY_ARE, from_empty=self._began_empty)
            bench.survey_again(trial)
        if set(_BEGIN_EMPTY) & set(self._task.proofs):
            self._prove_from_empty()
        faults = smaller.examples(bench)
        return verdict.verdicts(bench, faults), faults

    def _prove_from_empty(self) -> None:
        """Prove what begins from nothing: all over again without a step that fails, or with tables seen meanwhile."""
        bench, natural = self._bench, self._task.days
        done = False
        tallies = bench.tallies
        while bench.whole and not done:
            bench.forget(_BEGIN_EMPTY)
            # What is done again is not counted twice.
            bench.tallies = copy.deepcopy(tallies)
            try:
                done = self._from_empty()
            except StepBroke as broke:
                bench.note_failure(broke, natural[: natural.index(broke.day) + 1], from_empty=True)

    @property
    def _single_proofs(self) -> tuple[str, ...]:
        return tuple(proof for proof in self._task.proofs if proof in ("rerun", "metrics", "checks"))

    def _apply(self, trial: Trial, order_: Order, where: str, *, from_empty: bool) -> None:
        """Apply the last day of an order, and prove of each chosen step what one application can."""
        bench, days = self._bench, self._task.days
        for step in bench.whole:
            if bench.behind(step):
                continue  # since this day
            bench.show(f"{where}: {orders.shown(order_)}  {step.id} …")
            try:
                with trial.attempt():
                    self._apply_step(trial, step, order_, from_empty=from_empty)
            except StepBroke as broke:
                if where != _AS_THEY_ARE:
                    raise
                bench.note_failure(broke, days[: days.index(broke.day) + 1], from_empty=from_empty)

    def _apply_step(self, trial: Trial, step: SqlFile, order_: Order, *, from_empty: bool) -> None:
        bench = self._bench
        if step not in self._task.chosen:
            trial.run(step, order_[-1])
            trial.tidy()
            return
        wanted = checks.of(self._task.checks, step)
        applied, faults = single.prove(trial, bench.scope, step, order_, wanted, self._single_proofs)
        bench.tallies[step.id].count(applied)
        for fault in faults:
            bench.note(dataclasses.replace(fault, from_empty=from_empty))

    def _from_empty(self) -> bool:
        """Try the proofs that begin from nothing; False where tables were seen that should have been emptied, too."""
        bench, proofs = self._bench, self._task.proofs
        with bench.trial(bench.whole) as trial:
            bench.empty(trial)
            expected = self._naturally(trial)
            if expected is None:
                return False
        # A later transaction, in which the clock shows another time.
        later: list[Difference] = []
        with bench.trial(bench.whole) as trial:
            bench.empty(trial)
            if "deterministic" in proofs:
                later = again.compare(bench, trial, expected)
            blocked = [*bench.blocked(), *(difference.step for difference in later)]
            if "order" in proofs and len(self._task.days) > 1:
                self._in_orders(trial, blocked)
            if bench.survey_again(trial):
                return False
        for difference in later:
            again.note_later(bench, difference)
        return True

    def _naturally(self, trial: Trial) -> list[Digest] | None:
        """Apply the days in their natural order, and return what the tables hold after each; then backwards.

        None where tables were seen that should have been emptied, too.
        """
        bench, natural = self._bench, self._task.days
        # The days once more, the last first; what begins from nothing was proven before.
        backward = (*reversed(natural), natural[-1]) if len(natural) > 1 else ()
        expected = []
        with trial.aside():
            for number, day in enumerate(natural):
                if self._began_empty or not self._single_proofs:
                    bench.show(f"{orders.shown(natural[: number + 1])} …")
                    apply_day(trial, bench.whole, day)
                else:
                    self._apply(trial, natural[: number + 1], _FROM_EMPTY, from_empty=True)
                expected.append(bench.take(trial))
            # Before the tables are gone that a step has made.
            seen = bench.survey_again(trial)
        # A step that fails here is one that the orders find, or a rerun did.
        with suppress(StepBroke):
            for number, day in enumerate(backward if self._single_proofs else ()):
                if number == 0:
                    apply_day(trial, bench.whole, day)
                else:
                    self._apply(trial, backward[: number + 1], _FROM_EMPTY, from_empty=True)
        return None if bench.survey_again(trial) or seen else expected

    def _in_orders(self, trial: Trial, blocked: Sequence[str]) -> None:
        bench = self._bench
        bench.orders = orders.choose(self._task.days, seed=self._task.seed)
        branches = orders.tree(bench.orders)
        total, done = branches.count(), 0

        def tick(current: Order) -> None:
            nonlocal done
            done += 1
            bench.show(f"orders: {done} of {total} applications  {orders.shown(current)} …")

        found, names = order.walk(trial, bench.scope, bench.whole, branches, blocked, tick)
        bench.differing["order"] = names
        for difference in found:
            if bench.concerns(difference):
                blame.note(bench, trial, smaller.fewer_days(bench, trial, difference), "order")
