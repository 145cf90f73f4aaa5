"""One SparkSession a run, started when it is first needed and stopped with its JVM at the end.

Spark distributes the files; reading, typing and copying happen in its Python workers, so the
JVM is kept small: no UI, no SQL execution, a quick compiler and the simplest collector.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from runner import extras
from runner.errors import ConfigError, LoadFailed
from runner.process import is_alive

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOCAL = re.compile(r"local(?:\[(\*|[1-9]\d*)(?:,\s*\d+)?\])?")
_TICK_SECONDS = 0.5
_WORK = "warehouse-spark-"
_STOP_SECONDS = 10


class Engine(Protocol):
    """What runs the parts of a load, each somewhere, all of them once or more."""

    @property
    def parallelism(self) -> int:
        """How many parts run at a time."""

    def run(
        self, task: Callable[[Item], Result], items: Sequence[Item], tick: Callable[[], None] | None = None
    ) -> list[Result]:
        """Return `task` of each item, in order; `tick` is called now and then meanwhile."""


class Inline:
    """Runs the parts one after another in this process: no Spark, no Java."""

    parallelism = 1

    def run(
        self, task: Callable[[Item], Result], items: Sequence[Item], tick: Callable[[], None] | None = None
    ) -> list[Result]:
        results = []
        for item in items:
            results.append(task(item))
            if tick:
                tick()
        return results


class Session:
    """A context manager around one lazily started SparkSession.

    `cache` is a folder for what is worth keeping between runs (see runner.java); `announce` is
    told when Spark starts, which takes seconds.
    """

    def __init__(
        self,
        master: str = "local[*]",
        cache: Path | None = None,
        name: str = "warehouse-runner",
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self.master = master
        self.name = name
        self._announce = announce
        self._cache = cache or Path(tempfile.gettempdir()) / "warehouse-runner"
        self._context: SparkContext | None = None
        self._spark: SparkSession | None = None
        self._gateway: Any = None
        self._work: Path | None = None
        self._starting = threading.Lock()  # tasks of a flow may ask from several threads

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
        with self._starting:
            if self._context is None:
                self._context = self._start()
            return self._context

    @property
    def parallelism(self) -> int:
        local = _LOCAL.fullmatch(self.master)
        if local is None:
            return int(self.context.defaultParallelism)
        return (os.cpu_count() or 1) if local[1] == "*" else int(local[1] or 1)

    def run(
        self, task: Callable[[Item], Result], items: Sequence[Item], tick: Callable[[], None] | None = None
    ) -> list[Result]:
        """Return `task` of each item, in order, each run as a partition of one Spark job.

        Spark may run a part more than once. `tick` is called about twice a second, in this thread.
        An interrupt cancels the job. Raises LoadFailed with the reason where a part failed.
        """
        if not items:
            return []
        context = self.context
        outcome: list[list[Result]] = []
        failure: list[BaseException] = []
        tag = f"load-{id(outcome):x}"

        def work() -> None:
            try:
                context.addJobTag(tag)
                mapped = context.parallelize(list(items), len(items)).mapPartitions(_Each(task))
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
            raise _translated(failure[0]) from failure[0]
        return outcome[0]

    def stop(self) -> None:
        """Stop Spark and its JVM, if they run; an interrupt waits until they have."""
        with self._starting, _deferred():
            if self._context is not None:
                with suppress(Exception):  # a JVM that died already cannot be asked to stop
                    (self._spark or self._context).stop()
                self._spark = self._context = None
            if self._gateway is not None:
                _end_jvm(self._gateway)
                self._gateway = None
            if self._work is not None:
                shutil.rmtree(self._work, ignore_errors=True)
                self._work = None

    def _start(self) -> SparkContext:
        try:
            from pyspark import SparkConf, SparkContext
            from pyspark.java_gateway import launch_gateway
        except ImportError as error:
            raise ConfigError(
                f"loading needs Spark, which is not installed: {error}",
                hint=f"Install it: {extras.install('spark')}",
            ) from error
        from runner import master
        from runner.java import java_home

        master.reach(master.check(self.master))
        if self._announce:
            self._announce("starting Spark …")
        os.environ["JAVA_HOME"] = str(java_home(self._cache))
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
        _sweep()
        self._work = Path(tempfile.mkdtemp(prefix=f"{_WORK}{os.getpid()}-"))
        log = self._work / "spark.log"
        conf = SparkConf(loadDefaults=False).setAll(list(self._settings(self._work).items()))
        # An interrupt between the start of the JVM and our knowing of it would leave the JVM behind.
        with _deferred():
            try:
                # Spark's own words go to a file: they help nobody who waits for a load.
                with log.open("wb") as stream:
                    self._gateway = launch_gateway(  # type: ignore[no-untyped-call]
                        conf, popen_kwargs={"stdout": stream, "stderr": stream}
                    )
                return SparkContext(conf=conf, gateway=self._gateway)
            except Exception as error:
                raise LoadFailed(
                    f"Spark does not start: {_last_words(log) or error}",
                    hint="Check Java and memory with: runner doctor",
                ) from error

    def _settings(self, work: Path) -> dict[str, str]:
        root = str(Path(__file__).resolve().parent.parent)
        settings = {
            "spark.master": self.master,
            "spark.app.name": self.name,
            "spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
            # A cancelled task has nothing to finish: the whole day is given up.
            "spark.python.task.killTimeout": "100ms",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.catalogImplementation": "in-memory",
            "spark.sql.shuffle.partitions": "4",
            "spark.sql.warehouse.dir": (work / "warehouse").as_uri(),
        }
        if _LOCAL.fullmatch(self.master):
            settings |= {
                "spark.driver.host": "localhost",
                "spark.driver.bindAddress": "127.0.0.1",
                "spark.driver.memory": "512m",
                "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData "
                "-Xshare:auto -Duser.timezone=UTC",
                "spark.local.dir": str(work),
            }
        return settings


class _Each:
    """`task` of each item of a partition; a class, so that it travels by name and not by value."""

    def __init__(self, task: Callable[[Any], Any]) -> None:
        self.task = task

    def __call__(self, items: Iterable[Any]) -> Iterator[Any]:
        return map(self.task, items)


def _translated(error: BaseException) -> BaseException:
    """Return the error of a part as LoadFailed with the worker's own reason, which Spark wraps twice."""
    text = str(getattr(error, "java_exception", None) or error)
    reasons = re.findall(r"^([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|[a-z]Failed|Unavailable)\w*: .+)$", text, re.M)
    python = [reason for reason in reasons if not reason.startswith(("org.apache", "java."))]
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("Traceback", "\t"))]
    reason = (python or reasons or lines or ["no reason given"])[-1]
    return LoadFailed(f"a part of the load failed: {reason}", hint="Nothing was changed; try again.")


