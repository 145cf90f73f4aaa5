"""Publishing by partitions: readers see one load whole, nobody waits, nothing is left over."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner.errors import LoadFailed
from staging_loaders import exchange, landing
from staging_loaders import part as parts
from staging_loaders import publish as publishing
from staging_loaders.entity import load_declarations
from staging_loaders.files import find_files
from tests.integration.test_load import AGENT, ROOT, TABLES, ZLURI, Connection, day_load, landed, load

pytestmark = pytest.mark.usefixtures("_no_rates")


@pytest.fixture
def _no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with day1, which has what a day must have, and its copy day2."""
    day = tmp_path / "data" / "sync-day1"
    for entity, records in {
        "agents": [AGENT],
        "admin_groups": [{"id": 1, "name": "g"}],
        "transactions": [
            {
                "id": f"t{number}",
                "uuid": "u",
                "occurredTime": f"2026-01-01T00:00:00.{number}0Z",
                "updatedTime": "2026-01-05 10:00+02:00",
                "currencyData": {"originalCurrencyAmount": number, "originalCurrencyCode": "USD"},
            }
            for number in range(1, 6)
        ],
        "roles": [{"id": 5, "name": "r"}],
    }.items():
        (day / entity).mkdir(parents=True)
        (day / entity / "a.json").write_text(json.dumps(records))
    (tmp_path / "data" / "sync-day2").symlink_to(day)
    return tmp_path / "data"


def rename(base: Path, name: str) -> None:
    """Let the next load of either day bring another name of the agent."""
    (base / "sync-day1" / "agents" / "a.json").write_text(json.dumps([{**AGENT, "name": name}]))


def partitions(connection: Connection, table: str = "stg_agents") -> dict[str, int]:
    """Return the partitions of a staging table, name -> identity."""
    rows = connection.execute(
        "select inhrelid::regclass::text, inhrelid::bigint from pg_inherits where inhparent = %s::regclass order by 1",
        (table,),
    )
    return {str(name): number for name, number in rows}


def names(connection: Connection, day: str = "day1") -> list[str]:
    """Return the names of the day's agents."""
    return [name for (name,) in connection.execute("select name from stg_agents where day = %s", (day,))]


@contextlib.contextmanager
def reader(database: str, *statements: str, isolation: str = "read committed") -> Iterator[Connection]:
    """A session in a transaction that has run `statements`."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"begin isolation level {isolation}".encode())
        for statement in statements:
            connection.execute(statement.encode())
        yield connection


def test_a_load_looks_at_nothing_while_it_lives(database: str, base: Path, connection: Connection) -> None:
    """Its sign of life holds no snapshot, for which vacuum and other loads would wait."""
    with day_load(database, base) as alive:
        alive.land("agents")
        assert exchange.find_readers(connection) == []


def test_a_day_is_a_partition(database: str, base: Path, connection: Connection) -> None:
    """Of its own, named after the day, in a schema of its own; without what only the load needed."""
    load(database, base)
    load(database, base, "day2")
    assert list(partitions(connection)) == ['staging_days."stg_agents@day1"', 'staging_days."stg_agents@day2"']
    left = connection.execute(
        "select (select count(*) from pg_constraint where conname = %s), "
        "(select count(*) from pg_attrdef inner join pg_attribute on attrelid = adrelid and attnum = adnum "
        "where attname = 'day'), (select count(*) from pg_class where relpersistence = 'u')",
        (exchange.CONSTRAINT,),
    ).fetchone()
    assert left == (0, 0, 0)


def test_another_load_is_another_partition(database: str, base: Path, connection: Connection) -> None:
    """It takes the name of the one that it replaces, and that is gone; the other days' stay."""
    load(database, base)
    load(database, base, "day2")
    before = partitions(connection)
    rename(base, "B")
    load(database, base)
    after = partitions(connection)
    assert list(before) == list(after)
    assert [before[name] == after[name] for name in before] == [False, True]
    assert (names(connection), names(connection, "day2")) == (["B"], ["A"])
    assert landed(connection) == []


def test_a_new_day_waits_for_no_reader(database: str, base: Path, connection: Connection) -> None:
    """Whoever reads other days goes on."""
    load(database, base)
    with reader(database, "select from stg_agents", "select from stg_roles"):
        load(database, base, "day2")
    assert names(connection, "day2") == ["A"]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
