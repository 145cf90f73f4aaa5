"""runner migrate: the schema files that are new, and the marts that are new or changed."""

from __future__ import annotations

import argparse

from runner import console, database, mart_making, project, schema
from runner.config import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner migrate`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run what is pending, in order, and make the marts that are not as their files say."""
    pipeline = project.discover(settings)
    with schema.connect(database.resolve(settings), "runner migrate") as connection:
        done = schema.migrate(connection, pipeline.name, pipeline.schema, settings.attempts, console.note)
        made = mart_making.migrate(connection, pipeline.name, pipeline.marts, settings.attempts, console.note)
    if args.json:
        migrated = [*done, *(f"marts/{name}" for name in made)]
        console.print_json({"pipeline": pipeline.name, "migrated": migrated})
        return 0
    for name in done:
        console.say(f"schema  {name}  applied")
    for name in made:
        console.say(f"mart    {name}  made")
    if not done and not made:
        console.say(f"{pipeline.name}: {console.count(len(pipeline.schema), 'schema file')}, none is new")
    return 0
