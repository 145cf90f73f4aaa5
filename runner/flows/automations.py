"""The automations of a pipeline on a Prefect server: made once, kept as declared, removed when they are gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from runner.flows.marks import Change, marks

# A worker may tell of a run every three minutes, which is Prefect's default.
_SILENCE = timedelta(minutes=10)
_PAGE = 200
_ENDS = ("Completed", "Failed", "Cancelled", "Crashed")


def without_heartbeat(pipeline: str) -> AutomationCore:
    """Return the automation that marks a run as crashed whose process and worker are gone, so that nobody says so."""
    return AutomationCore(
        name=f"{pipeline}: a run that is gone is marked crashed",
        description=f"A run of {pipeline} of which nothing was heard for {_SILENCE.seconds // 60} minutes has crashed.",
        tags=list(marks(pipeline)),
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{end}" for end in _ENDS)},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.pipeline={pipeline}"}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=_SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                force=False,
                message="Nothing was heard of this run any more. What was not committed is rolled back: run it again.",
            )
        ],
    )


def plan(client: SyncPrefectClient, pipelines: Sequence[str], wanted: Sequence[AutomationCore]) -> Iterator[Change]:
    """Yield what has to change, so that the automations of the pipelines are those that are wanted."""
    ours = [one for one in _all(client) if any(set(marks(pipeline)) <= set(one.tags) for pipeline in pipelines)]
    for automation in wanted:
        # The same one is kept, whoever looks.
        same = sorted((one for one in ours if one.name == automation.name), key=lambda one: one.id)
        if not same:
            yield Change("automation", automation.name, "created", partial(client.create_automation, automation))
        elif _comparable(same[0]) != _comparable(automation):
            # Whether it is on is for the page to say.
            kept = automation.model_copy(update={"enabled": same[0].enabled})
            yield Change("automation", automation.name, "updated", partial(client.update_automation, same[0].id, kept))
        else:
            yield Change("automation", automation.name, "unchanged")
        # Two who deployed at once, from two machines, may each have made it: all would be told twice.
        for one in same[1:]:
            yield Change("automation", one.name, "removed", partial(client.delete_automation, one.id), "a second one")
    names = {automation.name for automation in wanted}
    for one in ours:
        if one.name not in names:
            yield Change("automation", one.name, "removed", partial(client.delete_automation, one.id))


def _all(client: SyncPrefectClient) -> list[Automation]:
    found: list[Automation] = []
    while page := client.read_automations(limit=_PAGE, offset=len(found)):
        found += page
    return found


def _comparable(automation: AutomationCore) -> Any:
    """Return what an automation says, without the numbers that the server gives its parts."""

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: bare(inner) for key, inner in value.items() if key not in ("id", "enabled", "owner_resource")}
        if isinstance(value, (list, tuple)):
            return [bare(inner) for inner in value]
        if isinstance(value, (set, frozenset)):
            return sorted(value, key=str)
        return value

    # Through the same class: what the server tells beyond it says nothing of ours.
    return bare(AutomationCore.model_validate(automation.model_dump(mode="json", exclude={"id"})).model_dump())
