"""Steps in other styles than the shipped ones: what is right is not called wrong, and what is wrong is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest

from runner.lint import project
from runner.step import STEP_KEYS, read

HERE = Path(__file__).parent / "styles"
RIGHT = sorted(path.name for path in (HERE / "right").glob("*.sql"))

WRONG = {
    "010_truncates.sql": {
        (1, "session-setting"),
        (6, "distinct-on-order"),
        (7, "unguarded-upsert"),
        (7, "no-recency-guard"),
        (12, "metrics-kind"),
        (14, "truncate"),
    },
    "020_replaces_members.sql": {(9, "delete-then-insert"), (15, "metrics-finish")},
    "030_recomputes.sql": {(13, "sibling-read")},
    "040_statement_by_statement.sql": {
        (2, "temporary-table"),
        (3, "clock-in-data"),
        (4, "unguarded-update"),
        (4, "uncounted-write"),
        (7, "transaction-control"),
        (8, "transaction-control"),
        (10, "metrics-context"),
        (10, "metrics-name"),
        (10, "metrics-counts"),
        (10, "metrics-status"),
    },
    "050_misspells.sql": {(2, "unknown-column"), (3, "unknown-table"), (4, "unknown-column")},
}


def _project(folder: Path, steps: str) -> Path:
    shutil.copytree(HERE / "schema", folder / "migrations" / "shop" / "schema")
    for path in (HERE / steps).glob("*.sql"):
        shutil.copy(path, folder / "migrations" / "shop")
    return folder


def test_right(tmp_path: Path) -> None:
    """An outer transaction, `xmax = 0`, members of other keys deleted and inserted, recursion, merge, blocks."""
    assert project.lint(_project(tmp_path, "right"), ["shop"]).findings == ()


@pytest.mark.parametrize("name", RIGHT)
def test_right_on_a_server(connection: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """They are accepted by PostgreSQL, too."""
    connection.execute((HERE / "schema" / "001_tables.sql").read_text().encode())
    if name == "040_merge.sql" and connection.info.server_version < 170000:
        pytest.skip("merge returns rows since PostgreSQL 17")
    step = read(HERE / "right" / name, HERE, STEP_KEYS)
    with connection.transaction():
        connection.execute("select set_config('app.flow_run_id', 'run', true), set_config('app.day', 'day1', true)")
        for statement in step.statements:
            connection.execute(statement.text.encode())
    assert connection.execute("select status from pipeline_metrics").fetchall() == [("success",)]


@pytest.mark.parametrize("name", WRONG)
def test_wrong(tmp_path: Path, name: str) -> None:
    """Each fault once, at its line."""
    found = project.lint(_project(tmp_path, "wrong"), ["shop"]).findings
    assert {(f.line, f.rule.id) for f in found if f.file.endswith(name)} == WRONG[name]


UPSERT = """
insert into {table} as target (stock_id, taken_on, amount, sequence)
select stock_id, day, amount, sequence from stg_stock where day = current_setting('app.day')
on conflict ({key}) do update set taken_on = excluded.taken_on, amount = excluded.amount, sequence = excluded.sequence
where target.amount is distinct from excluded.amount {guard};
"""


@pytest.mark.parametrize(
    ("table", "key", "guard", "is_found"),
    [
        pytest.param("stock", "stock_id", "", True, id="nothing is compared"),
        pytest.param("stock", "stock_id", "and excluded.taken_on >= target.taken_on", False, id="the day is compared"),
        pytest.param("stock", "stock_id", "and excluded.sequence > target.sequence", False, id="another is compared"),
        pytest.param("taken", "stock_id, taken_on", "", False, id="the day is part of the key"),
    ],
)
def test_day_of_the_data(tmp_path: Path, table: str, key: str, guard: str, is_found: bool) -> None:
    """A column that is set to the day of the data says how new a record is, whatever it is called."""
    folder = tmp_path / "migrations" / "shop"
    (folder / "schema").mkdir(parents=True)
    columns = "stock_id int, taken_on text, amount int, sequence int"
    (folder / "schema" / "001_tables.sql").write_text(
        f"create table stock ({columns}, primary key (stock_id));"
        f"create table taken ({columns}, primary key (stock_id, taken_on));"
        f"create table stg_stock (day text, {columns}, source_file text, position int);"
    )
    (folder / "010_stock.sql").write_text(UPSERT.format(table=table, key=key, guard=guard))
    found = {finding.rule.id for finding in project.lint(tmp_path, ["shop"]).findings}
    assert ("no-recency-guard" in found) == is_found
    assert not found & {"unknown-column", "unknown-table", "unguarded-upsert", "conflict-target"}
