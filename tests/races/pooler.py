"""PgBouncer before a server, in transaction mode: sessions are lent for a transaction, and nothing of them lasts."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import conninfo

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


class Pooler:
    """A running PgBouncer; a context manager. `pool` is how many sessions of the server it lends, a database."""

    def __init__(self, server: str, *, pool: int = 20, **settings: str) -> None:
        self._server = conninfo.conninfo_to_dict(server)
        self._settings = {"default_pool_size": str(pool), "max_client_conn": "400", **settings}
        self._folder = Path(tempfile.mkdtemp(prefix="warehouse-pooler-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def url(self, database: str) -> str:
        """Return the URL of a database by way of the pooler."""
        return f"postgresql://{self._server['user']}@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> Pooler:
        assert PROGRAM is not None
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        file = self._folder / "pgbouncer.ini"
        file.write_text(self._configuration(), "utf-8")
        if os.geteuid() == 0:  # as which it refuses to run
            shutil.chown(file, "nobody")
            shutil.chown(self._folder, "nobody")
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen([PROGRAM, "-q", str(file)], stdin=subprocess.DEVNULL, stderr=log)
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _configuration(self) -> str:
        password = self._server.get("password") or _password(self._server)
        at = {key: self._server[key] for key in ("host", "port", "user") if self._server.get(key)}
        server = " ".join(f"{key}={value}" for key, value in {**at, "password": password}.items() if value)
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            **({"user": "nobody"} if os.geteuid() == 0 else {}),
            **self._settings,
        }
        lines = [f"{key} = {value}" for key, value in settings.items()]
        return "\n".join(["[databases]", f"* = {server}", "[pgbouncer]", *lines, ""])

    def _wait(self) -> None:
        """Return when it answers; it says that it knows no such user of its own, but then it is there."""
        assert self._process is not None
        for _ in range(500):
            try:
                psycopg.connect(self.url("pgbouncer"), connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if "Connection refused" not in str(error):
                    return
            else:
                return
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
                break
        raise AssertionError((self._folder / "log").read_text())


def _password(server: dict[str, object]) -> str | None:
    """Return what the password file of a connection string has for it."""
    file = server.get("passfile")
    return Path(str(file)).read_text("utf-8").splitlines()[0].rpartition(":")[2] if file else None
