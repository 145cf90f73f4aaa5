"""What checks found, as check_results keeps it: written by the step runner, read for people and machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from runner import database, days
from runner.checks import CheckResult

COLUMNS = (
    "day", "step", "check_name", "severity", "status", "rows_failed", "sample", "seconds", "checked_at", "attempt",
    "flow_run_id",
)  # fmt: skip


# The newest run of each day and step that says something about the rows that are there; of checkpoints, too.
_NEWEST = """
    with newest_steps as (

        select distinct on (day, step) day, step, flow_run_id, attempt
        from pipeline_metrics as metrics
        where pipeline = %(pipeline)s
            and step is not null
            and (%(day)s::text is null or day = %(day)s)
            -- A run that failed for another reason says nothing about the rows that are there.
            and (
                status <> 'failure'
                or exists (

                    select from check_results as failed
                    where failed.pipeline = %(pipeline)s
                        and (failed.day, failed.step, failed.flow_run_id, failed.attempt)
                            = (metrics.day, metrics.step, metrics.flow_run_id, metrics.attempt)

                )
            )
        order by day, step, id desc

    ),

    -- Checkpoints are of no step: those of the newest run of a day that came to them.
    newest_checkpoints as (

        select distinct on (day) day, step, flow_run_id, attempt
        from check_results
        where pipeline = %(pipeline)s
            and step = 'checkpoints'
            and (%(day)s::text is null or day = %(day)s)
        order by day, id desc

    ),

    newest as (

        select * from newest_steps
        union all
        select * from newest_checkpoints

    )
"""


def record(connection: database.Connection, results: Sequence[CheckResult], local: Mapping[str, str]) -> None:
    """Write results, in the transaction at hand; `local` are the settings of the step's own."""
    for result in results:
        connection.execute(
            "insert into check_results (pipeline, step, check_name, severity, flow_run_id, day, attempt, status,"
            " rows_failed, sample, seconds) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                local["app.pipeline"],
                local["app.step"],
                result.check,
                result.severity,
                local["app.flow_run_id"],
                local["app.day"],
                int(local["app.attempt"]),
                result.status,
                result.rows_failed,
                json.dumps(result.sample, default=_number),
                result.seconds,
            ),
        )


def latest(
    connection: database.Connection, pipeline: str, day: str | None = None, status: str | None = None
) -> list[dict[str, Any]]:
    """Return column -> value of what the checks of each day and step found last, by days and names.

    Where a `status` is given, of those that ended so.

    None for a step that was skipped last, or that had no checks then. A database that no runner
    with checks has migrated has none at all.
    """
    (exists,) = connection.execute("select to_regclass('check_results') is not null").fetchone()
    if not exists:
        return []
    found = connection.execute(
        f"""
        {_NEWEST}
        select {", ".join(COLUMNS)}
        from check_results
        inner join newest using (day, step, flow_run_id, attempt)
        where pipeline = %(pipeline)s and (%(status)s::text is null or status = %(status)s)
        order by check_name
        """,
        {"pipeline": pipeline, "day": day, "status": status},
    ).fetchall()
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in found]
    # SQL does not know the natural order of days.
    return sorted(rows, key=lambda row: days.order(row["day"]))


def summary(connection: database.Connection, pipeline: str) -> list[dict[str, Any]]:
    """Return a row a check, by names: its days by how they ended last, and the newest of those with findings.

    Keys: step, check_name, severity; passed, warned, failed: numbers of days; and of the day whose finding is newest
    day, rows_failed and sample, all None where no day has any.
    """
    (exists,) = connection.execute("select to_regclass('check_results') is not null").fetchone()
    if not exists:
        return []
    cursor = connection.execute(
        f"""
        {_NEWEST},

        results as (

            select
                check_results.*,
                row_number() over (
                    partition by step, check_name order by status = 'passed', checked_at desc, day desc
                ) as place
            from check_results
            inner join newest using (day, step, flow_run_id, attempt)
            where pipeline = %(pipeline)s

        )

        select
            step,
            check_name,
            max(severity) filter (where place = 1) as severity,
            count(*) filter (where status = 'passed') as passed,
            count(*) filter (where status = 'warned') as warned,
            count(*) filter (where status = 'failed') as failed,
            max(day) filter (where place = 1 and status <> 'passed') as day,
            max(rows_failed) filter (where place = 1 and status <> 'passed') as rows_failed,
            (array_agg(sample) filter (where place = 1 and status <> 'passed'))[1] as sample
        from results
        group by step, check_name
        order by check_name, step
        """,
        {"pipeline": pipeline, "day": None},
    )
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def checkpoints(connection: database.Connection, pipeline: str) -> dict[str, dict[str, int]]:
    """Return day -> how many checkpoints of the newest run that came to them `passed`, `warned` and `failed`."""
    (exists,) = connection.execute("select to_regclass('check_results') is not null").fetchone()
    if not exists:
        return {}
    rows = connection.execute(
        f"""
        {_NEWEST}
        select
            day,
            count(*) filter (where status = 'passed'),
            count(*) filter (where status = 'warned'),
            count(*) filter (where status = 'failed')
        from check_results
        inner join newest_checkpoints using (day, step, flow_run_id, attempt)
        where pipeline = %(pipeline)s
        group by day
        """,
        {"pipeline": pipeline, "day": None},
    )
    return {day: dict(zip(("passed", "warned", "failed"), counts, strict=True)) for day, *counts in rows}


def _number(value: Decimal) -> float | str:
    """Return a number that JSON keeps exactly, else its digits."""
    return float(value) if Decimal(repr(float(value))) == value else str(value)
