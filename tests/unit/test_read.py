"""Reading: every kind of file gives its records in order with their own text; what is unreadable says where."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import UnreadableFile
from staging_loaders import slow_json
from staging_loaders.files import find_files, fingerprint
from staging_loaders.read import read_records
from staging_loaders.record import record_text
from staging_loaders.values import Number, Unfit
from staging_loaders.values import moment as moment_of
from tests.unit.test_entity_convert import ENTITIES

BOM = b"\xef\xbb\xbf"


def read(folder: Path, name: str, content: bytes, arrays: tuple[tuple[str, ...], ...] = ()) -> list[tuple[Any, str]]:
    """Write a file and return its records with their text."""
    path = folder / name
    path.write_bytes(content)
    return [(record, record_text(record, raw)) for record, raw in read_records(str(path), frozenset(arrays))]


@pytest.mark.parametrize(
    ("name", "content", "records"),
    [
        ("a.json", b'{"id": 1}', [({"id": 1}, '{"id": 1}')]),
        ("a.json", b' [{"id":1} , {"id":2}]\n', [({"id": 1}, '{"id":1}'), ({"id": 2}, '{"id":2}')]),
        ("a.json", b'{"next": null, "results": [ {"id" : 1} ]}', [({"id": 1}, '{"id" : 1}')]),
        ("a.json", b'{"results": [1], "results": [2]}', [(2, "2")]),
        ("a.json", b'{"results": null}', [({"results": None}, '{"results": null}')]),
        ("a.json", b"[]", []),
        ("a.json", b"[1, null, \"x\", [2]]", [(1, "1"), (None, "null"), ("x", '"x"'), ([2], "[2]")]),
        ("a.json", b"5", [(5, "5")]),
        ("a.json", BOM + b'[{"id":1}]', [({"id": 1}, '{"id":1}')]),
        ("a.json.gz", gzip.compress(BOM + b'[{"id":1}]', mtime=0), [({"id": 1}, '{"id":1}')]),
        ("a.jsonl", b'{"id":1}\n\n  {"id":2} \r\n[3]',
         [({"id": 1}, '{"id":1}'), ({"id": 2}, '{"id":2}'), ([3], "[3]")]),
        ("a.ndjson", BOM + b'{"id":1}\n', [({"id": 1}, '{"id":1}')]),
        ("a.jsonl.gz", gzip.compress(b'{"id":1}\n', mtime=0) + gzip.compress(b'{"id":2}\n', mtime=0),
         [({"id": 1}, '{"id":1}'), ({"id": 2}, '{"id":2}')]),
        ("a.jsonl", b"", []),
        ("a.csv", b"\n\nid\n7\n", [({"id": "7"}, '{"id": "7"}')]),
        ("a.csv", b"id,name\n", []),
        ("a.JSON", b"[]", []),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_records_of_json(tmp_path: Path, name: str, content: bytes, records: list[tuple[Any, str]]) -> None:
    """One object, an array, a page of results or lines, packed or not: the records and their exact text."""
    assert read(tmp_path, name, content) == records


def nested(levels: int, around: Callable[[object], object]) -> object:
    """Return null inside so many containers."""
    value: object = None
    for _ in range(levels):
        value = around(value)
    return value


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    """Nothing goes through a float."""
    written = b'{"a": 1.50, "b": 1e3, "c": 12345678901234567890123, "d": 1e999999999, "e": 7, "f": -0.0, "g": -0}'
    expected = {"a": "1.50", "b": "1e3", "c": 12345678901234567890123, "d": "1e999999999", "e": 7, "f": "-0.0"}
    for name, content in [("a.json", b"[%s]" % written), ("b.json", written), ("a.jsonl", written + b"\n{}")]:
        record, text = read(tmp_path, name, content)[0]
        assert record == {**expected, "g": "-0"}
        assert type(record["a"]) is type(record["g"]) is Number
        assert text == written.decode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (rb'{"a": "\ud800", "b": 1.50}', {"a": "\ud800", "b": Number("1.50")}),
        (b'{"a": ' + b"9" * 5000 + b"}", {"a": Number("9" * 5000)}),
        (b'{"b": 1, "a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", {"b": 1, "a": nested(99, lambda inner: [inner])}),
        (b'{"a": ' * 30_000 + b'"]"' + b"}" * 30_000, nested(100, lambda inner: {"a": inner})),
    ],
    ids=["lone surrogate", "long integer", "deep array", "deep object"],
)
@pytest.mark.parametrize("form", ["page", "array", "object", "lines"])
def test_what_the_fast_parser_refuses(tmp_path: Path, content: bytes, expected: object, form: str) -> None:
    """Lone surrogates, endless integers and bottomless nesting are JSON: the record stays one among its neighbours.

    What lies deeper than any field of ours is looked upon as null.
    """
    around = {
        "page": b'{"n": 1, "results": [1, %s , 2]}',
        "array": b"[1,%s,2]",
        "object": b" %s",
        "lines": b"1\n%s\n2\n",
    }
    found = read(tmp_path, "a.jsonl" if form == "lines" else "a.json", around[form].replace(b"%s", content))
    middle = (expected, content.decode())
    assert found == ([middle] if form == "object" else [(1, "1"), middle, (2, "2")])


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", b"", "1:1: the file is empty"),
        ("a.json", b" \n", "1:1: the file is empty"),
        ("a.json.gz", gzip.compress(b"", mtime=0), "1:1: the file is empty"),
        ("a.json", b'[-0 ,\n nope]', "2:2: expecting value"),
        ("a.jsonl", b'{"id": -0}\n{"id": -0 nope}', "2:11: expecting ',' delimiter"),
        ("a.csv", b"", "1:1: the file has no header"),
        ("a.csv", b"id,name\n1,a\n2", "3:2: the row has 1 of the header's 2 cells: is the file truncated?"),
        ("a.csv.gz", b"", "1:1: the compressed file is empty"),
        ("a.jsonl.gz", b"", "1:1: the compressed file is empty"),
        ("a.json", b'[{"id": 1},\n {"id": 2', "2:10: the file ends in the middle of a value"),
        ("a.json", b'[{"id": 1},\n {"id": "\xc3\xa9', "2:9: the file ends in the middle of a value"),
        ("a.json", b'[{"id": 1},\n {"id": NaN}]', "2:9: NaN is not JSON"),
        ("a.json", b'[{"a": "NaN"},\n {"id": -Infinity}]', "2:9: -Infinity is not JSON"),
        ("a.json", b'{"results": [{"id": 1}\n, {"id": 01}]}', "2:11: expecting ',' delimiter"),
        ("a.json", b'{"results": [{"id": 1}', "1:23: the file ends in the middle of a value"),
        ("a.json", b'[{"id": 1}\n {"id": 2}]', "2:2: expected ',' or ']'"),
        ("a.json", b'{"id": 1}\n{"id": 2}\n', "2:1: more follows after the end of the JSON value"),
        ("a.json", b'[{"id": "a\nb"}]', "1:11: invalid control character"),
        ("a.json", b'["\xc3\xa9",\n "\xc3\xa9 \xff"]', "2:5: not UTF-8 (byte 0xff)"),
        ("a.json", '[{"id": 1}]'.encode("utf-16"), "1:1: not UTF-8 (byte 0xff)"),
        ("a.json", b'{"x": "\xff", "results": []}', "1:8: not UTF-8 (byte 0xff)"),
        ("a.json", b"[" * 100_000, "1:100001: the file ends in the middle of a value"),
        ("a.json", b"{\"a\":" * 100_000 + b"]", "1:500001: ']' closes nothing"),
        ("a.json", b"<html>", "1:1: expecting value"),
        ("a.jsonl", b'{"id": 1}\n{"id": ', "2:8: the line ends in the middle of a value"),
        ("a.jsonl", b'{"id": 1}\n{"id": 2} {"id": 3}', "2:11: more follows after the end of the JSON value"),
        ("a.jsonl", b'{"id": 1}\n{"id": "\xff"}', "2:9: not UTF-8 (byte 0xff)"),
        ("a.jsonl", b'{"id": 1}\n\n{"id": NaN}', "3:8: NaN is not JSON"),
        ("a.json.gz", b"[1]", "1:1: not gzip: Not a gzipped file"),
        ("a.json.gz", gzip.compress(b"[1,\n2]", mtime=0)[:-8], "2:3: the compressed file is truncated"),
        ("a.jsonl.gz", gzip.compress(b"1\n2\n3", mtime=0)[:-8], "3:2: the compressed file is truncated"),
        ("a.csv", b'id,name\n1,"x\n', "2:6: the file ends in the middle of a quoted cell"),
        ("a.csv", b'id,name\n1,"x"y\n', "2:1: not CSV"),
        ("a.csv", b"id,name\n1,\xff\n", "2:3: not UTF-8 (byte 0xff)"),
        ("a.csv", b"id,id\n", "1:1: the column id is there more than once"),
        ("a.parquet", b"PAR1 and no more", "1:1: not a Parquet file, or a broken one"),
        ("a.txt", b"[]", ": unknown ending"),
        ("a.parquet.gz", b"", ": unknown ending"),
        ("a", b"[]", ": unknown ending"),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_unreadable_files(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    """The error names file, line and column, and what to do."""
    with pytest.raises(UnreadableFile) as error:
        read(tmp_path, name, content)
    assert str(error.value).startswith(str(tmp_path / name) + ":")
    assert told in str(error.value)
    assert error.value.hint


def test_a_file_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    """It was there when the day was planned."""
    with pytest.raises(UnreadableFile, match=r"a\.json: No such file"):
        list(read_records(str(tmp_path / "a.json")))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(json_values, max_size=5), st.sampled_from([None, 1]), st.booleans(), st.booleans())
def test_fast_and_slow_agree(
    tmp_path: Path, records: list[Any], indent: int | None, ascii_only: bool, page: bool
) -> None:
    """Both parsers see the same records with the same text in any page, lone surrogates included."""
    text = json.dumps({"a": 1, "results": records} if page else records, indent=indent, ensure_ascii=ascii_only)
    content = text.encode("utf-8", "surrogatepass")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        with pytest.raises(UnreadableFile, match="not UTF-8"):
            read(tmp_path, "a.json", content)
        return
    found = read(tmp_path, "a.json", content)
    assert [record for record, _ in found] == records
    assert found == [(slow_json.decode(record), record) for record in slow_json.records(text)]
    assert [json.loads(raw) for _, raw in found] == records


def test_csv(tmp_path: Path) -> None:
    """Dotted names nest, empty cells are absent, arrays are JSON text where arrays are expected."""
    content = BOM + (
        b"id,contact.email,contact.name,agent_ids,note\r\n"
        b'1,a@x,"Ada ""A""\nLovelace","[1, ""2"", 1.50]","[draft]"\r\n'
        b"\r\n"
        b"2,,,oops,\r\n"
        b'3,,,"{""a"": 1}"\r\n'
    )
    found = read(tmp_path, "a.csv", content, arrays=(("agent_ids",),))
    assert [record for record, _ in found] == [
        {
            "id": "1",
            "contact": {"email": "a@x", "name": 'Ada "A"\nLovelace'},
            "agent_ids": [1, "2", Number("1.50")],
            "note": "[draft]",
        },
        {"id": "2", "agent_ids": "oops"},
        {"id": "3", "agent_ids": '{"a": 1}'},
    ]
    assert json.loads(found[0][1])["contact"]["name"] == 'Ada "A"\nLovelace'


def test_a_csv_row_longer_than_its_header_is_odd(tmp_path: Path) -> None:
    """No one knows which cell is too many; empty ones at the end are harmless."""
    [(first, raw), (second, _)] = read(tmp_path, "a.csv", b"id,name\n1,a,b\n2,c,,\n")
    assert first == Unfit("the row has more cells than the header")
    assert json.loads(raw) == {"id": "1", "name": "a", "": ["b"]}
    assert second == {"id": "2", "name": "c"}


FIELDS = (("id",), ("contact", "email"), ("email",))


@pytest.mark.parametrize(
    ("header", "readable"),
    [("id,x", True), ("x,contact.email", True), ("<html>,x", False), ("contact,", False), (",", False)],
)
def test_a_csv_without_a_declared_field_is_unreadable(tmp_path: Path, header: str, readable: bool) -> None:
    """A foreign file is no snapshot of nobody; the error says what was expected and what is there."""
    (tmp_path / "a.csv").write_text(f"\n{header}\n1,2\n")
    records = read_records(str(tmp_path / "a.csv"), fields=FIELDS)
    if readable:
        assert len(list(records)) == 1
        return
    with pytest.raises(
        UnreadableFile, match=r"a\.csv:2:1: no column is a field .* expected are id, contact.email, email"
    ):
        list(records)


@pytest.mark.parametrize(
    ("columns", "readable"),
    [
        ({"id": [1]}, True),
        ({"contact": [{"email": "a@x"}]}, True),
        ({"contact.email": ["a@x"]}, True),
        ({"contact": [{"phone": "1"}]}, False),
        ({"x": [1]}, False),
    ],
    ids=["plain", "nested", "dotted", "nested, not declared", "not declared"],
)
def test_a_parquet_without_a_declared_field_is_unreadable(
    tmp_path: Path, columns: dict[str, list[object]], readable: bool
) -> None:
    """As with CSV; a column may be an object that holds the field."""
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    records = read_records(str(tmp_path / "a.parquet"), fields=FIELDS)
    if readable:
        assert len(list(records)) == 1
        return
    with pytest.raises(UnreadableFile, match=r"a\.parquet:1:1: no column is a field"):
        list(records)


def test_parquet(tmp_path: Path) -> None:
    """Columns of any type become what JSON would hold; nested and dotted names alike."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table(
        {
            "id": pyarrow.array([1, 2], pyarrow.int32()),
            "contact": [{"email": "a@x", "seen": datetime(2026, 1, 5, 10)}, None],
            "flat.name": ["n", None],
            "time": pyarrow.array([1_767_607_200_123_456_789, None], pyarrow.timestamp("ns", "UTC")),
            "far": pyarrow.array([2**62, None], pyarrow.timestamp("us")),
            "day": pyarrow.array([date(2026, 1, 5), None]),
            "ids": pyarrow.array([[1, None], None], pyarrow.list_(pyarrow.int64())),
            "price": pyarrow.array([Decimal("1.50"), None], pyarrow.decimal128(10, 2)),
            "rate": [0.1, None],
            "word": pyarrow.array(["w", "w"]).dictionary_encode(),
            "bytes": [b"b", None],
            "flag": [True, None],
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=1)
    first, second = (record for record, _ in read_records(str(tmp_path / "a.parquet")))
    assert isinstance(first, dict)
    assert first["time"].startswith("2026-01-05 10:00:00.123456789")
    assert "2026" not in first.pop("far")
    del first["time"]
    assert first == {
        "id": 1,
        "contact": {"email": "a@x", "seen": "2026-01-05 10:00:00.000000"},
        "flat": {"name": "n"},
        "day": "2026-01-05",
        "ids": [1, None],
        "price": Number("1.50"),
        "rate": Number("0.1"),
        "word": "w",
        "bytes": "b",
        "flag": True,
    }
    assert isinstance(second, dict)
    assert (second["id"], second["contact"], second["ids"]) == (2, None, None)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "+05:30"])
