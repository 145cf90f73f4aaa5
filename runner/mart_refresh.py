"""Marts refreshed: each in one transaction with its record, side by side, while others read them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from runner import database, diagnosis, limits, marts
from runner.errors import DatabaseUnavailable, MartFailed, RunnerError
from runner.mart import Mart
from runner.step import SqlFile

# How many marts are refreshed at once: the work is the server's.
_AT_ONCE = 4
# Seconds more than its own time limit that a statement's answer may take, and to wait for another run that is at it.
_GRACE = 30
_PATIENCE = 300.0
_NOT_ALLOWED = "42501"


@dataclass(frozen=True)
class Refreshed:
    """A mart that was refreshed; `seconds` include retries. What was committed before `refreshed_at` is in it."""

    mart: str
    name: str
    rows: int
    seconds: float
    refreshed_at: datetime


def refresh(
    dsn: str,
    pipeline: str,
    wanted: Sequence[Mart],
    *,
    flow_run_id: str | None = None,
    day: str | None = None,
    attempts: int = 1,
    log: Callable[[str], None] = lambda _: None,
    running: Callable[[list[str]], None] = lambda _: None,
    done: Callable[[Refreshed], None] = lambda _: None,
) -> list[Refreshed]:
    """Refresh marts, several at once; one that reads others after them. Return what was done, in their order.

    Each is refreshed `concurrently`, so readers see its old rows until it is done. `flow_run_id` and `day` are
    recorded with it, `running` is told which are at work, `done` how each ended. Raises MartFailed, when all that can
    be refreshed is, where one could not be: it has the rows it had.
    """
    from runner import jobs

    if not wanted:
        return []
    with database.connect(dsn, f"runner marts {pipeline}") as connection:
        needs = require(connection, pipeline, wanted)
    by_file = {mart.id: mart for mart in wanted}
    found: list[Refreshed] = []

    def tell(file: SqlFile, one: Refreshed) -> None:
        found.append(one)
        done(one)

    try:
        jobs.run(
            [mart.file for mart in wanted],
            {mart.id: frozenset(other.id for other in wanted if other.name in needs[mart.name]) for mart in wanted},
            _AT_ONCE,
            lambda said: MartRefresher(dsn, pipeline, by_file, flow_run_id, day, attempts, said),
            log=log,
            running=running,
            done=tell,
            keep_going=True,
        )
    except jobs.Failed as failed:
        raise together([failed.errors[name] for name in by_file if name in failed.errors], failed.not_run) from failed
    return found


def require(connection: database.Connection, pipeline: str, wanted: Sequence[Mart]) -> dict[str, frozenset[str]]:
    """Return mart -> the others it reads, of marts that are all there; MartFailed where one is not."""
    known = marts.states(connection, pipeline, wanted)
    if missing := [mart.id for mart in wanted if not (known[mart.name].is_there and known[mart.name].is_recorded)]:
        raise MartFailed(
            f"the database has no mart {', '.join(missing)} yet", hint="Make what the files say: runner migrate"
        )
    return marts.reads(connection, {mart.name: known[mart.name].oid or 0 for mart in wanted})


def together(errors: Sequence[RunnerError], not_run: Sequence[str] = ()) -> MartFailed:
    """Return several marts' errors as one."""
    lines = [error.message for error in errors]
    if not_run:
        lines.append(f"not refreshed, because they read these: {', '.join(not_run)}")
    return MartFailed("\n".join(lines), hint=errors[0].hint)


