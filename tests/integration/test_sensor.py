"""The file-arrival sensor: a run for each content, once, whatever happens on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import arrivals, cli, config, deployments, sensor
from runner.config import Settings
from runner.errors import DayNotFound, RunnerError, UsageError
from runner.sensor import Seen
from staging_loaders import s3
from tests import s3server
from tests.conftest import ROOT
from tests.flows import Ended, logged
from tests.s3server import KEYS, S3Server

# What Prefect and its dependencies say of one another.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
]

Connection = psycopg.Connection[tuple[Any, ...]]
DAY1 = ROOT / "tests" / "days" / "sync-day1"
AT_ONCE = {"settle": "0s"}


@pytest.fixture(autouse=True)
def _no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchange rates have tests of their own."""
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder in which day1 has arrived."""
    shutil.copytree(DAY1, tmp_path / "data" / "sync-day1")
    return tmp_path / "data"


@pytest.fixture
def settings(database: str, data: Path) -> Settings:
    """The shipped pipeline on that folder; what is there is taken as it is."""
    given = config.load({"project": str(ROOT), "data": str(data)}, environ={"DATABASE_URL": database})
    return replace(given, sensor=AT_ONCE)


@dataclass
class Runs:
    """Stands for an orchestrator: a run a key, `over` those that have ended, `asked` all that was asked for."""

    name: str = "flow/daily"
    over: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def is_over(self, key: str) -> bool:
        return key in self.over

    def run(self, day: str, key: str) -> str:
        self.asked.append((day, key))
        return f"run of {key}"


def look(settings: Settings, connection: Connection) -> dict[str, Seen]:
    found = sensor.look(settings, connection, arrivals.rules(settings))
    return {seen.arrival.day: seen for seen in found}


def sense(settings: Settings, connection: Connection, runs: Runs) -> list[str]:
    """Look once, ask for the runs of the days that are due, and return these days."""
    done = []
    for seen in sensor.write(settings, connection, list(look(settings, connection).values())):
        intent = sensor.intend(settings, connection, seen, runs)
        if intent is not None and sensor.ask(settings, connection, intent, runs.run) is not None:
            done.append(seen.arrival.day)
    return done


def states(settings: Settings, connection: Connection) -> dict[str, str]:
    return {day: sensor.state(seen) for day, seen in look(settings, connection).items()}


def rows(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute("select day, generation, status from arrivals order by day, generation").fetchall()


def put(data: Path, name: str, content: Any) -> None:
    path = data / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_each_content_once(settings: Settings, connection: Connection, data: Path) -> None:
    """A new day is run once; so is one of which a file was overwritten, came late or went, and one that was before."""
    runs = Runs()
    assert sense(settings, connection, runs) == ["day1"]
    assert sense(settings, connection, runs) == []
    page = data / "sync-day1" / "roles" / "extra.json"
    put(data, "sync-day1/roles/extra.json", [])
    assert states(settings, connection) == {"day1": "due"}
    assert sense(settings, connection, runs) == ["day1"]
    put(data, "sync-day1/roles/extra.json", [{"id": 4711, "name": "new"}])
    assert sense(settings, connection, runs) == ["day1"]
    # Back to what it was at first: that is not what was loaded last.
    page.unlink()
    assert sense(settings, connection, runs) == ["day1"]
    assert sense(settings, connection, runs) == []
    keys = [key for _, key in runs.asked]
    assert len(keys) == len(set(keys)) == 4
    assert keys[3] == keys[0].removesuffix("0") + "1"
    assert rows(connection) == [("day1", number, "triggered") for number in (1, 2, 3, 4)]


def test_days_in_any_order(settings: Settings, connection: Connection, data: Path) -> None:
    """There is no high-water mark: an earlier day that comes later is new all the same, with older files as well."""
    runs = Runs()
    shutil.copytree(DAY1, data / "sync-day20")
    assert sense(settings, connection, runs) == ["day1", "day20"]
    shutil.copytree(DAY1, data / "sync-day3")
    for path in (data / "sync-day3").rglob("*.json*"):
        os.utime(path, (0, 0))
    assert sense(settings, connection, runs) == ["day3"]


def test_a_day_that_is_arriving(settings: Settings, connection: Connection, data: Path) -> None:
    """A day waits until what it must have is there and nothing changes any more, by the clock of the database."""
    runs = Runs()
    patient = replace(settings, sensor={})
    shutil.move(data / "sync-day1" / "agents", data / "agents")
    found = look(patient, connection)["day1"]
    assert (sensor.state(found), found.decision.reason) == ("waits", "has no agents yet")
    assert sense(patient, connection, runs) == []
    shutil.move(data / "agents", data / "sync-day1" / "agents")
    assert look(patient, connection)["day1"].decision.reason == "may still be arriving: not left alone for 1 min yet"
    assert sense(patient, connection, runs) == []
    connection.execute("update arrivals set seen_at = seen_at - interval '1 min'")
    put(data, "sync-day1/roles/extra.json", [])
    assert sense(patient, connection, runs) == []
    assert rows(connection) == [("day1", 1, "seen")]
    connection.execute("update arrivals set seen_at = seen_at - interval '1 min'")
    assert sense(patient, connection, runs) == ["day1"]


def test_a_marker(settings: Settings, connection: Connection, data: Path) -> None:
    """Where a marker says that a day is whole, it waits for that; a marker is no file of the day's."""
    marked = replace(settings, sensor=AT_ONCE | {"marker": "_SUCCESS"})
    assert states(marked, connection) == {"day1": "waits"}
    before = look(marked, connection)["day1"].arrival
    (data / "sync-day1" / "_SUCCESS").touch()
    after = look(marked, connection)["day1"]
    assert (sensor.state(after), after.arrival.fingerprint) == ("due", before.fingerprint)


