"""What the database knows of backfills: which days were asked for, and how each of them ended."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from runner import database
from runner.backfill import Request
from runner.project import Pipeline

Status = Literal["done", "failed", "held"]

_COLUMNS = "id, first_day, last_day, days, chunk_mode, started_at, finished_at"


@dataclass(frozen=True)
class Backfill:
    """One backfill; `finished_at` is None for one that runs, or was stopped."""

    id: str
    request: Request
    started_at: datetime
    finished_at: datetime | None


def begin(connection: database.Connection, pipeline: str, id: str, request: Request) -> None:
    """Write down a backfill that begins."""
    connection.execute(
        "insert into runner_backfills (id, pipeline, first_day, last_day, days, chunk_mode)"
        " values (%s, %s, %s, %s, %s, %s)",
        (id, pipeline, request.start, request.end, list(request.days), request.mode),
    )


def is_known(connection: database.Connection, id: str) -> bool:
    """Tell whether a backfill of that id was begun."""
    return connection.execute("select from runner_backfills where id = %s", (id,)).fetchone() is not None


def newest(connection: database.Connection, pipeline: str, request: Request | None) -> Backfill | None:
    """Return the newest backfill of the same days, in whatever chunks; without a request the newest of all."""
    same = "first_day is not distinct from %(start)s and last_day is not distinct from %(end)s and days = %(days)s"
    row = connection.execute(
        f"select {_COLUMNS} from runner_backfills where pipeline = %(pipeline)s"
        f"{f' and {same}' if request is not None else ''} order by started_at desc limit 1",
        {
            "pipeline": pipeline,
            "start": request.start if request else None,
            "end": request.end if request else None,
            "days": list(request.days) if request else [],
        },
    ).fetchone()
    if row is None:
        return None
    id, start, end, days, mode, started_at, finished_at = row
    return Backfill(id, Request(start, end, tuple(days), mode), started_at, finished_at)


def done(connection: database.Connection, id: str, steps: str) -> set[str]:
    """Return the days that a backfill has done, with those steps."""
    rows = connection.execute(
        "select day from runner_backfill_days where backfill = %s and status = 'done' and steps = %s", (id, steps)
    )
    return {day for (day,) in rows}


def record(
    connection: database.Connection,
    id: str,
    day: str,
    status: Status,
    flow_run_id: str,
    steps: str,
    seconds: float,
    message: str | None = None,
) -> None:
    """Write down how a day ended."""
    connection.execute(
        "insert into runner_backfill_days as known (backfill, day, status, flow_run_id, steps, error_message, seconds)"
        " values (%s, %s, %s, %s, %s, %s, %s) on conflict (backfill, day) do update"
        " set status = excluded.status, flow_run_id = excluded.flow_run_id, steps = excluded.steps,"
        " error_message = excluded.error_message, seconds = excluded.seconds, finished_at = clock_timestamp()",
        (id, day, status, flow_run_id, steps, message, round(seconds, 6)),
    )


def finish(connection: database.Connection, id: str) -> None:
    """Write down that a backfill came to its end, whatever became of its days."""
    connection.execute("update runner_backfills set finished_at = clock_timestamp() where id = %s", (id,))


def checksum(pipeline: Pipeline) -> str:
    """Return a checksum of all steps, checks and checkpoints of a pipeline."""
    files = [*pipeline.steps, *(check.file for check in (*pipeline.checks, *pipeline.checkpoints))]
    lines = "".join(f"{file.id} {file.checksum}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()
