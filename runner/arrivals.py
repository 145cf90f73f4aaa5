"""The files of days as they arrive: what lies there of each day, what it is known by, and whether a run is due.

There is no high-water mark: files may come in any order, with any names and times. What is compared is the set.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from runner import days, durations, freshness
from runner.config import FILE, Settings
from runner.errors import ConfigError

if TYPE_CHECKING:
    from staging_loaders.files import SourceFile

_KEYS = ("settle", "marker", "deployment")
_WHOLE = 1 << 256

Status = Literal["seen", "triggering", "triggered", "loaded"]


@dataclass(frozen=True)
class Rules:
    """What `[sensor]` says: how long a day's files must be left alone, and which file says that all are there.

    `deployment` is what is run in Prefect, `flow/deployment`.
    """

    settle: timedelta = timedelta(minutes=1)
    marker: str | None = None
    deployment: str | None = None


@dataclass(frozen=True)
class Arrival:
    """What lies there of a day: its data files, their bytes, and when the newest got there.

    `entities` are those that have a file; `marked` says that the marker is there.
    """

    day: str
    fingerprint: str
    files: int
    bytes: int
    newest: datetime
    entities: frozenset[str]
    marked: bool


@dataclass(frozen=True)
class Entry:
    """The newest generation of a day in the books; `since` is when its content was first seen."""

    generation: int
    fingerprint: str
    status: Status
    since: datetime
    key: str | None = None
    flow_run_id: str | None = None
    triggered_at: datetime | None = None


@dataclass(frozen=True)
class Decision:
    """What is to be done about a day, and why: `trigger` a run, `resume` what was begun, `wait`, or nothing.

    `done` says that the books know the content, `known` that staging holds it.
    """

    kind: Literal["done", "known", "wait", "trigger", "resume"]
    reason: str


def rules(settings: Settings, settle: str | None = None) -> Rules:
    """Return what `[sensor]` of runner.toml says; `settle` is stronger.

    Raises ConfigError for what it should not say.
    """
    said, where = settings.sensor, settings.project / FILE
    if not isinstance(said, Mapping):
        raise ConfigError(f"sensor in {where} is no table", hint="Write [sensor] above its keys.")
    for key, value in said.items():
        if key not in _KEYS:
            raise ConfigError(f"{where} has an unknown key {f'sensor.{key}'!r}", hint=f"There are {', '.join(_KEYS)}.")
        if not isinstance(value, str):
            raise ConfigError(f"sensor.{key} in {where} is no text", hint="Write it in quotes.")
    marker, deployment = said.get("marker"), said.get("deployment")
    if marker is not None and (not marker or "/" in marker):
        raise ConfigError(f"sensor.marker in {where} is {marker!r}, which is no file's name", hint="Write _SUCCESS.")
    if deployment is not None and (deployment.count("/") != 1 or not all(deployment.split("/"))):
        raise ConfigError(
            f"sensor.deployment in {where} is {deployment!r}", hint=f"Write {settings.pipeline}_day_pipeline/daily."
        )
    given = Rules(marker=marker, deployment=deployment)
    text, place = (settle, "--settle") if settle is not None else (said.get("settle"), f"sensor.settle in {where}")
    return given if text is None else Rules(_settle(text, place), marker, deployment)


def _settle(text: str, where: str) -> timedelta:
    # No time at all is one, too: what is there is taken as it is.
    return timedelta(0) if durations.parse(text) == 0 else freshness.duration(text, where)


@dataclass
class _Gathering:
    """A day of which more files may come; takes the same room for any number of them."""

    total: int = 0
    files: int = 0
    bytes: int = 0
    newest: int = 0
    entities: set[str] = field(default_factory=set)
    marked: bool = False

    def add(self, entity: str, file: SourceFile) -> None:
        # A sum, which is the same in any order of the files.
        said = f"{entity}/{file.name}\0{file.size}\0{file.etag or file.modified}".encode("utf-8", "surrogateescape")
        self.total = (self.total + int.from_bytes(hashlib.sha256(said).digest())) % _WHOLE
        self.files += 1
        self.bytes += file.size
        self.newest = max(self.newest, _arrived(file))
        self.entities.add(entity)


def _arrived(file: SourceFile) -> int:
    """Return when a file got there, in nanoseconds: one that is moved or copied may keep the time of its content."""
    if file.access is not None:
        return file.modified
    try:
        return max(file.modified, os.stat(file.path).st_ctime_ns)
    except OSError:  # gone meanwhile: the next look sees another set
        return time.time_ns()


def gather(found: Iterable[tuple[str, str, SourceFile]], prefix: str, marker: str | None = None) -> dict[str, Arrival]:
    """Return what lies there of each day, in the natural order of days.

    `found` are files with the names of their folder, which begins with `prefix`, and of their entity (see
    `Store.below`); one without a name of its own lies in the day's folder itself, and is the marker or nothing.
    """
    gathered: dict[str, _Gathering] = {}
    for folder, entity, file in found:
        day = folder.removeprefix(prefix)
        if not days.is_day(day):
            continue
        if file.name:
            gathered.setdefault(day, _Gathering()).add(entity, file)
        elif entity == marker:
            gathered.setdefault(day, _Gathering()).marked = True
    return {day: _arrival(day, gathered[day]) for day in sorted(gathered, key=days.order)}


def _arrival(day: str, of: _Gathering) -> Arrival:
    return Arrival(
        day,
        hashlib.sha256(f"{of.files} {of.total}".encode()).hexdigest(),
        of.files,
        of.bytes,
        datetime.fromtimestamp(of.newest / 1e9, UTC),
        frozenset(of.entities),
        of.marked,
    )


def decide(arrival: Arrival, entry: Entry | None, required: Collection[str], rules: Rules, now: datetime) -> Decision:
    """Return what is to be done about a day's files; `now` is the clock by which `entry` was written.

    A day is due once it is whole and left alone: its newest file is older than `settle`, or nothing about its files
    has changed for as long, whatever times they have.
    """
    if entry is not None and entry.status == "triggering":
        return Decision("resume", "a sensor ended while it asked for the run")
    same = entry is not None and entry.fingerprint == arrival.fingerprint
    if entry is not None and same and entry.status != "seen":
        return Decision("done", "")
    if missing := sorted(set(required) - arrival.entities):
        return Decision("wait", f"has no {' and no '.join(missing)} yet")
    if rules.marker is not None and not arrival.marked:
        return Decision("wait", f"has no {rules.marker} yet")
    quiet = max(now - arrival.newest, now - entry.since if entry is not None and same else timedelta(0))
    if quiet < rules.settle:
        return Decision("wait", f"may still be arriving: not left alone for {durations.shown(rules.settle)} yet")
    first = entry is None or (entry.generation == 1 and entry.status == "seen")
    return Decision("trigger", "new" if first else "changed since the last run")


def key(settings: Settings, target: str, day: str, fingerprint: str, number: int) -> str:
    """Return the idempotency key of a run of `target` for a day's content: derived from nothing but these.

    `number` counts the times that this content has come.
    """
    told: list[Any] = [settings.env, settings.pipeline, target, day, fingerprint]
    digest = hashlib.sha256("\0".join(told).encode()).hexdigest()
    return f"arrival-{digest[:32]}-{number}"
