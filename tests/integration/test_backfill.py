"""Many days in one go: the tables of single runs, what fails does not keep the rest, a kill costs one day."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from benchmarks import year
from runner import cli
from runner.lease import Lease
from staging_loaders import local
from tests.conftest import ROOT
from tests.e2e.conftest import start
from tests.steps import KEYS

Connection = psycopg.Connection[tuple[Any, ...]]
Run = Callable[..., tuple[int, str, str]]

STEP = """
create table if not exists seen (day text, note text);
insert into seen select current_setting('app.day'), '{note}'
where not exists (select from seen where day = current_setting('app.day') and note = '{note}');
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status
)
select current_setting('app.flow_run_id'), 'seen_task', 'seen', 'seen', current_setting('app.day'), 1, 1, 'success';
"""
# Fails for days that the table says.
BROKEN = """
create table if not exists broken (day text);
do $$ begin
    if exists (select from broken where day = current_setting('app.day')) then
        raise exception 'a broken day';
    end if;
end $$;
"""
RANGE = ("--start-date", "2026-01-30", "--end-date", "2026-02-02")
FOUR = ["2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of one step, of SQL alone."""
    folder = tmp_path / "migrations" / "demo"
    folder.mkdir(parents=True)
    (folder / "010_seen.sql").write_text(BROKEN + STEP.format(note="first"), "utf-8")
    return tmp_path


