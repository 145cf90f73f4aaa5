"""What [tasks] in runner.toml may say, and what holds where it says nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner import config, task_settings
from runner.errors import ConfigError
from runner.task_settings import Tasks
from tests.conftest import ROOT


def read(folder: Path, toml: str) -> Tasks:
    """Return the settings of a project whose runner.toml says `toml`."""
    (folder / "runner.toml").write_text(toml, "utf-8")
    return task_settings.read(config.load({"project": str(folder)}, environ={}))


def test_defaults(tmp_path: Path) -> None:
    """The network is asked four times and 120 s each, the database three times and 300 s, a checkpoint once."""
    tasks = read(tmp_path, "")
    found = {kind: (getattr(tasks, kind).retries, getattr(tasks, kind).timeout) for kind in task_settings.KINDS}
    assert found == {"network": (3, 120), "load": (3, 3600), "database": (2, 300), "checkpoint": (0, 300)}
    assert {getattr(tasks, kind).kind for kind in task_settings.KINDS} == set(task_settings.KINDS)


def test_the_page(tmp_path: Path) -> None:
    """What docs/tasks.md shows are the defaults."""
    page = (ROOT / "docs" / "tasks.md").read_text("utf-8")
    toml = page.partition("```toml\n")[2].partition("```")[0]
    assert read(tmp_path, toml) == replace(read(tmp_path, ""), jobs=4)


def test_settings(tmp_path: Path) -> None:
    """Seconds are numbers or durations, none of them no limit; what is not said stays."""
    tasks = read(
        tmp_path,
        '[tasks]\njobs = 3\n[tasks.network]\ntimeout = "5min"\nbackoff = 0.5\n'
        "[tasks.load]\ntimeout = 0\n[tasks.database]\nretries = 7\njitter = 0\n",
    )
    assert (tasks.network.timeout, tasks.network.backoff, tasks.network.retries) == (300, 0.5, 3)
    assert tasks.load.timeout is None
    assert (tasks.database.retries, tasks.database.jitter, tasks.database.timeout) == (7, 0, 300)
    assert (tasks.at_once(), tasks.at_once(5)) == (3, 5)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("tasks = 1", "tasks is no table"),
        ("[tasks.netwrok]\nretries = 1", "tasks.netwrok is unknown"),
        ("[tasks]\ndatabase = 1", "tasks.database is no table"),
        ("[tasks]\njobs = 0", "tasks.jobs is 0"),
        ("[tasks]\njobs = true", "tasks.jobs is True"),
        ("[tasks.database]\nretry = 1", "tasks.database.retry is unknown"),
        ("[tasks.database]\nretries = -1", "tasks.database.retries is -1"),
        ("[tasks.database]\nretries = 51", "tasks.database.retries is 51"),
        ("[tasks.database]\nretries = 1.5", "tasks.database.retries is 1.5"),
        ("[tasks.database]\ntimeout = '5m'", "tasks.database.timeout is '5m', which is not a duration"),
        ("[tasks.database]\ntimeout = -1", "tasks.database.timeout is -1"),
        ("[tasks.database]\nbackoff = inf", "tasks.database.backoff is inf"),
        ("[tasks.database]\nbackoff = 1e300", "tasks.database.backoff is 1e+300"),
        ("[tasks.database]\ntimeout = 2147484", "tasks.database.timeout is 2147484"),
        ("[tasks.database]\njitter = 'much'", "tasks.database.jitter is 'much'"),
        ("[tasks.checkpoint]\nretries = 1", "a checkpoint is not tried again"),
    ],
)
def test_what_it_may_not_say(tmp_path: Path, toml: str, message: str) -> None:
    """It is named with its key and its file, and what to write instead."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, toml)
    assert message in caught.value.message and str(tmp_path / "runner.toml") in caught.value.message
    assert caught.value.hint


def test_without_the_parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody can tell what steps share, they run one after another."""
    tasks = read(tmp_path, "")
    assert tasks.at_once() == 4
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert tasks.at_once() == 1
