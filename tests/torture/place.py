"""A server of a campaign's own, that may be killed, and a small disk that may be full."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from runner import cluster_owner, cluster_process, embedded
from runner.errors import DatabaseUnavailable

# Megabytes: a few databases, of which the filler leaves nothing.
_DISK = 160
# Seconds that a recovery may take.
_RECOVERED = 60.0


class Place:
    """An embedded server in `home`, started when it is first needed. A context manager, which removes it."""

    def __init__(self, home: Path, version: int = embedded.DEFAULT_VERSION) -> None:
        self._home = home
        self._version = version
        self._numbers = itertools.count(1)
        self._reviving = threading.Lock()
        self._disk: Path | None = None
        self.no_disk = ""
        self._url = ""

    def __enter__(self) -> Place:
        self._url = embedded.ensure_running(self._home, self._version)
        # Processes are killed here, no power is cut, so that nothing need be forced to the disk.
        for setting in ("fsync = off", "full_page_writes = off", "autovacuum_naptime = '1h'"):
            self._execute(f"alter system set {setting}")
        self._execute("select pg_reload_conf()")
        self._mount()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            embedded.reset(self._home, self._version)
        if self._disk is not None:
            subprocess.run(["umount", self._disk], check=False)
            self._disk.rmdir()

    def on(self, name: str) -> str:
        """Return the URL of the database `name`."""
        parts = urlsplit(self._url)
        return urlunsplit((parts.scheme, parts.netloc, f"/{name}", parts.query, ""))

    def create(self, template: str | None = None, *, full: bool = False) -> str:
        """Create a database, as a copy of `template` or empty, on the small disk where it is to become full."""
        name = f"torture_{next(self._numbers)}"
        space = "tablespace small" if full else ""
        self._execute(f'create database "{name}" template "{template or "template0"}" strategy file_copy {space}')
        return name

    def drop(self, name: str) -> None:
        self._execute(f'drop database if exists "{name}" with (force)')

    def stop(self, how: str) -> None:
        """Stop the server: `immediate`, or `kill` of its first process, after which its children go by themselves."""
        cluster = cluster_owner.find(self._home, self._version)
        if how == "immediate":
            cluster_process.stop(cluster, how)
        elif number := cluster_process.pid(cluster):
            os.kill(number, signal.SIGKILL)

    def revive(self) -> None:
        """Start the server again where it does not run, and wait until it lets us in."""
        with self._reviving:
            until = time.monotonic() + _RECOVERED
            while True:
                try:
                    embedded.ensure_running(self._home, self._version)
                    self._execute("select")
                    return
                except (psycopg.OperationalError, DatabaseUnavailable):
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.05)

    def fill(self) -> None:
        """Fill the small disk to the last byte."""
        assert self._disk is not None, self.no_disk
        with suppress(OSError), (self._disk / "filler").open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def empty(self) -> None:
        if self._disk is not None:
            (self._disk / "filler").unlink(missing_ok=True)

    def _mount(self) -> None:
        """Make a small disk; where only root may, and we are not, `no_disk` says so."""
        if os.geteuid() != 0:
            self.no_disk = "a small disk can be mounted by root only"
            return
        cluster = cluster_owner.find(self._home, self._version)
        disk = cluster.base.parent / f"{cluster.base.name}-disk"
        disk.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_DISK}m", "tmpfs", disk], capture_output=True, text=True, check=False
        )
        if done.returncode:
            disk.rmdir()
            self.no_disk = f"a small disk cannot be mounted: {done.stderr.strip()}"
            return
        self._disk = disk
        folder = disk / "space"
        folder.mkdir()
        for path in (disk, folder):
            if cluster.account is not None:
                shutil.chown(path, cluster.account.uid)
        self._execute(f"create tablespace small location '{folder}'")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement.encode())
