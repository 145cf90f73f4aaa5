"""A watchdog over connections: who waits for an answer that does not come, gives up.

A server that is gone is noticed by its network. One behind a balancer or a pooler that has stopped
forwarding, while it keeps its end of the line open, is not: only a clock helps.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from runner.database import Connection

# The most seconds between two looks at the clock.
_LOOK = 5.0


class Watchdog:
    """Cuts a guarded connection on which one answer takes longer than `limit` seconds; None: never.

    Whoever waits then gets what a lost connection gives, psycopg.OperationalError. A thread looks
    at the clock, so that the cut comes up to a quarter of the limit late.
    """

    def __init__(self) -> None:
        self.limit: float | None = None
        self._connection: Connection | None = None
        self._since: float | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def guard(self, connection: Connection) -> Connection:
        """Watch over this connection from now on, instead of the one before."""
        wait: Callable[..., Any] = connection.wait

        def guarded(*arguments: Any, **options: Any) -> Any:
            self._since = time.monotonic()
            try:
                return wait(*arguments, **options)
            finally:
                self._since = None

        connection.wait = guarded  # every wait of psycopg for this server goes through it
        self._connection = connection
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
            self._thread.start()
        return connection

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(min(_LOOK, (self.limit or _LOOK) / 4)):
            connection, since, limit = self._connection, self._since, self.limit
            if connection is not None and since is not None and limit is not None and time.monotonic() > since + limit:
                _cut(connection)


def _cut(connection: Connection) -> None:
    """Shut the line under a connection that another thread uses; closing it is that one's business."""
    # It may be closed by now.
    with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
