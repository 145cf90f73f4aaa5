"""Who is told when a run fails: [notifications] in runner.toml. Addresses are secrets, and stand there by name only."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from runner.config import FILE, Settings
from runner.errors import ConfigError

EVENTS = {"failed": ("Failed", "TimedOut"), "crashed": ("Crashed",), "cancelled": ("Cancelled",), "late": ("Late",)}
"""What one may be told of, and the names of Prefect's states."""

_KEYS = ("webhook", "block", "on")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_BLOCK = re.compile(r"[a-z0-9-]+/[a-z0-9-]+", re.ASCII)


@dataclass(frozen=True)
class Notifications:
    """How to tell of runs that end in one of `states`.

    `webhook` is the environment variable that holds the address of a webhook, `block` a block of Prefect's that is
    there, `type/name`.
    """

    webhook: str | None
    block: str | None
    states: tuple[str, ...]


def read(settings: Settings) -> Notifications | None:
    """Return what [notifications] says, None where there is none; ConfigError for what it may not say."""
    said, where = settings.notifications, f"{settings.project / FILE}: notifications"
    if not isinstance(said, Mapping):
        raise ConfigError(f"{where} is no table", hint="Write [notifications] above its keys.")
    if not said:
        return None
    if unknown := [key for key in said if key not in _KEYS]:
        raise ConfigError(f"{where}.{unknown[0]} is unknown", hint=f"There are {', '.join(_KEYS)}.")
    webhook, block = said.get("webhook"), said.get("block")
    if webhook is not None and not (isinstance(webhook, str) and _VARIABLE.fullmatch(webhook)):
        # What was written there instead may be the address itself, which others would read here.
        raise ConfigError(
            f"{where}.webhook is not the name of an environment variable",
            hint='The address is a secret: put it into a variable, and write webhook = "OPS_WEBHOOK_URL".',
        )
    if block is not None and not (isinstance(block, str) and _BLOCK.fullmatch(block)):
        raise ConfigError(f"{where}.block is {block!r}", hint='Name a block as Prefect does: "slack-webhook/ops".')
    if webhook is None and block is None:
        raise ConfigError(f"{where} names nobody to tell", hint='Write webhook = "OPS_WEBHOOK_URL", or block = "…/…".')
    return Notifications(webhook, block, _states(said.get("on", ["failed", "crashed"]), where))


def _states(said: Any, where: str) -> tuple[str, ...]:
    if not isinstance(said, list) or not said or any(one not in EVENTS for one in said):
        raise ConfigError(f"{where}.on is {said!r}", hint=f"Write a list of these: {', '.join(EVENTS)}.")
    return tuple(state for one in dict.fromkeys(said) for state in EVENTS[one])


def address(variable: str) -> str:
    """Return the webhook's address from the environment; ConfigError where there is none. It is never shown."""
    found = os.environ.get(variable, "")
    if not _is_address(found):
        raise ConfigError(
            f"the environment variable {variable}, which [notifications] names, "
            + ("holds no http address" if found else "is not set"),
            hint=f"Set it where runner deploy is called: export {variable}=https://…",
        )
    return found


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        whole = text.isprintable() and " " not in text and parts.port != 0
        return whole and parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # it quotes what it cannot read
        return False
