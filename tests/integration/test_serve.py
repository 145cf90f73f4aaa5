"""`runner serve` as a process: from nothing to a scheduled pipeline, and to its end, which leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import blake2s
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psycopg
import pytest

from runner import embedded, serving
from runner.process import is_alive

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow]

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

# The day `slow` goes on until somebody ends it.
STEP = """
select pg_sleep(case when current_setting('app.day') like 'slow%' then 600 else 0 end);
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status
)
select current_setting('app.flow_run_id'), 'first_task', 'first', 'first', current_setting('app.day'), 1, 1, 'success';
"""
TOML = """
pipeline = "demo"

[deployments.often]
interval = "5s"
timezone = "Pacific/Kiritimati"
day_format = "d%Y%m%d"
concurrency_limit = 1
collision_strategy = "CANCEL_NEW"

[deployments.hand]
"""
ASLEEP = (
    "select pid from pg_stat_activity"
    " where query like '%pg_sleep(case%' and state = 'active' and pid <> pg_backend_pid()"
)


class Served:
    """A project, its home, and the `runner serve` that runs for it, if one does."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home
        self.lines: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        steps = folder / "migrations" / "demo"
        steps.mkdir(parents=True)
        (steps / "010_first.sql").write_text(STEP, encoding="utf-8")
        (folder / "runner.toml").write_text(TOML, encoding="utf-8")

    def command(self, *arguments: str, **given: str) -> list[str]:
        return [sys.executable, "-m", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "PG"))}
        return {**kept, "PYTHONPATH": str(ROOT), "HOME": str(self.folder), "RUNNER_HOME": str(self.home)}

    def start(self) -> None:
        """Start it, and return when it serves."""
        with (self.folder / "serve.log").open("a") as log:
            self.process = subprocess.Popen(
                self.command("runner", "serve", "--port", "0"),
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("export "):
                return
        raise AssertionError(self.log)

    @property
    def log(self) -> str:
        return (self.folder / "serve.log").read_text("utf-8")

    @property
    def api_url(self) -> str:
        return self.lines[-1].removeprefix("export PREFECT_API_URL=")

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None and self.process.stdout is not None
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code

    def run(self, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environment, **given},
            capture_output=True,
            text=True,
            check=False,
        )

    def asks(self, database: str, query: str) -> list[tuple[Any, ...]]:
        """Ask a database of the embedded server."""
        url = embedded.status(self.home).url.replace("/warehouse?", f"/{database}?")
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def until(self, database: str, query: str, seconds: float = 180) -> list[tuple[Any, ...]]:
        """Return the rows of a query as soon as it has some."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if rows := self.asks(database, query):
                    return rows
            except (psycopg.errors.UndefinedTable, psycopg.OperationalError):
                pass  # not yet
            time.sleep(0.1)
        code = self.process and self.process.poll()
        raise AssertionError(f"never came true: {query} (exit code {code})\n…{self.log[-8000:]}")

    def deployment(self, name: str) -> str:
        """Return the id of a deployment."""
        with urlopen(f"{self.api_url}/deployments/name/demo_day_pipeline/{name}", timeout=30) as answer:
            return str(json.load(answer)["id"])

    def post(self, deployment: str, what: str, body: dict[str, Any]) -> None:
        """Ask Prefect's server for something about a deployment, as its page does."""
        path = f"/deployments/{self.deployment(deployment)}/{what}"
        headers = {"Content-Type": "application/json"}
        urlopen(Request(self.api_url + path, json.dumps(body).encode(), headers), timeout=30).close()

    @property
    def worker(self) -> str:
        """The name of its worker."""
        return f"runner serve {socket.gethostname()} {blake2s(os.fsencode(self.home), digest_size=4).hexdigest()}"

    def states(self, day: str) -> list[str]:
        """Return the states of the runs of a day, as Prefect's server has them."""
        found = self.asks(
            "prefect",
            f"select state_name from flow_run where parameters ->> 'day' = '{day}' order by expected_start_time",
        )
        return [row[0] for row in found]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, reachable_folder: Path) -> Iterator[Served]:
    """A project that nobody has served yet."""
    import tempfile

    home = Path(tempfile.mkdtemp(dir=reachable_folder))
    home.chmod(0o711)
    served = Served(tmp_path_factory.mktemp("served"), home / "home")
    yield served
    if served.process is not None and served.process.poll() is None:
        served.end(signal.SIGTERM)
    embedded.reset(served.home)


@pytest.fixture
def served(made: Served) -> Served:
    """The project, with `runner serve` running."""
    if made.process is None or made.process.poll() is not None:
        made.start()
    return made


