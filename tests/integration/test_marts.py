"""Marts: made, made anew beside the old one, refreshed side by side, and readable all the time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import mart, mart_making, mart_refresh, marts
from runner.errors import ConfigError, MartFailed
from runner.mart import Mart
from runner.mart_refresh import Refreshed
from tests.integration.test_checks import GATE, OPEN

ROOT = Path(__file__).parents[2]
SUMS = "select kind, sum(amount) as amount from sales group by kind"
# Waits before the gate, and returns 1.
SLOW = b"""
create function slow() returns int language plpgsql as $$
begin

    perform pg_advisory_xact_lock(7);
    return 1;

end $$
"""
KEY = "create unique index {name}_key on {name} (kind)"

Connection = psycopg.Connection[tuple[Any, ...]]
Start = Callable[[Callable[[], object]], threading.Thread]


class Shop:
    """A database with sales, and marts of them in a folder."""

    def __init__(self, folder: Path, database: str, connection: Connection) -> None:
        self.folder = folder
        self.database = database
        self.connection = connection
        self.marts: list[Mart] = []
        self.said: list[str] = []
        connection.execute("create table sales (kind text not null, amount numeric not null)")
        self.sell("tea", 3)

    def sell(self, kind: str, amount: int) -> None:
        self.connection.execute("insert into sales values (%s, %s)", (kind, amount))

    def mart(self, name: str, query: str = SUMS, more: str = "", header: str = "") -> Mart:
        """Write a mart, or write it anew."""
        numbers = {mart.name: mart.file.number for mart in self.marts}
        number = numbers.get(name, 10 * (len(self.marts) + 1))
        path = self.folder / "marts" / f"{number:03}_{name}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"{header}create materialized view {name} as\n{query};\n{KEY.format(name=name)};\n{more}", "utf-8"
        )
        made = mart.read(path, self.folder)
        self.marts = sorted([*(mart for mart in self.marts if mart.name != name), made], key=lambda m: m.file.number)
        return made

    def migrate(self, connection: Connection | None = None) -> list[str]:
        return mart_making.migrate(connection or self.connection, "shop", self.marts, 1, self.said.append, "run-1")

    def refresh(self, *wanted: Mart, **options: Any) -> list[Refreshed]:
        return mart_refresh.refresh(self.database, "shop", wanted or self.marts, log=self.said.append, **options)

    def rows(self, name: str) -> list[tuple[Any, ...]]:
        query = f"select * from {name} order by 1"
        return self.connection.execute(query.encode(), prepare=False).fetchall()

    def recorded(self) -> list[tuple[Any, ...]]:
        return self.connection.execute(
            "select name, flow_run_id, day from runner_marts where pipeline = 'shop' order by name"
        ).fetchall()

    def waiting(self) -> bool:
        """Tell whether somebody stands before the gate."""
        query = "select from pg_locks where locktype = 'advisory' and objid = 7 and not granted"
        return self.connection.execute(query).fetchone() is not None


@pytest.fixture
def shop(tmp_path: Path, database: str, connection: Connection) -> Shop:
    """A shop that has sold tea."""
    return Shop(tmp_path, database, connection)


@pytest.fixture
def gate(database: str) -> Iterator[Connection]:
    """Holds the lock that stops whoever asks for it, until `OPEN`."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(GATE)
        yield connection


@pytest.fixture
def together() -> Iterator[Start]:
    """Run something in a thread, which has ended when the test does."""
    threads: list[threading.Thread] = []

    def start(work: Callable[[], object]) -> threading.Thread:
        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join()


def until(condition: Callable[[], object]) -> None:
    """Poll until something is so."""
    import time

    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_mart_is_made_once(shop: Shop) -> None:
    """A mart is made with its rows and its indexes; the next time there is nothing to do."""
    shop.mart("sums")
    assert shop.migrate() == ["010_sums"]
    assert shop.rows("sums") == [("tea", 3)]
    assert shop.recorded() == [("sums", "run-1", None)]
    assert shop.migrate() == []
    assert shop.connection.execute("select to_regclass('public.sums_key') is not null").fetchone() == (True,)


def test_a_comment_changes_nothing(shop: Shop) -> None:
    """What counts is the SQL; neither remarks nor white space make a mart anew."""
    shop.mart("sums")
    shop.migrate()
    shop.mart("sums", f"-- all of them\n{SUMS}", header="-- description: sums\n")
    assert shop.migrate() == []


