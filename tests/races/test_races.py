"""Sixteen runs at once: one does the work, the others wait or leave, and the books have them all."""

from __future__ import annotations

import itertools
import re
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import cli
from runner import step as steps
from runner.apply import Run, StepRunner
from runner.lease import Lease
from staging_loaders.load import load_day
from staging_loaders.session import Inline
from tests import make_days
from tests.conftest import ROOT, Server
from tests.races import demo
from tests.races.conftest import Ended, migrate, start, wait
from tests.races.pooler import Pooler
from tests.staged import staging
from tests.steps import Warehouse

RUNS = 16

# As those are marked that ask for the server under test by name.
pytestmark = pytest.mark.database

Connection = psycopg.Connection[tuple[Any, ...]]
Way = Callable[[str], str]


def ways(usual: str) -> pytest.MarkDecorator:
    """Have a test go both ways to the server, but the usual one only where there is little time."""
    given = [pytest.param(way, marks=() if way == usual else pytest.mark.long) for way in ("direct", "pooled")]
    return pytest.mark.parametrize("way", given, indirect=True)


def settled(connection: Connection) -> None:
    """Nothing of the runs is left but their results, and none met another in a deadlock."""
    assert connection.execute("select count(*) from runner_leases").fetchone() == (0,)
    assert connection.execute("select pid from pg_locks where locktype = 'advisory'").fetchall() == []
    assert (
        connection.execute("select relname from pg_class where relnamespace = to_regnamespace('landing')").fetchall()
        == []
    )
    connection.execute("select pg_stat_clear_snapshot()")
    query = "select deadlocks from pg_stat_database where datname = current_database()"
    assert connection.execute(query).fetchone() == (0,)


def books(connection: Connection) -> list[tuple[Any, ...]]:
    """Return day, step, successful runs, runs in all and rows that they changed, all runs together."""
    return connection.execute(
        "select day, step, count(*) filter (where status = 'success'), count(distinct flow_run_id),"
        " sum(rows_affected)::int from pipeline_metrics group by day, step order by day, step"
    ).fetchall()


@ways("pooled")
def test_overlapping_days(way: Way, tcp_server: Server, race_database: str, tmp_path: Path) -> None:
    """Each of sixteen runs applies all days, in orders of its own: every one succeeds, and each row is written once."""
    folder = demo.make(tmp_path)
    migrate(tcp_server.on(race_database), folder)
    with psycopg.connect(tcp_server.on(race_database), autocommit=True) as connection:
        demo.stage(connection)
        processes = []
        for number in range(RUNS):
            turned = demo.DAYS[number % 3 :] + demo.DAYS[: number % 3]
            days = turned if number < RUNS / 2 else turned[::-1]
            processes.append(start(way(race_database), folder, days, "apply", "--wait", "200"))
        ended = wait(processes)
        assert_all_succeeded(ended, demo.DAYS)
        newest = demo.newest()
        things, sums = demo.content(connection)
        assert things == newest
        assert [row[:2] for row in sums] == [(day, demo.THINGS) for day in demo.DAYS]
        found = books(connection)
        assert [row[:4] for row in found] == [
            (day, step, RUNS, RUNS) for day in demo.DAYS for step in ("010_things", "020_sums")
        ]
        # Each thing is inserted once, and updated at most once for each later day that has it; each sum is made once.
        changed = {row[:2]: row[4] for row in found}
        assert len(newest) <= sum(changed[day, "010_things"] for day in demo.DAYS) <= len(demo.DAYS) * demo.THINGS
        assert {changed[day, "020_sums"] for day in demo.DAYS} == {1}
        settled(connection)


