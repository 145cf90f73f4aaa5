"""Where days lie: a folder of this machine, or a prefix of a bucket. What a load asks of either is the same."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from runner.errors import ConfigError
from staging_loaders import s3
from staging_loaders.bucket import Bucket
from staging_loaders.files import SourceFile, find_files
from staging_loaders.s3 import Access


class Store(Protocol):
    """The folders below a base; names are those of folders, each in the one before."""

    def where(self, *names: str) -> str:
        """Return the folder's path or address, as people know it."""

    def exists(self) -> bool:
        """Tell whether the base is there."""

    def has(self, name: str) -> bool:
        """Tell whether the base has such a folder."""

    def folders(self, *names: str, beginning: str = "") -> list[str]:
        """Return the names of the folders in a folder, in their order, that begin so."""

    def files(self, *names: str) -> tuple[SourceFile, ...]:
        """Return the data files below a folder, in file order; none where there is no such folder (see find_files)."""

    def below(self, beginning: str, names: Collection[str]) -> Iterator[tuple[str, str, SourceFile]]:
        """Yield the data files of all folders that begin so, in any order, each with two names: folder and entry.

        Entries are what lies in such a folder under one of these `names`: folders, and files, which are yielded
        without a name of their own.
        """


class Folder:
    """The days in a folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def where(self, *names: str) -> str:
        return str(self._path.joinpath(*names))

    def exists(self) -> bool:
        return self._path.is_dir()

    def has(self, name: str) -> bool:
        return (self._path / name).is_dir()

    def folders(self, *names: str, beginning: str = "") -> list[str]:
        entries = self._path.joinpath(*names).iterdir()
        return sorted(entry.name for entry in entries if entry.name.startswith(beginning) and entry.is_dir())

    def files(self, *names: str) -> tuple[SourceFile, ...]:
        return find_files(self._path.joinpath(*names))

    def below(self, beginning: str, names: Collection[str]) -> Iterator[tuple[str, str, SourceFile]]:
        for folder in self.folders(beginning=beginning):
            for name in sorted(names):
                path = self._path / folder / name
                with suppress(OSError):
                    status = path.stat()
                    if stat.S_ISREG(status.st_mode):
                        yield folder, name, SourceFile(str(path), "", status.st_size, status.st_mtime_ns)
                        continue
                for file in find_files(path):
                    yield folder, name, file


def open_store(base: str, access: Access | None = None) -> Store:
    """Return the store at a path, `file://…`, `s3://…` or `s3a://…`; nothing is looked at before it is asked.

    `access` says how a bucket is reached. Raises ConfigError for another kind of address.
    """
    if s3.is_address(base):
        return Bucket(base, access)
    if "://" in base and not base.startswith("file://"):
        scheme, _, rest = base.partition("://")
        raise ConfigError(
            f"{scheme}://{rest.rpartition('@')[2]}: days are read from folders, s3:// and s3a://, not from {scheme}://",
            hint="Copy them to one of these, and name it with --data or DATA_BASE_PATH.",
        )
    return Folder(Path(base.removeprefix("file://")))


def as_store(base: str | Store) -> Store:
    """Return the store that is given, or the one at a path or address."""
    return open_store(base) if isinstance(base, str) else base
