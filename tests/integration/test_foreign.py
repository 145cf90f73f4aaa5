"""Steps in the manner of other projects: what is wrong is found where it is, and what is right is not called wrong."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import config, database, project, schema
from runner.dry_run import DryRun
from runner.lint import project as lint_project
from runner.project import Pipeline
from runner.verify import Task, Verifier
from tests.conftest import Server

HERE = Path(__file__).parents[1] / "foreign"
STEPS = sorted(path.stem for path in HERE.glob("[0-9]*.sql"))
RIGHT = [name for name in STEPS if name < "100"]
DAYS = ("2026-01-05", "2026-01-06", "2026-01-07")

Counts = tuple[int, int, int]

# Errors that lint must name, by line.
LINT: dict[str, set[tuple[int, str]]] = {
    "110_customers_naive": {
        (3, "session-setting"),
        (6, "window-order"),
        (14, "no-recency-guard"),
        (14, "unguarded-upsert"),
        (24, "metrics-counts"),
        (24, "metrics-finish"),
    },
    "120_members_replaced": {(2, "uncounted-write"), (10, "uncounted-write"), (15, "metrics-counts")},
    "130_departments_flag": {(13, "sibling-read"), (17, "same-row-twice")},
    # The clock is a warning; that days come late is for verify to see.
    "140_prices_closed": set(),
    "145_prices_dated": set(),
    "150_stock_copied": {(5, "unguarded-upsert"), (12, "truncate")},
    "160_suppliers_merged": {(1, "no-recency-guard"), (12, "metrics-counts")},
    # Inside a block nothing is judged without a server.
    "170_balances_added": set(),
    "190_pick": {(3, "window-order")},
}

# Kinds of faults that verify must name, by proof and table; None is any kind.
VERIFY: dict[str, set[tuple[str, str | None, str]]] = {
    "110_customers_naive": {
        ("rerun", "rewritten-unchanged", "dim_customer"),
        ("deterministic", "arrival", "dim_customer"),
    },
    "120_members_replaced": {
        ("rerun", "rewritten-unchanged", "team_members"),
        ("order", "last-applied-wins", "team_members"),
    },
    "130_departments_flag": {("rerun", "one-run-late", "departments")},
    "145_prices_dated": {("order", None, "dim_price")},
    "150_stock_copied": {("rerun", "staging-changed", "stg_stock")},
    "160_suppliers_merged": {("order", "last-applied-wins", "suppliers")},
    "170_balances_added": {("rerun", "adds-up", "account_balance")},
    "190_pick": {("deterministic", "arrival", "dim_customer")},
}
# Steps whose metrics row is not what happened.
MISCOUNTED = {
    "110_customers_naive",
    "120_members_replaced",
    "150_stock_copied",
    "160_suppliers_merged",
    "170_balances_added",
}

# The second day after the first, as it is seen and as the step says: rows inserted, updated, deleted.
DRY: dict[str, tuple[Counts, Counts]] = {
    "010_customers": ((1, 1, 0), (1, 1, 0)),
    "020_members": ((2, 2, 3), (2, 2, 3)),
    "030_departments": ((0, 3, 0), (0, 3, 0)),
    "040_prices": ((3, 1, 0), (3, 1, 0)),
    "050_stock": ((2, 0, 0), (2, 0, 0)),
    "060_suppliers": ((1, 1, 0), (1, 1, 0)),
    "070_balances": ((3, 1, 0), (3, 1, 0)),
    "110_customers_naive": ((1, 2, 0), (3, 0, 0)),
    "120_members_replaced": ((2, 0, 1), (3, 0, 0)),
    # One less than is right: the flag above the changed departments is a run late.
    "130_departments_flag": ((0, 2, 0), (0, 2, 0)),
    "145_prices_dated": ((1, 1, 0), (1, 1, 0)),
    # The first day has emptied the staging of the second.
    "150_stock_copied": ((0, 0, 0), (0, 0, 0)),
    "160_suppliers_merged": ((1, 1, 1), (0, 3, 0)),
    "170_balances_added": ((1, 1, 0), (2, 0, 0)),
    "190_pick": ((1, 0, 0), (1, 0, 0)),
}


@pytest.fixture(scope="module")
def staged(server: Server) -> Iterator[str]:
    """The name of a database with the tables and all days in staging; clone it."""
    name = server.create()
    with psycopg.connect(server.on(name), autocommit=True) as connection:
        schema.migrate(connection, "crm", ())
        for path in (*sorted((HERE / "schema").glob("*.sql")), HERE / "days.sql"):
            connection.execute(path.read_bytes())
    yield name
    server.drop(name)


@pytest.fixture
def url(server: Server, staged: str) -> Iterator[str]:
    """The URL of a database of the test's own, with the days in staging."""
    name = server.create(staged)
    yield server.on(name)
    server.drop(name)