@ways("direct")
def test_a_held_day_is_left(way: Way, tcp_server: Server, race_database: str, tmp_path: Path) -> None:
    """Who does not want to wait leaves with exit code 3 and is told the holder's run, host and since when."""
    folder = demo.make(tmp_path, gated=True)
    migrate(tcp_server.on(race_database), folder)
    with psycopg.connect(tcp_server.on(race_database), autocommit=True) as connection:
        demo.stage(connection)
        connection.execute("select pg_advisory_lock(%s)", (demo.GATE,))
        holder = start(way(race_database), folder, ["d1"], "apply")
        at_the_gate = "select true from pg_locks where locktype = 'advisory' and not granted"
        while not connection.execute(at_the_gate).fetchone():
            assert holder.poll() is None
        query = "select flow_run_id, pid, to_char(since at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') from runner_leases"
        run, pid, since = connection.execute(query).fetchone() or ()
        others = wait([start(way(race_database), folder, ["d1"], "apply") for _ in range(RUNS - 1)])
        assert [other.codes for other in others] == [[3]] * (RUNS - 1)
        told = f"error: d1 is held by run {run} on {socket.gethostname()} (pid {pid}) since {since} UTC\n"
        assert {other.err for other in others} == {f"{told}hint: Wait for it (--wait SECONDS) or stop it.\n"}
        connection.execute("select pg_advisory_unlock(%s)", (demo.GATE,))
        assert wait([holder])[0].codes == [0]
        assert [row[:4] for row in books(connection)] == [("d1", "010_things", 1, 1), ("d1", "020_sums", 1, 1)]
        settled(connection)


@ways("pooled")
def test_one_day_loaded_and_applied(way: Way, tcp_server: Server, race_database: str) -> None:
    """Sixteen runs of a day on a new database: one migrates, loads and writes, and all succeed."""
    arguments = ("apply", "--wait", "200", "--engine", "local")
    ended = wait([start(way(race_database), ROOT, ["day1"], *arguments) for _ in range(RUNS)])
    assert_all_succeeded(ended, ["day1"])
    assert_one_did_the_work(ended)
    with psycopg.connect(tcp_server.on(race_database), autocommit=True) as connection:
        assert {row[2:4] for row in books(connection)} == {(RUNS, RUNS)}
        alone = Warehouse(connection).content()
        again = wait([start(tcp_server.on(race_database), ROOT, ["day1"], *arguments)])
        assert "inserted" not in again[0].out
        assert Warehouse(connection).content() == alone
        settled(connection)


@pytest.mark.long
@ways("")
def test_overlapping_days_of_zluri(way: Way, tcp_server: Server, race_database: str) -> None:
    """Sixteen runs load and apply three days, in orders of their own: the tables are those of one run alone."""
    days, arguments = ("day1", "day2", "day3"), ("apply", "--wait", "500", "--engine", "local")
    orders = [order for _ in range(3) for order in itertools.permutations(days)][:RUNS]
    ended = wait([start(way(race_database), ROOT, order, *arguments) for order in orders])
    assert_all_succeeded(ended, days)
    alone = tcp_server.create()
    try:
        assert_all_succeeded(wait([start(tcp_server.on(alone), ROOT, days, *arguments)]), days)
        with (
            psycopg.connect(tcp_server.on(race_database), autocommit=True) as connection,
            psycopg.connect(tcp_server.on(alone), autocommit=True) as other,
        ):
            assert {row[3] for row in books(connection)} == {RUNS}
            assert Warehouse(connection).content() == Warehouse(other).content()
            assert staging(connection) == staging(other)
            settled(connection)
    finally:
        tcp_server.drop(alone)


def assert_all_succeeded(ended: Sequence[Ended], days: Sequence[str]) -> None:
    """Every run of every day ended with 0."""
    assert [each.err for each in ended if each.codes != [0] * len(days)] == []


def assert_one_did_the_work(ended: list[Ended]) -> None:
    """One of the runs inserted in each step, and one loaded; the others found it done."""
    for line in ("010_agents", "020_groups", "040_transactions"):
        said = [match[1] for each in ended for match in re.finditer(rf"{line} +(.+?)  ", each.out)]
        assert len(said) == RUNS
        assert said.count("nothing to change") == RUNS - 1, said
    assert sum("read = " in each.out for each in ended) == 1


