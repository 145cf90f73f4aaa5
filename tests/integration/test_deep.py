"""Statements nested deeper than a person writes: every command says so, or leaves them to the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import cli

SCHEMA = """
create table stg_t (day text not null, source_file text not null, position bigint not null, id int, v int);
create table t (id int primary key, v int);
"""
STEP = """
with added as (

    insert into t (id, v)
    {select}
    returning 1

),

metrics as (select count(*) as inserted from added)

insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status, started_at,
    finished_at, duration_seconds
)
select
    current_setting('app.flow_run_id'), 'deep_task', 'p', 't', current_setting('app.day'), inserted, inserted,
    'success', now(), clock_timestamp(), 0
from metrics;
"""
SOURCE = "from stg_t where day = current_setting('app.day') and not exists (select from t)"
UNREAD = "warning: 010_deep:2 is nested too deep to be followed\n"


@pytest.fixture(
    params=[
        pytest.param(f"select id, v{' + 1' * 5000} {SOURCE}", id="operators"),
        pytest.param(f"select id, v {SOURCE}{' union all select 1, 1 where false' * 5000}", id="unions"),
        pytest.param(f"select id, v{' + 1' * 300} {SOURCE}", id="fewer operators"),
    ]
)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str) -> Path:
    """A project with one deep step, on a database of its own."""
    pipeline = tmp_path / "migrations" / "p"
    (pipeline / "schema").mkdir(parents=True)
    (pipeline / "schema" / "001_tables.sql").write_text(SCHEMA)
    (pipeline / "010_deep.sql").write_text(STEP.format(select=request.param))
    (tmp_path / "runner.toml").write_text('pipeline = "p"\n')
    monkeypatch.setenv("DATABASE_URL", database)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "statuses"),
    [
        pytest.param("lint", {0}, id="lint"),
        pytest.param("lineage", {0}, id="lineage"),
        pytest.param("lineage --column t.v", {0}, id="lineage of a column"),
        pytest.param("plan --day day1", {0}, id="plan"),
        # A server may refuse it: its stack has a limit, too.
        pytest.param("apply --day day1 --load never --dry-run", {0, 1}, id="dry run"),
        pytest.param("verify --day day1", {0, 1}, id="verify"),
    ],
)
def test_deep_statements(folder: Path, capsys: pytest.CaptureFixture[str], command: str, statuses: set[int]) -> None:
    """No command fails by itself; lineage says what it does not follow."""
    if statuses > {0}:
        cli.main(["migrate", "--project", str(folder)])
    assert cli.main([*command.split(), "--project", str(folder)]) in statuses
    said = capsys.readouterr()
    assert "Recursion" not in said.out + said.err
    assert command.startswith("lineage") == (UNREAD in said.err)
