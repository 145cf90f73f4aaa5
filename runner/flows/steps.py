"""The steps of a day as tasks: side by side as far as their lineage allows, and none left at work, however it ends."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.tasks import Task

from runner import console, graph
from runner.errors import RunnerError
from runner.flows.tasks import NOTE, Terminated, logger
from runner.step import SqlFile

if TYPE_CHECKING:
    from runner.graph import Graph
    from runner.project import Pipeline

# Seconds between two requests to end what runs, one of which may fall between two statements, and how many
# seconds what was interrupted has to end; what is left then dies with the process.
_INSIST, _STOP_SECONDS = 0.1, 30.0

T = TypeVar("T")


class Interruptible(Protocol):
    """What runs a file and can be ended from another thread, such as a StepRunner."""

    def interrupt(self) -> None: ...


class Running:
    """What runs files, each in the thread of its task, for the flow's own thread to end them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runners: set[Interruptible] = set()
        self._stopped = False
        self.ends: list[PrefectFuture[Any]] = []
        """The tasks that were run last: those that no other one waited for."""

    @contextmanager
    def noted(self, runner: Interruptible) -> Iterator[None]:
        """Let `runner` be interrupted while the block lasts; what ends by that raises Terminated."""
        with self._lock:
            self._runners.add(runner)
            stopped = self._stopped
        try:
            if stopped:
                raise KeyboardInterrupt
            yield
        except KeyboardInterrupt:
            raise Terminated(15) from None
        finally:
            with self._lock:
                self._runners.discard(runner)

    def interrupt(self) -> None:
        """End what runs, and what would be tried again."""
        with self._lock:
            self._stopped = True
            runners = list(self._runners)
        for runner in runners:
            runner.interrupt()


def order(pipeline: Pipeline, jobs: int) -> Graph:
    """Return which step waits for which: by what they read and write, or, one at a time, by the order of the files."""
    names = [step.id for step in pipeline.steps]
    if jobs > 1 and len(names) > 1:
        return graph.build(graph.effects(pipeline), names)
    return {name: frozenset(names[:place]) for place, name in enumerate(names)}


def run(
    steps: Sequence[SqlFile],
    needs: Graph,
    jobs: int,
    task: Callable[[SqlFile], Task[[], T | State[T]]],
    running: Running,
    *,
    day: str,
    after: Sequence[Any],
    told: Callable[[SqlFile, T], None],
) -> list[T]:
    """Run the tasks of `steps` as `needs` allows, up to `jobs` at once; return their results in the order of the files.

    `told` hears of each end in that order, as far as those before have ended. After a failure nothing more is
    started, and what runs is waited for; then the first error, in the order of the files, is raised. A signal ends
    what runs.
    """
    nearest = graph.nearest(needs)
    ended: queue.SimpleQueue[SqlFile] = queue.SimpleQueue()
    futures: dict[str, PrefectFuture[T]] = {}
    results: dict[str, T] = {}
    errors: dict[str, Exception] = {}
    waiting, busy = list(steps), 0
    untold = list(steps)

    def tell(through: bool) -> None:
        for step in list(untold):
            if step.id in results:
                untold.remove(step)
                told(step, results[step.id])
            elif not through:
                return

    try:
        while waiting or busy:
            for step in [step for step in waiting if needs[step.id] <= results.keys()]:
                if errors or busy == jobs:
                    break
                waiting.remove(step)
                future: Any = task(step).submit(
                    return_state=False, wait_for=[futures[other] for other in nearest[step.id]] or list(after)
                )
                futures[step.id] = future
                busy += 1
                future.add_done_callback(lambda _, step=step: ended.put(step))
            if not busy:
                break
            step = ended.get()
            busy -= 1
            try:
                results[step.id] = futures[step.id].result()
                tell(through=False)
            except Exception as error:
                errors[step.id] = error
    except BaseException:
        end(running, busy, ended)
        raise
    tell(through=True)
    if errors:
        _raise_first([errors[step.id] for step in steps if step.id in errors], [step.id for step in waiting], day)
    waited_for = {name for names in nearest.values() for name in names}
    running.ends = [futures[step.id] for step in steps if step.id not in waited_for]
    return [results[step.id] for step in steps]


def _raise_first(errors: list[Exception], not_run: list[str], day: str) -> None:
    for error in errors[1:]:
        if isinstance(error, RunnerError):
            logger().error(console.printable(console.explain(error)), extra={NOTE: True})
    if not_run:
        logger().warning(f"{day}: not run: {', '.join(not_run)}")
    raise errors[0]


def end(running: Running, busy: int, ended: queue.SimpleQueue[Any]) -> None:
    """Interrupt what runs until so many tasks have ended, each of which puts something into the queue."""
    deadline = time.monotonic() + _STOP_SECONDS
    while busy and time.monotonic() < deadline:
        running.interrupt()
        with suppress(queue.Empty):
            ended.get(timeout=_INSIST)
            busy -= 1