def test_parquet_times_of_zones(tmp_path: Path, unit: str, zone: str) -> None:
    """A time is the same moment whatever its zone, also where that once differed from UTC by seconds, and in maps."""
    import pyarrow
    from pyarrow import parquet

    kind = pyarrow.timestamp(unit, zone)
    moments = [datetime(1800, 1, 1, tzinfo=UTC), datetime(2026, 7, 5, 10, tzinfo=UTC)]
    columns = {
        "at": pyarrow.array(moments, kind),
        "all": pyarrow.array([[moment] for moment in moments], pyarrow.list_(kind)),
        "named": pyarrow.array([[("a", moment)] for moment in moments], pyarrow.map_(pyarrow.string(), kind)),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    records: list[Any] = [record for record, _ in read_records(str(tmp_path / "a.parquet"))]
    for record, shown in zip(records, ["1800-01-01T00:00:00Z", "2026-07-05T10:00:00Z"], strict=True):
        for value in (record["at"], record["all"][0], record["named"][0][1]):
            assert moment_of(value) == shown


def test_file_order_and_ignored_names(tmp_path: Path) -> None:
    """By path as a plain string, at any depth; names that start with a dot or an underscore do not count."""
    for name in [
        "b.json",
        "a/z.json",
        "a.json",
        "B.json",
        ".x.json",
        "_SUCCESS",
        "_tmp/a.json",
        ".git/a.json",
        "é.json",
    ]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("[]")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "up").symlink_to(tmp_path.parent)
    (tmp_path / "link.json").symlink_to(tmp_path / "a.json")
    names = [file.name for file in find_files(tmp_path)]
    assert names == ["B.json", "a.json", "a/z.json", "b.json", "link.json", "é.json"]
    assert find_files(tmp_path / "nowhere") == ()


