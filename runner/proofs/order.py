"""Days in several orders, from emptied tables: which end in other rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from runner.proofs import digest
from runner.proofs.digest import Digest
from runner.proofs.orders import Branch, Order, natural
from runner.proofs.scope import Scope
from runner.proofs.trial import StepBroke, Trial
from runner.proofs.ways import Difference, Way, go
from runner.step import SqlFile


def walk(
    trial: Trial,
    scope: Scope,
    steps: Sequence[SqlFile],
    branch: Branch,
    blocked: Sequence[str],
    tick: Callable[[Order], None] = lambda _: None,
) -> tuple[list[Difference], set[str]]:
    """Apply all orders below `branch`, common beginnings once; return the smallest difference of each step.

    And the names of all tables that differ.

    Whatever was applied, the same set of days must make the same tables. `blocked` steps are known
    to be faulty, and so are not compared.
    """
    seen: dict[frozenset[str], tuple[Order, Digest]] = {}
    found: dict[str, Difference] = {}
    names: set[str] = set()

    def visit(branch: Branch, before: Order) -> None:
        for day, below in branch.below.items():
            order = (*before, day)
            tick(order)
            with trial.aside():
                try:
                    go(trial, scope, steps, Way((day,)))
                except StepBroke as broke:
                    reference = seen.get(frozenset(order), (natural(order), {}))[0]
                    if broke.step.id not in blocked:
                        _keep(found, Difference(broke.step.id, (), Way(reference), Way(order), broken=broke))
                    continue
                state = digest.take(trial.connection, scope.final.values())
                reference, expected = seen.setdefault(frozenset(order), (order, state))
                names.update(digest.differing(expected, state))
                for step, tables, also in differing(scope, expected, state, blocked):
                    _keep(found, Difference(step, tables, Way(reference), Way(order), also))
                visit(below, order)

    visit(branch, ())
    return [found[step.id] for step in steps if step.id in found], names


def _keep(found: dict[str, Difference], new: Difference) -> None:
    if new.step not in found or new.size < found[new.step].size:
        found[new.step] = new


def differing(
    scope: Scope, one: Digest, other: Digest, blocked: Sequence[str] = ()
) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Yield (step, its tables that differ, tables of others that do) for each step that is where it begins."""
    names = set(digest.differing(one, other))
    for step, tables in scope.roots(names).items():
        if step not in blocked:
            yield step, tuple(tables), tuple(sorted(names - set(tables)))
