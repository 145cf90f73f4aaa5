"""The private Prefect server's process."""

from __future__ import annotations

import signal
import subprocess

import pytest

from runner.flows import server


def test_one_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes too long to end says nothing of how the run went."""
    monkeypatch.setattr(server, "_STOP_SECONDS", 0.01)
    with subprocess.Popen(["sleep", "1000"], stdin=subprocess.PIPE) as process:
        server._end(process)
    assert process.returncode == -signal.SIGKILL
