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
    "parent": "kill -9 of the runner whose workers copy",
    "jvm": "kill -9 of Spark's JVM",
    "pyworker": "kill -9 of a Python worker of Spark",
    "driver": "kill -9 of the runner that drives Spark",
}
OF_SPARK = ("jvm", "pyworker", "driver")
OF_LOCAL = ("worker", "parent")
OF_WORKERS = (*OF_LOCAL, *OF_SPARK)
# Those of which the server learns nothing.
SILENT = ("vanish", "hang", "deaf")
PHASES: tuple[Phase, ...] = ("before", "during", "after")
_TOLD = re.compile(r"(\w+)/(\w+)@(?:(before|during|after):(\d+)|(\d+)%)")


@dataclass(frozen=True)
class Fault:
    """A fault of a kind in a run of a world, at a statement or at a time.

    `number` is the statement's, counted among copies alone for workers; `percent` is of an undisturbed run's time.
    """

    world: str
    kind: str
    phase: Phase = "before"
    number: int = 0
    percent: int | None = None

    def __str__(self) -> str:
        place = f"{self.phase}:{self.number}" if self.percent is None else f"{self.percent}%"
        return f"{self.world}/{self.kind}@{place}"


def parse(text: str) -> Fault:
    """Return the fault that `text` tells; ValueError for none."""
    match = _TOLD.fullmatch(text)
    if match is None or match[2] not in KINDS:
        raise ValueError(f"{text!r} is no fault, such as next/runner@after:31 or first/cut@40%")
    world, kind, phase, number, percent = match.groups()
    if percent:
        return Fault(world, kind, percent=int(percent))
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
