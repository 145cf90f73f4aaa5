"""What a flow run did, as a table on Prefect's page."""

from __future__ import annotations

import re
from typing import Any

from prefect.artifacts import create_table_artifact

from runner import database, metrics


def artifact_key(pipeline: str, day: str) -> str:
    """Return the key under which a day's tables follow one another, one a run: `zluri-metrics-day1`."""
    return re.sub(r"[^a-z0-9]+", "-", f"{pipeline}-metrics-{day}".lower()).strip("-")


def publish(dsn: str, pipeline: str, day: str, flow_run_id: str) -> None:
    """Make the table artifact of the metrics rows of this run; none where there are no rows."""
    with database.connect(dsn, "runner metrics") as connection:
        found = metrics.rows(connection, pipeline, day=day, run=flow_run_id)
    if not found:
        return
    failed = sum(row["status"] == "failure" for row in found)
    create_table_artifact(
        table=[_shown(row) for row in found],
        key=artifact_key(pipeline, day),
        description=f"{pipeline} {day}: metrics of run {flow_run_id}" + (f", {failed} failed" if failed else ""),
    )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "step": row["pipeline_name"],
        "table": row["table_name"],
        "status": row["status"],
        "attempt": row["attempt"],
        "inserted": row["rows_inserted"],
        "updated": row["rows_updated"],
        "deleted": row["rows_deleted"],
        "seconds": float(row["duration_seconds"] or 0),
        "finished": f"{row['finished_at']:%Y-%m-%d %H:%M:%S %Z}",
        "error": row["error_message"] or "",
    }
