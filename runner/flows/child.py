"""A flow run as a process that ends with the worker which started it: `python -m runner.flows.child`.

Prefect's own command goes on when its worker is killed, and nobody would tell how the run ended.
"""

from __future__ import annotations

import os
import runpy
import select
import signal
import threading
import time

GRACE = 30.0
"""Seconds a run has to cancel its statement, roll back and tell the server, before it is killed."""

_LOOK = 1.0


def watch(parent: int) -> None:
    """Return when process `parent`, which started this one, is gone."""
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(parent)
        except OSError:
            return  # gone already, or nothing of the kind here
        with os.fdopen(descriptor):
            if os.getppid() == parent:
                select.select([descriptor], [], [])
        return
    while os.getppid() == parent:
        time.sleep(_LOOK)


def _end_with(parent: int) -> None:
    watch(parent)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(os.getppid(),), name="parent", daemon=True).start()
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
