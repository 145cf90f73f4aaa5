"""Small objects of a bucket come several at a time, before they are asked for: what takes long is the way there."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from staging_loaders.files import SourceFile, open_file

SMALL = 1 << 20
"""Bytes up to which an object is held whole; a larger one is read as a stream."""
_THREADS = 8
_AHEAD = 16


def fetched(files: Sequence[SourceFile]) -> Iterator[SourceFile]:
    """Yield the files in their order, small objects with their content; at most a few MB are held.

    Raises UnreadableFile for an object when its turn comes.
    """
    if sum(map(_is_small, files)) < 2:
        yield from files
        return
    coming = iter(files)
    waiting: deque[tuple[SourceFile, Future[bytes] | None]] = deque()
    threads = ThreadPoolExecutor(_THREADS, "ahead")
    try:
        while True:
            while len(waiting) < _AHEAD and (file := next(coming, None)) is not None:
                waiting.append((file, threads.submit(_content, file) if _is_small(file) else None))
            if not waiting:
                return
            file, content = waiting.popleft()
            yield file if content is None else replace(file, content=content.result())
    finally:
        threads.shutdown(cancel_futures=True)


def _is_small(file: SourceFile) -> bool:
    return file.access is not None and file.size <= SMALL


def _content(file: SourceFile) -> bytes:
    with open_file(file) as stream:
        return stream.read()
