"""Marts and checkpoints as lint sees them: their names, and what would be another mart at each refresh."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.lint import project

TABLES = "create table sales (kind text primary key, amount numeric, sold_at timestamptz);"
MART = "create materialized view sums as\n{query};\ncreate unique index sums_key on sums ({key});"
CHECKPOINT = "-- severity: error\n-- description: bad sales\n{query}"
GOOD = "select kind, sum(amount) as amount from sales group by kind"


def lint(folder: Path, **files: str) -> list[tuple[str, int, str]]:
    """Return (rule, line, message) of what is found in a project of these files."""
    pipeline = folder / "migrations" / "shop"
    for name, text in {"schema/001_tables": TABLES, **files}.items():
        path = pipeline / f"{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [(each.rule.id, each.line, each.message) for each in project.lint(folder, ["shop"]).findings]


def mart(query: str = GOOD, key: str = "kind") -> dict[str, str]:
    return {"marts/010_sums": MART.format(query=query, key=key)}


def checkpoint(query: str) -> dict[str, str]:
    return {"checkpoints/010_good": CHECKPOINT.format(query=query)}


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        pytest.param("select knd as kind from sales", "unknown-column", id="column"),
        pytest.param("select kind from sale", "unknown-table", id="table"),
        pytest.param("select kind, random() as amount from sales", "volatile-value", id="random"),
        pytest.param("select kind from sales where sold_at > now() - interval '30 days'", "clock-in-data", id="now"),
        pytest.param("select kind, current_date - sold_at::date as age from sales", "clock-in-data", id="date"),
        pytest.param("select kind from sales where kind = current_setting('app.day')", "bad-mart", id="setting"),
        pytest.param("select kind from sales with no data", "bad-mart", id="no data"),
        pytest.param("select min(kind) as kind, array_agg(amount) from sales", "aggregate-order", id="list"),
    ],
)
def test_marts(tmp_path: Path, query: str, rule: str) -> None:
    """One thing is found, in the query."""
    assert [found[:2] for found in lint(tmp_path, **mart(query))] == [(rule, 2)]


def test_a_good_mart(tmp_path: Path) -> None:
    """There is nothing to complain about; a later one may read it, and so may a checkpoint."""
    more = MART.format(query="select kind, amount from sums", key="kind").replace("sums", "more").replace(
        "from more", "from sums"
    )  # fmt: skip
    found = lint(tmp_path, **mart(), **{"marts/020_more": more}, **checkpoint("select kind from sums where amount < 0"))
    assert found == []


def test_an_index_of_an_unknown_column(tmp_path: Path) -> None:
    """The columns of a mart are known where it is indexed."""
    assert [found[:2] for found in lint(tmp_path, **mart(key="knd"))] == [("unknown-column", 3)]


def test_an_earlier_mart_does_not_know_a_later_one(tmp_path: Path) -> None:
    """Marts are made in the order of their numbers."""
    early = MART.format(query="select kind from sums", key="kind").replace("sums", "early").replace(
        "from early", "from sums"
    )  # fmt: skip
    assert [found[0] for found in lint(tmp_path, **mart(), **{"marts/005_early": early})] == ["unknown-table"]


def test_two_marts_of_one_number(tmp_path: Path) -> None:
    """As of steps and schema files, each has its own."""
    other = MART.format(query=GOOD, key="kind").replace("sums", "other")
    assert [found[0] for found in lint(tmp_path, **mart(), **{"marts/010_other": other})] == ["duplicate-number"]


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        pytest.param("select knd from sales", "unknown-column", id="column"),
        pytest.param("select kind from sale", "unknown-table", id="table"),
        pytest.param("delete from sales", "bad-checkpoint", id="writes"),
    ],
)
def test_checkpoints(tmp_path: Path, query: str, rule: str) -> None:
    """Their names are looked up, too."""
    assert [found[:2] for found in lint(tmp_path, **checkpoint(query))] == [(rule, 3)]


def test_a_step_that_reads_a_mart(tmp_path: Path) -> None:
    """It is told why, and not that there is no such table."""
    found = lint(tmp_path, **mart(), **{"010_sales": "delete from sales where kind in (select kind from sums);"})
    assert [each[0] for each in found if each[0] != "no-metrics" and each[0] != "uncounted-write"] == ["reads-mart"]
