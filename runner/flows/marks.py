"""How Prefect's objects show that they are ours, so that those made by hand are left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

MANAGED = "managed-by=runner"

SLUG = "runner"
"""The slug of our schedules; a schedule with another one was made by hand, and stays."""


def marks(pipeline: str) -> tuple[str, str]:
    """Return the tags of what `runner deploy` makes for a pipeline; runs of its deployments have them, too."""
    return MANAGED, f"pipeline={pipeline}"


@dataclass(frozen=True)
class Change:
    """What becomes of one object on Prefect's server, and the call that does it."""

    kind: Literal["work pool", "block", "deployment", "automation"]
    name: str
    what: Literal["created", "updated", "unchanged", "removed"]
    act: Callable[[], object] = lambda: None
    detail: str = ""
