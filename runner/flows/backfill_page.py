"""How far a backfill is, and what became of its chunks, on Prefect's page."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact

from runner import console
from runner.backfill import Chunk
from runner.backfill_plan import Plan
from runner.backfill_run import Ended
from runner.flows.names import artifact_key
from runner.flows.tasks import logger


class Page:
    """How far the backfill is, and what became of its chunks, on Prefect's page; without a page nothing fails."""

    def __init__(self, pipeline: str, plan: Plan, found: list[tuple[Chunk, Ended]]) -> None:
        self._pipeline = pipeline
        self._plan = plan
        self._found = found
        self._artifact: UUID | None = None
        with _tried():
            made = create_progress_artifact(
                progress=100.0 * len(plan.done) / len(plan.days),
                key=artifact_key(pipeline, "backfill-progress"),
                description=f"{pipeline}: {plan.request.shown}, {console.count(len(plan.days), 'day')}",
            )
            self._artifact = cast(UUID, made)

    def advance(self, days: int) -> None:
        """Show that so many days have ended."""
        with _tried():
            if self._artifact is not None:
                part = (len(self._plan.done) + days) / len(self._plan.days)
                update_progress_artifact(self._artifact, progress=100.0 * part)

    def end(self) -> None:
        """Make the table of the chunks."""
        with _tried():
            create_table_artifact(
                table=[_row(chunk, ended) for chunk, ended in self._found],
                key=artifact_key(self._pipeline, "backfill"),
                description=f"{self._pipeline}: {self._plan.request.shown}"
                + (f"; {len(self._plan.done)} days were done before" if self._plan.done else ""),
            )


def _row(chunk: Chunk, ended: Ended) -> dict[str, Any]:
    return {
        "chunk": chunk.name,
        "days": len(chunk.days),
        "status": ended.status,
        "inserted": sum(end.rows_inserted for end in ended.days),
        "updated": sum(end.rows_updated for end in ended.days),
        "deleted": sum(end.rows_deleted for end in ended.days),
        "rejects": sum(end.rows_rejected for end in ended.days),
        "warnings": sum(end.warnings for end in ended.days),
        "seconds": round(sum(end.seconds for end in ended.days), 3),
        "not done": ", ".join(ended.undone),
        "error": console.printable("\n".join(end.error.message.splitlines()[0] for end in ended.days if end.error)),
    }


@contextlib.contextmanager
def _tried() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        logger().warning(f"the page could not be brought up to date: {console.printable(str(error).splitlines()[0])}")