@pytest.mark.parametrize("statement", ["select from stg_agents", "select from stg_agents where day = 'day2'"])
def test_a_reader_that_stays_does_not_stop_a_load(
    database: str, base: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch, isolation: str, statement: str
) -> None:
    """Rows are replaced instead of the partition, which autovacuum then may look after."""
    monkeypatch.setattr(exchange, "_PATIENCE", 0.0)
    load(database, base)
    load(database, base, "day2")
    before, roles = partitions(connection), partitions(connection, "stg_roles")
    rename(base, "B")
    (base / "sync-day1" / "roles" / "a.json").write_text('[{"id": 6, "name": "s"}]')
    with reader(database, statement, isolation=isolation) as other:
        load(database, base)
        shown = "A" if isolation == "repeatable read" else "B"
        assert other.execute("select name from stg_agents where day = 'day1'").fetchall() == [(shown,)]
    assert partitions(connection) == before
    assert partitions(connection, "stg_roles") != roles or isolation == "repeatable read"
    assert names(connection) == ["B"]
    options = connection.execute(
        "select reloptions from pg_class where oid = staging_partition('stg_agents', 'day1')"
    ).fetchone()
    assert options == (None,)
    assert landed(connection) == []
    assert connection.execute("select count(*) from pg_class where relname ~ '^l[0-9a-f]{12}'").fetchone() == (0,)


