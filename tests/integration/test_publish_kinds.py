"""Tables and partitions that have something of their own: nobody misses anything, what cannot be loaded is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from runner.errors import LoadFailed
from staging_loaders import blockers, exchange, partitions, rights
from staging_loaders.engine import Inline
from staging_loaders.load import load_day
from staging_loaders.publish import staging_key

pytestmark = pytest.mark.usefixtures("_no_rates")

Connection = psycopg.Connection[tuple[Any, ...]]
COLUMNS = "day text not null, source_file text not null, position bigint not null, order_id bigint, amount numeric"
BY_DAY = f"create table stg_orders ({COLUMNS}) partition by list (day);"
PLAIN = f"create table stg_orders ({COLUMNS});"
TRIGGER = "create function meddle() returns trigger language plpgsql as $$begin {} end$$;"
DECLARED = 'table = "{}"\nkey = "order_id"\n[fields]\norder_id = {{ type = "integer", required = true }}\n'


@pytest.fixture
def _no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)


@pytest.fixture
def load(database: str, tmp_path: Path) -> Callable[..., None]:
    """Load a day of four orders, each with an amount that differs from load to load."""
    declarations = tmp_path / "staging_loaders" / "shop"
    declarations.mkdir(parents=True)
    for entity in ("orders", "refunds"):
        text = DECLARED.format(f"stg_{entity}") + 'amount = { type = "number" }\n'
        (declarations / f"{entity}.toml").write_text(text)
    amounts = iter(range(10, 1000, 10))

    def run(day: str = "d1", dsn: str = database, entities: tuple[str, ...] = ("orders",), **options: Any) -> None:
        amount = next(amounts)
        for entity in entities:
            folder = tmp_path / "data" / f"sync-{day}" / entity
            folder.mkdir(parents=True, exist_ok=True)
            records = [{"order_id": number, "amount": amount} for number in range(1, 5)]
            (folder / "a.json").write_text(json.dumps(records))
        load_day(
            dsn=dsn, pipeline="shop", day=day, base=str(tmp_path / "data"), declarations=declarations,
            flow_run_id="run", session=Inline(), **options,
        )  # fmt: skip

    return run


def orders(connection: Connection, table: str = "stg_orders") -> list[tuple[str, int, int]]:
    """Return day, rows and the amount of all of them, a day."""
    rows = connection.execute(f"select day, count(*), sum(amount) / count(*) from {table} group by day order by day")
    return [(day, rows, int(amount)) for day, rows, amount in rows]


def identity(connection: Connection, day: str = "d1") -> object:
    """Return which table holds a day."""
    return connection.execute("select staging_partition('stg_orders', %s)::oid", (day,)).fetchone()


MEDDLING = {
    "lost": TRIGGER.format("if new.order_id % 2 = 0 then return null; end if; return new;"),
    "altered": TRIGGER.format("new.amount := 0; return new;"),
    "another day": TRIGGER.format("new.day := 'd0'; return new;"),
}


@pytest.mark.parametrize("kind", [PLAIN, BY_DAY + "select staging_day('stg_orders', 'd1');"], ids=["plain", "by day"])
@pytest.mark.parametrize("function", MEDDLING.values(), ids=MEDDLING.keys())
def test_triggers_that_change_rows(
    connection: Connection, load: Callable[..., None], kind: str, function: str, request: pytest.FixtureRequest
) -> None:
    """What the table holds in the end is compared with what was read: a day that differs is not published."""
    connection.execute(
        f"{kind}{function} create trigger meddler before insert on stg_orders for each row execute function meddle()"
    )
    with pytest.raises(LoadFailed, match=r"4 rows were read, .*trigger meddler|moving row") as failed:
        load()
    assert not failed.value.transient
    assert orders(connection) == []
    assert connection.execute("select count(*) from stg_loads").fetchone() == (0,)


@pytest.mark.parametrize("kind", ["numeric(12, 2)", "jsonb"])
def test_triggers_that_change_what_no_checksum_of_the_sender_covers(
    connection: Connection, load: Callable[..., None], tmp_path: Path, kind: str
) -> None:
    """Types that round or rewrite are compared with what landed, where a trigger may have changed them."""
    if kind == "jsonb":
        file = tmp_path / "staging_loaders" / "shop" / "orders.toml"
        file.write_text(file.read_text().replace('type = "number"', 'type = "json"'))
    connection.execute(
        f"{PLAIN} alter table stg_orders alter amount type {kind} using null;"
        + TRIGGER.format("new.amount := new.amount; return new;")
        + "create trigger meddler before insert on stg_orders for each row execute function meddle()"
    )
    load()
    connection.execute(MEDDLING["altered"].replace("create", "create or replace", 1))
    with pytest.raises(LoadFailed, match=r"4 rows were read, .* holds as many, but not the same .*trigger meddler"):
        load()
    assert connection.execute("select distinct amount::numeric from stg_orders").fetchall() == [(10,)]


@pytest.mark.parametrize("kind", [PLAIN, BY_DAY], ids=["plain", "by day"])
def test_rules_that_insert_elsewhere(connection: Connection, load: Callable[..., None], kind: str) -> None:
    """Are found in the same way."""
    connection.execute(
        f"{kind} create table other (like stg_orders); create rule elsewhere as on insert to stg_orders "
        "where new.order_id > 3 do instead insert into other values (new.*)"
    )
    with pytest.raises(LoadFailed, match=r"4 rows were read, .* holds 3 .*rule elsewhere"):
        load()
    assert orders(connection) == []


def test_triggers_that_only_look(connection: Connection, load: Callable[..., None]) -> None:
    """Keep nothing from being published, and see each row."""
    look = TRIGGER.format("insert into seen values (new.order_id); return new;")
    connection.execute(
        f"{BY_DAY} create table seen (id bigint); {look}"
        "create trigger looker after insert on stg_orders for each row execute function meddle()"
    )
    load()
    load()
    assert orders(connection) == [("d1", 4, 20)]
    assert connection.execute("select count(*) from seen").fetchone() == (8,)


def test_rows_that_stay(connection: Connection, load: Callable[..., None]) -> None:
    """A rule that keeps rows from being deleted keeps the day from being loaded twice over."""
    connection.execute(PLAIN)
    load()
    connection.execute("create rule kept as on delete to stg_orders do instead nothing")
    with pytest.raises(LoadFailed, match=r"rows of d1 stay .*rule kept"):
        load()
    assert orders(connection) == [("d1", 4, 10)]


NOT_EXCHANGED = {
    "foreign key": "create table kept (id bigint primary key); insert into kept values (1), (2), (3), (4);"
    f"{BY_DAY} alter table stg_orders add foreign key (order_id) references kept",
    "identity": f"{BY_DAY} alter table stg_orders add number bigint generated always as identity",
    "row security": f"{BY_DAY} alter table stg_orders enable row level security",
    "several days in one": f"{BY_DAY} create table p partition of stg_orders for values in ('d8', 'd9')",
    "null": f"{BY_DAY} create table p partition of stg_orders for values in (null)",
    "all tables published": f"{BY_DAY} create publication p for all tables;"
    "alter table stg_loads replica identity full; alter table stg_rejects replica identity full",
    "published": f"{BY_DAY} create publication p for table stg_orders",
}


@pytest.mark.parametrize("made", NOT_EXCHANGED.values(), ids=NOT_EXCHANGED.keys())
@pytest.mark.filterwarnings("ignore")
def test_a_new_day_has_its_partition(
    connection: Connection, load: Callable[..., None], made: str, request: pytest.FixtureRequest
) -> None:
    """Also where rows are inserted into it; loading it again replaces them."""
    if "identity" in request.node.name and connection.info.server_version < 170000:
        pytest.skip("partitioned tables have no identity columns before 17")
    connection.execute(made)
    load()
    load("d2")
    assert orders(connection) == [("d1", 4, 10), ("d2", 4, 20)]
    if "published" in request.node.name:
        connection.execute('alter table staging_days."stg_orders@d1" replica identity full')
    load()
    assert orders(connection) == [("d1", 4, 30), ("d2", 4, 20)]


def test_a_published_day_needs_an_identity(connection: Connection, load: Callable[..., None]) -> None:
    """Subscribers are to hear of each row that goes: the statement that lets them is named."""
    connection.execute(f"{BY_DAY} create publication p for table stg_orders")
    load()
    with pytest.raises(LoadFailed, match="replica identity") as failed:
        load()
    assert 'alter table staging_days."stg_orders@d1" replica identity full' in str(failed.value.hint)
    assert orders(connection) == [("d1", 4, 10)]


def test_a_table_by_something_else(connection: Connection, load: Callable[..., None]) -> None:
    """Only its owner knows which partition a day belongs to."""
    connection.execute(f"create table stg_orders ({COLUMNS}) partition by range (day)")
    with pytest.raises(LoadFailed, match="no partition that takes the rows of d1") as failed:
        load()
    assert "partition of stg_orders" in str(failed.value.hint)


OWN = {
    "made elsewhere": "create table own partition of stg_orders for values in ('d1')",
    "partitioned": "create table own partition of stg_orders for values in ('d1') partition by hash (order_id);"
    "create table leaf partition of own for values with (modulus 1, remainder 0)",
    "privileges": "grant select on staging_days.\"stg_orders@d1\" to pg_monitor",
    "a column's privileges": "grant select (amount) on staging_days.\"stg_orders@d1\" to pg_monitor",
    "replica identity": "alter table staging_days.\"stg_orders@d1\" replica identity full",
    "settings": "alter table staging_days.\"stg_orders@d1\" set (fillfactor = 50)",
    "row security": "alter table staging_days.\"stg_orders@d1\" enable row level security",
    "index": "create index own on staging_days.\"stg_orders@d1\" (amount)",
    "rule": "alter table staging_days.\"stg_orders@d1\" add constraint own check (amount > 0)",
    "trigger": TRIGGER.format("return new;")
    + "create trigger own before insert on staging_days.\"stg_orders@d1\" for each row execute function meddle()",
    "comment": "comment on table staging_days.\"stg_orders@d1\" is 'ours'",
    "publication": "create publication p for table staging_days.\"stg_orders@d1\" with (publish = 'insert')",
}  # fmt: skip


@pytest.mark.parametrize("made", OWN.values(), ids=OWN.keys())
@pytest.mark.filterwarnings("ignore")
def test_a_partition_with_something_of_its_own(connection: Connection, load: Callable[..., None], made: str) -> None:
    """Stays where it is, and its rows are replaced; the other days' are exchanged."""
    connection.execute(BY_DAY)
    if "partition of" not in made:
        load()
    load("d2")
    connection.execute(made.encode())
    before, other = identity(connection), identity(connection, "d2")
    load()
    load("d2")
    assert identity(connection) == before
    assert [rows for _, rows, _ in orders(connection)] == [4, 4]
    assert (identity(connection, "d2") == other) == ("publication" in made)
    load()
    assert len({amount for *_, amount in orders(connection)}) == 2


