"""How old the newest data is: by the last run or by a column, against limits that are declared."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import cli, config, freshness, project
from tests.conftest import ROOT

Connection = psycopg.Connection[tuple[Any, ...]]
Run = Callable[..., tuple[int, str, str]]

STEP = """
create table if not exists {0} (at timestamptz, on_day date, note text);
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status
)
select current_setting('app.flow_run_id'), '{0}_task', '{0}', '{0}', current_setting('app.day'), 0, 0, 'success';
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of two steps."""
    folder = tmp_path / "migrations" / "demo"
    folder.mkdir(parents=True)
    for number, name in enumerate(("orders", "prices"), 1):
        (folder / f"{number:02}0_{name}.sql").write_text(STEP.format(name))
    return tmp_path


@pytest.fixture
def run(root: Path, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in the project on the test's database; return its exit code, output and errors."""
    monkeypatch.setenv("DATABASE_URL", database)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.main([arguments[0], "--project", str(root), *arguments[1:]])
        return code, *capsys.readouterr()

    return call


def levels(run: Run, *arguments: str) -> tuple[int, dict[str, str]]:
    code, out, err = run("freshness", *arguments, "--json")
    assert err == ""
    return code, {one["table"]: one["level"] for one in json.loads(out)}


def test_by_the_last_run(run: Run, connection: Connection) -> None:
    """Data is as new as the last success of the step that writes it; what never was is stale."""
    assert levels(run) == (1, {"orders": "stale", "prices": "stale"})
    assert run("apply", "--day", "day1")[0] == 0
    assert levels(run) == (0, {"orders": "fresh", "prices": "fresh"})
    connection.execute(
        "update pipeline_metrics set started_at = started_at - interval '26 h',"
        " finished_at = finished_at - interval '26 h' where table_name = 'orders'"
    )
    assert levels(run) == (1, {"orders": "stale", "prices": "fresh"})
    assert levels(run, "--error", "27h", "--warn", "2h") == (0, {"orders": "warning", "prices": "fresh"})
    assert levels(run, "--table", "prices") == (0, {"prices": "fresh"})
    connection.execute("update pipeline_metrics set status = 'skipped' where table_name = 'prices'")
    assert levels(run)[1]["prices"] == "skipped"
    connection.execute(
        "update pipeline_metrics set status = 'failure', error_message = 'x' where table_name = 'prices'"
    )
    assert levels(run)[1]["prices"] == "stale"


def test_by_a_column(run: Run, root: Path, connection: Connection) -> None:
    """Where a column is named its newest value counts, of any type of time; limits of a table are its own."""
    (root / "runner.toml").write_text(
        '[freshness]\nwarn = "1h"\n[freshness.tables.orders]\ncolumn = "at"\nerror = "3d"\nwarn = "2d"\n'
        '[freshness.tables.prices]\ncolumn = "on_day"\n'
    )
    assert run("apply", "--day", "day1")[0] == 0
    connection.execute(f'alter database "{connection.info.dbname}" set quote_all_identifiers = on'.encode())
    assert levels(run) == (1, {"orders": "stale", "prices": "stale"})
    connection.execute(
        "insert into orders values (now() - interval '50 h'), ('infinity'), ('-infinity'), ('20000-01-01')"
    )
    connection.execute("insert into prices (on_day) values (current_date + 1)")
    assert levels(run) == (0, {"orders": "warning", "prices": "fresh"})
    code, out, _ = run("freshness")
    assert code == 0
    shown = [line.split() for line in out.splitlines()]
    assert shown[0] == ["table", "by", "newest", "age", "limit", "level"]
    assert shown[1][:2] == ["orders", "at"] and shown[1][4:] == ["2", "d", "2", "h", "2", "d", "warning"]
    assert out.endswith("\n1 fresh, 1 warning\n")


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("freshness = 1", "freshness in"),
        ("[freshness]\nwran = '1h'", "unknown key 'freshness.wran'"),
        ("[freshness]\nerror = '1x'", "freshness.error in"),
        ("[freshness]\nerror = 5", "'5', which is not a duration"),
        ("[freshness]\nwarn = '30h'", "is stale after 1 d 1 h, before the warning after 1 d 6 h"),
        ("[freshness]\ntables = 1", "freshness.tables in"),
        ("[freshness.tables.orders]\nlimit = '1h'", "unknown key 'freshness.tables.orders.limit'"),
        ("[freshness.tables.orders]\ncolumn = 1", "freshness.tables.orders.column"),
        ("[freshness.tables.orders]\ncolumn = 'ats'", "orders has no column ats"),
        ("[freshness.tables.orders]\ncolumn = 'note'", "orders.note is text"),
        ("[freshness.tables.order]\ncolumn = 'at'", "the database has no table order"),
        ("[freshness.tables.\"or'der; x\"]\ncolumn = 'at'", "the database has no table or'der; x"),
    ],
)
def test_what_cannot_be_looked_at(run: Run, root: Path, toml: str, message: str) -> None:
    """It is named with its key, and what to do, before or after the server is asked."""
    assert run("apply", "--day", "day1")[0] == 0
    (root / "runner.toml").write_text(toml)
    code, out, err = run("freshness")
    assert (code, out) == (2, "")
    assert message in err and "hint: " in err


def test_the_page(database: str, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/freshness.md shows is taken by the shipped pipeline: each command, and the limits of runner.toml."""
    page = (ROOT / "docs" / "freshness.md").read_text("utf-8")
    commands = [line.partition("#")[0].split()[1:] for line in page.splitlines() if line.startswith("runner ")]
    assert len(commands) == 4
    monkeypatch.setenv("DATABASE_URL", database)
    for command in commands:
        assert cli.main([*command, "--project", str(ROOT)]) == 1, command
    limits = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])["freshness"]
    settings = replace(config.load({"project": str(ROOT)}), freshness=limits)
    rules = freshness.rules(settings, project.discover(settings).steps)
    found = {one.rule.table: one for one in freshness.look(connection, "zluri", rules)}
    assert found["transactions"].rule.column == "occurred_time" and found["agents"].level == "stale"


def test_wrong_words(run: Run) -> None:
    """Tables and ages of the command line are checked as well."""
    assert "did you mean orders?" in run("freshness", "--table", "order")[2]
    code, _, err = run("freshness", "--warn", "soon")
    assert code == 2 and "--warn is 'soon', which is not a duration" in err
