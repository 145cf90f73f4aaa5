"""Which day the flow run at hand is for: the one it was given, or that of its scheduled time."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import prefect
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound

from runner import config, deployments, logical_day
from runner.config import Settings
from runner.errors import RunnerError, UsageError
from runner.flows.marks import SLUG
from runner.flows.names import run_name

_HINT = "Give it one: prefect deployment run 'FLOW/NAME' --param day=day1, or the field `day` of the page's Custom run."


def day_of_run(settings: Settings, day: str | None) -> str:
    """Return the day of the flow run at hand; one that its schedule gives is written into the run's parameters.

    So whoever runs it a second time runs the same day. Raises UsageError for a run that was given none, where no
    schedule tells it.
    """
    if day is not None:
        return day
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(str(prefect.runtime.flow_run.id)))
        found = scheduled_day(run, _rule(settings), schedule_of(client, run))
        given = {**run.parameters, "day": found}
        client.update_flow_run(run.id, parameters=given, name=run_name(settings.pipeline, found))
    return found


def scheduled_day(run: FlowRun, rule: logical_day.Rule, schedule: DeploymentSchedule | None) -> str:
    """Return the day of the time for which a run was asked, in its schedule's zone; the rule's where that has none.

    A run by hand of a deployment that has a schedule is for the day that its schedule would have made it for then.
    """
    scheduled: datetime | None = run.expected_start_time
    if scheduled is None or not (run.auto_scheduled or schedule is not None):
        raise UsageError("no day is given, and there is no schedule whose time would tell", hint=_HINT)
    return rule.of(scheduled, getattr(schedule.schedule, "timezone", None) if schedule else None)


def name_of_run(pipeline: str) -> str:
    """Return the name of the day's run at hand; one whose day cannot be told is about to say so itself."""
    context = FlowRunContext.get()
    parameters: dict[str, Any] = (context.parameters if context else None) or {}
    if (given := parameters.get("day")) is not None:
        return run_name(pipeline, given)
    try:
        return run_name(pipeline, day_of_run(config.load({"pipeline": pipeline}), None))
    except RunnerError:
        return run_name(pipeline, "without a day")


def _rule(settings: Settings) -> logical_day.Rule:
    declared = deployments.read(settings).find(
        str(prefect.runtime.flow_run.flow_name), str(prefect.runtime.deployment.name)
    )
    return declared.day if declared else logical_day.Rule()


def schedule_of(client: SyncPrefectClient, run: FlowRun) -> DeploymentSchedule | None:
    """Return the schedule that made the run, else, for a run by hand, its deployment's; None where there is none."""
    if run.deployment_id is None:
        return None
    try:
        schedules = client.read_deployment_schedules(run.deployment_id)
    except ObjectNotFound:
        return None
    if run.created_by is not None and run.created_by.type == "SCHEDULE":
        return next((one for one in schedules if one.id == run.created_by.id), None)
    # Ours before those that were made by hand.
    return min(schedules, key=lambda one: one.slug != SLUG, default=None)
