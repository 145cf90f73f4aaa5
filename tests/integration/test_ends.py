"""The statements of a runner that is killed do not go on in the server."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.torture import judge
from tests.torture.process import Runner
from tests.torture.proxy import Line, Phase, Proxy, saying

STEP = "020_slow.sql"
LONG = "select pg_sleep(120)"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        pytest.param(f"schema/{STEP}", LONG, id="a schema file"),
        pytest.param(f"schema/{STEP}", f"-- transaction: off\n{LONG}", id="a schema file without a transaction"),
        pytest.param(STEP, LONG, id="a step"),
    ],
)
def test_a_killed_runner(database: str, tmp_path: Path, file: str, text: str) -> None:
    """Its session is gone within five seconds, in whichever statement it was."""
    path = tmp_path / "project" / "migrations" / "slow" / file
    (path.parents[0] if path.parent.name == "schema" else path.parent / "schema").mkdir(parents=True)
    path.write_text(text)
    (tmp_path / "project" / "runner.toml").write_text('pipeline = "slow"\n')
    with Proxy(database) as proxy:
        arguments = ["apply", "--day", "day1", "--project", str(tmp_path / "project")]
        settings = {"DATABASE_URL": proxy.dsn, "RUNNER_HOME": str(tmp_path / "home")}
        runner = Runner(arguments, settings, tmp_path / "output.txt")
        proxy.trap(lambda boundary: LONG in boundary.text, "during", lambda *_: runner.kill())
        assert runner.wait(60) == -9, runner.output()
        with psycopg.connect(database, autocommit=True) as connection:
            assert list(judge.sessions(connection)) == []


@pytest.mark.parametrize("phase", ["before", "after"])
def test_a_migration_that_is_cut_off(database: str, tmp_path: Path, phase: Phase) -> None:
    """It does not say that it was rolled back, since nobody knows; the next one finds out."""
    folder = tmp_path / "project" / "migrations" / "slow" / "schema"
    folder.mkdir(parents=True)
    (folder / "001_things.sql").write_text("create table things ()")
    (tmp_path / "project" / "runner.toml").write_text('pipeline = "slow"\n')

    def migrate(dsn: str) -> tuple[int | None, str]:
        settings = {"DATABASE_URL": dsn, "RUNNER_HOME": str(tmp_path / "home")}
        output = tmp_path / f"output{len(list(tmp_path.iterdir()))}.txt"
        runner = Runner(["migrate", "--project", str(tmp_path / "project")], settings, output)
        return runner.wait(60), runner.output()

    def cut(line: Line, _: object) -> None:
        line.cut()

    with Proxy(database) as proxy:
        proxy.trap(saying("commit"), phase, cut)
        code, output = migrate(proxy.dsn)
    assert (code, "nobody knows whether it was" in output) == (1, True)
    code, output = migrate(database)
    assert (code, "001_things" in output) == (0, phase == "before")
