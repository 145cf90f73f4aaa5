"""runner new: a step or a loader to start from, written from the database's own columns or from a sample."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from runner import console, database, loading, project, scaffold, schema
from runner.config import Settings
from runner.errors import UsageError
from runner.reserved import RESERVED
from runner.step import NAME

if TYPE_CHECKING:
    from runner.database import Connection
    from runner.new_step import Loader, NewStep
    from runner.project import Pipeline
    from runner.relation import Relation

_STEP = """\
Write migrations/PIPELINE/NNN_NAME.sql: a step that fills a table from its
staging table, copying the columns that both have in the database. The file is
yours from then on: it is never generated again.
"""
_STEP_EXAMPLES = """
examples:
  runner new step customers
  runner new step 045_payments --key account_id,payment_id --version-column booked_at
  runner new step price_list --table prices --shape snapshot --from-table stg_catalogue
"""
_LOADER = """\
Write staging_loaders/PIPELINE/NAME.toml, which says how the files of
sync-<day>/NAME/ fill stg_NAME, and the schema file that makes this table.
With --sample, fields and their types are guessed from a file.
"""
_LOADER_EXAMPLES = """\
examples:
  runner new loader customers --sample data/sync-day1/customers/page1.json
  runner new loader customers --key customer_id
"""
_LOADER_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


def configure(parser: argparse.ArgumentParser) -> None:
    """Name what can be written, and the options of each."""
    from runner.new_step import SHAPES

    shapes = "".join(f"  {name:<10} {text}\n" for name, text in SHAPES.items())
    kinds = parser.add_subparsers(dest="kind", metavar="step|loader", required=True)
    raw = argparse.RawDescriptionHelpFormatter
    step = kinds.add_parser(
        "step",
        help="a step of a table's own columns",
        description=_STEP,
        epilog=f"shapes:\n{shapes}{_STEP_EXAMPLES}",
        formatter_class=raw,
    )
    step.add_argument("name", metavar="NAME", help="customers, or with a number of your choice: 045_customers")
    step.add_argument("--table", metavar="T", help="the table it fills (default: the name)")
    step.add_argument("--key", metavar="K[,K]", help="what tells its rows apart (default: the primary key)")
    step.add_argument(
        "--version-column",
        metavar="V",
        help="the column whose newest value wins, or none (default: updated_at, updated_time, where there is one)",
    )
    step.add_argument("--shape", default="upsert", help="upsert, snapshot, append or recompute (default: upsert)")
    step.add_argument("--from-table", metavar="S", help="where its rows come from (default: stg_TABLE)")
    loader = kinds.add_parser(
        "loader",
        help="a declaration and its staging table",
        description=_LOADER,
        epilog=_LOADER_EXAMPLES,
        formatter_class=raw,
    )
    loader.add_argument("name", metavar="NAME", help="the entity: its folder in a day is called the same")
    loader.add_argument("--sample", metavar="FILE", help="a JSON, JSON Lines or CSV file, also gzipped")
    loader.add_argument("--key", metavar="K", help="the field that names a record (default: one that is unique)")
    loader.add_argument("--table", metavar="T", help="the staging table (default: stg_NAME)")
    for kind in (step, loader):
        # Before or after, as with every other command.
        kind.add_argument("--project", metavar="DIR", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        kind.add_argument("--pipeline", metavar="P", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Write the files, all or none, and say what to do next."""
    return _step(args, settings) if args.kind == "step" else _loader(args, settings)


def _step(args: argparse.Namespace, settings: Settings) -> int:
    from runner import new_step, new_step_columns, relation

    if args.shape not in new_step.SHAPES:
        raise UsageError(
            f"there is no shape {args.shape!r}{relation.suggestion(args.shape, new_step.SHAPES)}",
            hint=f"Shapes: {', '.join(new_step.SHAPES)}. See runner new step --help.",
        )
    pipeline = project.discover(settings)
    number, name = _number_and_name(args.name, pipeline)
    table = args.table or name
    if args.shape == "recompute" and not args.from_table:
        raise UsageError(
            "--shape recompute needs --from-table", hint="Name the table that this one is computed from: a final one."
        )
    request = new_step_columns.Request(
        number=number,
        name=name,
        pipeline=pipeline.name,
        shape=args.shape,
        key=tuple(part.strip() for part in args.key.split(",")) if args.key else None,
        version_column=args.version_column,
    )
    with schema.connect(database.resolve(settings), "runner new") as connection:
        _require_migrated(connection, pipeline)
        target = relation.find(connection, table)
        source_name = args.from_table or f"stg_{target.name}"
        hint = (
            "" if args.from_table else f"Make it with runner new loader {target.name}, or name one with --from-table."
        )
        source = relation.find(connection, source_name, pending=hint)
        step = new_step.compose(request, target, source, _loader_of(settings, source), connection)
        step = _with_schema(connection, step, pipeline, target)
    texts = {settings.migrations / f"{step.id}.sql": scaffold.render(f"step/{step.shape}.sql.j2", step=step)}
    if schema_name := _schema_name(step):
        texts[settings.migrations / "schema" / _schema_file(pipeline, schema_name)] = scaffold.render(
            "step/schema.sql.j2", step=step
        )
    scaffold.write(texts)
    _say_written(texts, settings)
    for note in step.notes:
        console.note(f"note: {note}")
    console.say("\nrunner migrate" if len(texts) > 1 else "")
    console.say(f"runner lint {_below(settings, next(iter(texts)))}")
    console.say(f"runner apply --day DAY --only {step.id}")
    console.say(f"runner verify --only {step.id}")
    return 0


