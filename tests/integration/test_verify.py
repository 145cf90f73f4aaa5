"""Proofs of right steps: they hold, and nothing of them is left."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import database, step
from runner.errors import RunnerError
from runner.proofs import emptying, scope, ways
from runner.proofs.fault import PROOFS
from runner.proofs.trial import Trial
from runner.proofs.ways import Way
from runner.step import STEP_KEYS, SqlFile
from runner.verify import Task, Verdict, Verifier
from tests import make_days
from tests.faulty import days
from tests.model import chain
from tests.model.chain import PIPELINE
from tests.model.files import read_folder
from tests.steps import Warehouse

Connection = psycopg.Connection[tuple[Any, ...]]
SHIPPED = Path(__file__).parents[1] / "days"

METRICS = """
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status
)
select
    current_setting('app.flow_run_id'), 'cards_task', 'cards', 'cards', current_setting('app.day'), {0}, {0}, 'success'
"""


@pytest.fixture
def prove(database_url: str) -> Callable[..., tuple[list[Verdict], list[Any]]]:
    """Prove steps on days: by default the shipped ones on what `days.stage` has staged."""

    def run(names: tuple[str, ...] = days.DAYS, steps: tuple[SqlFile, ...] = PIPELINE.steps, **options: Any) -> Any:
        chosen = options.pop("chosen", steps)
        task = Task("zluri", steps, chosen, names, options.pop("checks", PIPELINE.checks), **options)
        return Verifier(task, lambda: database.connect(database_url, "verify")).run()

    return run


@pytest.fixture
def database_url(database: str) -> str:
    """The URL of the test's database."""
    return database


@pytest.fixture
def make_step(tmp_path: Path) -> Callable[..., SqlFile]:
    """Write a step and read it."""

    def make(*statements: str, name: str = "010_cards.sql") -> SqlFile:
        (tmp_path / name).write_text(";\n".join(statements), encoding="utf-8")
        return step.read(tmp_path / name, tmp_path, STEP_KEYS)

    return make


def everything(connection: Connection) -> dict[str, list[Any]]:
    """Return what all tables hold, and who locks what once the proofs' sessions have ended."""
    ours = "datname = current_database() and application_name = 'verify'"
    for _ in range(1000):
        if not connection.execute(f"select from pg_stat_activity where {ours}").fetchone():
            break
        connection.execute("select pg_sleep(0.01)")  # a server learns of a client's end a moment later
    names = connection.execute("select tablename from pg_tables where schemaname = 'public' order by 1").fetchall()
    content = {name: connection.execute(f"select t::text from {name} as t order by 1").fetchall() for (name,) in names}
    locks = (
        "select mode from pg_locks where database = (select oid from pg_database where datname = current_database())"
    )
    # Autovacuum comes when it likes.
    clients = "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    return content | {"locks": connection.execute(f"{locks} and pid in ({clients})").fetchall()}


@pytest.mark.long
@pytest.mark.parametrize("applied", [pytest.param(False, id="days in staging"), pytest.param(True, id="days applied")])
def test_the_shipped_steps_hold(connection: Connection, prove: Callable[..., Any], applied: bool) -> None:
    """Every proof of every shipped step holds, whether or not the days were applied, and nothing is left of it."""
    days.stage(connection)
    if applied:
        for day in reversed(days.DAYS):
            Warehouse(connection).apply(day)
    before = everything(connection)
    verdicts, faults = prove()
    assert faults == []
    assert {(each.step, each.proof, each.outcome) for each in verdicts} == {
        (file.id, proof, "ok") for file in PIPELINE.steps for proof in PROOFS
    }
    assert everything(connection) == before


def test_the_shipped_steps_hold_on_the_shipped_days(connection: Connection, prove: Callable[..., Any]) -> None:
    """Three days with every oddity the sources may bring, in all their orders."""
    chain.fill_rates(connection)
    names = ("day1", "day2", "day3")
    for name in names:
        chain.stage(connection, name, read_folder(SHIPPED / f"sync-{name}"))
    verdicts, faults = prove(names, proofs=("deterministic", "order"))
    assert faults == []
    assert {each.outcome for each in verdicts} == {"ok"}


def test_the_shipped_steps_hold_on_generated_days(
    connection: Connection, prove: Callable[..., Any], tmp_path: Path
) -> None:
    """Generated days, whose names are dates, with late updates and odd records."""
    sizes = "--days 2 --iso --agents 12 --groups 6 --roles 3 --budgets 3 --cards 5 --transactions 20"
    make_days.main([*f"{sizes} --late 0.3 --odd 0.1 --seed 1".split(), "--out", str(tmp_path)])
    chain.fill_rates(connection)
    names = tuple(sorted(folder.name.removeprefix("sync-") for folder in tmp_path.iterdir()))
    for name in names:
        chain.stage(connection, name, read_folder(tmp_path / f"sync-{name}"))
    verdicts, faults = prove(names)
    assert faults == []
    assert {each.outcome for each in verdicts} == {"ok"}


