"""runner load: the staging of a day, without its steps."""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
import uuid
from typing import Any

from runner import config, console, database, days, loading, project, schema
from runner.config import Settings
from runner.errors import RunnerError, UsageError
from runner.lease import Lease
from runner.load_figures import figures
from runner.progress import Progress
from runner.wording import load_lines, say_outcome, told


def add_load_options(parser: argparse.ArgumentParser) -> None:
    """Name the options that `load` and `apply` share."""
    parser.add_argument("--day", required=True, metavar="D", help="the day's name: day1, 2026-01-05")
    parser.add_argument("--data", metavar="BASE", help="the folder that holds sync-<day>/ (DATA_BASE_PATH)")
    parser.add_argument(
        "--max-rejects",
        metavar="N|P%",
        help="fail before publishing when more records, or a larger share, are rejected",
    )
    add_engine_option(parser)
    parser.add_argument("--master", metavar="M", help="the Spark master (default: local[*])")
    parser.add_argument(
        "--require-yarn", action="store_true", default=None, help="refuse to load on any Spark master but yarn"
    )
    parser.add_argument(
        "--wait",
        type=seconds,
        default=0,
        metavar="SECONDS",
        help="wait for a run that holds the day (default: 0)",
    )


def add_engine_option(parser: argparse.ArgumentParser) -> None:
    """Name the option that says what reads the files."""
    parser.add_argument(
        "--engine",
        choices=config.ENGINES,
        help="read files with Spark (the default), with processes of this machine (local), or by how much there is "
        "to read (auto)",
    )


def seconds(text: str) -> float:
    """Return a number of seconds, refusing what no clock can wait for."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, such as 60")
    return value


def add_load_mode(parser: argparse.ArgumentParser) -> None:
    """Name the option that says whether a day, or each of many, is loaded before its steps run."""
    parser.add_argument(
        "--load",
        choices=("auto", "always", "never"),
        default="auto",
        help="load staging where a day's files are new (auto), in any case, or not at all",
    )


def check_load_options(args: argparse.Namespace) -> None:
    """Refuse options of loading where nothing is to be loaded; silence would look as if they held."""
    given = [
        f"--{name.replace('_', '-')}"
        for name in ("data", "max_rejects", "engine", "master", "require_yarn")
        if getattr(args, name, None)
    ]
    if args.load == "never" and given:
        raise UsageError(
            f"{' and '.join(given)} {'have' if len(given) > 1 else 'has'} no meaning with --load never",
            hint="Leave one of the two out: with --load never the steps run on what staging holds.",
        )
    if getattr(args, "engine", None) == "local" and getattr(args, "master", None):
        raise UsageError("--master names a Spark, and --engine local uses none", hint="Leave one of the two out.")


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner load`."""
    add_load_options(parser)
    parser.add_argument(
        "--load",
        choices=("auto", "always"),
        default="auto",
        help="load where the day's files are new (auto), or in any case",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Load one day; 0 where staging holds it."""
    day = days.check(args.day)
    pipeline = project.discover(settings)
    if not loading.has_loaders(settings):
        raise UsageError(
            f"{pipeline.name} is SQL alone, so there is nothing to load: no entity is declared in "
            f"{settings.declarations}",
            hint="Run its steps: runner apply --day D. Declare an entity: runner new loader NAME --sample FILE",
        )
    check_load_options(args)
    loading.check(settings, day, mode=args.load, max_rejects=args.max_rejects)
    flow_run_id = str(uuid.uuid4())
    dsn = database.resolve(settings)
    with schema.connect(dsn, "runner migrate") as connection:
        loading.require_engine(settings, connection, dsn, day, args.load)
        migrated = schema.migrate(connection, pipeline.name, pipeline.schema, settings.attempts, console.note)
    document: dict[str, Any] = {
        "day": day,
        "pipeline": pipeline.name,
        "flow_run_id": flow_run_id,
        "migrated": migrated,
        "load": None,
        "loads": [],
    }
    progress = Progress()
    started = time.perf_counter()
    try:
        with Lease(dsn, pipeline.name, day, flow_run_id, args.wait, console.note):
            try:
                loads, choice = loading.load(
                    settings, dsn, day, flow_run_id, mode=args.load, max_rejects=args.max_rejects, progress=progress
                )
            finally:
                progress.clear()
    except RunnerError as error:
        if args.json:
            console.print_json(document | {"error": told(error)})
        raise
    took = time.perf_counter() - started
    if args.json:
        document["load"] = figures(loads, choice)
        document["loads"] += map(dataclasses.asdict, loads)
        console.print_json(document)
        return 0
    for name in migrated:
        say_outcome(day, "schema", name, "applied")
    for name, text in load_lines(loads):
        say_outcome(day, "load", name, text, took if name == "all" else None)
    return 0
