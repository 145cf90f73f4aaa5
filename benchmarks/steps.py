"""The steps at scale: beside the bare upsert of the same rows, run again, and with ten times the rows."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.report import Limits, Took, least, table
from runner import config, embedded, project, schema
from runner.project import Pipeline

ROOT = Path(__file__).resolve().parent.parent
STEPS = sorted((ROOT / "migrations" / "zluri").glob("[0-9]*.sql"))
STAGING = Path(__file__).with_name("staging.sql")
# What a person would write for each step where nothing has to come right but the rows of one day.
BARE_FILES = Path(__file__).with_name("bare")
# What each step writes, and its bare upsert, too.
WRITES: dict[str, tuple[str, ...]] = {
    "010_agents": ("agents", "agent_status_history"),
    "011_roles": ("roles",),
    "012_agent_roles": ("agent_role_mapping", "agent_role_history"),
    "020_groups": ("groups", "group_membership", "group_member_history"),
    "030_budgets": ("budgets",),
    "031_cards": ("cards",),
    "040_transactions": ("transactions",),
}
# Where a second run would find what the first has remembered; emptied between two first runs.
ALSO = (
    "agent_days",
    "agent_presence_unknown",
    "agent_role_unknown",
    "group_member_unknown",
    "transaction_pipeline_state",
)
# Whose rerun reads its tables with several processors.
PARALLEL = ("040_transactions",)
BARE, RERUN, TENFOLD = 1.5, 0.25, 11.0

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Timing:
    """What a step takes, the least of several, and what its rerun left in the tables' log."""

    bare: Took
    first: Took
    rerun: Took
    wal: int
    moved: bool


