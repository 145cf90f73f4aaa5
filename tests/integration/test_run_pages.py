"""What a run did, as pages of Markdown: what stands on them is what the books say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import cli, config, project, run_pages, run_record
from runner.run_record import RunRecord

ROOT = Path(__file__).resolve().parents[2]

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def record(database: str, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> RunRecord:
    """What is known of the run that applied the shipped day1."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)
    assert cli.main(["apply", "--project", str(ROOT), "--day", "day1", "--engine", "local"]) == 0
    ((run,),) = connection.execute("select distinct flow_run_id from pipeline_metrics").fetchall()
    return run_record.read(connection, "zluri", "day1", run)


def test_the_pages_of_a_day(record: RunRecord, connection: Connection) -> None:
    """Changes, checks and rejects are counted as the books count them; the query shows the rows that a step wrote."""
    changes = run_pages.changes_page(record) or ""
    assert "| agents | 010\\_agents | 113 | 0 | 0 |" in changes
    query = changes.partition("```sql\n")[2].partition("```")[0]
    written = connection.execute(query.encode()).fetchall()
    assert written == connection.execute("select * from agents").fetchall() and written

    settings = config.load({"project": str(ROOT)}, environ={})
    described = {check.name: check.description for check in project.discover(settings).checks}
    checks = run_pages.checks_page(record, described) or ""
    warned, passed = (sum(row["status"] == status for row in record.checks) for status in ("warned", "passed"))
    assert f"\n{warned} warned, {passed} passed\n" in checks
    assert checks.index("! warned") < checks.index("✓ passed")
    assert "listed members that are not known agents" in checks and "| group\\_id |" in checks

    assert [row["step"] for row in record.metrics] == sorted(row["step"] for row in record.metrics)
    assert record.metrics[0]["step"] == "010_agents"

    rejects = run_pages.rejects_page(record) or ""
    assert "| agents | 62 | 51 | 11 | 5 | this run |" in rejects
    total = connection.execute("select count(*) from stg_rejects").fetchone()
    assert total == (sum(row["records"] for row in record.reasons),)
    assert "agents is not an array" not in rejects and "`runner rejects --day day1 --limit 0`" in rejects


def test_a_failed_checkpoint(record: RunRecord) -> None:
    """Its page says that what the steps wrote is there, and what the author said, whole."""
    said = "agents " + "of the day, " * 20 + "that nobody knows"
    failed = next(row for row in record.checks if row["step"] == "checkpoints")
    failed |= {"status": "failed", "rows_failed": 1, "sample": [{"agent_id": 7}]}
    page = run_pages.checks_page(record, {failed["check_name"]: said}) or ""
    assert f"1 row: {said}" in page
    assert "What the steps wrote is committed; no mart was refreshed." in page and "rolled back" not in page


def test_a_rerun(record: RunRecord, connection: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """A rerun has changed nothing, and the records are those of the run that loaded them."""
    assert cli.main(["apply", "--project", str(ROOT), "--day", "day1", "--engine", "local"]) == 0
    query = "select flow_run_id from pipeline_metrics order by id desc limit 1"
    again = run_record.read(connection, "zluri", "day1", str(connection.execute(query).fetchall()[0][0]))
    assert "a rerun changes no row" in (run_pages.changes_page(again) or "")
    assert "| an earlier run: the files are the same |" in (run_pages.rejects_page(again) or "")


def test_nothing_to_show(empty_database: str) -> None:
    """Of a run that did nothing there are no pages."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        record = run_record.read(connection, "demo", "day1", "run")
    pages = (run_pages.changes_page(record), run_pages.checks_page(record, {}), run_pages.rejects_page(record))
    assert pages == (None, None, None)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("a|b\nc", "a\\|b c", id="table"),
        pytest.param("<script>[x](y)</script>", "\\<script\\>\\[x\\](y)\\</script\\>", id="html and links"),
        pytest.param("a@example.com", "a\\@example.com", id="mail"),
        pytest.param("see http://x and www.x", "see http\\://x and www\\.x", id="address"),
        pytest.param("a.json:7", "a.json:7", id="place"),
        pytest.param("\x1b[31mred", "�\\[31mred", id="terminal"),
        pytest.param("x" * 100, "x" * 59 + "…", id="long"),
        pytest.param(None, "", id="null"),
        pytest.param(1234, "1,234", id="number"),
        pytest.param(True, "True", id="truth"),
    ],
)
def test_text(value: Any, shown: str) -> None:
    """What data says stands there as it is, and neither breaks a table nor becomes a link or HTML."""
    assert run_pages.text(value) == shown


def test_a_failed_check() -> None:
    """A check that failed comes first, with its rows, and that nobody has seen them."""
    rows = [
        {"check_name": name, "step": "010_a", "status": status, "rows_failed": count, "sample": sample}
        for name, status, count, sample in [("a", "passed", 0, []), ("b", "failed", 7, [{"id": 1, "flag": False}])]
    ]
    page = run_pages.checks_page(RunRecord("demo", "day1", "run", [], [], rows, [], [], []), {"b": "ids twice"}) or ""
    assert page.index("✗ failed") < page.index("✓ passed")
    assert "7 rows: ids twice" in page and "| 1 | false |" in page and "… and 6 more" in page
    assert "readers never saw these rows" in page
