"""Deployments on a Prefect server: made once, kept as runner.toml declares them, removed where it drops them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from runner import config, logical_day
from runner.errors import ConfigError, UsageError
from tests.integration.conftest import Server

ROOT = Path(__file__).resolve().parents[2]

# What Prefect and its dependencies say of one another.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
]

TWO = """
[deployments.daily]
cron = "0 3 * * *"
timezone = "Europe/Berlin"
parameters = { wait = 60 }
concurrency_limit = 1

[deployments.often]
interval = "5min"
"""


class Project:
    """A project of one pipeline, whose name no other test has, and its deployments on the server."""

    def __init__(self, root: Path, client: Any) -> None:
        self.root = root
        self.client = client
        self.pipeline = f"p{uuid4().hex[:8]}"
        (root / "migrations" / self.pipeline).mkdir(parents=True)

    def declare(self, text: str) -> None:
        """Write runner.toml."""
        (self.root / "runner.toml").write_text(text, encoding="utf-8")

    @property
    def settings(self) -> config.Settings:
        return config.load({"project": str(self.root)}, environ={"RUNNER_HOME": str(self.root / "home")})

    def deploy(self, text: str | None = None, **given: Any) -> dict[str, str]:
        """Deploy, and return what became of each object; of ours the name is without the pipeline's."""
        from runner.flows.deploy import deploy

        if text is not None:
            self.declare(text)
        changes = deploy(self.client, self.settings, **given)
        short = {"deployment": f"{self.pipeline}_day_pipeline/", "automation": f"{self.pipeline}: "}
        return {change.name.removeprefix(short.get(change.kind, "")): change.what for change in changes}

    def read(self, name: str) -> Any:
        """Return the server's deployment."""
        return self.client.read_deployment_by_name(f"{self.pipeline}_day_pipeline/{name}")

    def names(self) -> list[str]:
        """Return the names of all deployments of the pipeline's day."""
        from prefect.client.schemas.filters import FlowFilter, FlowFilterName

        named = FlowFilter(name=FlowFilterName(any_=[f"{self.pipeline}_day_pipeline"]))
        return sorted(one.name for one in self.client.read_deployments(flow_filter=named))


@pytest.fixture
def project(tmp_path: Path, prefect_server: Server) -> Any:
    """A project with nothing on the server yet."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield Project(tmp_path, client)


AUTOMATION = "a run that is gone is marked crashed"


def test_twice(project: Project) -> None:
    """What is made once is found the second time: no deployment, schedule, pool or automation is doubled."""
    first = project.deploy(TWO)
    assert first == {project.pipeline: "created", "daily": "created", "often": "created", AUTOMATION: "created"}
    again = project.deploy()
    assert Counter(again.values()) == {"unchanged": 4}
    assert project.names() == ["daily", "often"]
    assert [len(project.read(name).schedules) for name in ("daily", "often")] == [1, 1]
    name = f"{project.pipeline}: {AUTOMATION}"
    assert len(project.client.read_automations_by_name(name)) == 1


def test_at_once(project: Project) -> None:
    """Of those who deploy at once, one makes what is not there, and the others find it."""
    project.declare(TWO)
    with ThreadPoolExecutor(3) as pool:
        # Which server is meant belongs to the context.
        deployed = [pool.submit(copy_context().run, project.deploy) for _ in range(3)]
    found = [Counter(one.result().values()) for one in deployed]
    assert sorted(found, key=lambda one: one["created"]) == [{"unchanged": 4}, {"unchanged": 4}, {"created": 4}]
    assert len(project.client.read_automations_by_name(f"{project.pipeline}: {AUTOMATION}")) == 1


def test_an_automation_that_is_there_twice(project: Project) -> None:
    """One that was made from two machines at once is one after the next deployment."""
    from runner.flows.automations import without_heartbeat

    project.deploy(TWO)
    project.client.create_automation(without_heartbeat(project.pipeline))
    project.deploy()
    (left,) = project.client.read_automations_by_name(f"{project.pipeline}: {AUTOMATION}")
    assert left.enabled
    assert Counter(project.deploy().values()) == {"unchanged": 4}


def test_two_checkouts_at_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another one makes at the same moment is one in the end; what it has removed already is gone."""
    create, delete = project.client.create_automation, project.client.delete_automation

    def twice(automation: Any) -> Any:
        create(automation)
        return create(automation)

    def again(id: Any) -> None:
        delete(id)
        delete(id)

    monkeypatch.setattr(project.client, "create_automation", twice)
    monkeypatch.setattr(project.client, "delete_automation", again)
    project.deploy(TWO)
    assert len(project.client.read_automations_by_name(f"{project.pipeline}: {AUTOMATION}")) == 1


