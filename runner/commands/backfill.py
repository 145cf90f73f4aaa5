"""runner backfill: many days, one after the other, from their files to the final tables."""

from __future__ import annotations

import argparse
import time
import uuid

from runner import (
    backfill,
    backfill_book,
    backfill_plan,
    backfill_run,
    console,
    database,
    loading,
    mart_making,
    order,
    project,
    schema,
)
from runner.backfill_run import DayEnd, Days, Ended
from runner.commands.backfill_shown import Bar, Shown, show_plan
from runner.commands.load import add_load_mode, add_load_options, check_load_options
from runner.config import Settings
from runner.errors import RunnerError


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner backfill`."""
    add_load_options(parser)
    parser.add_argument("--start-date", metavar="A", help="the first day of a range: 2026-01-01, or day1")
    parser.add_argument("--end-date", metavar="B", help="the last day of the range")
    parser.add_argument("--days", metavar="D[,D]", action="append", default=[], help="these days instead of a range")
    parser.add_argument("--day", metavar="D", action="append", default=[], help="one more day of the list")
    parser.add_argument(
        "--chunk-mode",
        choices=backfill.MODES,
        default="daily",
        help="what is told of and counted together (default: daily)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the newest backfill of the same days, leaving out what it has done; without days, with the "
        "newest of all",
    )
    add_load_mode(parser)
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="within a day, run up to N steps at once (default: 1)"
    )
    parser.add_argument(
        "--marts",
        choices=("auto", "never"),
        default="auto",
        help="refresh the marts at the end, where all days are done (auto), or not at all",
    )
    parser.add_argument("--stop-on-error", action="store_true", help="begin no other day after one that failed")
    parser.add_argument("--dry-run", action="store_true", help="show the chunks and what is new; change nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Apply the days; 0 where all of them are done, 1 where some failed, 3 where others hold them."""
    check_load_options(args)
    asked = backfill.request(args.start_date, args.end_date, [*args.days, *args.day], args.chunk_mode)
    if asked.start is None and not asked.days and not args.resume:
        backfill_plan.refuse_nothing()
    pipeline = project.discover(settings)
    for step in pipeline.steps:
        step.statements  # noqa: B018 - refuses transaction control before anything is run
    graph = order.needs(pipeline, pipeline.steps, args.jobs)
    if args.load != "never" and loading.has_loaders(settings):
        loading.check_master(settings)
    dsn = database.resolve(settings)
    with schema.connect(dsn, "runner backfill") as connection:
        plan = backfill_plan.make(
            settings,
            pipeline,
            dsn,
            connection,
            asked if asked.start is not None or asked.days else None,
            load=args.load,
            resume=args.resume,
            note=console.note,
        )
        if args.dry_run:
            return show_plan(args, settings, dsn, pipeline, plan)
        for day in backfill_run.loads_of(plan):
            loading.require_engine(settings, connection, dsn, day, args.load)
        migrated = schema.migrate(connection, pipeline.name, pipeline.schema, settings.attempts, console.note)
        made = mart_making.migrate(connection, pipeline.name, pipeline.marts, settings.attempts, console.note)
        id = plan.resumed or str(uuid.uuid4())
        if plan.resumed is None:
            backfill_book.begin(connection, pipeline.name, id, plan.request)
    shown = Shown(args, pipeline, plan, id)
    shown.began(migrated, made)
    ended = Ended()
    progress = Bar(len(plan.days) - len(plan.done))
    with loading.open_engine(settings, progress.show, progress.note) as engine:
        days = Days(
            settings,
            pipeline,
            dsn,
            engine,
            plan,
            args.load,
            args.max_rejects,
            args.jobs,
            graph,
            args.wait,
            progress,
            lambda: str(uuid.uuid4()),
            settings.attempts,
        )
        try:
            _run_chunks(days, id, args.stop_on_error, ended, shown)
        except KeyboardInterrupt:
            progress.clear()
            console.note(f"\nto go on: {shown.command(resume=True)}")
            raise
        finally:
            progress.clear()
    failed: RunnerError | None = None
    if args.marts != "never" and pipeline.marts and not ended.undone:
        failed = shown.marts(dsn, id)
    elif args.marts != "never" and pipeline.marts:
        console.note(f"not refreshed: {', '.join(mart.id for mart in pipeline.marts)}; not all days are done")
    backfill_run.finish(dsn, id, console.note)
    shown.ended(ended, failed)
    if failed is not None:
        raise failed
    if ended.of("failed") or ended.not_run:
        return 1
    return 3 if ended.undone else 0


def _run_chunks(days: Days, id: str, stop_on_error: bool, ended: Ended, shown: Shown) -> None:
    progress = days.progress
    assert isinstance(progress, Bar)
    left = days.plan.left
    for place, chunk in enumerate(left):
        started = time.perf_counter()

        def done(end: DayEnd) -> None:
            if end.error is not None:
                progress.note(console.explain(end.error))

        found = backfill_run.run(days, id, chunk, stop_on_error=stop_on_error, began=progress.began, ended=done)
        progress.clear()
        shown.chunk(chunk, found, time.perf_counter() - started)
        ended.days += found.days
        ended.not_run += found.not_run
        if backfill_run.ends_all(found, stop_on_error):
            ended.not_run += [day for other in left[place + 1 :] for day in other.days]
            return
