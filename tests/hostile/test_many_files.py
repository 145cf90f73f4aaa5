"""A hundred thousand tiny files: none is lost, and finding and planning them grows with their number."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from staging_loaders.load import load_day
from staging_loaders.local import Local
from staging_loaders.split import Work
from tests.hostile.test_records import DECLARATION, TABLE

FILES = 100_000


@pytest.mark.long
def test_a_hundred_thousand_files(
    connection: psycopg.Connection[tuple[object, ...]],
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is a record, in the order of their names; a second load finds them unchanged."""
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)
    connection.execute(TABLE.encode())
    declarations, folder = tmp_path / "loaders", tmp_path / "days/sync-day1/things"
    declarations.mkdir()
    (declarations / "things.toml").write_text(DECLARATION)
    for hundred in range(FILES // 1_000):
        (folder / f"{hundred:03}").mkdir(parents=True)
        for number in range(1_000):
            (folder / f"{hundred:03}/{number:03}.json").write_text(f'{{"id": {hundred * 1_000 + number}}}')
    for status in ("loaded", "unchanged"):
        with Local(2, inline_weight=0) as engine:
            engine.expect(Work(1, 1, 1))
            (found,) = load_day(
                dsn=database, pipeline="things", day="day1", base=str(tmp_path / "days"), declarations=declarations,
                flow_run_id="run", session=engine, mode="auto",
            )  # fmt: skip
        assert found.status == status
    assert found.records_read in (0, FILES)
    row = connection.execute(
        "select count(*), count(distinct source_file), bool_and(thing_id = replace(left(source_file, 7), '/', '')::int)"
        " from stg_things"
    ).fetchone()
    assert row == (FILES, FILES, True)
