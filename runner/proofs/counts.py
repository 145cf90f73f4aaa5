"""The counts of a metrics row beside the rows that were really changed."""

from __future__ import annotations

from collections.abc import Sequence

from runner.proofs.effect import KINDS, Applied, Effect, key_of, words
from runner.proofs.fault import Evidence, Fault
from runner.proofs.orders import Order
from runner.proofs.scope import Scope
from runner.step import SqlFile


def wrong(scope: Scope, step: SqlFile, order: Order, applied: Applied) -> Fault:
    """Return the fault of counts that are not those of what was changed."""
    named = scope.writes[step.id] - scope.unnamed.get(step.id, frozenset())
    said, real = applied.said, applied.total
    rewritten = sum(effect.rewritten for effect in applied.effects)
    missing = tuple(a - b for a, b in zip(real, said, strict=True))
    table: str | None = applied.metrics.table
    uncounted = [
        effect.table
        for effect in applied.effects
        if all(count == gap for count, gap in zip(effect.counts, missing, strict=True) if gap)
    ]
    if min(missing) >= 0 and uncounted:
        # What the step is about is the last to be forgotten, and what no statement of it names the first.
        table = min(uncounted, key=lambda name: (name in named, name == table))
        kind = "table-not-counted" if table in named else "side-effect-not-counted"
    elif sum(missing) == 0 and missing[2] == 0:
        kind = "update-counted-as-insert" if missing[0] < 0 else "insert-counted-as-update"
    elif rewritten and -sum(missing) == rewritten and missing[2] == 0:
        kind = "rewrites-counted"
    else:
        kind = "wrong-counts"
    rows = [(effect.table, *map(str, effect.counts)) for effect in applied.effects]
    if len(rows) > 1:
        rows.append(("all tables", *map(str, real)))
    rows.append(("metrics row", *map(str, said)))
    message = f"{order[-1]}: the metrics row says {words(said)}; really it is {words(real)}"
    evidence = Evidence(("table", *KINDS), tuple(rows))
    return Fault("metrics", kind, step.id, table, message, (order,), evidence, _miscounted(applied.effects, missing))


def _miscounted(effects: Sequence[Effect], missing: Sequence[int]) -> tuple[str, ...]:
    """Return the key of a row of a kind that is counted too seldom, or else of any."""
    wanted = {kind for kind, gap in zip(("insert", "update", "delete"), missing, strict=True) if gap > 0}
    rows = [(row, effect.keyed) for effect in effects for row in effect.rows]
    rows.sort(key=lambda item: item[0].kind not in wanted)
    return key_of(*rows[0]) if rows else ()
