"""The flows of the project at hand, by Prefect's name: `runner.flows.entry.shop_day_pipeline`.

A deployment's entry point is an attribute of this module, made when it is asked for, so that every pipeline of every
project can be deployed without a line of Python. The project is the one of the current folder, which Prefect makes
the deployment's before it imports anything.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

from runner import config
from runner.config import Settings
from runner.deployments import FLOWS
from runner.errors import RunnerError


def entrypoint(flow_name: str) -> str:
    """Return what Prefect imports to run a flow."""
    return f"{__name__}.{flow_name}"


class _SaidAlready(logging.Filter):
    """Leaves out what Prefect's engine says of an error that the flow has explained: its traceback helps nobody."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], RunnerError))


def make(settings: Settings, kind: str) -> Any:
    """Return the flow of a kind of the settings' pipeline."""
    module, _, function = FLOWS[kind].partition(":")
    return getattr(importlib.import_module(module), function)(settings)


def __getattr__(name: str) -> Any:
    for kind in FLOWS:
        pipeline = name.removesuffix(f"_{kind}")
        if pipeline and pipeline != name:
            logging.getLogger("prefect.flow_runs").addFilter(_SaidAlready())
            return make(config.load({"pipeline": pipeline}), kind)
    raise AttributeError(f"there is no flow {name!r}")
