"""What a program takes, with all the processes it starts: seconds, CPU of client and server, memory.

The program says on its standard output, a JSON document a line, how far it is: {"event": "ready"} when its session has
started, {"event": "done", …} when its rows are there. Whatever else it prints is no one's concern.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.5
_PROC = Path("/proc")


@dataclass(frozen=True)
class Run:
    """A program's run. Seconds by the clock and of the processors; `peak` is bytes; `said` what it told at its end.

    `start` and `start_cpu` are those up to its session; all others leave them out.
    """

    start: float
    seconds: float
    start_cpu: float
    client_cpu: float
    server_cpu: float
    peak: int
    said: dict[str, Any]


class Failed(Exception):
    """A program ended without saying that it is done; the text is the last it printed."""


def run(program: str | Path, asked: Mapping[str, Any], server: int, cwd: Path, python: Path | None = None) -> Run:
    """Run a program to its end: a module of the project, or a file for the Python of another environment.

    `server` is the process that all of the server's are children of. The program finds what is `asked` of it in its
    environment, which has none of our settings, and nothing of the project's for another Python.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RUNNER_", "PG", "SPARK"))}
    environment |= {"BENCHMARK": json.dumps(asked)}
    environment |= {"PYTHONPATH": str(ROOT)} if python is None else {}
    arguments = [python or sys.executable, *([program] if isinstance(program, Path) else ["-m", program])]
    started = time.perf_counter()
    errors = cwd / "errors.txt"
    with errors.open("wb") as stream:
        process = subprocess.Popen(
            [str(argument) for argument in arguments], cwd=cwd, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stream,
        )  # fmt: skip
        memory = _Memory(process.pid)
        memory.start()
        marks: dict[str, tuple[float, float, float]] = {}
        said: dict[str, Any] = {}
        printed: list[str] = []
        with process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    told = _event(line)
                    if told is None:
                        printed.append(line)
                        continue
                    marks[told["event"]] = (time.perf_counter(), tree_cpu(process.pid), tree_cpu(server))
                    said = told
            finally:
                memory.stop()
    if process.returncode or "done" not in marks:
        lines = [*printed, *errors.read_text("utf-8", "replace").splitlines(keepends=True)]
        raise Failed(f"exit {process.returncode}: " + "".join(lines[-15:]).strip())
    ready, done = marks["ready"], marks["done"]
    return Run(
        ready[0] - started, done[0] - ready[0], ready[1], done[1] - ready[1], done[2] - ready[2], memory.peak, said
    )


def _event(line: str) -> dict[str, Any] | None:
    with suppress(ValueError):
        told = json.loads(line)
        if isinstance(told, dict) and "event" in told:
            return told
    return None


def tree(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found = [root]
    for process in found:
        found += children.get(process, ())
    return found


def tree_cpu(root: int) -> float:
    """Return the CPU seconds of a process, of all that descend from it, and of those among them that have ended.

    Those that have ended are in what their parents have waited for.
    """
    return sum(map(_cpu, tree(root)))


def _cpu(process: int) -> float:
    try:
        return sum(map(int, _stat(process)[11:15])) / _TICKS
    except OSError:
        return 0.0


def _stat(process: int) -> list[str]:
    """Return the fields of a process's `stat` after its name: state, parent, …"""
    return (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()


def memory(process: int) -> int:
    """Return the bytes of a process, where pages that several share are divided among them."""
    with suppress(OSError, ValueError, IndexError):
        text = (_PROC / str(process) / "smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024
    with suppress(OSError, ValueError, IndexError):
        return int((_PROC / str(process) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


class _Memory(threading.Thread):
    """Watches what a process and all that descend from it take together, twice a second."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._root = root
        self._ended = threading.Event()

    def run(self) -> None:
        while True:
            self.peak = max(self.peak, sum(map(memory, tree(self._root))))
            if self._ended.wait(_SAMPLE_SECONDS):
                return

    def stop(self) -> None:
        self._ended.set()
        self.join()
