"""What the server says against a load: what passes is tried again, what is full is named, and nothing goes twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from runner import cli, config, database, loading
from runner.config import Settings
from runner.errors import LoadFailed
from staging_loaders.blockers import Watch
from staging_loaders.day_load import DayLoad
from staging_loaders.server_faults import ServerFaults
from tests.integration.test_publish_kinds import BY_DAY, DECLARED, PLAIN, orders

pytestmark = pytest.mark.usefixtures("_no_rates")

Connection = psycopg.Connection[tuple[Any, ...]]
FIRST = """
create sequence times;
create function fails() returns trigger language plpgsql as
$$begin if nextval('times') <= {times} then {statement}; end if; return null; end$$;
create trigger fails after insert on stg_orders execute function fails();
"""
RAISE = "raise exception 'no luck' using errcode = '{}'"


@pytest.fixture
def _no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)
    monkeypatch.setattr(database, "backoff", lambda attempts: [0.0] * (attempts - 1))


@pytest.fixture
def shop(tmp_path: Path, database: str) -> Settings:
    """The settings of a project that reads orders, with a day d1 of four of them.

    They name the server: where they do not, who tries again starts the embedded one.
    """
    declarations = tmp_path / "staging_loaders" / "shop"
    declarations.mkdir(parents=True)
    text = DECLARED.format("stg_orders") + 'amount = { type = "number" }\n'
    (declarations / "orders.toml").write_text(text)
    (tmp_path / "migrations" / "shop").mkdir(parents=True)
    (tmp_path / "runner.toml").write_text("[load]\nengine = 'local'\n[database]\nattempts = 3\n")
    folder = tmp_path / "data" / "sync-d1" / "orders"
    folder.mkdir(parents=True)
    folder.joinpath("a.json").write_text(json.dumps([{"order_id": number, "amount": 10} for number in range(1, 5)]))
    return config.load({"project": str(tmp_path), "pipeline": "shop"}, environ={"DATABASE_URL": database})


@pytest.fixture
def load(database: str, shop: Settings) -> Callable[[], str]:
    """Load d1 as the command does; return what became of the orders."""

    def run() -> str:
        loads, _ = loading.load(shop, database, "d1", "run", mode="auto", max_rejects=None, progress=None)
        return loads[0].status

    return run


def test_a_table_that_is_altered_meanwhile(
    connection: Connection, load: Callable[[], str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What landed before does not fit it any more, and is landed again."""
    connection.execute(BY_DAY.encode())
    changes = iter(("alter table stg_orders add more bigint", "alter table stg_orders drop more"))
    publish = DayLoad.publish

    def altered(self: DayLoad, *arguments: Any) -> Any:
        if change := next(changes, None):
            connection.execute(change.encode())
        return publish(self, *arguments)

    monkeypatch.setattr(DayLoad, "publish", altered)
    assert load() == "loaded"
    told = capsys.readouterr().err
    assert told.count("d1 was not loaded: a staging table was altered meanwhile (") == 2
    assert orders(connection) == [("d1", 4, 10)]


PASSING = {
    "deadlock": RAISE.format("40P01"),
    "lock time-out": RAISE.format("55P03"),
    "lost connection": "perform pg_terminate_backend(pg_backend_pid())",
}


@pytest.mark.parametrize("statement", PASSING.values(), ids=PASSING.keys())
def test_a_passing_fault_of_publishing_is_tried_again(
    connection: Connection, load: Callable[[], str], capsys: pytest.CaptureFixture[str], statement: str
) -> None:
    """Each attempt is told, and the day is there once."""
    connection.execute((PLAIN + FIRST.format(times=2, statement=statement)).encode())
    assert load() == "loaded"
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(" failed ")[0] for line in told] == [
        "d1: attempt 1 of 3 to load", "d1: attempt 2 of 3 to load"
    ]  # fmt: skip
    assert orders(connection) == [("d1", 4, 10)]


def test_attempts_end(connection: Connection, load: Callable[[], str]) -> None:
    """As many as database.attempts says; then nothing is changed."""
    connection.execute((PLAIN + FIRST.format(times=3, statement=PASSING["deadlock"])).encode())
    with pytest.raises(LoadFailed, match="no luck"):
        load()
    assert connection.execute("select last_value from times").fetchone() == (3,)
    assert orders(connection) == []


