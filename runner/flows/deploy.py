"""The project's deployments on a Prefect server: made, brought up to date, and removed where runner.toml drops them.

What others made is never touched: ours carry the tags of `marks`, and their schedule the slug `runner`.
"""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import ConcurrencyOptions, DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import SCHEDULE_TYPES, CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.flows import Flow
from prefect.server.schemas import schedules
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate
from pydantic import ValidationError

from runner import config, deployments, task_settings
from runner.config import FILE, Settings
from runner.deployments import Declared, Deployment, Schedule
from runner.errors import ConfigError, RunnerError
from runner.flows import automations, blocks, entry, notify, pools
from runner.flows.marks import MANAGED, SLUG, Change, marks
from runner.flows.names import flow_name
from runner.relation import suggestion

# Where intervals are counted from, so that an hourly one falls on the hour.
_ANCHOR = datetime(2020, 1, 1)
_PAGE = 200


@dataclass(frozen=True)
class Prepared:
    """A deployment as Prefect takes it."""

    declared: Deployment
    flow: Flow[..., Any]
    schedule: SCHEDULE_TYPES | None

    def fields(self) -> dict[str, Any]:
        """Return what the server is told of it, but for its schedule and whether it is paused."""
        said = self.declared
        step = {"prefect.deployments.steps.set_working_directory": {"directory": said.directory}}
        limit = said.concurrency_limit
        return {
            "description": said.description or self.flow.description,
            "tags": [*marks(said.pipeline), *said.tags],
            "parameters": dict(said.parameters),
            "entrypoint": entry.entrypoint(said.flow_name),
            "pull_steps": [step] if said.directory else [],
            "work_pool_name": said.work_pool,
            "job_variables": dict(said.job_variables),
            "concurrency_limit": limit,
            "concurrency_options": ConcurrencyOptions.model_validate({"collision_strategy": said.collision_strategy})
            if limit
            else None,
            "parameter_openapi_schema": parameter_schema(self.flow).model_dump(exclude_unset=True),
            "enforce_parameter_schema": True,
        }


def prepare(settings: Settings, declared: Declared) -> list[Prepared]:
    """Return the deployments as Prefect takes them; ConfigError for a schedule or parameter that it would not take."""
    return [_prepare(config.for_pipeline(settings, one.pipeline), one) for one in declared.deployments]


def anchor(said: Schedule) -> datetime:
    """Return the time that an interval is counted from, in the schedule's zone."""
    return _ANCHOR.replace(tzinfo=ZoneInfo(said.timezone))


