"""Why the embedded PostgreSQL does not answer, from the end of its log: who set no DATABASE_URL cannot check it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.cluster import DATABASE, USER
from runner.errors import DatabaseUnavailable

_SOCKET = re.compile(r".*/pg[0-9]+/socket|/tmp/warehouse-runner-[0-9]+-[0-9a-f]+")
_END = 65536
_STARTS = "starting PostgreSQL"
_TELLING = re.compile(r"PANIC|No space left|quota exceeded|could not ")


def explain(parts: Mapping[str, Any], reason: str) -> DatabaseUnavailable | None:
    """Return the error of a connection that failed with `reason`; None where `parts` name another server.

    `parts` are those of the connection string. Nothing is started or asked.
    """
    folder = str(parts.get("host") or "")
    if (parts.get("user"), parts.get("dbname")) != (USER, DATABASE) or not _SOCKET.fullmatch(folder):
        return None
    from runner.cluster_setup import advice

    log = Path(folder).with_name("server.log")
    said = _said(log)
    lines = said.splitlines()
    telling = next((line for line in reversed(lines) if _TELLING.search(line)), lines[-1] if lines else "")
    ended = f"\nits log ({log}) says: {telling.strip()}" if telling else ""
    return DatabaseUnavailable(f"the embedded PostgreSQL does not answer: {reason}{ended}", hint=advice(telling))


def _said(log: Path) -> str:
    """Return what the log says since the server was last started, empty where it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _END))
            return file.read().decode(errors="replace").rpartition(_STARTS)[2]
    except OSError:
        return ""
