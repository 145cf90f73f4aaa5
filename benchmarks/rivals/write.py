"""Writing alone: COPY of lines that are ready, in pieces, as the workers of this project send them."""

from __future__ import annotations

from multiprocessing import Barrier, Process
from multiprocessing.synchronize import Barrier as BarrierType

from benchmarks.rivals.given import done, given, ready

# As many characters as staging_loaders/lines.py sends at a time.
_PIECE = 4_000_000


def main() -> None:
    """Copy `files` into `table`, all at once, each by a process and a connection of its own."""
    asked = given()
    statement = f"copy {asked['table']} ({asked['columns']}) from stdin"
    barrier = Barrier(len(asked["files"]) + 1)
    workers = [Process(target=_copy, args=(asked["url"], statement, file, barrier)) for file in asked["files"]]
    for worker in workers:
        worker.start()
    barrier.wait()
    ready()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a worker failed")
    done()


def _copy(url: str, statement: str, file: str, barrier: BarrierType) -> None:
    import psycopg

    with psycopg.connect(url) as connection, open(file, "rb") as lines:
        barrier.wait()
        while piece := lines.read(_PIECE):
            with connection.cursor().copy(statement.encode()) as copy:
                copy.write(piece + lines.readline())


if __name__ == "__main__":
    main()
