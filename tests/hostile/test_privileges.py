"""The role of docs/privileges.md runs days and cannot change the schema."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from runner import cli
from tests.conftest import Server
from tests.e2e.conftest import ROOT

OWNER, RUNNER = f"owner_{os.getpid()}", f"day_runner_{os.getpid()}"
PAGE = ROOT / "docs/privileges.md"
DAYS = ("day1", "day2", "day3")

Command = Callable[..., int]


def grants(version: int) -> str:
    """Return the statements of the page, for a role of the test's own on a server of that version."""
    first, before_17, *_ = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    if version < 170000:
        first = re.sub("grant select, maintain .*;", before_17, first)
    return first.replace("day_runner", RUNNER)


def as_role(dsn: str, role: str) -> str:
    """Return the connection string of a session that has become `role`."""
    return conninfo.make_conninfo(dsn, options=f"-c role={role}")


@pytest.fixture(scope="module")
def warehouse(server: Server) -> Iterator[str]:
    """A new database that its owner has migrated, in which a role was given what the page gives it."""
    name = server.create()
    dsn = server.on(name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"create role {OWNER} nologin".encode())
        connection.execute(f'alter database "{name}" owner to {OWNER}'.encode())
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", as_role(dsn, OWNER))
            assert cli.main(["migrate", "--project", str(ROOT)]) == 0
        connection.execute(grants(connection.info.server_version).encode())
        yield dsn
        connection.execute(f"drop owned by {RUNNER}".encode())
    server.drop(name)
    server.execute(f"drop role {RUNNER}")
    server.execute(f"drop role {OWNER}")


@pytest.fixture
def command(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command of the repository's project as the day runner."""
    monkeypatch.setenv("DATABASE_URL", as_role(warehouse, RUNNER))
    return lambda *words: cli.main([*words, "--project", str(ROOT)])


def test_it_runs_days(command: Command, capsys: pytest.CaptureFixture[str], warehouse: str) -> None:
    """All shipped days are loaded and applied; a rerun changes nothing, loads again or not; metrics are read."""
    for day in DAYS:
        assert command("apply", "--day", day, "--engine", "local") == 0
    for load in ("auto", "always"):
        capsys.readouterr()
        words = ("--engine", "local") if load == "always" else ()
        assert command("apply", "--day", "day2", "--load", load, *words) == 0
        said = capsys.readouterr().out
        assert "inserted" not in said and "updated" not in said and "deleted" not in said, said
    for words in (["metrics"], ["status"], ["checks"], ["rejects"], ["plan", "--day", "day1"], ["marts"]):
        assert command(*words) == 0
    with psycopg.connect(warehouse) as connection:
        refreshed = connection.execute("select distinct day from runner_marts").fetchall()
        assert refreshed == [("day2",)]
        owners = connection.execute(
            "select distinct tableowner from pg_tables where schemaname in ('landing', 'staging_days')"
        ).fetchall()
    assert owners == [(RUNNER,)]


def test_it_prunes(command: Command) -> None:
    """With the last of the grants it drops the staging of old days."""
    assert command("prune", "--keep", "2") == 0


REFUSED = (
    "create table another (id bigint)",
    "create schema another",
    "create view another as select 1",
    "create materialized view another as select 1",
    "create function another() returns int language sql return 1",
    "alter table agents add column another text",
    "alter table agents rename to others",
    "alter table agents disable trigger all",
    "drop table agents",
    "drop table transactions",
    "truncate agents",
    "create index another on transactions (transaction_id)",
    "create trigger another before insert on groups for each row execute function suppress_redundant_updates_trigger()",
    "drop index one_success_per_run",
    "alter table pipeline_metrics drop constraint pipeline_metrics_status_check",
    "update pipeline_metrics set status = 'success'",
    "alter table stg_loads add column another text",
    "insert into schema_history (pipeline, name, checksum) values ('zluri', '999_another', '')",
    "delete from schema_history",
    "create or replace function is_loaded(wanted text) returns boolean language sql return true",
    "drop function require_loaded(text)",
    "alter schema public owner to current_user",
    "copy agents to program 'true'",
)


@pytest.mark.parametrize("statement", REFUSED)
def test_it_cannot_change_the_schema(warehouse: str, statement: str) -> None:
    """Nothing but staging is its own to create, alter, drop or empty."""
    session, refusal = as_role(warehouse, RUNNER), pytest.raises(psycopg.errors.InsufficientPrivilege)
    with psycopg.connect(session) as connection, refusal:
        connection.execute(statement.encode())


def test_it_grants_nothing(warehouse: str) -> None:
    """What it was given it cannot give to others."""
    with psycopg.connect(as_role(warehouse, RUNNER)) as connection:
        connection.execute("grant select on agents to public")  # the server warns, and does nothing
        given = connection.execute("select has_table_privilege('public', 'agents', 'select')").fetchone()
    assert given == (False,)


def test_a_schema_file_that_waits_is_the_owners(
    command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path, warehouse: str
) -> None:
    """Where the schema is not up to date, a run stops before it loads, and names the file and what was refused."""
    for folder in ("migrations", "staging_loaders"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (tmp_path / "migrations/zluri/schema/999_more.sql").write_text("alter table agents add column more text;")
    words = ("apply", "--day", "day3", "--data", str(ROOT / "tests/days"), "--load", "always", "--engine", "local")
    with psycopg.connect(warehouse) as connection:
        before = connection.execute("select loaded_at from stg_loads order by 1").fetchall()
        assert cli.main([*words, "--project", str(tmp_path)]) == 2
        assert connection.execute("select loaded_at from stg_loads order by 1").fetchall() == before
    said = capsys.readouterr().err
    assert "999_more.sql:1:13: must be owner of table agents" in said and "hint:" in said


def test_a_mart_that_waits_is_the_owners(
    command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path, warehouse: str
) -> None:
    """Where a mart is not as its file says, a run stops before it loads; the owner makes it, and rights go along."""
    for folder in ("migrations", "staging_loaders"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    path = tmp_path / "migrations/zluri/marts/030_pipeline_health.sql"
    path.write_text(path.read_text().replace("count(distinct flow_run_id) as runs", "2 as runs"))
    words = ("--load", "never", "--project", str(tmp_path))
    assert cli.main(["apply", "--day", "day3", *words]) == 2
    said = capsys.readouterr().err
    assert "the database needs the mart 030_pipeline_health, and this role may not make it" in said
    with psycopg.connect(warehouse, autocommit=True) as connection, pytest.MonkeyPatch.context() as patch:
        connection.execute(f"grant {RUNNER} to {OWNER}".encode())
        patch.setenv("DATABASE_URL", as_role(warehouse, OWNER))
        assert cli.main(["migrate", "--project", str(tmp_path)]) == 0
    assert cli.main(["apply", "--day", "day3", *words]) == 0
    assert "030_pipeline_health     refreshed" in capsys.readouterr().out
