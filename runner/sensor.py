"""A look for days that have arrived: which are new, which are whole, and the run that each content calls for, once.

The order of what is written makes it once. That a run is about to be asked for is committed before it is asked for,
with a key that is derived from the content, and that it was asked for after it. Whoever finds the first without the
second asks again with the same key, for which there is one run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from runner import arrivals, arrivals_book, database, loading, metrics
from runner.arrivals import Arrival, Decision, Entry, Rules
from runner.config import Settings
from runner.errors import DayNotFound, UsageError


class Target(Protocol):
    """What is asked for runs: `name` is a part of each key, `is_over` tells whether there is a run that has ended."""

    @property
    def name(self) -> str: ...

    def is_over(self, key: str) -> bool: ...


@dataclass(frozen=True)
class Seen:
    """What a look found of a day."""

    arrival: Arrival
    entry: Entry | None
    decision: Decision

    @property
    def due(self) -> bool:
        """Whether a run is to be asked for."""
        return self.decision.kind in ("trigger", "resume")

    @property
    def unfinished(self) -> bool:
        """Whether the day is due, or waits to be."""
        return self.due or self.decision.kind == "wait"

    def document(self) -> dict[str, Any]:
        """Return it as machines read it."""
        entry = self.entry
        same = entry is not None and entry.fingerprint == self.arrival.fingerprint
        return {
            "day": self.arrival.day,
            "files": self.arrival.files,
            "bytes": self.arrival.bytes,
            "newest": self.arrival.newest,
            "fingerprint": self.arrival.fingerprint,
            "state": state(self),
            "reason": self.decision.reason or None,
            "flow_run_id": entry.flow_run_id if entry is not None and same else None,
        }


@dataclass(frozen=True)
class Intent:
    """A run that is about to be asked for, as the books know it."""

    day: str
    generation: int
    key: str


def state(seen: Seen) -> str:
    """Return the word for what is the matter with a day: `due`, `waits`, `loaded` or `triggered`."""
    if seen.due:
        return "due"
    if seen.decision.kind == "done" and seen.entry is not None:
        return "loaded" if seen.entry.status == "loaded" else "triggered"
    return {"wait": "waits", "known": "loaded"}[seen.decision.kind]


def look(settings: Settings, connection: database.Connection, rules: Rules) -> list[Seen]:
    """Return what lies there of each day, and what is to be done about it; nothing is written.

    One listing, of which no more is kept than a few lines a day. Raises UsageError for a pipeline that reads no files,
    and what a listing raises.
    """
    from staging_loaders.entity import load_declarations
    from staging_loaders.plan import PREFIX

    if not loading.has_loaders(settings):
        raise UsageError(
            f"{settings.pipeline} declares no entities, and so no files arrive for it",
            hint=f"Declare one under {settings.declarations}: runner new loader NAME",
        )
    declared = load_declarations(settings.declarations)
    required = [name for name, entity in declared.items() if entity.required]
    store = loading.store(settings)
    _require_base(settings)
    names = {*declared, *([rules.marker] if rules.marker is not None else [])}
    there = arrivals.gather(store.below(PREFIX, names), PREFIX, rules.marker)
    known = arrivals_book.newest(connection, settings.pipeline) if arrivals_book.exists(connection) else {}
    now = arrivals_book.now(connection)
    found = []
    for day, arrival in there.items():
        decision = arrivals.decide(arrival, known.get(day), required, rules, now)
        if decision.kind in ("trigger", "wait"):
            if _is_loaded(settings, connection, day):
                decision = Decision("known", "staging holds these files")
            elif day not in known and _is_given_up(settings, connection, day):
                decision = Decision("known", "was run, and its staging is given up")
        found.append(Seen(arrival, known.get(day), decision))
    return found


def _require_base(settings: Settings) -> None:
    """Refuse a folder that is not there; a bucket in which nothing is yet looks the same as one without the prefix."""
    from staging_loaders import s3

    store = loading.store(settings)
    if not s3.is_address(settings.data) and not store.exists():
        raise DayNotFound(
            f"the data folder {store.where()} does not exist",
            hint="Name the one in which sync-<day>/ arrives: --data or DATA_BASE_PATH.",
        )


def _is_loaded(settings: Settings, connection: database.Connection, day: str) -> bool:
    """Tell whether staging holds just these files, by the checksums of the load itself."""
    from staging_loaders.entity import load_declarations
    from staging_loaders.plan import plan_entities, read_loaded

    if metrics.nothing_yet(connection) or not metrics.is_loaded(connection, settings.pipeline, day):
        return False
    declared = load_declarations(settings.declarations)
    loaded = read_loaded(connection, settings.pipeline, day, declared)
    with suppress(DayNotFound):  # gone meanwhile
        return not any(plan.changed for plan in plan_entities(loading.store(settings), day, declared, loaded, "auto"))
    return False


def _is_given_up(settings: Settings, connection: database.Connection, day: str) -> bool:
    """Tell whether the day was run and taken out of staging since (runner prune): nothing tells of its files then."""
    if metrics.nothing_yet(connection) or metrics.is_loaded(connection, settings.pipeline, day):
        return False
    row = connection.execute(
        "select exists (select from pipeline_metrics where pipeline = %s and day = %s and status = 'success')",
        (settings.pipeline, day),
    ).fetchone()
    return bool(row[0])


def write(settings: Settings, connection: database.Connection, found: list[Seen]) -> list[Seen]:
    """Write down what was found, and return the days for which a run is due."""
    for seen in found:
        if seen.decision.kind in ("wait", "trigger"):
            arrivals_book.see(connection, settings.pipeline, seen.arrival, seen.entry)
        elif seen.decision.kind == "known":
            arrivals_book.see(connection, settings.pipeline, seen.arrival, seen.entry, "loaded")
    return [seen for seen in found if seen.due]


def intend(settings: Settings, connection: database.Connection, seen: Seen, target: Target) -> Intent | None:
    """Commit that a day's run is about to be asked for; None where another sensor has done so.

    A run with the same key that has ended was for the same content at another time, of which the books may have lost
    all trace: what staging holds now is not that content, and so it takes another run.
    """
    day, fingerprint = seen.arrival.day, seen.arrival.fingerprint
    if seen.decision.kind == "resume":
        assert seen.entry is not None and seen.entry.key is not None
        return Intent(day, seen.entry.generation, seen.entry.key)
    generation = arrivals_book.generation(seen.entry)
    number = arrivals_book.times(connection, settings.pipeline, day, fingerprint)
    while target.is_over(key := arrivals.key(settings, target.name, day, fingerprint, number)):
        number += 1
    if not arrivals_book.intend(connection, settings.pipeline, day, generation, fingerprint, key):
        return None
    return Intent(day, generation, key)


def ask(
    settings: Settings, connection: database.Connection, intent: Intent, run: Callable[[str, str], str]
) -> str | None:
    """Ask `run` for the run of a day by its key, and write down the id it returns.

    None where another sensor is at it, or was.
    """
    with arrivals_book.claimed(connection, settings.pipeline, intent.day, intent.generation) as ours:
        if not ours:
            return None
        flow_run_id = run(intent.day, intent.key)
        arrivals_book.triggered(connection, settings.pipeline, intent.day, intent.generation, flow_run_id)
        return flow_run_id


def row(seen: Seen) -> tuple[Any, ...]:
    """Return the cells that tell a person what was found (see HEADERS)."""
    arrival = seen.arrival
    entry = seen.entry
    why = seen.decision.reason
    if entry is not None and seen.decision.kind == "done":
        run, at = (entry.flow_run_id or "")[:8], entry.triggered_at
        why = (
            f"{f'run {run}' if run else 'tried'} at {at:%Y-%m-%d %H:%M}"
            if at is not None
            else "before the sensor looked"
        )
    return arrival.day, arrival.files, arrival.bytes, f"{arrival.newest:%Y-%m-%d %H:%M:%S}", state(seen), why


HEADERS = ("day", "files", "bytes", "newest", "state", "why")
COLOURS = {"due": "green", "waits": "yellow", "triggered": "dim", "loaded": "dim"}


def told(found: list[Seen]) -> str:
    """Return how many days are in each state."""
    counts = [(name, sum(state(seen) == name for seen in found)) for name in COLOURS]
    return ", ".join(f"{count:,} {name}" for name, count in counts if count) or "nothing has arrived"
