"""runner plan: what apply would do and why."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from runner import console, database, days, loading, marts, metrics, plan, project, schema, sizes
from runner.commands.load import add_engine_option, check_load_options
from runner.config import Settings
from runner.errors import ConfigError
from runner.marts import State
from runner.metrics import StepState
from runner.project import Pipeline
from runner.step import SqlFile

if TYPE_CHECKING:
    from staging_loaders.choice import Choice
    from staging_loaders.load import EntityPlan


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner plan`."""
    parser.add_argument("--day", required=True, metavar="D", help="the day's name: day1, 2026-01-05")
    parser.add_argument("--data", metavar="BASE", help="the folder that holds sync-<day>/ (DATA_BASE_PATH)")
    parser.add_argument("--only", metavar="S[,S]", help="these steps, by number, name or both")
    parser.add_argument("--from", dest="first", metavar="S", help="start at this step")
    parser.add_argument("--until", dest="last", metavar="S", help="stop after this step")
    parser.add_argument("--load", choices=("auto", "always", "never"), default="auto", help="as for apply")
    add_engine_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the plan; nothing is executed and nothing is written."""
    check_load_options(args)
    day = days.check(args.day)
    pipeline = project.discover(settings)
    chosen = project.select(pipeline.steps, args.only, args.first, args.last)
    loading.check(settings, day, mode=args.load)
    history = _History.read(settings, day, pipeline)
    if args.load == "never" and loading.has_loaders(settings):
        loading.require_loaded(settings, day, history.loaded)
    pending = [file.id for file in schema.pending(pipeline.schema, history.applied)]
    loads = _loads(settings, day, args.load, history)
    if loads is None:
        present = changed = history.loaded
        entities = set(loading.declared(settings)) or present
    else:
        entities = {load.entity for load in loads}
        present = {load.entity for load in loads if load.present}
        changed = {load.entity for load in loads if load.changed}
    steps = plan.steps(
        chosen,
        day=day,
        entities=entities,
        present=present,
        changed=changed if loads else (),
        states=history.states,
        checks=pipeline.checks,
    )
    graph = _Graph.read(pipeline, chosen)
    whole = args.only is None and args.first is None and args.last is None
    planned = plan.marts(pipeline.marts, history.marts) if whole else []
    checkpoints = [checkpoint.name for checkpoint in pipeline.checkpoints] if whole else []
    if args.json:
        shown = None if loads is None else [_load_row(load) for load in loads]
        choice = loading.choice(settings, loads) if loads else None
        console.print_json(
            {
                "day": day,
                "pipeline": pipeline.name,
                "schema": pending,
                "engine": choice and dataclasses.asdict(choice),
                "loads": shown,
                "steps": [dataclasses.asdict(step) | graph.row(step.step) for step in steps],
                "checkpoints": checkpoints,
                "marts": [dataclasses.asdict(mart) for mart in planned],
            }
        )
        return 0
    for name in pending:
        console.say(f"schema  {name}  will be applied")
    if loads:
        _say_loads(loads, loading.choice(settings, loads))
    if steps:
        _say_steps(steps, graph)
    else:
        console.note(f"{pipeline.name} has no steps yet: put them into {settings.migrations}, such as 010_name.sql")
    if checkpoints:
        console.say(f"\ncheckpoints: {', '.join(checkpoints)}")
    if planned:
        rows = [(mart.mart, mart.action, mart.reason) for mart in planned]
        console.say("\n" + console.table(rows, ("mart", "action", "why")))
    return 0


def _say_loads(loads: Sequence[EntityPlan], choice: Choice | None) -> None:
    """Print a line an entity, what is to be read in all, and what would read it."""
    rows = [
        (load.entity, "load" if load.changed else "keep", len(load.files), load.bytes, load.reason) for load in loads
    ]
    console.say(console.table(rows, ("entity", "action", "files", "bytes", "why")) + "\n")
    new = [load for load in loads if load.present and load.changed]
    if choice:
        much = f"{sizes.shown(sum(load.bytes for load in new))} in "
        much += console.count(sum(len(load.files) for load in new), "file")
        said = f"engine {choice}"
        console.say(said + ("\n" if much in said else f", {much} to read\n"))


def _say_steps(steps: Sequence[plan.StepPlan], graph: _Graph) -> None:
    """Print a line a step: its checks where there are any, what it waits for where that is known, and why."""
    columns: dict[str, list[object]] = {
        "step": [step.step for step in steps],
        "action": [step.action for step in steps],
    }
    if any(step.checks for step in steps):
        columns["checks"] = [len(step.checks) or "" for step in steps]
    if graph.missing is None:
        columns["after"] = [", ".join(graph.after[step.step]) for step in steps]
    columns["why"] = [step.reason for step in steps]
    console.say(console.table(zip(*columns.values(), strict=True), tuple(columns)))
    if graph.missing is not None:
        console.note(f"which step waits for which is not known: {graph.missing.message}\n{graph.missing.hint}")
    for step, why in graph.unclear.items():
        console.note(f"{step} runs alone: {why}")


@dataclasses.dataclass(frozen=True)
class _Graph:
    """What each step waits for, and why one that is not understood waits for all; `missing`: why that is not known."""

    after: Mapping[str, list[str]]
    unclear: Mapping[str, str]
    missing: ConfigError | None = None

    @classmethod
    def read(cls, pipeline: Pipeline, chosen: Sequence[SqlFile]) -> _Graph:
        from runner import graph

        try:
            effects = graph.effects(pipeline)
        except ConfigError as error:
            return cls({}, {}, error)
        names = [file.id for file in chosen]
        unclear = {name: effects[name].unclear for name in names if effects[name].unclear}
        return cls(graph.nearest(graph.build(effects, names)), unclear)

    def row(self, step: str) -> dict[str, object]:
        """Return what the JSON says of a step; null where it is not known."""
        return {"after": self.after.get(step), "unclear": self.unclear.get(step)}


@dataclasses.dataclass(frozen=True)
class _History:
    """What the database knows; nothing where there is none yet."""

    applied: Mapping[str, schema.Applied]
    states: Mapping[tuple[str, str], StepState]
    loaded: set[str]
    marts: Mapping[str, State]
    dsn: str | None = dataclasses.field(repr=False)

    @classmethod
    def read(cls, settings: Settings, day: str, pipeline: Pipeline) -> _History:
        if settings.database_url is None:
            from runner import embedded

            if not embedded.status(settings.home, settings.embedded_version).data_dir.exists():
                return cls({}, {}, set(), {}, None)
        from staging_loaders import blockers

        dsn = database.resolve(settings)
        with blockers.asking(dsn, "runner plan", console.note) as connection:
            if metrics.nothing_yet(connection):
                return cls({}, {}, set(), {}, None)
            schema.pending_own(connection)  # refuses a layout that is not known
            return cls(
                schema.history(connection, settings.pipeline),
                metrics.states(connection, settings.pipeline, day),
                loading.loaded(connection, settings, day),
                marts.states(connection, settings.pipeline, pipeline.marts),
                dsn,
            )


def _loads(settings: Settings, day: str, mode: str, history: _History) -> list[EntityPlan] | None:
    """Return what would be loaded, and warn as a load does; None where staging is to be used as it is."""
    if mode == "never" or not loading.has_loaders(settings):
        return None
    for text in loading.unclaimed(settings, day):
        console.warn(f"{day}: {text}")
    return loading.plan(settings, history.dsn, day, mode)


def _load_row(load: EntityPlan) -> dict[str, object]:
    return {
        "entity": load.entity,
        "action": "load" if load.changed else "keep",
        "reason": load.reason,
        "files": len(load.files),
        "bytes": load.bytes,
    }