@pytest.fixture
def run(root: Path, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `runner backfill` in the project on the test's database; return its exit code, output and errors."""
    monkeypatch.setenv("DATABASE_URL", database)

    def call(*arguments: str, command: str = "backfill") -> tuple[int, str, str]:
        code = cli.main([command, "--project", str(root), *arguments])
        return code, *capsys.readouterr()

    return call


def applied(connection: Connection) -> list[str]:
    """Return the days that a step was done for, as often and in the order in which it was."""
    rows = connection.execute("select day from pipeline_metrics where status = 'success' order by id").fetchall()
    return [day for (day,) in rows]


def test_a_range(run: Run, connection: Connection) -> None:
    """Each day is a run of its own, in order; a line a chunk, and a summary."""
    code, out, err = run(*RANGE, "--chunk-mode", "monthly")
    assert (code, err) == (0, "")
    assert applied(connection) == FOUR
    assert connection.execute("select count(distinct flow_run_id) from pipeline_metrics").fetchone() == (4,)
    lines = [line.split() for line in out.splitlines()]
    assert [line[:6] for line in lines[:-1]] == [
        ["2026-01", "2", "days", "2", "rows", "changed"],
        ["2026-02", "2", "days", "2", "rows", "changed"],
    ]
    assert out.splitlines()[-1].startswith("4 days: 4 done; ")


def test_a_failed_day(run: Run, connection: Connection) -> None:
    """It does not keep the others from being done; the command that is told tries just that one again."""
    assert run("--days", "2026-01-01")[0] == 0
    connection.execute("insert into broken values ('2026-01-31'), ('2026-02-02')")
    code, out, err = run(*RANGE, "--chunk-mode", "weekly")
    assert code == 1
    assert applied(connection)[1:] == ["2026-01-30", "2026-02-01"]
    assert out.splitlines()[0].split()[:5] == ["2026-W05", "3", "days", "FAILED:", "2026-01-31"]
    assert "4 days: 2 done, 2 failed" in out
    assert err.count("010_seen.sql:5:9: a broken day") == 2
    retry = err.splitlines()[-1].removeprefix("try just these again: runner backfill ").split()
    assert retry[:4] == ["--days", "2026-01-31,2026-02-02", "--chunk-mode", "weekly"]
    connection.execute("truncate broken")
    assert run(*retry[:4])[0] == 0
    assert applied(connection)[3:] == ["2026-01-31", "2026-02-02"]


def test_stop_on_error(run: Run, connection: Connection) -> None:
    """After a day that failed no other is begun, where that is wanted; they are told as not run."""
    run("--days", "2026-01-01")
    connection.execute("insert into broken values ('2026-01-31')")
    code, out, err = run(*RANGE, "--stop-on-error")
    assert code == 1
    assert applied(connection)[1:] == ["2026-01-30"]
    assert "4 days: 1 done, 1 failed, 2 not run" in out
    assert "--days 2026-01-31,2026-02-01,2026-02-02" in err


def test_a_held_day(run: Run, connection: Connection, database: str) -> None:
    """A day that another run holds is left to it, with exit code 3; the others are done."""
    with Lease(database, "demo", "2026-01-31", "another-run"):
        code, out, err = run(*RANGE)
    assert code == 3
    assert applied(connection) == [FOUR[0], *FOUR[2:]]
    assert "held by another run: 2026-01-31" in out and "another-run" in err


def test_resume(run: Run, connection: Connection) -> None:
    """What was done is left out, unless the steps are others now; without days the newest backfill goes on."""
    run("--days", "2026-01-01")
    connection.execute("insert into broken values ('2026-01-31')")
    assert run(*RANGE)[0] == 1
    connection.execute("truncate broken")
    assert run("--days", "2026-03-01")[0] == 0
    before = len(applied(connection))
    code, out, err = run(*RANGE, "--resume")
    assert (code, applied(connection)[before:]) == (0, ["2026-01-31"])
    assert err == "going on: 3 days of 4 are done\n" and "4 days: 1 done, 3 done before" in out
    assert run("--resume")[1].startswith("1 day: 1 done before")  # that of March, which is newer
    assert applied(connection)[before + 1 :] == []


def test_resume_with_other_steps(run: Run, root: Path, connection: Connection) -> None:
    """A day that was done with another text of a step is done again."""
    assert run(*RANGE)[0] == 0
    (root / "migrations" / "demo" / "010_seen.sql").write_text(BROKEN + STEP.format(note="second"), "utf-8")
    assert run(*RANGE, "--resume")[0] == 0
    assert applied(connection) == FOUR * 2
    assert connection.execute("select count(*) from seen where note = 'second'").fetchone() == (4,)


def test_nothing_to_resume(run: Run, connection: Connection) -> None:
    """A backfill that never was begins, and is told so; without days it is refused."""
    code, _, err = run("--resume")
    assert code == 2 and "there is no backfill to go on with" in err
    code, _, err = run(*RANGE, "--resume")
    assert code == 0 and "this one begins" in err
    assert applied(connection) == FOUR


@pytest.fixture
def asleep(run: Run, root: Path, connection: Connection, database: str) -> Callable[..., subprocess.Popen[str]]:
    """Start a backfill of the range as a process; return it when its third day is in the middle of a statement."""
    assert run("--days", "2026-01-01")[0] == 0
    connection.execute("delete from pipeline_metrics")
    connection.execute(
        "create function wait() returns trigger language plpgsql as $$ begin"
        " if new.day = '2026-02-01' then perform pg_sleep(300); end if; return new; end $$;"
        "create trigger wait after insert on seen for each row execute function wait()"
    )

    def begin(*arguments: str) -> subprocess.Popen[str]:
        process = start("backfill", *RANGE, *arguments, cwd=root, DATABASE_URL=database)
        waiting = "select from pg_stat_activity where query like '%insert into seen%' and wait_event = 'PgSleep'"
        for _ in range(6000):
            if connection.execute(waiting).fetchall():
                break
            connection.execute("select pg_sleep(0.01)")
        return process

    return begin


@pytest.mark.parametrize("chunks", ["daily", pytest.param("weekly", marks=pytest.mark.long)])
def test_killed(chunks: str, run: Run, asleep: Callable[..., subprocess.Popen[str]], connection: Connection) -> None:
    """A backfill that was killed in the middle of a day goes on with that day; what was done is not applied again."""
    process = asleep("--chunk-mode", chunks)
    process.kill()
    process.communicate(timeout=60)
    connection.execute("drop trigger wait on seen")
    assert applied(connection) == FOUR[:2]
    code, _, err = run(*RANGE, "--chunk-mode", chunks, "--resume")
    assert (code, err) == (0, "going on: 2 days of 4 are done\n")
    assert applied(connection) == FOUR
    rows = connection.execute("select day from seen order by day").fetchall()
    assert rows == [("2026-01-01",), *((day,) for day in FOUR)]


def test_interrupted(asleep: Callable[..., subprocess.Popen[str]], connection: Connection) -> None:
    """Ctrl-C ends the statement, and the command that goes on is told."""
    process = asleep()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    told = [line for line in err.splitlines() if line]
    assert told == [f"to go on: runner backfill {' '.join(RANGE)} --resume", told[-1]]
    assert told[-1] == "interrupted: what was not committed is rolled back"
    assert applied(connection) == FOUR[:2]


def test_json(run: Run, connection: Connection) -> None:
    """One document: each chunk with its days, which failed, and the command that tries these again."""
    assert run("--days", "2026-01-01")[0] == 0
    connection.execute("insert into broken values ('2026-01-31')")
    code, out, _ = run(*RANGE, "--chunk-mode", "monthly", "--json")
    document = json.loads(out)
    assert (code, document["days"], document["failed"]) == (1, 4, ["2026-01-31"])
    assert [chunk["status"] for chunk in document["chunks"]] == ["failed", "done"]
    day = document["chunks"][0]["days"][1]
    assert (day["status"], day["rows_inserted"]) == ("failed", 0) and "a broken day" in day["error"]["message"]
    assert document["retry"].startswith("runner backfill --days 2026-01-31 --chunk-mode monthly")
    assert "1 of 4 days are not done: 2026-01-31" in document["error"]["message"]


def test_dry_run(run: Run, connection: Connection) -> None:
    """It shows the chunks and changes nothing, not even where the runner never was."""
    code, out, _ = run(*RANGE, "--chunk-mode", "monthly", "--dry-run")
    assert code == 0 and out.endswith("\n4 days to apply\n")
    assert [line.split()[:2] for line in out.splitlines()[1:3]] == [["2026-01", "2"], ["2026-02", "2"]]
    assert json.loads(run(*RANGE, "--dry-run", "--json")[1])["chunks"][0]["days"] == FOUR[:1]
    assert applied(connection) == []
    assert connection.execute("select count(*) from runner_backfills").fetchone() == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which days?"),
        (["--start-date", "2026-01-01"], "has no --end-date"),
        (["--days", "x", *RANGE], "a range and a list"),
        (["--start-date", "day1", "--end-date", "day3"], "a pipeline of SQL alone has no days"),
        (["--days", "x", "--chunk-mode", "yearly"], "yearly"),
        (["--days", "x", "--jobs", "0"], "--jobs is 0"),
        (["--days", "x", "--load", "never", "--data", "x"], "--data has no meaning"),
    ],
)
def test_wrong_usage(run: Run, arguments: list[str], message: str) -> None:
    """It is refused with exit code 2, and the hint says what to write."""
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err and "hint: " in err


