"""What is told where the embedded PostgreSQL does not answer."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from runner import cluster_owner, database, embedded
from runner.errors import DatabaseUnavailable

CRASHED = """2026-01-05 10:00:00 UTC [1]  LOG:  starting PostgreSQL 18.1
2026-01-05 10:00:01 UTC [2]  PANIC:  could not write to file "pg_wal/xlogtemp.2": Input/output error
2026-01-05 11:00:00 UTC [1]  LOG:  starting PostgreSQL 18.1
2026-01-05 11:00:01 UTC [3] runner copy PANIC:  could not write to file "pg_wal/xlogtemp.3": No space left on device
2026-01-05 11:00:02 UTC [1]  LOG:  all server processes terminated; reinitializing
2026-01-05 11:00:03 UTC [1]  LOG:  database system is shut down
"""
STOPPED = (
    CRASHED
    + """2026-01-05 12:00:00 UTC [1]  LOG:  starting PostgreSQL 18.1
2026-01-05 12:00:03 UTC [1]  LOG:  database system is shut down
"""
)


@pytest.mark.parametrize(
    ("log", "said", "hint"),
    [
        pytest.param(CRASHED, 'xlogtemp.3": No space left on device', "Free some disk space", id="full"),
        pytest.param(STOPPED, "LOG:  database system is shut down", "read the log", id="stopped"),
        pytest.param(None, "does not answer: No such file or directory", "runner doctor", id="no log"),
    ],
)
def test_its_log_is_quoted(log: str | None, said: str, hint: str, tmp_path: Path) -> None:
    """What it said since it was last started, and what to do about it; not a setting that nobody made."""
    (tmp_path / "pg18" / "socket").mkdir(parents=True)
    if log is not None:
        (tmp_path / "pg18" / "server.log").write_text(log)
    with pytest.raises(DatabaseUnavailable) as caught:
        database.connect(f"postgresql://warehouse@/warehouse?host={tmp_path}/pg18/socket&port=5432", "test")
    assert caught.value.message.startswith("the embedded PostgreSQL does not answer: No such file or directory")
    assert caught.value.message.endswith(said)
    assert hint in (caught.value.hint or "")
    assert "DATABASE_URL" not in f"{caught.value.message} {caught.value.hint}"


def test_another_server_is_a_setting(tmp_path: Path) -> None:
    """Which is to be checked."""
    with pytest.raises(DatabaseUnavailable, match="cannot connect to ") as caught:
        database.connect(f"postgresql://warehouse@/warehouse?host={tmp_path}&port=5432", "test")
    assert "Check DATABASE_URL" in (caught.value.hint or "")


def test_a_full_disk_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's files are in the home; the system names no file that is written to."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cluster_owner, "find", full)
    with pytest.raises(OSError, match="No space left") as caught:
        embedded.ensure_running(tmp_path / "home")
    assert caught.value.filename == str(tmp_path / "home")
