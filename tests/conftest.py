"""What tests share: a real server, a migrated database each, a real Spark session."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import hypothesis
import psycopg
import pytest

from runner import cluster, config, embedded, project, schema
from staging_loaders.session import Session
from tests import memory, postgres

ROOT = Path(__file__).resolve().parent.parent

# The server under test: a version of the embedded one, a folder of PostgreSQL's programs, or the URL of a server
# that runs, on which every test gets a database.
POSTGRES = os.environ.get("TEST_POSTGRES") or str(embedded.DEFAULT_VERSION)
_SETTINGS = ("RUNNER_", "DATABASE_URL", "DATA_BASE_PATH", "SPARK_MASTER", "FX_RATES_SOURCE", "PG", "AWS_")

hypothesis.settings.register_profile("dev", deadline=None, max_examples=25)
# The same examples every time, so that a red build is about the change it is for.
hypothesis.settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True, print_blob=True)
hypothesis.settings.register_profile(
    "long", deadline=None, max_examples=250, derandomize=bool(os.environ.get("CI")), print_blob=True
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

# Under nohup, or in the background of a script, they are ignored, and so by the commands that are started here, some of
# which are to end by them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


class Server:
    """A running server on which databases can be made, cloned and dropped."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = itertools.count(1)

    def on(self, name: str) -> str:
        """Return the URL of the database `name`."""
        parts = urlsplit(self.url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        query = urlencode(options, quote_via=quote, safe="/")
        return urlunsplit((parts.scheme, parts.netloc, f"/{name}", query, ""))

    def execute(self, statement: str) -> None:
        """Run one statement outside a transaction, in the database of the server's URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def create(self, template: str | None = None) -> str:
        """Create a database, as a copy of `template` or empty, and return its name."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        # template0 has neither what the administrator added nor another collation.
        source = f'"{template}"' if template else "template0"
        self.execute(f'create database "{name}" template {source} strategy file_copy')
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self.execute(f'drop database if exists "{name}" with (force)')


def pytest_report_header() -> str:
    """Say which server the tests run on."""
    if "://" in POSTGRES:
        return "database: the server of TEST_POSTGRES"
    return f"database: {'embedded PostgreSQL' if POSTGRES.isdigit() else 'PostgreSQL of'} {POSTGRES}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on the server under test, so that another version need only run that; order them."""
    for item in items:
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker("database")
    # What is longest begins the run and what is quick ends it, so that no worker is left alone with much to do.
    order = {"torture": -2, "lint": 1, "unit": 1}
    items.sort(key=lambda item: order.get(item.path.parent.name, -(_unit(item.nodeid) in _COSTLY)))


# What takes long to start, and is there once in a process.
_COSTLY = ("prefect_server", "spark: Session", "made: Campaign")


@functools.cache
def _unit_of_file(file: str) -> str:
    text = (ROOT / file).read_text("utf-8")
    return next((costly for costly in _COSTLY if costly in text), file)


def _unit(nodeid: str) -> str:
    return _unit_of_file(nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Have pytest-xdist run a file in one process, and all files that want the same costly thing in the same one."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _unit(nodeid)

    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith(_SETTINGS)]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def reachable_folder() -> Iterator[Path]:
    """A temporary folder for servers, in memory where there is room; other accounts may pass, unlike through pytest's.

    An interrupted run leaves it behind, as it leaves its servers.
    """
    folder = Path(tempfile.mkdtemp(prefix="warehouse-test-", dir=memory.folder()))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home(reachable_folder: Path) -> Iterator[Path]:
    """A runner's home for commands that start a server of their own, which is removed afterwards."""
    folder = Path(tempfile.mkdtemp(dir=reachable_folder))
    folder.chmod(0o711)
    home = folder / "home"
    yield home
    if home.is_dir():
        for version in cluster.VERSIONS:
            embedded.reset(home, version)


@pytest.fixture(scope="session")
def server(reachable_folder: Path) -> Iterator[Server]:
    """The server of TEST_POSTGRES, for this session: the embedded one where nothing is said."""
    if "://" in POSTGRES:
        yield Server(POSTGRES)
        return
    with _started(reachable_folder) as url:
        server = Server(url)
        # Its data does not outlive the tests, so it need not survive a power cut.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            server.execute(f"alter system set {setting} = off")
        # What it logs for recovery, which it never does, is not to fill the memory.
        server.execute("alter system set max_wal_size = '256MB'")
        server.execute("select pg_reload_conf()")
        yield server


@contextmanager
def _started(folder: Path) -> Iterator[str]:
    if not POSTGRES.isdigit():
        with postgres.started(Path(POSTGRES), folder) as url:
            yield url
        return
    home = folder / "home"
    yield embedded.ensure_running(home, int(POSTGRES))
    embedded.reset(home, int(POSTGRES))


@pytest.fixture(scope="session")
def template(server: Server) -> Iterator[str]:
    """The name of a database with the runner's tables and the Zluri schema; clone it, never connect."""
    name = server.create()
    settings = config.load({"project": str(ROOT), "pipeline": "zluri"}, environ={})
    pipeline = project.discover(settings)
    with psycopg.connect(server.on(name), autocommit=True) as connection:
        schema.migrate(connection, pipeline.name, pipeline.schema)
    yield name
    server.drop(name)


@pytest.fixture
def new_database(server: Server, template: str) -> Iterator[Callable[[], str]]:
    """Make migrated databases, as many as a test wants: call it for the URL of one more."""
    names: list[str] = []

    def make() -> str:
        names.append(server.create(template))
        return server.on(names[-1])

    yield make
    for name in names:
        server.drop(name)


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    """The URL of a migrated database of the test's own."""
    return new_database()


@pytest.fixture
def empty_database(server: Server) -> Iterator[str]:
    """The URL of a database in which the runner never was."""
    name = server.create()
    yield server.on(name)
    server.drop(name)


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection in autocommit mode to the test's database."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """One Spark session for all tests, which tries each part up to three times, as a cluster does."""
    with Session("local[2,3]", cache=tmp_path_factory.mktemp("spark")) as session:
        yield session
