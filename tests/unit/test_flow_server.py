"""The private Prefect server's process."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from runner import config
from runner.errors import ConfigError
from runner.flows import server
from runner.flows.page import PageServer
from runner.serving import Place

ROOT = Path(__file__).resolve().parents[2]


def test_one_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes too long to end says nothing of how the run went."""
    monkeypatch.setattr(server, "_STOP_SECONDS", 0.01)
    with subprocess.Popen(["sleep", "1000"], stdin=subprocess.PIPE) as process:
        server._end(process)
    assert process.returncode == -signal.SIGKILL


def test_a_page_for_all_asks_for_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that others reach is refused until a password is set: whoever reaches the page can run deployments."""
    settings = config.load({"project": str(ROOT)}, environ={})
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    with pytest.raises(ConfigError) as raised:
        PageServer(settings, Place("0.0.0.0", 0))
    assert "PREFECT_SERVER_API_AUTH_STRING" in str(raised.value.hint)
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "me:Kanarienvogel")
    assert PageServer(settings, Place("0.0.0.0", 0)).password == "me:Kanarienvogel"


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """A page whose port another program has is refused before anything is started, with another port to try."""
    settings = config.load({"project": str(ROOT)}, environ={"RUNNER_HOME": str(tmp_path)})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as raised, PageServer(settings, Place("127.0.0.1", port)):
            pass
    assert f"port {port} of 127.0.0.1 is taken by another program" in raised.value.message
    assert "--port" in str(raised.value.hint)
