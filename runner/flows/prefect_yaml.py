"""The declared deployments as a `prefect.yaml`, for `prefect --no-prompt deploy --all`."""

from __future__ import annotations

from typing import Any

import yaml  # type: ignore[import-untyped]

from runner.config import FILE, Settings
from runner.deployments import Declared, Schedule
from runner.flows import deploy
from runner.flows.marks import SLUG

_HEAD = f"""\
# Made from {FILE}: runner deploy --prefect-yaml > prefect.yaml
# The same as `runner deploy`, for `prefect --no-prompt deploy --all`, which neither makes work pools nor removes
# what is not here any more.
"""


def text(settings: Settings, declared: Declared) -> str:
    """Return the file's text."""
    found = [_deployment(one) for one in deploy.prepare(settings, declared)]
    body: str = yaml.safe_dump({"deployments": found}, sort_keys=False, allow_unicode=True, width=120)
    return _HEAD + body


def _deployment(one: deploy.Prepared) -> dict[str, Any]:
    said, fields = one.declared, one.fields()
    document: dict[str, Any] = {
        "name": said.name,
        "entrypoint": fields["entrypoint"],
        "description": fields["description"],
        "tags": fields["tags"],
        "parameters": fields["parameters"],
        "work_pool": {"name": said.work_pool, "job_variables": fields["job_variables"]},
    }
    if one.declared.schedule:
        document["schedules"] = [_schedule(one.declared.schedule)]
    if said.concurrency_limit:
        strategy = {"limit": said.concurrency_limit, "collision_strategy": said.collision_strategy}
        document["concurrency_limit"] = strategy
    if said.paused is not None:
        document["paused"] = said.paused
    # Where it is not said, Prefect takes the folder in which `prefect deploy` is called: the project's.
    if said.directory is None:
        document["pull"] = []
    elif said.directory != said.project:
        document["pull"] = fields["pull_steps"]
    return document


def _schedule(said: Schedule) -> dict[str, Any]:
    document: dict[str, Any] = {"slug": SLUG, "timezone": said.timezone}
    if said.interval is not None:
        return document | {"interval": said.interval.total_seconds(), "anchor_date": deploy.anchor(said).isoformat()}
    return document | ({"cron": said.cron} if said.cron else {"rrule": said.rrule})
