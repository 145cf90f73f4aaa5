"""Loads on YARN: as on one machine, whoever dies; and nowhere else where YARN is required."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clusters.conftest import ON_YARN, SMALL, Days, Submit, left_over, project, staging

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.mark.long
def test_executors_may_die(
    hadoop_conf: Path, days: Days, database: str, faulty_load: Callable[..., dict[str, Any]]
) -> None:
    """A cluster loads what one process loads, also when it loses an executor in the middle of a COPY."""
    found = faulty_load("yarn", ["copying"], HADOOP_CONF_DIR=str(hadoop_conf))
    assert found["master"] == "yarn"
    assert found["loads"][1:] == found["loads"][:1]
    assert staging(database) == days.expected
    assert left_over(database) == []


@pytest.mark.long
def test_the_command(hadoop_conf: Path, days: Days, database: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """`runner load --master yarn --require-yarn`, the driver being this machine's, with the settings of runner.toml."""
    done = subprocess.run(
        [sys.executable, "-m", "runner", "load", "--day", "day1", "--master", "yarn", "--require-yarn", "--json"],
        cwd=project(tmp_path, days.base, SMALL | ON_YARN), capture_output=True, text=True, check=False, timeout=600,
        env=environment | {"DATABASE_URL": database, "HADOOP_CONF_DIR": str(hadoop_conf)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["loads"]) == 7
    assert staging(database) == days.expected
    assert left_over(database) == []


@pytest.mark.long
def test_a_submitted_driver(hadoop_conf: Path, days: Days, database: str, submit: Submit) -> None:
    """In cluster mode everything travels: code, declarations, SQL, and the name of the database."""
    done = submit(
        "--deploy-mode", "cluster", "load", "--day", "day1", "--master", "yarn",
        "--require-yarn",
        settings=SMALL | ON_YARN | {"spark.driver.memory": "512m"}, HADOOP_CONF_DIR=str(hadoop_conf),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert staging(database) == days.expected
    assert left_over(database) == []
