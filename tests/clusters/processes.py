"""Java processes of a cluster on the loopback interface, and how to tell that they are up."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.java import java_home
from staging_loaders import class_archive
from staging_loaders.spark_settings import LEAN

_SECONDS = 300.0

JARS = class_archive._jars()


@dataclass
class Processes:
    """The processes of a cluster in a folder, which end with the `with` block that they were started in."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        java = java_home(self.folder)
        self.environment = {
            **os.environ,
            "JAVA_HOME": str(java),
            "SPARK_HOME": str(JARS.parent),
            "SPARK_SCALA_VERSION": "2.13",
            "SPARK_LOCAL_IP": "127.0.0.1",
            **self.environment,
        }

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, name: str, class_path: str, *words: str) -> subprocess.Popen[bytes]:
        """Start Java with the main class and arguments `words`; what it says goes to `<name>.log`."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [f"{self.environment['JAVA_HOME']}/bin/java", "-Xmx256m", *LEAN, "-cp", class_path, *words],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._stack.callback(_end, process)
        return process

    def wait(self, what: str, url: str, ready: Callable[[Any], bool]) -> None:
        """Wait until the JSON at `url` says what it should; AssertionError with the logs where it never does."""
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=10) as answer:
                if ready(json.load(answer)):
                    return
            time.sleep(0.1)
        logs = {path.name: path.read_text("utf-8", "replace")[-2000:] for path in self.folder.glob("*.log")}
        raise AssertionError(f"{what} does not start: {logs}")


def wait_until(what: str, holds: Callable[[], object], pause: float = 0.02) -> None:
    """Wait until something `holds`, looking again after `pause` seconds; AssertionError where it never does."""
    until = time.monotonic() + _SECONDS
    while not holds():
        if time.monotonic() > until:
            raise AssertionError(f"after {_SECONDS:.0f} s: not {what}")
        time.sleep(pause)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # a node manager takes its time to end, with nothing to save
    process.wait()


@contextlib.contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """Give so many ports that nobody listens on, different from one another.

    They lie below those that the kernel gives to whoever asks for any, who would take one before it is used.
    """
    ports: list[int] = []
    for port in random.sample(range(15_000, 32_000), 1_000):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.append(port)
        if len(ports) == count:
            break
    yield ports


def executors(folder: Path) -> list[int]:
    """Return the processes of Spark executors that work below `folder`: other clusters may have some, too."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().split(b"\0")
            is_one = any(word.endswith(b"ExecutorBackend") for word in words)
            if is_one and (path / "cwd").resolve().is_relative_to(folder):
                found.append(int(path.name))
    return found


def kill(pid: int) -> None:
    """Kill a process at once, if it still is."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
