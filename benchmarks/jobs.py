"""The steps one by one and side by side, what they take by the clock.

Nothing is held to a limit: by the clock a busy machine decides.
"""

from __future__ import annotations

import time
import uuid

from benchmarks.report import table
from benchmarks.steps import ALSO, WRITES, Connection, shipped, staged
from runner import graph, order
from runner.apply import Run, StepRunner
from runner.graph import Graph
from runner.progress import Progress
from runner.project import Pipeline

JOBS = (1, 2, 4)
RUNS = ("first", "rerun")


def run(url: str, rows: int, times: int) -> None:
    """Measure on `rows` transactions, `times` times over, and print the least of each."""
    with staged(url, "bench_jobs", rows) as (dsn, connection):
        _measure(connection, dsn, rows, times)


def _measure(connection: Connection, url: str, rows: int, times: int) -> None:
    pipeline = shipped()
    needs = graph.build(graph.effects(pipeline))
    took: dict[tuple[str, int], float] = {}
    written = [name for names in WRITES.values() for name in names]
    for _ in range(times):
        # Side by side, so that a busy moment is shared.
        for jobs in JOBS:
            connection.execute(f"truncate {', '.join((*written, *ALSO))}".encode())
            for run in RUNS:
                connection.execute("checkpoint")
                seconds = _apply(pipeline, needs, url, jobs)
                took[run, jobs] = min(seconds, took.get((run, jobs), seconds))
                connection.execute(f"vacuum analyze {', '.join(written)}".encode())
    head = [f"{rows:,} transactions", *(f"jobs {JOBS[0]} / jobs {jobs}" for jobs in JOBS[1:])]
    head += [f"jobs {jobs}, wall s" for jobs in JOBS]
    body = [
        [
            run,
            *(f"{took[run, JOBS[0]] / took[run, jobs]:.2f}" for jobs in JOBS[1:]),
            *(f"{took[run, jobs]:.2f}" for jobs in JOBS),
        ]
        for run in RUNS
    ]
    table(head, body)


def _apply(pipeline: Pipeline, needs: Graph, url: str, jobs: int) -> float:
    """Run all steps with their checks, as `runner apply` does; return the seconds it took."""
    this = Run(pipeline.name, "bench", str(uuid.uuid4()), url, checks=pipeline.checks)
    progress = Progress()
    ended: list[str] = []
    started = time.perf_counter()
    if jobs == 1:
        order.one_by_one(
            pipeline.steps,
            lambda log: StepRunner(this, log),
            day="bench",
            progress=progress,
            done=lambda step, _: ended.append(step.id),
            failed=lambda _step, _error: None,
            not_run=lambda _: None,
        )
    else:
        order.side_by_side(
            pipeline.steps,
            lambda log: StepRunner(this, log),
            needs,
            jobs,
            day="bench",
            progress=progress,
            done=lambda step, _: ended.append(step.id),
            failed=lambda _step, _error: None,
            not_run=lambda _: None,
        )
    seconds = time.perf_counter() - started
    if ended != [step.id for step in pipeline.steps]:
        raise RuntimeError(f"only {ended} were run")
    return seconds
