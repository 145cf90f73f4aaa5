"""A worker of the local engine: a process that runs what comes over its wire, and ends when that is closed."""

from __future__ import annotations

import os
import pickle
import queue
import threading
from typing import Any

from staging_loaders.local import told


def serve(wire: Any) -> None:
    """Answer each task and its item with (True, result) or (False, what the task raised), until the wire is closed.

    `wire` is a multiprocessing.connection.Connection. Does not return.
    """
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(wire, asked), daemon=True).start()
    while True:
        message = asked.get()
        try:
            task, item = pickle.loads(message)
            answer = True, task(item)
        except BaseException as error:
            answer = False, told(error)
        try:
            wire.send(answer)
        except OSError:
            os._exit(1)


def _listen(wire: Any, asked: queue.SimpleQueue[bytes]) -> None:
    """Pass on what comes; end the process at once, whatever it does, when nobody waits for its result any more.

    The server then rolls back what it was sent.
    """
    while True:
        try:
            asked.put(wire.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)
