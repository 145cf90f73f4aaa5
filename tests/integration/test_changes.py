"""What a transaction changed, held against full copies of the tables before and after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner import changes
from runner.errors import StepFailed
from tests.copies import copies, difference, seen

Connection = psycopg.Connection[tuple[Any, ...]]

SCHEMA = """
create table keyed (
    id integer primary key,
    label text,
    amount numeric,
    document json,
    tags text[],
    bulk text,
    twice integer generated always as (amount * 2) stored
);
create table composite (left_id integer not null, right_id text not null, value double precision);
create unique index on composite (right_id, left_id);
create table keyless (id integer, label text, document json);
create table parted (label text, id integer primary key) partition by range (id);
create table parted_low partition of parted for values from (0) to (4);
create table parted_high (id integer not null, dropped boolean, label text);
alter table parted_high drop column dropped;
alter table parted attach partition parted_high for values from (4) to (1000);
create table logged (note text);
create function log_it() returns trigger language plpgsql as $$
begin
    insert into logged values (tg_op || ' ' || old.left_id);
    return null;
end $$;
create trigger log_it after delete on composite for each row execute function log_it();
alter table keyed alter bulk set storage external;
insert into keyed (id, label, amount, document, bulk)
select id, 'label', 1.0, '{"a": 1}', repeat(md5(id::text), 200) from generate_series(0, 5) as id;
insert into composite select id, 'right', id / 2.0 from generate_series(0, 5) as id;
insert into keyless select id / 2, 'label', '[]' from generate_series(0, 7) as id;
insert into parted (id, label) select id, 'label' from generate_series(0, 7) as id;
"""
KEYS = {"keyed": ("id",), "composite": ("right_id", "left_id"), "keyless": (), "parted": ("id",), "logged": ()}

# `{k}` is a key that may or may not be there, `{v}` one of few values, so that some writes change nothing.
OPERATIONS = (
    "insert into keyed (id, label) values ({k}, 'v{v}') on conflict do nothing",
    "insert into keyed (id, label, amount) values ({k}, 'v{v}', {v}) on conflict (id) do update"
    " set label = excluded.label where keyed.label is distinct from excluded.label",
    "insert into keyed (id, label) values ({k}, 'v{v}') on conflict (id) do update set label = excluded.label",
    "update keyed set amount = amount::numeric(9, {v}), tags = array['a', null] where id >= {k}",
    "update keyed set amount = nullif({v}, 0), document = '{{\"a\": {v}}}' where id = {k}",
    "update keyed set bulk = repeat(md5('{v}'), 300) where id = {k}",
    "update keyed set label = label where id > {k}",
    "update keyed set id = id + 100 where id = {k} and not exists (select from keyed where id = {k} + 100)",
    "delete from keyed where id = {k}",
    "with gone as (delete from keyed where id = {k} returning label)"
    " select count(*) from gone; insert into keyed (id, label) values ({k}, 'v{v}') on conflict do nothing",
    "select from keyed where id > {v} for update",
    "select from keyed for key share",
    "insert into composite values ({k}, 'v{v}', {v}) on conflict do nothing",
    "update composite set value = {v} where left_id = {k}",
    "update composite set value = value where left_id = {k}",
    "delete from composite where left_id = {k}",
    "select from composite for no key update",
    "insert into keyless values ({k}, 'v{v}', '[]')",
    "update keyless set label = 'v{v}' where id = {k}",
    "update keyless set label = label where id = {k}",
    "delete from keyless where id = {k}",
    "insert into parted (id, label) values ({k}, 'v{v}') on conflict do nothing",
    "update parted set label = 'v{v}' where id = {k}",
    "update parted set id = id + 4 where id = {v} and not exists (select from parted where id = {v} + 4)",
    "delete from parted where id >= {k}",
)
ENDS = (
    "{}",
    "savepoint inside; {}; release savepoint inside",
    "savepoint inside; {}; rollback to savepoint inside",
    "do $do$ begin begin {}; exception when others then null; end; end $do$",
    "do $do$ begin begin {}; raise exception 'back'; exception when others then null; end; end $do$",
)


def _operation() -> st.SearchStrategy[str]:
    return st.builds(
        lambda text, k, v: text.format(k=k, v=v), st.sampled_from(OPERATIONS), st.integers(0, 7), st.integers(0, 2)
    )


def _block() -> st.SearchStrategy[str]:
    def block(operations: list[str], end: str) -> str:
        text = "; ".join(operations)
        if end.startswith("do"):
            text = text.replace("select from", "perform from").replace("select count(*) from gone", "select 1 into k")
            text = "; ".join(f"execute $sql${part}$sql$" for part in "; ".join(operations).split("; ") if part.strip())
        return end.format(text)

    return st.builds(block, st.lists(_operation(), min_size=1, max_size=4), st.sampled_from(ENDS))


@pytest.fixture
def tables(empty_database: str) -> Iterator[Connection]:
    """A connection to a database with tables of every kind, each with a few rows."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
        yield connection


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_it_finds_what_full_copies_show(tables: Connection, empty_database: str, isolation: str) -> None:
    """Whatever is written, locked, taken back or done twice: the changes are those of two full copies."""

    @given(
        earlier=st.lists(_block(), max_size=2),
        inside=st.booleans(),
        work=st.lists(_block(), min_size=1, max_size=5),
        held=st.booleans(),
    )
    # The second write ends a row with the same list of transactions as the first.
    @example(earlier=[OPERATIONS[1].format(k=0, v=0)], inside=False, work=[OPERATIONS[1].format(k=0, v=1)], held=True)
    def check(earlier: list[str], inside: bool, work: list[str], held: bool) -> None:
        with psycopg.connect(empty_database) as other:
            if held and not any(
                word in text for text in [*earlier, *work] for word in ("delete", "set id", "for update")
            ):
                # With another's lock on a row, who writes to it is kept as a list of transactions. What
                # such a lock keeps waiting is left out.
                other.execute("select from keyed for key share; select from composite for key share")
            tables.execute(f"begin isolation level {isolation}".encode())
            try:
                for text in earlier:
                    tables.execute(text.encode())
                if inside:
                    tables.execute("savepoint outside")
                before = copies(tables, KEYS)
                with changes.watch(tables) as watched:
                    for text in work:
                        tables.execute(text.encode())
                    found = watched.changes()
                    assert seen(found, KEYS) == difference(before, copies(tables, KEYS), KEYS)
            finally:
                tables.execute("rollback")

    tables.execute("set lock_timeout = '5s'")
    check()