def test_a_changed_mart_is_exchanged(shop: Shop) -> None:
    """Rows and columns are those of the new text, of what is there now; the old one is gone, and its index."""
    shop.mart("sums")
    shop.migrate()
    shop.sell("tea", 4)
    shop.mart("sums", "select kind, count(*) as sold from sales group by kind")
    assert shop.migrate() == ["010_sums"]
    assert shop.rows("sums") == [("tea", 2)]
    left = shop.connection.execute("select nspname::text from pg_namespace where nspname like 'runner%'").fetchall()
    assert left == []


def test_what_goes_along(shop: Shop) -> None:
    """Owner, privileges and comments of the old one are the new one's; what its file says comes on top."""
    role, other = f"reader_{shop.connection.info.backend_pid}", f"owner_{shop.connection.info.backend_pid}"
    shop.mart("sums", more="comment on column sums.amount is 'of all days';")
    shop.migrate()
    run = shop.connection.execute
    run(f"create role {role}".encode())
    run(f"create role {other}".encode())
    try:
        run(f"alter materialized view sums owner to {other}".encode())
        run(f"grant select on sums to {role} with grant option".encode())
        run(f"grant select (kind) on sums to {other}, public".encode())
        run("comment on materialized view sums is 'what was sold'")
        run("comment on column sums.kind is 'of what'")
        run("comment on column sums.amount is 'another remark'")
        run(f"alter default privileges grant insert on tables to {role}".encode())
        facts = (
            "select relowner::regrole::text, array(select acl::text from unnest(relacl) as acl order by 1),"
            " array(select format('%s %s', attname, attacl) from pg_attribute where attrelid = 'sums'::regclass"
            " and attacl is not null), obj_description(oid), col_description(oid, 1), col_description(oid, 2)"
            " from pg_class where oid = 'sums'::regclass"
        )
        before = run(facts.encode()).fetchone() or ()
        shop.mart("sums", f"{SUMS} having true", more="comment on column sums.amount is 'of all days';")
        assert shop.migrate() == ["010_sums"]
        after = run(facts.encode()).fetchone() or ()
        assert after[:5] == before[:5]
        assert (after[0], before[5], after[5]) == (other, "another remark", "of all days")
    finally:
        run(f"drop owned by {role}, {other}".encode())
        run(f"drop role {role}, {other}".encode())


def test_a_mart_of_marts(shop: Shop) -> None:
    """A mart that reads another one, through a view, too, is made anew with it and refreshed after it."""
    shop.mart("sums")
    shop.migrate()
    shop.connection.execute("create table kinds (kind text)")
    shop.mart("largest", "select kind, amount from sums where amount > 5")
    shop.mart("all_of_them", "select kind, amount from largest")
    assert shop.migrate() == ["020_largest", "030_all_of_them"]
    shop.sell("tea", 4)
    assert [one.name for one in shop.refresh()] == ["sums", "largest", "all_of_them"]
    assert shop.rows("all_of_them") == [("tea", 7)]
    shop.mart("sums", "select kind, sum(amount) + 100 as amount from sales group by kind")
    assert shop.migrate() == ["010_sums", "020_largest", "030_all_of_them"]
    assert shop.rows("all_of_them") == [("tea", 107)]


def test_what_depends_on_a_mart_is_named(shop: Shop) -> None:
    """A view of a mart keeps it from being exchanged, and is named; nothing is changed."""
    shop.mart("sums")
    shop.migrate()
    shop.connection.execute("create view report as select * from sums")
    shop.mart("sums", "select kind, 1 as amount from sales group by kind")
    with pytest.raises(MartFailed) as caught:
        shop.migrate()
    assert "view report depends on materialized view public.sums" in caught.value.message
    assert shop.rows("sums") == [("tea", 3)]
    shop.connection.execute("drop view report")
    assert shop.migrate() == ["010_sums"]


def test_an_error_in_a_mart(shop: Shop) -> None:
    """What the server refuses is shown at its place in the file; the marts before it are not made either."""
    shop.mart("sums")
    shop.mart("more", "select kind, amont from sales")
    with pytest.raises(MartFailed) as caught:
        shop.migrate()
    assert '020_more.sql:2:14: column "amont" does not exist (42703)' in caught.value.message
    assert shop.connection.execute("select to_regclass('sums')").fetchone() == (None,)
    assert shop.recorded() == []


