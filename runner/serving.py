"""Who serves this project's home: one `runner serve` at a time, and where its page is.

The lock is the system's, so that it goes with the process that holds it, however that ends.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner import cluster
from runner.config import FILE, Settings
from runner.errors import AlreadyServed, ConfigError

HOST, PORT, LIMIT = "127.0.0.1", 4200, 4
_KEYS = ("host", "port", "limit")


@dataclass(frozen=True)
class Place:
    """Where the page is to be, and how many runs may go on at once."""

    host: str = HOST
    port: int = PORT
    limit: int = LIMIT


@dataclass(frozen=True)
class Served:
    """A `runner serve` that runs: its process, the API of its Prefect server, and since when."""

    pid: int
    api_url: str
    since: str


def place(settings: Settings, host: str | None, port: int | None, limit: int | None) -> Place:
    """Return what the flags say, and [serve] of runner.toml where they say nothing."""
    said, where = settings.serve, str(settings.project / FILE)
    if not isinstance(said, dict):
        raise ConfigError(f"serve in {where} is no table", hint="Write [serve] above its keys.")
    for key in said:
        if key not in _KEYS:
            raise ConfigError(f"{where} has an unknown key 'serve.{key}'", hint=f"There are {', '.join(_KEYS)}.")
    found = Place(
        host=host or _text(said, "host", where) or HOST,
        port=_number(said, "port", where, PORT) if port is None else port,
        limit=_number(said, "limit", where, LIMIT) if limit is None else limit,
    )
    if not 0 <= found.port <= 65535:
        raise ConfigError(f"there is no port {found.port}", hint="Use one from 1 to 65535, or 0 for one that is free.")
    if found.limit < 1:
        raise ConfigError(f"{found.limit} runs at once are none", hint="Allow at least one: --limit 1.")
    return found


class Claim:
    """The right to serve a home, held from entering the block to its end."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def __enter__(self) -> Claim:
        # For nobody else: whoever can open it can hold the lock.
        self._descriptor = os.open(self._home / "serve.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise _served(self._home) from None
        return self

    def announce(self, api_url: str) -> None:
        """Write down who serves, for those who come second and for `runner deploy`."""
        found = {"pid": os.getpid(), "api_url": api_url, "since": f"{datetime.now(UTC):%F %H:%M:%S} UTC"}
        cluster.write_private(self._home / "serve.json", json.dumps(found))

    def __exit__(self, *_: object) -> None:
        (self._home / "serve.json").unlink(missing_ok=True)
        os.close(self._descriptor)


def who(home: Path) -> Served | None:
    """Return the `runner serve` of this home, None where none runs or it has not told yet where its page is."""
    try:
        descriptor = os.open(home / "serve.lock", os.O_RDWR)
    except OSError:
        return None
    try:
        with _tried(descriptor) as free:
            if free:
                return None
        said = json.loads((home / "serve.json").read_text(encoding="utf-8"))
        return Served(int(said["pid"]), str(said["api_url"]), str(said["since"]))
    except (OSError, ValueError, KeyError):
        return None
    finally:
        os.close(descriptor)


@contextmanager
def _tried(descriptor: int) -> Iterator[bool]:
    """Try the lock without keeping it from another who tries."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True


def _served(home: Path) -> AlreadyServed:
    found = who(home)
    by = f"pid {found.pid}, {found.api_url.removesuffix('/api')}, since {found.since}" if found else "it is starting"
    return AlreadyServed(
        f"runner serve runs already for {home}: {by}",
        hint="Use that one, stop it first, or set RUNNER_HOME to another folder.",
    )


def _text(said: dict[str, Any], key: str, where: str) -> str | None:
    value = said.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise ConfigError(f"serve.{key} in {where} is no text", hint="Write it in quotes.")
    return value


def _number(said: dict[str, Any], key: str, where: str, default: int) -> int:
    value = said.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"serve.{key} in {where} is {value!r}", hint="Write a whole number.")
    return value
