"""Loads on a standalone cluster: as on one machine, whoever dies."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from staging_loaders.load import load_day
from staging_loaders.session import Inline
from tests.clusters.conftest import ROOT, SMALL, SPECULATIVE, Days, Submit, left_over, project, staging
from tests.clusters.processes import executors, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


# One dies on YARN, too.
@pytest.mark.long
@pytest.mark.parametrize("when", ["copying", "committed"])
def test_executors_may_die(
    spark_master: str, days: Days, database: str, faulty_load: Callable[..., dict[str, Any]], when: str
) -> None:
    """A cluster loads what one process loads, also when it loses an executor before or after a part's commit."""
    found = faulty_load(spark_master, [when])
    assert found["master"] == spark_master
    assert found["loads"][1:] == found["loads"][:1]
    assert staging(database) == days.expected
    assert left_over(database) == []


@pytest.mark.long
def test_copies_of_tasks(
    spark_master: str, days: Days, database: str, faulty_load: Callable[..., dict[str, Any]]
) -> None:
    """With speculation a task that has committed and does not end, or dies, is run again beside it, and counts once."""
    found = faulty_load(spark_master, ["straggles", "committed"], SPECULATIVE)
    assert found["loads"][1:] == found["loads"][:1] * 2
    assert staging(database) == days.expected
    assert left_over(database) == []


@contextmanager
def locked(url: str, until: Callable[[psycopg.Connection[Any]], bool]) -> Iterator[psycopg.Connection[Any]]:
    """Keep loads from publishing once `until` holds, by locking what they write last."""
    with psycopg.connect(url) as connection:

        def holds() -> bool:
            connection.rollback()
            return until(connection)

        wait_until("what keeps the load from publishing", holds)
        connection.rollback()
        connection.execute("lock table stg_loads in access exclusive mode")
        yield connection


def has_landing_tables(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether a load has begun to copy."""
    return bool(
        connection.execute(
            "select from pg_class where relnamespace = to_regnamespace('landing') and relname like '%parts'"
        ).fetchall()
    )


@pytest.mark.long
def test_a_driver_may_die(
    spark_master: str,
    days: Days,
    database: str,
    tmp_path: Path,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """What a killed `runner load` has left on the cluster ends, and in the database the next load removes it."""
    load = subprocess.Popen(
        [sys.executable, "-m", "runner", "load", "--day", "day1", "--master", spark_master],
        cwd=project(tmp_path, days.base, SMALL), env=environment | {"DATABASE_URL": database},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        with locked(database, lambda found: has_landing_tables(found) or load.poll() is not None) as connection:
            wait_until("a part done", lambda: load.poll() is not None or _some_part_is_done(connection))
            assert load.poll() is None, load.communicate()[0]
            assert executors(tmp_path_factory.getbasetemp())
            load.send_signal(signal.SIGKILL)
            load.communicate()
    finally:
        load.kill()
        load.wait()
    # The master ends them when the driver is gone.
    wait_until("all executors gone", lambda: not executors(tmp_path_factory.getbasetemp()))
    assert staging(database)["stg_loads"] == []
    load_day(
        dsn=database, pipeline="zluri", day="day1", base=str(days.base),
        declarations=ROOT / "staging_loaders" / "zluri", flow_run_id="next", session=Inline(),
    )  # fmt: skip
    assert staging(database) == days.expected
    assert left_over(database) == []


def _some_part_is_done(connection: psycopg.Connection[Any]) -> bool:
    names = connection.execute(
        "select relname from pg_class where relnamespace = to_regnamespace('landing') and relname like '%parts'"
    ).fetchall()
    return any(connection.execute(f"select from landing.{name} limit 1").fetchall() for (name,) in names)


@pytest.mark.long
def test_a_submitted_driver(spark_master: str, days: Days, database: str, submit: Submit) -> None:
    """The day and all options reach the runner, whose words and exit code come back."""
    words = ["--conf", "spark.cores.max=2", "load", "--day", "day1", "--master", spark_master]
    done = submit(*words, settings=SMALL)
    assert done.returncode == 0, done.stderr
    assert "day1  load    transactions" in done.stdout
    assert staging(database) == days.expected
    assert left_over(database) == []
    refused = submit(
        "--conf", "spark.ui.enabled=false", "load", "--day", "day9", "--master", spark_master, settings=SMALL
    )
    assert refused.returncode == 2, refused.stderr
    assert "error: " in refused.stdout  # Spark hands both streams of a driver on as one