@pytest.fixture
def tablespace(connection: Connection) -> Iterator[tuple[str, int]]:
    """A tablespace of the server's, and its number."""
    connection.execute("set allow_in_place_tablespaces = on")
    name = f"fast_{connection.info.backend_pid}"
    connection.execute(f"create tablespace {name} location ''".encode())
    row = connection.execute("select oid::bigint from pg_tablespace where spcname = %s", (name,)).fetchone()
    assert row
    yield name, row[0]
    connection.execute(f"drop tablespace {name}".encode())


FULL = """
create function fits(amount numeric) returns boolean language plpgsql as $$begin
raise exception 'could not extend file "{}/5/16394": No space left on device' using errcode = '53100'; end$$;
alter table stg_orders add constraint fits check (fits(amount));
"""


def test_a_full_disk_is_named(
    connection: Connection, load: Callable[[], str], tablespace: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its tablespace, where a worker meets it; nobody tries again."""
    name, number = tablespace
    connection.execute((BY_DAY + FULL.format(f"pg_tblspc/{number}/PG_18_202506291")).encode())
    # Its own name for the module: other threads sleep, too.
    monkeypatch.setattr(loading, "time", SimpleNamespace(sleep=lambda _: pytest.fail("tried again")))
    with pytest.raises(
        LoadFailed, match=f"d1 was not loaded: the disk of the tablespace {name} of the server"
    ) as found:
        load()
    assert not found.value.transient
    assert str(found.value.hint).startswith("Nothing was changed. Free space there, move it")


def test_a_full_disk_of_the_data(connection: Connection, load: Callable[[], str]) -> None:
    """By the server's folder, where publishing meets it and the role may know that."""
    row = connection.execute("show data_directory").fetchone()
    connection.execute((PLAIN + FULL.format("base")).encode())
    with pytest.raises(LoadFailed) as found:
        load()
    assert row
    assert f"the disk of the server's data directory ({row[0]}) is full: could not extend" in found.value.message


def test_a_record_that_is_too_large(connection: Connection, load: Callable[[], str]) -> None:
    """What the server does not hold is not tried again, and the hint says what to take away."""
    refused = FULL.replace("53100", "54000").replace("No space left on device", "index row size exceeds maximum")
    connection.execute((BY_DAY + refused.format("base")).encode())
    with pytest.raises(LoadFailed, match="index row") as found:
        load()
    assert not found.value.transient
    assert "or the index off the table" in str(found.value.hint)


def test_a_detached_partition_is_named(connection: Connection, load: Callable[[], str]) -> None:
    """It is not touched, and the load says where it is."""
    connection.execute(BY_DAY.encode())
    load()
    connection.execute('alter table stg_orders detach partition staging_days."stg_orders@d1"')
    with pytest.raises(LoadFailed, match=r"stg_orders@d1.*is no partition") as found:
        load()
    assert "attach it again" in str(found.value.hint)
    assert connection.execute('select count(*) from staging_days."stg_orders@d1"').fetchone() == (4,)


def test_row_security_is_named(database: str) -> None:
    """A policy that keeps rows out is no right that a role lacks."""
    faults = ServerFaults("d1", database, Path(), Path(), Watch(database, lambda _: None))
    said = psycopg.errors.InsufficientPrivilege('new row violates row-level security policy for table "stg_orders"')
    with pytest.raises(LoadFailed, match="row-level security") as found, faults.translated():
        raise said
    assert "policy" in str(found.value.hint)


def test_what_failed_is_told_as_json(
    shop: Settings,
    database: str,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One document, with the error in it, on standard output; the error on standard error as ever."""
    connection.execute(BY_DAY.encode())
    shop.project.joinpath("data", "sync-d1", "orders", "b.json").write_text("[")
    monkeypatch.setenv("DATABASE_URL", database)
    command = [
        "load",
        "--day",
        "d1",
        "--project",
        str(shop.project),
        "--pipeline",
        "shop",
        "--engine",
        "local",
        "--json",
    ]
    assert cli.main(command) == 1
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["day"], document["loads"]) == ("d1", [])
    assert "b.json:1:2: the file ends" in document["error"]["message"] and document["error"]["message"] in err
