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

_Found = dict[tuple[str, str], Difference]


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
    found: _Found = {}
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
                    shared = len(scope.writers(tables[0])) > 1
                    _keep(found, Difference(step, tables, Way(reference), Way(order), also, shared=shared))
                visit(below, order)

    visit(branch, ())
    places = [step.id for step in steps]
    return sorted(found.values(), key=lambda difference: places.index(difference.step)), names


def _keep(found: _Found, new: Difference) -> None:
    """Keep the smallest difference of a step, and of each table that it shares with others."""
    key = (new.step, new.tables[0] if new.shared else "")
    if key not in found or new.size < found[key].size:
        found[key] = new


def differing(
    scope: Scope, one: Digest, other: Digest, blocked: Sequence[str] = ()
) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Yield (step, its tables that differ, tables of others that do) for each step that is where it begins."""
    names = set(digest.differing(one, other))
    for step, tables in scope.roots(names):
        if step not in blocked:
            yield step, tables, tuple(sorted(names - set(tables)))