class MartRefresher:
    """Refreshes marts one after the other over one connection, which it opens again when it is lost.

    A context manager; not for use by several threads, `interrupt` excepted.
    """

    def __init__(
        self,
        dsn: str,
        pipeline: str,
        marts: Mapping[str, Mart],
        flow_run_id: str | None,
        day: str | None,
        attempts: int,
        log: Callable[[str], None],
    ) -> None:
        self._dsn = dsn
        self._pipeline = pipeline
        self._marts = marts
        self._flow_run_id = flow_run_id
        self._day = day
        self._attempts = attempts
        self._log = log
        self._open: database.Connection | None = None
        self._stop = threading.Event()

    def __enter__(self) -> MartRefresher:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def interrupt(self) -> None:
        """End what runs, from another thread; ask again until it has ended."""
        import psycopg

        self._stop.set()
        if self._open is not None:
            with suppress(psycopg.Error):
                self._open.cancel_safe(timeout=5)

    def run(self, file: SqlFile, /) -> Refreshed:
        """Refresh the mart of a file, again after passing faults; MartFailed where it cannot be."""
        import psycopg

        mart = self._marts[file.id]
        started = time.perf_counter()
        for attempt, pause in enumerate([*database.backoff(self._attempts), None], 1):
            try:
                return self._attempt(mart, started)
            except psycopg.Error as error:
                failed = _failed(mart, error, self._open, self._dsn)
                cause: Exception = error
            except DatabaseUnavailable as error:
                failed = MartFailed(_said(mart, error.message), hint=error.hint, transient=error.transient)
                cause = error
            except MartFailed as error:
                failed, cause = error, error
            self._close()
            if self._stop.is_set():
                raise KeyboardInterrupt from cause
            if pause is None or not failed.transient:
                raise failed from cause
            reason = failed.message.splitlines()[1]
            self._log(f"{mart.id}: attempt {attempt} of {self._attempts} failed ({reason}); again in {pause:.1f} s")
            self._stop.wait(pause)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, mart: Mart, started: float) -> Refreshed:
        from psycopg import sql

        connection = self._begin(mart)
        view = sql.Identifier(mart.name)
        populated = connection.execute(
            "select from pg_class where oid = to_regclass(quote_ident(%s)) and relispopulated", (mart.name,)
        )
        # One that somebody has emptied (`with no data`) nobody can read meanwhile.
        way = "concurrently" if populated.fetchone() is not None else ""
        connection.execute(sql.SQL(f"refresh materialized view {way} {{}}").format(view))
        (rows,) = connection.execute(sql.SQL("select count(*) from {}").format(view)).fetchone()
        seconds = round(time.perf_counter() - started, 6)
        updated = connection.execute(
            "update runner_marts set refreshed_at = now(), flow_run_id = %s, day = %s, seconds = %s"
            " where pipeline = %s and name = %s returning refreshed_at",
            (self._flow_run_id, self._day, seconds, self._pipeline, mart.name),
        ).fetchone()
        if updated is None:
            raise MartFailed(_said(mart, "no record says who made it"), hint="Make what the files say: runner migrate")
        connection.execute("commit")
        return Refreshed(mart.id, mart.name, rows, seconds, updated[0])

    def _begin(self, mart: Mart) -> database.Connection:
        """Open the transaction, in which nobody else refreshes the mart or makes it anew.

        It is opened anew while it has to wait: its `now()` is the start of the work.
        """
        local = {
            "application_name": f"runner {self._pipeline} mart {mart.name} {self._day or 'by hand'}"[:63],
            "lock_timeout": f"{mart.file.lock_timeout}ms",
            "statement_timeout": f"{limits.capped(mart.file.timeout)}ms",
            **database.BRIEF,
        }
        deadline, pause = time.monotonic() + _PATIENCE, 0.02
        while True:
            limits.restart()
            connection = self._connection(mart)
            connection.execute("begin isolation level read committed")
            database.set_local(connection, local)
            if database.try_lock(
                connection, exclusive=f"mart:{self._pipeline}/{mart.name}", shared=f"marts:{self._pipeline}"
            ):
                return connection
            connection.execute("rollback")
            if time.monotonic() > deadline:
                raise MartFailed(
                    _said(mart, f"another run has been at it for {_PATIENCE:.0f} s"),
                    hint="See who it is in pg_stat_activity: application_name starts with 'runner'.",
                )
            self._stop.wait(pause)
            pause = min(pause * 2, 1.0)

    def _connection(self, mart: Mart) -> database.Connection:
        if self._stop.is_set():
            raise KeyboardInterrupt
        if self._open is None or self._open.closed:
            self._open = database.connect(self._dsn, f"runner marts {self._pipeline}")
        self._open.limit = mart.file.timeout / 1000 + _GRACE
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _said(mart: Mart, why: str) -> str:
    return f"the mart {mart.id} could not be refreshed and has the rows it had\n{why}"


def _failed(mart: Mart, error: Exception, connection: database.Connection | None, dsn: str) -> MartFailed:
    import psycopg

    assert isinstance(error, psycopg.Error)
    limit = limits.current()
    transient = database.is_transient(error, connection) and not (limit is not None and limit.explains(error))
    message, hint = limits.explain(error, *diagnosis.explain(mart.file, mart.statement, error))
    if error.sqlstate == _NOT_ALLOWED and "runner_marts" not in message:
        hint = (
            f"Let the role refresh it: grant select, maintain on {mart.name} (PostgreSQL 17 and later), or make it the "
            "owner; see docs/privileges.md."
        )
    elif not transient:
        hint = f"{hint} Then refresh it: runner marts --refresh {mart.name}, or run the day again."
    return MartFailed(_said(mart, database.redact(message, dsn)), hint=hint, transient=transient)
