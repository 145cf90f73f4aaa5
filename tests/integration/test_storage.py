"""Where and how the partitions of days are kept: as their table says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from runner.errors import LoadFailed
from tests.integration import test_publish_kinds, test_server_faults
from tests.integration.test_publish_kinds import BY_DAY, COLUMNS, identity, orders

Connection = psycopg.Connection[tuple[Any, ...]]
load, loader = test_publish_kinds.load, test_publish_kinds.loader
tablespace = test_server_faults.tablespace

pytestmark = pytest.mark.usefixtures("_no_rates")


@pytest.fixture
def _no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)


def kept(connection: Connection, name: str) -> list[tuple[Any, ...]]:
    """Return how the catalog says that a table, its columns and its indexes are kept."""
    return [
        *connection.execute(
            "select relam, reltablespace, relreplident, relpersistence, relowner, relacl from pg_class "
            "where oid = %s::regclass",
            (name,),
        ),
        *connection.execute(
            "select attname, attstorage, attcompression, attacl, attnotnull, atthasdef, attgenerated, "
            "coalesce(attstattarget, -1) from pg_attribute where attrelid = %s::regclass and attnum > 0 order by 1",
            (name,),
        ),
        *connection.execute(
            "select pg_get_indexdef(indexrelid, 1, true), indisunique, reltablespace from pg_index "
            "inner join pg_class on pg_class.oid = indexrelid where indrelid = %s::regclass order by 1, 2",
            (name,),
        ),
    ]


KEPT = """
alter table stg_orders add column note text, add column doubled numeric generated always as (amount * 2) stored;
alter table stg_orders alter column note set storage external, alter column note set compression pglz;
create index on stg_orders (order_id) tablespace {0};
create unique index on stg_orders (day, source_file, position);
grant select on stg_orders to pg_monitor;
"""


def test_a_partition_is_kept_as_one_of_the_servers_own_would_be(
    connection: Connection, load: Callable[..., None], tablespace: tuple[str, int]
) -> None:
    """Tablespace, storage, compression, indexes, owner and privileges are those of `create table … partition of`."""
    connection.execute(BY_DAY.replace(";", f" tablespace {tablespace[0]};").encode())
    connection.execute(KEPT.format(tablespace[0]).encode())
    connection.execute("create table theirs partition of stg_orders for values in ('d2')")
    load()
    load()
    assert kept(connection, 'staging_days."stg_orders@d1"') == kept(connection, "theirs")
    connection.execute("drop table stg_orders")


def test_what_a_server_does_not_hand_on(connection: Connection, load: Callable[..., None]) -> None:
    """A reload keeps replica identity and statistics targets, which altering a table gives to what is there alone."""
    connection.execute(BY_DAY)
    load()
    connection.execute(
        "alter table stg_orders alter column amount set statistics 500;alter table stg_orders replica identity full"
    )
    before = identity(connection)
    load()
    assert identity(connection) != before
    of = "select relreplident, attstattarget from pg_class inner join pg_attribute on attrelid = pg_class.oid where "
    of += "pg_class.oid = staging_partition('stg_orders', 'd1') and attname = 'amount'"
    assert connection.execute(of.encode()).fetchone() == ("f", 500)
    before = identity(connection)
    load()
    assert identity(connection) != before


def test_a_published_table_says_what_names_a_row(connection: Connection, load: Callable[..., None]) -> None:
    """Its days' partitions have its replica identity, so that their rows can go, and subscribers hear of it."""
    connection.execute(
        f"{BY_DAY} create publication p for table stg_orders; alter table stg_orders replica identity full"
    )
    load()
    load()
    assert orders(connection) == [("d1", 4, 20)]


def test_a_tablespace_needs_a_right(
    connection: Connection, load: Callable[..., None], loader: str, tablespace: tuple[str, int]
) -> None:
    """Which is told with the others, before anything is read."""
    name = tablespace[0]
    connection.execute(
        f"create table stg_orders ({COLUMNS}) partition by list (day) tablespace {name};"
        "alter table stg_orders owner to loader_role; grant usage on schema public to loader_role".encode()
    )
    with pytest.raises(LoadFailed, match="lacks rights") as failed:
        load(dsn=loader)
    statements = str(failed.value.hint).split("run: ")[1]
    assert f"grant create on tablespace {name} to loader_role" in statements
    connection.execute(statements.encode())
    load(dsn=loader)
    assert orders(connection) == [("d1", 4, 20)]
    connection.execute("drop table stg_orders cascade")
