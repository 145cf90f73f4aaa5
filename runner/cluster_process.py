"""A cluster's server as a process: whether it runs and is ready, how it starts and stops, what it logs.

Imported on every command, so what is slow to import waits until it is needed.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from runner import cluster as places
from runner.cluster import Cluster
from runner.errors import DatabaseUnavailable
from runner.process import is_alive

START_SECONDS = 120

_STOP_SECONDS = 60
_LOG_LIMIT = 16 * 1024 * 1024
# More than any system gives to a process.
_NOBODY = 2**31 - 2


def ready(cluster: Cluster) -> bool:
    """Tell whether the server accepts connections, without starting a process or a session."""
    import socket
    import stat

    try:
        # Line 8 is `ready   ` once recovery is over; the socket opens before that. And a child that was being born when
        # the server was killed still holds the socket for a moment.
        lines = _pid_lines(cluster)
        if lines[7].strip() != "ready" or not is_alive(int(lines[0])):
            return False
        folder = cluster.socket_dir.lstat()
        owner = cluster.account.uid if cluster.account else os.geteuid()
        if folder.st_uid != owner or folder.st_mode & 0o077 or not stat.S_ISDIR(folder.st_mode):
            return False  # somebody else's server could be behind it
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            probe.connect(str(cluster.socket))
    except BlockingIOError:
        return True  # too many are connecting at this moment
    except (OSError, IndexError, ValueError):
        return False
    return True


def wait_for_start(cluster: Cluster) -> bool:
    """Tell whether the server is or becomes ready: one that was left starting is waited for.

    Raises:
        DatabaseUnavailable: it takes too long.
    """
    until = time.monotonic() + START_SECONDS
    while not ready(cluster):
        lines = _pid_lines(cluster)
        lost = len(lines) > 7 and lines[7].strip() == "ready"
        if lost or not pid(cluster):
            return False
        if time.monotonic() > until:
            raise DatabaseUnavailable(
                f"the embedded PostgreSQL {cluster.version} has been starting or stopping for {START_SECONDS} s",
                hint=f"Wait and try again; its log, {cluster.log}, tells how far it is.",
            )
        time.sleep(0.05)
    return True


def start(cluster: Cluster) -> None:
    """Start the server and wait until it is ready; it outlives this process.

    Raises:
        DatabaseUnavailable: it does not start; the message has the end of its log.
    """
    from runner import cluster_setup

    _disown(cluster)
    log_start = cluster.log.stat().st_size if cluster.log.exists() else 0
    options = ["start", "-w", "-s", "-t", str(START_SECONDS)]
    program = cluster_setup.programs(cluster) / "pg_ctl"
    command: list[str | Path] = [program, *options, "-D", cluster.data, "-l", cluster.log]
    until = time.monotonic() + 20
    while True:
        done = cluster_setup.run(cluster.account, command)
        if done.returncode == 0:
            return
        said = said_since(cluster, log_start) or done.stdout
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


def stop(cluster: Cluster, mode: str = "fast") -> bool:
    """Stop the server, ending all sessions; return whether it ran.

    `mode` is pg_ctl's: `fast` writes everything down first, `immediate` leaves that to a recovery.

    Raises:
        DatabaseUnavailable: it does not stop.
    """
    from runner import cluster_setup

    if not pid(cluster):
        return False
    options = ["stop", "-w", "-s", "-m", mode, "-t", str(_STOP_SECONDS)]
    command: list[str | Path] = [cluster_setup.programs(cluster) / "pg_ctl", *options, "-D", cluster.data]
    done = cluster_setup.run(cluster.account, command)
    if done.returncode and pid(cluster):
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL {cluster.version} does not stop: {done.stdout.strip()}",
            hint=f"Its log is {cluster.log}.",
        )
    return True


def bound_log(cluster: Cluster) -> None:
    """Move a large log aside; the server appends, so that it goes on in the emptied file."""
    with contextlib.suppress(OSError):
        if cluster.log.stat().st_size > _LOG_LIMIT:
            import shutil

            shutil.copyfile(cluster.log, cluster.log.with_suffix(".log.1"))
            os.truncate(cluster.log, 0)


def said_since(cluster: Cluster, start: int) -> str:
    """Return what the log says from byte `start` on, at most the last 64 kB."""
    try:
        with cluster.log.open("rb") as file:
            file.seek(max(start, cluster.log.stat().st_size - 65536))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def pid(cluster: Cluster) -> int | None:
    """Return the process of the server, None where the one its file names is not it."""
    try:
        number, data = _pid_lines(cluster)[:2]
        if _serves(int(number), data, cluster):
            return int(number)
    except (ValueError, OSError):
        pass
    return None


def _serves(number: int, data: str, cluster: Cluster) -> bool:
    """Tell whether a process is the server that wrote `data` into its pid file as its folder.

    Another server may have the number by now; it must never be signalled.
    """
    command = _command(number)
    with contextlib.suppress(OSError):
        # It works in its data, and follows it when the project is moved.
        if "postgres" in command and Path(f"/proc/{number}/cwd").samefile(cluster.data):
            return True
    return data in command and Path(data).samefile(cluster.data)


def _disown(cluster: Cluster) -> None:
    """Make lock files name nobody where they name a process that is not the server.

    PostgreSQL refuses to start where a new process happens to have a killed server's number,
    which is likely in containers. The files stay: in them it also finds the shared memory
    that tells whether children of the killed server still write.
    """
    if pid(cluster):
        return
    for path in (cluster.data / "postmaster.pid", cluster.socket.with_name(f"{cluster.socket.name}.lock")):
        with contextlib.suppress(OSError):
            _, _, rest = path.read_text(encoding="utf-8").partition("\n")
            places.write_private(path, f"{_NOBODY}\n{rest}")


def _pid_lines(cluster: Cluster) -> list[str]:
    try:
        return (cluster.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []


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
