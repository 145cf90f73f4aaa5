"""What is proven, and what was found so far: the steps, their tables and days, faults and tallies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from runner import database
from runner.check import Check
from runner.proofs import digest, emptying, scope
from runner.proofs.digest import Digest
from runner.proofs.effect import KINDS, Applied
from runner.proofs.fault import PROOFS, Fault
from runner.proofs.orders import Order, shown
from runner.proofs.scope import Scope
from runner.proofs.touched import Touched
from runner.proofs.trial import StepBroke, Trial
from runner.proofs.ways import Difference
from runner.step import SqlFile

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


@dataclass
class Tally:
    """What was seen of a step while it was proven."""

    applications: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    checks: set[str] = field(default_factory=set)
    warned: dict[str, int] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)

    def count(self, applied: Applied) -> None:
        """Add an application of the step."""
        self.applications += 1
        self.tables.update(effect.table for effect in applied.effects)
        self.changed.update(dict(zip(KINDS, applied.total, strict=True)))
        self.checks.update(result.check for result in applied.checks)
        for result in applied.checks:
            if result.status == "warned":
                self.warned[result.check] = max(result.rows_failed, self.warned.get(result.check, 0))


class Bench:
    """A task on its way. `connect` opens a connection; `show` is told what goes on, for a progress line."""

    def __init__(
        self,
        task: Task,
        connect: Callable[[], database.Connection],
        show: Callable[[str], None],
        log: Callable[[str], None],
    ) -> None:
        self.task = task
        self.show = show
        self._connect = connect
        self._log = log
        self.scope: Scope
        self.steps: tuple[SqlFile, ...] = ()
        """The chosen steps and those that they need."""
        self.faults: dict[tuple[str, str, str | None], Fault] = {}
        self.tallies = {step.id: Tally() for step in task.steps}
        self.broken: set[str] = set()
        """Steps that fail by themselves."""
        self.differing: dict[str, set[str]] = {}
        """Proof -> tables that differ in it, by whichever step."""
        self.orders: list[Order] = []
        self.unturned = ""
        """Which step fails where staging is turned around, and how; empty where none does."""
        self.chosen = {step.id for step in task.chosen}
        self._touched = Touched()

    def survey(self, trial: Trial) -> None:
        """Find out what the steps read and write, by their texts."""
        self.scope = scope.find(trial.connection, self.task.steps)
        needed = {step.id for step in self.scope.needed(*self.task.chosen)}
        self.steps = tuple(step for step in self.task.steps if step.id in needed)

    def survey_again(self, trial: Trial) -> bool:
        """Add what runs were seen to touch besides; tell whether that was anything."""
        found = self.scope.with_touched(trial.connection, self._touched)
        if found is self.scope:
            return False
        self.scope = found
        needed = {step.id for step in found.needed(*self.task.chosen)}
        self.steps = tuple(step for step in self.task.steps if step.id in needed)
        return True

    def trial(self, steps: Sequence[SqlFile]) -> Trial:
        """Return a new trial of steps, for a `with`."""
        return Trial(self._connect, self.task.pipeline, steps, self.task.days, self._log, self._touched)

    def empty(self, trial: Trial) -> None:
        """Empty all tables that the steps write."""
        emptying.empty(trial.connection, [*self.scope.final.values(), *self.scope.marks.values()])

    def take(self, trial: Trial) -> Digest:
        """Return the digest of the tables that are compared."""
        return digest.take(trial.connection, self.scope.final.values())

    def step(self, name: str) -> SqlFile:
        """Return the step of an id."""
        return next(step for step in self.steps if step.id == name)

    @property
    def whole(self) -> tuple[SqlFile, ...]:
        """The steps to run: none that fails by itself, and none that reads what such a one writes."""
        return tuple(step for step in self.steps if not self.behind(step))

    def behind(self, step: SqlFile) -> list[str]:
        """Return the steps that fail by themselves and that a step needs, itself among them."""
        return [other.id for other in self.scope.needed(step) if other.id in self.broken]

    def note(self, fault: Fault) -> None:
        """Keep the first fault of its kind."""
        self.faults.setdefault((fault.step, fault.kind, fault.table), fault)

    def note_failure(self, broke: StepBroke, order: Order, *, from_empty: bool) -> None:
        """Note that a step fails by itself, from now on to be left out; raise what proves nothing."""
        if broke.transient or broke.step.id in self.broken:
            raise broke
        self.broken.add(broke.step.id)
        before = f" after {shown(order[:-1])}" if len(order) > 1 else ""
        message = f"{broke.day}: the step fails{before}\n{broke.reason}"
        proof = next((proof for proof in ("rerun", "order") if proof in self.task.proofs), self.task.proofs[0])
        self.note(Fault(proof, "fails", broke.step.id, None, message, (order,), from_empty=from_empty))

    def forget(self, proofs: Iterable[str]) -> None:
        """Forget the faults of proofs, which are tried again."""
        self.faults = {key: fault for key, fault in self.faults.items() if fault.proof not in proofs}
        for proof in proofs:
            self.differing.pop(proof, None)

    def blocked(self) -> list[str]:
        """Return the steps of which another order proves nothing, because the same one already ends in other rows."""
        # What reads staging that another step changes differs because of that.
        changed = {fault.table for fault in self.faults.values() if fault.kind == "staging-changed"}
        disturbed = [step.id for step in self.steps if self.scope.reads[step.id] & changed]
        return [*(fault.step for fault in self.faults.values() if fault.kind in _UNSETTLED), *disturbed]

    def writers(self, table: str) -> list[SqlFile]:
        """Return the steps that are run and write a table."""
        return [step for step in self.scope.writers(table) if step in self.whole]

    def concerns(self, difference: Difference) -> bool:
        """Tell whether a chosen step may be to blame for a difference."""
        writers = {step.id for table in difference.tables for step in self.scope.writers(table)}
        return bool(self.chosen & {difference.step, *writers})

    def reach(self, difference: Difference) -> list[tuple[SqlFile, ...]]:
        """Return the sets of steps with which a difference may come about, the smallest first."""
        writers = [step for table in difference.tables for step in self.writers(table)]
        whole = self.whole
        sets = (
            self.scope.needed(self.step(difference.step)),
            self.scope.needed(self.step(difference.step), *writers),
            whole,
        )
        return list(dict.fromkeys(tuple(step for step in steps if step in whole) for steps in sets))
