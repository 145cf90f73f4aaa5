"""Who runs a day: a row with a heartbeat, so that those who come second learn of the first.

Correctness does not hang on it: the locks inside the transactions keep two runs apart.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runner import database
from runner.errors import DatabaseUnavailable, DayHeld
from runner.process import is_alive

if TYPE_CHECKING:
    import psycopg

# Seconds between heartbeats, and after the last one until the lease may be taken over.
_BEAT, _DEAD = 15, 60
# Seconds between two looks at who holds a day, and how often the server may be away meanwhile.
_POLL, _ATTEMPTS = 0.2, 8

_TAKE = """
    insert into runner_leases as held (pipeline, day, flow_run_id, host, pid)
    values (%(pipeline)s, %(day)s, %(run)s, %(host)s, %(pid)s)
    on conflict (pipeline, day) do update
    set flow_run_id = excluded.flow_run_id, host = excluded.host, pid = excluded.pid,
        since = clock_timestamp(), heartbeat_at = clock_timestamp()
    where held.flow_run_id in (excluded.flow_run_id, %(dead)s)
       or held.heartbeat_at < clock_timestamp() - make_interval(secs => %(seconds)s)
    returning true
"""


# The runs that hold a day in this process. A lease with its number that is none of them was
# left by a dead one: in a container that was started again, the numbers are the same ones.
_ours: dict[Lease, str] = {}


@dataclass(frozen=True)
class Holder:
    """Who holds a day: a run, and the process it is in."""

    flow_run_id: str
    host: str
    pid: int
    since: datetime

    def __str__(self) -> str:
        return (
            f"run {self.flow_run_id} on {self.host} (pid {self.pid}) since {self.since.astimezone(UTC):%F %H:%M:%S} UTC"
        )

    @property
    def dead(self) -> bool:
        """Whether the process was on this host and is gone."""
        if self.host != socket.gethostname():
            return False
        return self.flow_run_id not in list(_ours.values()) if self.pid == os.getpid() else not is_alive(self.pid)


def holders(connection: database.Connection, pipeline: str) -> dict[str, Holder]:
    """Return day -> holder, for the leases that are alive."""
    rows = connection.execute(
        "select day, flow_run_id, host, pid, since from runner_leases"
        " where pipeline = %s and heartbeat_at > clock_timestamp() - make_interval(secs => %s)",
        (pipeline, _DEAD),
    ).fetchall()
    return {day: holder for day, holder in ((row[0], Holder(*row[1:])) for row in rows) if not holder.dead}


class Lease:
    """Holds (pipeline, day) for a run: a context manager.

    Entering waits up to `wait` seconds for other holders, each told once to `log`, and then raises
    DayHeld, which names the last. A holder on this host whose process is gone is not waited for.
    `log` is also told when another run has taken the lease over.
    """

    def __init__(
        self,
        dsn: str,
        pipeline: str,
        day: str,
        flow_run_id: str,
        wait: float = 0,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._dsn = dsn
        self._wait = wait
        self._log = log
        self._values: dict[str, Any] = {
            "pipeline": pipeline,
            "day": day,
            "run": flow_run_id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "seconds": _DEAD,
            "dead": None,
        }
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Lease:
        _ours[self] = self._values["run"]
        try:
            self._take()
        except BaseException:
            del _ours[self]
            raise
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        import psycopg

        self._stop.set()
        _ours.pop(self, None)
        try:
            with database.connect(self._dsn, "runner lease") as connection:
                connection.execute(
                    "delete from runner_leases"
                    " where pipeline = %(pipeline)s and day = %(day)s and flow_run_id = %(run)s and pid = %(pid)s",
                    self._values,
                )
        except (psycopg.Error, DatabaseUnavailable):
            pass  # Without a server the lease ends by itself, for want of a heartbeat.

    def _take(self) -> None:
        """Take the lease, or raise DayHeld; a server that goes away meanwhile is waited for a few times."""
        import psycopg

        deadline = time.monotonic() + self._wait
        told: set[Holder] = set()
        for pause in [*database.backoff(_ATTEMPTS), None]:
            try:
                with database.connect(self._dsn, "runner lease") as connection:
                    return self._take_by(connection, deadline, told)
            except (psycopg.Error, DatabaseUnavailable) as error:
                if pause is None or not self._passes(error):
                    raise
                self._log(f"{self._values['day']}: {str(error).splitlines()[0]}; again in {pause:.1f} s")
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _passes(self, error: psycopg.Error | DatabaseUnavailable) -> bool:
        if isinstance(error, DatabaseUnavailable):
            return error.transient
        with suppress(DatabaseUnavailable), database.connect(self._dsn, "runner lease") as another:
            return database.is_transient(error, another)
        return database.is_transient(error)

    def _take_by(self, connection: database.Connection, deadline: float, told: set[Holder]) -> None:
        while not connection.execute(_TAKE, self._values).fetchone():
            holder = self._holder(connection)
            if holder is None:
                continue
            if holder.dead:
                self._values["dead"] = holder.flow_run_id
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._held(holder)
            if holder not in told:
                self._log(f"{self._values['day']}: waiting up to {left:.0f} s for {holder}")
                told.add(holder)
            time.sleep(min(_POLL, left))

    def _holder(self, connection: database.Connection) -> Holder | None:
        row = connection.execute(
            "select flow_run_id, host, pid, since from runner_leases where pipeline = %(pipeline)s and day = %(day)s",
            self._values,
        ).fetchone()
        return Holder(*row) if row else None

    def _held(self, holder: Holder) -> DayHeld:
        return DayHeld(
            f"{self._values['day']} is held by {holder}",
            hint="Wait for it (--wait SECONDS) or stop it.",
        )

    def _beat(self) -> None:
        import psycopg

        while not self._stop.wait(_BEAT):
            try:
                with database.connect(self._dsn, "runner lease") as connection:
                    renewed = connection.execute(
                        "update runner_leases set heartbeat_at = clock_timestamp()"
                        " where pipeline = %(pipeline)s and day = %(day)s and flow_run_id = %(run)s returning true",
                        self._values,
                    ).fetchone()
                    if renewed or self._stop.is_set():
                        continue
                    holder = self._holder(connection)
            except (psycopg.Error, DatabaseUnavailable):
                continue  # The next beat may come through.
            # Each step still is all or nothing; the other run's and ours take turns.
            by = f" by {holder}" if holder else ""
            self._log(f"{self._values['day']}: the lease was taken over{by}, having had no heartbeat for {_DEAD} s")
            return
