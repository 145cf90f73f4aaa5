"""What a flow run did, as artifacts on Prefect's page: its metrics, what it changed, its checks, the day's rejects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from runner import console, database, run_pages, run_record
from runner.flows.names import artifact_key
from runner.run_record import RunRecord


def publish(
    dsn: str, pipeline: str, day: str, flow_run_id: str, described: dict[str, str], log: Callable[[str], None]
) -> None:
    """Make the artifacts of this run, each where there is something to show.

    `described` maps the name of a check to what its rows are. A page that cannot be made or shown fails nothing: `log`
    is told.
    """
    try:
        with database.connect(dsn, "runner report") as connection:
            record = run_record.read(connection, pipeline, day, flow_run_id)
    except Exception as error:
        log(f"what the run did could not be read: {_first(error, dsn)}")
        return
    pages: dict[str, Callable[[], None]] = {
        "metrics": lambda: _metrics(record),
        "changes": lambda: _page(record, "changes", "rows changed", run_pages.changes_page(record)),
        "checks": lambda: _page(record, "checks", "what the checks found", run_pages.checks_page(record, described)),
        "rejects": lambda: _page(record, "rejects", "records kept out or mended", run_pages.rejects_page(record)),
    }
    for name, make in pages.items():
        try:
            make()
        except Exception as error:
            log(f"the {name} could not be shown: {_first(error, dsn)}")


def _first(error: Exception, dsn: str) -> str:
    said = str(error).splitlines() or [type(error).__name__]
    return console.printable(database.redact(said[0], dsn))


def _page(record: RunRecord, name: str, what: str, markdown: str | None) -> None:
    if markdown is not None:
        create_markdown_artifact(
            markdown,
            key=artifact_key(record.pipeline, name, record.day),
            description=f"{record.pipeline} {record.day}: {what}",
        )


def _metrics(record: RunRecord) -> None:
    if not record.metrics:
        return
    failed = sum(row["status"] == "failure" for row in record.metrics)
    create_table_artifact(
        table=[_shown(row) for row in record.metrics],
        key=artifact_key(record.pipeline, "metrics", record.day),
        description=f"{record.pipeline} {record.day}: metrics of run {record.flow_run_id}"
        + (f", {console.count(failed, 'failed attempt')}" if failed else ""),
    )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "step": row["step"],
        "table": row["table_name"],
        "status": row["status"],
        "attempt": row["attempt"],
        "inserted": row["rows_inserted"],
        "updated": row["rows_updated"],
        "deleted": row["rows_deleted"],
        "seconds": round(float(row["duration_seconds"] or 0), 3),
        # The rest of it is in the log.
        "error": console.printable((row["error_message"] or "").partition("\n")[0]),
        "finished": f"{row['finished_at']:%Y-%m-%d %H:%M:%S %Z}",
    }
