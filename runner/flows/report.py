"""What a flow run did, as a table on Prefect's page."""

from __future__ import annotations

from typing import Any

from prefect.artifacts import create_table_artifact

from runner import console, database, metrics
from runner.flows.names import artifact_key


def publish(dsn: str, pipeline: str, day: str, flow_run_id: str) -> None:
    """Make the table artifact of the metrics rows of this run; none where there are no rows."""
    with database.connect(dsn, "runner metrics") as connection:
        found = metrics.rows(connection, pipeline, day=day, run=flow_run_id)
    if not found:
        return
    failed = sum(row["status"] == "failure" for row in found)
    create_table_artifact(
        table=[_shown(row) for row in found],
        key=artifact_key(pipeline, "metrics", day),
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
        "error": console.printable(row["error_message"] or ""),
    }
