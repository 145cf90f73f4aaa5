"""A race: two runs at once that write the same keys of one table, and what they leave.

Each run waits before its commit until the other one is there too, or waits for it: what takes chance in
production happens each time.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo

KEYS = 1000
GATE = 4242
KNOWN = ("all new", "all known")
"""What the table knows of the keys before."""
_SECONDS = 300
# What dbt, SQLMesh and the runner say of what they did.
_WORDS = (
    r"\[((?:INSERT|MERGE)[^\]]*) in ",
    r"\[insert/update rows \(([^)]*)\)",
    r"010_things +(.+?)  ",
    r"is (held) by run ",
)


@dataclass(frozen=True)
class Race:
    """What two runs did: how each ended, and the rows and keys that the table then has."""

    who: str
    keys: str
    ended: tuple[str, ...]
    rows: int
    distinct: int


# Two leases were asked for: the second connection by that name goes on asking.
_TURNED_AWAY = """
    select count(*) > 0 from pg_stat_activity
    where datname = current_database() and application_name = 'runner lease' and query ~ 'runner_leases'
        and backend_start < now() - interval '1 second'
"""


class Database:
    """A database of a race's own; a context manager."""

    def __init__(self, url: str) -> None:
        self._server = url
        self.url = conninfo.make_conninfo(url, dbname="race")

    def __enter__(self) -> Database:
        self._administrate("drop database if exists race with (force)", "create database race")
        self._connection = psycopg.connect(self.url, autocommit=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._administrate("drop database race with (force)")

    def execute(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        cursor = self._connection.execute(query.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def stage(self, day: str) -> None:
        """Put all keys of a day into staging."""
        number = int(day.removeprefix("day"))
        query = "insert into stg_things select %s, id, %s from generate_series(1, %s) as id"
        self.execute(query, (day, number, KEYS))

    def count(self, name: str = "things") -> tuple[int, int]:
        """Return the table's rows, and how many keys they have."""
        ((rows, keys),) = self.execute(f"select count(*), count(distinct id) from {name}")
        return rows, keys

    @property
    def server(self) -> dict[str, Any]:
        """The parts of its URL, with the password."""
        parts = conninfo.conninfo_to_dict(self.url)
        lines = Path(str(parts["passfile"])).read_text(encoding="utf-8").splitlines()
        return {**parts, "port": int(str(parts["port"])), "password": lines[0].rpartition(":")[2]}

    def race(self, start: Callable[[str], subprocess.Popen[str]]) -> tuple[str, ...]:
        """Start two runs of a day, let them commit when they have met; return how each ended, and what it said."""
        self.execute("select pg_advisory_lock(%s)", (GATE,))
        runs = [start("day1"), start("day1")]
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        held = "select to_regclass('runner_leases') is not null"
        while self.execute(waiting)[0][0] + sum(run.poll() is not None for run in runs) < 2:
            # One of ours that waits holds nothing, and asks the lease again and again.
            if self.execute(held)[0][0] and self.execute(_TURNED_AWAY)[0][0]:
                break
            self.execute("select pg_sleep(0.1)")
        self.execute("select pg_advisory_unlock(%s)", (GATE,))
        return tuple(sorted(_said(run) for run in runs))

    def _administrate(self, *statements: str) -> None:
        with psycopg.connect(conninfo.make_conninfo(self._server, dbname="postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


def start(command: Sequence[str], folder: Path, **given: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=folder, env=os.environ | given, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> str:
    """Wait for a process that must succeed."""
    out, _ = process.communicate(timeout=_SECONDS)
    if process.returncode:
        raise RuntimeError(out)
    return out


def _said(process: subprocess.Popen[str]) -> str:
    """Return the exit code, and in how many words a run said what it did."""
    out, _ = process.communicate(timeout=_SECONDS)
    for pattern in _WORDS:
        if found := re.search(pattern, out):
            return f"exit {process.returncode}, {found[1]}"
    return f"exit {process.returncode}"
