"""One trial: a run with a fault, what is judged after it, a plain rerun, and what is judged after that."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg

from tests.torture import faults, judge
from tests.torture.faults import Fault
from tests.torture.process import Runner, command, gone
from tests.torture.proxy import Boundary, Line, Proxy, numbered, saying
from tests.torture.worlds import Maker, World

# Seconds that a run may take to end by itself after a fault, and a rerun.
_ENDS, _RERUN = 90.0, 90.0
_PAUSE = 0.5


class Place(Protocol):
    """A server on which trials are made."""

    def create(self, template: str | None = None, *, full: bool = False) -> str: ...
    def drop(self, name: str) -> None: ...
    def on(self, name: str) -> str: ...
    def stop(self, how: str) -> None: ...
    def revive(self) -> None: ...
    def fill(self) -> None: ...
    def empty(self) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: where the fault struck (None: nowhere, the run was over), and what is wrong."""

    fault: Fault
    struck: str | None
    code: int | None
    wrong: tuple[str, ...]
    output: str
    seconds: float


class Trials:
    """Makes trials in `worlds`, all on one server."""

    def __init__(self, place: Place, maker: Maker, worlds: Mapping[str, World], folder: Path) -> None:
        self.place = place
        self._maker = maker
        self.worlds = worlds
        self._folder = folder

    def make(self, fault: Fault) -> Outcome:
        """Make one trial."""
        started = time.monotonic()
        world = self.worlds[fault.world]
        name = self.place.create(world.template, full=fault.kind == "disk")
        try:
            struck, code, output, wrong = self._judged(fault, world, self.place.on(name))
        finally:
            self.place.revive()
            self.place.drop(name)
        return Outcome(fault, struck, code, tuple(wrong), output, time.monotonic() - started)

    def _judged(self, fault: Fault, world: World, dsn: str) -> tuple[str | None, int | None, str, list[str]]:
        wrong: list[str] = []
        with Proxy(dsn) as proxy:
            strike = _Strike(fault, self.place, proxy, world.seconds)
            runner = self._runner(
                world, proxy.dsn, workers=fault.kind in faults.OF_LOCAL, spark=fault.kind in faults.OF_SPARK
            )
            strike.begin(runner)
            code = runner.wait(_ENDS)
            strike.end()
            output = runner.output()
            if code is None:
                wrong.append(f"the run has not ended after {_ENDS:.0f} s:\n{output}")
                runner.kill()
            if left := gone(strike.family, 10):
                wrong.append(f"processes of the dead go on: {[command(pid) for pid in left]}")
            self.place.empty()
            self.place.revive()
            with psycopg.connect(dsn, autocommit=True) as connection:
                # A server that hears nothing of the dead goes on waiting for them, and others must get on all the same.
                silent = fault.kind in faults.SILENT
                wrong += judge.sessions(connection, _ENDS, only_active=True) if silent else judge.sessions(connection)
                wrong += judge.moment(connection, world, code, output)
                wrong += self._rerun(world, dsn)
                if silent:
                    wrong += judge.tables(connection, world)
                    # What a network does at last: now the server knows, and the next run cleans up.
                    proxy.cut()
                    wrong += judge.sessions(connection)
                    wrong += self._rerun(world, dsn)
                wrong += judge.tables(connection, world)
                wrong += judge.leftovers(connection, world)
                wrong += judge.sessions(connection)
        struck = str(strike.struck) if strike.struck else None
        return struck, code, output, wrong

    def _runner(self, world: World, dsn: str, *, workers: bool = False, spark: bool = False) -> Runner:
        output = self._folder / f"{threading.get_ident()}-run.txt"
        output.unlink(missing_ok=True)
        engine = ["--engine", "spark", "--master", "local[2]"] if spark else ["--engine", "local"]
        arguments = ["apply", "--day", world.day, *engine, "--project", str(self._maker.project)]
        return Runner(arguments, self._maker.settings(dsn, world.data), output, workers=workers)

    def _rerun(self, world: World, dsn: str) -> list[str]:
        output = self._folder / f"{threading.get_ident()}-rerun.txt"
        output.unlink(missing_ok=True)
        arguments = ["apply", "--day", world.day, "--engine", "local", "--project", str(self._maker.project)]
        runner = Runner(arguments, self._maker.settings(dsn, world.data), output)
        code = runner.wait(_RERUN)
        if code is None:
            runner.kill()
        return [] if code == 0 else [f"the rerun ended with {code}:\n{runner.output()}"]