def test_a_name_that_is_taken(shop: Shop) -> None:
    """A table or view that no mart made is nobody's to exchange."""
    shop.connection.execute("create table sums (kind text)")
    shop.mart("sums")
    with pytest.raises(ConfigError, match="has a relation of that name that no mart made"):
        shop.migrate()


def test_a_mart_that_was_dropped_is_made_again(shop: Shop) -> None:
    """A schema file may drop a mart that stands in its way: the next migrate makes it again."""
    shop.mart("sums")
    shop.migrate()
    shop.connection.execute("drop materialized view sums")
    assert shop.migrate() == ["010_sums"]
    assert shop.rows("sums") == [("tea", 3)]


def test_a_mart_without_a_file_is_left_and_told(shop: Shop) -> None:
    """Somebody may still read it, so it stays, is refreshed no more, and is named each time until it is dropped."""
    old = shop.mart("sums")
    shop.mart("more")
    shop.migrate()
    shop.marts.remove(old)
    assert shop.migrate() == []
    assert ["drop materialized view sums" in line for line in shop.said] == [True]
    assert shop.rows("sums") == [("tea", 3)]
    assert list(marts.left_behind(shop.marts, marts.states(shop.connection, "shop", shop.marts))) == ["sums"]
    shop.connection.execute("drop materialized view sums")
    shop.migrate()
    assert len(shop.said) == 1


def test_readers_have_the_old_one_until_it_is_exchanged(
    shop: Shop, database: str, gate: Connection, together: Start
) -> None:
    """While a mart is made anew nobody waits who reads the old one; nor for long for one who reads it all the time."""
    shop.mart("sums")
    shop.migrate()
    shop.connection.execute(SLOW)
    shop.mart("sums", "select kind, slow() as amount from sales")
    with psycopg.connect(database) as reader, psycopg.connect(database, autocommit=True) as maker:
        reader.execute("select * from sums")
        made = together(lambda: shop.migrate(maker))
        until(shop.waiting)
        assert shop.rows("sums") == [("tea", 3)]
        gate.execute(OPEN)
        # The exchange gives way to whoever comes, since the reader stays.
        shop.connection.execute("set statement_timeout = '5s'")
        for _ in range(5):
            assert shop.rows("sums") == [("tea", 3)]
        reader.rollback()
        made.join()
    assert shop.rows("sums") == [("tea", 1)]


def test_two_make_a_mart_at_once(shop: Shop, database: str, gate: Connection, together: Start) -> None:
    """One of them does; the other waits, and finds it done."""
    shop.connection.execute(SLOW)
    shop.mart("sums", "select kind, slow() as amount from sales")
    done: list[list[str]] = []
    with psycopg.connect(database, autocommit=True) as one, psycopg.connect(database, autocommit=True) as two:
        together(lambda: done.append(shop.migrate(one)))
        until(shop.waiting)
        second = together(lambda: done.append(shop.migrate(two)))
        gate.execute(OPEN)
        second.join()
        until(lambda: len(done) == 2)
    assert sorted(done) == [[], ["010_sums"]]


def test_a_refresh(shop: Shop) -> None:
    """It brings the rows of now, tells how many there are, and is recorded with its run and day."""
    shop.mart("sums")
    shop.migrate()
    shop.sell("milk", 5)
    (found,) = shop.refresh(flow_run_id="run-2", day="day7")
    assert (found.mart, found.name, found.rows) == ("010_sums", "sums", 2)
    assert shop.rows("sums") == [("milk", 5), ("tea", 3)]
    assert shop.recorded() == [("sums", "run-2", "day7")]
    (seconds,) = shop.connection.execute("select seconds from runner_marts").fetchone() or (0,)
    assert seconds > 0


