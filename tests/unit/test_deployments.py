"""What runner.toml declares of deployments, and which day a scheduled time is for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runner import config, deployments, logical_day, serving
from runner.deployments import Declared
from runner.errors import AlreadyServed, ConfigError

ROOT = Path(__file__).resolve().parents[2]


def declared(folder: Path, text: str = "") -> Declared:
    """Return what a project of the pipelines `demo` and `other` declares."""
    for name in ("demo", "other"):
        (folder / "migrations" / name).mkdir(parents=True, exist_ok=True)
    (folder / "runner.toml").write_text(f'pipeline = "demo"\n{text}', encoding="utf-8")
    return deployments.read(config.load({"project": str(folder)}, environ={}))


def test_nothing_is_declared(tmp_path: Path) -> None:
    """A project without deployments has none, and no work pool."""
    assert declared(tmp_path) == Declared((), ())


def test_what_is_not_said(tmp_path: Path) -> None:
    """A deployment is of the project's pipeline, runs its days in UTC, in a pool of processes that has its name."""
    ((daily,), (pool,)) = (lambda found: (found.deployments, found.work_pools))(
        declared(tmp_path, '[deployments.daily]\ncron = "0 3 * * *"')
    )
    assert daily.full_name == "demo_day_pipeline/daily"
    assert daily.schedule is not None and (daily.schedule.cron, daily.schedule.timezone) == ("0 3 * * *", "UTC")
    assert daily.day == logical_day.Rule("UTC", "%Y-%m-%d", 0)
    assert (daily.directory, daily.paused) == (str(tmp_path), None)
    assert (pool.name, pool.type) == ("demo", "process")