def test_what_is_due_is_run(served: Served) -> None:
    """A schedule of seconds makes runs; one is seen to its end, for the day of its scheduled time in its zone."""
    day, flow_run_id = served.until(
        "warehouse", "select day, flow_run_id from pipeline_metrics where status = 'success' and day like 'd%'"
    )[0]
    expected, parameters = served.until(
        "prefect",
        "select to_char(expected_start_time at time zone 'Pacific/Kiritimati', '\"d\"YYYYMMDD'), parameters ->> 'day'"
        f" from flow_run where id = '{flow_run_id}'",
    )[0]
    assert day == expected == parameters
    state, name = served.until(
        "prefect", f"select state_name, name from flow_run where id = '{flow_run_id}' and state_type = 'COMPLETED'"
    )[0]
    assert (state, name) == ("Completed", f"demo {day}")
    served.post("often", "pause_deployment", {})  # the next tests have the machine to themselves


def test_what_it_says(served: Served) -> None:
    """What was deployed, where the page is and how programs find the server stand on standard output."""
    assert any(line.endswith("deployment demo_day_pipeline/often  every 5 s") for line in served.lines)
    page = served.api_url.removesuffix("/api")
    assert f"page: {page}" in served.lines
    with urlopen(page, timeout=30) as answer:
        assert answer.status == 200
        assert b"<title>" in answer.read()
    with urlopen(f"{page}/ui-settings", timeout=30) as answer:
        assert json.load(answer)["api_url"] == served.api_url


@pytest.mark.skipif(BROWSER is None and os.environ.get("CI") != "true", reason="no chromium is installed")
def test_the_page_in_a_browser(served: Served, tmp_path: Path) -> None:
    """A browser shows a run with its day, its end and what its step did, and a deployment's fields with their help."""
    assert BROWSER is not None, "no chromium is installed"
    browser = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=15000"]

    def shows(path: str, *wanted: str) -> None:
        """Look at a page until its text has all that is wanted; scripts fill it as answers come."""
        command = [*browser, f"--user-data-dir={tmp_path}", "--dump-dom", served.api_url.removesuffix("/api") + path]
        deadline = time.monotonic() + 90
        text = ""
        while time.monotonic() < deadline and not all(each in text for each in wanted):
            dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
            text = " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", dom, flags=re.DOTALL).split())
        assert [each for each in wanted if each not in text] == [], text

    ended = "select id, name from flow_run where state_type = 'COMPLETED' and name like 'demo d2%'"
    flow_run_id, name = served.until("prefect", ended)[0]
    shows(f"/runs/flow-run/{flow_run_id}", name, "Completed", "day=", "Deployment often")
    help_ = "seconds to wait for another run that holds the day"
    shows(f"/deployments/deployment/{served.deployment('hand')}/run", help_)


def test_run_now(served: Served) -> None:
    """`prefect deployment run` runs a day, as does the page; a run without a day says what is missing."""
    named = {"PREFECT_API_URL": served.api_url}
    done = served.run("prefect", "deployment", "run", "demo_day_pipeline/hand", "--param", "day=day1", **named)
    assert done.returncode == 0, done.stdout + done.stderr
    served.until("warehouse", "select from pipeline_metrics where day = 'day1' and status = 'success'")
    served.post("hand", "create_flow_run", {})
    ((message,),) = served.until(
        "prefect",
        "select s.message from flow_run as r inner join flow_run_state as s on s.id = r.state_id"
        " where r.state_type = 'FAILED' and r.auto_scheduled is false",
    )
    assert "no day is given" in message


def test_deploy_finds_it(served: Served) -> None:
    """`runner deploy` needs no address where `runner serve` runs for the same home; all is there already."""
    done = served.run("runner", "deploy", "--json")
    assert done.returncode == 0, done.stderr
    assert {one["change"] for one in json.loads(done.stdout)} == {"unchanged"}


def test_a_second_one(served: Served) -> None:
    """A second one for the same home is refused with exit code 3 and told who the first is."""
    assert served.process is not None
    done = served.run("runner", "serve", "--port", "0")
    assert done.returncode == 3
    assert f"error: runner serve runs already for {served.home}: pid {served.process.pid}, " in done.stderr


def run_slow(served: Served, day: str) -> tuple[int, list[int]]:
    """Have a run that goes on; return its server process, and the processes of `runner serve`."""
    served.post("hand", "create_flow_run", {"parameters": {"day": day}})
    ((pid,),) = served.until("warehouse", ASLEEP)
    assert served.process is not None
    return pid, descendants(served.process.pid)


