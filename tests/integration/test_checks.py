"""Checks before the commit: what they see, what they stop, what is kept of them, and what readers see meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import check, check_results, schema, step
from runner.apply import Run, StepResult, StepRunner
from runner.check import Check
from runner.errors import CheckFailed, StepFailed
from runner.step import STEP_KEYS, SqlFile
from tests.e2e.conftest import environment
from tests.e2e.conftest import start as start_runner

ROOT = Path(__file__).parents[2]
METRICS = """
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status
)
select
    current_setting('app.flow_run_id'), 'things_task', 'things', 'things', current_setting('app.day'), 1, 1, 'success'
"""
STEP = "-- lock_timeout: 60s\ninsert into things (id, name) select id, 'new' from generate_series(11, 17) as id"
NONE = "select * from things where false"
NEW = "select id, name from things where name = 'new' order by id"
# Held by a test, this lock stops whoever asks for it.
GATE = "select pg_advisory_lock(7)"
OPEN = "select pg_advisory_unlock(7)"
WAIT = "pg_advisory_xact_lock(7)"

Connection = psycopg.Connection[tuple[Any, ...]]


class Project:
    """A step with checks, in a folder, and a table `things` with three rows."""

    def __init__(self, folder: Path, database: str, connection: Connection) -> None:
        self.folder = folder
        self.database = database
        self.connection = connection
        connection.execute("create table things (id int primary key, name text not null)")
        connection.execute("insert into things select id, 'old' from generate_series(1, 3) as id")
        self.step = self.write_step(STEP, METRICS)
        self.checks: list[Check] = []

    def write_step(self, *statements: str) -> SqlFile:
        """Write the project's only step."""
        path = self.folder / "migrations" / "shop" / "010_things.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(";\n".join(statements), encoding="utf-8")
        self.step = step.read(path, self.folder, STEP_KEYS)
        return self.step

    def check(self, text: str, severity: str = "error", name: str = "010_good", header: str = "") -> None:
        """Add a check of the step."""
        path = self.folder / "migrations" / "shop" / "checks" / f"{name}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"-- check: 010\n-- severity: {severity}\n-- description: bad things\n{header}{text}", encoding="utf-8"
        )
        self.checks.append(check.read(path, self.folder, [self.step]))

    def apply(self, run_id: str = "run-1", attempts: int = 1) -> StepResult:
        """Run the step as a run of its own."""
        run = Run("shop", "day1", run_id, self.database, attempts, checks=tuple(self.checks))
        with StepRunner(run, lambda _: None) as runner:
            return runner.run(self.step)

    def state(self) -> tuple[int, list[str], list[tuple[str, str, int]]]:
        """Return how many things there are, the statuses of metrics rows, and (check, status, rows) of results."""
        (things,) = self.connection.execute("select count(*) from things").fetchone() or (0,)
        metrics = self.connection.execute("select status from pipeline_metrics order by id").fetchall()
        results = self.connection.execute("select check_name, status, rows_failed from check_results order by id")
        return things, [status for (status,) in metrics], results.fetchall()

    def waiting(self) -> bool:
        """Tell whether somebody stands before the gate."""
        query = "select from pg_locks where locktype = 'advisory' and objid = 7 and not granted"
        return self.connection.execute(query).fetchone() is not None


@pytest.fixture
def shop(tmp_path: Path, database: str, connection: Connection) -> Project:
    """A project with one step that writes seven things, which some checks find bad."""
    return Project(tmp_path, database, connection)


def test_a_passed_check_commits_with_its_step(shop: Project) -> None:
    """A check without rows lets the step through, and its result tells run, day, step and attempt."""
    shop.check(NONE)
    result = shop.apply()
    assert [(found.check, found.status, found.rows_failed) for found in result.checks] == [("010_good", "passed", 0)]
    assert shop.state() == (10, ["success"], [("010_good", "passed", 0)])
    row = shop.connection.execute(
        "select pipeline, step, flow_run_id, day, attempt, severity, sample::text, seconds >= 0 from check_results"
    ).fetchone()
    assert row == ("shop", "010_things", "run-1", "day1", 1, "error", "[]", True)


def test_a_warning_is_kept_and_the_step_commits(shop: Project) -> None:
    """Rows of a check that warns are counted, the first five of them kept, and nothing is rolled back."""
    shop.check(NEW, "warn")
    (found,) = shop.apply().checks
    assert (found.status, found.rows_failed) == ("warned", 7)
    assert found.sample == tuple({"id": id, "name": "new"} for id in range(11, 16))
    assert shop.state() == (10, ["success"], [("010_good", "warned", 7)])
    (sample,) = shop.connection.execute("select sample from check_results").fetchone() or ([],)
    assert [list(row) for row in sample] == [["id", "name"]] * 5  # in the order of the select


