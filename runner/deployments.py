"""What runs when and where, as runner.toml declares it: [deployments.NAME] and [work_pools.NAME].

Read without Prefect, so that what is wrong is known before a server is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from runner import config, durations, logical_day
from runner.config import FILE, Settings
from runner.errors import ConfigError
from runner.relation import suggestion

FLOWS = {
    "day_pipeline": "runner.flows.day:day_pipeline",
    "freshness": "runner.flows.freshness:freshness_pipeline",
    "backfill": "runner.flows.backfill:backfill_pipeline",
    "file_arrival": "runner.flows.sensor:file_arrival_pipeline",
}
"""The kinds of flow that a pipeline has, and the function that makes one from settings."""

COLLISIONS = ("ENQUEUE", "CANCEL_NEW")
_SCHEDULES = ("cron", "interval", "rrule")
_KEYS = (
    "name", "flow", "pipeline", "description", *_SCHEDULES, "timezone", "day_format", "day_offset", "parameters",
    "tags", "concurrency_limit", "collision_strategy", "paused", "work_pool", "job_variables", "directory",
)  # fmt: skip
_NOT_IN_NAMES = "/%&<>"
_NAMES = "Leave out / % & < > and what cannot be printed."
# What Prefect's database takes for a number.
_MOST = 2**31 - 1
# A day that is further away was no shift of days, and years end at 9999.
_FAR = 3660


@dataclass(frozen=True)
class Schedule:
    """When a deployment runs: one of cron, interval and rrule, in a zone of the IANA's database."""

    cron: str | None
    interval: timedelta | None
    rrule: str | None
    timezone: str

    def __str__(self) -> str:
        if self.interval is not None:
            whole = self.interval.total_seconds() % 60 == 0
            return f"every {durations.shown(self.interval) if whole else f'{self.interval.total_seconds():g} s'}"
        return f"{self.cron or self.rrule} {self.timezone}"


@dataclass(frozen=True)
class Deployment:
    """A flow with its schedule, parameters and place.

    `paused` is None where the file leaves it to the page. `directory` is the project's folder where the run takes
    place, None for the one that the image begins in; `project` is the project's here.
    """

    name: str
    flow: str
    pipeline: str
    schedule: Schedule | None
    day: logical_day.Rule
    work_pool: str
    directory: str | None
    project: str
    description: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    concurrency_limit: int | None = None
    collision_strategy: str = "ENQUEUE"
    paused: bool | None = None
    job_variables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def flow_name(self) -> str:
        return f"{self.pipeline}_{self.flow}"

    @property
    def full_name(self) -> str:
        """What Prefect knows it by: `zluri_day_pipeline/daily`."""
        return f"{self.flow_name}/{self.name}"


@dataclass(frozen=True)
class WorkPool:
    """Where runs take place: a pool of Prefect's of this type (process, docker, kubernetes …)."""

    name: str
    type: str = "process"
    concurrency_limit: int | None = None


@dataclass(frozen=True)
class Declared:
    """All that runner.toml declares, in its order."""

    deployments: tuple[Deployment, ...]
    work_pools: tuple[WorkPool, ...]

    def find(self, flow_name: str, name: str) -> Deployment | None:
        """Return the deployment that Prefect calls `flow_name/name`."""
        return next((one for one in self.deployments if (one.flow_name, one.name) == (flow_name, name)), None)


def read(settings: Settings) -> Declared:
    """Return what runner.toml declares; ConfigError for what it should not say, `path: key` first."""
    where = str(settings.project / FILE)
    pools = {name: _pool(name, table, where) for name, table in _tables(settings.work_pools, "work_pools", where)}
    found = [
        _deployment(key, table, settings, pools, where)
        for key, table in _tables(settings.deployments, "deployments", where)
    ]
    named: dict[str, Deployment] = {}
    for one in found:
        if one.full_name in named:
            raise ConfigError(f"{where} declares {one.full_name} twice", hint="Give one of them another name.")
        named[one.full_name] = one
        pools.setdefault(one.work_pool, WorkPool(one.work_pool))
    return Declared(tuple(found), tuple(pools.values()))


def own_pool(settings: Settings) -> str:
    """Return the name of the work pool that `runner serve` works for, where none is named."""
    return settings.pipeline or settings.project.name


def _tables(said: Any, section: str, where: str) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(said, Mapping) or not all(isinstance(one, Mapping) for one in said.values()):
        raise ConfigError(f"{where}: {section} holds tables", hint=f"Write [{section}.NAME] above the keys.")
    for name in said:
        if not _is_name(name):
            raise ConfigError(f"{where}: {section} has {name!r}, which is no name that Prefect takes", hint=_NAMES)
    return list(said.items())


def _pool(name: str, table: Mapping[str, Any], where: str) -> WorkPool:
    said = _Said(table, f"work_pools.{name}", where, ("type", "concurrency_limit"))
    if name.lower().startswith("prefect"):
        raise ConfigError(f"{where}: work_pools has {name!r}", hint="What begins with prefect is Prefect's own.")
    return WorkPool(name, said.text("type") or "process", said.number("concurrency_limit", least=1))