def deploy(client: SyncPrefectClient, settings: Settings, *, dry_run: bool = False) -> list[Change]:
    """Bring the server to what runner.toml declares, and return what became of each object.

    All is checked before anything is changed. ConfigError for what cannot be, such as a deployment of the same name
    that somebody else made. With `dry_run` nothing is changed.
    """
    with _alone(settings):
        return _deploy(client, settings, dry_run)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Have others who deploy this project wait: to the server, automations of one name are two."""
    with ExitStack() as stack:
        # Without a file, or on a file system without locks, nobody waits.
        with suppress(OSError):
            file = stack.enter_context(open(settings.project / FILE, "rb"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _deploy(client: SyncPrefectClient, settings: Settings, dry_run: bool) -> list[Change]:
    declared = deployments.read(settings)
    task_settings.read(settings)  # refused here, and not by each run
    pipelines = config.pipelines(settings.project)
    told, wanted = notify.plan(client, settings, pipelines)
    wanted += [automations.without_heartbeat(name) for name in dict.fromkeys(d.pipeline for d in declared.deployments)]
    changes = [
        *_pools(client, settings, declared),
        *blocks.plan(client, settings),
        *told,
        *_deployments(client, prepare(settings, declared), pipelines),
        *automations.plan(client, pipelines, wanted),
    ]
    if not dry_run:
        blocks.register()
        for change in changes:
            try:
                _act(change)
            except ObjectAlreadyExists as error:
                raise RunnerError(
                    f"{change.kind} {change.name} was made by somebody else meanwhile",
                    hint="Run it again: what is there is taken as it is.",
                    transient=True,
                ) from error
        # Who deploys from another checkout does not wait for us, and to the server, automations of one name are two.
        if any(change.kind == "automation" and change.what == "created" for change in changes):
            for change in automations.plan(client, pipelines, wanted):
                if change.what == "removed":
                    _act(change)
    return changes


def _act(change: Change) -> None:
    """Do it; what is to be removed may be gone already."""
    try:
        change.act()
    except ObjectNotFound:
        if change.what != "removed":
            raise
    except httpx.HTTPStatusError as error:
        if change.what != "removed" or error.response.status_code != 404:
            raise


def _prepare(settings: Settings, declared: Deployment) -> Prepared:
    flow_name(declared.pipeline)  # one that Prefect takes
    flow = entry.make(settings, declared.flow)
    where = f"{settings.project / FILE}: parameters of {declared.full_name}"
    schema = parameter_schema(flow)
    for name in declared.parameters:
        if name not in schema.properties:
            raise ConfigError(
                f"{where} name {name!r}, which the flow does not have{suggestion(name, schema.properties)}",
                hint=f"It has {', '.join(schema.properties) or 'none'}.",
            )
    # What has no default can still be given by hand, but a schedule has nobody to give it.
    faults = validate(
        dict(declared.parameters), schema.model_dump(exclude_unset=True), ignore_required=declared.schedule is None
    )
    for fault in faults:
        name = fault.json_path.removeprefix("$").removeprefix(".")
        raise ConfigError(f"{where}{f', {name}' if name else ''}: {fault.message}", hint="Correct it.")
    try:
        return Prepared(declared, flow, _schedule(declared.schedule) if declared.schedule else None)
    except ValueError as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ConfigError(
            f"{settings.project / FILE}: {declared.full_name} has no schedule that Prefect takes,"
            f" {declared.schedule}: {reason}",
            hint='Write cron = "0 3 * * *", interval = "1h" or rrule = "FREQ=DAILY;BYHOUR=3".',
        ) from error


def _schedule(said: Schedule) -> SCHEDULE_TYPES:
    if said.cron is not None:
        # Prefect takes one that never comes, such as February 31, and then says nothing; this raises ValueError.
        asyncio.run(schedules.CronSchedule(cron=said.cron, timezone=said.timezone).get_dates(1))
        return CronSchedule(cron=said.cron, timezone=said.timezone)
    if said.interval is not None:
        return IntervalSchedule.model_validate(
            {"interval": said.interval, "anchor_date": anchor(said), "timezone": said.timezone}
        )
    assert said.rrule is not None
    # Where a rule says no start, Prefect's own command takes this one.
    start = "" if "DTSTART" in said.rrule else f"DTSTART:{_ANCHOR:%Y%m%dT%H%M%S}\n"
    return RRuleSchedule(rrule=f"{start}{said.rrule}", timezone=said.timezone)


def _pools(client: SyncPrefectClient, settings: Settings, declared: Declared) -> Iterator[Change]:
    for pool in declared.work_pools:
        found = pools.existing(client, pool, declared=pool.name in settings.work_pools)
        known = found or pools.template(pool)  # also where no deployment uses it: of no unknown type
        for one in declared.deployments:
            if one.work_pool == pool.name:
                pools.check_variables(one, known)
        if found is None:
            yield Change("work pool", pool.name, "created", partial(pools.create, client, pool))
        else:
            yield Change("work pool", pool.name, "unchanged")


def _deployments(client: SyncPrefectClient, wanted: list[Prepared], pipelines: list[str]) -> Iterator[Change]:
    names = {one.declared.full_name for one in wanted}
    for one in wanted:
        yield _deployment(client, one)
    for found in _ours(client):
        full_name = f"{client.read_flow(found.flow_id).name}/{found.name}"
        if full_name not in names and any(set(marks(pipeline)) <= set(found.tags) for pipeline in pipelines):
            yield Change("deployment", full_name, "removed", partial(client.delete_deployment, found.id))


def _deployment(client: SyncPrefectClient, one: Prepared) -> Change:
    said, fields = one.declared, one.fields()
    detail = (str(said.schedule) if said.schedule else "no schedule") + (", paused" if said.paused else "")
    try:
        found = client.read_deployment_by_name(said.full_name)
    except ObjectNotFound:
        return Change("deployment", said.full_name, "created", partial(_create, client, one), detail)
    if MANAGED not in found.tags:
        raise ConfigError(
            f"{said.full_name} is on Prefect's server, and was not made by runner deploy",
            hint=f"Give yours another name in {FILE}, or delete that one: prefect deployment delete '{said.full_name}'",
        )
    differs = _changed(found, fields)
    if said.paused is not None and said.paused != found.paused:
        differs["paused"] = said.paused
    schedule = _schedule_change(client, found, one.schedule)
    if found.paused and not said.paused and "paused" not in differs:
        detail += ", paused on the page"
    if not differs and schedule is None:
        return Change("deployment", said.full_name, "unchanged", detail=detail)

    def update() -> None:
        if differs:
            # The server takes the whole of what belongs together.
            client.update_deployment(found.id, DeploymentUpdate(**{**fields, **differs}))
        if schedule is not None:
            schedule()

    what = [*differs, *(["schedule"] if schedule else [])]
    return Change("deployment", said.full_name, "updated", update, f"{detail} ({', '.join(what)})")


def _create(client: SyncPrefectClient, one: Prepared) -> None:
    said = one.declared
    schedules = [DeploymentScheduleCreate(schedule=one.schedule, slug=SLUG)] if one.schedule else []
    client.create_deployment(
        client.create_flow_from_name(said.flow_name),
        said.name,
        schedules=schedules,
        paused=bool(said.paused),
        **one.fields(),
    )


def _changed(found: DeploymentResponse, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields in which the server's deployment differs."""
    known = {name: getattr(found, name) for name in fields if not name.startswith("concurrency")}
    known["pull_steps"] = found.pull_steps or []
    limit = found.global_concurrency_limit.limit if found.global_concurrency_limit else None
    options = found.concurrency_options if limit else None
    known |= {"concurrency_limit": limit, "concurrency_options": _strategy(options)}
    wanted = fields | {"concurrency_options": _strategy(fields["concurrency_options"])}
    return {name: fields[name] for name, value in wanted.items() if value != known[name]}


