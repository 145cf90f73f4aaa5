"""Runs whose process is gone, though Prefect's server has them as running: marked as crashed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

from runner.flows.child import GRACE

_PAGE = 200
_LOOK = 0.2


def mark(client: SyncPrefectClient, pools: Sequence[str], worker: str, why: str) -> list[FlowRun]:
    """Mark the runs that `worker` began in these pools and that nobody runs any more; return them.

    Called while the worker does not run: a process of its that is still about to end is waited for.
    """
    deadline = time.monotonic() + GRACE
    lost = [run for run in _unfinished(client, pools) if run.labels.get("prefect.worker.name") == worker]
    marked = []
    for run in lost:
        while run.infrastructure_pid and _is_run(run.infrastructure_pid) and time.monotonic() < deadline:
            time.sleep(_LOOK)
        with suppress(ObjectNotFound):  # somebody has deleted it meanwhile
            state = client.read_flow_run(run.id).state
            if state is None or state.is_final() or state.is_scheduled():
                continue  # it has told itself
            ended: State[Any] = Cancelled(message=why) if state.is_cancelling() else Crashed(message=why)
            client.set_flow_run_state(run.id, ended, force=True)
            marked.append(run)
    return marked


def _unfinished(client: SyncPrefectClient, pools: Sequence[str]) -> list[FlowRun]:
    types = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
    found: list[FlowRun] = []
    while page := client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types))),
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=list(pools))),
        limit=_PAGE,
        offset=len(found),
    ):
        found += page
    return found


def _is_run(pid: str) -> bool:
    """Tell whether a process is a flow run of ours; another program may have its number by now."""
    asked = ["ps", "-ww", "-o", "command=", "-p", pid]
    if not pid.isdigit():
        return False
    return "runner.flows.child" in subprocess.run(asked, capture_output=True, text=True, check=False).stdout
