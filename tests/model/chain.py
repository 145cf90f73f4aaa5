"""The real chain, twice: quick, without Spark and the runner, and whole.

Quick: files -> the loader's own reading and conversion -> staging -> the steps' own SQL -> their checks.
Whole: files -> the loader, on any engine -> the runner's transactions around the steps.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psycopg import sql

from runner import checks, config, project
from runner.apply import Run, StepResult, StepRunner
from staging_loaders import convert, entity, files, read
from staging_loaders.load import EntityLoad, load_day
from staging_loaders.session import Engine
from tests.model import rates
from tests.model.compare import Connection

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = project.discover(config.load({"project": str(ROOT), "pipeline": "zluri"}, environ={}))
_KEPT = ("fx_rates", "schema_history", "reference_loads")

# Compiled once: what an entity is does not change between examples.
DECLARATIONS = entity.load_declarations(ROOT / "staging_loaders" / "zluri")
_CONVERT = {name: convert.compile_entity(each) for name, each in DECLARATIONS.items()}


def fill_rates(connection: Connection) -> None:
    """Write the bank's rates of the dates that `strategies` draws."""
    with (
        connection.cursor() as cursor,
        cursor.copy("copy fx_rates (currency, rate_date, units_per_eur, source) from stdin") as copy,
    ):
        for (currency, when), units in rates.bank_rates().items():
            if "2022-02" <= str(when) < "2022-04" or "2026-02" <= str(when) < "2026-04":
                copy.write_row((currency, when, f"{float(units)!r}", "ECB"))


def empty(connection: Connection) -> None:
    """Empty every table but the rates."""
    rows = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
    names = [sql.Identifier(name) for (name,) in rows if name not in _KEPT]
    connection.execute(sql.SQL("truncate {}").format(sql.SQL(", ").join(names)))


def write_files(folder: Path, day: Mapping[str, bytes]) -> None:
    """Write a day's files below `folder`."""
    for name, content in day.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def apply(connection: Connection, day: str, content: Mapping[str, bytes]) -> str:
    """Load and apply a day, each step in a transaction of its own; return the run's id. Autocommit is expected.

    Raises CheckFailed where a check or checkpoint finds rows that must not exist.
    """
    run = str(uuid.uuid4())
    stage(connection, day, content, run)
    connection.execute("select set_config('app.flow_run_id', %s, false), set_config('app.day', %s, false)", (run, day))
    for step in PIPELINE.steps:
        connection.execute(step.text.encode())
        with connection.transaction():
            wanted = checks.of(PIPELINE.checks, step)
            checks.require(checks.run(connection, wanted), wanted)
    with connection.transaction():
        checks.require(checks.run(connection, PIPELINE.checkpoints), PIPELINE.checkpoints)
    return run


def stage(connection: Connection, day: str, content: Mapping[str, bytes], run: str = "") -> None:
    """Load a day into staging, and run no step."""
    with tempfile.TemporaryDirectory() as name:
        write_files(Path(name), content)
        with connection.transaction():
            for each in DECLARATIONS.values():
                _publish(connection, day, run, each, os.path.join(name, each.name))


def _publish(connection: Connection, day: str, run: str, each: entity.Entity, folder: str) -> None:
    table = sql.Identifier(each.table)
    connection.execute("select staging_day(%s, %s)", (each.table, day))
    connection.execute(sql.SQL("delete from {} where day = %s").format(table), (day,))
    connection.execute("delete from stg_rejects where day = %s and entity = %s", (day, each.name))
    connection.execute("delete from stg_loads where day = %s and entity = %s", (day, each.name))
    found = files.find_files(Path(folder))
    if not found:
        return
    rows: list[tuple[Any, ...]] = []
    problems: list[tuple[Any, ...]] = []
    for file in found:
        for position, record in enumerate(read.read_records(file.path, each.array_paths), start=1):
            _judge(each, file.name, position, record, rows, problems)
    columns = sql.SQL(", ").join(map(sql.Identifier, ("day", "source_file", "position", *each.columns)))
    with connection.cursor() as cursor:
        with cursor.copy(sql.SQL("copy {} ({}) from stdin").format(table, columns)) as copy:
            for row in rows:
                copy.write_row((day, *row))
        cursor.executemany(
            "insert into stg_rejects (pipeline, day, entity, severity, source_file, position, reason, field, raw_value,"
            " record_key) values ('zluri', %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [(day, each.name, *problem) for problem in problems],
        )
        rejects = sum(problem[0] == "reject" for problem in problems)
        cursor.execute(
            "insert into stg_loads (pipeline, day, entity, records_read, rows_loaded, rejects, warnings, files, bytes,"
            " fingerprint, flow_run_id, seconds) values ('zluri', %s, %s, %s, %s, %s, %s, %s, 0, '', %s, 0)",
            (day, each.name, len(rows) + rejects, len(rows), rejects, len(problems) - rejects, len(found), run),
        )


def _judge(each: entity.Entity, file: str, position: int, record: Any, rows: list[Any], problems: list[Any]) -> None:
    """Put one record where it belongs."""
    outcome = _CONVERT[each.name](record[0])
    if isinstance(outcome, convert.Loaded):
        rows.append((file, position, *outcome.row))
        problems += [("warning", file, position, *warning, None) for warning in outcome.warnings]
    else:
        problems.append(("reject", file, position, *outcome.problem, outcome.key))


def apply_whole(
    dsn: str, day: str, content: Mapping[str, bytes], engine: Engine
) -> tuple[str, list[EntityLoad], list[StepResult]]:
    """Load and apply a day as the runner does; return the run's id, what was loaded and how the steps ended."""
    run = Run("zluri", day, str(uuid.uuid4()), dsn, checks=PIPELINE.checks)
    with tempfile.TemporaryDirectory() as base:
        write_files(Path(base, f"sync-{day}"), content)
        loads = load_day(
            dsn=dsn,
            pipeline=run.pipeline,
            day=day,
            base=base,
            declarations=ROOT / "staging_loaders" / "zluri",
            flow_run_id=run.flow_run_id,
            session=engine,
        )
    with StepRunner(run, log=lambda _: None) as runner:
        return run.flow_run_id, loads, [runner.run(step) for step in PIPELINE.steps]


def changes(connection: Connection, run: str) -> list[tuple[Any, ...]]:
    """Return (task, inserted, updated, deleted) of the steps of a run that changed something."""
    return connection.execute(
        "select task_name, rows_inserted, rows_updated, rows_deleted from pipeline_metrics"
        " where flow_run_id = %s and rows_affected > 0 order by id",
        (run,),
    ).fetchall()
