"""The source files of a day: where they are, which count, what identifies their content."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from runner.errors import ConfigError, UnreadableFile
from staging_loaders.digest import digests
from staging_loaders.entity import Entity

# Part of every fingerprint: a change of what the loader makes of the same files raises it.
LOADER_VERSION = "3"


@dataclass(frozen=True)
class SourceFile:
    """A file of an entity; `name` is its path below the entity's folder, which is what orders files.

    `modified` is nanoseconds since the epoch, 0 where nobody looked.
    """

    path: str
    name: str
    size: int
    modified: int = 0


def has_changed(file: SourceFile) -> bool:
    """Tell whether a file is another one than when it was found."""
    try:
        status = os.stat(file.path)
    except OSError:
        return True
    return (status.st_size, status.st_mtime_ns) != (file.size, file.modified)


def local_base(base: str) -> Path:
    """Return the folder of the days; ConfigError for what is no local folder."""
    if "://" in base and not base.startswith("file://"):
        raise ConfigError(
            f"{base}: only local folders can be read for now",
            hint="Copy the days to a local folder and name it with --data or DATA_BASE_PATH.",
        )
    return Path(base.removeprefix("file://"))


def find_files(folder: Path) -> tuple[SourceFile, ...]:
    """Return the data files below `folder`, in file order; none where there is no such folder.

    Names starting with `.` or `_` are ignored, files and folders alike. Links are followed, but for
    those to a folder that they are in themselves. Raises UnreadableFile for a folder or file that
    cannot be looked at.
    """
    found: list[SourceFile] = []
    try:
        if folder.is_dir():
            _collect(str(folder), "", (os.path.realpath(folder),), found)
    except OSError as error:
        raise UnreadableFile(
            f"{error.filename or folder}: {error.strerror}",
            hint="Look at its permissions, or whether it is still there.",
        ) from error
    return tuple(sorted(found, key=lambda file: file.name))


def _collect(folder: str, prefix: str, above: tuple[str, ...], found: list[SourceFile]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith((".", "_")):
                continue
            status = entry.stat()
            if stat.S_ISDIR(status.st_mode):
                real = os.path.realpath(entry.path)
                # Such a link would never end, and on its way bring the files of other entities.
                if not any(Path(folder_above).is_relative_to(real) for folder_above in above):
                    _collect(entry.path, f"{prefix}{entry.name}/", (*above, real), found)
            elif stat.S_ISREG(status.st_mode):
                name = _readable(prefix + entry.name)
                found.append(SourceFile(entry.path, name, status.st_size, status.st_mtime_ns))
            else:
                raise UnreadableFile(f"{entry.path}: not a regular file", hint="Move it out of the day's folder.")


def _readable(name: str) -> str:
    """Return a file's name as text; bytes that are no UTF-8 as `\\xff`, so that two names stay two."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def fingerprint(entity: Entity, files: tuple[SourceFile, ...]) -> str:
    """Return what identifies a load: the files' names and content, the declaration and the loader's version."""
    total = hashlib.sha256(f"{LOADER_VERSION}\n{entity.name}\n{entity.text}".encode())
    for file, content in zip(files, digests(files), strict=True):
        # Lengths first, so that no two lists of files can be told apart only by where a name ends.
        name = file.name.encode()
        total.update(len(name).to_bytes(8, "big") + name + content)
    return total.hexdigest()
