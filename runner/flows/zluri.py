"""The Zluri day as a flow, `zluri_day_pipeline("day1")`, many of them, and its freshness: what deployments enter by."""

from __future__ import annotations

from runner.backfill import Mode
from runner.flows.backfill import Outcome as Backfill
from runner.flows.backfill import backfill_flow, run_backfill
from runner.flows.day import Engine, Load, Marts, Outcome, apply_day, day_flow, settings_of
from runner.flows.freshness import Outcome as Freshness
from runner.flows.freshness import freshness_flow, look_at
from runner.flows.sensor import Outcome as Arrivals
from runner.flows.sensor import file_arrival_flow, watch


@day_flow("zluri")
def zluri_day_pipeline(
    day: str | None = None,
    load: Load = "auto",
    max_rejects: str | None = None,
    data: str | None = None,
    wait: float = 0,
    engine: Engine | None = None,
    jobs: int | None = None,
    marts: Marts = "auto",
) -> Outcome:
    """Load a day of Zluri where its files are new, run each step in one transaction, then the checkpoints and marts.

    Args:
        day: the day's name: day1, 2026-01-05; a scheduled run takes that of its scheduled time
        load: load where files are new (auto), in any case (always), or not at all (never)
        max_rejects: fail before publishing when more records (N) or a larger share (P%) are rejected
        data: the folder that holds sync-DAY/; the project's own where it is not given
        wait: seconds to wait for another run that holds the day
        engine: what reads the files: spark, local, or auto (by how much there is); the settings' where not given
        jobs: how many steps that do not depend on each other run at once; [tasks] jobs where not given
        marts: refresh the marts once the checkpoints have passed (auto), or not at all (never)
    """
    settings = settings_of("zluri", data, engine)
    return apply_day(settings, day, load=load, max_rejects=max_rejects, wait=wait, jobs=jobs, marts=marts)


@backfill_flow("zluri")
def zluri_backfill(
    start_date: str | None = None,
    end_date: str | None = None,
    days: list[str] | None = None,
    chunk_mode: Mode = "daily",
    resume: bool = False,
    load: Load = "auto",
    max_rejects: str | None = None,
    data: str | None = None,
    engine: Engine | None = None,
    jobs: int | None = None,
    wait: float = 0,
    stop_on_error: bool = False,
    marts: Marts = "auto",
) -> Backfill:
    """Apply many days of Zluri, in chunks, and refresh the marts once, at the end.

    Args:
        start_date: the first day of a range: 2026-01-01, or day1
        end_date: the last day of the range
        days: these days instead of a range
        chunk_mode: which days are a task: daily, weekly or monthly
        resume: go on with the newest backfill of the same days, leaving out what it has done
        load: load where files are new (auto), in any case (always), or not at all (never)
        max_rejects: a day fails before publishing when more records (N) or a larger share (P%) are rejected
        data: the folder that holds sync-DAY/; the project's own where it is not given
        engine: what reads the files: spark, local, or auto (by how much there is); the settings' where not given
        jobs: how many steps that do not depend on each other run at once; [tasks] jobs where not given
        wait: seconds to wait for another run that holds a day
        stop_on_error: begin no other day after one that failed
        marts: refresh the marts when all days are done (auto), or not at all (never)
    """
    return run_backfill(
        settings_of("zluri", data, engine), start_date, end_date, days, chunk_mode, resume,
        load=load, max_rejects=max_rejects, jobs=jobs, wait=wait, stop_on_error=stop_on_error, marts=marts,
    )  # fmt: skip


@freshness_flow("zluri")
def zluri_freshness() -> Freshness:
    """Tell how old the newest data of Zluri's tables is; failed where any is stale."""
    return look_at(settings_of("zluri", None))


@file_arrival_flow("zluri")
def zluri_file_arrival(deployment: str | None = None, data: str | None = None) -> Arrivals:
    """Look once for days of Zluri that have arrived, and have each run once for what it holds.

    Args:
        deployment: what is run, flow/deployment; zluri_day_pipeline/daily where neither this nor [sensor] says
        data: the folder or prefix in which sync-<day>/ arrives; the project's own where it is not given
    """
    return watch(settings_of("zluri", data), deployment, data)
