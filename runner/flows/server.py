"""A Prefect server for those who have none: a private one for the length of a run, or one with a page.

Prefect's own temporary server goes on when its parent is killed. This one reads a pipe of which
the parent holds the other end: however the parent goes, the pipe closes, and the server with it.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from runner.errors import RunnerError
from runner.process import helper_environment

_START_SECONDS = 120
_STOP_SECONDS = 5
_ROOT = str(Path(__file__).resolve().parent.parent.parent)

WITHOUT_TRIGRAMS = "RUNNER_PREFECT_WITHOUT_TRIGRAMS"
"""The environment variable that says that the server's PostgreSQL lacks the extension pg_trgm."""

# Nothing is sent home, and only what needs a person's attention is said.
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(_START_SECONDS),
}


class PrivateServer:
    """A server on a free port of 127.0.0.1 with a password of its own; a context manager.

    It keeps its database in `home`. Entering returns at once; `wait` returns when the server answers.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.password = f"runner:{secrets.token_urlsafe(24)}"
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._url = ""

    @property
    def api_url(self) -> str:
        """Where the server answers."""
        return f"{self._url}/api"

    def __enter__(self) -> Self:
        # Bound here and handed over: nobody can take the port in between.
        with self._listener() as listener:
            self._log = self._open_log()
            self._url = "http://{}:{}".format(*listener.getsockname()[:2])
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runner.flows.server", str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[listener.fileno()],
                env={**self._inherited(), **QUIET, **self._environment()},
                # Ctrl-C in a terminal is for the run, which still has to report how it ended.
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        try:
            if process is not None:
                _end(process)
        finally:
            if self._log is not None:
                self._log.close()

    def wait(self) -> None:
        """Return when the server answers; RunnerError, with its last words, where it does not start."""
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with urlopen(f"{self.api_url}/health", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except (HTTPError, URLError, OSError):
                pass  # not yet
            if self._process.poll() is not None:
                raise self._failed(f"ended with exit code {self._process.returncode}")
            if time.monotonic() > deadline:
                self._process.kill()  # started again it may do better
                raise self._failed(f"did not answer within {_START_SECONDS} s")
            time.sleep(0.05)

    def drain(self) -> None:
        """Send what Prefect still holds back of logs and events, while there is a server to send it to."""
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        APILogWorker.drain_all(timeout=_STOP_SECONDS)
        EventsWorker.drain_all(timeout=_STOP_SECONDS)

    def _listener(self) -> socket.socket:
        return socket.create_server(("127.0.0.1", 0))

    def _open_log(self) -> IO[bytes]:
        return tempfile.TemporaryFile()

    @staticmethod
    def _inherited() -> dict[str, str]:
        # It has a database of its own, and nothing to do with the warehouse.
        return {name: value for name, value in helper_environment(os.environ).items() if name != "PGPASSWORD"}

    def _environment(self) -> dict[str, str]:
        return {
            "PREFECT_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")])),
            "PREFECT_SERVER_API_AUTH_STRING": self.password,
            "PREFECT_SERVER_UI_ENABLED": "false",
            # What Prefect tells its own temporary server: no page, few services.
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
        }

    def _failed(self, how: str) -> RunnerError:
        assert self._log is not None
        self._log.seek(0)
        words = [line for line in self._log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        reason = f": {words[-1].strip()}" if words else ""
        return RunnerError(
            f"Prefect's server {how}{reason}",
            hint=self._advice(),
        )

    def _advice(self) -> str:
        return f"Name a server of yours with PREFECT_API_URL, or remove {self.home} and try again."


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server, by force where it takes long; how the run went is not for it to say."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOP_SECONDS * 2)
    except BaseException as error:
        process.kill()
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise


def serve(fd: int) -> None:
    """Serve Prefect's API on the listening socket `fd` until standard input ends."""
    import uvicorn

    if os.environ.get(WITHOUT_TRIGRAMS):
        _leave_out_trigrams()
    config = uvicorn.Config(
        "prefect.server.api.server:create_app", factory=True, fd=fd, log_level="error", lifespan="on"
    )
    server = uvicorn.Server(config)

    def watch() -> None:
        os.read(0, 1)  # ends when the parent does; sys.stdin would not let the interpreter go
        server.should_exit = True
        time.sleep(_STOP_SECONDS)
        os._exit(1)  # open connections and services had their time

    threading.Thread(target=watch, name="parent", daemon=True).start()
    server.run()


def _leave_out_trigrams() -> None:
    """Let the migrations make no trigram index: they only speed up searching names on the page."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    trigrams = re.compile(r"gin_trgm_ops|extension\s.*\bpg_trgm\b", re.IGNORECASE | re.DOTALL)

    def leave_out(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:
        return ("select 1" if trigrams.search(statement) else statement), parameters

    event.listen(Engine, "before_cursor_execute", leave_out, retval=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
