"""Where PostgreSQL runs in these tests: a container, or an embedded server where there is no Docker engine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from runner import embedded
from tests.clusters.processes import free_ports
from tests.containers import image

PASSWORD = "s3cr@t:päss/word"


class Place(Protocol):
    """A server that can be reached by TCP and password; it keeps its data and its port when it is started again."""

    url: str

    def stop(self) -> None:
        """Shut the server down, ending all sessions."""

    def kill(self) -> None:
        """End all of its processes at once."""

    def start(self) -> None:
        """Start it again, and wait until it answers."""


def missing() -> str | None:
    """Return why no Docker engine can be used, None where one can."""
    import docker
    from docker.errors import DockerException

    address = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    try:
        # The client does not close its socket where nobody listens.
        if address.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(address.path)
        client = docker.from_env()
    except (OSError, DockerException) as error:
        return f"no Docker engine at {address.geturl()}: {error}"
    client.close()
    return None


class Contained:
    """PostgreSQL in a container."""

    def __init__(self, container: Any) -> None:
        self._container = container
        self.url: str = container.get_connection_url()

    def stop(self) -> None:
        self._container.get_wrapped_container().stop(timeout=30)

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def start(self) -> None:
        self._container.get_wrapped_container().start()
        self._container._connect()


@contextlib.contextmanager
def contained() -> Iterator[Place]:
    """Start a container, and remove it in the end."""
    import docker
    from testcontainers.community.postgres import PostgresContainer
    from testcontainers.core.config import testcontainers_config

    # Its helper, which removes what was left behind, is an image to be pulled.
    testcontainers_config.ryuk_disabled = True
    with contextlib.closing(docker.from_env()) as client:
        name = image.find_or_build(client)
    with free_ports(1) as (port,):
        pass
    container = PostgresContainer(name, username="warehouse", password=PASSWORD, dbname="warehouse", driver=None)
    # One that Docker chooses is another after each start.
    with container.with_bind_ports(5432, port):
        yield Contained(container)


class Embedded:
    """The embedded server with a port."""

    def __init__(self, home: Path, port: int) -> None:
        self._home = home
        self._port = port
        self.start()
        self.url = embedded.status(home).tcp_url or ""

    def stop(self) -> None:
        embedded.stop(self._home)

    def kill(self) -> None:
        os.kill(embedded.status(self._home).pid or 0, signal.SIGKILL)

    def start(self) -> None:
        embedded.ensure_running(self._home, port=self._port)
