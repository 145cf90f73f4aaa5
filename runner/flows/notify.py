"""Who is told when a run fails: an automation of Prefect's a pipeline, and the block with the address."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import timedelta
from typing import cast
from uuid import UUID

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import BlockDocument
from prefect.events.actions import CallWebhook, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.types import SecretDict
from pydantic import SecretStr

from runner import notifications
from runner.config import Settings
from runner.deployments import FLOWS
from runner.errors import ConfigError
from runner.flows.marks import Change, marks
from runner.flows.names import artifact_key, flow_name
from runner.notifications import Notifications

# What a webhook is sent, as JSON: `text` is what chats show, the rest for machines.
_SENT = {
    "text": 'flow_run.name ~ " " ~ flow_run.state.name | lower ~ ": " ~ (flow_run.state.message or "")[:1500]'
    ' ~ "\\n" ~ (flow_run | ui_url or "")',
    "flow": "flow.name",
    "flow_run": "flow_run.name",
    "flow_run_id": "flow_run.id | string",
    "state": "flow_run.state.name",
    "message": '(flow_run.state.message or "")[:1500]',
    "day": 'flow_run.parameters.get("day")',
    "tags": "flow_run.tags",
    "url": "flow_run | ui_url",
}
_SUBJECT = "{{ flow_run.name }} {{ flow_run.state.name | lower }}"
_BODY = '{{ (flow_run.state.message or "")[:1500] }}\n{{ flow_run | ui_url }}'
_HEADERS = {"Content-Type": "application/json"}
# Of a block that is about to be made.
_NO_ID = UUID(int=0)


def plan(
    client: SyncPrefectClient, settings: Settings, pipelines: Sequence[str]
) -> tuple[list[Change], list[AutomationCore]]:
    """Return what becomes of the blocks, and the automations that are wanted, which need the blocks made first.

    `pipelines` are those of the project, whose runs are told of whether they are deployed or not. Raises ConfigError
    for what [notifications] may not say, an address that neither the environment nor the server has, and a block that
    is not there. Nothing is changed yet.
    """
    wanted = notifications.read(settings)
    changes: list[Change] = []
    automations: list[AutomationCore] = []
    for pipeline in pipelines:
        document = _find(client, Webhook.get_block_type_slug(), _block_name(pipeline))
        if wanted is None:
            changes += [_removed(client, document)] if document is not None else []
            continue
        actions: list[CallWebhook | SendNotification] = []
        if wanted.webhook is not None:
            action = CallWebhook(block_document_id=document.id if document else _NO_ID, payload=_payload(pipeline))
            changes.append(_saved(pipeline, wanted.webhook, document, action))
            actions.append(action)
        elif document is not None:
            changes.append(_removed(client, document))
        if wanted.block is not None:
            actions.append(_own(client, wanted.block, pipeline))
        automations.append(_automation(pipeline, wanted, actions))
    return changes, automations


def _automation(
    pipeline: str, wanted: Notifications, actions: Sequence[CallWebhook | SendNotification]
) -> AutomationCore:
    return AutomationCore(
        name=f"{pipeline}: a run that went wrong is told of",
        description=f"Tells of runs of {pipeline}'s flows that are {' or '.join(wanted.states)}, as [notifications] in"
        " runner.toml says. What is changed here, runner deploy changes back.",
        tags=list(marks(pipeline)),
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={f"prefect.flow-run.{state}" for state in wanted.states},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification(
                {
                    "prefect.resource.role": "flow",
                    "prefect.resource.name": [flow_name(pipeline, kind) for kind in FLOWS],
                }
            ),
            threshold=1,
            within=timedelta(0),
        ),
        actions=list(actions),
    )


def _payload(pipeline: str) -> str:
    # A brace of a name's would be the template's.
    name = json.dumps(pipeline).replace("{", "\\u007b")
    fields = [f'"{field}": {{{{ ({expression}) | tojson }}}}' for field, expression in _SENT.items()]
    return "{" + ", ".join([f'"pipeline": {name}', *fields]) + " }"


def _block_name(pipeline: str) -> str:
    return artifact_key(pipeline, "failed-runs")


def _saved(pipeline: str, variable: str, document: BlockDocument | None, action: CallWebhook) -> Change:
    """Return what becomes of our webhook; once it is made, the action has its id.

    One that the server has stays as it is where the variable is not set here.
    """
    name = _block_name(pipeline)
    shown = f"{Webhook.get_block_type_slug()}/{name}"
    if document is not None and not os.environ.get(variable):
        return Change("block", shown, "unchanged", detail=f"{variable} is not set here")
    address = notifications.address(variable)

    def save() -> None:
        block = Webhook(url=SecretStr(address), headers=SecretDict(_HEADERS))
        action.block_document_id = cast(UUID, block.save(name, overwrite=True))

    if document is not None and (document.data.get("url"), document.data.get("headers")) == (address, _HEADERS):
        return Change("block", shown, "unchanged")
    return Change("block", shown, "updated" if document is not None else "created", save)


def _removed(client: SyncPrefectClient, document: BlockDocument) -> Change:
    shown = f"{Webhook.get_block_type_slug()}/{document.name}"
    return Change("block", shown, "removed", lambda: client.delete_block_document(document.id))


def _own(client: SyncPrefectClient, block: str, pipeline: str) -> CallWebhook | SendNotification:
    """Return the action of a block that somebody made."""
    kind, _, name = block.partition("/")
    document = _find(client, kind, name)
    if document is None:
        raise ConfigError(
            f"Prefect's server has no block {block}, which [notifications] names",
            hint="Make it on Prefect's page, under Blocks, or name another one.",
        )
    if kind == Webhook.get_block_type_slug():
        return CallWebhook(block_document_id=document.id, payload=_payload(pipeline))
    return SendNotification(block_document_id=document.id, subject=_SUBJECT, body=_BODY)


def _find(client: SyncPrefectClient, kind: str, name: str) -> BlockDocument | None:
    try:
        return client.read_block_document_by_name(name, kind)
    except ObjectNotFound:
        return None
