"""Spark's JVM: how it is started and ended, and what it said last."""

from __future__ import annotations

import os
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
from pathlib import Path
from typing import Any

_PORT, _SECRET = "PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET"
_POLL_SECONDS = 0.01
_STOP_SECONDS = 10.0


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
    from pyspark.java_gateway import launch_gateway

    if is_given():
        return launch_gateway(conf)  # type: ignore[no-untyped-call]
    with log.open("wb") as stream:
        if launch is None:
            return launch_gateway(conf, popen_kwargs={"stdout": stream, "stderr": stream})  # type: ignore[no-untyped-call]
        process, port, secret = _launched(launch.command(conf.get("spark.driver.memory", "1g")), stream)
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


def _launched(command: list[str], log: Any) -> tuple[subprocess.Popen[bytes], int, str]:
    """Start the JVM and return it with the port and the secret that it writes into a file."""
    folder = Path(tempfile.mkdtemp(prefix="warehouse-gateway-"))
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
        while not told.exists():
            if process.poll() is not None:
                raise OSError(f"Java ended with code {process.returncode}")
            time.sleep(_POLL_SECONDS)
        content = told.read_bytes()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    port, length = struct.unpack_from(">ii", content)
    return process, port, content[8 : 8 + length].decode()


def _environment(more: dict[str, str]) -> dict[str, str]:
    # With SPARK_HOME, workers import pyspark from a zip file of sources, which they compile each time.
    kept = {name: value for name, value in os.environ.items() if name != "SPARK_HOME"}
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


def last_words(log: Path) -> str | None:
    """Return the first line of a JVM's log that may say why it ended."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    told = [
        line.strip()
        for line in lines
        if line.strip()
        and not line.startswith(("WARNING:", "\tat", "Using Spark", "Setting default log", "To adjust logging", "["))
        and not any(word in line for word in (" WARN ", " INFO ", ": Error initializing SparkContext"))
    ]
    return told[0] if told else None


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