def test_who_has_not_looked_yet_sees_what_was_there(
    database: str, base: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot that is older than the load shows the old rows, not an empty partition."""
    monkeypatch.setattr(exchange, "_PATIENCE", 0.0)
    load(database, base)
    rename(base, "B")
    with reader(database, "select 1", isolation="repeatable read") as other:
        load(database, base)
        assert other.execute("select name from stg_agents").fetchall() == [("A",)]
    assert names(connection) == ["B"]


def test_another_roles_snapshot_is_seen_without_rights(database: str, connection: Connection) -> None:
    """A role that may see nothing of others' sessions still sees that one of them has an old snapshot."""
    role = f"stranger_{os.getpid()}"
    connection.execute(f"create role {role}".encode())
    try:
        with reader(database, "select 1", isolation="repeatable read") as other:
            connection.execute(f"set role {role}".encode())
            assert [pid for pid, _, _ in exchange.find_readers(connection)] == [other.info.backend_pid]
            other.execute("commit")
            assert exchange.find_readers(connection) == []
    finally:
        connection.execute("reset role")
        connection.execute(f"drop role {role}".encode())


def test_nobody_stands_behind_a_load_that_waits(
    database: str, base: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a reader keeps a load from publishing, others read; when it has ended, the load publishes."""
    load(database, base)
    before = partitions(connection)
    rename(base, "B")
    seen = []
    with reader(database, "select from stg_agents") as holder, psycopg.connect(database, autocommit=True) as other:
        other.execute("set lock_timeout = '1ms'")

        def meanwhile(_: float) -> None:
            seen.append(names(other))
            if len(seen) == 3:
                holder.execute("commit")

        monkeypatch.setattr(exchange, "sleep", meanwhile)
        load(database, base)
    assert seen == [["A"]] * 3
    assert names(connection) == ["B"]
    assert partitions(connection) != before


def test_readers_see_one_load_whole(database: str, base: Path) -> None:
    """Several read all the time while a day is loaded again and again; nobody sees half of it, or none."""
    load(database, base)
    ended = threading.Event()
    seen: list[set[tuple[Any, ...]]] = []
    faults: list[BaseException] = []

    def read() -> None:
        found: set[tuple[Any, ...]] = set()
        seen.append(found)
        try:
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute("set statement_timeout = '60s'")
                while not ended.is_set():
                    found.add(connection.execute("select count(*), min(name), max(name) from stg_agents").fetchall()[0])
        except BaseException as error:
            faults.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for each in readers:
        each.start()
    try:
        for number in range(8):
            agents = [{**AGENT, "id": agent, "name": f"load {number}"} for agent in range(1, 30 + number)]
            (base / "sync-day1" / "agents" / "a.json").write_text(json.dumps(agents))
            load(database, base)
    finally:
        ended.set()
        for each in readers:
            each.join()
    assert faults == []
    whole = {(1, "A", "A"), *((29 + number, f"load {number}", f"load {number}") for number in range(8))}
    assert set().union(*seen) <= whole


def test_other_days_load_at_the_same_time(database: str, base: Path, connection: Connection) -> None:
    """Each publishes its own, new ones and again."""
    days = ["day1", "day2", "day3", "day4"]
    for day in days[2:]:
        (base / f"sync-{day}").symlink_to(base / "sync-day1")
    faults: list[BaseException] = []

    def again(day: str) -> None:
        try:
            for _ in range(3):
                load(database, base, day, mode="always")
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=again, args=(day,)) for day in days]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert faults == []
    for table in ("stg_agents", "stg_transactions"):
        assert len(partitions(connection, table)) == 4
    assert [names(connection, day) for day in days] == [["A"]] * 4
    assert landed(connection) == []


def test_loading_again_and_again_leaves_nothing(database: str, base: Path, connection: Connection) -> None:
    """Neither rows nor catalog entries: what a day takes is what it took the first time."""
    size = (
        "select sum(pg_total_relation_size(inhrelid))::bigint, count(*), (select count(*) from pg_class), "
        "(select count(*) from pg_attribute), (select count(*) from pg_constraint), (select count(*) from pg_depend), "
        "(select count(*) from pg_type), (select count(*) from pg_attrdef), (select count(*) from stg_rejects) "
        "from pg_inherits"
    )
    (base / "sync-day1" / "agents" / "b.json").write_text('[{"id": 7}]')
    load(database, base)
    rejects = connection.execute("select ctid, * from stg_rejects").fetchall()
    before = connection.execute(size).fetchone()
    for _ in range(8):
        load(database, base, mode="always")
    assert connection.execute(size).fetchone() == before
    # A reject that is the same is not written again.
    assert connection.execute("select ctid, * from stg_rejects").fetchall() == rejects


def test_an_entity_that_vanished_takes_its_partition_along(database: str, base: Path, connection: Connection) -> None:
    """The other days' stay."""
    load(database, base, "day2")
    (base / "sync-day2").unlink()
    load(database, base)
    (base / "sync-day1" / "roles" / "a.json").unlink()
    assert load(database, base)["roles"].rows_removed == 1
    assert list(partitions(connection, "stg_roles")) == ['staging_days."stg_roles@day2"']


TABLE = (
    "create table {} (day text not null, source_file text not null, position bigint not null, agent_id bigint{}, "
    "email text, name text, job_title text, language text, mobile text, phone text, time_zone text, "
    "last_login_at timestamptz, org_agent_id text, available boolean, available_since timestamptz, "
    "deactivated boolean, focus_mode boolean, agent_operational_status text, ticket_scope text, "
    "last_active_at timestamptz, signature text, freshchat_agent boolean, created_at timestamptz, "
    "updated_at timestamptz) {};"
)


@pytest.mark.parametrize(
    "made",
    [
        TABLE.format("stg_agents", "", ""),
        TABLE.format("stg_agents", "", "partition by list (day)") + "create table p partition of stg_agents default;",
        TABLE.format("stg_agents", "", "partition by list (day)")
        + "create table p partition of stg_agents for values in ('day1', 'day2');",
        TABLE.format("stg_agents", "", "partition by hash (source_file)")
        + "create table p partition of stg_agents for values with (modulus 1, remainder 0);",
        TABLE.format("stg_agents", " references kept", "partition by list (day)")
        + "select staging_day('stg_agents', 'day1'), staging_day('stg_agents', 'day2');",
        TABLE.format("stg_agents", "", "partition by list (day)")
        + "alter table stg_agents add number bigint generated always as identity;"
        + "select staging_day('stg_agents', 'day1'), staging_day('stg_agents', 'day2');",
    ],
    ids=["plain", "default partition", "two days in one", "by file", "foreign key", "identity"],
)
def test_tables_of_other_kinds(
    database: str, base: Path, connection: Connection, made: str, request: pytest.FixtureRequest
) -> None:
    """Where a partition cannot be exchanged without somebody missing something, rows are replaced."""
    if "identity" in request.node.name and connection.info.server_version < 170000:
        pytest.skip("partitioned tables have no identity columns before 17")
    connection.execute(("drop table stg_agents; create table kept (id bigint primary key);" + made).encode())
    connection.execute("insert into kept values (1)")
    load(database, base)
    load(database, base, "day2")
    rename(base, "B")
    load(database, base)
    assert (names(connection), names(connection, "day2")) == (["B"], ["A"])
    assert landed(connection) == []


def test_a_table_keeps_its_indexes_and_rules(database: str, base: Path, connection: Connection) -> None:
    """A partition has what its table has, whatever a project adds."""
    connection.execute(
        "create unique index one_agent on stg_agents (day, source_file, position);"
        "alter table stg_agents add constraint id_is_positive check (agent_id > 0), add note text default 'none'"
    )
    load(database, base)
    load(database, base, mode="always")
    found = connection.execute(
        "select (select count(*) from pg_index where indrelid = part), "
        "(select count(*) from pg_constraint where conrelid = part and contype = 'c'), "
        "(select string_agg(note, '') from stg_agents) from staging_partition('stg_agents', 'day1') as part"
    ).fetchone()
    assert found == (1, 1, "none")


@pytest.mark.parametrize("day", ["d" * 64, "2026-01-05", "Day1", "a.b"])
def test_staging_by_hand(connection: Connection, day: str) -> None:
    """`staging_day` makes the partition of any day, once; a table without partitions holds all days."""
    made = [connection.execute("select staging_day('stg_agents', %s)::oid", (day,)).fetchone() for _ in range(2)]
    assert made[0] == made[1]
    connection.execute(
        "insert into stg_agents (day, source_file, position, agent_id, email, name) values (%s, 'x', 1, 7, '', '')",
        (day,),
    )
    assert connection.execute("select tableoid from stg_agents where day = %s", (day,)).fetchone() == made[0]
    other = connection.execute("select staging_day('stg_loads', %s)::text", (day,)).fetchone()
    assert other == ("stg_loads",)


def test_long_days_that_begin_alike(connection: Connection) -> None:
    """Are two partitions."""
    for day in ("d" * 63 + "1", "d" * 63 + "2"):
        connection.execute("select staging_day('stg_agents', %s)", (day,))
    assert len(partitions(connection)) == 2


@pytest.fixture
def landing_of(database: str, base: Path, connection: Connection) -> Callable[[str, str], None]:
    """Let a table of what has landed of the transactions be changed before it is published, which then fails."""

    def change(statement: str, words: str) -> None:
        with day_load(database, base) as unlucky:
            landings = [unlucky.land(plan.entity) for plan in unlucky.plan() if plan.present]
            table = next(each.target.rows for each in landings if each.entity == "transactions")
            connection.execute(statement.format(table).encode())
            with pytest.raises(LoadFailed, match=words) as failed:
                unlucky.publish(landings)
            assert failed.value.transient
        assert connection.execute("select count(*) from stg_loads").fetchone() == (0,)
        assert partitions(connection) == {}

    return change


COLUMNS = ", ".join(("source_file", "position", *load_declarations(ZLURI)["transactions"].columns))


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("delete from {} where position = 1", "5 records were read, but 4 rows"),
        ("update {} set minor_units = 7 where position = 2", "5 rows have landed, as many as were read, but not the"),
        ("update {} set occurred_time = occurred_time + interval '1 microsecond' where position = 2", "not the same"),
        ("update {} set user_id = '' where position = 2", "not the same"),
        ("update {} set user_id = card_id, card_id = 'x' where position = 2", "not the same"),
        ("update {} set transaction_id = transaction_uuid, transaction_uuid = transaction_id", "not the same"),
        ("update {} set position = 6 - position where position in (1, 5)", "not the same"),
        (
            "with gone as (delete from {0} where position = 1) "
            f"insert into {{0}} ({COLUMNS}) select {COLUMNS} from {{0}} where position = 2",
            "not the same",
        ),
    ],
    ids=[
        "lost",
        "altered",
        "a microsecond",
        "null",
        "shifted",
        "columns swapped",
        "places swapped",
        "doubled for lost",
    ],
)
def test_what_is_published_is_what_was_read(landing_of: Callable[[str, str], None], statement: str, words: str) -> None:
    """Rows are counted and their checksum compared before anybody sees them."""
    landing_of(statement, words)