def test_an_error_rolls_the_step_back_and_is_recorded(shop: Project) -> None:
    """Rows of an error check undo the step; the failure points at the select, shows rows, and is recorded."""
    shop.check(NEW)
    with pytest.raises(CheckFailed) as caught:
        shop.apply()
    assert shop.state() == (3, ["failure"], [("010_good", "failed", 7)])
    assert caught.value.message == (
        "day1 010_things failed\n"
        "migrations/shop/checks/010_good.sql:4:1: check failed: 7 rows: bad things\n"
        f"    4 | {NEW}\n      | ^\n"
        "    id  name\n    11  new\n    12  new\n    13  new\n    14  new\n    15  new\n"
        "    … and 2 more"
    )
    assert caught.value.hint and "-- severity: warn" in caught.value.hint
    (message,) = shop.connection.execute("select error_message from pipeline_metrics").fetchone() or ("",)
    assert message == caught.value.message.partition("\n")[2]


def test_all_failures_are_told_at_once(shop: Project) -> None:
    """All checks run, those that fail are told together, and what is kept as passed or warned was committed."""
    shop.check(NEW, name="010_a")
    shop.check(NEW, "warn", name="010_b")
    shop.check("select 1 as one", name="010_c")
    shop.check(NONE, name="010_d")
    with pytest.raises(CheckFailed, match=r"(?s)010_a\.sql.*010_c\.sql") as caught:
        shop.apply()
    assert "010_b" not in caught.value.message
    assert shop.state() == (3, ["failure"], [("010_a", "failed", 7), ("010_c", "failed", 1)])


def test_a_check_sees_its_run(shop: Project) -> None:
    """A check sees what its step wrote, and the run's settings, as the step does."""
    shop.check(
        "select current_setting('app.day') as day, current_setting('app.step') as step, count(*) from things", "warn"
    )
    (found,) = shop.apply().checks
    assert found.sample == ({"day": "day1", "step": "010_things", "count": 10},)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param("leak()", id="function that writes"),
        pytest.param("nextval('numbers')", id="sequence"),
        pytest.param("lo_create(0)", id="large object"),
    ],
)
def test_a_check_can_only_read(shop: Project, call: str) -> None:
    """What writes behind a select's back is refused, at the check, and rolls the step back."""
    if "lo_" in call and shop.connection.info.server_version < 160000:
        pytest.skip("read-only transactions may write large objects before PostgreSQL 16")
    shop.connection.execute("create sequence numbers")
    shop.connection.execute("create function leak() returns int language sql as 'delete from things returning 1'")
    shop.check(f"select {call} where false or {call} is null")
    with pytest.raises(
        StepFailed, match=r"010_good\.sql:4:\d+: cannot execute .* in a read-only transaction"
    ) as caught:
        shop.apply()
    assert caught.value.hint and caught.value.hint.startswith("A check only reads")
    assert shop.state() == (3, ["failure"], [])


def test_what_a_check_sets_does_not_outlive_it(shop: Project) -> None:
    """Neither the settings of a check nor what it is held to reach the next one, or the rest of the transaction."""
    sets = "select set_config('app.mark', 'set', true), current_setting('statement_timeout') as timeout"
    shop.check(sets, "warn", "010_a", "-- timeout: 7s\n")
    shop.check(
        "select current_setting('app.mark', true) as mark, current_setting('statement_timeout')", "warn", "010_b"
    )
    first, second = shop.apply().checks
    assert first.sample == ({"set_config": "set", "timeout": "7s"},)
    assert second.sample[0]["mark"] in ("", None) and second.sample[0]["current_setting"] == "5min"


@pytest.mark.parametrize(
    ("select", "place"),
    [
        pytest.param("select\n  nothing_here from things", ":5:3: column", id="column"),
        pytest.param("select 'ä€😀', nothing_here from things", ":4:15: column", id="characters, not bytes"),
        pytest.param("select 1 from\n\n nowhere", ":6:2: relation", id="table"),
        pytest.param("select id from things\nwhere id =", ":5:11: syntax error at end of input", id="unfinished"),
        pytest.param("select id,\n  1 / (id - id) from things", ":5:5: division by zero", id="division"),
        pytest.param("select\n 'x'::int", ":5:2: invalid input syntax", id="constant"),
    ],
)
def test_an_error_in_a_check_points_at_its_source(shop: Project, select: str, place: str) -> None:
    """A check that does not run fails its step, at line and column of the check's file, with a caret."""
    shop.check(select)
    with pytest.raises(StepFailed) as caught:
        shop.apply()
    message = caught.value.message
    assert f"migrations/shop/checks/010_good.sql{place}" in message
    assert message.splitlines()[3].endswith("^")
    assert "the check 010_good cannot be run" in message
    assert shop.state() == (3, ["failure"], [])


