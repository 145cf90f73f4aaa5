"""A server that a pooler can reach, and processes that run days on it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner import config, embedded, project, schema
from tests.conftest import POSTGRES, ROOT, Server
from tests.e2e.conftest import environment
from tests.races import pooler
from tests.races.pooler import Pooler

# Runs the command line once for each day that is given, and says how each ended.
_DAYS = """
import sys
from runner.cli import main
*arguments, days = sys.argv[1:]
for day in days.split(","):
    print("exit", day, main([*arguments, "--day", day]), flush=True)
"""


@dataclass(frozen=True)
class Ended:
    """How a process ended: the exit code of each day, and what it said."""

    codes: list[int]
    out: str
    err: str


@pytest.fixture(scope="module")
def tcp_server(request: pytest.FixtureRequest, reachable_folder: Path) -> Iterator[Server]:
    """The server under test, where a pooler may reach it: the embedded one lets us in alone, so it gets a port."""
    if not POSTGRES.isdigit():
        yield request.getfixturevalue("server")
        return
    home = Path(tempfile.mkdtemp(dir=reachable_folder)) / "home"
    home.parent.chmod(0o711)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    embedded.ensure_running(home, int(POSTGRES), port)
    server = Server(str(embedded.status(home, int(POSTGRES)).tcp_url))
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        server.execute(f"alter system set {setting} = off")
    server.execute("select pg_reload_conf()")
    yield server
    embedded.reset(home, int(POSTGRES))


@pytest.fixture(scope="module")
def pooled(tcp_server: Server) -> Iterator[Pooler]:
    """PgBouncer before that server, in transaction mode."""
    if pooler.PROGRAM is None:
        why = "PgBouncer is not installed (Debian: apt-get install pgbouncer)"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    with Pooler(tcp_server.url) as running:
        yield running


@pytest.fixture
def way(request: pytest.FixtureRequest, tcp_server: Server) -> Callable[[str], str]:
    """Return the URL of a database of the server: straight, or by way of the pooler, as the test is parametrized."""
    if request.param == "direct":
        return tcp_server.on
    found: Pooler = request.getfixturevalue("pooled")
    return found.url


@pytest.fixture
def race_database(tcp_server: Server) -> Iterator[str]:
    """The name of an empty database."""
    name = tcp_server.create()
    yield name
    tcp_server.drop(name)


def migrate(url: str, folder: Path) -> None:
    """Apply the schema files of a project."""
    import psycopg

    pipeline = project.discover(config.load({"project": str(folder)}, environ={}))
    with psycopg.connect(url, autocommit=True) as connection:
        schema.migrate(connection, pipeline.name, pipeline.schema)


def start(url: str, folder: Path, days: Sequence[str], *arguments: str) -> subprocess.Popen[str]:
    """Start a process that runs a command for one day after the other."""
    return subprocess.Popen(
        [sys.executable, "-c", _DAYS, *arguments, "--project", str(folder), ",".join(days)],
        cwd=ROOT,
        env=environment(DATABASE_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait(processes: Sequence[subprocess.Popen[str]]) -> list[Ended]:
    """Wait for processes; none may end in a traceback."""
    ended = []
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert "Traceback" not in out + err, err
        codes = [int(line.split()[2]) for line in out.splitlines() if line.startswith("exit ")]
        ended.append(Ended(codes, out, err))
    return ended