def test_more_than_three_days_are_sampled(connection: Connection, prove: Callable[..., Any]) -> None:
    """Of five days, some orders are tried, and a fault is shown by two of them."""
    names = tuple(f"day{number}" for number in range(1, 6))
    for number, name in enumerate(names):
        Warehouse(connection).stage(name, budgets=[{"budget_id": "b", "limit_amount": number}])
    budgets = next(file for file in PIPELINE.steps if file.id == "030_budgets")
    assert prove(names, chosen=(budgets,), proofs=("order",))[1] == []
    text = budgets.text.replace("\n        and staged.version_key >= current.version_key", "")
    text = text.replace("\n    where excluded.version_key >= target.version_key", "")
    faulty = dataclasses.replace(budgets, text=text)
    _, (fault,) = prove(names, steps=(faulty,), proofs=("order",), seed=3, checks=())
    assert fault.kind == "last-applied-wins"
    assert [len(each) for each in fault.orders] == [2, 2]
    assert len(fault.staging) == 2


def test_one_day_has_no_order(connection: Connection, prove: Callable[..., Any]) -> None:
    """What takes two days is not tried with one, and that is said."""
    days.stage(connection)
    verdicts, faults = prove(("day1",), proofs=("order",))
    assert faults == []
    assert {(each.outcome, each.text) for each in verdicts} == {("open", "takes two days in staging")}


