"""Time limits: what takes longer is stopped, on the server too, and it is said whose limit that was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import database as connecting
from runner import limits, schema, step, transaction
from runner.apply import Run, StepResult, StepRunner
from runner.errors import SchemaFailed, StepFailed, TookTooLong
from runner.step import SCHEMA_KEYS, STEP_KEYS, SqlFile
from staging_loaders.load import DayLoad
from staging_loaders.session import Session
from tests.integration.test_flows import wait_for

ROOT = Path(__file__).parents[2]
SETTING = "timeout under [tasks.database] in runner.toml"
METRICS = """
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_affected, status)
select current_setting('app.flow_run_id'), 'slow_task', 'slow', 'slow', current_setting('app.day'), 0, 'success';
"""

Connection = psycopg.Connection[tuple[Any, ...]]
Steps = Callable[..., StepResult]


@pytest.fixture
def run(database: str, tmp_path: Path) -> Steps:
    """Run a step of that text under a limit of so many seconds."""

    def run(text: str, seconds: float, log: Callable[[str], None] = lambda _: None) -> StepResult:
        path = tmp_path / "010_slow.sql"
        path.write_text(f"{text}\n{METRICS}", "utf-8")
        file: SqlFile = step.read(path, tmp_path, STEP_KEYS)
        with (
            limits.within("slow_task", seconds, SETTING),
            StepRunner(Run("demo", "day1", "run", database), log) as runner,
        ):
            return runner.run(file)

    return run


def at_work(connection: Connection) -> list[tuple[Any, ...]]:
    """Return what other sessions of the database are doing."""
    return connection.execute(
        "select query from pg_stat_activity where datname = current_database() and state = 'active'"
        " and pid <> pg_backend_pid() and backend_type = 'client backend'"
    ).fetchall()


def test_a_statement(database: str, connection: Connection) -> None:
    """A connection that is opened under a limit ends its statement, and what follows is short."""
    with (
        pytest.raises(TookTooLong, match=r"^looking was stopped after 1 s, its time limit$") as caught,
        limits.within("looking", 1, SETTING),
        opened(database) as under,
    ):
        under.execute("select pg_sleep(300)")
    assert caught.value.hint == f"Make it faster, or raise {SETTING}."
    assert isinstance(caught.value.__cause__, psycopg.errors.QueryCanceled)
    assert at_work(connection) == []


def opened(dsn: str) -> Any:
    """Open a connection as the runner does."""
    return connecting.connect(dsn, "runner test")


def test_other_errors(database: str) -> None:
    """What fails in time, or for another reason, keeps its own error."""
    with pytest.raises(psycopg.errors.DivisionByZero), limits.within("x", 60, SETTING), opened(database) as under:
        under.execute("select 1/0")
    with pytest.raises(ValueError, match="mine"), limits.within("x", 0, SETTING):
        raise ValueError("mine")
    with limits.within("x", None, SETTING), opened(database) as under:
        assert under.budget is None


def test_a_step(run: Steps, connection: Connection) -> None:
    """It is stopped as a whole, whatever its statements may take each, and is not tried again; its row says why."""
    with pytest.raises(StepFailed) as caught:
        run("select pg_sleep(0.2);\n" * 50, 1)
    first, place = caught.value.message.splitlines()[1:3]
    assert first == "slow_task was stopped after 1 s, its time limit"
    assert place.startswith("010_slow.sql:") and "canceling statement due to user request" in place
    assert not caught.value.transient and SETTING in str(caught.value.hint)
    assert at_work(connection) == []
    rows = connection.execute("select status, attempt, error_message from pipeline_metrics").fetchall()
    assert [row[:2] for row in rows] == [("failure", 1)]
    assert rows[0][2].startswith(first)


def test_steps_of_one_connection(database: str, tmp_path: Path) -> None:
    """The limit of a step that is done counts nothing for the next one."""
    files = []
    for number, seconds in enumerate((0, 2.5), 1):
        path = tmp_path / f"0{number}0_slow{number}.sql"
        path.write_text(f"select pg_sleep({seconds});{METRICS.replace('slow', f'slow{number}')}", "utf-8")
        files.append(step.read(path, tmp_path, STEP_KEYS))
    with StepRunner(Run("demo", "day1", "run", database), lambda _: None) as runner:
        for file, seconds in zip(files, (2, 60), strict=True):
            with limits.within(file.id, seconds, SETTING):
                assert runner.run(file).status == "success"


def test_the_smaller_rules(run: Steps) -> None:
    """A file's own `timeout` holds for each of its statements, where it is less than what the task may take."""
    with pytest.raises(StepFailed) as caught:
        run("-- timeout: 200ms\nselect pg_sleep(300);", 60)
    assert "statement timeout" in caught.value.message and "stopped" not in caught.value.message
    assert "'-- timeout: …'" in str(caught.value.hint)


