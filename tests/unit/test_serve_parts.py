"""The parts of `runner serve` that end: started again, and not for ever."""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import config, embedded
from runner.errors import DatabaseUnavailable, RunnerError
from runner.flows import serve, server
from runner.flows.serve import KeptDatabase, Patience
from runner.flows.server import PrivateServer


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeptDatabase]:
    """A database that is looked at all the time."""
    monkeypatch.setattr(serve, "_DATABASE_EVERY", 0.001)
    database = KeptDatabase(config.load({"project": str(tmp_path)}, environ={}))
    yield database
    database.stop()


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(DatabaseUnavailable("it does not start", hint="Look."), id="PostgreSQL says why"),
        pytest.param(OSError(errno.ENOSPC, "it does not start"), id="the system says why"),
    ],
)
def test_a_database_that_never_starts(kept: KeptDatabase, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Nothing can go on without it, and the reason is its own."""

    def fails(*_: object) -> str:
        raise error

    monkeypatch.setattr(embedded, "ensure_running", fails)

    def look() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            kept.check()
            time.sleep(0.001)

    kept.start()
    with pytest.raises(type(error), match="it does not start"):
        look()


def test_a_database_that_starts_late(kept: KeptDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who stops it at the same moment makes one attempt fail, or two; the next counts anew."""
    attempts = 0

    def fails_mostly(*_: object) -> str:
        nonlocal attempts
        attempts += 1
        if attempts % 3:
            raise DatabaseUnavailable("not now", hint="Try again.")
        return "postgresql://"

    monkeypatch.setattr(embedded, "ensure_running", fails_mostly)
    kept.start()
    deadline = time.monotonic() + 30
    while attempts < 30 and time.monotonic() < deadline:
        kept.check()
        time.sleep(0.001)
    assert attempts >= 30
    kept.stop()
    ended = attempts
    time.sleep(0.05)
    assert attempts == ended, "stopped, it looks no more"


def test_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that ends at once is started again at once, then after a moment, and in the end no more."""
    monkeypatch.setattr(serve, "_TRIES", 2)
    patience = Patience()
    began = time.monotonic()
    patience.begin("it", "Look.")
    assert time.monotonic() - began < 0.9
    patience.begin("it", "Look.")
    assert time.monotonic() - began >= 1
    with pytest.raises(RunnerError, match="it ended 2 times in 60 s"):
        patience.begin("it", "Look.")


def test_a_server_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, so that it is started again instead of being waited for."""
    monkeypatch.setattr(server, "_START_SECONDS", 0)
    with PrivateServer(tmp_path) as private:
        process = private._process
        with pytest.raises(RunnerError, match="did not answer within 0 s"):
            private.wait()
        assert process is not None
        assert process.wait(10) == -signal.SIGKILL
