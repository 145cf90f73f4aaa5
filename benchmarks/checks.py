"""The checks beside their steps, what each takes on a first run and on a rerun."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from benchmarks.report import Took, table
from benchmarks.steps import ALSO, WRITES, Connection, server_cpu, shipped, staged
from runner import checks, database, transaction
from runner.project import Pipeline
from runner.step import SqlFile


def run(url: str, rows: int) -> None:
    """Measure each step and its checks on `rows` transactions, and print both. Nothing is held to a limit."""
    with staged(url, "bench_checks", rows) as (_, connection):
        connection.execute(f"truncate {', '.join(ALSO)}".encode())
        _measure(connection, rows)


def _measure(connection: Connection, rows: int) -> None:
    pipeline = shipped()
    head = [f"{rows:,} transactions", "step CPU s", "checks CPU s", "ratio", "step wall s", "checks wall s", "ratio"]
    body = []
    for step in pipeline.steps:
        for run in ("first", "rerun"):
            work, checked = _apply(connection, pipeline, step)
            connection.execute(f"vacuum analyze {', '.join(WRITES[step.id])}".encode())
            cells = [f"{step.id}, {run}"]
            for one, other in ((work.cpu, checked.cpu), (work.wall, checked.wall)):
                cells += [f"{one:.3f}", f"{other:.3f}", f"{other / one:.2f}"]
            body.append(cells)
    table(head, body)


def _apply(connection: Connection, pipeline: Pipeline, step: SqlFile) -> tuple[Took, Took]:
    """Run a step and its checks in one transaction; return what each took."""
    local = transaction.settings(step, pipeline="zluri", day="bench", flow_run_id=str(uuid.uuid4()))
    connection.execute("begin")
    database.set_local(connection, local)
    work = _time(connection, lambda: transaction.execute(connection, step))
    wanted = checks.of(pipeline.checks, step)
    checked = _time(connection, lambda: checks.require(checks.run(connection, wanted), wanted))
    connection.execute("commit")
    return work, checked


def _time(connection: Connection, work: Callable[[], object]) -> Took:
    before, started = server_cpu(connection), time.perf_counter()
    work()
    wall = time.perf_counter() - started
    after = server_cpu(connection)
    return Took(wall if before is None or after is None else after - before, wall)
