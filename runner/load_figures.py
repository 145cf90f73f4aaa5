"""What a load as a whole did and took, for machines: the figures of `runner load --json` (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from staging_loaders.choice import Choice
    from staging_loaders.load import EntityLoad

_PHASES = ("plan", "start", "copy", "publish")


def figures(loads: Sequence[EntityLoad], choice: Choice | None) -> dict[str, Any]:
    """Return what was read and by which engine, the seconds of each phase, and records a second while copying.

    All of it counts only the entities that were loaded now, apart from the seconds of the plan, which told that the
    others need not be. Nothing is null but what nothing was read for.
    """
    read = [load for load in loads if load.status == "loaded"]
    # Entities that were loaded together have the seconds of the whole.
    seconds = {phase: max((getattr(load, f"{phase}_seconds") for load in read), default=0.0) for phase in _PHASES}
    seconds["plan"] = max((load.plan_seconds for load in loads), default=0.0)
    records = sum(load.records_read for load in read)
    return {
        "engine": asdict(choice) if choice else None,
        "files": sum(load.files for load in read),
        "bytes": sum(load.bytes for load in read),
        "records": records,
        "rejects": sum(load.rejects for load in read),
        "warnings": sum(load.warnings for load in read),
        "seconds": {phase: round(took, 3) for phase, took in seconds.items()},
        "records_per_second": round(records / seconds["copy"]) if seconds["copy"] else None,
    }
