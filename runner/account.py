"""Which account of the operating system runs the private PostgreSQL, and where that account may go.

Imported on every command, so nothing here starts a process or imports what is slow.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from runner.errors import ConfigError

_UNPRIVILEGED = ("nobody", "daemon")


@dataclass(frozen=True)
class Account:
    """An operating system account."""

    uid: int
    gid: int
    name: str


def server_account(path: Path) -> Account | None:
    """Return who must run a server whose files are at `path`: None is the caller.

    Root steps down to the owner of the nearest existing folder, or, where that is
    root too, to an account without rights.
    """
    if os.geteuid() != 0:
        return None
    import pwd

    while not path.exists():
        path = path.parent
    owner = path.stat().st_uid
    for wanted in (owner,) if owner else _UNPRIVILEGED:
        try:
            entry = pwd.getpwuid(wanted) if isinstance(wanted, int) else pwd.getpwnam(wanted)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    raise ConfigError(
        "PostgreSQL does not run as root, and there is no account `nobody` to run it as",
        hint="Run as an ordinary user, or name a server in DATABASE_URL.",
    )


def reachable(path: Path, account: Account) -> bool:
    """Tell whether `account` may pass through every existing folder from / down to `path`."""
    return all(_may_pass(folder, account) for folder in (path, *path.parents) if folder.exists())


def _may_pass(path: Path, account: Account) -> bool:
    found = path.stat()
    if found.st_uid == account.uid:
        return bool(found.st_mode & 0o100)
    if found.st_gid == account.gid:
        return bool(found.st_mode & 0o010)
    return bool(found.st_mode & 0o001)
