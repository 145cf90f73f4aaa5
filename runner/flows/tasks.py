"""What every task of a flow shares: who retries and when, how long it may take, no cache, nothing persisted."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, TypeVar, cast

import prefect
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import TerminationSignal
from prefect.states import Failed
from prefect.tasks import Task, exponential_backoff

from runner import console, database, limits, wording
from runner.errors import DatabaseUnavailable, RunnerError, StepFailed, TookTooLong
from runner.signals import ENDING
from runner.task_settings import TaskSettings

T = TypeVar("T")

OUTCOME = "outcome"
"""The attribute of a log record that is a line for the person who runs the flow: what `wording.outcome` is given."""

NOTE = "note"
"""The attribute of a log record that is worth a line on the terminal, though it is no warning."""


LATER = "later"
"""The attribute of a log record that is for Prefect alone: a terminal is told of it when its turn comes."""

TERMINAL = "runner.flows"
"""The logger of what is for a terminal alone, where there is one."""
logging.getLogger(TERMINAL).addHandler(logging.NullHandler())
logging.getLogger(TERMINAL).propagate = False

# Seconds after the time limit until Prefect raises, where no statement of ours was stopped by it.
_GRACE = 5


class Terminated(TerminationSignal, KeyboardInterrupt):
    """SIGTERM or a closed terminal, as Prefect and as psycopg know it: psycopg cancels on a KeyboardInterrupt only."""


def as_task(
    name: str, work: Callable[[int], T], settings: TaskSettings, *, alarm: bool = False, run_name: str | None = None
) -> Task[[], T]:
    """Return a task called `name` that does `work`, which is given the number of the attempt, from 1.

    Its run is called `run_name`, where it is one of several.

    Only passing faults are tried again. When an attempt's time is over, its statement is cancelled on the server, and
    TookTooLong raised. `alarm` has Prefect raise as well, for work that waits for more than the database; it is for
    tasks that are called in the flow's own thread, and never for one in which Spark runs. What `work` needs it carries
    itself: parameters would be shown by the server.
    """

    def run() -> T | State[T]:
        attempt = int(prefect.runtime.task_run.run_count or 1)
        try:
            with limits.within(name, settings.timeout, settings.setting):
                return work(attempt)
        except Exception as error:
            if attempt <= settings.retries and is_passing(error):
                logger().warning(
                    f"{name}: attempt {attempt} of {settings.retries + 1} failed ({_reason(error)}); trying again"
                )
                raise
            if isinstance(error, RunnerError):
                # Returned: Prefect would log the traceback of what is raised. Whoever waits for the task has it raised.
                return Failed(message=console.printable(error.message), data=error)
            raise

    return Task(
        fn=cast(Callable[[], T], run),
        name=name,
        task_run_name=run_name or name,
        retries=settings.retries,
        retry_delay_seconds=exponential_backoff(settings.backoff) if settings.retries else None,
        retry_jitter_factor=settings.jitter,
        retry_condition_fn=_retry_if_passing,
        timeout_seconds=settings.timeout + _GRACE if alarm and settings.timeout is not None else None,
        cache_policy=NO_CACHE,
        persist_result=False,
    )


def called(task: Task[[], T]) -> T:
    """Call a task of `as_task`; return what it returned, or raise what it raised.

    A plain call would return the state of one that failed.
    """
    state: State[T] = task(return_state=True)
    return state.result()


def is_passing(error: BaseException) -> bool:
    """Tell whether the same work may succeed when it is tried again: a fault of the network or the database.

    A task's time limit is no such fault: what took too long once takes too long again.
    """
    import psycopg

    if isinstance(error, StepFailed | TookTooLong):
        return error.transient  # it has looked at the cause already
    if isinstance(error, DatabaseUnavailable):
        return error.transient
    if isinstance(error, RunnerError) and error.transient:
        return True
    if isinstance(error, psycopg.Error):
        return database.is_transient(error)
    if _is_network_fault(error):
        return True
    return error.__cause__ is not None and is_passing(error.__cause__)


def value(name: str, state: State[T], settings: TaskSettings) -> T:
    """Return what a task with an alarm returned, or raise what it raised; TookTooLong where Prefect had to stop it."""
    from prefect.task_engine import TaskRunTimeoutError

    try:
        return state.result()
    except TaskRunTimeoutError as error:
        assert settings.timeout is not None
        raise limits.Limit(name, settings.timeout, settings.setting, 0).error() from error


def edge(state: State[T]) -> State[T]:
    """Return a state to wait for, without what its task returned.

    Prefect would look there for what other tasks have returned, too, and the run's graph have an arrow from each.
    """
    return state.model_copy(update={"data": True})


def logger() -> Any:
    """Return the logger of the task run or flow run at hand; its lines go to Prefect."""
    return prefect.get_run_logger()


def outcome(day: str, kind: str, name: str, text: str, seconds: float | None = None) -> None:
    """Log what a task did, as `runner apply` says it; a terminal shows these lines and no others."""
    said = (day, kind, name, text, seconds)
    logger().info(wording.outcome(*said), extra={OUTCOME: said})


@contextmanager
def cancelling() -> Iterator[None]:
    """Let a signal that ends the run cancel the statement in this thread, before Prefect ends the flow run."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no signal arrives here
        return

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        for other in ENDING:  # once, as in runner.signals
            if signal.getsignal(other) is terminate:
                signal.signal(other, signal.SIG_IGN)
        raise Terminated(number)

    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reason(error: Exception) -> str:
    """Return the line of the message that says why; a step's first line only says which step."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[1] if isinstance(error, StepFailed) and len(lines) > 1 else lines[0]


def _is_network_fault(error: BaseException) -> bool:
    from urllib.error import HTTPError, URLError

    if isinstance(error, HTTPError):
        return error.code >= 500 or error.code in (408, 429)
    if isinstance(error, URLError):
        return not isinstance(error.reason, FileNotFoundError)
    # TimeoutError itself, not its subclasses: Prefect's time limit is one.
    return isinstance(error, ConnectionError) or type(error) is TimeoutError


def _retry_if_passing(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.data, BaseException) and is_passing(state.data)
