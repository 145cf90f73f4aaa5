"""What the books say of one run of a day: its metrics, what it changed, what its checks found, what was rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner import database, metrics

# Of each entity, severity, field and reason that many records are shown, and of all together that many.
_EACH, _ALL = 3, 60

_CHECKS = """
    select distinct on (check_name) check_name, step, severity, status, rows_failed, sample
    from check_results
    where pipeline = %(pipeline)s and day = %(day)s and flow_run_id = %(run)s
    order by check_name, attempt desc, id desc
"""
_CHANGES = """
    select
        coalesce(step, pipeline_name) as step,
        table_name,
        sum(rows_inserted)::bigint as inserted,
        sum(rows_updated)::bigint as updated,
        sum(rows_deleted)::bigint as deleted
    from pipeline_metrics
    where (pipeline = %(pipeline)s or pipeline is null)
        and day = %(day)s
        and flow_run_id = %(run)s
        and status <> 'failure'
    group by 1, 2
    -- Side by side, steps end in any order.
    order by 1, 2
"""
# Which file a name in the metrics stands for; a step that was run by hand has said none.
_STEPS = """
    select distinct pipeline_name, coalesce(step, pipeline_name) as step
    from pipeline_metrics
    where (pipeline = %(pipeline)s or pipeline is null) and day = %(day)s and flow_run_id = %(run)s
"""
_LOADS = """
    select entity, records_read, rows_loaded, rejects, warnings, flow_run_id = %(run)s as by_this_run
    from stg_loads
    where pipeline = %(pipeline)s and day = %(day)s
    order by entity
"""
# The first records of each reason, and how many there are.
_REJECTS = """
    with numbered as (

        select
            *,
            count(*) over reasons as records,
            row_number() over (reasons order by source_file, position, raw_value) as number
        from stg_rejects
        where pipeline = %(pipeline)s and day = %(day)s
        window reasons as (partition by entity, severity, field, reason)

    )

    select entity, severity, field, reason, records, source_file, position, record_key, raw_value
    from numbered
    where number <= %(each)s
    order by severity, entity, records desc, field, reason, number
    limit %(all)s
"""
_REASONS = """
    select entity, severity, field, reason, count(*) as records
    from stg_rejects
    where pipeline = %(pipeline)s and day = %(day)s
    group by entity, severity, field, reason
    order by severity, entity, records desc, field, reason
"""


@dataclass(frozen=True)
class RunRecord:
    """Rows as column -> value, in the order in which they are shown.

    `rejects` are the first records of each reason, `reasons` count them all: both are of the day's staging, whichever
    run has loaded it, as `loads` says.
    """

    pipeline: str
    day: str
    flow_run_id: str
    metrics: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    checks: list[dict[str, Any]]
    loads: list[dict[str, Any]]
    reasons: list[dict[str, Any]]
    rejects: list[dict[str, Any]]


def read(connection: database.Connection, pipeline: str, day: str, flow_run_id: str) -> RunRecord:
    """Return what is known of a run; a database in which the runner never was knows nothing of any."""
    given = {"pipeline": pipeline, "day": day, "run": flow_run_id, "each": _EACH, "all": _ALL}

    def rows(query: str) -> list[dict[str, Any]]:
        cursor = connection.execute(query, given)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    if metrics.nothing_yet(connection):
        return RunRecord(pipeline, day, flow_run_id, [], [], [], [], [], [])
    found = metrics.rows(connection, pipeline, day=day, run=flow_run_id)
    steps = {row["pipeline_name"]: row["step"] for row in rows(_STEPS)}
    return RunRecord(
        pipeline,
        day,
        flow_run_id,
        metrics=sorted(
            ({**row, "step": steps[row["pipeline_name"]]} for row in found),
            key=lambda row: row["step"],  # and those of a step by time, as they were
        ),
        changes=rows(_CHANGES),
        checks=rows(_CHECKS),
        loads=rows(_LOADS),
        reasons=rows(_REASONS),
        rejects=rows(_REJECTS),
    )
