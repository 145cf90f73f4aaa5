"""Prefect's page in a browser: what a person sees of a day that is done, and of one that does not reach the marts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import config
from runner.serving import Place
from tests.browser import browser
from tests.e2e.conftest import environment

pytestmark = pytest.mark.long

FILES = {
    "schema/001_sales.sql": "create table sales (day text, amount numeric);",
    "010_sales.sql": """
insert into sales values (current_setting('app.day'), 3);
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status
)
select
    current_setting('app.flow_run_id'), 'sales_task', 'sales', 'sales', current_setting('app.day'), 1, 1, 'success';
""",
    "checkpoints/010_one_sale.sql": """\
-- severity: error
-- description: sales that were made twice
select count(*) as sales from sales having count(*) > 1""",
    "marts/010_totals.sql": """
create materialized view totals as select day, sum(amount) as amount from sales group by day;
create unique index totals_key on totals (day);
""",
}
# Runs days one after the other, and prints the id of each run.
RUN = """
import sys
from runner import config
from runner.flows.day import day_pipeline
flow = day_pipeline(config.load({"project": sys.argv[1]}))
for day in sys.argv[2:]:
    print(flow(day=day, return_state=True).state_details.flow_run_id)
"""


@pytest.fixture
def prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Prefect server with its page, as `runner serve` starts it."""
    from runner.flows.page import PageServer

    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{tmp_path}/prefect.db")
    settings = config.load({"project": str(tmp_path)}, environ={"RUNNER_HOME": str(tmp_path / "home")})
    settings.home.mkdir()
    with PageServer(settings, Place("127.0.0.1", 0, 1)) as one:
        one.wait()
        yield one.url


def test_the_page(prefect: str, database: str, tmp_path: Path) -> None:
    """A done day shows its tasks and artifacts; a failed checkpoint its rows, and that the mart is blocked."""
    for name, text in FILES.items():
        path = tmp_path / "migrations" / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    given = {"DATABASE_URL": database, "PREFECT_API_URL": f"{prefect}/api", "PYTHONWARNINGS": "default"}
    command = [sys.executable, "-c", RUN, str(tmp_path), "day1", "day2"]
    with browser(tmp_path / "browser") as page:
        ended = subprocess.run(command, env=environment(**given), capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr
        done, failed = (f"{prefect}/runs/flow-run/{id}" for id in ended.stdout.split())

        page.open(done)
        page.shows("shop day1", "day=day1", "pipeline=shop", "4 Task runs", "Artifacts")
        page.click("Task Runs")
        page.shows("refresh_totals", "4 Completed")
        page.click("Artifacts")
        page.shows("shop-metrics-day1", "shop-checks-day1", "shop day1: what the checks found")

        page.open(failed)
        page.shows("shop day2", "Failed", "010_one_sale.sql:3:1: check failed: 1 row: sales that were made twice")
        page.click("Task Runs")
        page.shows("refresh_totals", "Blocked", "1 Failed, 1 Cancelled")
        page.click("refresh_totals")
        page.shows("shop day2 refresh_totals Blocked", "the mart keeps the rows it had")
