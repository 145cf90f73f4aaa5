"""`runner serve`: a Prefect server with its page, the project's deployments, and a worker that runs what is due."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from hashlib import blake2s
from pathlib import Path

import httpx
from prefect.client.orchestration import SyncPrefectClient

from runner import console, deployments, embedded, unexpected
from runner.commands.deploy import show
from runner.config import FILE, Settings
from runner.deployments import Declared, WorkPool
from runner.errors import RunnerError
from runner.flows import api, lost
from runner.flows.child import GRACE
from runner.flows.deploy import deploy
from runner.flows.page import PageServer, in_embedded
from runner.serving import Claim, Place

_LOOK = 0.5
_DATABASE_EVERY = 2.0
# A part that ends so often, each time within so many seconds, would go on doing so.
_TRIES, _SOON = 5, 30.0
_ROOT = str(Path(__file__).resolve().parent.parent.parent)
_STOPPED = "runner serve was stopped while this run went on. What was not committed is rolled back: run it again."
_KILLED = "The process of this run is gone. What was not committed is rolled back: run it again."

# For those of these that the environment does not have.
_WORKER = {
    # How often a worker looks for what is due, and its runs tell that they live.
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    # What the server answers while its database starts again. Without another try a run would stay pending for ever;
    # seven, each after twice the time, are four minutes.
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
    "PREFECT_CLIENT_MAX_RETRIES": "7",
}


def serve(settings: Settings, place: Place, claim: Claim) -> None:
    """Serve until a signal ends it; RunnerError for what keeps it from starting, or from going on.

    Prefect's surroundings are prepared (`api.prepare`), and the claim on the home is held.
    """
    declared = deployments.read(settings)
    with ExitStack() as stack:
        server, url = None, api.named()
        if url is None:
            server = stack.enter_context(PageServer(settings, place))
            console.note(f"starting Prefect's server at {server.url} …")
            server.wait()
            url = server.api_url
        client = stack.enter_context(api.reached(url, server.password if server else None))
        claim.announce(url)
        show([change for change in deploy(client, settings) if change.kind != "automation"])
        Serving(settings, place, declared, client, server, url).run()


class Serving:
    """What goes on between the start and the end: workers, each with its pool, and the server that is ours."""

    def __init__(
        self,
        settings: Settings,
        place: Place,
        declared: Declared,
        client: SyncPrefectClient,
        server: PageServer | None,
        url: str,
    ) -> None:
        self._settings = settings
        self._declared = declared
        self._client = client
        self._server = server
        self._url = url
        name = f"runner serve {socket.gethostname()} {blake2s(os.fsencode(settings.home), digest_size=4).hexdigest()}"
        pools = list(declared.work_pools) or [WorkPool(deployments.own_pool(settings))]
        self._patience = Patience()
        self._unmarked = ""  # why, so that it is said once
        self._answers = True
        self._database = KeptDatabase(settings) if server and in_embedded() else None
        self._elsewhere = [pool for pool in pools if pool.type != "process"]
        environment = self._environment()
        self._workers = [
            WorkerProcess(pool.name, name, place.limit, environment) for pool in pools if pool not in self._elsewhere
        ]

    def run(self) -> None:
        """Run what is due until a signal comes; then end all that was begun here."""
        marked = self._mark(self._workers, _KILLED)
        page = self._server.url if self._server else api.shown(self._url).removesuffix("/api")
        console.say(f"page: {page}")
        console.say(f"export PREFECT_API_URL={api.shown(self._url)}")
        if not self._declared.deployments:
            console.note(f"{FILE} declares no deployments: write [deployments.NAME] into it, then runner deploy")
        for pool in self._elsewhere:
            console.note(f"work pool {pool.name} needs a worker of its own: prefect worker start --pool {pool.name}")
        try:
            for worker in self._workers if marked else ():
                worker.start(self._server)
            console.note("serving; Ctrl-C stops it")
            if self._database:
                self._database.start()
            self._watch()
        except KeyboardInterrupt:
            console.note("\nstopping: runs that go on are ended, and what they have not committed is rolled back")
        finally:
            for worker in self._workers:
                worker.stop()
            if self._database:
                self._database.stop()
            # One that is only starting would be waited for; what is not marked now is when it is started again.
            if self._server is None or (self._answers and not self._server.ended):
                self._mark(self._workers, _STOPPED)

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK)
            if self._database:
                self._database.check()
            if self._server and self._server.ended:
                self._restart(self._server)
                continue  # the workers need it
            for worker in self._workers:
                # Not before its runs are marked: afterwards they could not be told from those of the next one.
                if worker.ended and self._mark([worker], _KILLED):
                    if worker.code is not None:
                        console.note(f"the worker of {worker.pool} ended with code {worker.code}; it is started again")
                    worker.start(self._server)

    def _restart(self, server: PageServer) -> None:
        self._patience.begin("Prefect's server", f"Its log is {server.home / 'server.log'}.")
        console.note("Prefect's server ended; it is started again")
        self._answers = False
        try:
            server.restart()
            server.wait()
        except (RunnerError, OSError) as error:  # its database may have gone, too, or the disk be full
            console.note(_message(error))
        else:
            self._answers = True

    def _mark(self, workers: list[WorkerProcess], why: str) -> bool:
        """Mark what these workers ran as crashed; return whether that is over, False where it is worth another try."""
        try:
            for worker in workers:
                for run in lost.mark(self._client, [worker.pool], worker.name, why):
                    console.note(f"marked as crashed: {run.name}")
        except httpx.HTTPError as error:
            if (said := str(error)) != self._unmarked:
                console.note(f"runs that are gone could not be marked as crashed: {error}")
            self._unmarked = said
            # What is refused is so again; the silence of these runs will tell.
            return isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
        self._unmarked = ""
        return True

    def _environment(self) -> dict[str, str]:
        """Return the environment of workers and runs, which has the warehouse's password, if there is one.

        Paths in it become absolute: the runs work in the project's folder.
        """
        given = {"PREFECT_API_URL": self._url}
        if self._server and self._server.password:
            given["PREFECT_API_AUTH_STRING"] = self._server.password
        paths = {"RUNNER_HOME": str(self._settings.home), "DATA_BASE_PATH": self._settings.data}
        if self._settings.rates and "FX_RATES_SOURCE" in os.environ:
            paths["FX_RATES_SOURCE"] = os.environ["FX_RATES_SOURCE"]
        given |= {name: _absolute(path) for name, path in paths.items() if name in os.environ}
        given["PYTHONPATH"] = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
        return {**_WORKER, **os.environ, **given}


class KeptDatabase:
    """Starts the embedded PostgreSQL again when it has ended, also while other parts are waited for: they need it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._failures: list[Exception] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="database", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def check(self) -> None:
        """Raise the last error where it does not start again and again: nothing can go on without it."""
        if len(failures := self._failures) >= _TRIES:
            raise failures[-1]

    def stop(self) -> None:
        """Look no more; a start that has begun is waited for, unless it hangs: no signal would end that."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(GRACE)

    def _keep(self) -> None:
        settings = self._settings
        while not self._stopped.wait(_DATABASE_EVERY):
            try:
                embedded.ensure_running(settings.home, settings.embedded_version, settings.embedded_port)
            except Exception as error:  # whatever it is, `check` has it told
                self._failures = [*self._failures, error]
                console.note(_message(error))
            else:
                self._failures = []


class Patience:
    """Counts how often a part was started; what ends again and again is not started for ever."""

    def __init__(self) -> None:
        self._starts: list[float] = []

    def begin(self, what: str, hint: str) -> None:
        """Count a start, and wait the longer the more there were; RunnerError for too many in a short time."""
        now = time.monotonic()
        recent = [start for start in self._starts if now - start < _TRIES * _SOON]
        if len(recent) == _TRIES:
            raise RunnerError(f"{what} ended {_TRIES} times in {_TRIES * _SOON:.0f} s", hint=hint)
        self._starts = [*recent, now]
        # What it lacks, such as its port or its database, may come back.
        time.sleep(2.0 ** len(recent) - 1)


class WorkerProcess:
    """The worker of a pool, as a process."""

    def __init__(self, pool: str, name: str, limit: int, environment: dict[str, str]) -> None:
        self.pool = pool
        self.name = name
        self._limit = limit
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._patience = Patience()

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._process is None or self._process.poll() is not None

    @property
    def code(self) -> int | None:
        """The exit code of the process that ended."""
        return self._process.returncode if self._process else None

    def start(self, server: PageServer | None) -> None:
        """Start it; RunnerError where it has ended too often, too soon."""
        self._patience.begin(f"the worker of {self.pool}", "Its last words are above.")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "runner.flows.worker", self.pool, self.name, str(self._limit)],
            stdin=subprocess.PIPE,
            # Progress; what `runner serve` itself has to say goes to standard output.
            stdout=sys.stderr,
            # It holds the server, so that runs can still tell how they ended when `runner serve` is killed.
            pass_fds=[server.pipe] if server else [],
            env=self._environment,
            # Ctrl-C in a terminal is for `runner serve`, which then ends the worker.
            start_new_session=True,
        )

    def stop(self) -> None:
        """End it and its runs, by force where that takes too long."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(GRACE + 10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _message(error: Exception) -> str:
    return (error if isinstance(error, RunnerError) else unexpected.translate(error)).message


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(Path(path).expanduser())
