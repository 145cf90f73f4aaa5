"""The flows of the project at hand, by Prefect's name: `runner.flows.entry.shop_day_pipeline`.

A deployment's entry point is an attribute of this module, made when it is asked for, so that every pipeline of every
project can be deployed without a line of Python. The project is the one of the current folder, which Prefect makes
the deployment's before it imports anything.
"""

from __future__ import annotations

import importlib
from typing import Any

from runner import config
from runner.config import Settings
from runner.deployments import FLOWS


def entrypoint(flow_name: str) -> str:
    """Return what Prefect imports to run a flow."""
    return f"{__name__}.{flow_name}"


def make(settings: Settings, kind: str) -> Any:
    """Return the flow of a kind of the settings' pipeline."""
    module, _, function = FLOWS[kind].partition(":")
    return getattr(importlib.import_module(module), function)(settings)


def __getattr__(name: str) -> Any:
    for kind in FLOWS:
        pipeline = name.removesuffix(f"_{kind}")
        if pipeline and pipeline != name:
            return make(config.load({"pipeline": pipeline}), kind)
    raise AttributeError(f"there is no flow {name!r}")
