"""After the steps of a day: checkpoints, and behind them marts, on the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import check_results, checkpoint, checkpoints, cli, limits
from runner.apply import Run
from runner.errors import StepFailed
from tests.e2e.conftest import environment
from tests.integration.test_checks import GATE, OPEN
from tests.integration.test_marts import SLOW, until

STEP = """
insert into sales (kind, amount) values ('tea', 3);
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status
)
select
    current_setting('app.flow_run_id'), 'sales_task', 'sales', 'sales', current_setting('app.day'), 1, 1, 'success';
"""
MART = """
create materialized view {name} as
select kind, {amount} as amount from sales group by kind;
create unique index {name}_key on {name} (kind);
"""
POOR = """\
-- severity: {severity}
-- description: sales that bring nothing
select kind, amount from sales where amount <= {least}"""

Connection = psycopg.Connection[tuple[Any, ...]]


class Shop:
    """A project with one step, which sells tea each day; commands run in it."""

    def __init__(self, folder: Path, database: str, connection: Connection) -> None:
        self.folder = folder
        self.database = database
        self.connection = connection
        connection.execute("create table sales (kind text, amount numeric)")
        self.write("010_sales", STEP)
        self.write("marts/010_sums", MART.format(name="sums", amount="sum(amount)"))
        self.write("checkpoints/010_no_poor_sales", POOR.format(severity="error", least=0))

    def write(self, name: str, text: str) -> Path:
        path = self.folder / "migrations" / "shop" / f"{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *words: str) -> int:
        return cli.main([*words, "--project", str(self.folder)])

    def sums(self) -> list[tuple[Any, ...]]:
        return self.connection.execute("select * from sums order by 1").fetchall()

    def results(self, day: str = "day1") -> list[tuple[Any, ...]]:
        rows = check_results.latest(self.connection, "shop", day)
        return [(row["step"], row["check_name"], row["status"], row["rows_failed"]) for row in rows]


@pytest.fixture
def shop(tmp_path: Path, database: str, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop that sells tea."""
    monkeypatch.setenv("DATABASE_URL", database)
    return Shop(tmp_path, database, connection)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was printed, without seconds."""
    return [
        " ".join(line.split()[:-2] if line.endswith(" s") else line.split())
        for line in capsys.readouterr().out.splitlines()
    ]


def test_a_day(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """The mart is made, then the step runs, then the checkpoint, then the mart is refreshed: a line each."""
    assert shop.run("apply", "--day", "day1") == 0
    assert lines(capsys) == [
        "day1 mart 010_sums made",
        "day1 step 010_sales 1 inserted",
        "day1 check 010_no_poor_sales passed",
        "day1 mart 010_sums refreshed: 1 row",
    ]
    assert shop.sums() == [("tea", 3)]
    assert shop.results() == [("checkpoints", "010_no_poor_sales", "passed", 0)]
    assert shop.run("apply", "--day", "day2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["check"], one["status"]) for one in found["checkpoints"]] == [("010_no_poor_sales", "passed")]
    assert [(one["mart"], one["name"], one["rows"]) for one in found["marts"]] == [("010_sums", "sums", 1)]
    assert shop.sums() == [("tea", 6)]


def test_a_failed_checkpoint(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """The day fails with the rows and their place; what the steps wrote stays, the marts keep their rows."""
    shop.run("apply", "--day", "day1")
    shop.write("checkpoints/010_no_poor_sales", POOR.format(severity="error", least=3))
    shop.write("checkpoints/020_all_is_well", "-- severity: error\n-- description: x\nselect 1 where false")
    capsys.readouterr()
    assert shop.run("apply", "--day", "day2", "--json") == 1
    out, err = capsys.readouterr()
    assert "day2: not refreshed: 010_sums" in err
    assert (
        "day2 checkpoint 010_no_poor_sales failed\n"
        "migrations/shop/checkpoints/010_no_poor_sales.sql:3:1: check failed: 2 rows: sales that bring nothing\n"
    ) in err
    assert "    kind  amount\n    tea        3\n" in err and "the marts keep the rows they had" in err
    found = json.loads(out)
    assert [(one["check"], one["status"]) for one in found["checkpoints"]] == [
        ("010_no_poor_sales", "failed"),
        ("020_all_is_well", "passed"),
    ]
    assert (found["marts"], found["error"]["checks"][0]["rows_failed"]) == ([], 2)
    assert shop.sums() == [("tea", 3)]
    assert shop.connection.execute("select count(*) from sales").fetchone() == (2,)
    assert [row[1:3] for row in shop.results("day2")] == [
        ("010_no_poor_sales", "failed"),
        ("020_all_is_well", "passed"),
    ]
    capsys.readouterr()
    assert shop.run("checks", "--day", "day2") == 0
    assert "1 passed, 1 failed" in capsys.readouterr().out
    assert shop.run("status") == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:4] for line in shown] == [
        ["day", "010_sales", "checkpoints", "last"],
        ["day1", "ok", "1", "of"],
        ["day2", "ok", "FAILED", shown[2][3]],
    ]
    assert shop.run("status", "--json") == 0
    checkpoints = [day["checkpoints"] for day in json.loads(capsys.readouterr().out)]
    assert checkpoints == [{"passed": 1, "warned": 0, "failed": 0}, {"passed": 1, "warned": 0, "failed": 1}]


def test_a_warning_lets_the_marts_be_refreshed(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Its rows are told on standard error."""
    shop.write("checkpoints/010_no_poor_sales", POOR.format(severity="warn", least=3))
    assert shop.run("apply", "--day", "day1") == 0
    out, err = capsys.readouterr()
    assert "010_no_poor_sales       warned: 1 row" in out
    assert "warning: day1  010_no_poor_sales: 1 row: sales that bring nothing" in err
    assert shop.sums() == [("tea", 3)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("select knd from sales", ':3:8: column "knd" does not exist', id="column"),
        pytest.param("select 1 / (amount - 3) from sales", ":3:10: division by zero", id="division"),
        pytest.param("select set_config('a.b', nextval('numbers')::text, true)", "read-only transaction", id="write"),
    ],
)
def test_a_checkpoint_that_cannot_be_run(shop: Shop, capsys: pytest.CaptureFixture[str], text: str, said: str) -> None:
    """It is as one that failed: a rule that cannot be looked at does not hold. The others are run even so."""
    shop.connection.execute("create sequence numbers")
    shop.write("checkpoints/005_broken", f"-- severity: warn\n-- description: x\n{text}")
    assert shop.run("apply", "--day", "day1") == 1
    err = capsys.readouterr().err
    assert said in err and "the checkpoint 005_broken cannot be run" in err and "marts keep" in err
    assert shop.sums() == []
    broken, other = ("checkpoints", "005_broken", "failed", 1), ("checkpoints", "010_no_poor_sales", "passed", 0)
    assert shop.results() == [broken, other]
    found = shop.connection.execute("select sample ->> 0 from check_results where check_name = '005_broken'")
    assert (found.fetchone() or ("",))[0].startswith('{"cannot be run": "migrations/shop/checkpoints/005_broken.sql:3:')