def test_a_refresh_that_fails(shop: Shop) -> None:
    """The mart has the rows it had, those that read it are left out, all others are refreshed."""
    shop.mart("sums", "select kind, 10 / amount as amount from sales")
    shop.mart("more", "select kind, amount from sums")
    shop.mart("apart")
    shop.migrate()
    shop.sell("air", 0)
    with pytest.raises(MartFailed) as caught:
        shop.refresh(flow_run_id="run-2")
    assert "the mart 010_sums could not be refreshed and has the rows it had" in caught.value.message
    assert "010_sums.sql:2:17: division by zero" in caught.value.message
    assert "not refreshed, because they read these: 020_more" in caught.value.message
    assert caught.value.hint and "runner marts --refresh sums" in caught.value.hint
    assert len(shop.rows("sums")) == 1 and len(shop.rows("apart")) == 2
    assert shop.recorded() == [("apart", "run-2", None), ("more", "run-1", None), ("sums", "run-1", None)]


def test_rows_that_are_not_unique(shop: Shop) -> None:
    """Two rows of one key are an error of the refresh, which names them."""
    shop.mart("sums", "select kind, amount from sales")
    shop.migrate()
    shop.sell("tea", 3)
    with pytest.raises(MartFailed, match="duplicate"):
        shop.refresh()
    assert shop.rows("sums") == [("tea", 3)]


def test_a_refresh_takes_no_longer_than_it_may(shop: Shop, gate: Connection) -> None:
    """Its time limit is the file's, and the server ends it."""
    shop.connection.execute(SLOW)
    shop.mart("sums", "select kind, slow() as amount from sales", header="-- timeout: 200ms\n")
    gate.execute(OPEN)
    shop.migrate()
    gate.execute(GATE)
    with pytest.raises(MartFailed) as caught:
        shop.refresh()
    assert "57014" in caught.value.message
    assert caught.value.hint and "-- timeout:" in caught.value.hint


def test_readers_do_not_wait_for_a_refresh(shop: Shop, gate: Connection, together: Start) -> None:
    """They have the old rows until it is done."""
    shop.connection.execute(SLOW)
    shop.mart("sums", "select kind, sum(amount) * slow() as amount from sales group by kind")
    gate.execute(OPEN)
    shop.migrate()
    gate.execute(GATE)
    shop.sell("tea", 4)
    done = together(shop.refresh)
    until(shop.waiting)
    assert shop.rows("sums") == [("tea", 3)]
    gate.execute(OPEN)
    done.join()
    assert shop.rows("sums") == [("tea", 7)]


def test_two_refresh_a_mart_at_once(shop: Shop, gate: Connection, together: Start) -> None:
    """The second waits for the first, and sees what was committed until its own turn."""
    shop.connection.execute(SLOW)
    shop.mart("sums", "select kind, sum(amount) * slow() as amount from sales group by kind")
    gate.execute(OPEN)
    shop.migrate()
    gate.execute(GATE)
    first = together(lambda: shop.refresh(flow_run_id="run-1"))
    until(shop.waiting)
    shop.sell("tea", 4)
    second = together(lambda: shop.refresh(flow_run_id="run-2"))
    gate.execute(OPEN)
    first.join()
    second.join()
    assert shop.rows("sums") == [("tea", 7)]
    assert shop.recorded() == [("sums", "run-2", None)]


def test_a_mart_that_was_emptied(shop: Shop) -> None:
    """Nobody can read it, so it is filled as it is."""
    shop.mart("sums")
    shop.migrate()
    shop.connection.execute("refresh materialized view sums with no data")
    assert [one.rows for one in shop.refresh()] == [1]


def test_a_mart_that_is_not_made(shop: Shop) -> None:
    """It cannot be refreshed, and what makes it is said."""
    shop.mart("sums")
    with pytest.raises(MartFailed) as caught:
        shop.refresh()
    assert caught.value.hint and "runner migrate" in caught.value.hint


def test_a_lost_connection_is_opened_again(shop: Shop) -> None:
    """A refresh whose session is ended is tried again."""
    shop.mart(
        "sums",
        "select kind, sum(amount * case when (select is_called from deaths) then 1 else die() end) as amount"
        " from sales group by kind",
    )
    shop.connection.execute("create sequence deaths")
    shop.connection.execute(
        "create function die() returns int language plpgsql as $$ begin perform nextval('public.deaths');"
        " perform pg_terminate_backend(pg_backend_pid()); return 1; end $$"
    )
    shop.connection.execute("select nextval('deaths')")
    shop.migrate()
    shop.connection.execute("select setval('deaths', 1, false)")
    assert [one.rows for one in shop.refresh(attempts=3)] == [1]
    assert ["attempt 1 of 3 failed" in line for line in shop.said] == [True]
