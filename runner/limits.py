"""How long the work at hand may take: a limit that each connection keeps which is opened under it.

A context and not a parameter, because whoever sets a limit does not know of all the connections that are
opened for the work. Threads that are started under a limit are not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from runner import durations
from runner.errors import RunnerError, TookTooLong

if TYPE_CHECKING:
    import psycopg

_CANCELLED = "57014"


@dataclass(eq=False)
class Limit:
    """The seconds that some work may take; `setting` says where that is written, `until` is of `time.monotonic`."""

    name: str
    seconds: float
    setting: str
    until: float

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.until

    @property
    def reason(self) -> str:
        """What is said of work that was stopped."""
        return f"{self.name} was stopped after {shown(self.seconds)}, its time limit"

    @property
    def hint(self) -> str:
        return f"Make it faster, or raise {self.setting}."

    def error(self) -> TookTooLong:
        return TookTooLong(self.reason, hint=self.hint)

    def explains(self, error: BaseException | None) -> bool:
        """Tell whether the limit is over, and `error` what comes of that: a cancelled statement, or no answer."""
        if not self.over:
            return False
        import psycopg

        while error is not None:
            if isinstance(error, psycopg.Error):
                return error.sqlstate in (_CANCELLED, None)
            error = error.__cause__
        return False


_at_hand: ContextVar[Limit | None] = ContextVar("limit", default=None)


@contextmanager
def within(name: str, seconds: float | None, setting: str) -> Iterator[None]:
    """Give the work of the block that many seconds, from now on; None: all the time there is.

    What comes of its end is raised as TookTooLong, but for a failed step, which has said so itself.
    """
    limit = Limit(name, seconds, setting, time.monotonic() + seconds) if seconds is not None else None
    token = _at_hand.set(limit)
    try:
        yield
    except Exception as error:
        told = isinstance(error, RunnerError) and limit is not None and limit.reason in error.message
        if limit is not None and not told and limit.explains(error):
            raise limit.error() from error
        raise
    finally:
        _at_hand.reset(token)


@contextmanager
def lifted() -> Iterator[None]:
    """Let the block do, without a limit, what must be done also after its end."""
    token = _at_hand.set(None)
    try:
        yield
    finally:
        _at_hand.reset(token)


def current() -> Limit | None:
    """Return the limit of the work at hand, None where there is none."""
    return _at_hand.get()


def check() -> None:
    """Raise TookTooLong where the limit is over: for work that is not the database's."""
    limit = _at_hand.get()
    if limit is not None and limit.over:
        raise limit.error()


def restart() -> None:
    """Begin to count anew: until now others were waited for, and that has a limit of its own."""
    limit = _at_hand.get()
    if limit is not None:
        limit.until = time.monotonic() + limit.seconds


def capped(milliseconds: int) -> int:
    """Return a statement's own limit (0: none), or what is left of the limit at hand where that is less; in ms."""
    limit = _at_hand.get()
    if limit is None:
        return milliseconds
    left = max(int((limit.until - time.monotonic()) * 1000), 1)
    return min(milliseconds, left) if milliseconds else left


def explain(error: psycopg.Error, message: str, hint: str) -> tuple[str, str]:
    """Return what to say of a failed statement, and what to do: of one that was stopped by the limit, that."""
    limit = _at_hand.get()
    if limit is None or not limit.explains(error):
        return message, hint
    return f"{limit.reason}\n{message}", limit.hint


def shown(seconds: float) -> str:
    """Return seconds as people read them: `300 s`, `0.5 s`, `1 h 20 min`."""
    if seconds < 3_600:
        return f"{seconds:g} s"
    return durations.shown(timedelta(seconds=seconds))