def test_what_is_made(project: Project) -> None:
    """Schedule, zone, parameters, limit and tags are as declared; the run takes place in the project's folder."""
    project.deploy(TWO)
    daily = project.read("daily")
    (schedule,) = daily.schedules
    assert (schedule.slug, schedule.active) == ("runner", True)
    assert (schedule.schedule.cron, schedule.schedule.timezone) == ("0 3 * * *", "Europe/Berlin")
    assert daily.parameters == {"wait": 60}
    assert "day1 or 2026-01-05" in daily.parameter_openapi_schema["properties"]["day"]["description"], "for the page"
    assert daily.global_concurrency_limit.limit == 1
    assert set(daily.tags) == {"managed-by=runner", f"pipeline={project.pipeline}"}
    assert daily.entrypoint == f"runner.flows.entry.{project.pipeline}_day_pipeline"
    (step,) = daily.pull_steps
    assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(project.root)
    assert daily.work_pool_name == project.pipeline
    (interval,) = project.read("often").schedules
    assert interval.schedule.interval == timedelta(minutes=5)
    assert interval.schedule.anchor_date.minute == 0, "on the hour, whenever it was deployed"


def test_a_change(project: Project) -> None:
    """What changes in the file changes on the server, and nothing else; the schedule stays the same one."""
    project.deploy(TWO)
    before = project.read("daily")
    changed = project.deploy(TWO.replace("0 3 * * *", "0 4 * * *").replace("wait = 60", "wait = 90"))
    assert (changed["daily"], changed["often"]) == ("updated", "unchanged")
    after = project.read("daily")
    assert after.id == before.id
    assert after.schedules[0].id == before.schedules[0].id
    assert (after.schedules[0].schedule.cron, after.parameters) == ("0 4 * * *", {"wait": 90})
    assert after.global_concurrency_limit.limit == 1
    assert project.deploy()["daily"] == "unchanged"


def test_what_is_dropped(project: Project) -> None:
    """A deployment, schedule, limit or automation that the file has no more is gone from the server, too."""
    project.deploy(TWO)
    left = project.deploy("[deployments.daily]\ntimezone = 'Europe/Berlin'")
    assert (left["daily"], left["often"]) == ("updated", "removed")
    assert project.names() == ["daily"]
    daily = project.read("daily")
    assert (daily.schedules, daily.parameters, daily.global_concurrency_limit) == ([], {}, None)
    assert project.deploy("") == {"daily": "removed", AUTOMATION: "removed"}
    assert project.names() == []


