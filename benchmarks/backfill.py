"""A year of small days in one backfill, beside as many calls of `runner apply`: seconds and memory."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks import year
from benchmarks.meter import memory, tree, tree_cpu
from benchmarks.report import Limits, table

ROOT = Path(__file__).resolve().parent.parent
# How much more memory the runner may take at the end than after the first month, and which part of the processors'
# seconds of single calls the backfill may take.
MEMORY, SHARE = 1.10, 0.5
# Single calls that are measured: the rest takes as long.
_SINGLE = 12
# Days of which nothing is new.
_AGAIN = 20
_EARLY = 30


@dataclass
class Took:
    """A backfill: seconds by the clock and of the runner's processes, and their bytes after so many days."""

    wall: float = 0.0
    cpu: float = 0.0
    memory: dict[int, int] = field(default_factory=dict)

    def early(self) -> int:
        """The bytes after the first month, or after a quarter of the days where there are fewer."""
        days = sorted(self.memory)
        return self.memory[days[min(_EARLY, len(days) // 4)]]

    def late(self) -> int:
        """The bytes after the last days, whatever a moment adds."""
        return int(statistics.median(self.memory[day] for day in sorted(self.memory)[-5:]))


def run(url: str, folder: Path, limits: Limits, quick: bool) -> None:
    """Backfill a year, a tenth of it where `quick`; ratios are then printed only."""
    count = 40 if quick else 365
    held = Limits() if quick else limits
    base = folder / "backfill"
    for number in range(count):
        year.write(base, number)
    with _database(url, "bench_backfill") as dsn:
        together = _backfill(dsn, base, 0, count)
        again = _backfill(dsn, base, count - _AGAIN, count)
    with _database(url, "bench_apply") as dsn:
        single = [_apply(dsn, base, number) for number in range(_SINGLE)]
    alone = statistics.median(cpu for _, cpu in single[2:]) * count
    clock = statistics.median(wall for wall, _ in single[2:]) * count
    growth = together.late() / together.early()
    table(
        (f"{count} days of {year.TRANSACTIONS} transactions", "CPU s", "s", "MB early", "MB late"),
        [
            ("runner backfill", f"{together.cpu:.1f}", f"{together.wall:.1f}", *_mb(together)),
            (f"the last {_AGAIN} again: nothing is new", f"{again.cpu:.1f}", f"{again.wall:.1f}", *_mb(again)),
            (f"runner apply, {count} times (of {_SINGLE})", f"{alone:.1f}", f"{clock:.1f}", "", ""),
        ],
    )
    print(f"memory at the end beside that after a month: {held.check('memory of a backfill', growth, MEMORY)}")
    print(f"of single calls' CPU: {held.check('CPU of a backfill', together.cpu / alone, SHARE)}\n", flush=True)


def _mb(took: Took) -> tuple[str, str]:
    return f"{took.early() / 1e6:.0f}", f"{took.late() / 1e6:.0f}"


def _backfill(dsn: str, base: Path, first: int, stop: int) -> Took:
    arguments = ["backfill", "--start-date", year.name(first), "--end-date", year.name(stop - 1)]
    took = Took()
    started = time.perf_counter()
    process = _start(dsn, base, *arguments)
    assert process.stdout is not None
    for line in process.stdout:
        if line[:4].isdigit():  # a chunk: a day
            took.cpu = tree_cpu(process.pid)
            took.memory[len(took.memory)] = sum(map(memory, tree(process.pid)))
    if process.wait():
        raise RuntimeError(f"runner backfill ended with exit code {process.returncode}")
    took.wall = time.perf_counter() - started
    return took


def _apply(dsn: str, base: Path, number: int) -> tuple[float, float]:
    """Return the seconds of a single call: by the clock, and of its processes."""
    before = sum(os.times()[2:4])
    started = time.perf_counter()
    process = _start(dsn, base, "apply", "--day", year.name(number))
    process.communicate()
    if process.returncode:
        raise RuntimeError(f"runner apply ended with exit code {process.returncode}")
    return time.perf_counter() - started, sum(os.times()[2:4]) - before


def _start(dsn: str, base: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "runner", *arguments, "--engine", "local", "--data", str(base), "--project", str(ROOT)],
        env=os.environ | {"DATABASE_URL": dsn, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@contextlib.contextmanager
def _database(url: str, name: str) -> Iterator[str]:
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"create database {name}".encode())
        # As on a server that is left alone.
        server.execute("alter system set autovacuum = on")
        server.execute("select pg_reload_conf()")
        yield url.replace("/warehouse?", f"/{name}?")
        server.execute(f"drop database {name} with (force)".encode())
        server.execute("alter system set autovacuum = off")
        server.execute("select pg_reload_conf()")