@pytest.mark.parametrize(("timeout", "expected"), [("200ms", "200ms"), ("1h", "60000ms")], ids=["file's", "task's"])
def test_the_server_knows(timeout: str, expected: str, tmp_path: Path) -> None:
    """The server itself ends the statement of a runner that stands still: at the smaller limit."""
    path = tmp_path / "010_slow.sql"
    path.write_text(f"-- timeout: {timeout}\nselect 1;", "utf-8")
    with limits.within("slow_task", 60, SETTING):
        found = transaction.settings(step.read(path, tmp_path, STEP_KEYS), pipeline="p", day="d", flow_run_id="r")
    assert int(found["statement_timeout"][:-2]) == pytest.approx(int(expected[:-2]), abs=5_000)


def test_waiting_does_not_count(run: Steps, connection: Connection) -> None:
    """While another run is in the step, the limit stands still: that wait has its own."""
    connection.execute("begin")
    connection.execute("select pg_advisory_xact_lock(hashtextextended('step:demo/010_slow', 0))")

    def leave(told: str) -> None:  # after more than a second
        assert "waiting for another run" in told
        connection.execute("rollback")

    assert run("select pg_sleep(0.3);", 1, leave).status == "success"


def test_schema_files(database: str, tmp_path: Path) -> None:
    """A schema file is stopped and rolled back, but for one in no transaction, of which something would stay behind."""
    texts = ("-- transaction: off\nselect pg_sleep(1.5);", "select pg_sleep(300);")
    files = []
    for number, text in enumerate(texts, 1):
        path = tmp_path / f"00{number}_slow.sql"
        path.write_text(text, "utf-8")
        files.append(step.read(path, tmp_path, SCHEMA_KEYS))
    with (
        pytest.raises(SchemaFailed, match="migrate was stopped after 1 s, its time limit"),
        limits.within("migrate", 1, SETTING),
        opened(database) as under,
    ):
        schema.migrate(under, "demo", files)
    with opened(database) as after:
        assert list(schema.history(after, "demo")) == ["001_slow"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*", "ignore::DeprecationWarning:pydantic.*")
def test_a_load(database: str, connection: Connection, spark: Session) -> None:
    """A load with Spark that takes too long is cancelled: no COPY goes on, no table is left, Spark lives on."""
    from runner.flows.loads import Stop

    connection.execute("alter table stg_agents add constraint slow check (pg_sleep(300) is not null)")

    def land(seconds: float | None) -> int:
        load = DayLoad(
            dsn=database,
            pipeline="zluri",
            day="day1",
            base=str(ROOT / "tests" / "days"),
            declarations=ROOT / "staging_loaders" / "zluri",
            flow_run_id="run",
            session=spark,
            progress=Stop(),
        )
        with load, limits.within("load_agents", seconds, SETTING):
            return load.land("agents").records_read

    with pytest.raises(TookTooLong, match="load_agents was stopped after 3 s"):
        land(3)
    copying = "select from pg_stat_activity where application_name like 'runner copy%' and state = 'active'"
    wait_for(connection, f"select where not exists ({copying})")
    assert connection.execute("select tablename from pg_tables where schemaname = 'landing'").fetchall() == []
    connection.execute("alter table stg_agents drop constraint slow")
    assert land(None) > 0