class _Strike:
    """Strikes once, at its place or its time; `family` are the processes that the runner had then."""

    def __init__(self, fault: Fault, place: Place, proxy: Proxy, seconds: float) -> None:
        self._fault = fault
        self.place = place
        self._proxy = proxy
        self._seconds = seconds
        self._ready = threading.Event()
        self._acting = threading.Lock()
        self._timer: threading.Timer | None = None
        self._helpers: list[threading.Thread] = []
        self._chance = random.Random(str(fault))
        self.struck: object = None
        self.family: list[int] = []
        if fault.percent is None:
            of_copies = fault.kind in faults.OF_WORKERS
            fits = saying("", line="runner copy", nth=fault.number) if of_copies else numbered(fault.number)
            proxy.trap(fits, fault.phase, self._act)

    def begin(self, runner: Runner) -> None:
        self._victim = runner
        self._ready.set()
        if self._fault.percent is not None:
            self._timer = threading.Timer(self._seconds * self._fault.percent / 100, self._by_time)
            self._timer.start()

    def end(self) -> None:
        """Strike no more, and wait until all that was begun is done: the server revived, the network going again."""
        self._proxy.disarm()
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        with self._acting:
            for helper in self._helpers:
                helper.join()

    def _by_time(self) -> None:
        lines = [line for line in self._proxy.lines if line.backend]
        if self._victim.runs() and lines:
            seen = self._proxy.seen[-1]
            self._act(lines[-1], seen)

    def _act(self, line: Line, boundary: Boundary) -> None:
        self._ready.wait()
        with self._acting:
            self.struck = boundary
            self.family = self._victim.family()
            getattr(self, f"_do_{self._fault.kind}")(line)

    def _do_runner(self, line: Line) -> None:
        self._victim.kill()

    def _do_driver(self, line: Line) -> None:
        self._do_runner(line)

    def _do_parent(self, line: Line) -> None:
        self._do_runner(line)

    def _do_backend(self, line: Line) -> None:
        self._by_admin("select pg_terminate_backend(%s)", line.backend)

    def _do_cut(self, line: Line) -> None:
        line.cut()

    def _do_vanish(self, line: Line) -> None:
        self._proxy.hang()
        self._do_runner(line)

    def _do_hang(self, line: Line) -> None:
        line.hang()

    def _do_deaf(self, line: Line) -> None:
        line.deafen()

    def _do_pause(self, line: Line) -> None:
        line.pause()
        self._later(line.resume, _PAUSE)

    def _do_crash(self, line: Line) -> None:
        if line.backend:
            with suppress(ProcessLookupError):
                os.kill(line.backend, signal.SIGKILL)

    def _do_immediate(self, line: Line) -> None:
        self.place.stop("immediate")
        self._later(self.place.revive, self._chance.choice([0.0, 0.3, 1.0]))

    def _do_postmaster(self, line: Line) -> None:
        self.place.stop("kill")
        self._later(self.place.revive, self._chance.choice([0.0, 0.3, 1.0]))

    def _do_disk(self, line: Line) -> None:
        self.place.fill()

    def _do_worker(self, line: Line) -> None:
        faults.kill_one(self.family, self._chance)

    def _do_jvm(self, line: Line) -> None:
        faults.kill_one([pid for pid in self.family if "java" in command(pid).split(" ")[0]], self._chance)

    def _do_pyworker(self, line: Line) -> None:
        faults.kill_one([pid for pid in self.family if "pyspark" in command(pid).split("java")[0]], self._chance)

    def _by_admin(self, statement: str, *values: object) -> None:
        with suppress(psycopg.Error), psycopg.connect(self._proxy.upstream, autocommit=True) as connection:
            connection.execute(statement.encode(), values)

    def _later(self, do: Callable[[], object], seconds: float) -> None:
        def work() -> None:
            time.sleep(seconds)
            do()

        self._helpers.append(threading.Thread(target=work))
        self._helpers[-1].start()
