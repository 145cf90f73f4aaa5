"""Loads on YARN: as on one machine, whoever dies; and nowhere else where YARN is required."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clusters.conftest import Days, left_over, staging

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


def test_executors_may_die(
    hadoop_conf: Path, days: Days, database: str, faulty_load: Callable[..., dict[str, Any]]
) -> None:
    """A cluster loads what one process loads, also when it loses an executor before or after a part's commit."""
    found = faulty_load("yarn", HADOOP_CONF_DIR=str(hadoop_conf))
    assert found["master"] == "yarn"
    assert found["loads"][1:] == found["loads"][:1] * 2
    assert staging(database) == days.expected
    assert left_over(database) == []
