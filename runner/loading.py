"""The loaders, as the command line and the flows call them; and what must be loaded before steps run."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from runner import console, database, days, extras, master
from runner.config import Settings
from runner.errors import ConfigError, DatabaseUnavailable, LoadFailed, NotLoaded, RunnerError, StoreUnavailable
from runner.progress import Progress
from runner.step import SqlFile

if TYPE_CHECKING:
    from staging_loaders.choice import Choice, Chosen, Wish
    from staging_loaders.load import EntityLoad, EntityPlan
    from staging_loaders.session import Session
    from staging_loaders.store import Store

# How a step names what it reads: by staging table, or by asking whether the day has it at all.
_STAGING = re.compile(r"\bstg_(?!loads\b|rejects\b)(\w+)|\b(?:is|require)_loaded\(\s*'(\w+)'")


def has_loaders(settings: Settings) -> bool:
    """Tell whether the pipeline declares entities; one of SQL alone has none."""
    return settings.declarations.is_dir() and any(settings.declarations.glob("*.toml"))


def check(settings: Settings, day: str, *, mode: str, max_rejects: str | None = None) -> None:
    """Refuse what a load would refuse, before anything is started or changed: looks at names and files alone.

    Raises UsageError, ConfigError, DayNotFound and UnreadableFile. With the mode `never` there is nothing to look at.
    """
    days.check(day)
    if mode == "never" or not has_loaders(settings):
        return
    from staging_loaders.entity import load_declarations
    from staging_loaders.load import parse_limit
    from staging_loaders.plan import find_day_files
    from staging_loaders.rates import check_source

    check_master(settings)
    if max_rejects is not None:
        parse_limit(max_rejects)
    find_day_files(store(settings), day, load_declarations(settings.declarations))
    check_source(settings.rates)


def store(settings: Settings) -> Store:
    """Return where the days lie; ConfigError for an address of a kind that is not read."""
    from staging_loaders.s3 import Access
    from staging_loaders.store import open_store

    return open_store(settings.data, Access(settings.s3_endpoint, settings.s3_region, settings.s3_anonymous))


def check_master(settings: Settings) -> None:
    """Refuse a Spark master that is none, or that is not YARN where it must be. Nothing is started or asked.

    Under spark-submit the master is the one that spark-submit was given, and looked at when the session begins.
    """
    if settings.engine == "local":
        why = _bound(settings)
        if why:
            raise ConfigError(
                f"{why}, and the engine local is none of Spark's",
                hint="Give --engine spark (RUNNER_ENGINE, engine under [load] in runner.toml), or load without Spark.",
            )
        return
    if under_spark_submit():
        return
    master.check(settings.master)
    if settings.require_yarn:
        master.require_yarn(settings.master)


def under_spark_submit() -> bool:
    """Tell whether spark-submit has started this process, and a JVM for it."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def open_engine(
    settings: Settings, announce: Callable[[str], None] | None, note: Callable[[str], None] | None
) -> Chosen:
    """Return what reads the files of a run: a context manager.

    Spark has one session, which starts when it is first needed. `announce` is told of that, `note` of the
    choice that `auto` makes and of what else is to stay on the screen.
    """
    from staging_loaders.choice import Chosen

    def session() -> Session:
        from staging_loaders import s3
        from staging_loaders.session import Session

        return Session(
            master=settings.master,
            cache=settings.home,
            announce=announce,
            note=note,
            settings=settings.spark,
            require_yarn=settings.require_yarn,
            variables=s3.variables(os.environ, settings.s3_anonymous) if s3.is_address(settings.data) else None,
        )

    last: set[str] = set()

    def told(choice: Choice) -> None:
        if note is not None and choice.engine not in last:  # of many days, not each
            note(f"engine {choice}")
        last.clear()
        last.add(choice.engine)

    return Chosen(_wish(settings), session, told)


def choice(settings: Settings, plans: Sequence[EntityPlan]) -> Choice | None:
    """Return the engine that would read what is new among `plans`; None where nothing is."""
    from staging_loaders import split
    from staging_loaders.choice import choose

    work = split.work(file for plan in plans if plan.present and plan.changed for file in plan.files)
    return choose(_wish(settings), work) if any(plan.present and plan.changed for plan in plans) else None


def _wish(settings: Settings) -> Wish:
    from importlib.util import find_spec

    from staging_loaders.choice import Wish

    installed = settings.engine != "auto" or find_spec("pyspark") is not None
    return Wish(settings.engine, settings.local_limit, _bound(settings), installed)


def _bound(settings: Settings) -> str | None:
    """Return why it must be Spark, None where it need not."""
    if settings.require_yarn and not master.skips_yarn_check():
        return "the run must be on YARN"
    return "spark-submit has started this run" if under_spark_submit() else None


def resolve_for(settings: Settings, day: str, mode: str) -> str:
    """Return the server's connection string; NotLoaded where nothing is to be loaded and no database was ever made."""
    if mode == "never" and settings.database_url is None and has_loaders(settings):
        from runner import cluster_owner

        if not cluster_owner.find(settings.home, settings.embedded_version).data.exists():
            raise NotLoaded(f"{day} is not loaded: there is no database yet", hint=f"Load it: runner load --day {day}")
    return database.resolve(settings)


def load(
    settings: Settings,
    dsn: str,
    day: str,
    flow_run_id: str,
    *,
    mode: str,
    max_rejects: str | None,
    progress: Progress | None,
) -> tuple[list[EntityLoad], Choice | None]:
    """Load the reference data and the staging of `day`, each where its source is new (or `mode` is `always`).

    Returns what became of each entity and which engine read it, None where nothing was to be read. A
    load is tried again after a passing fault: nothing was published then. Raises DayNotFound,
    LoadFailed and their kin, and nothing was changed.
    """
    announce, note = (progress.show, progress.note) if progress is not None else (None, console.note)
    with open_engine(settings, announce, note) as engine:
        loads = load_with(
            engine, settings, dsn, day, flow_run_id, mode=mode, max_rejects=max_rejects, progress=progress
        )
        return loads, engine.choice