def test_two_looks_in_one_transaction(tables: Connection) -> None:
    """A second look sees only what was done since the first, also to rows that the first has seen come."""
    tables.execute("begin isolation level repeatable read")
    with changes.watch(tables) as watched:
        tables.execute("insert into keyed (id, label) values (10, 'new'), (11, 'new')")
        assert [(one.table.name, one.inserted) for one in watched.changes()] == [("keyed", 2)]
    with changes.watch(tables) as watched:
        tables.execute("update keyed set label = 'newer' where id = 10; delete from keyed where id = 11")
        (one,) = watched.changes()
        assert [(row.kind, row.key, row.columns) for row in one.rows()] == [
            ("update", {"id": "10"}, ("label",)),
            ("delete", {"id": "11"}, ()),
        ]
    with changes.watch(tables) as watched:
        tables.execute("select from keyed for update")
        assert watched.changes() == []


@pytest.mark.parametrize(
    "work",
    [
        "truncate keyed, keyless",
        "truncate keyed; insert into keyed (id, label, amount) values (0, 'label', 1.0), (1, 'x', 2), (9, 'new', 1)",
        "alter table keyed disable trigger user; update keyed set label = 'x' where id = 1",
        "truncate parted; insert into parted (id, label) values (1, 'label'), (5, 'other')",
    ],
)
def test_tables_that_are_emptied_or_altered_are_copied_first(tables: Connection, work: str) -> None:
    """What an open cursor forbids is seen by a copy."""
    keys = {name: key for name, key in KEYS.items() if name != "logged"}
    tables.execute("begin")
    before = copies(tables, KEYS)
    with changes.watch(tables, ["keyed", "keyless", "parted"]) as watched:
        tables.execute(work.encode())
        found = seen(watched.changes(), keys)
        expected = difference(before, copies(tables, KEYS), keys)
    assert found == {name: [row for row in rows if row[0] != "rewrite"] for name, rows in expected.items()}


def test_a_table_that_is_made_is_new_as_a_whole(tables: Connection) -> None:
    """All rows of a table that did not exist before are inserted."""
    tables.execute("begin")
    with changes.watch(tables) as watched:
        tables.execute(
            "create table made as select generate_series(1, 3) as id; create temporary table mine as select 1"
        )
        assert [(one.table.name, one.inserted) for one in watched.changes()] == [("made", 3)]


