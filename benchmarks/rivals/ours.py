"""This project: a day's load in its three phases, by the functions that `runner load` calls."""

from __future__ import annotations

import time
import uuid
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.rivals.given import done, given, ready
from staging_loaders.load import DayLoad

LOCAL = "staging_loaders.local"
"""The module of the engine that needs no Spark."""


def main() -> None:
    """Load `day` below `data` with the `engine`; tell the phases' seconds and the counts."""
    asked = given()
    with _engine(asked) as engine:
        # The first result of a session, as the others' sessions have theirs; the driver belongs to it, as theirs do.
        import_module("psycopg")
        engine.run(_nothing, [0])
        ready()
        clock = [time.perf_counter()]
        with DayLoad(
            dsn=asked["url"],
            pipeline=asked["pipeline"],
            day=asked["day"],
            base=asked["data"],
            declarations=Path(asked["declarations"]),
            flow_run_id=str(uuid.uuid4()),
            session=engine,
        ) as load:
            wanted = [plan.entity for plan in load.plan() if plan.present and plan.changed]
            clock.append(time.perf_counter())
            landings = load.land_all(wanted)
            clock.append(time.perf_counter())
            (entity,) = load.publish(landings)
        clock.append(time.perf_counter())
        phases = [after - before for before, after in pairwise(clock)]
        done(
            phases=dict(zip(("plan", "land", "publish"), phases, strict=True)),
            records=entity.records_read, rows=entity.rows_loaded, rejects=entity.rejects, warnings=entity.warnings,
        )  # fmt: skip


def _engine(asked: dict[str, Any]) -> Any:
    if asked["engine"] == "local":
        return import_module(LOCAL).Local()
    from staging_loaders.session import Session

    return Session(cache=Path(asked["home"]))


def _nothing(item: int) -> int:
    return item


if __name__ == "__main__":
    main()
