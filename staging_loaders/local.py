"""The local engine: parts run in this process where there is little to read, else in a few processes beside it.

No Spark and no Java. What runs is the same as in Spark's workers, and what is large is read in as
many processes as there are processors. A worker that dies fails the load; none outlives us.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter
from types import TracebackType
from typing import Any

from runner.errors import LoadFailed, RunnerError
from runner.process import helper_environment
from staging_loaders.engine import Item, Result
from staging_loaders.split import Work

INLINE_WEIGHT = 32_000_000
"""Below this many bytes, a process reads them sooner than another one starts."""
_TICK_SECONDS = 0.5
_STOP_SECONDS = 5.0
# Not multiprocessing's way to begin, which imports the main program again: a notebook has none.
_BEGIN = (
    "import sys; from multiprocessing.connection import Connection; wire = Connection(int(sys.argv[1])); "
    "sys.path[:] = wire.recv(); from staging_loaders.local_worker import serve; serve(wire)"
)
_NOTHING_CHANGED = "Nothing was changed; try again."


class Local:
    """A context manager around at most `processes` workers, each started when it is first needed.

    Several threads may `run` at once; they share the workers.
    """

    name = "local"

    def __init__(self, processes: int | None = None, inline_weight: int = INLINE_WEIGHT) -> None:
        self._processes = processes or _processors()
        self._inline_weight = inline_weight
        self._inline: bool | None = None
        self._slots = threading.Semaphore(self._processes)
        self._idle: list[_Worker] = []
        self._guard = threading.Lock()
        self.start_seconds = 0.0

    def __enter__(self) -> Local:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def parallelism(self) -> int:
        return 1 if self._inline else self._processes

    def expect(self, work: Work) -> None:
        self._inline = work.weight < self._inline_weight

    def run(
        self, task: Callable[[Item], Result], items: Sequence[Item], tick: Callable[[], None] | None = None
    ) -> list[Result]:
        """Return `task` of each item, in order. `tick` is called in this thread, about twice a second between parts.

        An interrupt ends the workers. Raises LoadFailed with the reason where a part failed or a worker died.
        """
        if self._inline is not False:
            return _run_here(task, items, tick)
        results: dict[int, Result] = {}
        waiting = deque(enumerate(items))
        busy: dict[Any, tuple[_Worker, int]] = {}
        try:
            while waiting or busy:
                while waiting and (worker := self._take(wait=not busy)):
                    number, item = waiting.popleft()
                    busy[worker.wire] = worker, number
                    worker.send(task, item)
                for wire in _ready(busy):
                    worker, number = busy[wire]
                    results[number] = worker.result()
                    del busy[wire]
                    self._give_back(worker)
                if tick:
                    tick()
        except BaseException:
            for worker, _ in busy.values():
                worker.kill()
                self._slots.release()
            raise
        return [results[number] for number in range(len(items))]

    def stop(self) -> None:
        """End the workers, which have nothing to do; called when no part runs."""
        with self._guard:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.wire.close()  # by which it knows
        for worker in idle:
            worker.end()

    def _take(self, wait: bool) -> _Worker | None:
        """Return a worker with nothing to do; None where there is none, and none was to be had by waiting a little."""
        if not self._slots.acquire(timeout=_TICK_SECONDS if wait else 0):
            return None
        try:
            with self._guard:
                if self._idle:
                    return self._idle.pop()
            started = perf_counter()
            worker = _Worker()
            self.start_seconds += perf_counter() - started
            return worker
        except BaseException:
            self._slots.release()
            raise

    def _give_back(self, worker: _Worker) -> None:
        with self._guard:
            self._idle.append(worker)
        self._slots.release()


class _Worker:
    """A process that runs one part at a time, see local_worker.py; it ends when its wire is closed."""

    def __init__(self) -> None:
        from multiprocessing.connection import Connection

        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BEGIN, str(theirs.fileno())],
                env=helper_environment(os.environ),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                start_new_session=True,  # Ctrl-C is for us, and we tell the workers
            )
        self.wire: Connection[Any, Any] = Connection(ours.detach())
        with suppress(OSError):  # one that has died already tells why when it is asked for its result
            self.wire.send(sys.path)

    def send(self, task: Callable[[Any], Any], item: Any) -> None:
        with suppress(OSError):
            self.wire.send_bytes(pickle.dumps((task, item)))

    def result(self) -> Any:
        """Return what the task returned; LoadFailed where it raised, or the process has died."""
        try:
            done, value = self.wire.recv()
        except (EOFError, OSError):
            raise self._dead() from None
        if not done:
            raise _part_failed(value)
        return value

    def kill(self) -> None:
        self._process.kill()
        self.wire.close()
        self.end()

    def end(self) -> None:
        """Wait for the process, whose wire is closed, and insist where it does not end."""
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def _dead(self) -> LoadFailed:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        code = self._process.returncode or 0
        if code < 0:
            hint = "Nothing was changed. Is the machine short of memory? One page or file is held at a time."
            return LoadFailed(f"a process of the load was killed ({_signal(-code)})", hint=hint)
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1] if lines else f"it ended with {code}"
        return LoadFailed(f"a process of the load died: {reason}", hint=_NOTHING_CHANGED)


def _run_here(task: Callable[[Item], Result], items: Sequence[Item], tick: Callable[[], None] | None) -> list[Result]:
    results: list[Result] = []
    last = perf_counter()
    for item in items:
        try:
            results.append(task(item))
        except RunnerError:
            raise
        except Exception as error:
            raise _part_failed(told(error)) from error
        # Small parts take less time than telling of each.
        if tick and (len(results) == len(items) or perf_counter() - last >= _TICK_SECONDS):
            tick()
            last = perf_counter()
    return results


def _ready(busy: dict[Any, Any]) -> list[Any]:
    """Return the wires of those that have something to say, after half a second at most."""
    from multiprocessing.connection import wait

    return wait(list(busy), _TICK_SECONDS) if busy else []


def told(error: BaseException) -> str:
    """Return an error's kind and the first line of what it says."""
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _part_failed(reason: str) -> LoadFailed:
    return LoadFailed(f"a part of the load failed: {reason}", hint=_NOTHING_CHANGED)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _processors() -> int:
    """Return how many processors this process may use; a container may have fewer than its machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
