"""Where a person sees a run: the address of its page, where the server has one."""

from __future__ import annotations

import re
from typing import Any

import httpx
from prefect.client.schemas.objects import FlowRun
from prefect.utilities.urls import url_for

from runner import console

_SECONDS = 3
# The hosted one has a page that it says nothing of.
_CLOUD = "https://app.prefect.cloud/"


def page(flow_run_id: object) -> str | None:
    """Return the address of a run's page, None where the server has none, or does not say so."""
    url = url_for("flow-run", obj_id=str(flow_run_id))
    if url is None or url.startswith(_CLOUD):
        return url
    base = url.partition("/runs/")[0]
    try:
        told = httpx.get(f"{base}/ui-settings", timeout=_SECONDS).raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        return None
    return re.sub("//[^/@]*@", "//", url) if isinstance(told, dict) and told.get("available_uis") else None


def show(flow: Any, flow_run: FlowRun, state: Any) -> None:
    """Print where the page of a run is that begins: a hook for a flow's `on_running`."""
    if flow_run.run_count <= 1 and (url := page(flow_run.id)):
        console.note(f"{flow_run.name}: {url}")