@pytest.fixture
def only(tmp_path: Path) -> Callable[[str], Pipeline]:
    """Make a project of the tables and one step."""

    def make(name: str) -> Pipeline:
        folder = tmp_path / "migrations" / "crm"
        shutil.copytree(HERE / "schema", folder / "schema")
        shutil.copy(HERE / f"{name}.sql", folder)
        return project.discover(config.load({"project": str(tmp_path), "pipeline": "crm"}, environ={}))

    return make


def takes(url: str, name: str) -> None:
    """Skip a step that the server is too old for."""
    with psycopg.connect(url) as connection:
        if name == "060_suppliers" and connection.info.server_version < 170000:
            pytest.skip("merge returns rows since PostgreSQL 17")


def faults(url: str, pipeline: Pipeline) -> set[tuple[str, str, str | None]]:
    """Return what verify finds: proof, kind, table."""
    task = Task("crm", pipeline.steps, pipeline.steps, DAYS, shrink=0.0)
    _, found = Verifier(task, lambda: database.connect(url, "verify")).run()
    return {(fault.proof, fault.kind, fault.table) for fault in found}


@pytest.mark.parametrize("name", STEPS)
def test_lint(tmp_path: Path, only: Callable[[str], Pipeline], name: str) -> None:
    """Each error at its line; none, nor a warning, in what is right."""
    only(name)
    found = lint_project.lint(tmp_path, ["crm"]).findings
    if name in RIGHT:
        assert found == ()
    errors = {(each.line, each.rule.id) for each in found if each.rule.severity == "error"}
    assert errors == LINT.get(name, set())


def test_the_clock_in_periods_is_a_warning(tmp_path: Path, only: Callable[[str], Pipeline]) -> None:
    """Periods that begin on the day of the run are told, at both places."""
    only("140_prices_closed")
    found = lint_project.lint(tmp_path, ["crm"]).findings
    assert [(each.line, each.rule.id) for each in found] == [(11, "clock-in-data"), (17, "clock-in-data")]


@pytest.mark.parametrize("name", RIGHT)
def test_verify_right(url: str, only: Callable[[str], Pipeline], name: str) -> None:
    """Reruns, counts and orders are proven, and nothing is found."""
    takes(url, name)
    assert faults(url, only(name)) == set()


@pytest.mark.parametrize("name", VERIFY)
def test_verify_wrong(url: str, only: Callable[[str], Pipeline], name: str) -> None:
    """The faults of each are named, by proof and table; where counts are wrong, that too."""
    found = faults(url, only(name))
    kinds: set[tuple[str, str | None, str | None]] = {*found, *((proof, None, table) for proof, _, table in found)}
    assert VERIFY[name] <= kinds
    assert (name in MISCOUNTED) == any(proof == "metrics" for proof, *_ in found)


def test_verify_tells_a_day_that_fails(url: str, only: Callable[[str], Pipeline]) -> None:
    """Two days applied on one date begin two periods of one key: said at the insert."""
    pipeline = only("140_prices_closed")
    task = Task("crm", pipeline.steps, pipeline.steps, DAYS, shrink=0.0)
    _, found = Verifier(task, lambda: database.connect(url, "verify")).run()
    (message,) = [fault.message for fault in found if fault.kind == "fails"]
    assert re.search(r'fails after .*\n.*140_prices_closed\.sql:16:\d+: duplicate key .* "dim_price_pkey"', message)


@pytest.mark.parametrize("name", DRY)
def test_dry_run(url: str, only: Callable[[str], Pipeline], name: str) -> None:
    """The second day after the first: what would change, and what the step says of it; nothing is kept."""
    takes(url, name)
    pipeline = only(name)
    (step,) = pipeline.steps
    with psycopg.connect(url) as connection:
        connection.execute(
            "select set_config('app.flow_run_id', 'run', true), set_config('app.day', %s, true)", DAYS[:1]
        )
        for statement in step.statements:
            connection.execute(statement.text.encode())
        connection.commit()
        connection.execute("create temporary table metrics_before as select * from pipeline_metrics")
        connection.commit()
        with DryRun(lambda: database.connect(url, "dry run"), pipeline, DAYS[1], lambda _: None) as dry:
            seen = [(preview.counted, preview.reported) for preview in dry.run(pipeline.steps)]
        assert seen == [DRY[name]]
        kept: Any = connection.execute("table pipeline_metrics except table metrics_before").fetchall()
        assert kept == []
