"""The same loads through Spark: what differs is who runs the parts, and what may go wrong there."""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner.errors import ConfigError, LoadFailed, UnreadableFile
from runner.progress import Advance
from staging_loaders.load import DayLoad, load_day
from staging_loaders.part import Counts, Failed, Part, land_part
from staging_loaders.session import Engine, Inline, Session

ROOT = Path(__file__).parents[2]
DAYS = ROOT / "tests" / "days"
ZLURI = ROOT / "staging_loaders" / "zluri"

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def session(spark: Session) -> Session:
    """The session that all tests share: a process has one Spark."""
    return spark


@pytest.fixture(autouse=True)
def _no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchange rates need no Spark."""
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)


def load(database: str, base: Path, session: Engine, **options: Any) -> list[tuple[Any, ...]]:
    """Load day1; return entity, status and counts."""
    loads = load_day(
        dsn=database, pipeline="zluri", day="day1", base=str(base), declarations=ZLURI, flow_run_id="run",
        session=session, mode="always", **options,
    )  # fmt: skip
    return [
        (each.entity, each.status, each.records_read, each.rows_loaded, each.rejects, each.warnings) for each in loads
    ]


def staging(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all staging tables, and the rejects."""
    tables = connection.execute(
        "select relname from pg_class where relname ~ '^stg_' and relkind in ('r', 'p') "
        "and not relispartition and relname <> 'stg_loads'"
    )
    return {name: sorted(connection.execute(f"select * from {name}").fetchall(), key=repr) for (name,) in tables}


def test_spark_and_one_process_load_the_same(database: str, connection: Connection, session: Session) -> None:
    """Every row and every reject of a shipped day, however the files were dealt out."""
    alone = load(database, DAYS, Inline())
    expected = staging(connection)
    assert load(database, DAYS, session) == alone
    assert staging(connection) == expected
    assert connection.execute(
        "select count(*) from pg_class where relnamespace = 'landing'::regnamespace"
    ).fetchone() == (0,)


def test_one_session_serves_a_run(session: Session) -> None:
    """The SparkSession and the context of the loads are one; times are UTC."""
    assert session.spark is session.spark
    assert session.spark.sparkContext is session.context
    assert session.spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert session.parallelism == 2


def test_a_load_is_one_job_of_one_stage(database: str, session: Session) -> None:
    """A task for each part; no shuffle, which would be a second stage, and no job besides."""
    tracker = session.context.statusTracker()
    before = set(tracker.getJobIdsForGroup())
    loads = load(database, DAYS, session)
    (job,) = set(tracker.getJobIdsForGroup()) - before
    told = tracker.getJobInfo(job)
    assert told is not None
    (stage,) = (tracker.getStageInfo(number) for number in told.stageIds)
    assert stage is not None
    assert stage.numTasks == sum(status == "loaded" for _, status, *_ in loads)


def test_an_unreadable_file_is_named(database: str, connection: Connection, session: Session, tmp_path: Path) -> None:
    """The error comes from a worker with file, line and column."""
    for entity in ("agents", "admin_groups", "transactions"):
        (tmp_path / "sync-day1" / entity).mkdir(parents=True)
        (tmp_path / "sync-day1" / entity / "a.json").write_text("[]")
    (tmp_path / "sync-day1" / "agents" / "b.json").write_text('[\n{"id": NaN}]')
    with pytest.raises(UnreadableFile, match=r"agents/b\.json:2:8: NaN is not JSON"):
        load(database, tmp_path, session)
    assert connection.execute("select count(*) from stg_loads").fetchone() == (0,)


class _FailsAfterwards:
    """A task whose first attempt dies after its commit."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __call__(self, part: Part) -> Counts | Failed:
        counts = land_part(part)
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return counts
        os._exit(1)


class _Flaky(Session):
    """A session that runs each part through such a task, on another's Spark."""

    def __init__(self, session: Session, folder: Path) -> None:
        super().__init__(session.master)
        self.session = session
        self.folder = folder

    def run(self, task: Any, items: Any, tick: Any = None) -> list[Any]:
        assert task is land_part
        return self.session.run(_FailsAfterwards(self.folder / "died"), items, tick)


