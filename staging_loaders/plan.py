"""What a load of a day would read and why: from files, declarations and what staging holds. Needs no Spark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from glob import escape
from pathlib import Path

from runner import days
from runner.database import Connection
from runner.errors import DayNotFound
from staging_loaders.entity import Entity
from staging_loaders.files import SourceFile, fingerprint
from staging_loaders.store import Store, as_store

PREFIX = "sync-"

# How alike two names are that may be the same one, misspelt.
_NEAR = 0.75


@dataclass(frozen=True)
class EntityPlan:
    """What is to be done about one entity; `changed` says that staging will be."""

    entity: str
    table: str
    present: bool
    required: bool
    files: tuple[SourceFile, ...]
    bytes: int
    fingerprint: str | None
    changed: bool
    reason: str


@dataclass(frozen=True)
class Loaded:
    """An entity's row in stg_loads."""

    fingerprint: str
    records_read: int
    rows_loaded: int
    rejects: int
    warnings: int
    files: int
    bytes: int
    intact: bool
    """Whether its rows are still in staging, which may be emptied between runs."""


def read_loaded(connection: Connection, pipeline: str, day: str, declared: Mapping[str, Entity]) -> dict[str, Loaded]:
    """Return what staging holds of the day, by entity."""
    rows = connection.execute(
        "select entity, fingerprint, records_read, rows_loaded, rejects, warnings, files, bytes "
        "from stg_loads where pipeline = %s and day = %s",
        (pipeline, day),
    ).fetchall()
    found = {}
    for entity, mark, read, loaded, rejects, warnings, files, size in rows:
        intact = loaded == 0 or _has_rows(connection, declared.get(entity), day)
        found[entity] = Loaded(mark, read, loaded, rejects, warnings, files, size, intact)
    return found


def has_table(connection: Connection, name: str) -> bool:
    """Tell whether there is such a table: a declaration may name another one by now."""
    row = connection.execute("select to_regclass(%s) is not null", (name,)).fetchone()
    return bool(row[0])


def _has_rows(connection: Connection, entity: Entity | None, day: str) -> bool:
    if entity is None or not has_table(connection, entity.table):
        return False
    row = connection.execute(f"select exists (select from {entity.table} where day = %s)", (day,)).fetchone()
    return bool(row[0])


def plan_entities(
    base: str | Store, day: str, declared: Mapping[str, Entity], loaded: Mapping[str, Loaded], mode: str
) -> list[EntityPlan]:
    """Return the plan of each declared entity, in the order of their names.

    `base` is where the days lie: a path, an address or a store. `mode` is `auto` (read what is new) or
    `always`. Raises DayNotFound where the day's folder or a required entity is missing, UnreadableFile
    where a file cannot be opened, ConfigError and StoreUnavailable for a bucket that cannot be listed.
    """
    files = find_day_files(base, day, declared)
    return [_plan(declared[name], found, loaded.get(name), mode) for name, found in files.items()]


def find_day_files(base: str | Store, day: str, declared: Mapping[str, Entity]) -> dict[str, tuple[SourceFile, ...]]:
    """Return the files of each declared entity, in the order of their names; raises as `plan_entities` does."""
    store = find_day(base, day)
    folder = PREFIX + day
    files = {name: store.files(folder, name) for name in sorted(declared)}
    missing = [name for name, found in files.items() if declared[name].required and not found]
    if missing:
        strays = _strays(store, day, declared)
        near = {name: get_close_matches(name, strays, n=1, cutoff=_NEAR) for name in missing}
        asked = [f"{store.where(folder, found[0])} is there: is it {name}? " for name, found in near.items() if found]
        places = ", ".join(store.where(folder, name) for name in missing)
        raise DayNotFound(
            f"{day} lacks {' and '.join(missing)}: no data file in {places}",
            hint="".join(asked)
            + "A day without them would look like one on which nobody exists. "
            + ("Rename it, or fetch the day again." if asked else "Fetch the day again."),
        )
    return files


def unclaimed(base: str | Store, day: str, declared: Mapping[str, Entity], declarations: Path) -> list[str]:
    """Return what a person should hear of: folders of the day that no entity reads, of any pipeline of the project.

    `declarations` is the folder of the pipeline's own; those of the others are beside it.
    """
    store = find_day(base, day)
    told = []
    for name in _strays(store, day, declared):
        if not any(declarations.parent.glob(f"*/{escape(name)}.toml")):
            near = get_close_matches(name.lower(), declared, n=1, cutoff=_NEAR)
            asked = f"; did you mean {near[0]}?" if near else ""
            told.append(f"{store.where(PREFIX + day, name)} belongs to no entity and is not read{asked}")
    return told


def _strays(store: Store, day: str, declared: Mapping[str, Entity]) -> list[str]:
    """Return the names of the folders in a day's folder that are no declared entity's."""
    names = store.folders(PREFIX + day)
    return [name for name in names if name not in declared and not name.startswith((".", "_"))]


def _plan(entity: Entity, files: tuple[SourceFile, ...], loaded: Loaded | None, mode: str) -> EntityPlan:
    mark = fingerprint(entity, files) if files else None
    if not files:
        changed, reason = loaded is not None, "no files" if loaded is None else "its files are gone"
    elif loaded is None:
        changed, reason = True, "new"
    elif not loaded.intact:
        changed, reason = True, "its rows are gone from staging"
    elif loaded.fingerprint != mark:
        changed, reason = True, "files or declaration changed"
    else:
        changed, reason = mode == "always", "asked for" if mode == "always" else "unchanged"
    size = sum(file.size for file in files)
    return EntityPlan(entity.name, entity.table, bool(files), entity.required, files, size, mark, changed, reason)


def find_day(base: str | Store, day: str) -> Store:
    """Return the store, which has a folder of the day; DayNotFound tells which days there are."""
    store = as_store(base)
    if store.has(PREFIX + days.check(day)):
        return store
    root, folder = store.where(), store.where(PREFIX + day)
    if not store.exists():
        raise DayNotFound(
            f"the data folder {root} does not exist",
            hint="Name the one that holds sync-<day>/: --data or DATA_BASE_PATH.",
        )
    there = available_days(store)
    if not there:
        raise DayNotFound(
            f"no files for {day}: {root} holds no sync-<day> folder", hint="Name another one: --data or DATA_BASE_PATH."
        )
    near = _meant(day, there)
    shown = ", ".join(there[-10:]) if len(there) <= 10 else f"{len(there)} days, the last are {', '.join(there[-10:])}"
    raise DayNotFound(
        f"no files for {day}: {folder} does not exist",
        hint=f"{f'Did you mean {near}? ' if near else ''}There {'is' if len(there) == 1 else 'are'} {shown}.",
    )


def _meant(day: str, there: Sequence[str]) -> str | None:
    """Return the day that a misspelt one may mean; one with other digits is another day, not a misspelt one."""
    # A day that was named without its number has one to choose from.
    numbers = _numbers(day)
    alike = [name for name in there if not numbers or _numbers(name) == numbers]
    folded = {name.lower(): name for name in alike}
    near = get_close_matches(day.lower(), folded, n=1)
    return folded[near[0]] if near else None


def _numbers(day: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"[0-9]+", day)]


def available_days(store: Store) -> list[str]:
    """Return the days that have a folder, in their natural order."""
    names = (name.removeprefix(PREFIX) for name in store.folders(beginning=PREFIX))
    return sorted((name for name in names if days.is_day(name)), key=days.order)
