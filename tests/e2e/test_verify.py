"""`runner verify` as people and machines meet it."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.e2e.conftest import ROOT, Outcome
from tests.faulty import cases, days


@pytest.fixture
def project(database: str, tmp_path: Path) -> Path:
    """A copy of the project, with two days in staging."""
    with psycopg.connect(database, autocommit=True) as connection:
        days.stage(connection)
    for name in ("migrations", "staging_loaders"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "runner.toml", tmp_path)
    return tmp_path


def test_a_right_step(runner: Callable[..., Outcome], project: Path) -> None:
    """One line a proof, and exit code 0."""
    outcome = runner("verify", "--only", "031,budgets", cwd=project)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["step", "proof", "outcome", "seen"]
    assert [line.split()[2] for line in lines[1:11]] == ["ok"] * 10
    assert lines[-1] == "10 proofs on 2 days: no fault; everything was rolled back"


def test_a_fault_and_the_command_that_finds_it_again(runner: Callable[..., Outcome], project: Path) -> None:
    """Exit code 1; the command below the fault finds the same one, for people and for machines."""
    case = next(case for case in cases.read() if case.kind == "last-applied-wins" and case.step == "030_budgets")
    (project / "migrations/zluri/030_budgets.sql").write_text(case.text)
    outcome = runner("verify", "--only", "030", cwd=project)
    assert outcome.code == 1
    assert "030_budgets  order  last-applied-wins" in outcome.out
    assert "It takes these staging rows, none of which can be left out:" in outcome.out
    again = outcome.out.rpartition("again: ")[2].splitlines()[0]
    assert again == "runner verify --day day1 --day day2 --only 030_budgets"
    document = json.loads(runner(*shlex.split(again)[1:], "--json", cwd=project).out)
    (fault,) = [fault for fault in document["faults"] if fault["proof"] == "order"]
    assert (fault["kind"], fault["table"], fault["command"]) == ("last-applied-wins", "budgets", again)
    assert [row["row"]["limit_amount"] for row in fault["staging"]] == ["100", "200"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--only", "099"), "there is no step '099'", id="no such step"),
        pytest.param(("--proof", "all"), "there is no proof 'all'", id="no such proof"),
        pytest.param(("--day", "day7"), "day7 is not loaded", id="no such day"),
    ],
)
def test_wrong_usage(runner: Callable[..., Outcome], project: Path, arguments: tuple[str, ...], message: str) -> None:
    """What does not exist is named, with exit code 2."""
    outcome = runner("verify", *arguments, cwd=project)
    assert outcome.code == 2
    assert message in outcome.err


def test_nothing_in_staging(runner: Callable[..., Outcome]) -> None:
    """Without a day in staging there is nothing to prove, and the next action is named."""
    outcome = runner("verify")
    assert outcome.code == 2
    assert "no day is in staging" in outcome.err
    assert "runner load --day D" in outcome.err


def test_days_that_no_loader_brought(runner: Callable[..., Outcome], project: Path, database: str) -> None:
    """A day that nothing is staged of proves nothing; that only the books of loads are empty is said."""
    shutil.rmtree(project / "staging_loaders")
    outcome = runner("verify", "--only", "030", "--day", "day7", cwd=project)
    assert (outcome.code, "no staging table holds rows of day7" in outcome.err) == (2, True)
    assert "Verify with days that are staged" in outcome.err
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from stg_loads")
    outcome = runner("verify", "--only", "030", cwd=project)
    assert (outcome.code, "stg_loads names no day; staging holds day1, day2" in outcome.err) == (2, True)
    assert runner("verify", "--only", "030", "--day", "day1", "--proof", "metrics", cwd=project).code == 0
