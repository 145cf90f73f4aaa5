"""Any order and any repetition of days, and days applied again with other files, end in the tables of the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_loaders.session import Engine, Inline, Session
from tests.examples import costly
from tests.model import chain, strategies
from tests.model.compare import assert_holds, assert_same, read_counts, read_tables
from tests.model.files import read_folder
from tests.model.warehouse import Warehouse

DAYS = Path(__file__).parents[1] / "days"
# One database serves all examples of a test: each starts by emptying it.
shared_database = costly(5)


@pytest.fixture
def warehouse_database(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a migrated database with the exchange rates that random days need."""
    with psycopg.connect(database, autocommit=True) as connection:
        chain.fill_rates(connection)
        yield connection


def applied(connection: psycopg.Connection[Any], history: list[strategies.Application]) -> Warehouse:
    """Apply days to an emptied database and to a new model; check what each load says of its records."""
    chain.empty(connection)
    model = Warehouse()
    for day, files in history:
        application = model.apply(day, files)
        chain.apply(connection, day, files)
        assert read_counts(connection, day) == application.counts()
    return model


@shared_database
@given(history=strategies.histories())
def test_the_tables_are_the_models(
    warehouse_database: psycopg.Connection[Any], history: list[strategies.Application]
) -> None:
    """After any applications, also of a day with other files, the tables are what the model says."""
    model = applied(warehouse_database, history)
    assert_holds(warehouse_database, model)


@shared_database
@given(history=strategies.histories(most=7, narrow=True))
def test_days_applied_again_with_other_files_leave_nothing_behind(
    warehouse_database: psycopg.Connection[Any], history: list[strategies.Application]
) -> None:
    """Two days, two agents, two groups, two roles, again and again: every state meets every other."""
    model = applied(warehouse_database, history)
    assert_holds(warehouse_database, model)


@shared_database
@given(orders=strategies.reorderings())
def test_order_and_repetition_do_not_matter(
    warehouse_database: psycopg.Connection[Any],
    orders: tuple[list[strategies.Application], list[strategies.Application]],
) -> None:
    """The same days in another order, some of them twice, end in the same tables."""
    one, other = orders
    applied(warehouse_database, one)
    first = read_tables(warehouse_database)
    model = applied(warehouse_database, other)
    assert_same(first, read_tables(warehouse_database))
    assert_holds(warehouse_database, model)


@shared_database
@given(history=strategies.histories(most=3), data=st.data())
def test_a_rerun_changes_nothing(
    warehouse_database: psycopg.Connection[Any], history: list[strategies.Application], data: st.DataObject
) -> None:
    """Applying a day again as it was last applied writes nothing, whichever day it is, and says 0/0/0."""
    applied(warehouse_database, history)
    day, files = data.draw(st.sampled_from(list(dict(history).items())))
    run = chain.apply(warehouse_database, day, files)
    assert chain.changes(warehouse_database, run) == []


@given(orders=strategies.reorderings())
def test_the_model_does_not_care_about_order_either(
    orders: tuple[list[strategies.Application], list[strategies.Application]],
) -> None:
    """The rules themselves give one result for any order and repetition."""
    models = []
    for order in orders:
        models.append(Warehouse())
        for day, files in order:
            models[-1].apply(day, files)
    assert_same(models[0].tables(), models[1].tables())


@pytest.mark.parametrize("order", ["123", "321", "213", "1321"])
def test_the_shipped_days_end_in_the_models_tables(database: str, order: str) -> None:
    """The days of the repository, in any order."""
    model = Warehouse()
    with psycopg.connect(database, autocommit=True) as connection:
        chain.fill_rates(connection)
        for number in order:
            files = read_folder(DAYS / f"sync-day{number}")
            application = model.apply(f"day{number}", files)
            chain.apply(connection, f"day{number}", files)
            assert read_counts(connection, f"day{number}") == application.counts()
        assert_holds(connection, model)


def whole(dsn: str, engine: Engine, history: list[strategies.Application]) -> None:
    """Apply days with the loader and the runner, then the last one again, and compare with the model throughout."""
    model = Warehouse()
    with psycopg.connect(dsn, autocommit=True) as connection:
        chain.empty(connection)
        for day, files in history:
            application = model.apply(day, files)
            chain.apply_whole(dsn, day, files, engine)
            assert read_counts(connection, day) == application.counts()
            assert_holds(connection, model)
        day, files = history[-1]
        run, loads, steps = chain.apply_whole(dsn, day, files, engine)
        assert {load.status for load in loads} <= {"unchanged", "absent"}
        assert {step.status for step in steps} <= {"success", "skipped"}
        assert chain.changes(connection, run) == []
        assert_holds(connection, model)


@pytest.fixture
def priced_database(database: str) -> str:
    """The URL of a migrated database with the rates that random days need; the loader brings the others."""
    with psycopg.connect(database, autocommit=True) as connection:
        chain.fill_rates(connection)
    return database


@costly(6)
@given(history=strategies.histories(most=3))
def test_the_loader_and_the_runner_end_there_too(priced_database: str, history: list[strategies.Application]) -> None:
    """Published staging, and steps in the runner's transactions."""
    whole(priced_database, Inline(), history)


@pytest.mark.long
@costly(12)
@given(history=strategies.histories(most=3))
def test_spark_ends_there_too(priced_database: str, spark: Session, history: list[strategies.Application]) -> None:
    """The same through Spark's workers."""
    whole(priced_database, spark, history)
