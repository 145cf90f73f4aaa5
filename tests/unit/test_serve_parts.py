"""The parts of `runner serve` that end: started again, and not for ever."""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient

from runner import config, deployments, embedded
from runner.errors import DatabaseUnavailable, RunnerError
from runner.flows import serve, server
from runner.flows.serve import KeptDatabase, Patience, Serving, WorkerProcess
from runner.flows.server import PrivateServer
from runner.serving import Place

ROOT = Path(__file__).resolve().parents[2]


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


class Refusing:
    """Prefect's API as one that fails as often as is said, and then has no runs."""

    def __init__(self, *errors: httpx.HTTPError) -> None:
        self.errors = list(errors)
        self.asked = 0

    def read_flow_runs(self, **_: object) -> list[object]:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return []


def _status(code: int) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "http://127.0.0.1/api")
    return httpx.HTTPStatusError(f"it says {code}", request=request, response=httpx.Response(code, request=request))


@pytest.mark.parametrize(
    ("errors", "asked"),
    [
        pytest.param([], 1, id="it answers"),
        pytest.param([httpx.ConnectError("nobody is there"), _status(500), _status(503)], 4, id="it is away"),
        pytest.param([_status(403)], 1, id="it refuses"),
    ],
)
def test_a_worker_starts_when_its_runs_are_marked(
    monkeypatch: pytest.MonkeyPatch, errors: list[httpx.HTTPError], asked: int
) -> None:
    """Where the server is away that is tried again; where it refuses, the worker is what counts."""
    started: list[int] = []

    def start(self: WorkerProcess, _: object) -> None:
        started.append(client.asked)
        raise KeyboardInterrupt  # the signal that ends the watch

    monkeypatch.setattr(serve, "_LOOK", 0.001)
    monkeypatch.setattr(WorkerProcess, "start", start)
    settings = config.load({"project": str(ROOT)}, environ={})
    client = Refusing(*errors)
    serving = Serving(
        settings, Place(), deployments.read(settings), cast(SyncPrefectClient, client), None, "http://127.0.0.1/api"
    )
    serving.run()
    assert started == [asked]


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
