"""runner apply --dry-run: what a day's steps would change, shown and rolled back."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import uuid
from contextlib import closing
from typing import TextIO

from runner import checks, console, database, loading, preview, schema
from runner.config import Settings
from runner.dry_run import DryRun, Preview
from runner.errors import ConfigError, RunnerError, UsageError
from runner.lease import Lease
from runner.progress import Progress
from runner.project import Pipeline
from runner.step import SqlFile
from runner.wording import NAME_WIDTH, load_lines, say_outcome


def run(args: argparse.Namespace, settings: Settings, pipeline: Pipeline, steps: list[SqlFile], day: str) -> int:
    """Show what the steps of a day would do; 0 where an apply would go through."""
    if args.jobs != 1:
        raise UsageError("a dry run is one transaction", hint="Leave --jobs out: the steps run one after the other.")
    if args.rows is not None and args.rows < 0:
        raise UsageError(f"--rows is {args.rows}", hint="Give the number of rows to show of each table; 0 shows none.")
    dsn = loading.resolve_for(settings, day, "never")
    with schema.connect(dsn, "runner dry run") as connection:
        _require_migrated(connection, pipeline)
    progress = Progress()
    if args.load == "always" and loading.has_loaders(settings):
        _load(args, settings, dsn, day, progress)
    elif loading.has_loaders(settings):
        with database.connect(dsn, "runner dry run") as connection:
            loading.require_loaded(settings, day, loading.loaded(connection, settings, day))
        _warn_of_new_files(args, settings, dsn, day)
    dry_run = DryRun(
        lambda: database.connect(dsn, f"runner dry run {pipeline.name} {day}"), pipeline, day, progress.note
    )
    show = _json if args.json else _text
    with dry_run:
        show(args, dry_run, steps, pipeline, day, progress)
    if not steps:
        console.note(f"{pipeline.name} has no steps yet: put them into {settings.migrations}, such as 010_name.sql")
    return 0


def _text(
    args: argparse.Namespace,
    dry_run: DryRun,
    steps: list[SqlFile],
    pipeline: Pipeline,
    day: str,
    progress: Progress,
) -> None:
    width = max([NAME_WIDTH, *(len(step.id) for step in steps)])
    rows = 10 if args.rows is None else args.rows
    with closing(dry_run.run(steps, lambda step: progress.show(f"{day}  dry     {step.id} …"))) as previews:
        try:
            for one in previews:
                progress.clear()
                say_outcome(day, "dry", one.step.id, preview.summary(one), one.seconds, width=width)
                for line in preview.lines(one, rows):
                    console.say(console.printable(line) if not console.colourful(sys.stdout) else line)
                _warn(day, one)
        finally:
            progress.clear()
    if steps:
        sequences = preview.moved(dry_run.moved())
        console.note("nothing was kept" + (f"; {sequences}" if sequences else ""))


def _json(
    args: argparse.Namespace,
    dry_run: DryRun,
    steps: list[SqlFile],
    pipeline: Pipeline,
    day: str,
    progress: Progress,
) -> None:
    # To a file first: a reader that takes its time must not keep the locks.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as spool:
        document = preview.Document(spool, day=day, pipeline=pipeline.name, dry_run=True)
        try:
            with closing(dry_run.run(steps, lambda step: progress.show(f"{day}  dry     {step.id} …"))) as previews:
                for one in previews:
                    document.step(one)
                    progress.clear()
                    _warn(day, one)
            document.end(sequences=dry_run.moved() if steps else {})
        except RunnerError as error:
            progress.clear()
            document.end(error={"message": error.message, "hint": error.hint})
            _print(spool)
            raise
        finally:
            progress.clear()
        dry_run.close()
        _print(spool)


def _print(spool: TextIO) -> None:
    spool.seek(0)
    shutil.copyfileobj(spool, sys.stdout)


def _warn(day: str, one: Preview) -> None:
    if told := preview.disagreement(one):
        console.warn(f"{day}  {one.step.id}: {told}")
    for text in checks.warnings(one.checks):
        console.warn(f"{day}  {text}")


def _require_migrated(connection: database.Connection, pipeline: Pipeline) -> None:
    """Refuse where an apply would change the schema first: what it makes cannot be rolled back in all cases."""
    pending = [f"runner/{file.id}" for file in schema.pending_own(connection)]
    pending += [file.id for file in schema.pending(pipeline.schema, schema.history(connection, pipeline.name))]
    if pending:
        raise ConfigError(
            f"{console.count(len(pending), 'schema file')} to be applied first: {', '.join(pending)}",
            hint="A dry run changes no schema. Apply them: runner migrate",
        )


def _load(args: argparse.Namespace, settings: Settings, dsn: str, day: str, progress: Progress) -> None:
    """Load the day's staging, which stays: what was asked for with --load always."""
    flow_run_id = str(uuid.uuid4())
    with Lease(dsn, settings.pipeline, day, flow_run_id, args.wait, console.note):
        try:
            loads, _ = loading.load(
                settings, dsn, day, flow_run_id, mode="always", max_rejects=args.max_rejects, progress=progress
            )
        finally:
            progress.clear()
    if not args.json:
        for name, text in load_lines(loads):
            say_outcome(day, "load", name, text)
    console.note("staging was loaded, and stays so")


def _warn_of_new_files(args: argparse.Namespace, settings: Settings, dsn: str, day: str) -> None:
    """Say where staging is older than the day's files, of which an apply would load it first."""
    if args.load == "never":
        return
    try:
        changed = [load.entity for load in loading.plan(settings, dsn, day, "auto") if load.changed]
    except RunnerError as error:
        console.warn(f"{day}: an apply would load staging first, and fail: {error.message}")
        return
    if changed:
        console.warn(
            f"{day}: the files of {', '.join(changed)} are new; the dry run takes staging as it is. "
            f"Load them first: runner load --day {day}"
        )
