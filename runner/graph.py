"""Which step must wait for which: the graph of steps, from what each reads and writes. Pure.

A later step depends on an earlier one where they meet in a table that at least one of them writes. A step
that is not understood depends on all before it, and all after it depend on it. Any schedule that
respects this gives each step the same tables as file order does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from runner.effects import Effects, Schema

if TYPE_CHECKING:
    from runner.project import Pipeline

# Steps add rows of their own here, and rows that are added do not meet.
_SHARED = frozenset({"pipeline_metrics", "check_results", "stg_rejects"})

Graph = Mapping[str, frozenset[str]]
"""Step -> the earlier steps it depends on, all of them, in the order of the files."""


def effects(pipeline: Pipeline) -> dict[str, Effects]:
    """Return what each step of the pipeline reads and writes; ConfigError where the parser is not installed."""
    return Schema(pipeline.schema).of_steps(pipeline.steps, pipeline.checks)


def build(effects: Mapping[str, Effects], steps: Sequence[str] | None = None) -> dict[str, frozenset[str]]:
    """Return the graph of `steps` (default: all), which stand in the order of `effects`."""
    chosen = [step for step in effects if steps is None or step in steps]
    return {
        step: frozenset(earlier for earlier in chosen[:place] if _meet(effects[earlier], effects[step]))
        for place, step in enumerate(chosen)
    }


def nearest(graph: Graph) -> dict[str, list[str]]:
    """Return step -> the steps it waits for directly, without those that these wait for anyway."""
    found = {}
    for step, needed in graph.items():
        implied = {further for other in needed for further in graph[other]}
        found[step] = [other for other in graph if other in needed and other not in implied]
    return found


def _meet(earlier: Effects, later: Effects) -> bool:
    if earlier.unclear or later.unclear:
        return True
    return bool(
        earlier.writes & later.reads or earlier.reads & later.writes or (earlier.writes & later.writes) - _SHARED
    )