def test_declared_columns_are_not_compared(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """A column that holds the time of the run is a fault, unless the step declares it to be technical."""
    days.stage(connection)
    insert = """
        insert into cards (card_id, status, type, created_time, version_key)
        select distinct card_id, 'open', 'virtual', now(), ''
        from stg_cards where day = current_setting('app.day') on conflict do nothing"""
    count = METRICS.format("(select count(*) from inserted)")
    body = f"with inserted as ({insert} returning 1) {count}"
    _, (fault,) = prove(steps=(make_step(body),), checks=())
    assert (fault.kind, fault.table) == ("clock", "cards")
    declared = make_step(f"-- technical: cards.created_time\n{body}")
    assert prove(steps=(declared,), checks=())[1] == []


def test_a_fault_is_found_though_the_days_were_applied(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """Where the tables hold the days already, a run changes nothing and says 0: the fault shows from empty tables."""
    days.stage(connection)
    body = """
        insert into cards (card_id, status, type, created_time, version_key)
        select distinct card_id, 'open', 'virtual', '2024-01-01'::timestamptz, ''
        from stg_cards where day = current_setting('app.day') on conflict do nothing"""
    file = make_step(body, METRICS.format("0"))
    for day in days.DAYS:
        connection.execute("select set_config('app.flow_run_id', 'r', false), set_config('app.day', %s, false)", (day,))
        connection.execute(file.text.encode())
    _, (fault,) = prove(steps=(file,), checks=())
    assert (fault.proof, fault.kind, fault.table) == ("metrics", "table-not-counted", "cards")
    assert fault.from_empty


def test_a_failing_step_is_a_fault_and_others_go_on(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """A step that fails by itself is told with file:line:column and the days before it; others are proven."""
    days.stage(connection)
    before = everything(connection)
    fails = "select 1 / (current_setting('app.day') = 'day1')::int"
    right = "insert into cards (card_id, status, type, created_time, version_key) select 'c', '', '', 'epoch', ''"
    counted = f"with i as ({right} on conflict do nothing returning 1) {METRICS.format('(select count(*) from i)')}"
    steps = (make_step(fails, METRICS.format("0")), make_step(counted, name="020_right.sql"))
    verdicts, (fault,) = prove(steps=steps, checks=())
    assert (fault.step, fault.proof, fault.kind, fault.orders) == ("010_cards", "rerun", "fails", (("day1", "day2"),))
    assert fault.message.startswith("day2: the step fails after day1\n010_cards.sql:1:10: division by zero")
    assert {each.outcome for each in verdicts if each.step == "010_cards"} == {"fault", "open"}
    assert {each.outcome for each in verdicts if each.step == "020_right"} == {"ok"}
    assert everything(connection) == before


def test_a_step_without_a_metrics_row_fails(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """As in an apply, exactly one metrics row belongs to a step."""
    days.stage(connection)
    _, (fault,) = prove(steps=(make_step("select 1"),))
    assert fault.kind == "fails"
    assert "wrote no row of this run and day to pipeline_metrics" in fault.message


def test_an_interrupted_proof_leaves_nothing(connection: Connection, database_url: str) -> None:
    """Wherever it is interrupted, the tables are as they were."""
    days.stage(connection)
    before = everything(connection)
    told = []

    def interrupt(text: str) -> None:
        told.append(text)
        if "orders" in text:
            raise KeyboardInterrupt

    task = Task("zluri", PIPELINE.steps, PIPELINE.steps, days.DAYS, PIPELINE.checks)
    with pytest.raises(KeyboardInterrupt):
        Verifier(task, lambda: database.connect(database_url, "verify"), interrupt).run()
    assert len(told) > 10
    assert everything(connection) == before


def test_readers_go_on_reading(connection: Connection, database_url: str) -> None:
    """While a trial has emptied the tables and applied days, others read what was there before, and need not wait."""
    days.stage(connection)
    warehouse = Warehouse(connection)
    warehouse.apply("day1")
    before = warehouse.content()
    connection.execute("set lock_timeout = '1ms'")
    with Trial(lambda: database.connect(database_url, "verify"), "zluri", PIPELINE.steps, days.DAYS) as trial:
        found = scope.find(trial.connection, PIPELINE.steps)
        emptying.empty(trial.connection, [*found.final.values(), *found.marks.values()])
        ways.go(trial, found, PIPELINE.steps, Way(("day2", "day1"), turned=True))
        assert warehouse.content() == before
    assert warehouse.content() == before


def test_what_steps_need_and_where_a_difference_begins(connection: Connection) -> None:
    """A step needs those whose tables it reads; of tables that differ, the first step's are to blame."""
    found = scope.find(connection, PIPELINE.steps)
    steps = {file.id: file for file in PIPELINE.steps}
    assert [file.id for file in found.needed(steps["020_groups"])] == ["010_agents", "020_groups"]
    assert [file.id for file in found.needed(steps["031_cards"])] == ["031_cards"]
    assert found.roots(["agents", "groups", "cards"]) == [("010_agents", ("agents",)), ("031_cards", ("cards",))]
    assert set(found.marks) == {"transaction_pipeline_state"}
    assert "stg_loads" not in found.staging
    assert "stg_rejects" in found.staging


def test_a_key_on_staging_does_not_hide_the_order_of_its_rows(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """A pick by the place in staging is found though an index delivers the rows in the order of a key."""
    connection.execute(
        "create table stg_picked (day text, row_no int, id int, name text, primary key (day, row_no));"
        "create table picked (id int primary key, name text);"
        "insert into stg_picked select 'day1', n, n % 5, n::text from generate_series(1, 20000) as n;"
        "analyze stg_picked"
    )
    picked = (
        "with i as (insert into picked select distinct on (id) id, name from"
        " (select * from stg_picked where day = current_setting('app.day') and row_no < 40 limit 30) as few"
        " order by id on conflict do nothing returning 1)"
    )
    _, faults = prove(
        ("day1",), (make_step(f"{picked} {METRICS.format('(select count(*) from i)')}"),), proofs=("deterministic",)
    )
    assert [fault.kind for fault in faults] == ["arrival"]


def test_a_table_made_anew(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """A step that drops its table and makes it again is proven as others are."""
    days.stage(connection)
    connection.execute("create table listed (day text, card_id text)")
    made = "create table listed as select day, card_id from stg_cards where day = current_setting('app.day')"
    verdicts, faults = prove(
        steps=(make_step("drop table if exists listed", made, METRICS.format("(select count(*) from listed)")),),
        checks=(),
    )
    assert {(fault.proof, fault.kind, fault.table) for fault in faults} == {
        ("rerun", "rerun-counts", "cards"),
        ("metrics", "table-not-counted", "listed"),
        ("order", "last-applied-wins", "listed"),
    }
    assert {verdict.proof for verdict in verdicts} == set(PROOFS)


@pytest.mark.parametrize("proofs", [tuple(PROOFS), ("order",)], ids=["all", "from empty tables alone"])
def test_a_table_that_is_not_there_yet(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile], proofs: tuple[str, ...]
) -> None:
    """A table that steps make for themselves is emptied and compared from when it is there."""
    days.stage(connection)
    before = everything(connection)
    made = "create table listed as select day, card_id from stg_cards where day = current_setting('app.day')"
    steps = (
        make_step("drop table if exists listed", made, METRICS.format("(select count(*) from listed)")),
        make_step(
            "drop table if exists copied; create table copied as table listed",
            METRICS.format("(select count(*) from copied)").replace("cards_task", "copy_task"),
            name="020_copy.sql",
        ),
    )
    _, faults = prove(steps=steps, checks=(), proofs=proofs)
    (fault,) = (fault for fault in faults if fault.proof == "order")
    assert (fault.step, fault.kind, fault.table, fault.writers, fault.also) == (
        "010_cards", "last-applied-wins", "listed", "", ("copied",),
    )  # fmt: skip
    assert everything(connection) == before


BLOCK = """
do $$ begin
    update picked set name = day from stg_picked where picked.id = stg_picked.id and day = current_setting('app.day');
    insert into picked select id, day from stg_picked where day = current_setting('app.day') on conflict do nothing;
end $$
"""
BUILT = """
do $$ begin
    execute format('insert into %I select id, day from %I
        where day = $1 on conflict do nothing', 'picked', 'stg_' || 'picked')
        using current_setting('app.day');
end $$
"""
BUILT_RIGHT = "do $$ begin execute 'insert into ' || 'picked values (1) on conflict do nothing'; end $$"
EMPTIES = "do $$ begin execute 'truncate ' || 'picked'; insert into picked select 1, current_setting('app.day'); end $$"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (BLOCK, ("fault", "last-applied-wins")),
        ("select fill_picked()", ("fault", "last-applied-wins")),
        (BUILT, ("fault", "first-applied-wins")),
        (EMPTIES, ("fault", "last-applied-wins")),
        (BUILT_RIGHT, ("ok", "2 orders of 2 days, the same rows in 1 table")),
        (
            "insert into picked_view select 1, '' on conflict do nothing",
            ("ok", "2 orders of 2 days, the same rows in 1 table"),
        ),
        ("refresh materialized view copied", ("open", "none of the tables that it writes can be compared: copied")),
        ("select 1", ("open", "none of the tables that it writes can be compared")),
    ],
    ids=["block", "function", "execute", "truncate", "right", "view", "materialized view", "nothing"],
)
def test_what_is_written_out_of_sight(
    connection: Connection,
    prove: Callable[..., Any],
    make_step: Callable[..., SqlFile],
    body: str,
    expected: tuple[str, str],
) -> None:
    """What runs are seen to write is compared, whatever the text says; what cannot be is named."""
    function = BLOCK.replace("do $$", "create function fill_picked() returns void language plpgsql as $$")
    connection.execute(
        "create table stg_picked (day text, id int); create table picked (id int primary key, name text);"
        "create view picked_view as select * from picked; create materialized view copied as select * from picked;"
        f"insert into stg_picked values ('day1', 1), ('day2', 1);{function}"
    )
    verdicts, _ = prove(("day1", "day2"), (make_step(body, METRICS.format("0")),), proofs=("order",), checks=())
    assert [(verdict.outcome, verdict.text) for verdict in verdicts] == [expected]


LOGS = """
create table picked_log (id int, name text);
insert into picked_log values (7, 'of old');
create function log_picked() returns trigger language plpgsql as $$ begin
    execute 'insert into picked_log values ($1, $2)' using new.id, current_setting('app.day');
    return null;
end $$;
"""
AT_ONCE = "create trigger log_picked after insert on picked for each row execute function log_picked()"
AT_COMMIT = AT_ONCE.replace("create", "create constraint", 1).replace("for each", "initially deferred for each")
CASCADE = """
create table picked_log (id int primary key references picked on delete cascade);
insert into picked values (1, ''), (2, ''); insert into picked_log values (1), (2)
"""


@pytest.mark.parametrize("trigger", [AT_ONCE, AT_COMMIT], ids=["at once", "at the commit"])
def test_what_a_trigger_writes_is_compared(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile], trigger: str
) -> None:
    """A table that only a trigger writes is emptied and compared as others are, and that it is one is said."""
    connection.execute(
        "create table stg_picked (day text, id int); create table picked (id int primary key, name text);"
        f"insert into stg_picked values ('day1', 1), ('day2', 1);{LOGS};{trigger}"
    )
    before = everything(connection)
    body = (
        "insert into picked select id, '' from stg_picked where day = current_setting('app.day') on conflict do nothing"
    )
    _, (fault,) = prove(
        ("day1", "day2"), (make_step(body, METRICS.format("0")),), proofs=("order",), checks=(), shrink=5.0
    )
    assert (fault.step, fault.kind, fault.table, fault.minimal) == (
        "010_cards",
        "notes-changes",
        "picked_log",
        True,
    )
    assert fault.writers.startswith("No statement of 010_cards names picked_log: a trigger")
    assert everything(connection) == before


def test_what_a_foreign_key_deletes_is_compared(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """Rows that go with those they belong to are written by the step that deletes, too, and that is said."""
    connection.execute(
        "create table stg_picked (day text, id int); create table picked (id int primary key, name text);"
        "create table picked_log (id int primary key references picked on delete cascade);"
        "insert into stg_picked values ('day1', 1), ('day2', 2)"
    )
    upsert = "insert into {} from generate_series(1, 2) as id on conflict do nothing"
    deletes = "delete from picked where current_setting('app.day') = 'day1' and id = 1"
    steps = (
        make_step(upsert.format("picked select id, ''"), METRICS.format("0"), name="010_a.sql"),
        make_step(upsert.format("picked_log select id"), METRICS.format("0"), name="020_b.sql"),
        make_step(deletes, METRICS.format("0"), name="030_c.sql"),
    )
    verdicts, faults = prove(("day1", "day2"), steps, proofs=("order",), checks=())
    assert {(fault.step, fault.table): fault.writers for fault in faults} == {
        ("010_a", "picked"): "030_c writes picked, too: without any one of them there is no difference",
        ("020_b", "picked_log"): "030_c writes picked_log, too: without any one of them there is no difference",
    }
    assert ("030_c", "open", "other rows of picked, picked_log, which may come from 010_a, 020_b") in {
        (each.step, each.outcome, each.text) for each in verdicts
    }


def test_tables_that_cannot_be_emptied(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """Where a trigger keeps rows, nothing can begin from nothing, and that is said."""
    connection.execute(
        "create table picked (id int primary key, name text); insert into picked values (1, '');"
        "create function keep() returns trigger language plpgsql as $$ begin return null; end $$;"
        "create trigger keep before delete on picked for each row execute function keep()"
    )
    file = make_step("insert into picked values (1, '') on conflict do nothing", METRICS.format("0"))
    with pytest.raises(
        RunnerError, match="cannot be emptied, to begin from nothing: picked still holds rows"
    ) as caught:
        prove(("day1", "day2"), (file,), proofs=("order",), checks=())
    assert "--proof rerun,metrics,checks" in str(caught.value.hint)


def test_a_step_that_empties_staging_is_to_blame(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """One that only reads what a later step empties is neither called faulty nor proven."""
    connection.execute(
        "create table stg_picked (day text, id int); create table picked (id int primary key, name text);"
        "insert into stg_picked values ('day1', 1), ('day2', 2)"
    )
    insert = (
        "insert into picked select id from stg_picked where day = current_setting('app.day') on conflict do nothing"
    )
    reads = make_step(f"with i as ({insert} returning 1) {METRICS.format('(select count(*) from i)')}")
    empties = make_step("truncate stg_picked", METRICS.format("0"), name="020_empties.sql")
    verdicts, faults = prove(("day1", "day2"), (reads, empties), checks=(), proofs=("rerun", "order"))
    assert {(fault.step, fault.kind) for fault in faults} == {("020_empties", "staging-changed")}
    assert [each.outcome for each in verdicts if each.proof == "order"] == ["open", "open"]


UPDATE = "update picked set name = current_setting('app.day')"
INSERT = (
    "insert into picked select id, '' from stg_picked where day = current_setting('app.day') on conflict do nothing"
)
OTHER = "insert into picked select 9, '' on conflict do nothing"
BY_DAY = "insert into picked select 8, current_setting('app.day') on conflict do nothing"


@pytest.mark.parametrize(
    "shrink", [pytest.param(0.0, id="as found", marks=pytest.mark.long), pytest.param(5.0, id="small")]
)
@pytest.mark.parametrize(
    ("first", "second", "blamed", "why"),
    [
        (OTHER, BLOCK, "020_second", "010_first writes picked, too: without this step there is no difference"),
        (OTHER, UPDATE, "020_second", "010_first writes picked, too: this step wrote what differs last"),
        (INSERT, UPDATE, "020_second", "010_first writes picked, too: this step wrote what differs last"),
        (BY_DAY, OTHER, "010_first", "020_second writes picked, too: without 020_second the difference stays"),
        (
            BY_DAY,
            "update picked set name = name || '!' where name not like '%!'",
            "010_first",
            "020_second writes picked, too: without 020_second the difference stays",
        ),
    ],
    ids=[
        "second alone",
        "both, as the second writes",
        "of the first's rows",
        "first alone",
        "the first, passed on",
    ],
)
def test_the_writer_that_makes_the_difference_is_named(
    connection: Connection,
    prove: Callable[..., Any],
    make_step: Callable[..., SqlFile],
    shrink: float,
    first: str,
    second: str,
    blamed: str,
    why: str,
) -> None:
    """Where two steps write the table that differs, the fault stands under the one that it comes from."""
    connection.execute(
        "create table stg_picked (day text, id int); create table picked (id int primary key, name text);"
        "insert into stg_picked values ('day1', 1), ('day2', 1)"
    )
    steps = (
        make_step(first, METRICS.format("0"), name="010_first.sql"),
        make_step(second, METRICS.format("0"), name="020_second.sql"),
    )
    verdicts, (fault,) = prove(("day1", "day2"), steps, checks=(), proofs=("order",), shrink=shrink)
    assert (fault.step, fault.writers) == (blamed, why)
    assert {each.step: each.outcome for each in verdicts} == {
        step: "fault" if step == blamed else "open" for step in ("010_first", "020_second")
    }


def test_tables_of_one_step_have_faults_of_others(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """Of two tables that a step writes, one is its own, and the other differs by a later step: both are told."""
    connection.execute(
        "create table stg_picked (day text, id int); create table picked (id int primary key, name text);"
        f"insert into stg_picked values ('day1', 1), ('day2', 1);{LOGS};{AT_ONCE}"
    )
    steps = (
        make_step(INSERT, METRICS.format("0"), name="010_first.sql"),
        make_step(UPDATE, METRICS.format("0"), name="020_second.sql"),
    )
    _, faults = prove(("day1", "day2"), steps, checks=(), proofs=("order",), shrink=5.0)
    assert [(fault.step, fault.kind, fault.table) for fault in faults] == [
        ("010_first", "notes-changes", "picked_log"),
        ("020_second", "last-applied-wins", "picked"),
    ]


def test_a_declared_log_is_left_out(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """A table in which a trigger notes changes is neither counted nor compared where it is declared as a watermark."""
    connection.execute(
        "create table stg_picked (day text, id int); create table picked (id int primary key, name text);"
        f"insert into stg_picked values ('day1', 1), ('day2', 1);{LOGS};{AT_ONCE}"
    )
    counted = f"with i as ({INSERT} returning 1) {METRICS.format('(select count(*) from i)')}"
    verdicts, faults = prove(("day1", "day2"), (make_step(f"-- watermark: picked_log\n{counted}"),), checks=())
    assert faults == []
    assert {each.outcome for each in verdicts} == {"ok"}
    _, faults = prove(("day1", "day2"), (make_step(counted),), checks=())
    assert {(fault.kind, fault.table) for fault in faults} == {
        ("side-effect-not-counted", "picked_log"),
        ("notes-changes", "picked_log"),
    }
    assert {fault.writers.partition(":")[0] for fault in faults} == {"No statement of 010_cards names picked_log"}


def test_what_is_said_of_staging_rows_is_true(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """A step that empties staging without reading it takes its rows; nothing is said where it looks at all days."""
    connection.execute(
        "create table stg_picked (day text, id int); create table picked (id int primary key, name text);"
        "insert into stg_picked values ('day1', 1), ('day2', 1)"
    )
    own = "delete from stg_picked where day = current_setting('app.day')"
    for body, expected in ((own, (True, 1)), ("truncate stg_picked", (None, 0)), (OTHER, (True, 0))):
        _, (fault,) = prove(
            ("day1",), (make_step(body, METRICS.format("0")),), checks=(), proofs=("metrics", "order"), shrink=5.0
        )
        assert (fault.minimal, len(fault.staging)) == expected, body


def test_the_time_of_a_run_has_a_small_example(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """One row that holds the time is shown, with two values and the staging row that makes it."""
    connection.execute(
        "create table stg_picked (day text, id int); create table picked (id int primary key, name text);"
        "insert into stg_picked select 'day' || n % 2 + 1, n from generate_series(1, 50) as n"
    )
    insert = INSERT.replace("''", "now()::text")
    _, (fault,) = prove(
        ("day1", "day2"), (make_step(insert, METRICS.format("0")),), checks=(), proofs=("deterministic",), shrink=5.0
    )
    assert (fault.kind, fault.minimal, len(fault.staging), fault.evidence.more) == ("clock", True, 1, 0)
    ((key, column, once, again),) = fault.evidence.rows
    assert (key, column) == (fault.staging[0].values["id"], "name")
    assert once != again


def test_staging_of_a_partition_a_day_has_a_small_example(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """Rows of several partitions that lie at the same place are told apart, and odd names are quoted."""
    connection.execute(
        'create table stg_picked (day text, id int, "a ""name""" text) partition by list (day);'
        "create table stg_picked_1 partition of stg_picked for values in ('day1');"
        "create table stg_picked_2 partition of stg_picked for values in ('day2');"
        "create table picked (id int primary key, name text);"
        "insert into stg_picked select 'day' || day, n, n from generate_series(1, 2) day, generate_series(1, 20) as n"
    )
    insert = (
        "insert into picked select id, day from stg_picked where day = current_setting('app.day') and id >= 7"
        " on conflict (id) do update set name = excluded.name where picked.name is distinct from excluded.name"
    )
    _, (fault,) = prove(
        ("day1", "day2"), (make_step(insert, METRICS.format("0")),), checks=(), proofs=("order",), shrink=5.0
    )
    assert (fault.kind, fault.minimal) == ("last-applied-wins", True)
    assert [row.values["day"] for row in fault.staging] == ["day1", "day2"]
    assert len({row.values["id"] for row in fault.staging}) == 1


@pytest.mark.parametrize(
    "columns",
    ["", "unique nulls not distinct (a)", "primary key (b) deferrable initially deferred"],
    ids=["none", "with nulls", "deferred"],
)
def test_updates_of_a_table_without_a_key_are_counted_as_such(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile], columns: str
) -> None:
    """An update that looks like a delete and an insert is believed to be one, and a false count is still found."""
    connection.execute(
        f"create table picked (a int, b int, t text{columns and ', '}{columns});"
        "insert into picked values (2, 1, 'new'), (null, 2, '')"
    )
    update = "update picked set t = 'seen' where b = 1 and t is distinct from 'seen' returning 1"
    body = f"with u as ({update}) {METRICS.replace('inserted', 'updated').format('(select count(*) from u)')}"
    verdicts, faults = prove(("day1",), (make_step(body),), checks=(), proofs=("rerun", "metrics"))
    assert faults == []
    assert [verdict.text for verdict in verdicts if verdict.proof == "metrics"] == [
        "0 inserted, 1 updated, 0 deleted, as counted"
    ]
    _, (fault,) = prove(
        ("day1",), (make_step(body.replace("(select count(*) from u)", "2")),), checks=(), proofs=("metrics",)
    )
    assert fault.kind == "wrong-counts"


def test_a_technical_column_is_one_of_the_tables_that_its_step_writes(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """It stays in staging, whose rows are turned around whole, and another step's column of that name is compared."""
    connection.execute(
        "create table stg_picked (day text, id int, updated_at timestamptz not null, loaded text not null);"
        "create table picked (id int primary key, updated_at timestamptz, loaded timestamptz);"
        'create table "Drawn" ("Id" int primary key, loaded float);'
        "insert into stg_picked values"
        " ('day1', 1, '2026-01-02', 'b'), ('day1', 1, '2026-01-01', 'a'), ('day2', 1, '2026-01-03', 'c')"
    )
    newest = (
        "select distinct on (id) id, updated_at, now() from stg_picked where day = current_setting('app.day')"
        " and loaded is not null order by id, updated_at desc"
    )
    upsert = (
        f"insert into picked as old {newest} on conflict (id) do update"
        " set updated_at = excluded.updated_at, loaded = now() where excluded.updated_at > old.updated_at"
    )
    draw = 'insert into "Drawn" select 1, random() on conflict do nothing'
    right = make_step(f"-- technical: loaded\n{upsert}", METRICS.format("0"), name="010_right.sql")
    for header, expected in (
        ("", {"random"}),
        ('-- technical: "Drawn".loaded\n', set()),
        ("-- technical: picked.loaded\n", {"random"}),
    ):
        draws = make_step(header + draw, METRICS.format("0"), name="020_draws.sql")
        verdicts, faults = prove(
            ("day1", "day2"), (right, draws), proofs=("deterministic", "order"), checks=(), shrink=0.0
        )
        assert {fault.kind for fault in faults} == expected, header
        assert {each.outcome for each in verdicts if each.step == "010_right"} == {"ok"}


def test_names_in_quotes_are_compared(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """A table whose name needs quotes, in its schema or in a block, is compared as others are."""
    connection.execute(
        'create table stg_picked (day text, id int); create schema "Mart";'
        'create table "Mart"."Item. Prices" ("Id" int primary key, "a ""day""" text); create table "Quo Ted" (id int);'
        "insert into stg_picked values ('day1', 1), ('day2', 1)"
    )
    upsert = '''
        insert into "Mart"."Item. Prices" select id, day from stg_picked where day = current_setting('app.day')
        on conflict ("Id") do update set "a ""day""" = excluded."a ""day""";
        do $$ begin if not exists (select from "Quo Ted") then insert into "Quo Ted" values (1); end if; end $$'''
    verdicts, (fault,) = prove(
        ("day1", "day2"), (make_step(upsert, METRICS.format("0")),), proofs=("deterministic", "order"), checks=()
    )
    assert (fault.kind, fault.table) == ("last-applied-wins", '"Mart"."Item. Prices"')
    assert ("deterministic", "ok") in {(each.proof, each.outcome) for each in verdicts}


def test_a_watermark_is_one_of_its_step_alone(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """Another step that writes the table counts its rows, and that they are not compared is said."""
    connection.execute(
        'create table stg_picked (day text, id int); create table "Log" (day text, id int);'
        "insert into stg_picked values ('day1', 1), ('day2', 2)"
    )
    log = (
        "insert into \"Log\" select day, {0} from stg_picked as staged where day = current_setting('app.day')"
        ' and not exists (select from "Log" where "Log".day = staged.day and "Log".id = {0})'
    )
    first = make_step('-- watermark: "Log"\n' + log.format(7), METRICS.format("0"), name="010_first.sql")
    counted = f"with i as ({log.format(8)} returning 1) {METRICS.format('(select count(*) from i)')}"
    verdicts, faults = prove(("day1", "day2"), (first, make_step(counted, name="020_second.sql")), checks=())
    assert faults == []
    told = {each.proof: each.text for each in verdicts if each.step == "020_second"}
    assert told["metrics"] == "3 inserted, 0 updated, 0 deleted, as counted"
    assert told["order"] == 'none of the tables that it writes can be compared: "Log" (a watermark of 010_first)'


def test_what_fails_where_staging_is_turned_is_said(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """A step that fails when the rows of staging lie otherwise is open, with the server's message and its place."""
    connection.execute(
        "create table stg_picked (day text, id int); create table picked (id int primary key, name text);"
        "insert into stg_picked values ('day1', 1), ('day1', 0)"
    )
    body = "insert into picked select 1 / id, '' from (select * from stg_picked limit 1) as one on conflict do nothing"
    verdicts, faults = prove(("day1",), (make_step(body, METRICS.format("0")),), proofs=("deterministic",), checks=())
    assert faults == []
    assert [each.text for each in verdicts] == [
        "with the rows of staging in another order, and other plans,"
        " 010_cards fails on day1: 010_cards.sql:1:29: division by zero (22012)"
    ]


def test_what_blocks_and_functions_name(connection: Connection, make_step: Callable[..., SqlFile]) -> None:
    """Their queries are read by PostgreSQL's own parser: what only looks like a table's name is none."""
    connection.execute(
        "create table picked (id int); create table seen (id int); create table cards_log (id int);"
        "create function in_sql(cards int) returns int language sql begin atomic select id from seen; end;"
        "create function in_text() returns void language sql as 'insert into cards_log select in_sql(1)';"
        "create function unknown() returns void language plpgsql as 'begin execute ''delete from seen''; end'"
    )
    block = """
        do $$
        declare update record; agents int := 0; -- delete from roles
        begin
            create temp table groups on commit drop as select id from picked;
            for update in select id from groups loop agents := agents + 1; end loop;
            truncate only picked;
            perform in_text(), 'delete from budgets';
        end $$"""
    steps = (make_step(block), make_step("select unknown()", name="020_unknown.sql"))
    found = scope.find(connection, steps)
    assert found.reads["010_cards"] == {"picked", "seen"}
    assert found.writes["010_cards"] == {"picked", "cards_log"}
    assert "cards_log" not in found.emptied["010_cards"]
    assert found.unclear == {
        "010_cards": "",
        "020_unknown": "unknown() builds its statements itself (execute)",
    }


def test_a_partition_is_its_table(
    connection: Connection, prove: Callable[..., Any], make_step: Callable[..., SqlFile]
) -> None:
    """A step that names a partition writes the table, which is compared once."""
    connection.execute(
        "create table stg_picked (day text, id int);"
        "create table picked (id int, name text, primary key (id, name)) partition by list (name);"
        "create table picked_a partition of picked for values in ('a');"
        "insert into stg_picked values ('day1', 1), ('day2', 2)"
    )
    insert = (
        "insert into picked_a select id, 'a' from stg_picked where day = current_setting('app.day')"
        " on conflict do nothing returning 1"
    )
    body = f"with i as ({insert}) {METRICS.format('(select count(*) from i)')}"
    verdicts, faults = prove(("day1", "day2"), (make_step(body),), proofs=("metrics", "order"), checks=())
    assert faults == []
    assert verdicts[-1].text == "2 orders of 2 days, the same rows in 1 table"
