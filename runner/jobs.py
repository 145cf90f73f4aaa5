"""Independent steps at once: each on a connection of its own, started when those it depends on are done.

The work is the server's, so threads are enough. The calling thread starts the steps, hears of their
ends and is the only one that talks to the caller.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

from runner.errors import RunnerError
from runner.graph import Graph
from runner.step import SqlFile

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# Seconds between two requests to cancel what runs: one that falls between two statements is lost.
_INSIST = 0.1


class Failed(Exception):
    """Steps failed: their errors in the order of their ends, and the steps that were not run because of them."""

    def __init__(self, errors: dict[str, RunnerError], not_run: list[str]) -> None:
        super().__init__(", ".join(errors))
        self.errors = errors
        self.not_run = not_run


class Runner(Protocol[T_co]):
    """What runs files one after the other, such as a StepRunner: a context manager."""

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> object: ...

    def run(self, step: SqlFile, /) -> T_co: ...

    def interrupt(self) -> None: ...


class _Worker(Generic[T]):
    """A thread with a runner of its own, which runs what it is given and tells `events` how it ended."""

    def __init__(self, runner: Runner[T], events: queue.SimpleQueue[_Event]) -> None:
        self.runner = runner
        self._events = events
        self._inbox: queue.SimpleQueue[SqlFile | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._work, name="step", daemon=True)
        self.thread.start()

    def start(self, step: SqlFile) -> None:
        self._inbox.put(step)

    def leave(self) -> None:
        self._inbox.put(None)

    def _work(self) -> None:
        with self.runner:
            while (step := self._inbox.get()) is not None:
                try:
                    self._events.put((self, step, self.runner.run(step)))
                except BaseException as error:
                    self._events.put((self, step, error))


# The worker and its file with the result or error; or nothing, and a line for the log.
_Event = tuple["_Worker[Any] | None", SqlFile | None, Any]


def run(
    steps: Sequence[SqlFile],
    graph: Graph,
    jobs: int,
    runner: Callable[[Callable[[str], None]], Runner[T]],
    *,
    log: Callable[[str], None],
    running: Callable[[list[str]], None],
    done: Callable[[SqlFile, T], None],
    keep_going: bool = False,
) -> None:
    """Run `steps` as `graph` allows, up to `jobs` at once.

    `runner` makes what runs them, and reports to the given log. `running` is told which steps run, `done`
    how each ended, in the order of `steps` as far as those before have ended. After a failure nothing
    more is started (where they `keep_going`, nothing that depends on what failed), and what runs is waited for; then
    Failed is raised. An interruption cancels what runs.
    """
    events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
    workers: list[_Worker[T]] = []
    idle: list[_Worker[T]] = []
    busy: dict[str, _Worker[T]] = {}
    waiting = list(steps)
    results: dict[str, T] = {}
    errors: dict[str, RunnerError] = {}
    told: set[str] = set()

    def tell(through: bool) -> None:
        """Report the ends that are known; past a step that has none only where nothing more will come (`through`)."""
        for step in steps:
            if step.id in results and step.id not in told:
                told.add(step.id)
                done(step, results[step.id])
            elif step.id not in results and not through:
                return

    try:
        while waiting or busy:
            for step in [step for step in waiting if graph[step.id] <= results.keys()]:
                if (errors and not keep_going) or len(busy) == jobs:
                    break
                if not idle:
                    idle.append(_Worker(runner(lambda text: events.put((None, None, text))), events))
                    workers.append(idle[-1])
                waiting.remove(step)
                busy[step.id] = idle.pop()
                busy[step.id].start(step)
            if not busy:
                break
            running(list(busy))
            worker, step_, outcome = events.get()
            if worker is None or step_ is None:
                log(str(outcome))
                continue
            idle.append(busy.pop(step_.id))
            if isinstance(outcome, RunnerError):
                errors[step_.id] = outcome
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                results[step_.id] = cast(T, outcome)
                tell(through=keep_going and bool(errors))
    finally:
        _end(workers, set(busy.values()))
    tell(through=True)
    if errors:
        raise Failed(errors, [step.id for step in waiting])


def _end(workers: Sequence[_Worker[Any]], busy: set[_Worker[Any]]) -> None:
    """Let every thread end; the steps that run are cancelled until they give up."""
    for worker in workers:
        worker.leave()
    for worker in busy:
        while worker.thread.is_alive():
            worker.runner.interrupt()
            worker.thread.join(_INSIST)
    for worker in workers:
        worker.thread.join()
