"""What integration tests share: one Prefect server, since it takes long to start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Server:
    """A Prefect server, as a process finds it, and the folder of its database."""

    environment: dict[str, str]
    home: Path


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prefect server without a page or a scheduler, which this process and those it starts can be told of."""
    from runner.flows.server import QUIET, PrivateServer

    home = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch, PrivateServer(home) as server:
        for name, value in {**QUIET, "PREFECT_HOME": str(home)}.items():
            patch.setenv(name, value)
        from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

        server.wait()
        given = {PREFECT_API_URL: server.api_url, PREFECT_API_AUTH_STRING: server.password}
        with temporary_settings(given):
            yield Server({setting.name: value for setting, value in given.items()}, home)
            server.drain()
