"""Answers that the network swallows, and those that only take long."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import psycopg
import pytest

from runner import database, unanswered
from tests.conftest import Server


class Proxy:
    """Passes bytes to the server and back, until it is told to keep the answers to itself."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.swallows = self.refuses = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for each in (self._listener, *self._open):
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refuses:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._open += (client, server)
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not (self.swallows and target.family == socket.AF_INET):
                    target.sendall(data)


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy before the server of the tests."""
    with psycopg.connect(server.url) as connection:
        folder, port = connection.info.host, connection.info.port
    if not folder.startswith("/"):
        pytest.skip(f"the proxy speaks to a Unix socket, and the server is at {folder}")
    proxy = Proxy(f"{folder}/.s.PGSQL.{port}")
    yield proxy
    proxy.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask soon."""
    monkeypatch.setattr(unanswered, "SILENCE", 0.3)
    monkeypatch.setattr(unanswered, "PATIENCE", 0.3)
    monkeypatch.setattr(unanswered, "QUESTIONS", 2)


def connect(proxy: Proxy, database_url: str) -> psycopg.Connection[tuple[object, ...]]:
    """Connect through the proxy."""
    parts = urlsplit(database_url)
    return database.connect(f"postgresql://{parts.username}@127.0.0.1:{proxy.port}{parts.path}", "runner test")


@pytest.mark.usefixtures("quick")
def test_a_long_statement_is_waited_for(database: str) -> None:
    """A server that is at work is waited for, however long it says nothing."""
    from runner.database import connect

    with connect(database, "runner test") as connection:
        assert connection.execute("select pg_sleep(1.2), 'done'").fetchone() == ("", "done")


@pytest.mark.usefixtures("quick")
def test_a_server_that_does_not_say_what_it_is_at(database: str) -> None:
    """Where track_activities is off, nobody can tell that a statement has ended: it is waited for."""
    from runner.database import connect

    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f"alter database {admin.info.dbname} set track_activities = off")
    with connect(database, "runner test") as connection:
        assert connection.execute("select pg_sleep(1.2), 'done'").fetchone() == ("", "done")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("refuses", [pytest.param(False, id="swallowed, too"), pytest.param(True, id="refused")])
def test_a_lost_answer_is_given_up(proxy: Proxy, database: str, refuses: bool) -> None:
    """Where the answer was swallowed, and the question finds nobody, the connection counts as lost."""
    connection = connect(proxy, database)
    proxy.swallows, proxy.refuses = True, refuses
    with pytest.raises(psycopg.OperationalError, match="lost on its way"):
        connection.execute("select 1")
    assert connection.closed


@pytest.mark.usefixtures("quick")
def test_a_server_that_has_answered_is_not_at_work(proxy: Proxy, database: str) -> None:
    """Where another way to the server is open, and it says that it waits for us, the answer was lost."""
    connection = connect(proxy, database)
    connection.asked_at = database  # type: ignore[attr-defined]
    proxy.swallows = True
    with pytest.raises(psycopg.OperationalError, match="lost on its way"):
        connection.execute("select 1")
    assert connection.closed
