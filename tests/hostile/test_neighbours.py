"""Other accounts of the machine: the embedded server and its files are closed to them."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from pathlib import Path

import psycopg
import pytest

from runner import embedded
from tests.conftest import POSTGRES, Server

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture(scope="module")
def home(server: Server, reachable_folder: Path) -> Path:
    """The home of a server that runs."""
    home = reachable_folder / "home"
    if not home.is_dir():
        pytest.skip("the server under test is not the embedded one")
    return home


def _as(account: str, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program as another account."""
    entry = pwd.getpwnam(account)
    return subprocess.run(
        [str(word) for word in command],
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_open_to_others(home: Path) -> None:
    """None of the server's files, its socket, state and lock among them, can be read by anybody else."""
    for path in (home, *home.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        inside = any(folder.stat().st_mode & 0o077 == 0 for folder in path.parents if home in folder.parents)
        # Root's own home is passed through by the account that the server runs as.
        allowed = 0o711 if path == home and os.geteuid() == 0 else 0o700
        assert inside or path.is_symlink() or mode & ~allowed == 0, f"{path}: {mode:o}"


def test_it_listens_on_its_socket_alone(home: Path, server: Server) -> None:
    """Without a port asked for there is no TCP, and whoever comes by the socket is known to the kernel."""
    with psycopg.connect(server.url) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("",)
        assert connection.execute("show unix_socket_permissions").fetchone() == ("0700",)
        rules = connection.execute("select type, database, user_name, auth_method from pg_hba_file_rules").fetchall()
    assert rules == [("local", ["all"], ["all"], "peer")]


@needs_root
def test_another_account_comes_nowhere_near(home: Path) -> None:
    """An account that is neither the owner nor the server's can neither see the socket nor hold the lock."""
    status = embedded.status(home, int(POSTGRES))
    for path in (status.socket_dir, status.data_dir, status.log, *home.glob("pg*.state"), *home.glob("pg*.lock")):
        done = _as("daemon", "/bin/sh", "-c", f'cat "{path}"; test -d "{path}" && ls "{path}"')
        assert "Permission denied" in done.stderr and not done.stdout, path