def test_a_table_that_is_dropped_has_lost_its_rows(tables: Connection) -> None:
    """The rows of a table that is gone are deleted."""
    tables.execute("begin")
    with changes.watch(tables, ["keyless"]) as watched:
        tables.execute("drop table keyless")
        (one,) = watched.changes()
        assert (one.table.name, one.deleted, len(list(one.rows()))) == ("keyless", 8, 8)


def test_a_column_that_is_dropped_does_not_matter(tables: Connection) -> None:
    """Rows are compared by the columns that are left."""
    tables.execute("begin")
    with changes.watch(tables, ["keyed"]) as watched:
        tables.execute("alter table keyed drop column document; update keyed set label = 'x' where id = 1")
        (one,) = watched.changes()
        assert [(row.key, row.columns) for row in one.rows()] == [({"id": "1"}, ("label",))]


@pytest.mark.parametrize(
    ("added", "old", "new"),
    [
        pytest.param("integer", None, "7", id="null"),
        pytest.param("integer not null default 5", "5", "7", id="default"),
        pytest.param("text[] default '{a,\"b c\"}'", '{a,"b c"}', "{7}", id="array"),
        pytest.param("integer generated always as (7) stored", None, None, id="generated"),
    ],
)
def test_a_column_that_is_added_is_compared(tables: Connection, added: str, old: str | None, new: str | None) -> None:
    """Rows had in it what its default gives rows that nobody wrote; those that the server fills are left out."""
    tables.execute("begin")
    with changes.watch(tables, ["keyed"]) as watched:
        tables.execute(f'alter table keyed add column "Added" {added}'.encode())
        if new is not None:
            tables.execute(f"""update keyed set "Added" = '{new}' where id = 1""".encode())
        found = [row for one in watched.changes() for row in one.rows()]
        assert [(row.key["id"], row.columns, (row.old or {})["Added"], (row.new or {})["Added"]) for row in found] == (
            [] if new is None else [("1", ("Added",), old, new)]
        )


def test_what_others_change_meanwhile_is_not_ours(tables: Connection, empty_database: str) -> None:
    """Rows that another session commits are left out, whether they are new, changed or gone."""
    tables.execute("begin")
    with changes.watch(tables) as watched, psycopg.connect(empty_database, autocommit=True) as other:
        tables.execute("update keyed set label = 'ours' where id = 1")
        other.execute("update keyed set label = 'theirs' where id = 2")
        other.execute("delete from keyed where id = 3")
        other.execute("insert into keyed (id) values (30)")
        (one,) = watched.changes()
        assert [(row.kind, row.key) for row in one.rows()] == [("update", {"id": "1"})]


def test_rows_that_others_hold_are_seen_all_the_same(tables: Connection, empty_database: str) -> None:
    """Where others have locked a row, and so those who end it are a list, it is known whether this one did."""
    with psycopg.connect(empty_database) as other, psycopg.connect(empty_database, autocommit=True) as third:
        other.execute("select from keyed for key share")
        tables.execute("begin")
        with changes.watch(tables) as watched:
            tables.execute(
                "update keyed set label = 'ours' where id = 1; select from keyed where id = 3 for no key update"
            )
            third.execute("update keyed set label = 'theirs' where id = 2")
            (one,) = watched.changes()
            assert [(row.kind, row.key) for row in one.rows()] == [("update", {"id": "1"})]


def test_documents_tell_null_from_the_null_of_json(tables: Connection) -> None:
    """A document that says null and one that is not there differ, though JSON writes both alike."""
    tables.execute("update keyed set document = 'null' where id = 1")
    tables.execute("begin")
    with changes.watch(tables) as watched:
        tables.execute("update keyed set document = null where id = 1")
        (document,) = next(one for one in watched.changes() if one.table.name == "keyed").documents()
        assert document["old"] == document["new"] == {"document": None}


