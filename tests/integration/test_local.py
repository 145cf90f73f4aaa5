"""The local engine: the parts of a load in processes of this machine, and what may go wrong with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner.errors import LoadFailed
from staging_loaders import part as part_module
from staging_loaders.load import DayLoad, load_day
from staging_loaders.local import Local
from staging_loaders.part import Part, land_part
from staging_loaders.split import Work

ROOT = Path(__file__).parents[2]
DAYS = ROOT / "tests" / "days"
ZLURI = ROOT / "staging_loaders" / "zluri"
MUCH = Work(1, 10**9, 10**9)

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def pool() -> Any:
    """An engine of two processes that leaves nothing to this one."""
    with Local(2, inline_weight=0) as engine:
        engine.expect(MUCH)
        yield engine


@pytest.fixture(autouse=True)
def _no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchange rates are not the engine's."""
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)


def load(database: str, engine: Any, **options: Any) -> Any:
    """Load the first shipped day."""
    return load_day(
        dsn=database, pipeline="zluri", day="day1", base=str(DAYS), declarations=ZLURI, flow_run_id="run",
        session=engine, mode="always", **options,
    )  # fmt: skip


def left(connection: Connection) -> tuple[int, int]:
    """Return how many landing tables and how many rows in staging there are."""
    row = connection.execute(
        "select (select count(*) from pg_class where relnamespace = to_regnamespace('landing')), "
        "(select count(*) from stg_loads)"
    ).fetchone()
    assert row
    return row


def process(_: object) -> int:
    return os.getpid()


def test_little_is_read_here_and_much_elsewhere() -> None:
    """What another process would start too late for runs in this one; more in at most so many processes."""
    with Local(2) as engine:
        engine.expect(Work(1, 1_000, 11_000))
        assert engine.parallelism == 1
        assert set(engine.run(process, range(5))) == {os.getpid()}
        engine.expect(MUCH)
        assert engine.parallelism == 2
        found = set(engine.run(process, range(20)))
        assert 1 <= len(found) <= 2
        assert os.getpid() not in found
        assert set(engine.run(process, range(3))) <= found


def test_results_come_in_order(pool: Local) -> None:
    """Whichever process is done first; and the caller is told now and then."""
    ticks: list[None] = []
    assert pool.run(len, ["x" * number for number in range(30)], lambda: ticks.append(None)) == list(range(30))
    assert ticks


def test_no_items(pool: Local) -> None:
    """Nothing to run starts nothing."""
    assert pool.run(process, []) == []
    assert pool.start_seconds == 0.0


