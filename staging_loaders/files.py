"""The source files of a day: where they are, which count, how they are opened, what identifies their content."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import UnreadableFile
from staging_loaders.digest import digests
from staging_loaders.entity import Entity

if TYPE_CHECKING:
    from staging_loaders.s3 import Access

# Part of every fingerprint: a change of what the loader makes of the same files raises it.
LOADER_VERSION = "4"

# What the kernel shows here as files is none of the day's: one may never end, or keep whoever reads it waiting.
_KERNEL = (Path("/proc"), Path("/sys"))


@dataclass(frozen=True)
class SourceFile:
    """A file of an entity; `name` is its path below the entity's folder, which is what orders files.

    `path` is its address, where it is an object of a bucket. `modified` is nanoseconds since the epoch,
    0 where nobody looked.
    """

    path: str
    name: str
    size: int
    modified: int = 0
    etag: str | None = None
    """What S3 says of an object's content: another content, another ETag."""
    access: Access | None = None
    """How the bucket is reached; None for a file of this machine."""
    content: bytes | None = field(default=None, repr=False, compare=False)
    """All of the object, where it was fetched already."""


def open_file(file: SourceFile | str) -> io.BufferedReader:
    """Open a file for reading; a bare path is one of this machine.

    Raises OSError; of an object, UnreadableFile, also while it is read (see ObjectStream).
    """
    if isinstance(file, str) or file.access is None:
        return open(file if isinstance(file, str) else file.path, "rb")
    if file.content is not None:
        # As raw bytes, which a reader of files takes.
        return io.BufferedReader(io.BytesIO(file.content))
    from staging_loaders.object_stream import open_object

    return open_object(file)


def has_changed(file: SourceFile) -> bool:
    """Tell whether a file is another one than when it was found; of an object, each request has asked that already."""
    if file.access is not None:
        return False
    try:
        status = os.stat(file.path)
    except OSError:
        return True
    return (status.st_size, status.st_mtime_ns) != (file.size, file.modified)


def find_files(folder: Path) -> tuple[SourceFile, ...]:
    """Return the data files below `folder`, in file order; none where there is no such folder.

    Names starting with `.` or `_` are ignored, files and folders alike. Links are followed, but for
    those to a folder that they are in themselves. Raises UnreadableFile for a folder or file that
    cannot be looked at, and for what is no file on a disk.
    """
    found: list[SourceFile] = []
    try:
        if folder.is_dir():
            _collect(str(folder), "", (_real(str(folder)),), found)
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
                real = _real(entry.path)
                # Such a link would never end, and on its way bring the files of other entities.
                if not any(Path(folder_above).is_relative_to(real) for folder_above in above):
                    _collect(entry.path, f"{prefix}{entry.name}/", (*above, real), found)
            elif stat.S_ISREG(status.st_mode):
                if entry.is_symlink():
                    _real(entry.path)
                name = _readable(prefix + entry.name)
                found.append(SourceFile(entry.path, name, status.st_size, status.st_mtime_ns))
            else:
                raise UnreadableFile(f"{entry.path}: not a regular file", hint="Move it out of the day's folder.")


def _real(path: str) -> str:
    """Return where a file or folder lies once its links are followed; UnreadableFile for one of the kernel's."""
    real = os.path.realpath(path)
    if any(Path(real).is_relative_to(folder) for folder in _KERNEL):
        raise UnreadableFile(
            f"{path}: not a regular file (it leads to {real})", hint="Move it out of the day's folder."
        )
    return real


def _readable(name: str) -> str:
    """Return a file's name as text; bytes that are no UTF-8 as `\\xff`, so that two names stay two."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def fingerprint(entity: Entity, files: tuple[SourceFile, ...]) -> str:
    """Return what identifies a load: the files' names and content, the declaration and the loader's version.

    An object is not read for that: its ETag and size stand for its content.
    """
    total = hashlib.sha256(f"{LOADER_VERSION}\n{entity.name}\n{entity.text}".encode())
    for file, content in zip(files, digests(files), strict=True):
        # Lengths first, so that no two lists of files can be told apart only by where a name ends.
        name = file.name.encode()
        total.update(len(name).to_bytes(8, "big") + name + content)
    return total.hexdigest()
