"""Records that mean harm: none is lost, none crashes a load, and a load's time and memory grow with its input."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from staging_loaders.engine import Engine
from staging_loaders.load import EntityLoad, load_day
from staging_loaders.local import Local
from staging_loaders.session import Session
from staging_loaders.split import Work

DECLARATION = """
table = "stg_things"
key = "thing_id"

[fields]
thing_id = { from = "id", type = "integer", required = true }
name = { from = ["a.name", "name"], type = "text" }
amount = { type = "number" }
at = { type = "time" }
on_day = { from = "on", type = "date" }
tags = { type = "text[]" }
numbers = { type = "integer[]" }
part = { from = "x.y", type = "json" }
whole = { from = ".", type = "json" }
"""
TABLE = """
create table stg_things (
    day text not null,
    source_file text collate "C" not null,
    position bigint not null,
    thing_id bigint not null,
    name text,
    amount numeric,
    at timestamptz,
    on_day date,
    tags text[],
    numbers bigint[],
    part jsonb,
    whole jsonb
) partition by list (day)
"""
DEEP = "[" * 10_000 + "]" * 10_000
NINES = "9" * 100_000

# The record's JSON -> what its row has, by column; None for one that is rejected.
RECORDS: dict[str, tuple[str, dict[str, object] | None]] = {
    "NUL": (r'{"id": 1, "name": "a\u0000b", "tags": ["\u0000"], "x": {"y": "\u0000"}}',
            {"name": "a\ufffdb", "tags": ["\ufffd"], "part": "\ufffd"}),
    "half a pair": (r'{"id": 1, "name": "\ud800", "tags": ["\udfff"], "x": {"y": {"\ud800": 1}}}',
                    {"name": "\ufffd", "tags": ["\ufffd"], "part": {"\ufffd": 1}}),
    "deep": ('{"id": 1, "name": ' + DEEP + "}", {"name": None}),
    "deep objects": ('{"id": 1, "x": {"y": ' + '{"a":' * 3_000 + "1" + "}" * 3_000 + "}}", {"part": None}),
    "nothing but deep": (DEEP, None),
    "2^70": ('{"id": 1180591620717411303424}', None),
    "2^70 as text": ('{"id": "1180591620717411303424"}', None),
    "2^63": ('{"id": 9223372036854775808}', None),
    "least": ('{"id": -9223372036854775808}', {"thing_id": -(2**63)}),
    "year 10000": ('{"id": 1, "at": "10000-01-01T00:00:00Z", "on": "10000-01-01"}', {"at": None, "on_day": None}),
    "year 0": ('{"id": 1, "at": "0000-06-01T00:00:00Z", "on": "0000-01-01"}', {"at": None, "on_day": None}),
    "before Christ": ('{"id": 1, "at": "-0001-01-01T00:00:00Z", "on": "0044-03-15 BC"}', {"at": None, "on_day": None}),
    "infinity": ('{"id": 1, "at": "infinity", "on": "-infinity"}', {"at": None, "on_day": None}),
    "same key": ('{"id": 1, "id": 2, "name": "a", "name": "b", "x": {"y": {"k": 1, "k": 2}}}',
                 {"thing_id": 2, "name": "b", "part": {"k": 2}}),
    "last is null": ('{"id": 1, "name": "a", "name": null, "a": {"name": "b"}, "a": null}', {"name": None}),
    "1e400": ('{"id": 1, "amount": 1e400, "x": {"y": 1e400}}', {"amount": Decimal(10) ** 400}),
    "too large": ('{"id": 1, "amount": 1e131072, "x": {"y": 1e131072}}', {"amount": None, "part": None}),
    "no size": ('{"id": 1, "amount": 1e99999999999999999999, "x": {"y": [1e99999999999999999999]}}',
                {"amount": None, "part": None}),
    "too small": ('{"id": 1, "amount": 1e-16384, "x": {"y": 1e-16384}}', {"amount": None, "part": None}),
    "many digits": ('{"id": 1, "amount": ' + NINES + ', "x": {"y": ' + NINES + "}}", {"amount": Decimal(NINES)}),
    "zeros at the end": ('{"id": 1, "x": {"y": 2.' + "0" * 100_000 + "}}", {"part": 2}),
    "zero": ('{"id": 1, "amount": -0e-99999, "x": {"y": [0e-99999, -0]}}', {"amount": 0, "part": [0, 0]}),
    "digits of an id": ('{"id": ' + NINES + "}", None),
    "an id with a point": ('{"id": 1.' + "0" * 100_000 + "e0}", {"thing_id": 1}),
    "other digits": ('{"id": "\uff11"}', None),
    "no object": ("[[[]]]", None),
    "null": ("null", None),
    "empty": ("{}", None),
    "many kinds": ('{"id": 1, "tags": ["{}", "\\"", "\\\\", "NULL", "", null, {}], "numbers": [1e400, "2", 3.0]}',
                   {"tags": ["{}", '"', "\\", "NULL", ""], "numbers": [2, 3]}),
    "unicode": ('{"id": 1, "name": "\u202e\u200b\ufeff\U0010ffff\\u001b[31m\x7f\x9b\u2028\x85"}',
                {"name": "\u202e\u200b\ufeff\U0010ffff\x1b[31m\x7f\x9b\u2028\x85"}),
    "not normal": ('{"id": 1, "name": "e\u0301", "\u00e9": 1, "e\u0301": 2}', {"name": "e\u0301"}),
    "escapes": ('{"id": 1, "name": "\\\\N\\t\\n\\r\\\\.\\b", "tags": ["\\\\N"]}',
                {"name": "\\N\t\n\r\\.\b", "tags": ["\\N"]}),
    "odd keys": ('{"": 1, "\\u0069d": 1, "\\u0000": 2, "a.name": 3}', {"thing_id": 1, "name": None}),
    "many keys": ('{"id": 1, ' + ", ".join(f'"k{n}": {n}' for n in range(50_000)) + "}", {"thing_id": 1}),
}  # fmt: skip

Load = Callable[[dict[str, bytes]], EntityLoad]


@pytest.fixture(params=["inline", *(pytest.param(name, marks=pytest.mark.long) for name in ("processes", "spark"))])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine | Session]:
    """What reads the files."""
    if request.param == "spark":
        yield request.getfixturevalue("spark")
        return
    with Local(2, inline_weight=10**15 if request.param == "inline" else 0) as local:
        local.expect(Work(1, 1, 1))
        yield local


@pytest.fixture
def load(
    connection: psycopg.Connection[Any],
    database: str,
    tmp_path: Path,
    engine: Engine | Session,
    monkeypatch: pytest.MonkeyPatch,
) -> Load:
    """Load files, by name, as the day1 of an entity `things`."""
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)
    connection.execute(TABLE.encode())
    declarations, folder = tmp_path / "loaders", tmp_path / "days/sync-day1/things"
    declarations.mkdir()
    (declarations / "things.toml").write_text(DECLARATION)
    folder.mkdir(parents=True)

    def load(files: dict[str, bytes]) -> EntityLoad:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        (found,) = load_day(
            dsn=database, pipeline="things", day="day1", base=str(tmp_path / "days"), declarations=declarations,
            flow_run_id="run", session=engine, mode="always",
        )  # fmt: skip
        assert found.records_read == found.rows_loaded + found.rejects
        return found

    return load


def rows(connection: psycopg.Connection[Any], file: str) -> dict[int, dict[str, Any]]:
    """Return position -> row of what was read of a file."""
    columns = "position, thing_id, name, amount, at, on_day, tags, numbers, part::text as part"
    cursor = connection.execute(f"select {columns} from stg_things where source_file = %s".encode(), (file,))
    names = [column.name for column in cursor.description or ()]
    found = [dict(zip(names, row, strict=True)) for row in cursor]
    for row in found:
        row["part"] = row["part"] and json.loads(row["part"], parse_int=Decimal)
    return {row["position"]: row for row in found}


def in_json(records: Sequence[str]) -> dict[str, bytes]:
    """Return records in each form of JSON, with byte-order marks and line ends of several kinds."""
    page = ",\n".join(records).encode()
    return {
        "array.json": b"\xef\xbb\xbf\r\n[" + page + b"]\r\n",
        "results.json.gz": gzip.compress(b'{"x": [1], "results": [' + page + b"]}", 1),
        "lines.jsonl": b"\xef\xbb\xbf" + "\r\n".join(records).encode() + b"\n \r\n\n",
        "empty.jsonl": b"",
    }


def test_hostile_records(load: Load, connection: psycopg.Connection[Any]) -> None:
    """Each becomes the row that it should, in every form, or a reject that keeps it."""
    texts = [text for text, _ in RECORDS.values()]
    files = in_json(texts)
    found = load(files)
    assert found.records_read == 3 * len(texts)
    expected = {number: row for number, (_, row) in enumerate(RECORDS.values(), 1) if row is not None}
    for file in ("array.json", "results.json.gz", "lines.jsonl"):
        seen = rows(connection, file)
        assert seen.keys() == expected.keys()
        for position, row in expected.items():
            assert {name: seen[position][name] for name in row} == row, list(RECORDS)[position - 1]
        rejected = connection.execute(
            "select position, raw_record from stg_rejects where severity = 'reject' and source_file = %s", (file,)
        ).fetchall()
        assert dict(rejected) == {
            number: text for number, (text, row) in enumerate(RECORDS.values(), 1) if row is None
        }  # fmt: skip


def test_large_records(load: Load, connection: psycopg.Connection[Any]) -> None:
    """A string of 10 MB is a value like any other, as text and as JSON."""
    text = "x" * 10_000_000
    assert (
        load({"a.jsonl": f'{{"id": 1, "name": "{text}"}}\n{{"id": 2, "x": {{"y": "{text}"}}}}'.encode()}).rejects == 0
    )
    assert [row["name"] or row["part"] for row in rows(connection, "a.jsonl").values()] == [text, text]


def test_hostile_cells(load: Load, connection: psycopg.Connection[Any]) -> None:
    """CSV: what is missing, too much, not JSON or of a hostile kind is a null with a warning, or a reject."""
    lines = [
        b"\xef\xbb\xbfid,name,amount,at,tags,x.y,unknown",
        b'1,"a\x00b",1e400,10000-01-01,"[""a"",1]",{,',
        b'2,"x\r\ny",NaN,infinity,oops,"' + DEEP.encode() + b'",',
        b"3",
        b"4,a,b,c,[],null,e,f,g",
        b"1180591620717411303424,,,,,,",
        b'"",,,,,,',
        b"5," + b"y" * 10_000_000 + b",,,,,",
        b'6,=cmd(),"\xef\xbb\xbf1",,"[1,2",NaN,',
    ]
    assert load({"a.csv": b"\r\n".join(lines)}).records_read == len(lines) - 1
    seen = {row["thing_id"]: row for row in rows(connection, "a.csv").values()}
    assert seen[1]["name"] == "a\ufffdb" and seen[1]["amount"] == Decimal(10) ** 400 and seen[1]["tags"] == ["a", "1"]
    assert seen[2]["name"] == "x\r\ny" and seen[2]["amount"] is None and seen[2]["part"] is None
    assert len(seen[5]["name"]) == 10_000_000 and seen[6]["name"] == "=cmd()"


def test_hostile_columns(load: Load, connection: psycopg.Connection[Any], tmp_path: Path) -> None:
    """Parquet: numbers that are none, times outside all calendars, bytes and odd types are nulls with a warning."""
    deep = pa.array([1, 2])
    for _ in range(80):
        deep = pa.StructArray.from_arrays([deep], ["a"])
    columns = {
        "id": pa.array([1, 2**64 - 1], pa.uint64()),
        "name": pa.array([b"\xff\x00", b"a"]),
        "amount": pa.array([float("nan"), float("inf")]),
        "at": pa.array([2**62, -(2**62)], pa.timestamp("us")),
        "on": pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32()),
        "tags": pa.array([["\0", None], None]),
        "x": pa.StructArray.from_arrays([deep], ["y"]),
        "\x1b[31m\u202e": pa.array([1, 2]),
    }
    file = tmp_path / "a.parquet"
    parquet.write_table(pa.table(columns), file)
    found = load({"a.parquet": file.read_bytes()})
    assert (found.records_read, found.rows_loaded, found.rejects) == (2, 1, 1)
    (row,) = rows(connection, "a.parquet").values()
    assert row["amount"] is row["at"] is row["on_day"] is None and row["tags"] == ["\ufffd"]
    assert row["name"] == "\ufffd\ufffd"
    assert json.dumps(row["part"], default=str).count("{") == 80


@pytest.mark.parametrize(
    "record",
    ['{"id": 1, "name": ' + "[" * 4_000 + "]" * 4_000 + "}", r'{"id": 1, "name": "\ud800"}', '{"id": 1e0, "id": 1}'],
    ids=["deep", "half a pair", "same key"],
)
def test_work_grows_with_the_records(record: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the fast parser refuses is read once or twice again, however many of its kind a page holds."""
    from staging_loaders import slow_json
    from staging_loaders.read_json import read_page

    read = []
    decode = slow_json.decode
    monkeypatch.setattr(slow_json, "decode", lambda text: read.append(len(text)) or decode(text))
    for count in (10, 100):
        read.clear()
        data = b"[" + b",".join([record.encode()] * count) + b"]"
        (batch,) = read_page("a.json", data)
        assert len([batch.exact(number) for number in range(count)]) == count
        assert sum(read) <= 2 * len(data)