def test_what_is_said(tmp_path: Path) -> None:
    """Name, flow, pipeline, schedule, parameters, place and limits are as the file says them."""
    found = declared(
        tmp_path,
        """
        [work_pools.cluster]
        type = "kubernetes"

        [deployments.fresh]
        name = "nightly look"
        flow = "freshness"
        pipeline = "other"
        interval = "90min"
        timezone = "Europe/Berlin"
        tags = ["team=data"]
        concurrency_limit = 2
        collision_strategy = "cancel_new"
        paused = true
        work_pool = "cluster"
        job_variables = { image = "warehouse:1" }
        """,
    )
    (one,) = found.deployments
    assert one.full_name == "other_freshness/nightly look"
    assert one.schedule is not None and one.schedule.interval == timedelta(minutes=90)
    assert (one.tags, one.concurrency_limit, one.collision_strategy) == (("team=data",), 2, "CANCEL_NEW")
    assert one.paused is True
    assert one.directory is None, "the image has its own folders"
    assert found.find("other_freshness", "nightly look") is one


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "[deployments.a]\ncrom = '0 3 * * *'", "deployments.a.crom is unknown (did you mean cron?)", id="key"
        ),
        pytest.param(
            "[deployments.a]\ncron = '0 3 * * *'\ninterval = '1h'",
            "deployments.a.interval stands beside cron",
            id="two",
        ),
        pytest.param("[deployments.a]\ninterval = 'often'", "deployments.a.interval is 'often'", id="interval"),
        pytest.param("[deployments.a]\ntimezone = 'Berlin'", "deployments.a.timezone is 'Berlin'", id="zone"),
        pytest.param("[deployments.a]\ntimezone = '../../etc'", "which is no zone", id="zone that is a path"),
        pytest.param("[deployments.a]\nflow = 'day'", "deployments.a.flow is 'day'", id="flow"),
        pytest.param("[deployments.a]\npipeline = 'x'", "deployments.a.pipeline names no pipeline", id="pipeline"),
        pytest.param("[deployments.a]\nname = 'a/b'", "deployments.a.name is 'a/b'", id="name"),
        pytest.param("[deployments.'a/b']", "is no name that Prefect takes", id="name of the table"),
        pytest.param('[deployments.a]\nname = "a\\u0000"', "which Prefect does not take", id="name that no line shows"),
        pytest.param("[deployments.a]\nwork_pool = 'a/b'", "deployments.a.work_pool is 'a/b'", id="name of a pool"),
        pytest.param("[work_pools.prefect-x]", "work_pools has 'prefect-x'", id="pool of Prefect's"),
        pytest.param("[deployments.a]\nday_offset = 99999999999", "day_offset is 99999999999", id="day far away"),
        pytest.param("[deployments.a]\ntags = 'x'", "deployments.a.tags is no list", id="tags"),
        pytest.param("[deployments.a]\nparameters = 3", "deployments.a.parameters is no table", id="parameters"),
        pytest.param("[deployments.a]\nconcurrency_limit = 0", "concurrency_limit is 0", id="limit"),
        pytest.param("[deployments.a]\nconcurrency_limit = 9999999999", "is 9999999999", id="limit beyond all"),
        pytest.param("[deployments.a]\npaused = 'no'", "deployments.a.paused is 'no'", id="paused"),
        pytest.param("[deployments.a]\ncollision_strategy = 'x'", "collision_strategy is 'X'", id="strategy"),
        pytest.param("[deployments.a]\nday_format = '%Y'", "the same for two days", id="format of a year"),
        pytest.param("[deployments.a]\nday_format = '%d/%m'", "no day's name", id="format that is no name"),
        pytest.param("[deployments]\na = 3", "deployments holds tables", id="no table"),
        pytest.param("[deployments.a]\n[deployments.b]\nname = 'a'", "declares demo_day_pipeline/a twice", id="twice"),
    ],
)
def test_what_cannot_be(tmp_path: Path, text: str, message: str) -> None:
    """What makes no sense is refused with the file, the key and what to write instead."""
    with pytest.raises(ConfigError) as raised:
        declared(tmp_path, text)
    assert message in raised.value.message
    assert str(tmp_path / "runner.toml") in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(
    ("scheduled", "zone", "day"),
    [
        pytest.param("2026-01-05T03:00:00Z", "UTC", "2026-01-05", id="utc"),
        pytest.param("2026-01-05T23:30:00Z", "Asia/Tokyo", "2026-01-06", id="ahead"),
        pytest.param("2026-01-05T03:00:00Z", "America/New_York", "2026-01-04", id="behind"),
        # In the night to 29 March 2026 Berlin goes from UTC+1 to UTC+2, on 25 October back.
        pytest.param("2026-03-28T22:59:00Z", "Europe/Berlin", "2026-03-28", id="before summer, evening"),
        pytest.param("2026-03-28T23:01:00Z", "Europe/Berlin", "2026-03-29", id="before summer, midnight"),
        pytest.param("2026-03-29T22:01:00Z", "Europe/Berlin", "2026-03-30", id="the short day ends at 22 h UTC"),
        pytest.param("2026-10-24T22:01:00Z", "Europe/Berlin", "2026-10-25", id="the long day begins"),
        pytest.param("2026-10-25T00:30:00Z", "Europe/Berlin", "2026-10-25", id="half past two, the first"),
        pytest.param("2026-10-25T01:30:00Z", "Europe/Berlin", "2026-10-25", id="half past two, the second"),
        pytest.param("2026-10-25T23:01:00Z", "Europe/Berlin", "2026-10-26", id="the long day ends at 23 h UTC"),
    ],
)
def test_day_of_a_scheduled_time(scheduled: str, zone: str, day: str) -> None:
    """The day is the date of the scheduled time in the schedule's zone, also where the clocks change."""
    assert logical_day.Rule(zone).of(datetime.fromisoformat(scheduled)) == day


def test_all_hours_of_a_day_are_one_day() -> None:
    """An hourly schedule reruns the same day until its midnight: 23, 24 or 25 times."""
    rule = logical_day.Rule("Europe/Berlin")
    start = datetime(2026, 3, 27, 23, tzinfo=UTC)
    days = [rule.of(start + timedelta(hours=hour)) for hour in range(24 * 3)]
    assert [days.count(day) for day in ("2026-03-28", "2026-03-29", "2026-03-30")] == [24, 23, 24]