def test_time_out(shop: Project) -> None:
    """A check that takes longer than its header allows fails its step, whatever the step's own limit is."""
    shop.check("select pg_sleep(60)", header="-- timeout: 50ms\n")
    with pytest.raises(StepFailed, match="57014") as caught:
        shop.apply()
    assert caught.value.hint and "-- timeout" in caught.value.hint
    assert shop.state() == (3, ["failure"], [])


def test_a_passing_fault_in_a_check_is_retried(shop: Project) -> None:
    """A deadlock that a check runs into is the step's: it is tried again, as a whole."""
    shop.connection.execute(
        "create function fault() returns int language plpgsql as $$ begin"
        " if current_setting('app.attempt') = '1' then raise 'no' using errcode = '40P01'; end if; return 1; end $$"
    )
    shop.check("select 1 where fault() = 0")
    assert shop.apply(attempts=2).attempt == 2
    assert shop.state() == (10, ["success"], [("010_good", "passed", 0)])


def test_checks_of_a_skipped_step_do_not_run(shop: Project) -> None:
    """A step that is skipped has changed nothing, and so is not checked."""
    shop.write_step(METRICS.replace("'success'", "'skipped'").replace(", 1, 1,", ", 0, 0,"))
    shop.check("select 1 as one")
    assert shop.apply().checks == ()
    assert shop.state() == (3, ["skipped"], [])


def test_only_the_checks_of_the_step_run(shop: Project) -> None:
    """A check belongs to one step."""
    shop.check("select 1 as one")
    other = Check(shop.checks[0].file, "020_others", "error")
    shop.checks = [other]
    assert shop.apply().checks == ()


def test_a_step_that_was_done_before_is_not_checked_again(shop: Project) -> None:
    """A run that finds its own success checks nothing, and keeps the results that it has."""
    shop.check(NEW, "warn")
    shop.apply()
    again = shop.apply()
    assert again.already_done and again.checks == ()
    assert shop.state() == (10, ["success"], [("010_good", "warned", 7)])


@pytest.mark.parametrize(
    ("select", "shown"),
    [
        pytest.param("select repeat('x', 200) as long", "    long\n    " + "x" * 39 + "…", id="long"),
        pytest.param("select e'a\\x1b[2Jb' as name, null as none", "    name    none\n    a\ufffd[2Jb", id="control"),
        pytest.param("select 12345 as id, 1.50 as amount", "       id  amount\n    12345    1.50", id="numbers"),
        pytest.param("select array[1, 2] as ids, true as odd", "    ids     odd\n    [1, 2]  true", id="array"),
        pytest.param("select from things limit 1", "    (rows without columns)", id="no columns"),
    ],
)
def test_values_are_shown(shop: Project, select: str, shown: str) -> None:
    """Values are cut, aligned and harmless to a terminal; ids keep their digits together."""
    shop.check(select)
    with pytest.raises(CheckFailed) as caught:
        shop.apply()
    assert caught.value.message.endswith(f"      | ^\n{shown}")


def test_readers_never_see_an_invalid_row(shop: Project) -> None:
    """While a step writes rows that its check refuses, waits in the check, and is rolled back, readers see the old."""
    connection = shop.connection
    update = "update things set name = 'new' where id < 3; delete from things where id = 3"
    shop.write_step("-- lock_timeout: 60s\n" + STEP.splitlines()[1], update, METRICS)
    shop.check(f"select id, {WAIT}::text as gate from things where name = 'new'")
    connection.execute(GATE)
    seen: set[tuple[tuple[Any, ...], ...]] = set()
    polls = [0]
    errors: list[BaseException] = []
    over = threading.Event()

    def read() -> None:
        with psycopg.connect(shop.database, autocommit=True) as reader:
            while not over.is_set():
                seen.add(tuple(reader.execute("select id, name from things order by id").fetchall()))
                polls[0] += 1

    def run() -> None:
        try:
            shop.apply()
        except BaseException as error:
            errors.append(error)

    reader, writer = threading.Thread(target=read), threading.Thread(target=run)
    reader.start()
    writer.start()
    while not shop.waiting():
        assert writer.is_alive(), errors
    # The step has written, and stands inside its check: read for a while, then let it fail.
    before = polls[0]
    while polls[0] < before + 50:
        assert reader.is_alive()
    connection.execute(OPEN)
    writer.join()
    after = polls[0]
    while polls[0] < after + 5:
        assert reader.is_alive()
    over.set()
    reader.join()
    assert isinstance(errors[0], CheckFailed) and "9 rows" in str(errors[0])
    assert seen == {((1, "old"), (2, "old"), (3, "old"))}
    assert shop.state() == (3, ["failure"], [("010_good", "failed", 9)])


