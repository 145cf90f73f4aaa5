"""What a shipped day costs without a JVM: CPU of all processes, the server's among them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from benchmarks.meter import tree_cpu
from benchmarks.report import Limits, command, table

ROOT = Path(__file__).resolve().parent.parent
DAY, BEFORE = "day1", "day2"
LIMIT = 2.0
_PREPARED, _FRESH = "prepared", "fresh"


@dataclass(frozen=True)
class Cost:
    """CPU seconds of the runner with its children, and of the server; seconds by the clock."""

    client: float
    server: float
    wall: float

    @property
    def cpu(self) -> float:
        return self.client + self.server


def run(url: str, environment: dict[str, str], limits: Limits, times: int) -> None:
    """Apply a day that is new to a database, and print it beside the same where everything is new.

    The day is held to its limit: the database has its schema and the exchange rates by then, as on any day but the
    first. The least of all times counts.
    """
    arguments = [sys.executable, "-m", "runner", "apply", "--engine", "local", "--day"]
    with psycopg.connect(url, autocommit=True) as connection:
        server = _parent(connection.info.backend_pid)
        firsts, days = [], []
        for _ in range(times):
            for name in (_FRESH, _PREPARED):
                connection.execute(f"drop database if exists {name}")
            connection.execute(f"create database {_PREPARED}")
            firsts.append(_cost(server, [*arguments, BEFORE], environment | {"DATABASE_URL": _on(url, _PREPARED)}))
            connection.execute(f"create database {_FRESH} template {_PREPARED}")
            days.append(_cost(server, [*arguments, DAY], environment | {"DATABASE_URL": _on(url, _FRESH)}))
        for name in (_FRESH, _PREPARED):
            connection.execute(f"drop database {name}")
    first, day = (min(costs, key=lambda cost: cost.cpu) for costs in (firsts, days))
    limits.check("runner apply --engine local", day.cpu, LIMIT, " CPU s")
    verdict = "ok" if day.cpu <= LIMIT else "missed"
    table(
        ["runner apply --engine local", "client CPU s", "server CPU s", "all CPU s", "wall s", "limit CPU s", ""],
        [
            [f"{DAY}, after another day", *_cells(day), f"{LIMIT:.2f}", verdict],
            [f"{BEFORE}, with the schema and all exchange rates", *_cells(first), "", ""],
        ],
    )


def _cost(server: int, arguments: list[str], environment: dict[str, str]) -> Cost:
    before = tree_cpu(server)
    took, _ = command(arguments, cwd=ROOT, env=environment)
    return Cost(took.cpu, tree_cpu(server) - before, took.wall)


def _cells(cost: Cost) -> list[str]:
    return [f"{cost.client:.2f}", f"{cost.server:.2f}", f"{cost.cpu:.2f}", f"{cost.wall:.2f}"]


def _on(url: str, database: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"/{database}", parts.query, ""))


def _parent(process: int) -> int:
    """Return the process that all sessions of the server are children of."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
