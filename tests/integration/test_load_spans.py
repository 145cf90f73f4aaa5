"""One large file, read in spans by several workers, is loaded as if it were read in one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner.errors import UnreadableFile
from staging_loaders import split
from staging_loaders.load import load_day
from staging_loaders.outcome import EntityLoad
from staging_loaders.session import Inline

Connection = psycopg.Connection[tuple[Any, ...]]

ZLURI = Path(__file__).parents[2] / "staging_loaders" / "zluri"
RECORD = {
    "id": "t", "uuid": "u", "occurredTime": "2026-01-01T00:00:00Z",
    "currencyData": {"originalCurrencyAmount": 1, "originalCurrencyCode": "EUR"},
}  # fmt: skip
ODD = "not an object"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A day whose other entities are small."""
    for entity, record in (
        ("agents", {"id": 7, "email": "a@x", "name": "Ada"}),
        ("admin_groups", {"id": 1, "name": "g"}),
    ):
        (tmp_path / "sync-day1" / entity).mkdir(parents=True)
        (tmp_path / "sync-day1" / entity / "a.json").write_text(json.dumps([record]))
    (tmp_path / "sync-day1" / "transactions").mkdir()
    return tmp_path


def lines(count: int, odd: int | None = None) -> str:
    """Return records, a blank line after every third, the last record without its line feed."""
    records = [
        json.dumps({**RECORD, "id": f"t{number}"}) if number != odd else json.dumps(ODD) for number in range(count)
    ]
    return "\n".join(record + "\n" * (number % 3 == 2) for number, record in enumerate(records))


def load(database: str, base: Path) -> EntityLoad:
    """Load the day; return what became of its transactions."""
    loads = load_day(
        dsn=database, pipeline="zluri", day="day1", base=str(base), declarations=ZLURI, flow_run_id="run",
        session=Inline(), mode="always",
    )  # fmt: skip
    return next(each for each in loads if each.entity == "transactions")


def staged(connection: Connection) -> list[tuple[Any, ...]]:
    """Return the rows, the odd records and the parts' common figures of the day."""
    return [
        *connection.execute("select transaction_id, source_file, position from stg_transactions order by position"),
        *connection.execute("select source_file, position, reason from stg_rejects order by position"),
        *connection.execute(
            "select records_read, rows_loaded, rejects, files from stg_loads where entity = 'transactions'"
        ),
    ]


@pytest.fixture
def divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few hundred bytes count as large."""
    monkeypatch.setattr(split, "_DIVIDED", 300)
    monkeypatch.setattr(split, "_SMALLEST", 300)


def test_positions_are_those_of_the_file(
    database: str, base: Path, connection: Connection, request: pytest.FixtureRequest
) -> None:
    """Rows, rejects and figures are the same, to the position of each record."""
    (base / "sync-day1" / "transactions" / "a.jsonl").write_text(lines(50, odd=40))
    (base / "sync-day1" / "transactions" / "b.json").write_text(json.dumps([RECORD]))
    load(database, base)
    whole = staged(connection)
    assert (49, "t49", "a.jsonl") not in whole
    request.getfixturevalue("divided")
    load(database, base)
    assert staged(connection) == whole


@pytest.mark.usefixtures("divided")
def test_an_unreadable_line_is_named(database: str, base: Path) -> None:
    """With its line in the file, blank lines counted."""
    (base / "sync-day1" / "transactions" / "a.jsonl").write_text(lines(50) + "\n\n{nope\n")
    with pytest.raises(UnreadableFile, match=r"a\.jsonl:68:2: "):
        load(database, base)


@pytest.mark.usefixtures("divided")
@pytest.mark.parametrize(("good", "useless"), [(0, [("a.jsonl", 400)]), (1, [])], ids=["all", "but one"])
def test_a_useless_file_is_named_once(database: str, base: Path, good: int, useless: list[tuple[str, int]]) -> None:
    """A file is useless where none of its spans gave a row, and not where some did not."""
    content = "\n".join([json.dumps(ODD)] * (400 - good) + [json.dumps(RECORD)] * good)
    (base / "sync-day1" / "transactions" / "a.jsonl").write_text(content)
    (base / "sync-day1" / "transactions" / "b.json").write_text(json.dumps([RECORD]))
    assert [(file.name, file.rejects) for file in load(database, base).useless] == useless