def test_several_threads_share_the_processes(pool: Local) -> None:
    """As the tasks of a flow do."""
    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda: found.append(pool.run(process, range(5)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({number for numbers in found for number in numbers}) <= 2


def fail(_: object) -> None:
    raise RuntimeError("the disk is on fire\nand more")


@pytest.mark.parametrize("weight", [0, 10**12], ids=["processes", "inline"])
def test_a_failing_part_tells_its_own_reason(weight: int) -> None:
    """As Spark's do: one line."""
    with Local(2, inline_weight=weight) as engine:
        engine.expect(MUCH)
        with pytest.raises(LoadFailed) as error:
            engine.run(fail, [1, 2, 3])
        assert str(error.value) == "a part of the load failed: RuntimeError: the disk is on fire"
        assert engine.run(len, ["ab"]) == [2]


def die(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed(pool: Local) -> None:
    """The load fails and says so; the engine goes on with another process."""
    with pytest.raises(LoadFailed, match=r"a process of the load was killed \(SIGKILL\)") as error:
        pool.run(die, [1, 2, 3])
    assert "Nothing was changed" in str(error.value.hint)
    assert pool.run(len, ["ab"]) == [2]


def leave(_: object) -> None:
    sys.stderr.write("no more paper\n")
    sys.stderr.flush()
    os._exit(4)


def test_a_process_that_ends(pool: Local) -> None:
    """Its last words are told."""
    with pytest.raises(LoadFailed, match="a process of the load died: no more paper"):
        pool.run(leave, [1])


def unknown(_: object) -> None:
    """A task that the worker will not find."""


def test_what_does_not_arrive(pool: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that a worker cannot even read fails as any other."""
    monkeypatch.setattr(sys.modules[__name__], "made_up", unknown, raising=False)
    monkeypatch.setattr(unknown, "__qualname__", "made_up")
    with pytest.raises(LoadFailed, match="a part of the load failed: AttributeError"):
        pool.run(unknown, [1])


def hang(started: Path) -> None:
    started.touch()
    threading.Event().wait()


def test_an_interrupt_ends_the_processes(pool: Local, tmp_path: Path) -> None:
    """Ctrl-C ends what runs, and the engine is there for more."""

    def tick() -> None:
        if (tmp_path / "started").exists():
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        pool.run(hang, [tmp_path / "started"], tick)
    assert pool.run(len, ["ab", "c"]) == [2, 1]


@pytest.mark.parametrize("setting", ["standard_conforming_strings = off", "quote_all_identifiers = on"])
def test_a_database_that_reads_or_writes_sql_in_another_way(
    database: str, connection: Connection, pool: Local, setting: str
) -> None:
    """Rows are the same, and found to be, where backslashes would be escapes or all names are quoted."""
    connection.execute(f"alter database {connection.info.dbname} set {setting}")
    outcome = load(database, pool)
    assert sum(each.rows_loaded for each in outcome) == 264


def test_copying_takes_as_long_as_it_needs(
    database: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a role or a database allows other statements is no limit of a load's."""
    seen: set[Any] = set()
    copy = part_module._copy

    def asked(connection: Connection, *given: Any, **named: Any) -> Any:
        limits = (
            "select current_setting('statement_timeout'), coalesce(current_setting('transaction_timeout', true), '0')"
        )
        seen.add(connection.execute(limits).fetchone())
        return copy(connection, *given, **named)

    monkeypatch.setattr(part_module, "_copy", asked)
    connection.execute(f"alter database {connection.info.dbname} set statement_timeout = '1min'")
    if connection.info.server_version >= 170000:
        connection.execute(f"alter database {connection.info.dbname} set transaction_timeout = '1min'")
    with Local(2) as engine:
        load(database, engine)
    assert seen == {("0", "0")}


class Stubborn:
    """A task that copies its part, but for one entity dies before the commit."""

    def __init__(self, entity: str) -> None:
        self.entity = entity

    def __call__(self, part: Part) -> Any:
        if part.entity.name == self.entity:
            from psycopg import Connection

            # In the middle of its transaction, with rows sent.
            Connection.commit = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        return land_part(part)


class Dying(Local):
    """An engine one of whose processes is killed with its transaction open."""

    def run(self, task: Any, items: Any, tick: Any = None) -> list[Any]:
        assert task is land_part
        return super().run(Stubborn("cards"), items, tick)


def test_a_killed_process_leaves_nothing(database: str, connection: Connection) -> None:
    """No landing table and no row is left of the load, and the next one is whole."""
    with Dying(2, inline_weight=0) as engine, pytest.raises(LoadFailed, match="killed"):
        load(database, engine)
    assert left(connection) == (0, 0)
    with Local(2, inline_weight=0) as engine:
        loads = load(database, engine)
    assert {each.status for each in loads if each.files} == {"loaded"}
    assert left(connection) == (0, sum(each.status == "loaded" for each in loads))


_ORPHANS = """
import os, sys
from tests.integration.test_local import MUCH, hang
from pathlib import Path
from staging_loaders.local import Local
engine = Local(1, inline_weight=0)
engine.expect(MUCH)
def tick():
    if Path(sys.argv[1]).exists():
        print(next(iter(engine_workers())), flush=True)
        os.kill(os.getpid(), 9)
def engine_workers():
    import gc, subprocess
    return [each.pid for each in gc.get_objects() if isinstance(each, subprocess.Popen)]
engine.run(hang, [Path(sys.argv[1])], tick)
"""


def test_no_process_outlives_its_load(tmp_path: Path) -> None:
    """A load that is killed takes its processes with it, whatever they are at: their output ends."""
    done = subprocess.run(
        [sys.executable, "-c", _ORPHANS, str(tmp_path / "started")],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    worker = int(done.stdout)
    # A file of /proc or the absence of a process is all that is to be seen of somebody else's child.
    for _ in range(1_000):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        threading.Event().wait(0.01)
    pytest.fail(f"the worker {worker} still runs")


def test_the_engine_is_named_in_staging(database: str, connection: Connection) -> None:
    """Which engine read an entity, and how long each phase took, is kept with it."""
    with Local() as engine:
        (*_, last) = load(database, engine)
    assert last.engine == "local"
    assert last.copy_seconds > 0
    rows = connection.execute(
        "select distinct engine, start_seconds, plan_seconds > 0, copy_seconds > 0, publish_seconds > 0 from stg_loads"
    ).fetchall()
    assert rows == [("local", 0, True, True, True)]


class Watching(Local):
    """Remembers what it was told to expect."""

    def __init__(self) -> None:
        super().__init__()
        self.expected: list[Work] = []

    def expect(self, work: Work) -> None:
        self.expected.append(work)
        super().expect(work)


def test_entities_that_are_landed_one_by_one(database: str) -> None:
    """As a flow does it: the engine hears once of all that the day has to read."""
    with (
        Watching() as engine,
        DayLoad(
            dsn=database, pipeline="zluri", day="day1", base=str(DAYS), declarations=ZLURI, flow_run_id="r",
            session=engine,
        ) as day,
    ):  # fmt: skip
        plans = [plan for plan in day.plan() if plan.present]
        day.publish([day.land(plan.entity) for plan in plans])
    assert [work.bytes for work in engine.expected] == [sum(plan.bytes for plan in plans)]