@pytest.mark.parametrize("whose", ["another run's", "nobody's"])
def test_what_another_run_wrote_meanwhile(shop: Project, whose: str) -> None:
    """A check fails on what another step committed since its own one read it: the step is tried again, and sees it."""
    connection = shop.connection
    connection.execute("create table counted as select 0 as n")
    shop.write_step(
        "-- lock_timeout: 60s\nupdate counted set n = (select count(*) from things)", f"select {WAIT}", METRICS
    )
    shop.check("select n from counted where n <> (select count(*) from things)")
    connection.execute(GATE)
    results: list[StepResult] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(shop.apply(attempts=3))
        except BaseException as error:
            errors.append(error)

    writer = threading.Thread(target=run)
    writer.start()
    while not shop.waiting():
        assert writer.is_alive(), errors
    with connection.transaction():
        connection.execute("insert into things values (4, 'of another day')")
        if whose == "another run's":
            connection.execute(
                "insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted,"
                " rows_affected, status, pipeline, step)"
                " values ('run-2', 'x', 'x', 'things', 'day2', 1, 1, 'success', 'shop', '005_x')"
            )
    connection.execute(OPEN)
    writer.join()
    if whose == "another run's":
        assert (errors, [result.attempt for result in results]) == ([], [2])
        assert shop.state() == (4, ["success", "success"], [("010_good", "passed", 0)])
    else:
        assert isinstance(errors[0], CheckFailed) and "after" not in errors[0].message.splitlines()[0]
        assert shop.state() == (4, ["failure"], [("010_good", "failed", 1)])


_APPLY = """
import sys
from pathlib import Path
from runner import check, step
from runner.apply import Run, StepRunner

folder, dsn = Path(sys.argv[1]), sys.argv[2]
file = step.read(folder / "migrations/shop/010_things.sql", folder, step.STEP_KEYS)
found = check.read(folder / "migrations/shop/checks/010_good.sql", folder, [file])
with StepRunner(Run("shop", "day1", "run-1", dsn, checks=(found,)), print) as runner:
    runner.run(file)
"""


def test_a_kill_between_check_and_commit_leaves_nothing(shop: Project) -> None:
    """A runner that is killed when its checks have passed leaves no row, no metrics and no results."""
    connection = shop.connection
    shop.check(NEW, "warn")
    connection.execute(
        f"create function gate() returns trigger language plpgsql as $$ begin perform {WAIT}; return new; end $$"
    )
    connection.execute("create trigger gate before insert on check_results for each row execute function gate()")
    connection.execute(GATE)
    process = subprocess.Popen(
        [sys.executable, "-c", _APPLY, str(shop.folder), shop.database], env=environment(), cwd=shop.folder
    )
    while not shop.waiting():
        assert process.poll() is None
    process.kill()
    assert process.wait() == -signal.SIGKILL
    connection.execute(OPEN)
    left = "select from pg_stat_activity where datname = current_database() and application_name like 'runner%'"
    while connection.execute(left).fetchone():
        pass
    assert shop.state() == (3, [], [])
    connection.execute("drop trigger gate on check_results")
    shop.apply()
    assert shop.state() == (10, ["success"], [("010_good", "warned", 7)])


def test_the_latest_results_are_those_of_the_rows_that_are_there(shop: Project) -> None:
    """A day applied again, or failing for another reason, shows what its last run that was checked found."""
    shop.check(NEW, "warn")
    shop.apply("run-1")
    shop.write_step("select 1", METRICS)
    shop.apply("run-2")
    shop.write_step("select 1 / 0")
    with pytest.raises(StepFailed):
        shop.apply("run-3")
    rows = check_results.latest(shop.connection, "shop")
    assert [(row["flow_run_id"], row["status"]) for row in rows] == [("run-2", "warned")]
    shop.checks.clear()
    shop.check(NEW)
    shop.write_step("select 1", METRICS)
    with pytest.raises(CheckFailed):
        shop.apply("run-4")
    rows = check_results.latest(shop.connection, "shop", "day1")
    assert [(row["flow_run_id"], row["status"]) for row in rows] == [("run-4", "failed")]
    assert check_results.latest(shop.connection, "shop", "day2") == []