def test_two_schedules_in_two_zones() -> None:
    """The zone of the schedule that made the run is stronger than the one that the file has now."""
    scheduled = datetime(2026, 1, 5, 20, tzinfo=UTC)
    rule = logical_day.Rule("Europe/Berlin")
    assert [rule.of(scheduled), rule.of(scheduled, "Asia/Tokyo")] == ["2026-01-05", "2026-01-06"]


@pytest.mark.parametrize(
    ("offset", "shape", "day"),
    [
        pytest.param(-1, "%Y-%m-%d", "2026-03-29", id="yesterday, a day of 23 hours"),
        pytest.param(-2, "%Y-%m-%d", "2026-03-28", id="the day before"),
        pytest.param(0, "%Y%m%d", "20260330", id="another format"),
        pytest.param(1, "day-%j", "day-090", id="tomorrow, counted in the year"),
    ],
)
def test_offset_and_format(offset: int, shape: str, day: str) -> None:
    """A day may lie days of the calendar before or behind the scheduled one, and be written as the files are named."""
    assert logical_day.Rule("Europe/Berlin", shape, offset).of(datetime(2026, 3, 29, 22, 30, tzinfo=UTC)) == day


def test_shipped_deployments() -> None:
    """This project declares its day daily and hourly, and a look at how fresh its tables are."""
    found = deployments.read(config.load({"project": str(ROOT)}, environ={}))
    assert [one.full_name for one in found.deployments] == [
        "zluri_day_pipeline/daily",
        "zluri_day_pipeline/hourly",
        "zluri_freshness/daily",
    ]


def serve(said: dict[str, Any], **flags: Any) -> serving.Place:
    """Return where `runner serve` is to serve by [serve] and flags."""
    settings = config.load({"project": str(ROOT)}, environ={})
    given = {"host": None, "port": None, "limit": None} | flags
    return serving.place(config.replace(settings, serve=said), **given)


def test_where_to_serve() -> None:
    """Flags are stronger than [serve], and that than the defaults: this machine only, port 4200."""
    assert serve({}) == serving.Place("127.0.0.1", 4200, 4)
    assert serve({"port": 4300, "limit": 1}, port=0) == serving.Place("127.0.0.1", 0, 1)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param({"ports": 1}, "unknown key 'serve.ports'", id="key"),
        pytest.param({"port": "4200"}, "serve.port in", id="text"),
        pytest.param({"port": 70000}, "there is no port 70000", id="port"),
        pytest.param({"limit": 0}, "0 runs at once", id="limit"),
        pytest.param({"host": ""}, "serve.host in", id="host"),
    ],
)
def test_where_nobody_serves(said: dict[str, Any], message: str) -> None:
    """What [serve] should not say is refused."""
    with pytest.raises(ConfigError) as raised:
        serve(said)
    assert message in raised.value.message


def test_one_serves_a_home(tmp_path: Path) -> None:
    """A second one is refused with exit code 3 and told who the first is; a free home has nobody."""
    assert serving.who(tmp_path) is None
    with serving.Claim(tmp_path) as claim:
        with pytest.raises(AlreadyServed) as raised, serving.Claim(tmp_path):
            pass
        assert "it is starting" in raised.value.message
        claim.announce("http://127.0.0.1:4200/api")
        with pytest.raises(AlreadyServed) as raised, serving.Claim(tmp_path):
            pass
        assert raised.value.exit_code == 3
        assert f"pid {os.getpid()}, http://127.0.0.1:4200, since " in raised.value.message
        served = serving.who(tmp_path)
        assert served is not None and served.api_url == "http://127.0.0.1:4200/api"
    assert serving.who(tmp_path) is None
    with serving.Claim(tmp_path):
        pass


def test_a_killed_one_serves_no_home(tmp_path: Path) -> None:
    """Who was killed has left its words behind, but not the lock."""
    code = (
        "import sys; from pathlib import Path; from runner import serving\n"
        "with serving.Claim(Path(sys.argv[1])) as claim:\n"
        "    claim.announce('http://127.0.0.1:1/api'); print('claimed', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"claimed\n"
        assert serving.who(tmp_path) is not None
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / "serve.json").exists()
    assert serving.who(tmp_path) is None
    with serving.Claim(tmp_path):
        pass
