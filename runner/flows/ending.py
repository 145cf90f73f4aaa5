"""How a flow ends that could not do its work: with a failed state, whose message says why."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Failed

from runner import console
from runner.errors import RunnerError
from runner.flows.tasks import logger


def failed(error: RunnerError) -> State[Any]:
    """Log an error with its hint, and return the state that the flow at hand is to end in; `data` is the error.

    The state is returned, not raised: Prefect would log a traceback, and keep the error in a file. Whoever calls
    the flow has the error raised.
    """
    # Data may be quoted in it, and the log shown on a terminal.
    logger().error(console.printable(f"{error.message}\nhint: {error.hint}" if error.hint else error.message))
    return Failed(message=console.printable(error.message), data=error)