def _deployment(
    key: str, table: Mapping[str, Any], settings: Settings, pools: Mapping[str, WorkPool], where: str
) -> Deployment:
    said = _Said(table, f"deployments.{key}", where, _KEYS)
    pipeline = said.text("pipeline") or settings.pipeline
    if pipeline not in (known := config.pipelines(settings.project)):
        raise said.error(
            "pipeline", f"names no pipeline of the project: {pipeline!r}", f"There are {', '.join(known)}."
        )
    flow = said.text("flow") or "day_pipeline"
    if flow not in FLOWS:
        raise said.error("flow", f"is {flow!r}{suggestion(flow, FLOWS)}", f"There are {', '.join(FLOWS)}.")
    name = said.text("name") or key
    if not _is_name(name):
        raise said.error("name", f"is {name!r}, which Prefect does not take", _NAMES)
    strategy = (said.text("collision_strategy") or "ENQUEUE").upper()
    if strategy not in COLLISIONS:
        raise said.error("collision_strategy", f"is {strategy!r}", f"Write {' or '.join(COLLISIONS)}.")
    schedule = _schedule(said)
    pool = said.text("work_pool") or own_pool(settings)
    if not _is_name(pool):
        raise said.error("work_pool", f"is {pool!r}, which Prefect does not take", _NAMES)
    # Only a process has the folders of this machine.
    project = str(settings.project.resolve())
    here = project if pools.get(pool, WorkPool(pool)).type == "process" else None
    return Deployment(
        name=name,
        flow=flow,
        pipeline=pipeline,
        schedule=schedule,
        day=_day(said),
        work_pool=pool,
        directory=said.text("directory") or here,
        project=project,
        description=said.text("description"),
        parameters=said.table("parameters"),
        tags=said.texts("tags"),
        concurrency_limit=said.number("concurrency_limit", least=1),
        collision_strategy=strategy,
        paused=said.flag("paused"),
        job_variables=said.table("job_variables"),
    )


def _schedule(said: _Said) -> Schedule | None:
    given = [key for key in _SCHEDULES if key in said.table_]
    if len(given) > 1:
        raise said.error(given[1], f"stands beside {given[0]}", f"Keep one of {', '.join(_SCHEDULES)}.")
    timezone = said.text("timezone") or "UTC"
    if not logical_day.is_zone(timezone):
        raise said.error("timezone", f"is {timezone!r}, which is no zone", "Write one as Europe/Berlin or UTC.")
    if not given:
        return None
    interval = None
    if text := said.text("interval"):
        milliseconds = durations.parse(text)
        if not milliseconds:
            raise said.error("interval", f"is {text!r}", durations.HINT)
        interval = timedelta(milliseconds=milliseconds)
    return Schedule(said.text("cron"), interval, said.text("rrule"), timezone)


def _is_name(name: str) -> bool:
    return bool(name.strip()) and name.isprintable() and not any(character in _NOT_IN_NAMES for character in name)


def _day(said: _Said) -> logical_day.Rule:
    shape = said.text("day_format") or logical_day.FORMAT
    offset = said.number("day_offset", -_FAR, _FAR) or 0
    rule = logical_day.Rule(timezone=said.text("timezone") or "UTC", format=shape, offset=offset)
    if fault := rule.fault():
        raise said.error("day_format", f"is {shape!r}, {fault}", f'Write one as "{logical_day.FORMAT}".')
    return rule


class _Said:
    """A table of runner.toml: its values by their types, and errors that name the key."""

    def __init__(self, table: Mapping[str, Any], section: str, where: str, known: tuple[str, ...]) -> None:
        self.table_ = table
        self._section = section
        self._where = where
        for key in table:
            if key not in known:
                raise self.error(key, f"is unknown{suggestion(key, known)}", f"Known keys: {', '.join(sorted(known))}.")

    def error(self, key: str, what: str, hint: str) -> ConfigError:
        return ConfigError(f"{self._where}: {self._section}.{key} {what}", hint=hint)

    def text(self, key: str) -> str | None:
        value = self.table_.get(key)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise self.error(key, "is no text", 'Write it in quotes: "…".')
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.table_.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise self.error(key, "is no list of texts", f'Write {key} = ["one", "two"].')
        return tuple(value)

    def number(self, key: str, least: int, most: int = _MOST) -> int | None:
        value = self.table_.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.error(key, f"is {value!r}", f"Write a whole number from {least} to {most}.")
        return value

    def flag(self, key: str) -> bool | None:
        value = self.table_.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(key, f"is {value!r}", "Write true or false.")
        return value

    def table(self, key: str) -> Mapping[str, Any]:
        value = self.table_.get(key, {})
        if not isinstance(value, Mapping):
            raise self.error(key, "is no table", f"Write {key} = {{ name = value }}.")
        return value
