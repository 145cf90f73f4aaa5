"""Loads through scripts/spark_submit.sh: the driver here and on the cluster."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clusters.conftest import ON_YARN, ROOT, SMALL, Days, left_over, staging

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

Submit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def submit(tmp_path: Path, environment: dict[str, str], database: str) -> Submit:
    """Run the script in a project of the repository's pipeline, on the test's database."""
    for name in ("migrations", "staging_loaders"):
        (tmp_path / name).symlink_to(ROOT / name)

    def run(*words: str, settings: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
        lines = "\n".join(f'"{key}" = "{value}"' for key, value in settings.items())
        (tmp_path / "runner.toml").write_text(f'pipeline = "zluri"\n[spark]\n{lines}\n')
        return subprocess.run(
            [ROOT / "scripts" / "spark_submit.sh", *words],
            cwd=tmp_path, env=environment | {"DATABASE_URL": database, "PYSPARK_DRIVER_PYTHON": sys.executable} | more,
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip

    return run


def test_a_driver_here(spark_master: str, days: Days, database: str, submit: Submit) -> None:
    """The day and all options reach the runner, whose words and exit code come back."""
    words = ["--conf", "spark.cores.max=2", "load", "--day", "day1", "--data", str(days.base), "--master", spark_master]
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


def test_a_driver_on_yarn(hadoop_conf: Path, days: Days, database: str, submit: Submit) -> None:
    """In cluster mode everything travels: code, declarations, SQL, and the name of the database."""
    done = submit(
        "--deploy-mode", "cluster", "load", "--day", "day1", "--data", str(days.base), "--master", "yarn",
        "--require-yarn",
        settings=SMALL | ON_YARN | {"spark.driver.memory": "512m"}, HADOOP_CONF_DIR=str(hadoop_conf),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert staging(database) == days.expected
    assert left_over(database) == []