def run(home: Path, url: str, limits: Limits, rows: int, times: int, quick: bool) -> None:
    """Measure all steps on `rows` transactions and on a tenth of them, and print both.

    Seconds are the processor's, in the session and in the workers that it called, which a busy
    machine stretches least. The rerun of a step that calls workers is held to its limit by the
    clock, because that is where reading with several processors shows. Where `quick`, ratios are
    printed and not held to anything: hundredths of a second are mostly noise.
    """
    held = Limits() if quick else limits
    small = _measure(home, url, "bench_small", rows // 10, times)
    large = _measure(home, url, "bench_large", rows, times)
    for timings, count in ((small, rows // 10), (large, rows)):
        head = [
            f"{count:,} transactions",
            "bare CPU s",
            "first CPU s",
            f"ratio (<= {BARE})",
            "rerun CPU s",
            "first wall s",
            "rerun wall s",
            f"ratio (<= {RERUN})",
            "WAL bytes",
            "moved",
        ]
        table(
            head,
            [_row(limits, held if timings is large else Limits(), step, timing) for step, timing in timings.items()],
        )
    body = []
    for step, timing in large.items():
        before = small[step].first.cpu
        text = held.check(f"{step}, ten times the rows", timing.first.cpu / before, TENFOLD)
        body.append([step, f"{before:.3f}", f"{timing.first.cpu:.3f}", text])
    table(["first run, CPU s", f"{rows // 10:,}", f"{rows:,}", f"ratio (<= {TENFOLD:.0f})"], body)


def shipped() -> Pipeline:
    """Return the pipeline that is measured."""
    return project.discover(config.load({"project": str(ROOT), "pipeline": "zluri"}, environ={}))


@contextmanager
def staged(url: str, name: str, rows: int) -> Iterator[tuple[str, Connection]]:
    """Make a database with the shipped tables and `rows` transactions in staging, and drop it in the end."""
    dsn = url.replace("/warehouse?", f"/{name}?")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            pipeline = shipped()
            schema.migrate(connection, pipeline.name, pipeline.schema)
            connection.execute((STAGING.read_text().replace("%(rows)s", str(rows)).replace("%%", "%")).encode())
            # As a load leaves it: counted. And with no hint bits left to write, which the first reader would do.
            connection.execute("vacuum analyze")
            yield dsn, connection
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)".encode())


def _row(limits: Limits, held: Limits, step: str, timing: Timing) -> list[str]:
    """That nothing is written is held by `limits`, ratios by `held`, which may forget what it is told."""
    clock = "wall" if step in PARALLEL else "cpu"
    again = getattr(timing.rerun, clock) / getattr(timing.first, clock)
    if timing.wal or timing.moved:
        limits.missed.append(f"{step}: a rerun wrote {timing.wal} bytes of WAL for its tables")
    return [
        step,
        f"{timing.bare.cpu:.3f}",
        f"{timing.first.cpu:.3f}",
        held.check(f"{step}, first run to bare upsert", timing.first.cpu / timing.bare.cpu, BARE),
        f"{timing.rerun.cpu:.3f}",
        f"{timing.first.wall:.3f}",
        f"{timing.rerun.wall:.3f}",
        held.check(f"{step}, rerun to first run", again, RERUN),
        str(timing.wal),
        "yes" if timing.moved else "no",
    ]


def _measure(home: Path, url: str, name: str, rows: int, times: int) -> dict[str, Timing]:
    with staged(url, name, rows) as (_, connection):
        return {step.stem: _step(home, connection, step, times) for step in STEPS}


def _step(home: Path, connection: Connection, step: Path, times: int) -> Timing:
    tables = WRITES[step.stem]
    firsts, reruns, bares = [], [], []
    wal, moved = 0, False
    for _ in range(times):
        # Side by side, so that a busy moment is shared.
        _empty(connection, tables)
        bares.append(_apply(connection, BARE_FILES / step.name))
        _empty(connection, tables)
        start = _position(connection)
        firsts.append(_apply(connection, step))
        if not _written(home, connection, tables, start, _position(connection), records=20_000):
            raise RuntimeError(
                f"the first run of {step.stem} left nothing in the log, so that a rerun would prove nothing"
            )
        for name in tables:
            connection.execute(f"vacuum analyze {name}".encode())
        connection.execute("checkpoint")
        before, start = _places(connection, tables), _position(connection)
        reruns.append(_apply(connection, step))
        wal = max(wal, _written(home, connection, tables, start, _position(connection)))
        moved = moved or _places(connection, tables) != before
    return Timing(least(bares), least(firsts), least(reruns), wal, moved)


def _apply(connection: Connection, step: Path) -> Took:
    settings = "select set_config('app.flow_run_id', %s, false), set_config('app.day', 'bench', false)"
    connection.execute(settings.encode(), (str(uuid.uuid4()),))
    return _time(connection, step.read_text())


def _empty(connection: Connection, tables: tuple[str, ...]) -> None:
    connection.execute(f"truncate {', '.join((*tables, *ALSO))}".encode())
    connection.execute("checkpoint")


def _time(connection: Connection, statements: str) -> Took:
    before, started = server_cpu(connection), time.perf_counter()
    connection.execute(statements.encode())
    wall = time.perf_counter() - started
    after = server_cpu(connection)
    return Took(wall if before is None or after is None else after - before, wall)


def server_cpu(connection: Connection) -> float | None:
    """Return the CPU seconds of the session and of all processes that its server has seen end.

    Among these are the workers of parallel queries, and nothing else while autovacuum is off.
    None where the system has no /proc.
    """
    session = Path("/proc") / str(connection.info.backend_pid)
    try:
        used = int((session / "schedstat").read_text().split()[0]) / 1e9
        server = _stat(session)[1]
        ended = sum(map(int, _stat(session.parent / server)[13:15]))
    except OSError:
        return None
    return used + ended / os.sysconf("SC_CLK_TCK")


def _stat(process: Path) -> list[str]:
    """Return the fields of a process's `stat` after its name: state, parent, …"""
    return (process / "stat").read_text().rpartition(")")[2].split()


def _places(connection: Connection, tables: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Return a digest of where each row lies and who wrote or locked it last."""
    place = "hashtextextended(concat_ws(' ', ctid, xmin, xmax), 0)"
    return [
        connection.execute(f"select count(*), sum({place}), bit_xor({place}) from {name}".encode()).fetchall()[0]
        for name in tables
    ]


def _position(connection: Connection) -> str:
    return str(connection.execute("select pg_current_wal_insert_lsn()").fetchall()[0][0])


def _written(
    home: Path, connection: Connection, tables: tuple[str, ...], start: str, stop: str, records: int | None = None
) -> int:
    """Return the bytes of the write-ahead log that name the tables or their indexes, in its first `records`."""
    files = connection.execute(
        "select pg_relation_filepath(oid) from pg_class where oid = any (%(names)s::regclass[]) or oid in"
        " (select indexrelid from pg_index where indrelid = any (%(names)s::regclass[]))",
        {"names": list(tables)},
    ).fetchall()
    numbers = {path.rsplit("/", 1)[1] for (path,) in files}
    # The log is read from disk, and the last of it may not be there yet.
    connection.execute("select pg_switch_wal()")
    dump: list[str | Path] = [
        embedded.binaries() / "pg_waldump",
        "-p",
        embedded.status(home).data_dir / "pg_wal",
        "-s",
        start,
        "-e",
        stop,
    ]
    dump += [] if records is None else ["-n", str(records)]
    text = subprocess.run(dump, check=True, text=True, capture_output=True).stdout
    total = 0
    for line in text.splitlines():
        named = {part.split()[0].rsplit("/", 1)[1] for part in line.split("rel ")[1:] if "/" in part.split()[0]}
        if named & numbers:
            total += int(line.split("tot):")[1].split("/")[1].split(",")[0])
    return total
