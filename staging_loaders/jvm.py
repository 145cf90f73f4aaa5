"""Spark's JVM: how it is started and ended, and what it said last."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from runner.process import helper_environment
from staging_loaders import spark_settings

_PORT, _SECRET = "PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET"
_POLL_SECONDS = 0.01
_START_SECONDS = 120.0
_STOP_SECONDS = 10.0
_DEATH_SECONDS = 5.0
_WORDS_LINES = 3

_LOGGED = re.compile(r"[0-9/]{8} [0-9:]{8} [A-Z]+ \S+: ")
_THROWN = re.compile(r"[\w.$]+(?:Exception|Error)\b")


@dataclass(frozen=True)
class Launch:
    """A `java` command line without Spark's own scripts, which start a JVM to find out how to start the JVM.

    `options` come before the class path, whose entries are in order; `archive` is what they name of classes.
    """

    java: Path
    archive: Path
    options: tuple[str, ...]
    class_path: tuple[str, ...]

    def command(self, memory: str) -> list[str]:
        """Return the words that start the side of Spark that Python talks to, with a heap of `memory`."""
        paths = os.pathsep.join(self.class_path)
        main = "org.apache.spark.api.python.PythonGatewayServer"
        return [str(self.java), f"-Xmx{memory}", *self.options, "-cp", paths, main]


def is_given() -> bool:
    """Tell whether spark-submit started this process, and so the JVM before it."""
    return _PORT in os.environ


def start(conf: Any, log: Path, launch: Launch | None = None) -> Any:
    """Return the gateway to a JVM: the one given by spark-submit, or else a new one, whose words go to `log`.

    `launch` names the command; without it Spark's scripts are used, and `conf` goes to them.
    Raises OSError or pyspark's own errors where the JVM does not start.
    """
    from pyspark import SparkConf
    from pyspark.java_gateway import launch_gateway

    logging.getLogger().addFilter(_is_news)
    if is_given():
        return launch_gateway(conf)  # type: ignore[no-untyped-call]
    with log.open("wb") as stream:
        if launch is None:
            named = SparkConf(loadDefaults=False)
            named.setAll(list(spark_settings.of_command_line(dict(conf.getAll())).items()))
            return launch_gateway(named, popen_kwargs={"stdout": stream, "stderr": stream})  # type: ignore[no-untyped-call]
        command = launch.command(conf.get("spark.driver.memory", "1g"))
        process, port, secret = _launched(command, stream, log.parent)
    # pyspark joins a JVM that is named here. What else this process starts is not to find it.
    os.environ.update({_PORT: str(port), _SECRET: secret})
    try:
        gateway = launch_gateway(conf)  # type: ignore[no-untyped-call]
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        del os.environ[_PORT], os.environ[_SECRET]
    gateway.proc = process
    return gateway


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether a record of the root logger says what nobody else does; what py4j logs there, it raises as well."""
    return record.funcName != "send_command"


def _launched(command: list[str], log: Any, work: Path) -> tuple[subprocess.Popen[bytes], int, str]:
    """Start the JVM and return it with the port and the secret that it writes into a file.

    That is in the session's folder `work`, which the next session removes where this one is killed.
    """
    folder = Path(tempfile.mkdtemp(prefix="gateway-", dir=work))
    try:
        told = folder / "told"
        process = subprocess.Popen(
            command,
            env=_environment({"_PYSPARK_DRIVER_CONN_INFO_PATH": str(told)}),
            stdin=subprocess.PIPE,  # the JVM ends when this pipe does
            stdout=log,
            stderr=log,
            # Ctrl-C is for us, who then end the JVM.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )
        until = time.monotonic() + _START_SECONDS
        while not told.exists():
            if process.poll() is not None:
                raise OSError(f"Java ended with code {process.returncode}")
            if time.monotonic() > until:
                process.kill()
                process.wait()
                raise OSError(f"Java did not start within {_START_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)
        content = told.read_bytes()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    port, length = struct.unpack_from(">ii", content)
    return process, port, content[8 : 8 + length].decode()


def _environment(more: dict[str, str]) -> dict[str, str]:
    # With SPARK_HOME, workers import pyspark from a zip file of sources, which they compile each time.
    kept = {name: value for name, value in helper_environment(os.environ).items() if name != "SPARK_HOME"}
    return kept | {"SPARK_CONNECT_MODE": "0"} | more


def end(gateway: Any, seconds: float = _STOP_SECONDS) -> None:
    """End the JVM of `gateway`, unless it was given, and let pyspark forget it, so that a session can start another."""
    from pyspark import SparkContext

    process = gateway.proc
    if process is not None:
        with suppress(Exception):
            gateway.shutdown()
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(seconds)
        except Exception:
            process.kill()
            process.wait()
    if SparkContext._gateway is gateway and process is not None:
        SparkContext._gateway = None
        SparkContext._jvm = None


def is_dead(gateway: Any) -> bool:
    """Tell whether the JVM of `gateway` was started here, and has ended."""
    return gateway is not None and gateway.proc is not None and gateway.proc.poll() is not None


def how_ended(gateway: Any, error: BaseException) -> str | None:
    """Return how the JVM of `gateway` has ended, by which `error` came about; None where it still runs."""
    from py4j.protocol import Py4JNetworkError

    if not is_dead(gateway) and not isinstance(error, (ConnectionError, Py4JNetworkError)):
        return None
    if gateway is None or gateway.proc is None:
        return "it does not answer"
    try:
        code = gateway.proc.wait(_DEATH_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    if code >= 0:
        return f"it ended with code {code}"
    with suppress(ValueError):
        return f"it was killed, {signal.Signals(-code).name}"
    return f"it was killed, signal {-code}"


def was_short_of_heap(log: Path) -> bool:
    """Tell whether a JVM's log says that its heap was too small."""
    return any("java.lang.OutOfMemoryError" in line for line in _lines(log))


def last_words(log: Path) -> str | None:
    """Return what of a JVM's log may say why it did not start: what came first, or what that was caused by."""
    lines = _lines(log)
    start = next((number for number, line in enumerate(lines) if _says_something(line)), None)
    if start is None:
        return None
    first, *rest = lines[start:]
    if first.startswith("Exception in thread"):
        causes = [line.removeprefix("Caused by: ") for line in rest if line.startswith("Caused by: ")]
        return causes[-1] if causes else first
    told = [_LOGGED.sub("", first)]
    if _LOGGED.match(first) or _THROWN.match(first):
        # The exception that was logged, and the other lines of what it says.
        told += takewhile(lambda line: line.strip() and not line.startswith("\t") and not _LOGGED.match(line), rest)
    return ": ".join(line.strip().rstrip(".") for line in told[:_WORDS_LINES])


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def _says_something(line: str) -> bool:
    return (
        bool(line.strip())
        and not line.startswith(("WARNING:", "\tat", "Using Spark", "Setting default log", "To adjust logging", "["))
        and not any(word in line for word in (" WARN ", " INFO ", ": Error initializing SparkContext"))
    )


@contextmanager
def deferred() -> Iterator[None]:
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
