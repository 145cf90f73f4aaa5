"""Runs what is due in a work pool: `python -m runner.flows.worker POOL NAME LIMIT`, the worker of `runner serve`.

It is Prefect's process worker, whose runs end with it: when standard input ends, because `runner serve` stops or is
killed, they are told to end, tell the server how, and then the worker ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from prefect.client.schemas.objects import FlowRun
from prefect.utilities.processutils import command_to_string
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from runner.flows.child import GRACE

_POLL = 0.1
# What a run that was stopped while it started has not said itself, the worker says.
_LAST_WORDS = 1.0


class Configuration(ProcessJobConfiguration):
    """A job that ends with its worker."""

    def prepare_for_flow_run(self, *given: Any, **named: Any) -> None:
        if self.command is None:
            self.command = command_to_string([sys.executable, "-m", "runner.flows.child"])
        super().prepare_for_flow_run(*given, **named)


class Worker(ProcessWorker):
    """Prefect's process worker, which can be told to begin nothing more."""

    job_configuration = Configuration
    stopping = False

    @staticmethod
    def __dispatch_key__() -> str:
        return "runner-process"  # beside Prefect's own, not in its place

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        return [] if self.stopping else await super().get_and_submit_flow_runs()


def end_children(grace: float = GRACE) -> None:
    """Ask every process that this one has started to end, and kill those that have not after `grace` seconds."""
    asked: set[int] = set()
    deadline = time.monotonic() + grace
    while children := _children():
        late = time.monotonic() > deadline
        for pid in children if late else children - asked:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        asked |= children
        time.sleep(_POLL)


def _children() -> set[int]:
    own = os.getpid()
    with subprocess.Popen(["ps", "-A", "-o", "pid=,ppid=,state="], stdout=subprocess.PIPE, text=True) as listing:
        lines = [line.split() for line in listing.stdout or ()]
    return {
        int(pid) for pid, parent, state in lines if int(parent) == own and int(pid) != listing.pid and state[0] != "Z"
    }


def main(pool: str, name: str, limit: int) -> None:
    """Work until standard input ends."""
    # Nobody but `runner serve` ends it; what it starts gets the signals' own meaning back.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    worker = Worker(work_pool_name=pool, name=name, limit=limit)

    def stop() -> None:
        os.read(0, 1)
        worker.stopping = True
        end_children()
        time.sleep(_LAST_WORDS)
        os._exit(0)

    threading.Thread(target=stop, name="stop", daemon=True).start()
    asyncio.run(worker.start(printer=lambda *_: None))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
