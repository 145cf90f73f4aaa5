"""What Prefect calls a pipeline's flow, its runs and its tables."""

from __future__ import annotations

import re

from runner.errors import ConfigError

# https://docs.prefect.io/v3/concepts/flows: a flow's name is a part of an address.
_NOT_IN_NAMES = re.compile("[/%&<>]")


def flow_name(pipeline: str, kind: str = "day_pipeline") -> str:
    """Return the name of a pipeline's flow of a kind; ConfigError for a pipeline whose name Prefect does not take."""
    if match := _NOT_IN_NAMES.search(pipeline):
        raise ConfigError(
            f"Prefect takes no flow with {match.group()!r} in its name: {pipeline!r}",
            hint="Rename the pipeline's folders, or run its days with runner apply, which takes any name.",
        )
    return f"{pipeline}_{kind}"


def run_name(pipeline: str, day: str) -> str:
    """Return the name of a day's run: `zluri 2026-01-05`."""
    return f"{pipeline} {day}"


def artifact_key(pipeline: str, *of: str) -> str:
    """Return the key under which tables of a kind follow one another, one a run: `zluri-metrics-day1`.

    A key has small letters, digits and dashes; names that have more are told apart by a digest.
    """
    name = "-".join((pipeline, *of))
    key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if key == name:
        return key
    from hashlib import blake2s

    return f"{key}-{blake2s(name.encode(), digest_size=4).hexdigest()}"