def load_with(
    engine: Chosen,
    settings: Settings,
    dsn: str,
    day: str,
    flow_run_id: str,
    *,
    mode: str,
    max_rejects: str | None,
    progress: Progress | None,
) -> list[EntityLoad]:
    """Do what `load` does with an engine that is open already: one for several days."""
    from staging_loaders.load import doubts, load_day

    for text in unclaimed(settings, day):
        console.warn(f"{day}: {text}")
    note = progress.note if progress is not None else console.note
    for attempt, pause in enumerate([*database.backoff(settings.attempts), None], 1):
        try:
            loads = load_day(
                dsn=dsn,
                pipeline=settings.pipeline,
                day=day,
                base=store(settings),
                declarations=settings.declarations,
                flow_run_id=flow_run_id,
                mode="always" if mode == "always" else "auto",
                session=engine,
                max_rejects=max_rejects,
                rates=settings.rates,
                progress=progress if progress is not None and progress.visible else None,
                note=note,
            )
            if progress is not None:
                progress.clear()
            for doubt in doubts(loads):
                console.warn(f"{day}: {doubt}")
            return loads
        except (LoadFailed, DatabaseUnavailable, StoreUnavailable) as error:
            if pause is None or not error.transient:
                raise
            pause *= database.ABSENT if isinstance(error, DatabaseUnavailable) else 1
            note(
                f"{day}: attempt {attempt} of {settings.attempts} to load failed "
                f"({error.message.splitlines()[0]}); again in {pause:.1f} s"
            )
            time.sleep(pause)
            with suppress(RunnerError):  # the next attempt says what is wrong
                database.resolve(settings)
    raise AssertionError("the last attempt returns or raises")


def days_with_files(settings: Settings) -> list[str]:
    """Return the days that have a folder, in their order."""
    from staging_loaders.plan import available_days

    return available_days(store(settings))


def unclaimed(settings: Settings, day: str) -> list[str]:
    """Return what a person should hear of the day's folders: those that no entity reads, perhaps misspelt."""
    from staging_loaders import plan
    from staging_loaders.entity import load_declarations

    return plan.unclaimed(store(settings), day, load_declarations(settings.declarations), settings.declarations)


def plan(settings: Settings, dsn: str | None, day: str, mode: str) -> list[EntityPlan]:
    """Return what `load` would do; without a `dsn`, as if the database were new. Nothing is written."""
    from staging_loaders.load import plan_day

    return plan_day(
        dsn=dsn,
        pipeline=settings.pipeline,
        day=day,
        base=store(settings),
        declarations=settings.declarations,
        mode="always" if mode == "always" else "auto",
        note=console.note,
    )


def declared(settings: Settings) -> list[str]:
    """Return the names of the entities that the pipeline declares."""
    from staging_loaders.entity import load_declarations

    return list(load_declarations(settings.declarations)) if has_loaders(settings) else []


def require_loaded(settings: Settings, day: str, found: Collection[str]) -> None:
    """Raise NotLoaded where an entity the day must have is not among those `found` in staging.

    An unloaded day looks like an empty one, and an empty snapshot marks everybody inactive.
    """
    from staging_loaders.entity import load_declarations

    entities = load_declarations(settings.declarations)
    required = {name for name, entity in entities.items() if entity.required}
    missing = sorted(required - set(found))
    if missing:
        raise NotLoaded(
            f"{day} is not loaded: staging has no {', '.join(missing)}", hint=f"Load it: runner load --day {day}"
        )


def require_engine(settings: Settings, connection: database.Connection, dsn: str, day: str, mode: str) -> None:
    """Raise ConfigError where files are to be read and what reads them is not installed: before the schema is touched.

    With the engine `auto`, that is Spark only where it must be.
    """
    from importlib.util import find_spec

    if mode == "never" or not has_loaders(settings):
        return
    spark = settings.engine == "spark" or (settings.engine == "auto" and _wish(settings).bound is not None)
    extra, package = ("spark", "pyspark") if spark else ("load", "msgspec")
    if find_spec(package):
        return
    known = connection.execute("select to_regclass('stg_loads') is not null").fetchone() == (True,)
    if any(entity.present and entity.changed for entity in plan(settings, dsn if known else None, day, mode)):
        needed, without = ("Spark", " Or load without it: --engine local") if spark else (package, "")
        raise ConfigError(
            f"{day} has files to load, and loading needs {needed}, which is not installed",
            hint=f"Install it: {extras.install(extra)}{without}",
        )


def loaded(connection: database.Connection, settings: Settings, day: str) -> set[str]:
    """Return the declared entities that staging holds for `day`."""
    from staging_loaders.entity import load_declarations
    from staging_loaders.plan import read_loaded

    if not has_loaders(settings):
        return set()
    if connection.execute("select to_regclass('stg_loads') is null").fetchone() == (True,):
        return set()
    found = read_loaded(connection, settings.pipeline, day, load_declarations(settings.declarations))
    return {entity for entity, load in found.items() if load.intact}


def entities_read(step: SqlFile, known: Sequence[str]) -> list[str]:
    """Return which of the `known` entities the step reads: those of its `stg_` tables and of its `is_loaded('…')`."""
    named = {match[1] or match[2] for statement in step.statements for match in _STAGING.finditer(statement.text)}
    return [entity for entity in known if entity in named]
