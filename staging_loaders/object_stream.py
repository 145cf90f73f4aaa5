"""An object of a bucket as a file: read in ranges, resumed where a connection breaks, never another version of it."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from runner.errors import UnreadableFile
from staging_loaders import s3, s3_faults

if TYPE_CHECKING:
    from staging_loaders.files import SourceFile

WINDOW = 16 << 20
"""Bytes that are asked for at a time: they stream in as they are read, and are held nowhere."""
_BUFFER = 1 << 20
# So much is read and thrown away sooner than asked for anew.
_SKIPPED = 1 << 16
_ATTEMPTS = 6
_FIRST_PAUSE = 0.05


def open_object(file: SourceFile) -> io.BufferedReader:
    """Return the object's bytes as a file; see `ObjectStream`."""
    return io.BufferedReader(ObjectStream(file), _BUFFER)


class ObjectStream(io.RawIOBase):
    """The bytes of an object as it was when it was listed, which each request insists on (`If-Match`).

    A read returns as much as was asked for, but at the end. A connection that breaks is resumed at its
    offset, a few times without any progress. Raises UnreadableFile, transient for a changed or vanished
    object and for a store that does not answer any more.
    """

    def __init__(self, file: SourceFile, *, window: int = WINDOW, pause: Callable[[float], None] = time.sleep) -> None:
        assert file.access is not None
        self._file = file
        self._access = file.access
        self._bucket, self._key = s3.split_address(file.path)
        self._window = window
        self._pause = pause
        self._at = 0
        self._body: Any = None
        self._body_at = 0
        self._body_end = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere; nothing is asked for before the next read."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._file.size - self._at))
        with s3_faults.reading(self._file.path, self._access):
            done = 0
            while done < wanted:
                piece = self._some(wanted - done)
                view[done : done + len(piece)] = piece
                done += len(piece)
        return done

    def readall(self) -> bytes:
        """Return what is left: in one piece, and never held twice."""
        whole = io.BytesIO()
        with s3_faults.reading(self._file.path, self._access):
            while self._at < self._file.size:
                whole.write(self._some(_BUFFER))
        return whole.getvalue()

    def close(self) -> None:
        self._leave()
        super().close()

    def _some(self, most: int) -> bytes:
        """Return some of the bytes from here on, at least one and `most` at most."""
        failed = 0
        while True:
            try:
                if not self._reach():
                    self._ask(most)
                piece: bytes = self._body.read(min(most, self._body_end - self._at))
                if not piece:
                    raise OSError("the connection was closed before the end")
            except Exception as error:
                self._leave()
                failed += 1
                if failed == _ATTEMPTS or not s3_faults.is_broken(error):
                    raise
                self._pause(_FIRST_PAUSE * 2**failed * random.uniform(0.5, 1))
                continue
            self._at = self._body_at = self._at + len(piece)
            if self._body_at == self._body_end:
                self._leave()
            return piece

    def _reach(self) -> bool:
        """Tell whether what is coming in stands at our place, or can be brought there by reading a little."""
        ahead = self._at - self._body_at
        if self._body is None or not 0 <= ahead <= _SKIPPED or self._at >= self._body_end:
            return False
        while ahead:
            skipped = self._body.read(ahead)
            if not skipped:
                return False
            ahead -= len(skipped)
            self._body_at += len(skipped)
        return True

    def _ask(self, least: int) -> None:
        """Ask for the bytes from here on, a window of them or `least`."""
        self._leave()
        start = self._at
        stop = min(self._file.size, start + max(least, self._window))
        whole = start == 0 and stop == self._file.size
        part = {} if whole else {"Range": f"bytes={start}-{stop - 1}"}
        response = s3.client(self._access).get_object(
            Bucket=self._bucket, Key=self._key, IfMatch=self._file.etag, **part
        )
        self._body, self._body_at, self._body_end = response["Body"], start, stop
        # For stores that overlook what they do not know.
        if response.get("ETag", self._file.etag) != self._file.etag:
            problem, passing = "the object changed while it was read", True
        elif response.get("ContentLength") != stop - start:
            problem, passing = "the store does not answer with the range that it was asked for", False
        else:
            return
        self._leave()
        raise UnreadableFile(f"{self._file.path}: {problem}", hint="Nothing was changed; try again.", transient=passing)

    def _leave(self) -> None:
        """Let go of the connection; one with bytes still to come is closed."""
        body, self._body = self._body, None
        if body is not None:
            body.close()
