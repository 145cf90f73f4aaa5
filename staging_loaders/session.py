"""One SparkSession a run, started when it is first needed and stopped with its JVM at the end.

Spark distributes the files; reading, typing and copying happen in its Python workers, so the
JVM is kept small: no UI, no SQL execution, a quick compiler and the simplest collector.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from runner import extras
from runner import master as masters
from runner.errors import ConfigError, LoadFailed
from staging_loaders import jvm, package, spark_faults, spark_settings, work_folder
from staging_loaders.engine import Engine, Inline, Item, Result

if TYPE_CHECKING:
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    from staging_loaders.split import Work

__all__ = ["Engine", "Inline", "Session"]

_TICK_SECONDS = 0.5
_LOG = "spark.log"
_STOP_SECONDS = 10.0
# What kills one JVM after another does not pass.
_RESTARTS = 1


@dataclass(frozen=True)
class _Death:
    """A JVM that died in the middle of a load: how, and whether it had asked for more heap."""

    gateway: Any
    how: str
    short_of_heap: bool


class Session:
    """A context manager around one lazily started SparkSession; if its JVM dies, another is started, once.

    `cache` is a folder for what is worth keeping between runs (see runner.java); `announce` is
    told when Spark starts, which takes seconds, and `note` what is to stay on the screen. `settings`
    are Spark's own (`spark.executor.memory`), stronger than ours. Under spark-submit the session is
    that of the JVM which spark-submit has started, on the master that it was given. `launch` is the
    command that starts the JVM, where it is not to be found out. `variables` of the environment, which may
    be secrets, go to a cluster's workers with each part, and so neither through Spark's settings, which its pages,
    files and command lines show, nor into the environment of its processes.
    """

    name = "spark"

    def __init__(
        self,
        master: str = "local[*]",
        cache: Path | None = None,
        name: str = "warehouse-runner",
        announce: Callable[[str], None] | None = None,
        *,
        note: Callable[[str], None] | None = None,
        settings: Mapping[str, str] | None = None,
        require_yarn: bool = False,
        launch: jvm.Launch | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.master = master
        self.name = name
        self._announce = announce
        self._note = note
        self._given = dict(settings or {})
        self._require_yarn = require_yarn
        self._launch = launch
        self._variables = dict(variables or {})
        self._cache = cache or Path(tempfile.gettempdir()) / "warehouse-runner"
        self._context: SparkContext | None = None
        self._spark: SparkSession | None = None
        self._gateway: Any = None
        self._work: Path | None = None
        self.start_seconds = 0.0
        self._starting = threading.Lock()  # tasks of a flow may ask from several threads
        self._deaths: list[_Death] = []

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def started(self) -> bool:
        return self._context is not None

    @property
    def spark(self) -> SparkSession:
        """The session, for SQL and data frames; loading needs only its context, which is up two seconds sooner."""
        context = self.context
        with self._starting:
            if self._spark is None:
                from pyspark.sql import SparkSession

                self._spark = SparkSession(context)
            return self._spark

    @property
    def context(self) -> SparkContext:
        """The session's context; the first call starts Spark, which takes seconds.

        Raises ConfigError without pyspark or Java, LoadFailed where Spark does not start.
        """
        return self._running()[0]

    def _running(self) -> tuple[SparkContext, Any]:
        """Return the context and the gateway to its JVM, started by the first call."""
        with self._starting:
            if self._context is None:
                if self._deaths and self._note:
                    self._note("starting another Spark in place of the one whose JVM died")
                started = time.perf_counter()
                self._context = self._start()
                self.start_seconds += time.perf_counter() - started
            return self._context, self._gateway

    @property
    def parallelism(self) -> int:
        if jvm.is_given():
            self.context  # noqa: B018 - only then the master is known
        if known := masters.cores(self.master):
            return known
        context, gateway = self._running()
        try:
            return int(context.defaultParallelism)
        except Exception as error:
            raise self._translated(error, gateway) from error

    def expect(self, work: Work) -> None:
        """Nothing depends on it: Spark reads what is little, too."""

    def run(
        self, task: Callable[[Item], Result], items: Sequence[Item], tick: Callable[[], None] | None = None
    ) -> list[Result]:
        """Return `task` of each item, in order, each run as a partition of one Spark job.

        Spark may run a part more than once. `tick` is called about twice a second, in this thread.
        An interrupt cancels the job. Raises LoadFailed with the reason where a part failed; a transient one
        where the JVM died, and the next call starts another.
        """
        if not items:
            return []
        context, gateway = self._running()
        outcome: list[list[Result]] = []
        failure: list[BaseException] = []
        tag = f"load-{id(outcome):x}"

        def work() -> None:
            try:
                context.addJobTag(tag)
                mapped = context.parallelize(list(items), len(items)).mapPartitions(_Each(task, self._travelling()))
                outcome.append(mapped.collect())
            except BaseException as error:
                failure.append(error)

        # In a thread of its own, since a call into the JVM cannot be interrupted.
        thread = threading.Thread(target=work, name=tag, daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_TICK_SECONDS)
                if tick:
                    tick()
        except BaseException:
            with suppress(Exception):  # what interrupted us counts, not whether Spark is still there
                context.cancelJobsWithTag(tag)
            thread.join(_STOP_SECONDS)
            raise
        if failure:
            raise self._translated(failure[0], gateway) from failure[0]
        return outcome[0]

    def _travelling(self) -> dict[str, str]:
        """Return the variables that the workers lack; on this machine they have them, and by a setting others."""
        if masters.is_local(self.master):
            return {}
        own = spark_settings.defaults() | self._given
        return {name: value for name, value in self._variables.items() if f"spark.executorEnv.{name}" not in own}

    def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """Stop Spark and its JVM, if they run, which ends itself within `seconds`; an interrupt waits for that."""
        with self._starting, jvm.deferred():
            self._end(seconds)

    def _end(self, seconds: float) -> None:
        if self._context is not None:
            _release(self._context)
            stopped: SparkSession | SparkContext = self._spark or self._context
            if jvm.is_dead(self._gateway):
                self._context._jsc = None  # a JVM that died cannot be asked to stop
                stopped = self._context
            with suppress(Exception):
                stopped.stop()
            self._spark = self._context = None
        if self._gateway is not None:
            jvm.end(self._gateway, seconds)
            self._gateway = None
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)
            self._work = None

    def _start(self) -> SparkContext:
        try:
            from pyspark import SparkConf, SparkContext
        except ImportError as error:
            raise ConfigError(
                f"loading needs Spark, which is not installed: {error}",
                hint=f"Install it: {extras.install('spark')}",
            ) from error
        given = jvm.is_given()
        launch = self._launch
        if not given:
            launch = self._prepare()
        if self._announce:
            self._announce("starting Spark …")
        self._work = work_folder.make()
        log = self._work / _LOG
        conf = SparkConf(loadDefaults=False)
        if not given:
            conf.setAll(list(spark_settings.settings(self.master, self.name, self._work, self._given).items()))
        # An interrupt between the start of the JVM and our knowing of it would leave the JVM behind.
        with jvm.deferred():
            try:
                # Spark's own words go to a file: they help nobody who waits for a load.
                self._gateway = jvm.start(conf, log, launch)
                if given:
                    conf = self._submitted(SparkConf(_jvm=self._gateway.jvm))
                context = SparkContext(conf=conf, gateway=self._gateway)
            except Exception as error:
                raise spark_faults.no_start(jvm.last_words(log) or str(error), self._given) from error
        try:
            self._started(context, given)
        except BaseException:
            context.stop()
            raise
        return context

    def _translated(self, error: BaseException, gateway: Any) -> LoadFailed:
        ended = jvm.how_ended(gateway, error)
        if ended is None:
            return spark_faults.of_part(str(getattr(error, "java_exception", None) or error))
        if jvm.is_given():
            return spark_faults.of_jvm(ended, short_of_heap=False, again=False)
        with self._starting, jvm.deferred():
            # Of several threads that were at work, the first to notice makes room for another JVM.
            if self._gateway is gateway:
                short = self._work is not None and jvm.was_short_of_heap(self._work / _LOG)
                self._deaths.append(_Death(gateway, ended, short))
                self._end(_STOP_SECONDS)
            number, death = next(
                ((number, death) for number, death in enumerate(self._deaths) if death.gateway is gateway),
                (_RESTARTS, _Death(gateway, ended, False)),
            )
        return spark_faults.of_jvm(death.how, death.short_of_heap, again=number < _RESTARTS)

    def _prepare(self) -> jvm.Launch | None:
        """Check what can be known before Java starts; return how to start it, None for the way of Spark's scripts."""
        from runner import java
        from staging_loaders import class_archive

        masters.check(self.master)
        if self._require_yarn:
            masters.require_yarn(self.master)
        masters.check_configuration(self.master, spark_settings.defaults() | self._given)
        masters.reach(self.master)
        os.environ["PYSPARK_PYTHON"] = spark_settings.python()
        os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
        launch = self._launch
        if launch is None and masters.is_local(self.master) and not spark_settings.needs_scripts(self._given):
            found = java.find()
            launch = class_archive.find(found) if found else None
        if launch is None:
            os.environ["JAVA_HOME"] = str(java.java_home(self._cache))
        return launch

    def _submitted(self, conf: SparkConf) -> SparkConf:
        """Return what spark-submit was told, and ours where it was told nothing."""
        assert self._work is not None
        self.master = conf.get("spark.master", self.master) or self.master
        for key, value in spark_settings.settings(self.master, self.name, self._work, self._given).items():
            conf.setIfMissing(key, value)
        return conf

    def _started(self, context: SparkContext, given: bool) -> None:
        """Look at what was really started, and hand our code to a cluster's workers."""
        if (server := getattr(context, "_accumulatorServer", None)) is not None:
            server.handle_error = lambda request, address: None  # a JVM that dies first would leave a traceback
        if self._require_yarn:
            masters.require_yarn(str(context.master))
        if given:
            return  # spark-submit has handed it over
        if not masters.is_local(self.master):
            assert self._work is not None
            context.addPyFile(str(package.write(self._work / "warehouse_runner.zip")))
        if self._note and context.uiWebUrl:
            self._note(f"Spark UI: {context.uiWebUrl}")


def _release(context: SparkContext) -> None:
    """Let the server of Spark's accumulators, of which loads have none, end by itself: it looks up once a second."""
    server = getattr(context, "_accumulatorServer", None)
    if server is not None:
        context._accumulatorServer = None  # type: ignore[assignment]
        threading.Thread(target=server.shutdown, name="accumulators", daemon=True).start()


class _Each:
    """`task` of each item of a partition; a class, so that it travels by name and not by value."""

    def __init__(self, task: Callable[[Any], Any], variables: Mapping[str, str]) -> None:
        self.task = task
        self.variables = variables

    def __call__(self, items: Iterable[Any]) -> Iterator[Any]:
        os.environ.update(self.variables)
        return map(self.task, items)

    def __repr__(self) -> str:  # variables may be secrets
        return f"_Each({self.task})"
