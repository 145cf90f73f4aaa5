"""How a transaction ended whose connection was lost while it was committed.

`pg_xact_status()` tells whether it is still in progress, and is not believed beyond that: a server that
crashed gives the number of a transaction that it had not yet written down to the next one. What counts
is whether something that only this transaction wrote is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from runner.database import Connection
from runner.errors import DatabaseUnavailable

# Seconds to ask, and between two questions.
PATIENCE = 60.0
_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class Unsettled(Exception):
    """No server told in time how the transaction ended."""


@dataclass(frozen=True)
class Commit:
    """A transaction that is about to be committed: its id, and the server process it is in."""

    transaction: str
    backend: int


def about_to(connection: Connection) -> Commit:
    """Return what to remember before the commit is sent."""
    row = connection.execute("select pg_current_xact_id()::text, pg_backend_pid()").fetchone()
    return Commit(str(row[0]), int(row[1]))


def was_committed(
    connect: Callable[[], Connection],
    commit: Commit,
    is_there: Callable[[Connection], bool],
    *,
    revive: Callable[[], object] = lambda: None,
    pause: Callable[[float], object] = time.sleep,
) -> bool:
    """Tell whether the transaction was committed, however long the server takes to come back, up to a minute.

    `is_there` looks for what only this transaction wrote. `revive` may start a server that is gone, and
    `pause` waits some seconds, or returns True to give up. Raises Unsettled.

    A transaction that is still open, because the server has not noticed that its client is gone, is
    ended: else the commit, still under way, might take effect after we have said that it did not.
    """
    import psycopg

    deadline = time.monotonic() + PATIENCE
    seconds = _PAUSE
    while True:
        try:
            connection = connect()
            if _has_ended(connection, commit):
                return is_there(connection)
        except (DatabaseUnavailable, psycopg.OperationalError):
            with suppress(Exception):  # the next question says what is wrong
                revive()
        if time.monotonic() > deadline or pause(seconds):
            raise Unsettled
        seconds = min(seconds * 2, _LONGEST_PAUSE)


def _has_ended(connection: Connection, commit: Commit) -> bool:
    """Tell whether the transaction has ended; one that has not is ended, as far as the server lets us."""
    import psycopg

    connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where pid = %s and pid <> pg_backend_pid() and backend_xid = %s::text::xid8::xid",
        (commit.backend, commit.transaction),
    )
    try:
        row = connection.execute("select pg_xact_status(%s::text::xid8)", (commit.transaction,)).fetchone()
    except psycopg.errors.InvalidParameterValue:
        return True  # in the future: it was lost in a crash, and its number was not given again yet
    return bool(row[0] != "in progress")  # null where it is too long ago
