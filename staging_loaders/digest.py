"""What identifies the content of files, computed by several threads: hashing leaves them free to run side by side."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from runner.errors import UnreadableFile

if TYPE_CHECKING:
    from staging_loaders.files import SourceFile

# A large file is hashed in blocks, so that threads share it; it is known by the digest of their digests.
BLOCK = 64 << 20
# A smaller file is hashed sooner than handed to a thread.
_ALONE = 1 << 20
_BUFFER = 1 << 18
_MOST_THREADS = 8


def digests(files: Sequence[SourceFile]) -> list[bytes]:
    """Return the SHA-256 digest of each file's content, of one above BLOCK bytes that of its blocks' digests.

    Of objects of a bucket, that of ETag and size: nothing is read.
    Raises UnreadableFile for a file that cannot be read.
    """
    if all(file.etag is not None for file in files):
        return [hashlib.sha256(f"{file.etag}\n{file.size}".encode()).digest() for file in files]
    if not any(file.size > _ALONE for file in files):
        return [_digest(file, 0) for file in files]
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1), "fingerprint") as threads:
        begun: list[list[Future[bytes]]] = [
            [threads.submit(_digest, file, start) for start in range(0, file.size, BLOCK)] if file.size > _ALONE else []
            for file in files
        ]
        try:
            return [
                _joined([future.result() for future in blocks]) if blocks else _digest(file, 0)
                for file, blocks in zip(files, begun, strict=True)
            ]
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _joined(blocks: list[bytes]) -> bytes:
    return blocks[0] if len(blocks) == 1 else hashlib.sha256(b"".join(blocks)).digest()


def _digest(file: SourceFile, start: int) -> bytes:
    """Return the digest of the block that begins at `start`."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(min(_BUFFER, file.size - start + 1)))
    left = BLOCK
    try:
        with open(file.path, "rb", buffering=0) as stream:
            stream.seek(start)
            while left > 0 and (count := stream.readinto(buffer[:left])):
                digest.update(buffer[:count])
                left -= count
    except OSError as error:
        raise UnreadableFile(f"{file.path}: {error.strerror}", hint="Look at its permissions.") from error
    return digest.digest()
