"""The checks beside their steps, what each takes on a first run and on a rerun: `python -m benchmarks.checks`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg

from benchmarks.report import Took, machine, table
from benchmarks.steps import ALSO, ROOT, STAGING, WRITES, Connection, server_cpu
from runner import checks, config, database, embedded, project, schema, transaction
from runner.project import Pipeline
from runner.step import SqlFile


def main() -> None:
    """Measure on a server of its own, which is removed afterwards."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checks", description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000, help="transactions in staging (1,000,000)")
    rows = parser.parse_args().rows
    folder = Path(tempfile.mkdtemp(prefix="warehouse-bench-"))
    folder.chmod(0o711)
    try:
        with psycopg.connect(embedded.ensure_running(folder / "home"), autocommit=True) as connection:
            # Its work would count as the steps'.
            connection.execute("alter system set autovacuum = off")
            connection.execute("select pg_reload_conf()")
            machine(str(connection.info.parameter_status("server_version")))
            _measure(connection, rows)
    finally:
        embedded.reset(folder / "home")
        shutil.rmtree(folder, ignore_errors=True)


def _measure(connection: Connection, rows: int) -> None:
    pipeline = project.discover(config.load({"project": str(ROOT), "pipeline": "zluri"}, environ={}))
    schema.migrate(connection, pipeline.name, pipeline.schema)
    connection.execute((STAGING.read_text().replace("%(rows)s", str(rows)).replace("%%", "%")).encode())
    # As a load leaves it: counted.
    connection.execute("vacuum analyze")
    connection.execute(f"truncate {', '.join(ALSO)}".encode())
    head = [f"{rows:,} transactions", "step CPU s", "checks CPU s", "ratio", "step wall s", "checks wall s", "ratio"]
    body = []
    for step in pipeline.steps:
        for run in ("first", "rerun"):
            work, checked = _run(connection, pipeline, step)
            connection.execute(f"vacuum analyze {', '.join(WRITES[step.id])}".encode())
            cells = [f"{step.id}, {run}"]
            for one, other in ((work.cpu, checked.cpu), (work.wall, checked.wall)):
                cells += [f"{one:.3f}", f"{other:.3f}", f"{other / one:.2f}"]
            body.append(cells)
    table(head, body)


def _run(connection: Connection, pipeline: Pipeline, step: SqlFile) -> tuple[Took, Took]:
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


if __name__ == "__main__":
    main()