def _number_and_name(given: str, pipeline: Pipeline) -> tuple[int, str]:
    """Return number and name of a new step; without a number it gets the next ten."""
    match = NAME.fullmatch(given)
    number = int(match["number"]) if match else max([0, *(file.number for file in pipeline.steps)]) // 10 * 10 + 10
    name = match["name"] if match else given
    if not NAME.fullmatch(f"{number:03d}_{name}"):
        raise UsageError(
            f"{given!r} is not a step's name",
            hint="Use letters, digits and '_', a letter first: customers, or 045_customers.",
        )
    for file in pipeline.steps:
        if number == file.number or name == file.name:
            what = "number" if number == file.number else "name"
            raise UsageError(f"{file.shown} has that {what} already", hint="Choose another; nothing was written.")
    return number, name


def _require_migrated(connection: Connection, pipeline: Pipeline) -> None:
    pending = schema.pending(pipeline.schema, schema.history(connection, pipeline.name))
    if pending:
        raise UsageError(
            f"{pending[0].shown} was not applied to the database yet, and a step is written from its tables",
            hint="Apply it first: runner migrate",
        )


def _loader_of(settings: Settings, source: Relation) -> Loader | None:
    """Return the entity that fills `source`, None where no declaration does."""
    from runner.new_step import Loader

    if not loading.has_loaders(settings):
        return None
    from staging_loaders.entity import load_declarations

    entities = load_declarations(settings.declarations).values()
    return next((Loader(entity.name, entity.required) for entity in entities if entity.table == source.name), None)


def _with_schema(connection: Connection, step: NewStep, pipeline: Pipeline, target: Relation) -> NewStep:
    """Return the step with what its schema file has to make."""
    import dataclasses

    from runner import new_step

    if step.shape == "snapshot":
        name = f"{target.name}_days"[:63]
        quoted, quoted_key, exists = connection.execute(
            "select quote_ident(%s), quote_ident(%s), to_regclass(quote_ident(%s)) is not null",
            (name, f"{name[:58]}_pkey", name),
        ).fetchone()
        if exists:
            raise UsageError(
                f"there is a table {name} already, and a snapshot keeps its days in one of that name",
                hint=f"Drop or rename it in a schema file, if no step of {target.name} needs it.",
            )
        step = new_step.with_days(step, quoted, quoted_key, name)
    made = any(re.search(r"\bfunction\s+(public\.)?day_order\b", file.text, re.I) for file in pipeline.schema)
    return dataclasses.replace(step, needs_day_order=not made and step.shape in ("snapshot", "upsert"))


def _schema_name(step: NewStep) -> str:
    """Return what the step's schema file is about, empty where it needs none."""
    if step.shape == "snapshot":
        return f"{step.name}_days"
    if step.shape == "upsert" and not step.has_day_column:
        return f"{step.name}_version"
    return f"{step.name}_day_order" if step.needs_day_order else ""


def _schema_file(pipeline: Pipeline, name: str) -> str:
    """Return the name of the next schema file, one that no other has."""
    number = max([0, *(file.number for file in pipeline.schema)]) + 1
    name = name[-50:].lstrip("_0123456789")
    if name in {file.name for file in pipeline.schema}:
        name = f"{name[:40]}_{number}"
    return f"{number:03d}_{name}.sql"


def _loader(args: argparse.Namespace, settings: Settings) -> int:
    from runner import new_loader

    if not _LOADER_NAME.fullmatch(args.name):
        raise UsageError(
            f"{args.name!r} is not an entity's name", hint="Use lower-case letters, digits and '_', a letter first."
        )
    if args.table is not None and (
        args.table in RESERVED or not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", args.table, re.ASCII)
    ):
        raise UsageError(
            f"{args.table!r} is not a staging table's name",
            hint="Use lower-case letters, digits and '_', and no word of SQL's own.",
        )
    pipeline = project.discover(settings)
    table = args.table or f"stg_{args.name}"
    declaration = settings.declarations / f"{args.name}.toml"
    if declaration.exists():
        raise UsageError(
            f"{_below(settings, declaration)} exists already", hint="Choose another name; nothing was written."
        )
    for file in pipeline.schema:
        if re.search(rf"\bcreate\s+table\s+(if\s+not\s+exists\s+)?{table}\b", file.text, re.I):
            raise UsageError(f"{file.shown} makes {table} already", hint="Choose another name, or --table.")
    fields = (
        new_loader.guess(Path(args.sample), args.name, args.key) if args.sample else new_loader.blank(args.key or "id")
    )
    values = {"entity": args.name, "table": table, "fields": fields, "sample": bool(args.sample)}
    texts = {
        declaration: scaffold.render("loader/entity.toml.j2", **values),
        settings.migrations / "schema" / _schema_file(pipeline, table): scaffold.render(
            "loader/schema.sql.j2", **values
        ),
    }
    scaffold.write(texts)
    _say_written(texts, settings)
    for note in fields.notes:
        console.note(f"note: {note}")
    console.say("\nrunner load --day DAY")
    return 0


def _say_written(texts: dict[Path, str], settings: Settings) -> None:
    for path in texts:
        console.say(_below(settings, path))


def _below(settings: Settings, path: Path) -> str:
    """Return a path as one types it from the project's folder."""
    return str(path.relative_to(settings.project))
