"""The steps one by one and side by side, what they take by the clock: `python -m benchmarks.jobs`.

Nothing is held to a limit: by the clock a busy machine decides.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import uuid
from pathlib import Path

import psycopg

from benchmarks.report import machine, table
from benchmarks.steps import ALSO, ROOT, STAGING, WRITES, Connection
from runner import config, embedded, graph, order, project, schema
from runner.apply import Run, StepRunner
from runner.graph import Graph
from runner.progress import Progress
from runner.project import Pipeline

JOBS = (1, 2, 4)
RUNS = ("first", "rerun")


def main() -> None:
    """Measure on a server of its own, which is removed afterwards."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs", description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000, help="transactions in staging (1,000,000)")
    parser.add_argument("--times", type=int, default=3, help="how often each is measured; the least counts (3)")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="warehouse-bench-"))
    folder.chmod(0o711)
    try:
        url = embedded.ensure_running(folder / "home")
        with psycopg.connect(url, autocommit=True) as connection:
            # It comes when it likes, and would be in one of two measurements.
            connection.execute("alter system set autovacuum = off")
            connection.execute("select pg_reload_conf()")
            machine(str(connection.info.parameter_status("server_version")))
            _measure(connection, url, given.rows, given.times)
    finally:
        embedded.reset(folder / "home")
        shutil.rmtree(folder, ignore_errors=True)


def _measure(connection: Connection, url: str, rows: int, times: int) -> None:
    pipeline = project.discover(config.load({"project": str(ROOT), "pipeline": "zluri"}, environ={}))
    needs = graph.build(graph.effects(pipeline))
    schema.migrate(connection, pipeline.name, pipeline.schema)
    connection.execute((STAGING.read_text().replace("%(rows)s", str(rows)).replace("%%", "%")).encode())
    # As a load leaves it: counted. And with no hint bits left to write, which the first reader would do.
    connection.execute("vacuum analyze")
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


if __name__ == "__main__":
    main()
