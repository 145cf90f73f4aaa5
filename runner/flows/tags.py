"""The tags of a flow run and of its tasks, by which Prefect's page finds what belongs together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import prefect
from prefect.client.orchestration import get_client

from runner.config import Settings


def of(settings: Settings, *more: str) -> tuple[str, ...]:
    """Return the tags of every run of a pipeline in an environment, and `more` of this one."""
    return f"pipeline={settings.pipeline}", f"env={settings.env}", *more


@contextmanager
def tagged(*wanted: str) -> Iterator[None]:
    """Tag the flow run at hand, however it was started, a deployment's or a direct call's, and its task runs."""
    with prefect.tags(*wanted):
        known = list(prefect.runtime.flow_run.tags)
        if missing := [tag for tag in wanted if tag not in known]:
            with get_client(sync_client=True) as client:
                client.update_flow_run(UUID(str(prefect.runtime.flow_run.id)), tags=[*known, *missing])
        yield
