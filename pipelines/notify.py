"""Who is told of runs that need somebody: an automation of Prefect."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from prefect.automations import (
    AutomationCore,
    CallWebhook,
    EventTrigger,
    Posture,
    SendNotification,
)
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from mlstats.config import Pilot
from mlstats.errors import ConfigError

__all__ = ["TOLD", "action", "notify"]

TOLD: Final = (
    "Failed",
    "Crashed",
    "TimedOut",
    "Late",
    "Fallback",
    "Proposed",
    "Released",
)
# Names, times and states only: no message of an error, no parameter but the period.
_BODY: Final = {
    "pilot": "{{ deployment.name }}",
    "run": "{{ flow_run.name }}",
    "state": "{{ flow_run.state.name }}",
    "scheduled": "{{ flow_run.expected_start_time }}",
}


def action(client: SyncPrefectClient, block: str) -> CallWebhook | SendNotification:
    """Return the action that calls a block, which the office has made.

    Parameters
    ----------
    client : prefect.client.orchestration.SyncPrefectClient
        Of the server.
    block : str
        ``TYPE/NAME``; a ``webhook`` is called with JSON, another one with a text.

    Raises
    ------
    ConfigError
        Where the server has no such block.
    """
    kind, _, name = block.partition("/")
    try:
        document = client.read_block_document_by_name(name, kind)
    except ObjectNotFound:
        raise ConfigError(
            f"The Prefect server has no block {block!r}",
            where="production.notify",
            expected="TYPE/NAME of a block that was made there, as webhook/office",
        ) from None
    if kind == "webhook":
        return CallWebhook(block_document_id=document.id, payload=json.dumps(_BODY))
    return SendNotification(
        block_document_id=document.id,
        subject="{{ flow_run.name }}: {{ flow_run.state.name }}",
        body="\n".join(f"{key}: {value}" for key, value in _BODY.items()),
    )


def _called(pilot: Pilot) -> str:
    return f"mlstats {pilot.pilot}"


def notify(
    client: SyncPrefectClient,
    pilot: Pilot,
    deployments: list[str],
    actions: list[CallWebhook | SendNotification],
    tell: Callable[[str], None],
) -> None:
    """Make the automation that tells of runs that need somebody's eyes.

    Parameters
    ----------
    client : prefect.client.orchestration.SyncPrefectClient
        Of the server.
    pilot : Pilot
        Whose runs.
    deployments : list of str
        Identifiers of its deployments.
    actions : list
        What is to be done; none: the automation is taken away.
    tell : callable
        Gets a line where something changes.
    """
    found = client.read_automations_by_name(_called(pilot))
    wanted = AutomationCore(
        name=_called(pilot),
        description="Tells of periods that failed, are late or fell back, and of "
        "what monitoring proposes.",
        trigger=EventTrigger(
            expect={f"prefect.flow-run.{state}" for state in TOLD},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={
                "prefect.resource.id": [f"prefect.deployment.{d}" for d in deployments],
                "prefect.resource.role": "deployment",
            },
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=list(actions),
    )
    same = [a for a in found if actions and _same(a, wanted)]
    for automation in found:
        if automation not in same[:1]:
            client.delete_automation(automation.id)
    if actions and not same:
        client.create_automation(wanted)
        tell(f"{', '.join(pilot.production.notify)} told of: {', '.join(TOLD)}")
    elif found and not actions:
        tell("nobody is told any more")


def _same(found: AutomationCore, wanted: AutomationCore) -> bool:
    return _content(found) == _content(wanted)


def _content(automation: AutomationCore) -> dict[str, Any]:
    content = automation.model_dump(
        mode="json", include={"name", "description", "trigger", "actions"}
    )
    trigger = content["trigger"]
    trigger.pop("id", None)
    for key in ("expect", "for_each", "after"):
        trigger[key] = sorted(trigger[key])
    return content
