"""What others on the machine can see of a command while it runs: command lines, environments, files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_SECONDS = 0.05


class Watch:
    """A context manager that looks for `secrets` in all command lines, and in the environments below process `root`.

    `found` says where one was seen; `seen` are the programs below `root`, by their command lines.
    """

    def __init__(self, root: int, secrets: tuple[str, ...]) -> None:
        self.found: set[str] = set()
        self.seen: set[str] = set()
        self._root = root
        self._secrets = [secret.encode() for secret in secrets]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_SECONDS):
            parents = dict(_parents())
            for pid in parents:
                command = _read(pid, "cmdline")
                if self._holds(command):
                    self.found.add(f"command line: {command!r}")
                if pid != self._root and self._is_below(pid, parents):
                    self.seen.add(command.replace(b"\0", b" ").decode(errors="replace"))
                    if self._holds(_read(pid, "environ")):
                        self.found.add(f"environment of {command!r}")

    def _holds(self, content: bytes) -> bool:
        return any(secret in content for secret in self._secrets)

    def _is_below(self, pid: int, parents: dict[int, int]) -> bool:
        while pid in parents:
            if pid == self._root:
                return True
            pid = parents[pid]
        return False


def files_with(folder: Path, secrets: tuple[str, ...]) -> list[str]:
    """Return the files below `folder` that hold one of `secrets`."""
    wanted = [secret.encode() for secret in secrets]
    found = []
    for path in folder.rglob("*"):
        content = b""
        with suppress(OSError):  # a folder, a socket, or gone since
            content = path.read_bytes() if path.is_file() else b""
        if any(secret in content for secret in wanted):
            found.append(str(path.relative_to(folder)))
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                yield int(folder.name), int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])


def _read(pid: int, name: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""