def test_a_worker_that_dies_after_its_commit_doubles_nothing(
    database: str, connection: Connection, session: Session, tmp_path: Path
) -> None:
    """Spark runs the part again, and finds it done."""
    once = load(database, DAYS, session)
    expected = staging(connection)
    assert load(database, DAYS, _Flaky(session, tmp_path)) == once
    assert (tmp_path / "died").exists()
    assert staging(connection) == expected


def _hang(started: Path) -> None:
    started.touch()
    threading.Event().wait()


def test_an_interrupt_cancels_the_job(session: Session, tmp_path: Path) -> None:
    """Ctrl-C reaches the program and not Spark; the session goes on working."""

    def tick() -> None:
        if (tmp_path / "started").exists():
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        session.run(_hang, [tmp_path / "started"], tick)
    assert session.run(len, ["ab", "c"]) == [2, 1]


def _fail(_: object) -> None:
    raise RuntimeError("the disk is on fire\nand more")


def test_a_failing_part_tells_its_own_reason(session: Session) -> None:
    """Not Spark's two pages about it."""
    with pytest.raises(LoadFailed) as error:
        session.run(_fail, [1])
    assert str(error.value) == "a part of the load failed: RuntimeError: the disk is on fire"


def test_a_database_error_in_a_worker(database: str, session: Session, tmp_path: Path) -> None:
    """The server's words arrive, the password does not."""
    part = replace(_some_part(database), dsn="postgresql://u:hush-hush@127.0.0.1:1/x")
    (failed,) = session.run(land_part, [part])
    assert isinstance(failed, Failed)
    assert failed.message.startswith("cannot connect to u@127.0.0.1:1/x")
    assert "hush-hush" not in repr(failed)
    assert failed.transient


class _Cut(Inline):
    """Cuts a connection of a load after its first job, as often as it is told."""

    def __init__(self, database: str, name: str, times: int) -> None:
        self._database, self._name, self._times = database, name, times

    def run(self, task: Any, items: Any, tick: Any = None) -> list[Any]:
        if self._times:
            self._times -= 1
            with psycopg.connect(self._database, autocommit=True) as connection:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s", (self._name,)
                )
        return super().run(task, items, tick)


def test_a_lost_sign_of_life_is_a_passing_fault(database: str, connection: Connection, tmp_path: Path) -> None:
    """A load whose own connection is cut can be landed again by the same object, and nothing is doubled."""
    cut = _Cut(database, "runner load", 1)
    with DayLoad(
        dsn=database, pipeline="zluri", day="day2", base=str(DAYS), declarations=ZLURI, flow_run_id="r", session=cut,
        progress=lambda *_: None,
    ) as day:  # fmt: skip
        wanted = [plan.entity for plan in day.plan() if plan.present]
        with pytest.raises(LoadFailed) as failed:
            day.land_all(wanted)
        assert failed.value.transient
        loads = day.publish(day.land_all(wanted))
    (rows,) = connection.execute("select count(*) from stg_transactions").fetchone() or (0,)
    assert rows == next(load.rows_loaded for load in loads if load.entity == "transactions")


def test_progress_is_told(database: str, session: Session) -> None:
    """Files and records done, while the load runs or at its end."""
    told: list[Advance] = []
    load(database, DAYS, session, progress=told.append)
    assert {each.entity for each in told} >= {"agents", "transactions"}
    assert all(0 <= each.files <= each.files_total and 0 <= each.bytes <= each.bytes_total for each in told)


def test_without_java_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started."""
    monkeypatch.setattr("runner.java.find", lambda: None)
    with Session(cache=tmp_path) as session, pytest.raises(ConfigError, match="Spark needs Java 17"):
        session.run(len, ["a"])


def _some_part(database: str) -> Part:
    from staging_loaders.entity import load_declarations
    from staging_loaders.landing import Target

    return Part(database, "test", load_declarations(ZLURI)["agents"], Target("l0123456789ab_1"), 0, ())


def test_no_secrets_in_what_is_shown() -> None:
    """A part may be logged; its connection string holds a password."""
    assert json.dumps(repr(_some_part("postgresql://u:hush@h/d"))) == '"Part(agents 0)"'