def test_a_column_that_rounds_is_counted_only(database: str, base: Path, connection: Connection) -> None:
    """Where the table's type alters what it is given, that is what was asked for."""
    connection.execute("alter table stg_transactions drop content_hash, alter occurred_time type timestamptz(0)")
    load(database, base)
    assert connection.execute("select count(*) from stg_transactions").fetchone() == (5,)


def test_phases_are_kept(database: str, base: Path, connection: Connection) -> None:
    """Their seconds stand in stg_loads, and are told of what was loaded."""
    loads = load(database, base)
    for entity, plan, copy, publish in connection.execute(
        "select entity, plan_seconds, copy_seconds, publish_seconds from stg_loads"
    ):
        assert min(plan, copy, publish) > 0
        told = loads[entity]
        assert (float(plan), float(copy)) == (round(told.plan_seconds, 3), round(told.copy_seconds, 3))
        assert told.publish_seconds >= float(publish)
    again = load(database, base)["agents"]
    assert (again.status, again.copy_seconds, again.publish_seconds) == ("unchanged", 0, 0)
    assert again.plan_seconds > 0


SCRIPT = """
import sys
from tests.integration.test_exchange import *

def stop(*_):
    print("here", flush=True)
    sys.stdin.read()

def after(function):
    def wrapped(*arguments, **options):
        result = function(*arguments, **options)
        stop()
        return result
    return wrapped

{}
with day_load(sys.argv[1], Path(sys.argv[2])) as load:
    load.publish([load.land(plan.entity) for plan in load.plan() if plan.present and plan.changed])
"""
MOMENTS = {
    "landing": ("parts._copy = after(parts._copy)", False),
    "landed": ("publishing.publish = stop", False),
    "exchanged": ("exchange._send = after(exchange._send)", False),
    "at the commit": ("import staging_loaders.publish as p; really = p.publish\n"
                      "p.publish = lambda *a: really(*a[:-1], stop)", False),
    "published": ("publishing.publish = after(publishing.publish)", True),
}  # fmt: skip


