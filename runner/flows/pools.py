"""Work pools: made where they are missing, and what a deployment says of its infrastructure held against their type."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect.utilities.schema_tools.validation import validate

from runner.config import FILE
from runner.deployments import Deployment, WorkPool
from runner.errors import ConfigError
from runner.relation import suggestion

_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@|\bpassword\s*=", re.IGNORECASE)
_VIEW = "collections_data/views/aggregate-worker-metadata.json"


def template(pool: WorkPool) -> dict[str, Any]:
    """Return what Prefect's package knows of a type of pool: how its jobs are made, from which variables."""
    known = {
        name: worker
        for workers in json.loads((files("prefect.server.api") / _VIEW).read_text("utf-8")).values()
        for name, worker in workers.items()
    }
    if pool.type not in known:
        raise ConfigError(
            f"work pool {pool.name}: Prefect has no type {pool.type!r}{suggestion(pool.type, known)}",
            hint=f"There are {', '.join(sorted(known))}: type under [work_pools.{pool.name}] in {FILE}.",
        )
    found: dict[str, Any] = known[pool.type]["default_base_job_configuration"]
    return found


def existing(client: SyncPrefectClient, pool: WorkPool, *, declared: bool) -> dict[str, Any] | None:
    """Return the template of the server's pool of that name, None where it has none.

    A pool that runner.toml describes (`declared`) must have the type that is said there.
    """
    try:
        found = client.read_work_pool(pool.name)
    except ObjectNotFound:
        return None
    if declared and found.type != pool.type:
        raise ConfigError(
            f"work pool {pool.name} is of type {found.type!r} on Prefect's server, and {pool.type!r} in {FILE}",
            hint=f"Correct [work_pools.{pool.name}], or delete the pool: prefect work-pool delete {pool.name}",
        )
    return found.base_job_template or template(WorkPool(found.name, found.type))


def create(client: SyncPrefectClient, pool: WorkPool) -> None:
    """Make a pool of its type, with what Prefect takes for it by default."""
    client.create_work_pool(
        WorkPoolCreate(
            name=pool.name,
            type=pool.type,
            base_job_template=template(pool),
            concurrency_limit=pool.concurrency_limit,
            description="Made by runner deploy.",
        )
    )


def check_variables(deployment: Deployment, found: Mapping[str, Any]) -> None:
    """Refuse job variables that the pool does not have or cannot take, and passwords among them."""
    where = f"{FILE}: job_variables of {deployment.full_name}"
    variables = found.get("variables", {})
    known = variables.get("properties", {})
    for key in deployment.job_variables:
        if key.partition(".")[0] not in known:
            raise ConfigError(
                f"{where} name {key!r}, which work pool {deployment.work_pool} does not have{suggestion(key, known)}",
                hint=f"It has {', '.join(sorted(known))}.",
            )
    for fault in validate(dict(deployment.job_variables), variables, ignore_required=True):
        raise ConfigError(f"{where}, {fault.json_path.removeprefix('$.')}: {fault.message}", hint="Correct it.")
    environment = deployment.job_variables.get("env", {})
    for name, value in environment.items() if isinstance(environment, Mapping) else ():
        if name == "PGPASSWORD" or (isinstance(value, str) and _PASSWORD.search(value)):
            if isinstance(value, str) and "{{" in value:
                continue  # a secret block, which the worker resolves
            raise ConfigError(
                f"{where}: env.{name} holds a password, which everybody could read on Prefect's page",
                hint=f'Keep it in a secret block: {name} = "{{{{ prefect.blocks.secret.NAME }}}}", '
                "or in the worker's own environment.",
            )