def test_what_others_made(project: Project) -> None:
    """Deployments and schedules made by hand stay as they are; one with the name of ours is not taken over."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    project.deploy(TWO)
    flow = project.read("daily").flow_id
    project.client.create_deployment(flow, "by hand", tags=[f"pipeline={project.pipeline}"])
    extra = DeploymentScheduleCreate(schedule=CronSchedule(cron="0 12 * * *"), slug="noon")
    project.client.create_deployment_schedules(project.read("daily").id, [extra])
    assert set(project.deploy().values()) == {"unchanged"}
    project.deploy("[deployments.daily]")
    assert project.names() == ["by hand", "daily"]
    assert [schedule.slug for schedule in project.read("daily").schedules] == ["noon"]
    with pytest.raises(ConfigError) as raised:
        project.deploy("[deployments.new]\n[deployments.'by hand']")
    assert "was not made by runner deploy" in raised.value.message
    assert project.names() == ["by hand", "daily"], "all is checked before anything is changed"


def test_a_page_that_paused(project: Project) -> None:
    """What a person paused stays paused, unless the file says otherwise; so does a schedule that is off."""
    project.deploy(TWO)
    daily = project.read("daily")
    project.client.pause_deployment(daily.id)
    project.client.update_deployment_schedule(daily.id, daily.schedules[0].id, active=False)
    project.deploy(TWO.replace("wait = 60", "wait = 61"))
    after = project.read("daily")
    assert (after.paused, after.schedules[0].active) == (True, False)
    project.deploy(TWO.replace("[deployments.daily]", "[deployments.daily]\npaused = false"))
    assert project.read("daily").paused is False
    project.deploy("[deployments.daily]\npaused = true")
    assert project.read("daily").paused is True


def test_dry_run(project: Project) -> None:
    """A dry run tells what would become of each object, and changes none."""
    assert project.deploy(TWO, dry_run=True)["daily"] == "created"
    assert project.names() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "parameters = { dai = 'day1' }", "'dai', which the flow does not have (did you mean day?)", id="name"
        ),
        pytest.param("parameters = { load = 'sometimes' }", "load: 'sometimes' is not one of", id="value"),
        pytest.param("cron = '61 * * * *'", "has no schedule that Prefect takes, 61 * * * * UTC: ", id="cron"),
        pytest.param("cron = '0 3 31 2 *'", "31 2 * UTC: failed to find next date", id="cron that never comes"),
        pytest.param("rrule = 'FREQ=OFTEN'", "has no schedule that Prefect takes, FREQ=OFTEN UTC: ", id="rrule"),
        pytest.param("job_variables = { image = 'x' }", "'image', which work pool", id="variable of another type"),
        pytest.param("job_variables = { stream_output = 'often' }", "stream_output: 'often'", id="variable's value"),
        pytest.param(
            "job_variables = { env = { DATABASE_URL = 'postgresql://me:Kanarienvogel@host/db' } }",
            "env.DATABASE_URL holds a password",
            id="password",
        ),
        pytest.param(
            "work_pool = 'x'\n[work_pools.x]\ntype = 'dokcer'", "no type 'dokcer' (did you mean docker?)", id="type"
        ),
    ],
)
def test_what_prefect_would_not_take(project: Project, text: str, message: str) -> None:
    """What the flow, the schedule or the pool does not take is refused with its place, before anything is made."""
    with pytest.raises(ConfigError) as raised:
        project.deploy(f"[deployments.daily]\n{text}")
    assert message in raised.value.message
    assert "Kanarienvogel" not in f"{raised.value.message}{raised.value.hint}"
    assert project.names() == []


@pytest.mark.parametrize(
    ("type_", "variables"),
    [
        pytest.param("docker", '{ image = "warehouse:1", networks = ["lan"], mem_limit = "4g" }', id="docker"),
        pytest.param("kubernetes", '{ image = "warehouse:1", namespace = "data", cpu_limit = "2" }', id="kubernetes"),
    ],
)
def test_pools_of_containers(project: Project, type_: str, variables: str) -> None:
    """A pool of a type whose worker is not installed here is made by Prefect's template, its variables are checked."""
    name = f"{project.pipeline}-{type_}"
    secret = "env = { DATABASE_URL = '{{ prefect.blocks.secret.warehouse }}' }, "
    text = (
        f"[work_pools.{name}]\ntype = '{type_}'\nconcurrency_limit = 2\n[deployments.daily]\nwork_pool = '{name}'\n"
        f"directory = '/opt/warehouse'\njob_variables = {variables.replace('{ ', '{ ' + secret, 1)}"
    )
    assert project.deploy(text)[name] == "created"
    assert set(project.deploy().values()) == {"unchanged"}
    pool, daily = project.client.read_work_pool(name), project.read("daily")
    assert (pool.type, pool.concurrency_limit) == (type_, 2)
    assert daily.job_variables["image"] == "warehouse:1"
    (step,) = daily.pull_steps
    assert step["prefect.deployments.steps.set_working_directory"]["directory"] == "/opt/warehouse"
    with pytest.raises(ConfigError) as raised:
        project.deploy(text.replace(f"type = '{type_}'", "type = 'process'"))
    assert f"is of type {type_!r} on Prefect's server" in raised.value.message


def test_a_pool_that_nothing_uses(project: Project) -> None:
    """A work pool of an unknown type is refused before anything is changed, also where no deployment names it."""
    with pytest.raises(ConfigError, match=r"Prefect has no type 'proces'.*did you mean process"):
        project.deploy(f"{TWO}\n[work_pools.{project.pipeline}-b]\ntype = 'proces'")
    assert project.names() == []


def test_automation_for_runs_that_are_gone(project: Project) -> None:
    """A run of the pipeline that tells nothing for ten minutes is crashed; a person may switch that off for good."""
    project.deploy(TWO)
    name = f"{project.pipeline}: {AUTOMATION}"
    (made,) = project.client.read_automations_by_name(name)
    assert made.trigger.within == timedelta(minutes=10)
    assert made.trigger.match_related.model_dump() == {
        "prefect.resource.role": "tag",
        "prefect.resource.id": f"prefect.tag.pipeline={project.pipeline}",
    }
    (action,) = made.actions
    assert (action.type, action.state.value) == ("change-flow-run-state", "CRASHED")
    project.client.pause_automation(made.id)
    assert project.deploy()[AUTOMATION] == "unchanged"
    assert project.client.read_automations_by_name(name)[0].enabled is False


