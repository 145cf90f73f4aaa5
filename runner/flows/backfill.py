"""Many days as a flow: a task a chunk, one after the other over one engine; the marts once, at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import prefect
from prefect.client.schemas.objects import State
from prefect.flows import Flow
from prefect.task_runners import ThreadPoolTaskRunner

from runner import backfill
from runner.backfill import Mode, Request
from runner.config import Settings
from runner.errors import RunnerError
from runner.flows import tags
from runner.flows.backfill_work import Backfill
from runner.flows.day import Engine, Load, Marts
from runner.flows.ending import failed
from runner.flows.names import flow_name
from runner.flows.tasks import cancelling
from runner.task_settings import AT_ONCE

Outcome = dict[str, Any] | State[Any]
"""What a flow's function returns: how many days ended how, or the state in which it failed."""


def backfill_flow(pipeline: str) -> Callable[[Callable[..., Outcome]], Flow[..., Outcome]]:
    """Decorate a function of the parameters of `run_backfill` as the flow `<pipeline>_backfill`."""
    return prefect.flow(
        name=flow_name(pipeline, "backfill"),
        flow_run_name=partial(_run_name, pipeline),
        description=f"Apply many days of {pipeline}, in chunks; the marts are refreshed once, at the end.",
        validate_parameters=True,
        persist_result=False,
        task_runner=cast(Any, ThreadPoolTaskRunner(max_workers=AT_ONCE)),
    )


def backfill_pipeline(settings: Settings) -> Flow[..., Outcome]:
    """Return the flow of the settings' pipeline. Its files are read when it runs, not here."""

    def run(
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
    ) -> Outcome:
        """Apply many days, in chunks, and refresh the marts once, at the end.

        Args:
            start_date: the first day of a range, as 2026-01-01 or day1
            end_date: the last day of the range
            days: these days instead of a range
            chunk_mode: which days are a task, daily, weekly or monthly
            resume: go on with the newest backfill of the same days, leaving out what it has done
            load: load where files are new (auto), in any case (always), or not at all (never)
            max_rejects: a day fails before publishing when more records (N) or a larger share (P%) are rejected
            data: the folder that holds sync-<day>/; the project's own where it is not given
            engine: what reads the files, spark, local or auto (by how much there is); else the settings say
            jobs: how many steps that do not depend on each other run at once; else [tasks] says
            wait: seconds to wait for another run that holds a day
            stop_on_error: begin no other day after one that failed
            marts: refresh the marts when all days are done (auto), or not at all (never)
        """
        return run_backfill(
            replace(settings, data=data or settings.data, engine=engine or settings.engine),
            start_date,
            end_date,
            days,
            chunk_mode,
            resume,
            load=load,
            max_rejects=max_rejects,
            jobs=jobs,
            wait=wait,
            stop_on_error=stop_on_error,
            marts=marts,
        )

    run.__name__ = run.__qualname__ = flow_name(settings.pipeline, "backfill")
    return backfill_flow(settings.pipeline)(run)


def run_backfill(
    settings: Settings,
    start_date: str | None = None,
    end_date: str | None = None,
    days: list[str] | None = None,
    chunk_mode: Mode = "daily",
    resume: bool = False,
    load: Load = "auto",
    max_rejects: str | None = None,
    jobs: int | None = None,
    wait: float = 0,
    stop_on_error: bool = False,
    marts: Marts = "auto",
) -> Outcome:
    """Apply days inside the flow run at hand, whose id every metrics row carries; the parameters are the command's."""
    flow_run_id = str(prefect.runtime.flow_run.id)
    with cancelling(), tags.tagged(*tags.of(settings)):
        try:
            asked = backfill.request(start_date, end_date, days or (), chunk_mode)
            work = Backfill(settings, flow_run_id, load, max_rejects, jobs, wait, stop_on_error)
            return work.run(asked, resume, marts)
        except RunnerError as error:
            return failed(error)


def _run_name(pipeline: str) -> str:
    """Return the name of the run at hand: `zluri backfill 2026-01-01 to 2026-03-31`."""
    given = prefect.runtime.flow_run.parameters
    days = given.get("days") or []
    if given.get("start_date") and given.get("end_date"):
        shown = backfill.span((str(given["start_date"]), str(given["end_date"])))
    else:
        shown = Request(days=tuple(map(str, days))).shown if days else "the newest, resumed"
    return f"{pipeline} backfill {shown}"
