"""The command line as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


def environment(**given: str) -> dict[str, str]:
    """Return an environment in which the runner finds only what a test gives it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **given}


def start(*arguments: str, cwd: Path, **given: str) -> subprocess.Popen[str]:
    """Start a command."""
    return subprocess.Popen(
        [sys.executable, "-m", "runner", *arguments],
        cwd=cwd,
        env=environment(**given),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def warned(err: str) -> list[str]:
    """Return the checks that warn in what a run wrote to standard error, where nothing else may stand."""
    lines = [line for line in err.splitlines() if not line.startswith("    ")]
    assert all(line.startswith("warning: day") for line in lines), err
    return [line.split()[2].rstrip(":") for line in lines]


@pytest.fixture
def runner(database: str) -> Callable[..., Outcome]:
    """Run a command on the test's database, in the repository or in `cwd`, and wait for it."""

    def run(*arguments: str, cwd: Path = ROOT, **given: str) -> Outcome:
        process = start(*arguments, cwd=cwd, **{"DATABASE_URL": database, **given})
        out, err = process.communicate(timeout=300)
        assert "Traceback" not in out + err, out + err
        return Outcome(process.returncode, out, err)

    return run