def run_of(**said: Any) -> Any:
    """Return a flow run as far as its day is concerned."""
    return SimpleNamespace(
        **{"auto_scheduled": True, "expected_start_time": datetime(2026, 1, 5, 20, tzinfo=UTC), **said}
    )


def in_zone(timezone: str | None) -> Any:
    """Return a schedule as far as a run's day is concerned."""
    return SimpleNamespace(schedule=SimpleNamespace(timezone=timezone))


def test_day_of_a_scheduled_run() -> None:
    """The day comes from the time for which the run was scheduled, in the zone of its schedule, else of the file."""
    from runner.flows.scheduled import scheduled_day

    rule = logical_day.Rule("Europe/Berlin")
    assert scheduled_day(run_of(), rule, in_zone("Asia/Tokyo")) == "2026-01-06"
    assert scheduled_day(run_of(), rule, in_zone(None)) == scheduled_day(run_of(), rule, None) == "2026-01-05"


def test_a_run_without_a_day() -> None:
    """A run that was given no day, and that no schedule gives one, is refused, not run for the day of the clock."""
    from runner.flows.scheduled import scheduled_day

    with pytest.raises(UsageError) as raised:
        scheduled_day(run_of(auto_scheduled=False), logical_day.Rule(), None)
    assert "no day is given" in raised.value.message
    assert "--param day=day1" in str(raised.value.hint)


def test_a_run_by_hand(project: Project) -> None:
    """A run by hand is for the day of its time in the deployment's schedule; without one it has none."""
    from prefect.client.schemas.schedules import CronSchedule

    from runner.flows.scheduled import schedule_of, scheduled_day

    project.deploy(TWO + "[deployments.hand]\n")
    daily = project.read("daily")
    other = CronSchedule(cron="0 0 * * *", timezone="Asia/Tokyo")
    project.client.create_deployment_schedules(daily.id, [(other, True)])
    run = project.client.create_flow_run_from_deployment(daily.id)
    schedule = schedule_of(project.client, run)
    assert schedule is not None and schedule.schedule.timezone == "Europe/Berlin"
    at = run_of(auto_scheduled=False, expected_start_time=datetime(2026, 1, 5, 23, 30, tzinfo=UTC))
    assert scheduled_day(at, logical_day.Rule(), schedule) == "2026-01-06"
    assert schedule_of(project.client, project.client.create_flow_run_from_deployment(project.read("hand").id)) is None


def command(*arguments: str, cwd: Path, **given: str) -> tuple[int, str, str]:
    """Run `runner`, or another program of this environment, with no Prefect server but the one that is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "PG"))}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(ROOT), "HOME": str(cwd), **given},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_no_server(tmp_path: Path) -> None:
    """Where no server is named and none runs, the error says how to have one: exit code 2."""
    (tmp_path / "migrations" / "demo").mkdir(parents=True)
    code, out, err = command("runner", "deploy", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert "error: no Prefect server is named, and none runs here" in err
    assert "runner serve" in err


@pytest.mark.long
def test_both_ways(project: Project, prefect_server: Server, tmp_path: Path) -> None:
    """The command makes them, and `prefect deploy --all` of the prefect.yaml finds and makes the same ones."""
    from runner import deployments
    from runner.flows import prefect_yaml

    project.declare(TWO + "\n[deployments.look]\nflow = 'freshness'\nrrule = 'FREQ=WEEKLY;BYDAY=MO'\npaused = true\n")
    code, out, err = command("runner", "deploy", "--json", cwd=tmp_path, **prefect_server.environment)
    assert code == 0, err
    assert {one["change"] for one in json.loads(out)} == {"created"}
    text = prefect_yaml.text(project.settings, deployments.read(project.settings))
    (tmp_path / "prefect.yaml").write_text(text, encoding="utf-8")
    for name in ("daily", "often"):
        project.client.delete_deployment(project.read(name).id)
    code, out, err = command("prefect", "--no-prompt", "deploy", "--all", cwd=tmp_path, **prefect_server.environment)
    assert code == 0, out + err
    assert set(project.deploy().values()) == {"unchanged"}


def test_shipped_prefect_yaml(tmp_path: Path) -> None:
    """prefect.yaml is what this project's runner.toml makes."""
    from runner import deployments
    from runner.flows import prefect_yaml

    settings = config.load({"project": str(ROOT)}, environ={})
    assert (ROOT / "prefect.yaml").read_text("utf-8") == prefect_yaml.text(settings, deployments.read(settings))
