"""Who keeps a load waiting: told while it waits, and named when it gives up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from runner.database import Connection, connect, set_local
from runner.errors import RunnerError

LOCK_TIMEOUT = "300s"
# A question is asked by somebody who waits for the answer.
ASK_TIMEOUT = "10s"

# Seconds until somebody is told, and between two looks.
_QUIET = 3.0

_WHO = """
    select
        pid, coalesce(nullif(application_name, ''), backend_type), usename,
        case when state like 'idle in transaction%%' then 'idle in a transaction since ' ||
            to_char(state_change, 'HH24:MI:SS') else coalesce(state, 'state unknown') end
    from pg_stat_activity
"""

# An advisory lock is asked for again and again rather than waited for, so its holders are looked up by its key.
# Behind a pooler the number of who waits is none of the server's, and who holds may be ourselves: nobody is named.
_HOLDERS = f"""
    {_WHO}
    where exists (select from pg_stat_activity where pid = %(waiting)s) and (
        pid = any (pg_blocking_pids(%(waiting)s)) or pid in (
            select pid from pg_locks
            where locktype = 'advisory' and granted and objsubid = 1 and pid <> %(waiting)s
                and database = (select oid from pg_database where datname = current_database())
                and (classid::bigint << 32 | objid::bigint) = hashtextextended(%(key)s::text, 0)
        )
    )
    order by pid
"""

# Those who keep a partition from being attached, or made, by locks that are not waited for either.
_USERS = f"""
    {_WHO}
    where pid <> pg_backend_pid() and pid in (
        select pid from pg_locks
        where granted and relation = any (%(tables)s::regclass[])
            and (%(all)s or mode not in ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock'))
    )
    order by pid
"""


def users(connection: Connection, tables: Sequence[str], readers: bool = False) -> tuple[str, ...]:
    """Return who holds a lock of `tables` that keeps partitions from being attached to them, or any (`readers`)."""
    connection.execute("select pg_stat_clear_snapshot()")
    return _told(connection.execute(_USERS, {"tables": list(tables), "all": readers}).fetchall())


class Watch:
    """Looks, by a connection of its own, at who holds what another one waits for.

    `note` is told of those who keep it waiting for some seconds; `holders` are those who did last.
    """

    def __init__(self, dsn: str, note: Callable[[str], None]) -> None:
        self.holders: tuple[str, ...] = ()
        self._dsn = dsn
        self._note = note

    @contextlib.contextmanager
    def over(self, connection: Connection, key: str | None = None) -> Iterator[None]:
        """Watch a connection, which may also wait for the advisory lock `key`."""
        ended = threading.Event()
        pid = connection.info.backend_pid
        thread = threading.Thread(target=self._look, args=(pid, key, ended), name="blockers", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(5)

    def _look(self, pid: int, key: str | None, ended: threading.Event) -> None:
        # Who cannot be asked is not named; the load itself says what is wrong with the server.
        if ended.wait(_QUIET):
            return
        with contextlib.suppress(Exception), connect(self._dsn, "runner watch") as connection:
            while True:
                rows = connection.execute(_HOLDERS, {"waiting": pid, "key": key}).fetchall()
                holders = _told(rows)
                if holders and holders != self.holders:
                    self._note(f"waiting for a lock of {' and '.join(holders)}")
                self.holders = holders or self.holders
                if ended.wait(_QUIET):
                    return


@contextlib.contextmanager
def asking(dsn: str, name: str, note: Callable[[str], None]) -> Iterator[Connection]:
    """Open a connection, and on it a transaction that only reads and waits ten seconds for a lock at most.

    `note` is told who keeps it waiting, and RunnerError names them where it gives up.
    """
    import psycopg

    watch = Watch(dsn, note)
    with connect(dsn, name) as connection, watch.over(connection):
        try:
            with connection.transaction():
                set_local(connection, {"lock_timeout": ASK_TIMEOUT, "transaction_read_only": "on"})
                yield connection
        except psycopg.errors.LockNotAvailable as error:
            holders = " and ".join(watch.holders) or "another session"
            raise RunnerError(
                f"the database could not be asked: {ASK_TIMEOUT} went by waiting for a lock of {holders}",
                hint="Nothing was changed. Ask again when the other has ended, or end it: "
                "select pg_terminate_backend(…)",
                transient=True,
            ) from error


def _told(rows: Sequence[tuple[Any, ...]]) -> tuple[str, ...]:
    return tuple(f"process {pid} ({name} of {role}, {state})" for pid, name, role, state in rows)