def test_a_step_sees_one_load(database: str, tmp_path: Path) -> None:
    """While a day is loaded again and again, each statement of a step sees the same load, the old or the new one."""
    for name, transactions in (("small", 40), ("large", 90)):
        make_days.main(["--out", str(tmp_path / name), "--days", "1", "--transactions", str(transactions)])
    file = tmp_path / "migrations" / "zluri" / "050_seen.sql"
    file.parent.mkdir(parents=True)
    look = (
        "insert into seen select current_setting('app.flow_run_id'), (select count(*) from stg_transactions"
        " where day = 'day1'), (select string_agg(distinct flow_run_id, ' ') from stg_loads where day = 'day1')"
    )
    metrics = (
        "insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_affected, status) select"
        " current_setting('app.flow_run_id'), 'seen_task', 'seen', current_setting('app.day'), 0, 'success'"
    )
    file.write_text(";\n".join([look, "select pg_sleep(0.05)", look, "select pg_sleep(0.05)", look, metrics]) + ";\n")
    step = steps.read(file, tmp_path, steps.STEP_KEYS)

    def load(name: str) -> None:
        load_day(
            dsn=database, pipeline="zluri", day="day1", base=str(tmp_path / name), mode="always", session=Inline(),
            declarations=ROOT / "staging_loaders/zluri", flow_run_id=name,
        )  # fmt: skip

    def look_once(number: int) -> None:
        with StepRunner(Run("zluri", "day1", f"run-{number}", database), lambda _: None) as runner:
            runner.run(step)

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table seen (run text, rows bigint, load text)")
        load("small")
        look_once(0)
        thread = threading.Thread(target=lambda: [load(name) for name in ("large", "small", "large")])
        thread.start()
        number = 1
        while thread.is_alive():
            look_once(number)
            number += 1
        thread.join()
        look_once(number)
        query = "select run, count(*), min(rows), max(rows), min(load), max(load) from seen group by run"
        seen = connection.execute(query).fetchall()
        assert all(count == 3 and least == most and first == last for _, count, least, most, first, last in seen), seen
        sizes = {(load, rows) for _, _, rows, _, load, _ in seen}
        assert {load for load, _ in sizes} == {"small", "large"}
        assert len(sizes) == 2, sizes


def test_a_load_waits_for_the_whole_run(database: str) -> None:
    """All steps of a run see the same load: a load of the day is another run, which is told who has the day."""
    with Lease(database, "zluri", "day1", "steps"):
        (ended,) = wait([start(database, ROOT, ["day1"], "load", "--engine", "local")])
    assert ended.codes == [3]
    assert "day1 is held by run steps on " in ended.err


@pytest.mark.parametrize("mode", ["transaction", pytest.param("session", marks=pytest.mark.long)])
def test_every_command_goes_through_a_pooler(
    mode: str, pooled: Pooler, tcp_server: Server, race_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a command does in the database, it does in transactions: each ends as it does without a pooler."""
    monkeypatch.chdir(ROOT)
    with Pooler(tcp_server.url, pool_mode=mode) as pooler:
        monkeypatch.setenv("DATABASE_URL", pooler.url(race_database))
        for command in (
            "migrate",
            "plan --day day1",
            "load --day day1 --engine local",
            "apply --day day1 --dry-run",
            "apply --day day1 --jobs 3",
            "status",
            "metrics",
            "rejects --day day1",
            "checks",
            "marts --refresh",
            "marts",
            "verify --day day1",
            "prune --keep 1",
        ):
            assert (command, cli.main(command.split())) == (command, 0)
    with psycopg.connect(tcp_server.on(race_database), autocommit=True) as connection:
        settled(connection)


def test_a_pool_that_is_too_small(
    pooled: Pooler,
    tcp_server: Server,
    race_database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A load whose sign of life has the only session says what it lacks, and leaves nothing behind."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("RUNNER_ATTEMPTS", "1")
    with Pooler(tcp_server.url, pool=1, query_wait_timeout="1") as pooler:
        monkeypatch.setenv("DATABASE_URL", pooler.url(race_database))
        assert cli.main(["load", "--day", "day1", "--engine", "local"]) == 1
    err = capsys.readouterr().err
    assert "error: day1 was not loaded: " in err
    assert "query_wait_timeout" in err
    assert "The pooler had no connection to spare: give it more (default_pool_size)." in err
    with psycopg.connect(tcp_server.on(race_database), autocommit=True) as connection:
        assert connection.execute("select count(*) from stg_loads").fetchone() == (0,)


def test_options_that_a_pooler_refuses(
    pooled: Pooler, race_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What PgBouncer does not let through is named, with both ways out."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("DATABASE_URL", pooled.url(race_database) + "?options=-cwork_mem%3D1GB")
    assert cli.main(["status"]) == 2
    err = capsys.readouterr().err
    assert "unsupported startup parameter: options" in err
    assert "hint: A pooler refuses it: take options out of DATABASE_URL and PGOPTIONS" in err
    assert "ignore_startup_parameters = options" in err