def descendants(pid: int) -> list[int]:
    """Return the processes that a process, or one that it started, has started."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [child for child, parent in pairs if parent == pid]
    return found + [below for child in found for below in descendants(child)]


def gone(pids: list[int], seconds: float = 60) -> bool:
    """Tell whether all processes end in time."""
    deadline = time.monotonic() + seconds
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not any(map(is_alive, pids))


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="terminated"),
        pytest.param(signal.SIGINT, id="ctrl-c", marks=pytest.mark.long),
    ],
)
def test_stopped(served: Served, number: signal.Signals) -> None:
    """It stops in order: the run's statement is cancelled, the run marked as crashed, no process left."""
    day = f"slow{number.name.lower()}"
    _, processes = run_slow(served, day)
    assert len(processes) >= 3, "a server, a worker and a run"
    assert served.end(number) == 0, served.log
    assert gone(processes, 5)
    assert served.asks("warehouse", ASLEEP) == []
    assert served.states(day) == ["Crashed"]
    assert serving.who(served.home) is None
    rows = served.asks("warehouse", f"select status, error_message from pipeline_metrics where day = '{day}'")
    assert rows == [("failure", "interrupted")]
    assert served.asks("warehouse", "select count(*) from runner_leases")[0] == (0,)


@pytest.mark.long
@pytest.mark.parametrize("whole", [pytest.param(False, id="alone"), pytest.param(True, id="with all its processes")])
def test_killed(served: Served, whole: bool) -> None:
    """Killed, it leaves no process; what still runs is marked as crashed, at the latest when it is started again."""
    day = f"slowkill{int(whole)}"
    _, processes = run_slow(served, day)
    for pid in processes if whole else ():
        os.kill(pid, signal.SIGKILL)
    assert served.end(signal.SIGKILL) == -signal.SIGKILL
    assert gone(processes)
    served.until("warehouse", f"select where not exists ({ASLEEP})")
    served.start()
    assert served.states(day) == ["Crashed"]


def part(served: Served, of: str) -> int:
    """Return the process of `runner serve` with these words in its command line, as soon as there is one."""
    assert served.process is not None
    listing = ["ps", "-A", "-ww", "-o", "pid=,args="]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines()
        ours = descendants(served.process.pid)
        if found := [pid for line in lines if of in line and (pid := int(line.split()[0])) in ours]:
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"no {of}: {served.log[-8000:]}")


@pytest.mark.long
@pytest.mark.parametrize("with_server", [pytest.param(False, id="alone"), pytest.param(True, id="with the server")])
def test_a_killed_worker(served: Served, with_server: bool) -> None:
    """Runs end with the worker that started them, and are marked as crashed; another worker takes over."""
    day = f"slowworker{int(with_server)}"
    run_slow(served, day)
    for pid in [part(served, of) for of in ("flows.worker", "flows.server")[: 1 + with_server]]:
        os.kill(pid, signal.SIGKILL)
    served.until("warehouse", f"select where not exists ({ASLEEP})")
    served.until("prefect", f"select from flow_run where parameters ->> 'day' = '{day}' and state_type = 'CRASHED'")
    served.post("hand", "create_flow_run", {"parameters": {"day": f"after{day}"}})
    served.until("warehouse", f"select from pipeline_metrics where day = 'after{day}' and status = 'success'")


@pytest.mark.long
def test_parts_that_end(served: Served) -> None:
    """A worker, a Prefect server or a PostgreSQL that ends is started again, and runs go on."""
    served.end(signal.SIGTERM)  # the tests before have used up its patience with workers
    served.start()
    known = served.log.count("it is started again")
    for number, of in enumerate(("flows.worker", "flows.server"), known):
        os.kill(part(served, of), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while served.log.count("it is started again") <= number and time.monotonic() < deadline:
            time.sleep(0.1)
        assert served.log.count("it is started again") > number, served.log[-8000:]
    # Without its database Prefect's server does not start, and where it runs already it answers with errors.
    for day in ("aftertwo", "afterone"):
        embedded.stop(served.home)
        served.until("prefect", "select 1")
        ask_for(served, day)
        served.until("warehouse", f"select from pipeline_metrics where day = '{day}' and status = 'success'")


def ask_for(served: Served, day: str) -> None:
    """Have a day run as soon as the server, which may still be coming back, takes it."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return served.post("hand", "create_flow_run", {"parameters": {"day": day}})
        time.sleep(0.1)
    raise AssertionError(f"{day} was not taken: {served.log[-8000:]}")
