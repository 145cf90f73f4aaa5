"""Load a day: what the command line and the flows call.

    with DayLoad(...) as load:
        landings = [load.land(plan.entity) for plan in load.plan() if plan.present and plan.changed]
        loads = load.publish(landings)

or `load_day(...)`, which does just that. Nothing that readers see changes before `publish`, and
there everything at once; an error, an interrupt or a kill on the way leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runner import days
from runner.database import connect
from staging_loaders import blockers
from staging_loaders.advance import Progress
from staging_loaders.day_load import DayLoad, Mode, check_mode
from staging_loaders.engine import Engine
from staging_loaders.entity import load_declarations
from staging_loaders.files import SourceFile
from staging_loaders.outcome import EntityLoad, doubts
from staging_loaders.plan import EntityPlan, Loaded, plan_entities, read_loaded
from staging_loaders.publish import Landing, parse_limit
from staging_loaders.store import Store

__all__ = [
    "DayLoad",
    "EntityLoad",
    "EntityPlan",
    "Landing",
    "SourceFile",
    "doubts",
    "load_day",
    "parse_limit",
    "plan_day",
    "refresh_rates",
]


def load_day(
    *,
    dsn: str,
    pipeline: str,
    day: str,
    base: str | Store,
    declarations: Path,
    flow_run_id: str,
    session: Engine,
    mode: Mode = "auto",
    max_rejects: str | None = None,
    rates: str | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> list[EntityLoad]:
    """Load what is new of a day (`always`: all of it) and publish it; also the exchange rates, where wanted.

    `rates` is a file or URL to read them from instead of the packaged ones; `note` is told of whoever keeps
    the load waiting. Returns what became of
    each entity. Raises DayNotFound, UnreadableFile, TooManyRejects or LoadFailed; then staging is as before.
    """
    if max_rejects is not None:
        parse_limit(max_rejects)
    with DayLoad(
        dsn=dsn,
        pipeline=pipeline,
        day=day,
        base=base,
        declarations=declarations,
        flow_run_id=flow_run_id,
        session=session,
        mode=mode,
        progress=progress,
        note=note,
    ) as load:
        wanted = [plan.entity for plan in load.plan() if plan.present and plan.changed]
        landings = load.land_all(wanted) if wanted else []
        # Rates are of no day, but a day that cannot be read changes nothing at all.
        refresh_rates(dsn, rates)
        return load.publish(landings, max_rejects)


def plan_day(
    *,
    dsn: str | None,
    pipeline: str,
    day: str,
    base: str | Store,
    declarations: Path,
    mode: Mode = "auto",
    note: Callable[[str], None] = lambda _: None,
) -> list[EntityPlan]:
    """Return what `load_day` would do. Writes nothing; without a `dsn` everything is new.

    `note` is told who keeps the question waiting, and RunnerError names them where it takes too long.
    """
    declared = load_declarations(declarations)
    loaded: dict[str, Loaded] = {}
    if dsn is not None:
        with blockers.asking(dsn, "runner plan", note) as connection:
            loaded = read_loaded(connection, pipeline, days.check(day), declared)
    return plan_entities(base, days.check(day), declared, loaded, check_mode(mode))


def refresh_rates(dsn: str, source: str | None) -> None:
    """Bring fx_rates up to date, in a database that has such a table."""
    from staging_loaders import rates, server_faults

    with (
        server_faults.translated("the exchange rates were not brought up to date", dsn),
        connect(dsn, "runner rates") as connection,
    ):
        rates.refresh(connection, source)
