"""Two runs at once that write the same keys of one table: ours, and those of dbt and SQLMesh."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import race_rivals
from benchmarks.race import GATE, KEYS, KNOWN, Database, Race, end, start
from benchmarks.report import Limits, table
from benchmarks.rivals import fetch

_ROOT = Path(__file__).resolve().parent.parent

_STEP = """-- 010_things: the newest day's value of each thing.
with upserted as (

    insert into things as target (id, day, value)
    select id, day, value from stg_things where day = current_setting('app.day')
    on conflict (id) do update
    set day = excluded.day, value = excluded.value
    where (target.day, target.value) is distinct from (excluded.day, excluded.value)
    returning (xmax = 0) as inserted

)

insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_updated, rows_affected, status
)
select
    current_setting('app.flow_run_id'), 'things_task', 'things', 'things', current_setting('app.day'),
    count(*) filter (where inserted), count(*) filter (where not inserted), count(*), 'success'
from upserted;

do $$ begin perform pg_advisory_xact_lock_shared({gate}); end $$;
"""


def run(url: str, folder: Path, limits: Limits) -> None:
    """Let them race, and print who left what behind; of ours, that each key is there once is a limit."""
    races = [_ours(url, folder, known, *more) for known in (False, True) for more in ((), ("--wait", "60"))]
    races += _of("dbt", fetch.dbt, lambda program: _dbt(program, url, folder))
    races += _of("sqlmesh", fetch.sqlmesh, lambda program: _sqlmesh(program, url, folder))
    for race in races:
        if race.who.startswith("runner"):
            limits.check(f"{race.who}, {race.keys}: rows", race.rows, KEYS)
            limits.least(f"{race.who}, {race.keys}: keys", race.distinct, KEYS)
    print(f"dbt-core {fetch.DBT}, dbt-postgres {fetch.DBT_POSTGRES}, SQLMesh {fetch.SQLMESH}\n")
    head = ("two runs at once of", "keys", "the first", "the second", "rows", "keys after")
    table(head, [(race.who, race.keys, *race.ended, f"{race.rows:,}", f"{race.distinct:,}") for race in races])


def _of(name: str, find: Callable[[], Path], run: Callable[[Path], list[Race]]) -> list[Race]:
    try:
        return run(find())
    except fetch.Missing as missing:
        print(f"without {name}: {missing}\n", flush=True)
        return []


def _dbt(program: Path, url: str, folder: Path) -> list[Race]:
    given = (("delete+insert", False), ("delete+insert", True), ("merge", False), ("merge", True), ("append", False))
    return [race_rivals.dbt(program, url, folder, strategy, known) for strategy, known in given]


def _sqlmesh(program: Path, url: str, folder: Path) -> list[Race]:
    return [race_rivals.sqlmesh(program, url, folder, known) for known in (False, True)]


def _ours(url: str, folder: Path, known: bool, *more: str) -> Race:
    project = folder / "race"
    steps = project / "migrations" / "demo"
    (steps / "schema").mkdir(parents=True, exist_ok=True)
    (steps / "schema" / "001_things.sql").write_text(
        "create table stg_things (day text, id integer, value integer);\n"
        "create table things (id integer primary key, day text not null, value integer not null);\n"
    )
    (steps / "010_things.sql").write_text(_STEP.format(gate=GATE))
    with Database(url) as database:

        def runner(*arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "runner", *arguments, "--project", str(project)]
            return start(command, project, DATABASE_URL=database.url, PYTHONPATH=str(_ROOT))

        def apply(day: str) -> subprocess.Popen[str]:
            return runner("apply", "--day", day, *more)

        end(runner("migrate"))
        if known:
            database.stage("day0")
            end(apply("day0"))
        database.stage("day1")
        ended = database.race(apply)
        return Race(" ".join(["runner apply", *more]), KNOWN[known], ended, *database.count())