def _strategy(options: ConcurrencyOptions | None) -> str | None:
    return options.collision_strategy.value if options else None


def _schedule_change(client: SyncPrefectClient, found: DeploymentResponse, wanted: SCHEDULE_TYPES | None) -> Any | None:
    """Return the call that makes our schedule of a deployment what it should be; None where it is.

    Whether it is active stays as the page has it.
    """
    ours: list[DeploymentSchedule] = [one for one in found.schedules if one.slug == SLUG]
    if wanted is None:
        return partial(_drop, client, found, ours) if ours else None
    if not ours:
        new = DeploymentScheduleCreate(schedule=wanted, slug=SLUG)
        return partial(client.create_deployment_schedules, found.id, [new])
    if ours[0].schedule == wanted:
        return None
    return partial(client.update_deployment_schedule, found.id, ours[0].id, schedule=wanted)


def _drop(client: SyncPrefectClient, found: DeploymentResponse, schedules: list[DeploymentSchedule]) -> None:
    for one in schedules:
        assert one.id is not None
        client.delete_deployment_schedule(found.id, one.id)


def _ours(client: SyncPrefectClient) -> Iterator[DeploymentResponse]:
    filter_ = DeploymentFilter(tags=DeploymentFilterTags(all_=[MANAGED]))
    seen = 0
    while page := client.read_deployments(deployment_filter=filter_, limit=_PAGE, offset=seen):
        yield from page
        seen += len(page)
