"""The progress of a long load on Prefect's page: when it is shown, what it says, and that it never stops the load."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from runner.flows.load_page import LoadPage
from runner.progress import Advance

# What Prefect and its dependencies say of one another.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
]


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Server:
    """Takes what a page sends."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, str]] = []
        self.fault: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()

    def create(self, *, progress: float, key: str, description: str) -> str:
        assert key == "demo-load-day1"
        assert not self.sent
        return self.update(artifact_id="the one", progress=progress, description=description)

    def update(self, *, artifact_id: str, progress: float, description: str) -> str:
        assert artifact_id == "the one"
        assert self.answers.wait(30)
        if self.fault:
            raise self.fault
        self.sent.append((progress, description))
        return artifact_id


def advance(done: int, entity: str = "agents", total: int = 400) -> Advance:
    return Advance(entity, done // 100, total // 100, done, total, done * 10, 1)


@pytest.fixture
def page() -> Callable[..., tuple[LoadPage, Clock, Server, list[str]]]:
    """Make a page with a clock, a server and a log of the test's own."""

    def make() -> tuple[LoadPage, Clock, Server, list[str]]:
        clock, server, log = Clock(), Server(), []
        made = LoadPage(
            "demo-load-day1", "demo day1", log.append, clock=clock, create=server.create, update=server.update
        )
        return made, clock, server, log

    return make


def test_a_short_load(page: Callable[..., Any]) -> None:
    """A load that is soon over has no page."""
    made, clock, server, _ = page()
    clock.now += 4
    made(advance(100))
    made.finish()
    assert server.sent == []


def test_a_long_load(page: Callable[..., Any]) -> None:
    """One that takes long has one, which goes on every few seconds, and ends at what was read last."""
    made, clock, server, log = page()
    clock.now += 6
    made(advance(100))
    made._sender.join()
    made(advance(200))  # too early for another look
    clock.now += 5
    made(advance(100, "roles", 200))
    made._sender.join()
    made(advance(400))
    made(advance(200, "roles", 200))
    made.finish()
    assert [percent for percent, _ in server.sent] == [25.0, 50.0, 100.0]
    assert "- agents: 4 of 4 files, 400 B of 400 B, 4,000 records, 1 reject" in server.sent[-1][1]
    assert log == []


def test_a_server_that_does_not_answer(page: Callable[..., Any]) -> None:
    """A server that is slow keeps no load waiting, and one that fails is asked once and told of once."""
    made, clock, server, log = page()
    server.answers.clear()
    clock.now += 6
    made(advance(100))
    clock.now += 6
    made(advance(200))  # comes back at once
    server.fault = ConnectionError("gone\nfor good")
    server.answers.set()
    made._sender.join()
    clock.now += 60
    made(advance(300))
    made.finish()
    assert server.sent == []
    assert log == ["the progress of the load is not shown any more: gone"]
