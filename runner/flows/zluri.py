"""The Zluri day as a flow, `zluri_day_pipeline("day1")`, and its freshness: the entry points of deployments."""

from __future__ import annotations

from runner.flows.day import Engine, Load, Outcome, apply_day, day_flow, settings_of
from runner.flows.freshness import Outcome as Freshness
from runner.flows.freshness import freshness_flow, look_at


@day_flow("zluri")
def zluri_day_pipeline(
    day: str,
    load: Load = "auto",
    max_rejects: str | None = None,
    data: str | None = None,
    wait: float = 0,
    engine: Engine | None = None,
    jobs: int | None = None,
) -> Outcome:
    """Load a day of Zluri where its files are new, then run each step in one transaction.

    Args:
        day: the day's name: day1, 2026-01-05
        load: load where files are new (auto), in any case (always), or not at all (never)
        max_rejects: fail before publishing when more records (N) or a larger share (P%) are rejected
        data: the folder that holds sync-<day>/; the project's own where it is not given
        wait: seconds to wait for another run that holds the day
        engine: what reads the files: spark, local, or auto (by how much there is); the settings' where not given
        jobs: how many steps that do not depend on each other run at once; [tasks] jobs where not given
    """
    settings = settings_of("zluri", data, engine)
    return apply_day(settings, day, load=load, max_rejects=max_rejects, wait=wait, jobs=jobs)


@freshness_flow("zluri")
def zluri_freshness() -> Freshness:
    """Tell how old the newest data of Zluri's tables is; failed where any is stale."""
    return look_at(settings_of("zluri", None))
