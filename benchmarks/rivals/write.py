"""Writing alone: COPY of rows that are ready, in pieces, as the workers of this project send them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from mmap import ACCESS_READ, mmap
from multiprocessing import Barrier, Process
from multiprocessing.synchronize import Barrier as BarrierType
from struct import Struct
from typing import IO

from benchmarks.rivals.given import done, given, ready

# As many characters or bytes as staging_loaders/lines.py sends at a time.
_PIECE = 4_000_000
_HEADER, _TRAILER = 19, b"\xff\xff"


def main() -> None:
    """Copy `files` of the format `form` into `table`, all at once, each by a process and a connection of its own."""
    asked = given()
    statement = f"copy {asked['table']} ({asked['columns']}) from stdin (format {asked['form']})"
    pieces = _rows if asked["form"] == "binary" else _lines
    barrier = Barrier(len(asked["files"]) + 1)
    workers = [Process(target=_copy, args=(asked["url"], statement, file, pieces, barrier)) for file in asked["files"]]
    for worker in workers:
        worker.start()
    barrier.wait()
    ready()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a worker failed")
    done()


Pieces = Callable[[IO[bytes]], Iterator[bytes]]


def _copy(url: str, statement: str, file: str, pieces: Pieces, barrier: BarrierType) -> None:
    import psycopg

    with psycopg.connect(url) as connection, open(file, "rb") as rows:
        found = pieces(rows)
        next(found)
        barrier.wait()
        for piece in found:
            with connection.cursor().copy(statement.encode()) as copy:
                copy.write(piece)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield nothing when ready, then the pieces of a file of text."""
    yield b""
    while piece := file.read(_PIECE):
        yield piece + file.readline()


def _rows(file: IO[bytes]) -> Iterator[bytes]:
    """Yield nothing when ready, then the pieces of a binary file, each with what such a file begins and ends with."""
    ends = []
    with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        fields, size = Struct(">h").unpack_from, Struct(">i").unpack_from
        at = start = _HEADER
        while (count := fields(data, at)[0]) >= 0:
            at += 2
            for _ in range(count):
                at += 4 + max(0, size(data, at)[0])
            if at - start > _PIECE:
                ends.append(at)
                start = at
        ends.append(at)
    yield b""
    header = file.read(_HEADER)
    at = _HEADER
    for end in ends:
        yield header + file.read(end - at) + _TRAILER
        at = end


if __name__ == "__main__":
    main()
