"""How often a task of a flow is tried, how long it may take, and how many run at once: [tasks] in runner.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from runner import durations
from runner.config import FILE, Settings
from runner.errors import ConfigError

AT_ONCE = 8
"""The most tasks of a flow run that are at work at once."""

# The steps that run at once where nothing is said; the rest is the server's.
_JOBS = 4
# What Prefect takes: https://docs.prefect.io/v3/how-to-guides/workflows/retries
_MOST_RETRIES = 50
# PostgreSQL counts its limits in milliseconds, and no further than this.
_MOST_SECONDS = 2_147_483


@dataclass(frozen=True)
class TaskSettings:
    """How often a task is tried again after a passing fault, and how long each attempt may take, in seconds.

    `backoff` are the seconds before the first retry; each further pause is twice as long. `jitter` spreads the
    pauses by up to that share, so that those who failed together do not meet again. A `timeout` of None is none.
    `kind` is what a person has to look for in runner.toml.
    """

    retries: int = 2
    backoff: float = 1.0
    jitter: float = 0.5
    timeout: float | None = 300.0
    kind: str = "database"

    @property
    def setting(self) -> str:
        """Where the time limit is written."""
        return f"timeout under [tasks.{self.kind}] in {FILE}"


@dataclass(frozen=True)
class Tasks:
    """The settings of each kind of task, and how many steps may run at once; `jobs` is None where nothing is said.

    What asks the network is `network`; `load` reads the files of an entity and copies them to the server, which takes
    as long as there is data; what is the database's work is `database`; what must not be tried again, `checkpoint`.
    """

    network: TaskSettings = TaskSettings(retries=3, timeout=120.0, kind="network")
    load: TaskSettings = TaskSettings(retries=3, timeout=3_600.0, kind="load")
    database: TaskSettings = TaskSettings(retries=2, timeout=300.0, kind="database")
    checkpoint: TaskSettings = TaskSettings(retries=0, timeout=300.0, kind="checkpoint")
    jobs: int | None = None

    def at_once(self, wanted: int | None = None) -> int:
        """Return how many steps may run at once: `wanted`, else what runner.toml says, else what can be.

        Raises ConfigError for a number that is none. Without the parser nobody knows what steps share.
        """
        if wanted is not None:
            return _jobs(wanted, "jobs")
        from importlib.util import find_spec

        return self.jobs or (_JOBS if find_spec("pglast") else 1)


KINDS = tuple(field.name for field in fields(Tasks) if field.name != "jobs")


def read(settings: Settings) -> Tasks:
    """Return what [tasks] in runner.toml says, and the defaults for the rest; ConfigError for what it may not say."""
    where = settings.project / FILE
    said = settings.tasks
    if not isinstance(said, Mapping):
        raise ConfigError(f"{where}: tasks is no table", hint="Write [tasks.database] above its keys.")
    found = Tasks()
    for name, value in said.items():
        if name == "jobs":
            found = replace(found, jobs=_jobs(value, f"{where}: tasks.jobs"))
        elif name not in KINDS:
            raise ConfigError(f"{where}: tasks.{name} is unknown", hint=f"There are {', '.join(KINDS)} and jobs.")
        elif not isinstance(value, Mapping):
            raise ConfigError(f"{where}: tasks.{name} is no table", hint=f"Write [tasks.{name}] above its keys.")
        else:
            kind: dict[str, Any] = {name: _kind(getattr(found, name), value, f"{where}: tasks.{name}")}
            found = replace(found, **kind)
    return found


def _kind(default: TaskSettings, said: Mapping[str, Any], where: str) -> TaskSettings:
    found = default
    for key, value in said.items():
        place = f"{where}.{key}"
        if key == "retries":
            if default.kind == "checkpoint" and value != 0:
                raise ConfigError(
                    f"{place} is {value!r}, and a checkpoint is not tried again",
                    hint="Leave it out: the same rows give the same answer.",
                )
            found = replace(found, retries=_whole(value, place, 0, _MOST_RETRIES))
        elif key == "backoff":
            found = replace(found, backoff=_seconds(value, place))
        elif key == "jitter":
            found = replace(found, jitter=_number(value, place))
        elif key == "timeout":
            found = replace(found, timeout=_seconds(value, place) or None)
        else:
            raise ConfigError(f"{place} is unknown", hint="There are retries, backoff, jitter and timeout.")
    return found


def _jobs(value: Any, place: str) -> int:
    return _whole(value, place, 1, AT_ONCE)


def _whole(value: Any, place: str, least: int, most: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise ConfigError(f"{place} is {value!r}", hint=f"Use a whole number from {least} to {most}.")


def _number(value: Any, place: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _MOST_SECONDS:
        return float(value)
    raise ConfigError(f"{place} is {value!r}", hint=f"Use a number from 0 to {_MOST_SECONDS}.")


def _seconds(value: Any, place: str) -> float:
    """Return the seconds of a duration (`5min`), or of a number of seconds; 0 for none."""
    if isinstance(value, str):
        milliseconds = durations.parse(value)
        if milliseconds is None:
            raise ConfigError(f"{place} is {value!r}, which is not a duration", hint=durations.HINT)
        return milliseconds / 1000
    return _number(value, place)