def test_documents_keep_types(tables: Connection) -> None:
    """In JSON numbers are numbers, documents are documents, and an update names only what differs."""
    tables.execute("begin")
    with changes.watch(tables) as watched:
        tables.execute("update keyed set amount = 1.00, document = '{\"a\": 2}', tags = '{x,null}' where id = 1")
        tables.execute("delete from composite where left_id = 1")
        composite, keyed, logged = watched.changes()
        assert [(one.table.name, one.changed) for one in (composite, keyed, logged)] == [
            ("composite", True),
            ("keyed", True),
            ("logged", True),
        ]
        assert list(composite.documents()) == [
            {
                "change": "delete",
                "key": {"right_id": "right", "left_id": 1},
                "old": {"left_id": 1, "right_id": "right", "value": pytest.approx(0.5)},
                "new": None,
            }
        ]
        (document,) = keyed.documents()
        assert document["key"] == {"id": 1}
        assert document["old"]["document"] == {"a": 1} and document["new"]["document"] == {"a": 2}
        assert document["new"]["tags"] == ["x", None]
        assert str(document["new"]["amount"]) == "1.00"
        assert "label" not in document["new"]


def test_nothing_stays_in_the_session(tables: Connection) -> None:
    """Cursors, temporary tables and settings are as before."""
    tables.execute("begin")
    with changes.watch(tables) as watched:
        tables.execute("update keyed set label = 'x'")
        watched.changes()
    left = tables.execute(
        "select (select count(*) from pg_cursors), (select count(*) from pg_class where relpersistence = 't'),"
        " current_setting('jit'), current_setting('statement_timeout'), current_setting('work_mem')"
    ).fetchall()
    (fresh,) = (
        tables.execute("rollback")
        and tables.execute(
            "select 0, 0, current_setting('jit'), current_setting('statement_timeout'), current_setting('work_mem')"
        ).fetchall()
    )
    assert left == [fresh]


def test_a_failure_inside_is_the_failure(tables: Connection) -> None:
    """An error in the watched work comes through as it is."""
    tables.execute("begin")
    with pytest.raises(psycopg.errors.DivisionByZero), changes.watch(tables):
        tables.execute("select 1 / 0")
    tables.execute("rollback")


def test_cursors_that_are_closed_are_missed(tables: Connection) -> None:
    """Work that closes all cursors cannot be watched, and is told so."""
    tables.execute("begin")
    with changes.watch(tables) as watched:
        tables.execute("update keyed set label = 'x'; close all")
        with pytest.raises(StepFailed, match="closes all cursors"):
            watched.changes()
    tables.execute("rollback")


def test_tables_that_may_not_be_read_are_left_out(tables: Connection) -> None:
    """A role sees the changes of what it may read."""
    tables.execute("begin; create role reader_of_keyed; grant select, update on keyed to reader_of_keyed")
    tables.execute("set local role reader_of_keyed")
    with changes.watch(tables) as watched:
        tables.execute("update keyed set label = 'x' where id = 1")
        assert [(one.table.name, one.updated) for one in watched.changes()] == [("keyed", 1)]
    tables.execute("rollback")


def test_a_large_table_is_read_in_parts(tables: Connection) -> None:
    """Rows of many blocks come back whole and once."""
    tables.execute("create table large (id integer primary key, label text); alter table large set (fillfactor = 10)")
    tables.execute("insert into large select id, 'x' from generate_series(1, 15000) as id")
    tables.execute("begin")
    with changes.watch(tables) as watched:
        tables.execute("update large set label = 'y' where id % 3 = 0; delete from large where id % 3000 = 1")
        (one,) = watched.changes()
        assert (one.inserted, one.updated, one.deleted, one.rewritten) == (0, 5000, 5, 0)
        assert [row.key["id"] for row in one.rows(2, "update")] == ["3", "6"]
        assert sum(1 for _ in one.documents()) == 5005


def test_names_of_every_kind(tables: Connection) -> None:
    """Schemas, tables and columns may be called anything that SQL can quote."""
    tables.execute('create schema "My %s"; create table "My %s"."a ""b" ("the ""key" integer primary key, "%%x" text)')
    tables.execute("""insert into "My %s"."a ""b" values (1, 'x')""")
    tables.execute("begin")
    with changes.watch(tables) as watched:
        tables.execute('update "My %s"."a ""b" set "%%x" = null')
        (one,) = watched.changes()
        assert one.table.name == '"My %s"."a ""b"'
        assert [(row.key, row.columns, row.new) for row in one.rows()] == [
            ({'the "key': "1"}, ("%%x",), {'the "key': "1", "%%x": None})
        ]
        assert [document["new"] for document in one.documents()] == [{"%%x": None}]