def test_a_database_of_before_gets_the_table(empty_database: str) -> None:
    """A database that a runner without checks made has no results, and gets the table with the next migration."""
    own = schema.own_files()
    with psycopg.connect(empty_database, autocommit=True) as connection:
        assert schema._run(connection, schema.OWN, own[0], own)
        assert check_results.latest(connection, "zluri") == []
        assert schema.migrate(connection, "other", [])[0] == "runner/002_checks"
        assert connection.execute("select count(*) from check_results").fetchone() == (0,)


def runner(shop: Project, *arguments: str) -> tuple[int, str, str]:
    """Run a command in the project; return its exit code, output and errors."""
    process = start_runner(*arguments, cwd=shop.folder, DATABASE_URL=shop.database)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err
    return process.returncode, out, err


def test_commands_show_checks(shop: Project) -> None:
    """A warning is told once, on standard error; plan, status and checks know of it."""
    shop.check(NEW, "warn")
    code, out, err = runner(shop, "apply", "--day", "day1")
    assert (code, out.count("bad things"), err.count("bad things")) == (0, 0, 1)
    assert "warning: day1  010_good: 7 rows: bad things\n    id  name\n    11  new\n" in err
    assert "ok, 1 warning" in runner(shop, "status")[1]
    code, out, _ = runner(shop, "checks", "--day", "day1")
    assert code == 0 and "day1  010_good: 7 rows: bad things" in out and out.endswith("1 warned\n")
    plan = runner(shop, "plan", "--day", "day1")[1].splitlines()
    assert [line.split()[:3] for line in plan] == [["step", "action", "checks"], ["010_things", "run", "1"]]
    (row,) = json.loads(runner(shop, "status", "--json")[1])
    assert row["warnings"] == {"010_things": 1}
    (row,) = json.loads(runner(shop, "checks", "--json")[1])
    assert (row["check_name"], row["rows_failed"], len(row["sample"])) == ("010_good", 7, 5)


def test_all_days_are_a_line_a_check(shop: Project) -> None:
    """Without a day each check is one line, with its days by how they ended and the newest of its findings."""

    def apply(day: str, check: str) -> None:
        shop.check(check, "warn")
        shop.connection.execute("truncate things")
        assert runner(shop, "apply", "--day", day)[0] == 0

    apply("day1", NEW)
    apply("day2", NONE)
    apply("day3", NONE)
    code, out, _ = runner(shop, "checks")
    table, finding, total = out.split("\n\n")
    assert [line.split() for line in table.splitlines()] == [
        ["step", "check", "severity", "passed", "warned", "failed", "last", "found", "rows"],
        ["010_things", "010_good", "warn", "2", "1", "0", "day1", "7"],
    ]
    assert finding.startswith("day1  010_good: 7 rows: bad things\n") and "… and 2 more" in finding
    assert (code, total) == (0, "2 passed, 1 warned\n")
    apply("day2", NEW)
    assert runner(shop, "checks")[1].splitlines()[1].split()[3:] == ["1", "2", "0", "day2", "7"]


def test_the_document_of_apply_has_results(shop: Project) -> None:
    """`apply --json` tells each step's checks; where they fail, the error has those that did."""
    shop.check(NONE, name="010_a")
    code, out, _ = runner(shop, "apply", "--day", "day1", "--json")
    (result,) = json.loads(out)["steps"][0]["checks"]
    assert (code, result["check"], result["status"], result["sample"]) == (0, "010_a", "passed", [])
    shop.connection.execute("truncate things")
    shop.check(NEW, name="010_b")
    code, out, err = runner(shop, "apply", "--day", "day2", "--json")
    document = json.loads(out)
    (failed,) = document["error"]["checks"]
    assert (code, failed["check"], failed["rows_failed"], document["steps"]) == (1, "010_b", 7, [])
    assert "hint: The step is rolled back." in err


def test_a_wrong_check_stops_the_day_before_anything_runs(shop: Project) -> None:
    """A check of no step is an error of the project: nothing is run, and the exit code says so."""
    shop.check(NONE)
    path = shop.folder / "migrations" / "shop" / "checks" / "010_good.sql"
    path.write_text(path.read_text(encoding="utf-8").replace("010\n", "011\n"), encoding="utf-8")
    code, out, err = runner(shop, "apply", "--day", "day1")
    assert (code, out) == (2, "")
    assert "checks/010_good.sql:1:11: there is no step '011'" in err and "hint: Steps: 010_things." in err
    assert shop.state() == (3, [], [])