def test_a_lost_cursor(settings: Settings, connection: Connection, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its books the sensor asks for no run of what staging holds, and for one of what it does not."""
    runs = Runs()
    monkeypatch.setenv("DATABASE_URL", settings.database_url or "")
    assert cli.main(["apply", "--project", str(ROOT), "--data", str(data), "--day", "day1", "--engine", "local"]) == 0
    assert states(settings, connection) == {"day1": "loaded"}
    assert sense(settings, connection, runs) == []
    assert rows(connection) == [("day1", 1, "loaded")]
    put(data, "sync-day1/roles/extra.json", [])
    assert sense(settings, connection, runs) == ["day1"]
    connection.execute("truncate arrivals")
    # Its run is not over, and so it is the same one.
    assert sense(settings, connection, runs) == ["day1"]
    assert len(runs.asked) == 2 and len(set(runs.asked)) == 1
    # It has ended, and staging does not hold this content: it takes another one.
    connection.execute("truncate arrivals")
    runs.over.add(runs.asked[0][1])
    assert sense(settings, connection, runs) == ["day1"]
    assert len(set(runs.asked)) == 2


def test_a_pruned_day(settings: Settings, connection: Connection, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day that was run and pruned before the sensor looked is not run again; one that changes after that look is."""
    shutil.copytree(DAY1, data / "sync-day2")
    monkeypatch.setenv("DATABASE_URL", settings.database_url or "")
    for day in ("day1", "day2"):
        assert cli.main(["apply", "--project", str(ROOT), "--data", str(data), "--day", day, "--engine", "local"]) == 0
    assert cli.main(["prune", "--project", str(ROOT), "--keep", "1"]) == 0
    assert connection.execute("select distinct day from stg_loads").fetchall() == [("day2",)]
    assert states(settings, connection) == {"day1": "loaded", "day2": "loaded"}
    assert sense(settings, connection, Runs()) == []
    put(data, "sync-day1/roles/extra.json", [])
    assert sense(settings, connection, Runs()) == ["day1"]


def test_two_sensors(settings: Settings, connection: Connection, data: Path) -> None:
    """Sensors that look at the same moment ask for each run once."""
    for number in range(2, 13):
        shutil.copytree(DAY1, data / f"sync-day{number}")
    runs, start, faults = Runs(), threading.Barrier(4), []

    def work() -> None:
        try:
            with psycopg.connect(settings.database_url or "", autocommit=True) as own:
                found = list(look(settings, own).values())
                start.wait(60)
                for seen in sensor.write(settings, own, found):
                    intent = sensor.intend(settings, own, seen, runs)
                    if intent is not None:
                        sensor.ask(settings, own, intent, runs.run)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert sorted(day for day, _ in runs.asked) == sorted(f"day{number}" for number in range(1, 13))
    assert {status for _, _, status in rows(connection)} == {"triggered"}


def test_the_command(
    settings: Settings,
    connection: Connection,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`runner arrivals` shows what has come; --apply applies what is due, and goes on after a day that fails."""
    monkeypatch.setenv("DATABASE_URL", settings.database_url or "")

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["arrivals", "--project", str(ROOT), "--data", str(data), *arguments])
        return code, *capsys.readouterr()

    shutil.copytree(DAY1, data / "sync-day0")
    (data / "sync-day0" / "agents" / "broken.json").write_text("[")
    code, out, _ = run()
    assert code == 0 and out.endswith("\n2 waits\n")
    assert rows(connection) == []  # looking writes nothing
    code, out, err = run("--apply", "--settle", "0s", "--engine", "local")
    assert code == 1
    assert "day0" in err and "broken.json" in err and "Traceback" not in err
    assert "day1  step    040_transactions" in out
    assert rows(connection) == [("day0", 1, "triggered"), ("day1", 1, "triggered")]
    assert run("--apply", "--settle", "0s", "--engine", "local") == (0, "no day is due\n", "")
    code, out, _ = run("--json")
    (run_id,) = connection.execute("select distinct flow_run_id from stg_loads").fetchall()[0]
    assert [(one["day"], one["state"]) for one in json.loads(out)] == [("day0", "triggered"), ("day1", "triggered")]
    assert json.loads(out)[1]["flow_run_id"] == run_id
    (data / "sync-day0" / "agents" / "broken.json").unlink()
    code, out, _ = run("--apply", "--settle", "0s", "--engine", "local")
    assert code == 0 and "day0  step    040_transactions" in out


def test_a_day_that_another_run_holds(
    settings: Settings,
    connection: Connection,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A day that cannot be applied now is left to the next look, and the exit code says so."""
    from runner.lease import Lease

    monkeypatch.setenv("DATABASE_URL", settings.database_url or "")
    command = [
        "arrivals",
        "--project",
        str(ROOT),
        "--data",
        str(data),
        "--apply",
        "--settle",
        "0s",
        "--engine",
        "local",
    ]
    with Lease(settings.database_url or "", "zluri", "day1", "another-run"):
        assert cli.main(command) == 3
    assert "another-run" in capsys.readouterr().err
    assert rows(connection) == [("day1", 1, "triggering")]
    assert cli.main(command) == 0
    assert rows(connection) == [("day1", 1, "triggered")]


def test_what_cannot_be_watched(settings: Settings, connection: Connection, tmp_path: Path) -> None:
    """A folder that is not there and a pipeline that reads no files are named, with what to do."""
    with pytest.raises(DayNotFound, match="does not exist"):
        look(replace(settings, data=str(tmp_path / "none")), connection)
    with pytest.raises(UsageError, match="declares no entities"):
        look(replace(settings, project=tmp_path), connection)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 API on the loopback interface."""
    with s3server.running(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(
    aws: S3Server, settings: Settings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[tuple[Settings, str]]:
    """Settings of a bucket of the test's own in which day1 has arrived, and its name."""
    for name, value in {**KEYS, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    s3.forget()
    name = request.node.name.replace("_", "-")
    aws.upload(DAY1, name, "base/sync-day1/")
    yield replace(settings, data=f"s3a://{name}/base", s3_endpoint=aws.url, s3_region="us-east-1"), name
    s3.forget()


def test_a_bucket(bucket: tuple[Settings, str], aws: S3Server, connection: Connection) -> None:
    """In a bucket, too: whatever the order of uploads; an object that is overwritten with other content is new."""
    settings, name = bucket
    client, runs = aws.client(), Runs()
    client.put_object(Bucket=name, Key="base/sync-day1/", Body=b"")
    client.put_object(Bucket=name, Key="base/other/sync-day7/agents/a.json", Body=b"[]")
    client.put_object(Bucket=name, Key="base/sync-day1/nobody/a.json", Body=b"[]")
    before = len(aws.requests())
    assert sense(settings, connection, runs) == ["day1"]
    assert [one["method"] for one in aws.requests()[before:]] == ["GET"]  # one listing, no request a file
    aws_page = client.get_object(Bucket=name, Key="base/sync-day1/roles/" + role_page())["Body"].read()
    client.put_object(Bucket=name, Key="base/sync-day1/roles/" + role_page(), Body=aws_page)
    assert sense(settings, connection, runs) == []  # the same content again
    client.put_object(Bucket=name, Key="base/sync-day1/roles/" + role_page(), Body=aws_page + b"\n")
    assert sense(settings, connection, runs) == ["day1"]
    # A name before all others, uploaded last.
    client.put_object(Bucket=name, Key="base/sync-day1/agents/000.json", Body=b"[]")
    client.put_object(Bucket=name, Key="base/sync-day0/agents/a.json", Body=b"[]")
    assert sense(settings, connection, runs) == ["day1"]
    assert states(settings, connection) == {"day0": "waits", "day1": "triggered"}


def role_page() -> str:
    return sorted(path.name for path in (DAY1 / "roles").iterdir())[0]


def test_an_empty_bucket(bucket: tuple[Settings, str], aws: S3Server, connection: Connection) -> None:
    """A prefix below which nothing is yet is one in which nothing has arrived."""
    settings, name = bucket
    assert look(replace(settings, data=f"s3a://{name}/nothing"), connection) == {}


@pytest.fixture
def deployment(prefect_server: Any) -> Iterator[str]:
    """A deployment for which nobody works: its runs stay scheduled."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        flow = client.create_flow_from_name("zluri_day_pipeline")
        made = client.create_deployment(flow, f"sensed-{os.urandom(4).hex()}", enforce_parameter_schema=False)
        name = f"zluri_day_pipeline/{client.read_deployment(made).name}"
        yield name
        client.delete_deployment(made)


def runs_of(deployment: str) -> list[Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    with get_client(sync_client=True) as client:
        wanted = DeploymentFilter(name=DeploymentFilterName(any_=[deployment.partition("/")[2]]))
        return list(client.read_flow_runs(deployment_filter=wanted))


def test_the_flow(deployment: str, settings: Settings, connection: Connection, data: Path) -> None:
    """The flow asks for a run of the deployment with the day, shows which days are due, and asks once."""
    from runner.flows.sensor import file_arrival_pipeline

    shutil.copytree(DAY1 / "roles", data / "sync-day2" / "roles")
    flow = file_arrival_pipeline(replace(settings, sensor=AT_ONCE | {"deployment": deployment}))
    ended = Ended(flow(return_state=True))
    (asked,) = ended.state.result()
    (run,) = runs_of(deployment)
    assert (asked["day"], asked["flow_run_id"]) == ("day1", str(run.id))
    assert (run.name, run.parameters) == ("zluri day1", {"day": "day1"})
    assert set(run.tags) == {"pipeline=zluri", "env=dev", "day=day1"}
    assert ended.run.name == "zluri file arrival"
    assert {"pipeline=zluri", "env=dev"} <= set(ended.run.tags)
    assert "zluri: 1 due, 1 waits" in logged(ended.id)
    (artifact,) = ended.artifacts()
    shown = [(row["day"], row["state"], row["why"], row["run"]) for row in json.loads(artifact.data)]
    assert (artifact.key, artifact.description) == ("zluri-arrivals", "zluri: 1 triggered, 1 waits")
    assert shown == [
        ("day1", "triggered", "new", str(run.id)),
        ("day2", "waits", "has no admin_groups and no agents and no transactions yet", ""),
    ]
    assert Ended(flow(return_state=True)).state.result() == []
    assert len(runs_of(deployment)) == 1


def test_no_such_deployment(prefect_server: Any, settings: Settings, connection: Connection) -> None:
    """A deployment that is not there fails the flow, with what to do; the run is asked for once there is one."""
    from runner.flows.sensor import file_arrival_pipeline

    ended = Ended(file_arrival_pipeline(settings)(deployment="zluri_day_pipeline/none", return_state=True))
    assert ended.state.is_failed() and "no deployment 'zluri_day_pipeline/none'" in str(ended.error)
    assert any("runner deploy" in line for line in logged(ended.id))
    assert rows(connection) == [("day1", 1, "triggering")]


def test_no_server(prefect_server: Any, settings: Settings) -> None:
    """Where Prefect's server is away, that may pass; the run is asked for by its key when it is back."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from runner.flows.sensor import Deployment

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    target = Deployment(settings, "zluri_day_pipeline/daily", {})
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
        for ask in (lambda: target.is_over("key"), lambda: target.run("day1", "key")):
            with pytest.raises(RunnerError, match="Prefect's server does not answer") as caught:
                ask()
            assert caught.value.transient


KILLED = """
import os, signal, sys
from dataclasses import replace
from runner import arrivals_book, config
from runner.flows import sensor

project, data, deployment = sys.argv[1:]
settings = replace(
    config.load({"project": project, "data": data}), sensor={"settle": "0s", "deployment": deployment}
)
kill = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)

def after(work):
    return lambda *given: (work(*given), kill())

points = {
    "before the intent": (arrivals_book, "intend", kill),
    "after the intent": (arrivals_book, "intend", after(arrivals_book.intend)),
    "after the run": (sensor.Deployment, "run", after(sensor.Deployment.run)),
}
for name, (where, what, work) in points.items():
    child = os.fork()
    if not child:
        setattr(where, what, work)
        sensor.file_arrival_pipeline(settings)()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    print(name, os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.mark.slow
def test_killed(prefect_server: Any, deployment: str, settings: Settings, connection: Connection, data: Path) -> None:
    """However often the sensor is killed, and wherever between its books and the run, there is one run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "PG"))}
    outcome = subprocess.run(
        [sys.executable, "-c", KILLED, str(ROOT), str(data), deployment],
        cwd=ROOT,
        env={**kept, **prefect_server.environment, "DATABASE_URL": settings.database_url or ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    points = ("before the intent", "after the intent", "after the run")
    assert outcome.stdout.splitlines() == [f"{point} {-signal.SIGKILL}" for point in points]
    assert len(runs_of(deployment)) == 1
    assert rows(connection) == [("day1", 1, "triggering")]

    from runner.flows.sensor import file_arrival_pipeline

    flow = file_arrival_pipeline(replace(settings, sensor=AT_ONCE | {"deployment": deployment}))
    (asked,) = Ended(flow(return_state=True)).state.result()
    (run,) = runs_of(deployment)
    assert asked["flow_run_id"] == str(run.id)
    assert rows(connection) == [("day1", 1, "triggered")]


def test_the_page(settings: Settings, connection: Connection, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/sensor.md shows is taken: each command, and what stands in runner.toml."""
    page = (ROOT / "docs" / "sensor.md").read_text("utf-8")
    commands = [line.partition("#")[0].split()[1:] for line in page.splitlines() if line.startswith("runner ")]
    assert len(commands) == 4
    monkeypatch.setenv("DATABASE_URL", settings.database_url or "")
    for command in commands:
        assert cli.main([*command, "--project", str(ROOT), "--data", str(data)]) == 0, command
    assert rows(connection) == [("day1", 1, "seen")]  # its files came just now
    said = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])
    rules = arrivals.rules(replace(settings, sensor=said["sensor"]))
    assert rules == arrivals.Rules(marker="_SUCCESS", deployment="zluri_day_pipeline/daily")
    declared = deployments.read(replace(settings, deployments=said["deployments"]))
    assert [one.full_name for one in declared.deployments] == ["zluri_file_arrival/arrivals"]
