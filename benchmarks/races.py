"""Two runs at once that write the same keys of one table: ours, and those of dbt.

Each run waits before its commit until the other one is there too, or waits for it: what takes chance in
production happens each time.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo

from benchmarks.report import Limits, table
from benchmarks.rivals import fetch

KEYS = 1000
_GATE = 4242
_ROOT = Path(__file__).resolve().parent.parent
_SECONDS = 300

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

# What dbt's documentation writes; the configuration is its own but for the gate.
_MODEL = """{{{{ config(
    materialized='incremental', unique_key='id', incremental_strategy='{strategy}',
    post_hook='select pg_advisory_xact_lock_shared({gate})'
) }}}}
select id, day, value from stg_things where day = '{{{{ var("day") }}}}'
"""


@dataclass(frozen=True)
class Race:
    """What two runs did: how each ended, and the rows and keys that the table then has."""

    who: str
    keys: str
    ended: tuple[str, ...]
    rows: int
    distinct: int


def run(url: str, folder: Path, limits: Limits) -> None:
    """Let them race, and print who left what behind; of ours, that each key is there once is a limit."""
    races = []
    for known in (False, True):
        name = "all known" if known else "all new"
        races += [_ours(url, folder, name, known, *arguments) for arguments in ((), ("--wait", "60"))]
    try:
        program = fetch.dbt()
    except fetch.Missing as missing:
        print(f"{missing}\n", flush=True)
    else:
        for strategy in ("delete+insert", "merge"):
            races += [_dbt(program, url, folder, strategy, known) for known in (False, True)]
        races += [_dbt(program, url, folder, "append", False)]
        print(f"dbt-core {fetch.DBT}, dbt-postgres {fetch.DBT_POSTGRES}\n")
    for race in races:
        if race.who.startswith("runner"):
            limits.check(f"{race.who}, {race.keys}: rows", race.rows, KEYS)
            limits.least(f"{race.who}, {race.keys}: keys", race.distinct, KEYS)
    head = ("two runs at once of", "keys", "the first", "the second", "rows", "keys after")
    table(head, [(race.who, race.keys, *race.ended, f"{race.rows:,}", f"{race.distinct:,}") for race in races])


def _ours(url: str, folder: Path, name: str, known: bool, *arguments: str) -> Race:
    project = folder / "race"
    steps = project / "migrations" / "demo"
    (steps / "schema").mkdir(parents=True, exist_ok=True)
    (steps / "schema" / "001_things.sql").write_text(
        "create table stg_things (day text, id integer, value integer);\n"
        "create table things (id integer primary key, day text not null, value integer not null);\n"
    )
    (steps / "010_things.sql").write_text(_STEP.format(gate=_GATE))
    with _Database(url) as database:

        def start(day: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "runner", "apply", "--day", day, "--project", str(project), *arguments]
            given = {"DATABASE_URL": database.url, "PYTHONPATH": str(_ROOT)}
            return _start(command, project, **given)

        _end(_start([sys.executable, "-m", "runner", "migrate", "--project", str(project)], project,
                    DATABASE_URL=database.url, PYTHONPATH=str(_ROOT)))  # fmt: skip
        if known:
            database.stage("day0")
            _end(start("day0"))
        database.stage("day1")
        ended = database.race(start)
        return Race(" ".join(["runner apply", *arguments]), name, ended, *database.count())


def _dbt(program: Path, url: str, folder: Path, strategy: str, known: bool) -> Race:
    project = folder / f"dbt-{strategy}-{known}"
    (project / "models").mkdir(parents=True)
    (project / "models" / "things.sql").write_text(_MODEL.format(strategy=strategy, gate=_GATE))
    settings = {"name": "race", "version": "1.0", "profile": "race", "flags": {"send_anonymous_usage_stats": False}}
    (project / "dbt_project.yml").write_text(json.dumps(settings))
    with _Database(url) as database:
        server = conninfo.conninfo_to_dict(database.url)
        password = Path(str(server["passfile"])).read_text().splitlines()[0].rpartition(":")[2]
        output = {
            "type": "postgres", "host": server["host"], "port": int(str(server["port"])), "user": server["user"],
            "password": password, "dbname": server["dbname"], "schema": "public", "threads": 1,
        }  # fmt: skip
        profile = project / "profiles.yml"
        profile.write_text(json.dumps({"race": {"target": "dev", "outputs": {"dev": output}}}))
        profile.chmod(0o600)
        numbers = iter(range(9))

        def start(day: str) -> subprocess.Popen[str]:
            # Each in a folder of its own, so that only the database is shared.
            number = str(next(numbers))
            paths = ["--target-path", f"target{number}", "--log-path", f"log{number}"]
            command = [str(program), "--no-use-colors", "run", *paths, "--vars", json.dumps({"day": day})]
            return _start(command, project, DBT_PROFILES_DIR=str(project), DO_NOT_TRACK="1")

        database.execute("create table stg_things (day text, id integer, value integer)")
        if known:
            database.stage("day0")
        _end(start("day0"))  # it makes the table
        database.stage("day1")
        return Race(
            f"dbt run, {strategy}", "all known" if known else "all new", database.race(start), *database.count()
        )


class _Database:
    """A database of a race's own; a context manager."""

    def __init__(self, url: str) -> None:
        self._server = url
        self.url = conninfo.make_conninfo(url, dbname="race")

    def __enter__(self) -> _Database:
        self._administrate("drop database if exists race with (force)", "create database race")
        self._connection = psycopg.connect(self.url, autocommit=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._administrate("drop database race with (force)")

    def execute(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        cursor = self._connection.execute(query.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def stage(self, day: str) -> None:
        """Put all keys of a day into staging."""
        number = int(day.removeprefix("day"))
        query = "insert into stg_things select %s, id, %s from generate_series(1, %s) as id"
        self.execute(query, (day, number, KEYS))

    def count(self) -> tuple[int, int]:
        """Return the table's rows, and how many keys they have."""
        ((rows, keys),) = self.execute("select count(*), count(distinct id) from things")
        return rows, keys

    def race(self, start: Callable[[str], subprocess.Popen[str]]) -> tuple[str, ...]:
        """Start two runs of a day, let them commit when they have met; return how each ended, and what it said."""
        self.execute("select pg_advisory_lock(%s)", (_GATE,))
        runs = [start("day1"), start("day1")]
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        held = "select to_regclass('runner_leases') is not null"
        while self.execute(waiting)[0][0] + sum(run.poll() is not None for run in runs) < 2:
            # One of ours that waits holds nothing, and asks the lease again and again.
            if self.execute(held)[0][0] and self.execute(_TURNED_AWAY)[0][0]:
                break
            self.execute("select pg_sleep(0.1)")
        self.execute("select pg_advisory_unlock(%s)", (_GATE,))
        return tuple(sorted(_said(run) for run in runs))

    def _administrate(self, *statements: str) -> None:
        with psycopg.connect(conninfo.make_conninfo(self._server, dbname="postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


# Two leases were asked for: the second connection by that name goes on asking.
_TURNED_AWAY = """
    select count(*) > 0 from pg_stat_activity
    where datname = current_database() and application_name = 'runner lease' and query ~ 'runner_leases'
        and backend_start < now() - interval '1 second'
"""


def _start(command: Sequence[str], folder: Path, **given: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=folder, env=os.environ | given, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _end(process: subprocess.Popen[str]) -> str:
    """Wait for a process that must succeed."""
    out, _ = process.communicate(timeout=_SECONDS)
    if process.returncode:
        raise RuntimeError(out)
    return out


def _said(process: subprocess.Popen[str]) -> str:
    """Return the exit code, and in how many words a run said what it did."""
    out, _ = process.communicate(timeout=_SECONDS)
    for pattern in (r"\[((?:INSERT|MERGE)[^\]]*) in ", r"010_things +(.+?)  ", r"is (held) by run "):
        if found := re.search(pattern, out):
            return f"exit {process.returncode}, {found[1]}"
    return f"exit {process.returncode}"
