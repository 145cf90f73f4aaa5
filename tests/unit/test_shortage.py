"""What a server has run out of is told by name, without trying again."""

from __future__ import annotations

import pytest

from runner.places.fault import Fault
from staging_loaders import shortage

# Nobody answers there: what must be asked stays unnamed.
NOBODY = "postgresql:///x?host=/nonexistent"

TOLD = {
    "disk": (
        ("53100", 'could not extend file "base/5/16394": No space left on device'),
        "the disk of the server's data directory is full",
        "Free space there",
    ),
    "disk, written in part": (
        ("53100", 'could not extend file "base/5/16394": wrote only 4096 of 8192 bytes at block 7'),
        "the disk of the server's data directory is full",
        "larger disk",
    ),
    "tablespace": (
        ("53100", 'could not extend file "pg_tblspc/16500/PG_18_202506291/5/16394": No space left on device'),
        "the disk of the tablespace number 16500 of the server is full",
        "set tablespace",
    ),
    "temporary files": (
        ("53100", 'could not write to file "base/pgsql_tmp/pgsql_tmp99.0": No space left on device'),
        "the disk of the server's data directory is full, of temporary files",
        "Free space there",
    ),
    "quota": (
        ("XX000", 'could not extend file "base/5/16394": Disk quota exceeded'),
        "the disk quota of the server's data directory is used up",
        "Raise the quota",
    ),
    "temporary limit": (
        ("53400", "temporary file size exceeds temp_file_limit (1024kB)"),
        "the server's limit of temporary files is reached",
        "temp_file_limit",
    ),
    "memory": (("53200", "out of memory"), "the server is out of memory", "work_mem"),
    "locks": (("53200", "out of shared memory"), "the server has no room for more locks", "max_locks_per_transaction"),
}


@pytest.mark.parametrize(("said", "what", "hint"), TOLD.values(), ids=TOLD.keys())
def test_what_there_is_too_little_of(said: tuple[str, str], what: str, hint: str) -> None:
    """It is named, and so is what to do; a server that cannot be asked for a name delays nothing."""
    found = shortage.find(Fault(*said), NOBODY)
    assert found is not None
    assert found.what == what
    assert hint in found.hint


@pytest.mark.parametrize("said", [("23505", "duplicate key"), ("40P01", "deadlock detected"), ("53300", "too many")])
def test_other_faults_are_no_shortage(said: tuple[str, str]) -> None:
    """Nor are too many connections: those pass."""
    assert shortage.find(Fault(*said), NOBODY) is None