def test_a_checkpoint_that_takes_too_long(shop: Shop) -> None:
    """One that its task's time limit has stopped is written down as well, though no time is left."""
    text = "-- severity: error\n-- description: x\nselect pg_sleep(300)"
    found = checkpoint.read(shop.write("checkpoints/005_slow", text), shop.folder)
    run = Run("shop", "day1", "run", shop.database, attempts=1)
    with pytest.raises(StepFailed), limits.within("checkpoint_slow", 1, "a setting"):
        checkpoints.run_one(run, found)
    assert shop.results() == [("checkpoints", found.name, "failed", 1)]


def test_a_checkpoint_knows_the_day(shop: Shop) -> None:
    """The day and the run are those of the steps, and it has a time limit of its own."""
    shop.write(
        "checkpoints/010_no_poor_sales",
        "-- severity: error\n-- description: x\n-- timeout: 7s\nselect current_setting('app.day') as day"
        " where current_setting('app.day') <> 'day1' or current_setting('statement_timeout') <> '7s' or not exists"
        " (select from pipeline_metrics where flow_run_id = current_setting('app.flow_run_id'))",
    )
    assert shop.run("apply", "--day", "day1") == 0


def test_parts_of_a_day_have_neither(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """With --only the day is not whole; --marts never leaves the marts, and runs the checkpoints."""
    assert shop.run("apply", "--day", "day1", "--only", "010") == 0
    assert lines(capsys)[1:] == ["day1 step 010_sales 1 inserted"]
    assert shop.run("apply", "--day", "day1", "--marts", "never") == 0
    assert lines(capsys)[1:] == ["day1 check 010_no_poor_sales passed"]
    assert shop.run("apply", "--day", "day1", "--dry-run") == 0
    assert shop.sums() == []


def test_a_failed_refresh_fails_the_day(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """The error says how to refresh; the rerun that its hint names does."""
    shop.run("apply", "--day", "day1")
    shop.write("marts/010_sums", MART.format(name="sums", amount="10 / (sum(amount) - 6)"))
    assert shop.run("migrate") == 0
    assert shop.run("apply", "--day", "day2") == 1
    assert "runner marts --refresh sums, or run the day again" in capsys.readouterr().err
    assert len(shop.sums()) == 1
    shop.connection.execute("delete from sales")
    assert shop.run("marts", "--refresh", "sums") == 0
    assert shop.sums() == []


def test_the_list_of_marts(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its state, the age and number of its rows, its size, and who refreshed it."""
    shop.write("marts/020_more", MART.format(name="more", amount="1"))
    assert shop.run("marts") == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["010_sums", "not", "made"],
        ["020_more", "not", "made"],
    ]
    shop.run("migrate")
    capsys.readouterr()
    shop.run("marts", "--json")
    assert [one["by"] for one in json.loads(capsys.readouterr().out)] == ["migrate", "migrate"]
    shop.run("apply", "--day", "day1")
    shop.run("marts", "--refresh", "020")
    shop.write("marts/010_sums", MART.format(name="sums", amount="2"))
    (shop.folder / "migrations/shop/marts/020_more.sql").unlink()
    capsys.readouterr()
    assert shop.run("marts", "--json") == 0
    sums, more = json.loads(capsys.readouterr().out)
    assert (sums["mart"], sums["state"], sums["day"], sums["rows"]) == ("010_sums", "changed", "day1", 1)
    assert sums["age_seconds"] >= 0 and sums["bytes"] > 0 and sums["flow_run_id"] and sums["seconds"] > 0
    assert (more["mart"], more["state"], more["day"], more["flow_run_id"]) == ("more", "no file", None, None)
    assert shop.run("marts") == 0
    out, err = capsys.readouterr()
    assert " day1 " in out and " hand " in out
    assert (sums["by"], more["by"]) == ("day1", "hand")
    assert "drop materialized view more" in err and "runner migrate" in err


def test_marts_by_hand(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """A refresh by hand asks no checkpoint, and takes one mart or all; an unknown one is a usage error."""
    shop.run("apply", "--day", "day1", "--marts", "never")
    shop.write("checkpoints/010_no_poor_sales", POOR.format(severity="error", least=3))
    capsys.readouterr()
    assert shop.run("marts", "--refresh", "--json") == 0
    assert [mart["rows"] for mart in json.loads(capsys.readouterr().out)["marts"]] == [1]
    assert shop.run("marts", "--refresh", "sum") == 2
    assert "there is no mart 'sum' (did you mean sums?)" in capsys.readouterr().err


def test_plan(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan names the checkpoints, and what becomes of each mart and why."""
    shop.run("apply", "--day", "day1")
    shop.write("marts/020_more", MART.format(name="more", amount="1"))
    capsys.readouterr()
    assert shop.run("plan", "--day", "day2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["checkpoints"] == ["010_no_poor_sales"]
    assert [(one["mart"], one["action"]) for one in found["marts"]] == [("010_sums", "refresh"), ("020_more", "make")]
    assert shop.run("plan", "--day", "day2") == 0
    assert "checkpoints: 010_no_poor_sales" in capsys.readouterr().out


def test_prune_keeps_what_the_last_checkpoints_found(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Of an older day the results of its newest run stay, as those of its steps' checks do."""
    for day in ("day1", "day1", "day2"):
        assert shop.run("apply", "--day", day) == 0
    count = "select count(*) from check_results where day = 'day1'"
    assert shop.connection.execute(count.encode()).fetchone() == (2,)
    assert shop.run("prune", "--keep", "1") == 0
    assert shop.connection.execute(count.encode()).fetchone() == (1,)
    assert shop.results() == [("checkpoints", "010_no_poor_sales", "passed", 0)]


@pytest.mark.parametrize(
    ("what", "number", "code"), [("checkpoint", signal.SIGKILL, -9), ("mart", signal.SIGTERM, 143)]
)
def test_a_run_that_was_ended_after_the_steps(shop: Shop, database: str, what: str, number: int, code: int) -> None:
    """The rerun finds nothing to change and refreshes even so; who is interrupted leaves with the signal's code."""
    shop.connection.execute(SLOW)
    if what == "mart":
        shop.run("migrate")
        shop.write("marts/010_sums", MART.format(name="sums", amount="sum(amount) * slow()"))
        shop.run("migrate")
    else:
        shop.write("checkpoints/010_no_poor_sales", "-- severity: error\n-- description: x\nselect 1 where slow() = 2")
        shop.run("migrate")
    with psycopg.connect(database, autocommit=True) as gate:
        gate.execute(GATE)
        words = [sys.executable, "-m", "runner", "apply", "--day", "day1", "--project", str(shop.folder)]
        waiting = "select 1 from pg_locks where locktype = 'advisory' and objid = 7 and not granted"
        with subprocess.Popen(
            words, env=environment(DATABASE_URL=database), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            until(lambda: shop.connection.execute(waiting.encode()).fetchone())
            process.send_signal(number)
        assert process.returncode == code
        until(lambda: not shop.connection.execute(waiting.encode()).fetchone())
        assert shop.sums() == []
        gate.execute(OPEN)
    shop.connection.execute("delete from runner_leases")  # the killed one's, which lasts a minute
    shop.write("010_sales", STEP.replace("values ('tea', 3)", "select 'tea', 3 where false"))
    assert shop.run("apply", "--day", "day1") == 0
    assert shop.sums() == [("tea", 3)]
