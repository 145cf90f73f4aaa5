"""`runner plan` beside somebody who holds a lock: it waits for a while, and says for whom."""

from __future__ import annotations

import psycopg
import pytest

from runner import cli
from staging_loaders import blockers
from tests.integration.test_load import ROOT

PLAN = ["plan", "--day", "day1", "--project", str(ROOT), "--pipeline", "zluri", "--data", str(ROOT / "tests" / "days")]
HELD = {
    "the account of loads": "lock table stg_loads in access exclusive mode",
    "the history of the schema": "lock table schema_history in access exclusive mode",
    "staging": "insert into stg_loads (pipeline, day, entity, records_read, rows_loaded, rejects, warnings, files, "
    "bytes, fingerprint, flow_run_id, seconds) values ('zluri', 'day1', 'agents', 1, 1, 0, 0, 1, 1, 'f', 'r', 1); "
    "commit; begin; lock table stg_agents in access exclusive mode",
}


@pytest.mark.parametrize("statement", HELD.values(), ids=HELD.keys())
def test_a_plan_does_not_wait_for_ever(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], statement: str
) -> None:
    """It tells whom it waits for, and gives up with their name."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setattr(blockers, "_QUIET", 0.05)
    monkeypatch.setattr(blockers, "ASK_TIMEOUT", "1s")
    with psycopg.connect(database, application_name="migrating") as holder:
        for each in statement.split("; "):
            holder.execute(each.encode())
        assert cli.main(PLAN) == 1
        who = f"process {holder.info.backend_pid} (migrating of "
    said = capsys.readouterr().err
    assert f"waiting for a lock of {who}" in said.splitlines()[0]
    assert f"error: the database could not be asked: 1s went by waiting for a lock of {who}" in said
    assert "hint: Nothing was changed." in said


def test_a_plan_goes_on_when_the_lock_is_let_go(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As soon as that is told here."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setattr(blockers, "_QUIET", 0.05)
    with psycopg.connect(database) as holder:
        holder.execute("lock table stg_loads in access exclusive mode")
        monkeypatch.setattr("runner.console.note", lambda _: holder.rollback())
        assert cli.main(PLAN) == 0
    assert "agents" in capsys.readouterr().out
