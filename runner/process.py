"""Whether a process is there."""

from __future__ import annotations

import os


def is_alive(pid: int) -> bool:
    """Tell whether this machine has a process of that number, whoever owns it."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
