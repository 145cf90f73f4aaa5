"""What ends a run from outside: SIGTERM and a closed terminal are delivered like Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

ENDING = (signal.SIGTERM, signal.SIGHUP)
_ALL = (*ENDING, signal.SIGINT)


class Terminated(KeyboardInterrupt):
    """A signal that ends the run, Ctrl-C too: psycopg cancels its statement on a KeyboardInterrupt only."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.signal = number


@contextmanager
def terminating() -> Iterator[None]:
    """Have the signals that end a run raised as Terminated; one that is ignored, as under nohup, stays so."""
    before = {number: signal.getsignal(number) for number in _ALL}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    # A terminal that closes sends it more than once, and so do impatient people; what rolls back must go on.
    for other in _ALL:
        if signal.getsignal(other) is _terminate:
            signal.signal(other, signal.SIG_IGN)
    raise Terminated(number)
