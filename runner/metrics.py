"""What pipeline_metrics and the staging books say, read for people and machines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runner import database, days

COLUMNS = (
    "flow_run_id", "task_name", "pipeline_name", "table_name", "day", "attempt", "rows_inserted", "rows_updated",
    "rows_deleted", "rows_affected", "status", "error_message", "started_at", "finished_at", "duration_seconds",
)  # fmt: skip


@dataclass(frozen=True)
class StepState:
    """The newest metrics row of a day and step, and its newest one that is no failure."""

    status: str
    finished_at: datetime
    done_at: datetime | None
    error_message: str | None


def nothing_yet(connection: database.Connection) -> bool:
    """Tell whether the runner was never at work in this database."""
    row = connection.execute("select to_regclass('pipeline_metrics') is null").fetchone()
    return bool(row[0])


def rows(
    connection: database.Connection,
    pipeline: str,
    *,
    day: str | None = None,
    run: str | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Return metrics rows as column -> value, oldest first; the newest `limit` of them.

    Rows that a step wrote under psql name no pipeline and are shown in each.
    """
    conditions = ["(pipeline = %(pipeline)s or pipeline is null)"]
    conditions += ["day = %(day)s"] if day is not None else []
    conditions += ["starts_with(flow_run_id, %(run)s)"] if run is not None else []
    found = connection.execute(
        f"select {', '.join(COLUMNS)} from pipeline_metrics where {' and '.join(conditions)}"
        " order by id desc limit %(limit)s",
        {"pipeline": pipeline, "day": day, "run": run, "limit": limit},
    ).fetchall()
    return [dict(zip(COLUMNS, row, strict=True)) for row in reversed(found)]


def states(connection: database.Connection, pipeline: str, day: str | None = None) -> dict[tuple[str, str], StepState]:
    """Return (day, task name) -> state, for one day or all."""
    found = connection.execute(
        """
        select
            day,
            -- The step that the runner ran counts, whatever name it gave its task.
            coalesce(regexp_replace(step, '^[0-9]+_', '') || '_task', task_name) as task,
            (array_agg(status order by id desc))[1],
            max(finished_at),
            max(finished_at) filter (where status <> 'failure'),
            (array_agg(error_message order by id desc))[1]
        from pipeline_metrics
        where (pipeline = %(pipeline)s or pipeline is null) and (%(day)s::text is null or day = %(day)s)
        group by day, task
        """,
        {"pipeline": pipeline, "day": day},
    )
    return {(row[0], row[1]): StepState(*row[2:]) for row in found}


def is_loaded(connection: database.Connection, pipeline: str, day: str) -> bool:
    """Tell whether the books know a load of the day."""
    row = connection.execute(
        "select exists (select from stg_loads where pipeline = %s and day = %s)", (pipeline, day)
    ).fetchone()
    return bool(row[0])


_REJECTS = (
    "day", "entity", "severity", "reason", "field", "source_file", "position", "record_key", "raw_value", "raw_record",
)  # fmt: skip


def rejects(
    connection: database.Connection,
    pipeline: str,
    *,
    day: str | None = None,
    entity: str | None = None,
    severity: str | None = None,
    limit: int | None = None,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the first `limit` rejects and warnings as column -> value, and severity -> how many there are in all.

    They stand in the order of days, entities, files and positions.
    """
    given = {"day": day, "entity": entity, "severity": severity}
    where = " and ".join(["pipeline = %(pipeline)s", *(f"{name} = %({name})s" for name in given if given[name])])
    values: dict[str, Any] = {"pipeline": pipeline, **given}
    counts: dict[str, int] = {}
    per_day = connection.execute(
        f"select day, severity, count(*) from stg_rejects where {where} group by day, severity", values
    ).fetchall()
    for _, kind, count in per_day:
        counts[kind] = counts.get(kind, 0) + count
    found: list[dict[str, Any]] = []
    # Day by day, because SQL does not know the natural order of their names.
    for name in sorted({name for name, _, _ in per_day}, key=days.order):
        if limit is not None and len(found) >= limit:
            break
        rows = connection.execute(
            f"select {', '.join(_REJECTS)} from stg_rejects where {where} and day = %(this)s"
            " order by entity, source_file, position, severity, field limit %(rest)s",
            {**values, "this": name, "rest": None if limit is None else limit - len(found)},
        )
        found += [dict(zip(_REJECTS, row, strict=True)) for row in rows]
    return found, counts
