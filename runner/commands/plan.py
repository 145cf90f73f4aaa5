"""runner plan: what apply would do and why."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runner import console, database, days, loading, metrics, plan, project, schema
from runner.commands.load import check_load_options
from runner.config import Settings
from runner.metrics import StepState

if TYPE_CHECKING:
    from staging_loaders.load import EntityPlan


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner plan`."""
    parser.add_argument("--day", required=True, metavar="D", help="the day's name: day1, 2026-01-05")
    parser.add_argument("--data", metavar="BASE", help="the folder that holds sync-<day>/ (DATA_BASE_PATH)")
    parser.add_argument("--only", metavar="S[,S]", help="these steps, by number, name or both")
    parser.add_argument("--from", dest="first", metavar="S", help="start at this step")
    parser.add_argument("--until", dest="last", metavar="S", help="stop after this step")
    parser.add_argument("--load", choices=("auto", "always", "never"), default="auto", help="as for apply")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the plan; nothing is executed and nothing is written."""
    check_load_options(args)
    day = days.check(args.day)
    pipeline = project.discover(settings)
    chosen = project.select(pipeline.steps, args.only, args.first, args.last)
    loading.check(settings, day, mode=args.load)
    history = _History.read(settings, day)
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
    if args.json:
        shown = None if loads is None else [_load_row(load) for load in loads]
        console.print_json(
            {
                "day": day,
                "pipeline": pipeline.name,
                "schema": pending,
                "loads": shown,
                "steps": [dataclasses.asdict(step) for step in steps],
            }
        )
        return 0
    for name in pending:
        console.say(f"schema  {name}  will be applied")
    if loads:
        rows = [
            (load.entity, "load" if load.changed else "keep", len(load.files), load.bytes, load.reason)
            for load in loads
        ]
        console.say(console.table(rows, ("entity", "action", "files", "bytes", "why")) + "\n")
    if steps:
        shown_steps = [(step.step, step.action, len(step.checks) or "", step.reason) for step in steps]
        console.say(console.table(shown_steps, ("step", "action", "checks", "why")))
    else:
        console.note(f"{pipeline.name} has no steps yet: put them into {settings.migrations}, such as 010_name.sql")
    return 0


@dataclasses.dataclass(frozen=True)
class _History:
    """What the database knows; nothing where there is none yet."""

    applied: Mapping[str, schema.Applied]
    states: Mapping[tuple[str, str], StepState]
    loaded: set[str]
    dsn: str | None

    @classmethod
    def read(cls, settings: Settings, day: str) -> _History:
        if settings.database_url is None:
            from runner import embedded

            if not embedded.status(settings.home, settings.embedded_version).data_dir.exists():
                return cls({}, {}, set(), None)
        dsn = database.resolve(settings)
        with database.connect(dsn, "runner plan") as connection:
            if metrics.nothing_yet(connection):
                return cls({}, {}, set(), None)
            return cls(
                schema.history(connection, settings.pipeline),
                metrics.states(connection, settings.pipeline, day),
                loading.loaded(connection, settings, day),
                dsn,
            )


def _loads(settings: Settings, day: str, mode: str, history: _History) -> list[EntityPlan] | None:
    """Return what would be loaded; None where staging is to be used as it is."""
    if mode == "never" or not loading.has_loaders(settings):
        return None
    return loading.plan(settings, history.dsn, day, mode)


def _load_row(load: EntityPlan) -> dict[str, object]:
    return {
        "entity": load.entity,
        "action": "load" if load.changed else "keep",
        "reason": load.reason,
        "files": len(load.files),
        "bytes": load.bytes,
    }