def test_the_page(run: Run) -> None:
    """The commands of docs/backfill.md are taken."""
    page = (ROOT / "docs" / "backfill.md").read_text("utf-8")
    lines = page.partition("```console\n")[2].partition("```")[0].splitlines()
    commands = [line.partition("#")[0].split()[2:] for line in lines]
    assert len(commands) == 6
    ends = [run(*command, "--dry-run") if "--dry-run" not in command else run(*command) for command in commands]
    assert [code for code, _, _ in ends] == [0] * 5 + [2]
    assert "there is no backfill to go on with" in ends[5][2]
    assert "\n90 days to apply\n" in ends[0][1] and len(ends[1][1].splitlines()) == 1 + 3 + 2


SCHEMA = """
create table stg_items (day text not null, source_file text not null, position bigint not null, id bigint, name text);
create table items (id bigint primary key, name text, day text not null);
"""
ITEMS = """
with changed as (
    insert into items as target (id, name, day)
    select id, name, day from stg_items where day = current_setting('app.day')
    on conflict (id) do update set name = excluded.name, day = excluded.day
    where (target.day, target.name) is distinct from (excluded.day, excluded.name) and target.day <= excluded.day
    returning 1
)
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status
)
select
    current_setting('app.flow_run_id'), 'items_task', 'items', 'items', current_setting('app.day'),
    count(*), count(*), 'success'
from changed;
"""
FILES = {
    "migrations/shop/schema/001_items.sql": SCHEMA,
    "migrations/shop/010_items.sql": ITEMS,
    "migrations/shop/checkpoints/010_names.sql": "-- severity: error\n-- description: no name\n"
    "select id from items where name is null and day = current_setting('app.day')",
    "migrations/shop/marts/010_names.sql": "create materialized view names as select name, count(*) from items"
    " group by name;\ncreate unique index names_key on names (name);",
    "staging_loaders/shop/items.toml": 'table = "stg_items"\nkey = "id"\n[fields]\n'
    'id = { type = "integer", required = true }\nname = { type = "text" }\n',
}
THREE = ("--start-date", "2025-12-31", "--end-date", "2026-01-04")
DAYS = ["2026-01-01", "2026-01-02", "2026-01-04"]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run commands in a project of one entity with three days, which processes of this machine read."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for number, day in enumerate(DAYS):
        folder = tmp_path / "data" / f"sync-{day}" / "items"
        folder.mkdir(parents=True)
        records = ({"id": key, "name": f"of {day}"} for key in range(number * 2, number * 2 + 4))
        (folder / "page.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    monkeypatch.setenv("RUNNER_ENGINE", "local")

    def call(command: str, *arguments: str, url: str) -> tuple[int, str, str]:
        monkeypatch.setenv("DATABASE_URL", url)
        return cli.main([command, "--project", str(tmp_path), *arguments]), *capsys.readouterr()

    return call


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def test_like_single_days(
    shop: Run, tmp_path: Path, empty_database: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backfill ends in the tables of single runs, with one engine, and its rerun changes nothing; one that goes on
    does a day again whose files are new."""
    for day in DAYS:
        assert shop("apply", "--day", day, url=database)[0] == 0
    engines: list[Any] = []
    opened = local.Local.__init__
    monkeypatch.setattr(local.Local, "__init__", lambda self: (engines.append(self), opened(self))[1])
    code, out, err = shop("backfill", *THREE, url=empty_database)
    assert code == 0, err
    assert len(engines) == 1
    assert "2 days not there, and left out: 2025-12-31, 2026-01-03" in err
    assert "3 days: 3 done" in out
    items = "select * from items order by id"
    assert rows(empty_database, items) == rows(database, items)
    code, out, _ = shop("backfill", *THREE, url=empty_database)
    assert code == 0 and out.count("nothing to change") == 3
    page = tmp_path / "data" / f"sync-{DAYS[1]}" / "items" / "page.jsonl"
    page.write_text(page.read_text("utf-8").replace("of ", "from "), "utf-8")
    code, out, err = shop("backfill", *THREE, "--resume", url=empty_database)
    assert code == 0 and "going on: 2 days of 3 are done" in err
    assert [line.split()[0] for line in out.splitlines() if "changed" in line] == [DAYS[1]]


def test_days_of_staging(shop: Run, tmp_path: Path, empty_database: str) -> None:
    """A day whose folder is gone runs on what staging holds of it; with --load never all of them do."""
    assert shop("backfill", *THREE, url=empty_database)[0] == 0
    shutil.rmtree(tmp_path / "data" / f"sync-{DAYS[1]}")
    code, out, err = shop("backfill", *THREE, "--json", url=empty_database)
    assert code == 0, err
    days = [day for chunk in json.loads(out)["chunks"] for day in chunk["days"]]
    assert [(day["day"], day["status"], day["records_read"]) for day in days] == [(day, "done", 0) for day in DAYS]
    shutil.rmtree(tmp_path / "data")
    rows(empty_database, f"delete from stg_loads where day = '{DAYS[2]}' returning day")
    code, out, _ = shop("backfill", *THREE, "--load", "never", url=empty_database)
    assert code == 0 and "2 days: 2 done" in out
    code, _, err = shop("backfill", "--days", DAYS[2], "--load", "never", url=empty_database)
    assert code == 2 and f"there are no days of {DAYS[2]}" in err


def test_a_listed_day_that_is_not_there(shop: Run, empty_database: str) -> None:
    """A list with a day that nobody has is refused before anything is done: it was misspelt."""
    code, out, err = shop("backfill", "--days", f"{DAYS[0]},dya2", url=empty_database)
    assert (code, out) == (2, "") and "there is no day dya2" in err
    assert DAYS[0] in err, "the days that there are"
    assert rows(empty_database, "select to_regclass('pipeline_metrics')") == [(None,)]


def test_marts(shop: Run, tmp_path: Path, empty_database: str) -> None:
    """They are refreshed once, when all days are done; a checkpoint that fails fails its day and leaves them."""
    page = tmp_path / "data" / f"sync-{DAYS[0]}" / "items" / "page.jsonl"
    good = page.read_text("utf-8")
    page.write_text(json.dumps({"id": 99}) + "\n" + good, "utf-8")
    code, out, err = shop("backfill", *THREE, "--chunk-mode", "monthly", url=empty_database)
    assert code == 1
    assert "FAILED: 2026-01-01 " in out and "no name" in err
    assert "not refreshed: 010_names; not all days are done" in err
    assert rows(empty_database, "select * from names") == []
    page.write_text(good, "utf-8")
    rows(empty_database, "delete from items where name is null returning id")
    code, out, _ = shop("backfill", *THREE, "--chunk-mode", "monthly", "--resume", url=empty_database)
    assert code == 0 and out.count("010_names") == 1
    assert rows(empty_database, "select name from names order by name") == [(f"of {day}",) for day in DAYS]


@pytest.mark.long
def test_zluri(
    tmp_path: Path, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Days of the shipped pipeline, with steps side by side, end in the tables of single runs."""
    one, many = new_database(), new_database()
    days = [year.name(number) for number in range(6)]
    for number in range(6):
        year.write(tmp_path, number)
    monkeypatch.setenv("DATABASE_URL", one)
    given = ("--project", str(ROOT), "--data", str(tmp_path), "--engine", "local")
    assert [cli.main(["apply", "--day", day, *given]) for day in days] == [0] * 6
    monkeypatch.setenv("DATABASE_URL", many)
    asked = ("--start-date", days[0], "--end-date", days[-1], "--chunk-mode", "weekly", "--jobs", "2")
    assert cli.main(["backfill", *asked, *given]) == 0, capsys.readouterr()
    for table in KEYS:
        query = f"select to_jsonb(t) - 'loaded_at' from {table} as t order by 1"
        assert rows(one, query) == rows(many, query), table
