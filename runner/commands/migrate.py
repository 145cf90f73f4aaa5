"""runner migrate: the schema files that are new."""

from __future__ import annotations

import argparse

from runner import console, database, project, schema
from runner.config import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner migrate`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run what is pending, in order."""
    pipeline = project.discover(settings)
    with schema.connect(database.resolve(settings), "runner migrate") as connection:
        done = schema.migrate(connection, pipeline.name, pipeline.schema, settings.attempts, console.note)
    if args.json:
        console.print_json({"pipeline": pipeline.name, "migrated": done})
        return 0
    for name in done:
        console.say(f"schema  {name}  applied")
    if not done:
        console.say(f"{pipeline.name}: {console.count(len(pipeline.schema), 'schema file')}, none is new")
    return 0