@pytest.mark.parametrize(("patch", "done"), MOMENTS.values(), ids=MOMENTS.keys())
@pytest.mark.parametrize("first", [True, False], ids=["new", "again"])
def test_a_load_that_is_killed(
    database: str, base: Path, connection: Connection, patch: str, done: bool, first: bool
) -> None:
    """Before, amid and after publishing: readers see the old day or the new one, and the next load leaves nothing."""
    before: list[str] = []
    if not first:
        load(database, base)
        before = ["A"]
        rename(base, "B")
        for entity in ("roles", "transactions", "admin_groups"):
            (base / "sync-day1" / entity / "b.json").write_text("[]")
    new = "A" if first else "B"
    command = [sys.executable, "-c", SCRIPT.format(patch), database, str(base)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    # The server finds out by itself, but not at once on a busy machine.
    connection.execute(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
        "where datname = current_database() and application_name like 'runner load%'"
    )
    assert names(connection) == ([new] if done else before)
    status = {each.status for each in load(database, base).values() if each.status != "absent"}
    assert status == {"unchanged" if done else "loaded"}
    assert names(connection) == [new]
    assert landed(connection) == []
    assert {table: len(partitions(connection, table)) for table in TABLES.values()} == {
        table: int(table in ("stg_agents", "stg_admin_groups", "stg_transactions", "stg_roles"))
        for table in TABLES.values()
    }
    assert connection.execute("select count(*) from pg_class where relname ~ '^l[0-9a-f]{12}'").fetchone() == (0,)


def test_dead_loads_keep_no_partition_from_readers(database: str, base: Path, connection: Connection) -> None:
    """What was attached is nobody's leftover: it is not dropped with the tables of a dead load."""
    load(database, base)
    target = landing.Target("l0123456789ab_1")
    entity = load_declarations(ZLURI)["agents"]
    landing.create(connection, target, entity, "day1")
    part = parts.Part(database, "test", entity, target, 0, find_files(base / "sync-day1" / "agents"))
    assert isinstance(parts.land_part(part), parts.Counts)
    assert landing.drop_dead(connection) == 1
    assert names(connection) == ["A"]
    assert publishing.staging_key("zluri", "day1") == "staging:zluri/day1"
