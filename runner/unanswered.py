"""Answers that never come: a network may swallow one and keep the connection.

TCP itself notices a host that is gone (keepalives, user time-out), but not a proxy, pooler or firewall that goes
on acknowledging and forwards nothing. So who has heard nothing for a while asks the server, over a connection
of its own, whether it is still at work. A pooler does not let us ask: there only a clock helps.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

import psycopg

from runner.limits import Limit

# Where a connection is lost, psycopg logs what it cannot send any more. The error that it raises says so.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

# Seconds of silence until the server is asked, and again after each answer that it is at work.
SILENCE = 30.0
# Seconds that a question may take, and until it is asked again where it found no work.
PATIENCE = 10.0
# How many questions in a row must find no work: an answer may be on its way, and a busy server slow to let us in.
QUESTIONS = 3

# Seconds between two requests to end a statement.
INSISTENCE = 1.0

_Steps = Generator[Any, Any, Any]

_STATE = "select pg_backend_pid(), (select state from pg_stat_activity where pid = %s)"


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose statement ends in OperationalError, and itself closed, where the answer was lost."""

    asked_at = ""
    """The connection string of the server; without one nobody is asked."""
    limit: float | None = None
    """The most seconds that an answer may take, whatever the server says; None: for ever."""
    budget: Limit | None = None
    """How long all that it does may take: the statement that is at work when that is over is cancelled."""

    def wait(self, gen: _Steps, *args: Any, **options: Any) -> Any:
        """Wait for a generator of psycopg's, as every connection does."""
        return super().wait(_interrupted(gen, self._listen()), *args, **options)

    def _listen(self) -> Callable[[bool], None]:
        heard, missed = time.monotonic(), 0
        until = heard + self.limit if self.limit is not None else None
        cancelled = -INSISTENCE

        def look(ready: bool) -> None:
            nonlocal heard, missed, cancelled
            if not ready and self.budget is not None and self.budget.over:
                if time.monotonic() > self.budget.until + SILENCE:
                    self.close()
                    raise psycopg.OperationalError("the server did not end in time what it was told to end")
                # Again and again: a request that comes before the statement is lost.
                if time.monotonic() >= cancelled + INSISTENCE:
                    with suppress(psycopg.Error):
                        self.cancel_safe(timeout=PATIENCE)
                    cancelled = time.monotonic()
            if not ready:
                if until is not None and time.monotonic() > until:
                    self.close()
                    raise psycopg.OperationalError("the server did not answer in time")
                if not self.asked_at or time.monotonic() - heard < (PATIENCE if missed else SILENCE):
                    return
                missed = 0 if self._at_work() else missed + 1
                if missed == QUESTIONS:
                    self.close()
                    raise psycopg.OperationalError("the answer of the server was lost on its way")
            else:
                missed = 0
            heard = time.monotonic()

        return look

    def _at_work(self) -> bool:
        """Ask the server whether it works on what was sent; True also where it answers, but cannot say."""
        asked = self.info.backend_pid
        try:
            question = _Question.connect(
                self.asked_at,
                autocommit=True,
                application_name="runner question",
                connect_timeout=max(2, int(PATIENCE)),
            )
            try:
                own, state = question.execute(_STATE, (asked,), prepare=False).fetchone() or (0, None)
                # Without track_activities nobody knows. A pooler gives numbers of its own; it does answer, and
                # drops what it cannot pass on.
                return state in ("active", "disabled") or bool(own != question.info.backend_pid)
            finally:
                question.close()
        except psycopg.OperationalError as error:
            # Whoever refuses is there, be it that there are too many connections.
            return "FATAL" in str(error)


class _Question(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up after some seconds."""

    def wait(self, gen: _Steps, *args: Any, **options: Any) -> Any:
        until = time.monotonic() + PATIENCE

        def look(ready: bool) -> None:
            if not ready and time.monotonic() > until:
                raise psycopg.OperationalError("no answer")

        return super().wait(_interrupted(gen, look), *args, **options)


def _interrupted(gen: _Steps, look: Callable[[bool], None]) -> _Steps:
    """Return `gen` with a look at each wake-up, which says whether anything has come; there are ten a second."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            look(bool(ready))
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value
