"""The sensor's cursor: one row a day and content in the table `arrivals`, each change of it one statement.

Several sensors may be at work: whoever comes second changes nothing, and is told so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import cast

from runner import database
from runner.arrivals import Arrival, Entry, Status

_NEWEST = """
    select distinct on (day)
        day, generation, fingerprint, status, seen_at, idempotency_key, flow_run_id, triggered_at
    from arrivals
    where pipeline = %s
    order by day, generation desc
"""
_SEE = """
    insert into arrivals as known (pipeline, day, generation, fingerprint, files, bytes, newest_file_at, status)
    values (%(pipeline)s, %(day)s, %(generation)s, %(fingerprint)s, %(files)s, %(bytes)s, %(newest)s, %(status)s)
    on conflict (pipeline, day, generation) do update
    set
        fingerprint = excluded.fingerprint, files = excluded.files, bytes = excluded.bytes,
        newest_file_at = excluded.newest_file_at, status = excluded.status, seen_at = clock_timestamp()
    -- What a run was asked for stays as it is.
    where known.status = 'seen' and (known.fingerprint, known.status) <> (excluded.fingerprint, excluded.status)
"""


def exists(connection: database.Connection) -> bool:
    """Tell whether there are such books: a database that was not migrated has none."""
    row = connection.execute("select to_regclass('arrivals') is not null").fetchone()
    return bool(row[0])


def newest(connection: database.Connection, pipeline: str) -> dict[str, Entry]:
    """Return day -> its newest generation."""
    found = connection.execute(_NEWEST, (pipeline,)).fetchall()
    return {
        day: Entry(generation, fingerprint, cast(Status, status), since, key, run, at)
        for day, generation, fingerprint, status, since, key, run, at in found
    }


def now(connection: database.Connection) -> datetime:
    """Return the time by the server's clock, which all sensors share."""
    row = connection.execute("select clock_timestamp()").fetchone()
    return cast(datetime, row[0])


def generation(entry: Entry | None) -> int:
    """Return the generation of a content that is not `entry`'s, or for which no run was asked yet."""
    return 1 if entry is None else entry.generation + (entry.status != "seen")


def times(connection: database.Connection, pipeline: str, day: str, fingerprint: str) -> int:
    """Return how many runs were asked for on account of this content."""
    row = connection.execute(
        "select count(*) from arrivals"
        " where pipeline = %s and day = %s and fingerprint = %s and idempotency_key is not null",
        (pipeline, day, fingerprint),
    ).fetchone()
    return int(row[0])


def see(
    connection: database.Connection, pipeline: str, arrival: Arrival, entry: Entry | None, status: Status = "seen"
) -> None:
    """Write down what lies there of a day; what a run was asked for stays as it is."""
    connection.execute(
        _SEE,
        {
            "pipeline": pipeline, "day": arrival.day, "generation": generation(entry),
            "fingerprint": arrival.fingerprint, "files": arrival.files, "bytes": arrival.bytes,
            "newest": arrival.newest, "status": status,
        },
    )  # fmt: skip


def intend(connection: database.Connection, pipeline: str, day: str, number: int, fingerprint: str, key: str) -> bool:
    """Commit that a run is about to be asked for with `key`; False where another sensor has done so, or looked later.

    `number` is the generation's.
    """
    done = connection.execute(
        "update arrivals set status = 'triggering', idempotency_key = %s"
        " where pipeline = %s and day = %s and generation = %s and fingerprint = %s and status = 'seen'",
        (key, pipeline, day, number, fingerprint),
    )
    return bool(done.rowcount)


def triggered(connection: database.Connection, pipeline: str, day: str, number: int, run: str | None) -> None:
    """Write down that the run of a generation was asked for; `run` is its id."""
    connection.execute(
        "update arrivals set status = 'triggered', triggered_at = clock_timestamp(), flow_run_id = %s"
        " where pipeline = %s and day = %s and generation = %s and status = 'triggering'",
        (run, pipeline, day, number),
    )


@contextmanager
def claimed(connection: database.Connection, pipeline: str, day: str, number: int) -> Iterator[bool]:
    """Have the row of an intended run for oneself, in a transaction; False where another sensor has it, or is done.

    The row is free again however this ends, by a kill as well.
    """
    with connection.transaction():
        database.set_local(connection, database.BRIEF)
        row = connection.execute(
            "select from arrivals where pipeline = %s and day = %s and generation = %s and status = 'triggering'"
            " for update skip locked",
            (pipeline, day, number),
        ).fetchone()
        yield row is not None
