"""A check's file: its header, its step, and what it may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import check, config, project, step
from runner.check import Check
from runner.errors import ConfigError
from runner.step import STEP_KEYS, SqlFile

HEADER = "-- check: 010_things\n-- severity: error\n-- description: things that must not be\n"
PLACE = "checks/010_things_are_good.sql"


@pytest.fixture
def steps(tmp_path: Path) -> list[SqlFile]:
    """Two steps."""
    paths = [tmp_path / "010_things.sql", tmp_path / "020_groups.sql"]
    for path in paths:
        path.write_text("select 1", encoding="utf-8")
    return [step.read(path, tmp_path, STEP_KEYS) for path in paths]


def read(folder: Path, steps: list[SqlFile], text: str) -> Check:
    """Write `text` to a file and read it as a check."""
    path = folder / PLACE
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return check.read(path, folder, steps)


@pytest.mark.parametrize("named", ["010", "10", "things", "010_things"])
def test_header(tmp_path: Path, steps: list[SqlFile], named: str) -> None:
    """A check names its step by number, name or both, its severity, what it is about, and how long it may take."""
    text = f"-- check: {named}\n-- severity: warn\n-- description: odd things\n-- timeout: 2s\nselect 1"
    found = read(tmp_path, steps, text)
    assert (found.name, found.step, found.severity) == ("010_things_are_good", "010_things", "warn")
    assert (found.description, found.file.timeout) == ("odd things", 2_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("-- severity: warn\n-- description: x\nselect 1", ":1:1: the header has no 'check'", id="no step"),
        pytest.param("-- check: 010\n-- description: x\nselect 1", ":1:1: the header has no 'severity'", id="none"),
        pytest.param("-- check: 010\n-- severity: warn\nselect 1", ":1:1: the header has no 'desc", id="no text"),
        pytest.param(HEADER.replace("error", "fatal") + "select 1", ":2:14: severity is 'fatal'", id="severity"),
        pytest.param(HEADER.replace("010_things", "011") + "select 1", ":1:11: there is no step '011'", id="unknown"),
        pytest.param(HEADER + "-- table: x\nselect 1", ":4:4: unknown header key 'table'", id="a step's key"),
        pytest.param(HEADER + "-- timeout: never\nselect 1", ":4:13: timeout is 'never'", id="time-out"),
        pytest.param(HEADER, "contains no statement", id="empty"),
        pytest.param(HEADER + "select 1;\nselect 2", ":5:1: a second statement", id="two"),
        pytest.param(HEADER + "delete from things", ":4:1: delete is no select", id="delete"),
        pytest.param(HEADER + "create table x ()", ":4:1: create is no select", id="create"),
        pytest.param(HEADER + "commit", ":4:1: transaction control", id="commit"),
        pytest.param(HEADER + "copy things to stdout", ":4:1: copy from stdin or to stdout", id="copy"),
        pytest.param(
            HEADER + "with gone as (\n  delete from things returning *\n)\nselect * from gone", ":5:3: delete writes",
            id="delete in a with",
        ),
        pytest.param(
            HEADER + "with x as not materialized (update only things as t set id = 1 returning 1) select 1",
            ":4:29: update writes", id="update in a with",
        ),
        pytest.param(HEADER + "with x as (select 1)\ninsert into things select 1", ":5:1: insert writes", id="insert"),
        pytest.param(HEADER + "with x as (select 1)\nmerge into things", ":5:1: merge writes", id="merge"),
        pytest.param(HEADER + "select 1 as id into things", ":4:16: select into makes a table", id="into"),
        pytest.param(HEADER + "select * from things\nfor no key update", ":5:1: a select that locks", id="lock"),
        pytest.param(HEADER + "select 1) as x, (select 2", ":4:9: a parenthesis that nothing opens", id="parenthesis"),
    ],
)  # fmt: skip
def test_refused(tmp_path: Path, steps: list[SqlFile], text: str, message: str) -> None:
    """What is no select of rows, or does not say what it is for, is refused where it stands."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, steps, text)
    assert message in caught.value.message and caught.value.message.startswith(PLACE)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("begin;\nselect 1;\ncommit;", id="outer transaction"),
        pytest.param("(select 1)\nunion all\n(select 2)", id="parentheses"),
        pytest.param("with recursive x as (select 1) select * from x", id="recursive"),
        pytest.param("select 'delete from', \"update\" from things where (update) is null", id="names and strings"),
        pytest.param("select substring(name from 1 for 2), (delete), coalesce(insert, 1) from things", id="columns"),
        pytest.param("select 1 -- into, for update; delete from things", id="comment"),
    ],
)
def test_allowed(tmp_path: Path, steps: list[SqlFile], text: str) -> None:
    """Any one select is a check."""
    assert read(tmp_path, steps, HEADER + text).statement.text


def test_checks_belong_to_the_pipeline(tmp_path: Path) -> None:
    """A pipeline has its checks in the order of their names; what begins with a dot or underscore is none."""
    folder = tmp_path / "migrations" / "shop"
    (folder / "checks").mkdir(parents=True)
    (folder / "010_things.sql").write_text("select 1", encoding="utf-8")
    for name in ("020_b", "010_a", "_draft"):
        (folder / "checks" / f"{name}.sql").write_text(HEADER + "select 1", encoding="utf-8")
    pipeline = project.discover(config.load({"project": str(tmp_path), "pipeline": "shop"}, environ={}))
    assert [found.name for found in pipeline.checks] == ["010_a", "020_b"]
    assert pipeline.checks[0].file.shown == "migrations/shop/checks/010_a.sql"