def test_default_privileges_are_nothing_of_its_own(
    server: Any, connection: Connection, load: Callable[..., None]
) -> None:
    """Each new table has them, so the partition is exchanged, and its successor has them, too."""
    connection.execute(f"{BY_DAY} alter default privileges grant select on tables to pg_monitor")
    load()
    before = identity(connection)
    load()
    assert identity(connection) != before


def test_a_view_of_one_partition(
    connection: Connection, load: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keeps that partition, at once and without a wait; the day's other tables are exchanged."""
    connection.execute(BY_DAY + BY_DAY.replace("stg_orders", "stg_refunds"))
    both = ("orders", "refunds")
    load(entities=both)
    connection.execute('create view v as select * from staging_days."stg_refunds@d1"')
    of = "select staging_partition('stg_orders', 'd1')::oid, staging_partition('stg_refunds', 'd1')::oid"
    before = connection.execute(of).fetchone() or ()
    monkeypatch.setattr(exchange, "sleep", lambda _: pytest.fail("waited"))
    load(entities=both)
    after = connection.execute(of).fetchone() or ()
    assert (before[0] == after[0], before[1] == after[1]) == (False, True)
    assert orders(connection) == orders(connection, "stg_refunds") == orders(connection, "v") == [("d1", 4, 20)]


HELD = {
    "rows": (PLAIN, "update stg_orders set amount = 0"),
    "the table": (BY_DAY, "lock table stg_orders in access exclusive mode"),
    "the account": (BY_DAY, "select from stg_loads for update"),
}


@pytest.mark.parametrize(("made", "statement"), HELD.values(), ids=HELD.keys())
def test_who_holds_a_lock_is_named(
    database: str, connection: Connection, load: Callable[..., None], monkeypatch: pytest.MonkeyPatch,
    made: str, statement: str,
) -> None:  # fmt: skip
    """While the load waits, and when it gives up; nothing is changed then."""
    connection.execute(made.encode())
    load()
    monkeypatch.setattr(blockers, "_QUIET", 0.05)
    for module in ("publish.blockers", "landing.blockers", "day_load"):
        monkeypatch.setattr(f"staging_loaders.{module}.LOCK_TIMEOUT", "2s")
    told: list[str] = []
    with psycopg.connect(database, application_name="holder") as holder:
        holder.execute(statement.encode())
        with pytest.raises(LoadFailed) as failed:
            load(note=told.append)
        pid = holder.info.backend_pid
        assert f"process {pid} (holder of " in failed.value.message
        assert f"process {pid} (holder of " in told[0]
        assert told[0].startswith("d1: waiting for a lock of ")
        holder.rollback()
    assert orders(connection) == [("d1", 4, 10)]


def test_who_reads_the_day_is_named(
    database: str, connection: Connection, load: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step holds an advisory lock, which is not waited for in a queue; the load goes on when it is let go."""
    connection.execute(BY_DAY)
    monkeypatch.setattr(blockers, "_QUIET", 0.05)
    told: list[str] = []
    with psycopg.connect(database, application_name="a step") as holder:
        holder.execute("select pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", (staging_key("shop", "d1"),))

        def noted(text: str) -> None:
            told.append(text)
            holder.rollback()

        load(note=noted)
    assert "(a step of " in told[0]
    assert orders(connection) == [("d1", 4, 10)]


@pytest.mark.parametrize(
    ("made", "statement"),
    [
        (BY_DAY, "lock table only stg_orders in share update exclusive mode"),
        (NOT_EXCHANGED["foreign key"], "select from stg_orders"),
    ],
    ids=["attached", "made"],
)
def test_who_keeps_a_partition_from_the_table_is_named(
    database: str, connection: Connection, load: Callable[..., None], monkeypatch: pytest.MonkeyPatch,
    made: str, statement: str,
) -> None:  # fmt: skip
    """A new day goes on when they let go."""
    connection.execute(made.encode())
    load()
    monkeypatch.setattr(exchange, "_QUIET", 0.0)
    monkeypatch.setattr(partitions, "_QUIET", 0.0)
    told: list[str] = []
    with psycopg.connect(database, application_name="vacuuming") as holder:
        holder.execute(statement.encode())

        def noted(text: str) -> None:
            told.append(text)
            holder.rollback()

        load("d2", note=noted)
    assert re.match(r"d2: waiting for a lock of process \d+ \(vacuuming of ", told[0])
    assert [rows for _, rows, _ in orders(connection)] == [4, 4]


@pytest.fixture
def loader(database: str, connection: Connection) -> Iterator[str]:
    """The connection string of a session that has become a role with no more rights than bookkeeping needs."""
    connection.execute("drop role if exists loader_role")
    connection.execute("create role loader_role")
    connection.execute(
        "grant select, insert, update, delete on runner_leases, stg_loads, stg_rejects, reference_loads, fx_rates, "
        "schema_history to loader_role"
    )
    connection.execute("revoke create on schema public from public")
    yield conninfo.make_conninfo(database, options="-c role=loader_role")
    connection.execute("drop owned by loader_role")
    connection.execute("drop role loader_role")


def test_the_least_rights(
    connection: Connection, load: Callable[..., None], loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a role lacks is told before anything is read, by the statements that give it; then it may load."""
    connection.execute(BY_DAY)
    with pytest.raises(LoadFailed, match="lacks rights to load into stg_orders") as failed:
        load(dsn=loader)
    for statement in str(failed.value.hint).split("run: ")[1].split("; "):
        connection.execute(statement.encode())
    with psycopg.connect(loader) as theirs:
        assert rights.missing(theirs, ["stg_orders"]) == []
    # Of a table that another role owns, the day's partition is the owner's to make.
    with pytest.raises(LoadFailed, match="has no partition for it") as failed:
        load(dsn=loader)
    connection.execute(str(failed.value.hint).split("run: ")[1].encode())
    before = identity(connection)
    load(dsn=loader)
    load(dsn=loader)
    assert identity(connection) == before
    assert orders(connection) == [("d1", 4, 40)]


def test_an_owner_needs_no_more_than_schemas(connection: Connection, load: Callable[..., None], loader: str) -> None:
    """Who owns the staging tables makes days' partitions itself, and exchanges them."""
    connection.execute(f"{BY_DAY} alter table stg_orders owner to loader_role")
    with pytest.raises(LoadFailed) as failed:
        load(dsn=loader)
    statements = str(failed.value.hint).split("run: ")[1]
    assert statements == (
        "create schema landing authorization loader_role; create schema staging_days authorization loader_role"
    )
    connection.execute(statements.encode())
    connection.execute("grant usage on schema public to loader_role")
    load(dsn=loader)
    before = identity(connection)
    load(dsn=loader)
    assert identity(connection) != before
    assert orders(connection) == [("d1", 4, 30)]
