"""A dry run beside the step itself: what it takes to see, row by row, what a step would change."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.report import Limits, table
from benchmarks.steps import STAGING
from runner import config, database, project, schema
from runner.dry_run import DryRun
from runner.project import Pipeline
from runner.step import SqlFile

ROOT = Path(__file__).resolve().parent.parent
DAY = "bench"
TWICE = 2.0
# Every transaction of the day in a newer version.
NEWER = "update stg_transactions set user_name = user_name || '!', updated_time = updated_time + interval '1 day'"

Connection = psycopg.Connection[tuple[Any, ...]]


def run(url: str, limits: Limits, rows: int, times: int, quick: bool) -> None:
    """Measure 040_transactions on `rows` staged transactions, alone and as a dry run, both rolled back.

    Seconds are the clock's, the least of `times`. Held to the limit unless `quick`.
    """
    held = Limits() if quick else limits
    name = "bench_dry_run"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    dsn = url.replace("/warehouse?", f"/{name}?")
    pipeline = project.discover(config.load({"project": str(ROOT), "pipeline": "zluri"}, environ={}))
    step = project.find(pipeline.steps, "040")
    body = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        schema.migrate(connection, pipeline.name, pipeline.schema)
        connection.execute((STAGING.read_text().replace("%(rows)s", str(rows)).replace("%%", "%")).encode())
        for what, prepare in (("first run", _nothing), ("rerun", _apply), ("every row is newer", _newer)):
            prepare(connection, step)
            connection.execute("vacuum analyze")
            body.append(_measure(connection, dsn, pipeline, step, what, times, held))
    table([f"{step.id}, {rows:,} rows", "changed", "alone s", "dry run s", f"ratio (<= {TWICE})"], body)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)".encode())


def _nothing(connection: Connection, step: SqlFile) -> None:
    """Leave the tables empty."""


def _apply(connection: Connection, step: SqlFile) -> None:
    connection.execute("begin")
    _step(connection, step)
    connection.execute("commit")


def _newer(connection: Connection, step: SqlFile) -> None:
    connection.execute(NEWER.encode())
    connection.execute("vacuum full stg_transactions")


def _step(connection: Connection, step: SqlFile) -> None:
    settings = "select set_config('app.flow_run_id', %s, true), set_config('app.day', %s, true)"
    connection.execute(settings.encode(), (str(uuid.uuid4()), DAY))
    for statement in step.statements:
        connection.execute(statement.text.encode())


def _measure(
    connection: Connection, dsn: str, pipeline: Pipeline, step: SqlFile, what: str, times: int, limits: Limits
) -> list[str]:
    changed = 0

    def alone() -> None:
        connection.execute("begin")
        _step(connection, step)
        connection.execute("rollback")

    def dry() -> None:
        nonlocal changed
        # Without its checks, which the step alone does not run either.
        plain = Pipeline(pipeline.name, pipeline.schema, pipeline.steps)
        with DryRun(lambda: database.connect(dsn, "benchmark"), plain, DAY, lambda _: None) as dry_run:
            for preview in dry_run.run([step]):
                changed = sum(preview.counted)
                for changes in preview.tables:
                    list(changes.rows(10))

    alones, dries = [], []
    for _ in range(times):
        # Side by side, so that a busy moment is shared; what both leave is swept away.
        alones.append(_seconds(alone))
        connection.execute("vacuum transactions")
        dries.append(_seconds(dry))
        connection.execute("vacuum transactions")
    ratio = min(dries) / min(alones)
    text = limits.check(f"{step.id}, {what}: dry run to the step alone", ratio, TWICE)
    return [what, f"{changed:,}", f"{min(alones):.2f}", f"{min(dries):.2f}", text]


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