@contextmanager
def _deferred() -> Iterator[None]:
    """Raise an interrupt only at the end of the block: in a call into the JVM, py4j would print a traceback."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: caught.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # nohup
    }
    try:
        yield
    finally:
        # SparkContext takes the handler of Ctrl-C for itself; it belongs to the program.
        for number, handler in before.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])


def _sweep() -> None:
    """Remove the work folders of runs that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_WORK}[0-9]*-*"):
        pid = folder.name.removeprefix(_WORK).partition("-")[0]
        with suppress(OSError, ValueError):
            if folder.stat().st_uid == os.getuid() and not is_alive(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)


def _last_words(log: Path) -> str | None:
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    told = [
        line.strip()
        for line in lines
        if line.strip() and not line.startswith(("WARNING:", "\tat", "Using Spark")) and " WARN " not in line
    ]
    return told[0] if told else None


def _end_jvm(gateway: Any) -> None:
    """End the JVM of `gateway`, and let pyspark forget it, so that a later session starts its own."""
    from pyspark import SparkContext

    with suppress(Exception):
        gateway.shutdown()
    process = gateway.proc
    if process is not None:
        with suppress(OSError):
            process.stdin.close()  # the JVM ends when this pipe does
        try:
            process.wait(_STOP_SECONDS)
        except Exception:
            process.kill()
            process.wait()
    if SparkContext._gateway is gateway:
        SparkContext._gateway = None
        SparkContext._jvm = None
