"""Days and databases that loads on clusters are compared by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
import pytest

from staging_loaders.load import load_day
from staging_loaders.session import Inline
from tests.clusters import standalone, yarn
from tests.clusters.processes import JARS
from tests.make_days import main as make_days

ROOT = Path(__file__).parents[2]

# So that two executors of a core each do not take longer to start than to load.
SMALL = {
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
}
# A copy of each task that is a little slower than others.
SPECULATIVE = {
    "spark.speculation": "true",
    "spark.speculation.interval": "50ms",
    "spark.speculation.multiplier": "1.1",
    "spark.speculation.quantile": "0.1",
    "spark.speculation.minTaskRuntime": "10ms",
}
ON_YARN = {
    "spark.executor.instances": "2",
    "spark.yarn.jars": f"local:{JARS}/*",  # YARN need not copy 400 MB of jars to where they are
    "spark.yarn.am.memory": "512m",
    "spark.yarn.am.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@dataclass(frozen=True)
class Days:
    """Generated days, and what staging holds after day1 was loaded by one process of this machine."""

    base: Path
    expected: dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory, server: Any, template: str) -> Iterator[Days]:
    """A day of several files of each kind, loaded without Spark."""
    base = tmp_path_factory.mktemp("days")
    make_days(
        ["--out", str(base), "--days", "1", "--transactions", "3000", "--page-size", "200", "--agents", "200",
         "--format", "mixed", "--odd", "0.02"]
    )  # fmt: skip
    name = server.create(template)
    load_day(
        dsn=server.on(name), pipeline="zluri", day="day1", base=str(base),
        declarations=ROOT / "staging_loaders" / "zluri", flow_run_id="local", session=Inline(),
    )  # fmt: skip
    yield Days(base, staging(server.on(name)))
    server.drop(name)


def staging(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of staging, the rejects, and of the loads their counts and fingerprints."""
    with psycopg.connect(url, autocommit=True) as connection:
        tables = connection.execute(
            "select relname from pg_class where relname ~ '^stg_' and relkind in ('r', 'p') and not relispartition "
            "and relname <> 'stg_loads' and relnamespace = current_schema()::regnamespace"
        ).fetchall()
        found = {name: sorted(connection.execute(f"select * from {name}").fetchall(), key=repr) for (name,) in tables}
        found["stg_loads"] = connection.execute(
            "select entity, records_read, rows_loaded, rejects, warnings, files, bytes, fingerprint from stg_loads "
            "order by entity"
        ).fetchall()
    assert len(found) > 8
    return found


def left_over(url: str) -> list[tuple[Any, ...]]:
    """Return the tables and sessions that loads have left behind."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(
            "select relname::text from pg_class where relnamespace = to_regnamespace('landing') and relkind = 'r' "
            "and not relispartition union all select application_name from pg_stat_activity "
            "where application_name like 'runner%' and datname = current_database()"
        ).fetchall()


def project(folder: Path, base: Path, settings: dict[str, str]) -> Path:
    """Make a project of the repository's pipeline in `folder`, with these settings of Spark."""
    for name in ("migrations", "staging_loaders"):
        (folder / name).symlink_to(ROOT / name)
    lines = "\n".join(f'"{key}" = "{value}"' for key, value in settings.items())
    (folder / "runner.toml").write_text(f'pipeline = "zluri"\ndata = "{base}"\n[spark]\n{lines}\n')
    return folder


@pytest.fixture(scope="module")
def spark_master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a standalone cluster."""
    with standalone.cluster(tmp_path_factory.mktemp("standalone")) as master:
        yield master


@pytest.fixture(scope="module")
def hadoop_conf(reachable_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration of a running YARN."""
    with yarn.cluster(tmp_path_factory.mktemp("yarn")) as configuration:
        yield configuration


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment in which Spark finds only what a test gives it."""
    names = ("PG", "SPARK_", "HADOOP_", "YARN_", "PYSPARK_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LAUNCHER_OPTS": "-XX:TieredStopAtLevel=1",
    }


@pytest.fixture
def faulty_load(
    days: Days, database: str, tmp_path: Path, environment: dict[str, str]
) -> Callable[..., dict[str, Any]]:
    """Load day1 several times on a cluster, executors dying, and return what was said of it."""

    def run(
        master: str, deaths: Sequence[str], settings: Mapping[str, str] = MappingProxyType({}), **more: str
    ) -> dict[str, Any]:
        extra = (ON_YARN if master == "yarn" else {}) | dict(settings)
        given = {
            "master": master, "dsn": database, "base": str(days.base), "cache": str(tmp_path),
            "settings": SMALL | extra, "yarn": master == "yarn",
            "deaths": deaths,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "tests.clusters.faulty_load", json.dumps(given)],
            cwd=ROOT, env=environment | more, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


Submit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def submit(tmp_path: Path, environment: dict[str, str], database: str, days: Days) -> Submit:
    """Run the script in a project with the given settings, on the test's database."""

    def run(*words: str, settings: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        given = {"DATABASE_URL": database, "PYSPARK_DRIVER_PYTHON": sys.executable, **more}
        return subprocess.run(
            [ROOT / "scripts" / "spark_submit.sh", *words], cwd=project(folder, days.base, settings),
            env=environment | given, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip

    return run
