"""Whether a process is there, and what one that we start is told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def helper_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that does not read our settings: without DATABASE_URL's password.

    libpq's own variables stay, since those that copy rows may connect by them.
    """
    return {name: value for name, value in environ.items() if name != "DATABASE_URL"}


def is_alive(pid: int) -> bool:
    """Tell whether this machine has a process of that number, whoever owns it.

    One that has ended, and only waits for its parent to take note, is gone.
    """
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    try:
        # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: the state follows the name in brackets.
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return True  # no such files here, or none for us
    return state not in (b"Z", b"X")
