"""Runners as processes of their own, forked from one that has imported everything, so that they start at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.process import is_alive

_PRELOAD = [
    *("tests.torture.process", "psycopg", "sqlglot", "currency_converter"),
    *("runner.cli", "runner.commands.apply", "runner.loading", "staging_loaders.load", "staging_loaders.local"),
]
# Seconds instead of a minute: a server's patience with a client that is silent, and a client's with a server.
IDLE, ANSWER = 2, 3


class Runner:
    """A `runner` that runs: what it is called with, and where its output goes."""

    def __init__(
        self, arguments: Sequence[str], settings: Mapping[str, str], output: Path, *, workers: bool = False
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOAD)
        self._output = output
        self._process = context.Process(
            target=_main, args=(list(arguments), dict(settings), str(output), workers), daemon=False
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def kill(self) -> None:
        """Kill it, and wait until it is dead; from any thread."""
        os.kill(self.pid, signal.SIGKILL)
        gone([self.pid], 10)

    def runs(self) -> bool:
        """Tell whether it has not ended; from any thread."""
        return is_alive(self.pid)

    def wait(self, seconds: float) -> int | None:
        """Return the exit code, negative for a signal; None where it goes on for longer. For one thread only."""
        self._process.join(seconds)
        return self._process.exitcode

    def output(self) -> str:
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def family(self) -> list[int]:
        """Return the processes that this one has started, and those they have."""
        return descendants(self.pid)


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                after_name = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue
            children.setdefault(int(after_name[1]), []).append(int(folder.name))
    found, waiting = [], [pid]
    while waiting:
        more = children.get(waiting.pop(), [])
        found += more
        waiting += more
    return found


def command(pid: int) -> str:
    """Return the command line of a process, empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def gone(pids: Sequence[int], seconds: float) -> list[int]:
    """Wait until these processes have ended; return those that have not."""
    until = time.monotonic() + seconds
    while left := [pid for pid in pids if is_alive(pid)]:
        if time.monotonic() > until:
            return left
        time.sleep(0.02)
    return []


def _main(arguments: list[str], settings: dict[str, str], output: str, workers: bool) -> None:
    from runner import cli

    os.setsid()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(file, number)
    for name in [name for name in os.environ if name.startswith(("RUNNER_", "DATABASE_URL", "PG", "DATA_BASE"))]:
        del os.environ[name]
    os.environ |= settings
    _hurry()
    if workers:
        from staging_loaders import local

        local.Local.__init__.__defaults__ = (2, 0)  # type: ignore[attr-defined]
    code = cli.main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _hurry() -> None:
    """Shorten what takes a minute in earnest."""
    from runner import apply, database, unanswered

    database.BRIEF["idle_in_transaction_session_timeout"] = f"{IDLE}s"
    apply._GRACE = ANSWER - 300  # added to the 300 s of a step
    unanswered.SILENCE, unanswered.PATIENCE = 1.0, 1.0
