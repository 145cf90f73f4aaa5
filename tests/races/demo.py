"""A small pipeline whose days share a table, so that runs of different days are in each other's way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

DAYS = ("d1", "d2", "d3")
THINGS = 200

_METRICS = """
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_updated, rows_affected, status
)
select
    current_setting('app.flow_run_id'), '{name}_task', '{name}', '{name}', current_setting('app.day'),
    {inserted}, {updated}, {inserted} + {updated}, 'success'
"""

# The newest day wins, whichever comes first; two runs take the rows in opposite orders.
_THINGS = (
    """
with upserted as (

    insert into things as target (id, day, value)
    select id, day, value
    from stg_things
    where day = current_setting('app.day')
    order by case when day in ('d1', 'd3') then id else -id end
    on conflict (id) do update
    set day = excluded.day, value = excluded.value
    where excluded.day > target.day
    returning (xmax = 0) as inserted

)
"""
    + _METRICS.format(
        name="things", inserted="count(*) filter (where inserted)", updated="count(*) filter (where not inserted)"
    )
    + "from upserted;\n"
)

# Several statements: what the first has counted must still be so when the second looks.
_SUMS = (
    """
create temporary table seen on commit drop as
select count(*) as things, sum(value) as total from stg_things where day = current_setting('app.day');

with upserted as (

    insert into sums as target (day, things, total)
    select current_setting('app.day'), count(*), sum(value) from stg_things where day = current_setting('app.day')
    on conflict (day) do update
    set things = excluded.things, total = excluded.total
    where (target.things, target.total) is distinct from (excluded.things, excluded.total)
    returning (xmax = 0) as inserted

)
"""
    + _METRICS.format(
        name="sums", inserted="count(*) filter (where inserted)", updated="count(*) filter (where not inserted)"
    )
    + "from upserted;\n"
)

_SCHEMA = """
create table stg_things (day text, id integer, value integer);
create table things (id integer primary key, day text not null, value integer not null);
create table sums (day text primary key, things bigint not null, total bigint not null);
"""

# Waits for as long as a test holds the gate.
GATE = 8_675_309
_GATED = f"do $$ begin perform pg_advisory_xact_lock_shared({GATE}); end $$;\n"


def make(folder: Path, *, gated: bool = False) -> Path:
    """Write the project, whose first step waits at a gate where that is asked for; return its folder."""
    steps = folder / "migrations" / "demo"
    (steps / "schema").mkdir(parents=True)
    (steps / "schema" / "001_tables.sql").write_text(_SCHEMA, "utf-8")
    gate = _GATED if gated else ""
    (steps / "010_things.sql").write_text(f"-- lock_timeout: 60s\n{gate}{_THINGS}", "utf-8")
    (steps / "020_sums.sql").write_text(_SUMS, "utf-8")
    return folder


def stage(connection: psycopg.Connection[Any]) -> None:
    """Fill the staging of all days: each has half of the things of the one before, and as many new ones."""
    for number, day in enumerate(DAYS):
        connection.execute(
            "insert into stg_things select %s, id, %s * id from generate_series(%s::int, %s::int) as id",
            (day, number + 1, number * THINGS // 2, number * THINGS // 2 + THINGS - 1),
        )


def content(connection: psycopg.Connection[Any]) -> list[list[tuple[Any, ...]]]:
    """Return the tables that the steps write."""
    return [connection.execute(f"select * from {table} order by 1").fetchall() for table in ("things", "sums")]


def newest() -> list[tuple[int, str, int]]:
    """Return what the table of things must hold when all days were applied, in whatever order."""
    rows = {
        each: (each, day, (number + 1) * each)
        for number, day in enumerate(DAYS)
        for each in range(number * THINGS // 2, number * THINGS // 2 + THINGS)
    }
    return [rows[each] for each in sorted(rows)]
