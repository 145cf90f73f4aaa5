"""What two runs of others leave: an incremental model in dbt and in SQLMesh, each as its documentation has it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.race import GATE, KNOWN, Database, Race, end, start

# What dbt's documentation writes; the configuration is its own but for the gate.
_MODEL = """{{{{ config(
    materialized='incremental', unique_key='id', incremental_strategy='{strategy}',
    post_hook='select pg_advisory_xact_lock_shared({gate})'
) }}}}
select id, day, value from stg_things where day = '{{{{ var("day") }}}}'
"""

_PROCEDURE = """create procedure gate() language plpgsql as
$$ begin perform pg_advisory_xact_lock_shared({gate}); end $$"""

_KEYED = """MODEL (
    name analytics.things,
    kind INCREMENTAL_BY_UNIQUE_KEY (unique_key id),
    cron '@hourly',
    start '2026-01-01'
);

SELECT id::int AS id, day::text AS day, value::int AS value FROM public.stg_things;

JINJA_STATEMENT_BEGIN;
CALL public.gate();
JINJA_END;
"""


def dbt(program: Path, url: str, folder: Path, strategy: str, known: bool) -> Race:
    """Let two runs of `dbt run` race, whose model has the incremental `strategy`."""
    project = folder / f"dbt-{strategy}-{known}"
    (project / "models").mkdir(parents=True)
    (project / "models" / "things.sql").write_text(_MODEL.format(strategy=strategy, gate=GATE))
    settings = {"name": "race", "version": "1.0", "profile": "race", "flags": {"send_anonymous_usage_stats": False}}
    (project / "dbt_project.yml").write_text(json.dumps(settings))
    with Database(url) as database:
        output = _connection(database) | {"dbname": database.server["dbname"], "schema": "public", "threads": 1}
        _write_secret(project / "profiles.yml", {"race": {"target": "dev", "outputs": {"dev": output}}})
        numbers = iter(range(9))

        def run(day: str) -> subprocess.Popen[str]:
            # Each in a folder of its own, so that only the database is shared.
            number = str(next(numbers))
            paths = ["--target-path", f"target{number}", "--log-path", f"log{number}"]
            command = [str(program), "--no-use-colors", "run", *paths, "--vars", json.dumps({"day": day})]
            return start(command, project, DBT_PROFILES_DIR=str(project), DO_NOT_TRACK="1")

        database.execute("create table stg_things (day text, id integer, value integer)")
        if known:
            database.stage("day0")
        end(run("day0"))  # it makes the table
        database.stage("day1")
        ended = database.race(run)
        return Race(f"dbt run, {strategy}", KNOWN[known], ended, *database.count())


def sqlmesh(program: Path, url: str, folder: Path, known: bool) -> Race:
    """Let two runs of `sqlmesh run` race, whose model is incremental by a unique key."""
    project = folder / f"sqlmesh-{known}"
    (project / "models").mkdir(parents=True)
    (project / "models" / "things.sql").write_text(_KEYED)
    with Database(url) as database:
        connection = _connection(database) | {"database": database.server["dbname"], "concurrent_tasks": 1}
        settings = {
            "gateways": {"local": {"connection": connection}},
            "default_gateway": "local",
            "model_defaults": {"dialect": "postgres"},
        }
        _write_secret(project / "config.yaml", settings)

        def command(*arguments: str) -> subprocess.Popen[str]:
            given = {"HOME": str(project), "SQLMESH__DISABLE_ANONYMIZED_ANALYTICS": "1", "NO_COLOR": "1"}
            return start([str(program), "--paths", str(project), *arguments], project, **given)

        database.execute("create table stg_things (day text, id integer, value integer)")
        database.execute(_PROCEDURE.format(gate=GATE))
        if known:
            database.stage("day0")
        # Long ago, so that there is an interval to run.
        end(command("plan", "--auto-apply", "--no-prompts", "--execution-time", "2026-01-02 00:00:00"))
        database.execute("truncate stg_things")
        database.stage("day1")
        ended = database.race(lambda _: command("run"))
        return Race("sqlmesh run", KNOWN[known], ended, *database.count("analytics.things"))


def _connection(database: Database) -> dict[str, Any]:
    server = database.server
    return {"type": "postgres", **{key: server[key] for key in ("host", "port", "user", "password")}}


def _write_secret(path: Path, settings: dict[str, Any]) -> None:
    """Write settings as JSON, which is YAML."""
    path.touch(mode=0o600)
    path.write_text(json.dumps(settings))
