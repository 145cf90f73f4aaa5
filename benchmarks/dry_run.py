"""A dry run beside the step itself: what it takes to see, row by row, what a step would change."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.report import Limits, Took, least, table
from benchmarks.steps import server_cpu, shipped, staged
from runner import database, project
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

    The ratio is of the processor's seconds, the least of `times`, which a busy machine stretches least; it
    is held to the limit unless `quick`.
    """
    held = Limits() if quick else limits
    pipeline = shipped()
    step = project.find(pipeline.steps, "040")
    body = []
    with staged(url, "bench_dry_run", rows) as (dsn, connection):
        for what, prepare in (("first run", _nothing), ("rerun", _apply), ("every row is newer", _newer)):
            prepare(connection, step)
            connection.execute("vacuum analyze")
            body.append(_measure(connection, dsn, pipeline, step, what, times, held))
    table(
        [
            f"{step.id}, {rows:,} rows",
            "changed",
            "alone CPU s",
            "dry CPU s",
            "alone wall s",
            "dry wall s",
            f"ratio (<= {TWICE})",
        ],
        body,
    )


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
    # Without its checks, which the step alone does not run either.
    plain = Pipeline(pipeline.name, pipeline.schema, pipeline.steps)

    def alone() -> None:
        connection.execute("begin")
        _step(connection, step)
        connection.execute("rollback")

    def dry(own: Connection) -> None:
        nonlocal changed
        with DryRun(lambda: own, plain, DAY, lambda _: None) as dry_run:
            for preview in dry_run.run([step]):
                changed = sum(preview.counted)
                for changes in preview.tables:
                    list(changes.rows(10))
            # Before the connection is closed, while its process can be asked.
            taken.append(clock())

    alones, dries = [], []
    for _ in range(times):
        # Side by side, so that a busy moment is shared; what both leave is swept away.
        clock, taken = _clock(connection), []
        alone()
        alones.append(clock())
        connection.execute("vacuum transactions")
        own = database.connect(dsn, "benchmark")
        clock = _clock(own)
        dry(own)
        dries += taken
        connection.execute("vacuum transactions")
    bare, seen = least(alones), least(dries)
    text = limits.check(f"{step.id}, {what}: dry run to the step alone", seen.cpu / bare.cpu, TWICE)
    return [what, f"{changed:,}", f"{bare.cpu:.2f}", f"{seen.cpu:.2f}", f"{bare.wall:.2f}", f"{seen.wall:.2f}", text]


def _clock(connection: Connection) -> Callable[[], Took]:
    """Return what tells how long it is since now: the clock's seconds, and the processor's here and in the server."""
    started, before, here = time.perf_counter(), server_cpu(connection), time.process_time()

    def now() -> Took:
        wall, after = time.perf_counter() - started, server_cpu(connection)
        return Took(wall if before is None or after is None else after - before + time.process_time() - here, wall)

    return now
