"""Where servers of tests keep their data: in memory, where there is enough of it.

Databases of tests are small, live for a moment and are made by the thousand, which takes a third of the time there.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

_FOLDER = Path("/dev/shm")
# Bytes for the servers of four workers, and for all else that the tests start. Containers often have 64 MB.
_ENOUGH = 6 << 30


def folder() -> Path | None:
    """Return the folder in which temporary ones are to be made, None for the usual one."""
    try:
        room = shutil.disk_usage(_FOLDER).free
        said = Path("/proc/meminfo").read_text("ascii")
    except OSError:
        return None
    available = re.search(r"^MemAvailable: *(\d+) kB", said, re.MULTILINE)
    return _FOLDER if available and min(room, int(available[1]) << 10) >= _ENOUGH else None
