"""runner apply: a day from its files to the final tables."""

from __future__ import annotations

import argparse
import dataclasses
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runner import checks, console, database, days, loading, mart_making, order, project, schema
from runner.apply import Run, StepResult, StepRunner
from runner.checks import CheckResult
from runner.commands import gates
from runner.commands.load import add_load_mode, add_load_options, check_load_options
from runner.config import Settings
from runner.errors import RunnerError, UsageError
from runner.lease import Lease
from runner.load_figures import figures
from runner.mart_refresh import Refreshed
from runner.progress import Progress
from runner.project import Pipeline
from runner.step import SqlFile
from runner.wording import NAME_WIDTH, describe_step, load_lines, say_outcome, told

if TYPE_CHECKING:
    from runner.graph import Graph
    from staging_loaders.load import EntityLoad


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner apply`."""
    add_load_options(parser)
    parser.add_argument("--only", metavar="S[,S]", help="run these steps, by number, name or both")
    parser.add_argument("--from", dest="first", metavar="S", help="start at this step")
    parser.add_argument("--until", dest="last", metavar="S", help="stop after this step")
    add_load_mode(parser)
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="run up to N steps at once that do not depend on each other"
    )
    parser.add_argument(
        "--marts",
        choices=("auto", "never"),
        default="auto",
        help="refresh the marts once the checkpoints have passed (auto), or not at all; with --only, --from or --until "
        "the day is not whole, and neither is run",
    )
    parser.add_argument("--dry-run", action="store_true", help="show which rows the steps would change; keep nothing")
    parser.add_argument("--rows", type=int, metavar="N", help="of a dry run, show the first N rows (default: 10)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Apply one day; 0 where all its steps are done."""
    check_load_options(args)
    day = days.check(args.day)
    pipeline = project.discover(settings)
    steps = project.select(pipeline.steps, args.only, args.first, args.last)
    for step in steps:
        step.statements  # noqa: B018 - refuses transaction control before anything is run
    if args.dry_run:
        from runner.commands import dry_run

        return dry_run.run(args, settings, pipeline, steps, day)
    if args.rows is not None:
        raise UsageError("--rows belongs to a dry run", hint="Add --dry-run, or leave --rows out.")
    graph = _graph(pipeline, steps, args.jobs)
    loading.check(settings, day, mode=args.load, max_rejects=args.max_rejects)
    flow_run_id = str(uuid.uuid4())
    dsn = loading.resolve_for(settings, day, args.load)
    with schema.connect(dsn, "runner migrate") as connection:
        if args.load == "never" and loading.has_loaders(settings):
            loading.require_loaded(settings, day, loading.loaded(connection, settings, day))
        loading.require_engine(settings, connection, dsn, day, args.load)
        migrated = schema.migrate(connection, pipeline.name, pipeline.schema, settings.attempts, console.note)
        made = mart_making.migrate(
            connection, pipeline.name, pipeline.marts, settings.attempts, console.note, flow_run_id
        )
    document: dict[str, Any] = {
        "day": day,
        "pipeline": pipeline.name,
        "flow_run_id": flow_run_id,
        "migrated": [*migrated, *(f"marts/{name}" for name in made)],
        "load": None,
        "loads": [],
        "steps": [],
        "checkpoints": [],
        "marts": [],
    }
    shown = _Shown(day, args.json, pipeline, loading.declared(settings), document)
    shown.migrated(migrated, made)
    progress = Progress()
    failures: dict[str, RunnerError] = {}
    try:
        with Lease(dsn, pipeline.name, day, flow_run_id, args.wait, console.note):
            if args.load != "never" and loading.has_loaders(settings):
                started = time.perf_counter()
                try:
                    loads, choice = loading.load(
                        settings, dsn, day, flow_run_id, mode=args.load, max_rejects=args.max_rejects, progress=progress
                    )
                finally:
                    progress.clear()
                shown.loads(loads, time.perf_counter() - started)
                document["load"] = figures(loads, choice)
                document["loads"] += map(dataclasses.asdict, loads)
            this = Run(pipeline.name, day, flow_run_id, dsn, settings.attempts, checks=pipeline.checks)

            def runner(log: Callable[[str], None]) -> StepRunner:
                # The embedded server is started again, wherever it went.
                return StepRunner(this, log, lambda: database.resolve(settings))

            def done(step: SqlFile, result: StepResult) -> None:
                progress.clear()
                shown.step(step, result)

            def failed(step: SqlFile, error: RunnerError) -> None:
                failures[step.id] = error

            def not_run(names: list[str]) -> None:
                document["not_run"] = names
                if names:
                    console.note(f"{day}: not run: {', '.join(names)}")

            if graph is None:
                order.one_by_one(steps, runner, day=day, progress=progress, done=done, failed=failed, not_run=not_run)
            else:
                order.side_by_side(
                    steps,
                    runner,
                    graph,
                    args.jobs,
                    day=day,
                    progress=progress,
                    done=done,
                    failed=failed,
                    not_run=not_run,
                )
            # Always, also where no step found anything to change: a run before may have died in between.
            if args.only is None and args.first is None and args.last is None:
                gates.run(this, pipeline, marts=args.marts != "never", shown=shown, progress=progress)
    except RunnerError as error:
        if args.json:  # what was done until then, and why no more
            errors = [{"step": step} | told(each) for step, each in failures.items()]
            console.print_json(document | {"error": told(error), "errors": errors})
        raise
    if not steps:
        console.note(f"{pipeline.name} has no steps yet: put them into {settings.migrations}, such as 010_name.sql")
    if args.json:
        console.print_json(document)
    return 0


def _graph(pipeline: Pipeline, steps: Sequence[SqlFile], jobs: int) -> Graph | None:
    """Return which step waits for which, where several are to run at once."""
    if jobs < 1:
        raise UsageError(f"--jobs is {jobs}", hint="Give a number of steps to run at once: --jobs 4")
    if jobs == 1 or len(steps) < 2:
        return None
    from runner import graph

    return graph.build(graph.effects(pipeline), [step.id for step in steps])


class _Shown:
    """Prints what happened, a line each, as it happens, and keeps it for the JSON."""

    def __init__(
        self, day: str, quiet: bool, pipeline: Pipeline, entities: Sequence[str], document: dict[str, Any]
    ) -> None:
        self._day = day
        self._quiet = quiet
        self._entities = entities
        self._document = document
        files = (*pipeline.schema, *pipeline.steps, *(check.file for check in pipeline.checkpoints))
        self._width = max([NAME_WIDTH, *(len(file.id) for file in (*files, *(mart.file for mart in pipeline.marts)))])

    def migrated(self, ids: list[str], marts: list[str]) -> None:
        for name in ids:
            self._line("schema", name, "applied", None)
        for name in marts:
            self._line("mart", name, "made", None)

    def loads(self, loads: list[EntityLoad], seconds: float) -> None:
        for name, text in load_lines(loads):
            self._line("load", name, text, seconds if name == "all" else None)

    def step(self, step: SqlFile, result: StepResult) -> None:
        self._line("step", step.id, describe_step(result, loading.entities_read(step, self._entities)), result.seconds)
        for text in checks.warnings(result.checks):
            console.warn(f"{self._day}  {text}")
        self._document["steps"].append(dataclasses.asdict(result))

    def checkpoint(self, result: CheckResult) -> None:
        gates.say_checkpoint(self._day, self._line, result)
        self._document["checkpoints"].append(dataclasses.asdict(result))

    def mart(self, refreshed: Refreshed) -> None:
        gates.say_mart(self._line, refreshed)
        self._document["marts"].append(dataclasses.asdict(refreshed))

    def _line(self, kind: str, name: str, text: str, seconds: float | None) -> None:
        if not self._quiet:
            say_outcome(self._day, kind, name, text, seconds, width=self._width)
