"""Faults: what is done to a run, and where. One is told in a word, by which it can be done again."""

from __future__ import annotations

import os
import random
import re
import signal
from dataclasses import dataclass
from typing import cast

from tests.torture.proxy import Phase

KINDS = {
    "runner": "kill -9 of the runner",
    "backend": "pg_terminate_backend of the statement's session",
    "cut": "the connection is cut, both ends learn of it",
    "vanish": "the runner's host vanishes: kill -9, and the server learns nothing of it",
    "hang": "the line swallows everything from here on, and stays open",
    "deaf": "the line swallows the answers from here on, and stays open",
    "pause": "the network stands still for a while",
    "crash": "kill -9 of the session's server process: the server starts anew",
    "immediate": "pg_ctl stop -m immediate, and started again",
    "postmaster": "kill -9 of the server's first process, and started again",
    "disk": "the disk of the database is full",
    "worker": "kill -9 of a worker of the local engine",
    "jvm": "kill -9 of Spark's JVM",
    "pyworker": "kill -9 of a Python worker of Spark",
    "driver": "kill -9 of the runner that drives Spark",
}
# Those that end sessions of others, too, so that the server must be the run's alone.
OF_SERVER = ("crash", "immediate", "postmaster")
OF_SPARK = ("jvm", "pyworker", "driver")
OF_WORKERS = ("worker", *OF_SPARK)
PHASES: tuple[Phase, ...] = ("before", "during", "after")
_TOLD = re.compile(r"(\w+)/(\w+)@(?:(before|during|after):(\d+)|(\d+)ms)")


@dataclass(frozen=True)
class Fault:
    """A fault of a kind in a run of a world: at a boundary (its number, of copies alone for workers), or at a time."""

    world: str
    kind: str
    phase: Phase = "before"
    number: int = 0
    milliseconds: int | None = None

    def __str__(self) -> str:
        place = f"{self.phase}:{self.number}" if self.milliseconds is None else f"{self.milliseconds}ms"
        return f"{self.world}/{self.kind}@{place}"


def parse(text: str) -> Fault:
    """Return the fault that `text` tells; ValueError for none."""
    match = _TOLD.fullmatch(text)
    if match is None or match[2] not in KINDS:
        raise ValueError(f"{text!r} is no fault, such as next/runner@after:31 or first/cut@850ms")
    world, kind, phase, number, milliseconds = match.groups()
    if milliseconds:
        return Fault(world, kind, milliseconds=int(milliseconds))
    return Fault(world, kind, cast(Phase, phase), int(number))


def kill_one(pids: list[int], chance: random.Random) -> int | None:
    """Kill one of these processes; return which."""
    if not pids:
        return None
    pid = chance.choice(sorted(pids))
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return pid