def test_names_that_are_not_utf8_are_shown_as_text(tmp_path: Path) -> None:
    """A file may be called anything; what is stored of its name is text, and no two are called alike."""
    for name in (b"\xfe.json", b"\xff.json", b"\xc3\xa9.json"):
        (tmp_path / os.fsdecode(name)).write_text("[]")
    found = find_files(tmp_path)
    assert [file.name for file in found] == ["\\xfe.json", "\\xff.json", "é.json"]
    assert [list(read_records(file.path)) for file in found] == [[], [], []]


@pytest.mark.parametrize("odd", ["fifo", "dangling"])
def test_what_is_no_file_is_unreadable(tmp_path: Path, odd: str) -> None:
    """A pipe would be waited for, a broken link is a page that is missing."""
    if odd == "fifo":
        os.mkfifo(tmp_path / "a.json")
    else:
        (tmp_path / "a.json").symlink_to(tmp_path / "gone")
    with pytest.raises(UnreadableFile, match=r"a\.json"):
        find_files(tmp_path)


@pytest.mark.parametrize("change", ["content", "name", "more", "declaration"])
def test_a_fingerprint_tells_loads_apart(tmp_path: Path, change: str) -> None:
    """Content, names and the declaration count; times and the folder's place do not."""
    entity = ENTITIES["roles"]
    for place in ("one", "other"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.json").write_text("[1]")
    os.utime(tmp_path / "other" / "a.json", (0, 0))
    before = fingerprint(entity, find_files(tmp_path / "one"))
    assert fingerprint(entity, find_files(tmp_path / "other")) == before
    if change == "content":
        (tmp_path / "other" / "a.json").write_text("[2]")
    elif change == "name":
        (tmp_path / "other" / "a.json").rename(tmp_path / "other" / "b.json")
    elif change == "more":
        (tmp_path / "other" / "b.json").write_text("[]")
    else:
        entity = ENTITIES["agents"]
    assert fingerprint(entity, find_files(tmp_path / "other")) != before
