"""A server in a container: days, faults and restarts, with nothing but DATABASE_URL to tell where it is."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest

from runner import embedded
from tests.clusters.conftest import staging
from tests.clusters.processes import free_ports, wait_until
from tests.containers import place as places
from tests.containers.place import Place
from tests.e2e.conftest import ROOT, start

pytestmark = [
    pytest.mark.docker,
    # testcontainers and docker, of themselves and of one another
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

_NUMBERS = itertools.count(1)

STEP = """
create table if not exists {name} (attempt text);
{extra}
insert into {name} values (current_setting('app.attempt'));
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status
)
select
    current_setting('app.flow_run_id'), '{name}_task', '{name}', '{name}', current_setting('app.day'), 1, 1, 'success';
"""
SLEEPS = "do $$ begin if {condition} then perform pg_sleep(300); end if; end $$;"
ASLEEP = (
    "select 1 from pg_stat_activity where query like '%%pg_sleep(300)%%' and state = 'active' and datname = %s"
    " and pid <> pg_backend_pid()"
)


@pytest.fixture(scope="module", params=["container", "embedded"])
def place(request: pytest.FixtureRequest, reachable_folder: Path) -> Iterator[Place]:
    """A server in a container; where there is no Docker engine an embedded one, and the reason."""
    said = places.missing()
    if request.param == "container":
        if said:
            pytest.skip(said)
        with places.contained() as found:
            yield found
        return
    if said is None:
        pytest.skip("these tests run in a container")
    home = reachable_folder / "docker" / "home"
    with free_ports(1) as (port,):
        pass
    yield places.Embedded(home, port)
    embedded.reset(home)


@pytest.fixture
def url(place: Place) -> str:
    """The URL of a new database on that server, with a password."""
    name = f"new_{next(_NUMBERS)}"
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    return urlunsplit(urlsplit(place.url)._replace(path=f"/{name}"))


@pytest.fixture
def run() -> Callable[..., tuple[int, str]]:
    """Run a command to its end; return its exit code and both its outputs, in which no password may be."""

    def run(url: str, *words: str, cwd: Path = ROOT, **given: str) -> tuple[int, str]:
        return ended(start(*words, cwd=cwd, DATABASE_URL=url, **given))

    return run


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return how a command ended, and what it said."""
    said = "\n".join(process.communicate(timeout=300))
    assert "Traceback" not in said
    assert places.PASSWORD not in said
    assert quote(places.PASSWORD, safe="") not in said
    return process.returncode, said


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Path]:
    """Make a project of two steps, the second with more SQL before it writes its row."""

    def make(extra: str) -> Path:
        folder = tmp_path / "migrations" / "demo"
        folder.mkdir(parents=True)
        for name, more in (("010_first", ""), ("020_second", extra)):
            (folder / f"{name}.sql").write_text(STEP.format(name=name[4:], extra=more), "utf-8")
        return tmp_path

    return make


@contextmanager
def asleep(url: str, cwd: Path, attempts: int) -> Iterator[subprocess.Popen[str]]:
    """Start a run, and wait until its second step sleeps."""
    process = start("apply", "--day", "day1", cwd=cwd, DATABASE_URL=url, RUNNER_ATTEMPTS=str(attempts))
    with process:
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                database = connection.info.dbname

                def sleeps() -> bool:
                    return process.poll() is not None or bool(connection.execute(ASLEEP, (database,)).fetchone())

                wait_until("asleep", sleeps)
            yield process
        finally:
            process.kill()


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


METRICS = "select step, status, attempt from pipeline_metrics order by id"


def test_a_first_day(url: str, run: Callable[..., tuple[int, str]]) -> None:
    """An empty database gets its schema, its staging and its tables; a rerun finds nothing to change."""
    code, said = run(url, "apply", "--day", "day1", "--engine", "local")
    assert code == 0, said
    assert {status for _, status, _ in rows(url, METRICS)} == {"success"}
    before = staging(url)
    code, said = run(url, "apply", "--day", "day1")
    assert (code, said.count("nothing to change")) == (0, 7), said
    assert "files of 7 entities unchanged" in said
    assert staging(url) == before
    assert run(url, "doctor")[0] == 0


@pytest.mark.long
def test_spark_loads_the_same(url: str, run: Callable[..., tuple[int, str]]) -> None:
    """Spark's workers reach the server with the same name and password, and fill staging alike."""
    assert run(url, "load", "--day", "day1", "--engine", "local")[0] == 0
    before = staging(url)
    code, said = run(url, "load", "--day", "day1", "--engine", "spark", "--load", "always")
    assert code == 0, said
    assert staging(url) == before


def test_a_restart_in_the_middle_of_a_step(place: Place, url: str, project: Callable[[str], Path]) -> None:
    """The step is tried again until the server is back, and its work is there once."""
    folder = project(SLEEPS.format(condition="current_setting('app.attempt') = '1'"))
    with asleep(url, folder, attempts=100) as process:
        place.stop()
        place.start()
        code, said = ended(process)
    assert code == 0, said
    assert [row[:2] for row in rows(url, METRICS)] == [("010_first", "success"), ("020_second", "success")]
    (attempt,) = rows(url, "select attempt from second")
    assert rows(url, METRICS)[1][2] == int(attempt[0]) > 1


def test_a_kill_in_the_middle_of_a_step(
    place: Place, url: str, project: Callable[[str], Path], run: Callable[..., tuple[int, str]]
) -> None:
    """A run that loses its server for good leaves nothing of its step; the next run does it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table gate (opened boolean)")
    folder = project(SLEEPS.format(condition="not exists (select from gate)"))
    with asleep(url, folder, attempts=1) as process:
        place.kill()
        code, said = ended(process)
    assert code == 1, said
    assert "020_second" in said
    place.start()
    assert rows(url, "select to_regclass('second')") == [(None,)]
    assert [row[:2] for row in rows(url, METRICS)] == [("010_first", "success")]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("insert into gate values (true)")
    # The lease of the run whose server died is still there, and nobody renews it.
    code, said = run(url, "apply", "--day", "day1", "--wait", "120", cwd=folder)
    assert code == 0, said
    assert rows(url, "select * from second") == [("1",)]
    assert [row[:2] for row in rows(url, METRICS)][-2:] == [("010_first", "success"), ("020_second", "success")]


def test_a_stopped_server(place: Place, url: str, run: Callable[..., tuple[int, str]]) -> None:
    """A server that is down is named, without the password, and is used again when it is back."""
    assert run(url, "migrate")[0] == 0
    place.stop()
    code, said = run(url, "status")
    assert code == 2
    assert f"cannot connect to warehouse@{urlsplit(url).hostname}:{urlsplit(url).port}/" in said
    assert "Check DATABASE_URL" in said
    place.start()
    assert run(url, "status")[0] == 0
