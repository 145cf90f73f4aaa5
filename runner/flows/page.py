"""The Prefect server of `runner serve`: with its page, its scheduler, and the embedded PostgreSQL for a database."""

from __future__ import annotations

import errno
import os
import socket
from typing import IO

from runner import embedded
from runner.cluster import DATABASE
from runner.config import Settings
from runner.errors import ConfigError, DatabaseUnavailable
from runner.flows.server import WITHOUT_TRIGRAMS, PrivateServer
from runner.serving import Place

_DATABASE = "prefect"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def in_embedded() -> bool:
    """Tell whether a server started here keeps its records in the embedded PostgreSQL: where no other is named."""
    return not os.environ.get("PREFECT_SERVER_DATABASE_CONNECTION_URL")


def database(settings: Settings) -> str:
    """Return the URL, as SQLAlchemy reads it, of Prefect's own database in the embedded PostgreSQL; made if missing.

    No password is in it: the kernel tells the server who is at the other end of the socket.
    """
    import psycopg

    url = embedded.ensure_running(settings.home, settings.embedded_version, settings.embedded_port)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", [_DATABASE]).fetchone():
                connection.execute(f"create database {_DATABASE}".encode())
    except psycopg.Error as error:
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL does not take Prefect's database: {error}", hint="See runner db status."
        ) from error
    return url.replace("postgresql://", "postgresql+asyncpg://").replace(f"/{DATABASE}?", f"/{_DATABASE}?")


class PageServer(PrivateServer):
    """A Prefect server with its page on an address of one's choice; a context manager.

    It ends when nobody holds `pipe` any more: whoever still has to tell it something keeps it.
    """

    def __init__(self, settings: Settings, place: Place) -> None:
        super().__init__(settings.home / "prefect")
        self._settings = settings
        self._place = place
        # As the environment says, and none where it does not.
        self.password = os.environ.get("PREFECT_SERVER_API_AUTH_STRING", "")
        if place.host not in _LOOPBACK and not self.password:
            raise ConfigError(
                f"at {place.host} others reach the page, and could run deployments",
                hint="Set PREFECT_SERVER_API_AUTH_STRING=user:password, or stay at 127.0.0.1.",
            )

    @property
    def url(self) -> str:
        """Where the page is."""
        return self._url

    @property
    def pipe(self) -> int:
        """The descriptor that keeps the server alive."""
        assert self._process is not None and self._process.stdin is not None
        return self._process.stdin.fileno()

    @property
    def ended(self) -> bool:
        """Whether its process is gone."""
        return self._process is None or self._process.poll() is not None

    def restart(self) -> None:
        """Start it again at the same address."""
        host, port = self._url.removeprefix("http://").rsplit(":", 1)
        self._place = Place(host, int(port), self._place.limit)
        self.__exit__(None, None, None)
        self.__enter__()

    def _listener(self) -> socket.socket:
        try:
            return socket.create_server((self._place.host, self._place.port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            what = "is taken by another program" if taken else f"cannot be used: {error.strerror}"
            raise ConfigError(
                f"port {self._place.port} of {self._place.host} {what}",
                hint="Choose another: runner serve --port 4201, or 0 for one that is free.",
            ) from error

    def _open_log(self) -> IO[bytes]:
        self.home.mkdir(mode=0o700, exist_ok=True)
        return (self.home / "server.log").open("w+b")

    def _environment(self) -> dict[str, str]:
        given = {name: value for name, value in super()._environment().items() if not name.startswith("PREFECT__")}
        host, port = self._url.removeprefix("http://").rsplit(":", 1)
        given |= {
            "PREFECT_SERVER_UI_ENABLED": "true",
            "PREFECT_SERVER_UI_API_URL": self.api_url,
            # What is told of a run has the address of its page.
            "PREFECT_UI_URL": self._url,
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_SERVER_API_HOST": host,
            "PREFECT_SERVER_API_PORT": port,
            # The page asks from its own address; other sites that a browser shows have no business here.
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"{self._url},http://localhost:{port}",
        }
        if not self.password:
            del given["PREFECT_SERVER_API_AUTH_STRING"]
        if in_embedded():
            given["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database(self._settings)
            given[WITHOUT_TRIGRAMS] = "1"
        return given

    def _advice(self) -> str:
        return f"Its log is {self.home / 'server.log'}."
