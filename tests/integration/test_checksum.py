"""The checksum of rows as they are sent, and of the same rows as they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from staging_loaders import checksum, slow_json
from staging_loaders.convert import Loaded, compile_entity, json_text
from staging_loaders.entity import TYPES, Entity, read_declaration
from staging_loaders.fast import compile_records
from staging_loaders.lines import BinaryRows, Lines
from staging_loaders.values import Number

Connection = psycopg.Connection[tuple[Any, ...]]

# One field of each type, in each kind of column that it may have.
FIELDS = [(f"c{number}", kind, column) for number, (kind, column) in enumerate(
    (kind, column) for kind, columns in TYPES.items() for column in columns
)]  # fmt: skip
SMALL = {"integer": 32_767, "smallint": 32_767}


@pytest.fixture(scope="module")
def entity(tmp_path_factory: pytest.TempPathFactory) -> Entity:
    """An entity of all types, whose records have a key of digits."""
    lines = ['table = "checked"', 'key = "key"', "[fields]", 'key = { type = "text", required = true }']
    for name, kind, column in FIELDS:
        limits = ", min = -32767, max = 32767" if column in SMALL else ""
        lines.append(f'{name} = {{ type = "{kind}"{limits} }}')
    path: Path = tmp_path_factory.mktemp("checked") / "checked.toml"
    path.write_text("\n".join(lines))
    return read_declaration(path)


texts = st.one_of(
    st.sampled_from(["", "\\N", "\\", "\t", "\n", '"', "a\tb", "{}", "é😀", "\x00", "NULL"]), st.text(max_size=6)
)
numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(lambda value: Number(str(value))),
    st.sampled_from([Number("-0.0"), Number("1e3"), Number("1.500"), Number("12e-7"), "007.50", "+5", "-0"]),
)
integers = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(-40_000, 40_000), st.sampled_from(["007", "+1", "-0"])
)
times = st.one_of(
    st.datetimes(timezones=st.timezones()).map(lambda value: value.isoformat()),
    st.datetimes().map(str),
    st.sampled_from(["2026-01-05T10:00Z", "2026-01-05 10:00:00.100Z", "2026-01-05T10:00:00.000000Z"]),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "integer": integers,
    "number": numbers,
    "text": texts,
    "time": times,
    "date": st.dates().map(str),
    "boolean": st.booleans(),
    "currency": st.sampled_from(["USD", "EUR", "usd"]),
    "integer[]": st.lists(integers, max_size=3),
    "text[]": st.lists(texts, max_size=3),
    "json": st.one_of(texts, st.dictionaries(st.text("ab", max_size=2), st.integers(), max_size=3)),
}
records = st.fixed_dictionaries(
    {"key": st.integers(0, 99).map(str)},
    optional={name: st.one_of(st.none(), VALUES[kind]) for name, kind, _ in FIELDS},
)


@pytest.fixture(params=[160_000, 180_000])
def version(request: pytest.FixtureRequest, connection: Connection) -> int:
    """A version of the server, the digest of which this one knows."""
    if request.param > connection.info.server_version:
        pytest.skip("this server has no crc32()")
    return int(request.param)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(records, max_size=4))
@example([])
def test_what_is_stored_adds_up_to_what_was_sent(
    connection: Connection, entity: Entity, version: int, found: list[dict[str, Any]]
) -> None:
    """Of any values of any types, on servers with crc32() and without."""
    connection.execute("drop table if exists checked")
    columns = [("key", "text"), *((name, column) for name, _, column in FIELDS)]
    connection.execute(f"create table checked ({', '.join(map(' '.join, columns))})".encode())
    convert = compile_entity(entity)
    lines = Lines(connection, "checked", entity.columns, checksum.digest_for(version), checksum.rewritten(entity))
    for record in found:
        outcome = convert(record)
        if isinstance(outcome, Loaded):
            lines.add(outcome.row)
    lines.flush()
    connection.execute("set timezone = 'Asia/Kolkata'")
    expression = checksum.stored(columns, version)
    row = connection.execute(f"select count(*), coalesce({expression}, 0) from checked".encode()).fetchone()
    assert row == (lines.count, lines.checksum)


TABLES = ("by_text", "by_binary")
KINDS = (("key", "text"), *((name, column) for name, _, column in FIELDS))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(records, max_size=4))
@example([])
@example([{"key": "k", **dict.fromkeys(name for name, *_ in FIELDS)}])
def test_binary_rows_are_those_of_the_text(
    connection: Connection, entity: Entity, version: int, found: list[dict[str, Any]]
) -> None:
    """What ordinary records become in the binary format is what the exact converter writes of them, as is its sum."""
    build = compile_records(entity, KINDS)
    assert build is not None
    convert = compile_entity(entity)
    digest = checksum.digest_for(version)
    names = ("source_file", "position", *entity.columns)
    columns = [("source_file", "text"), ("position", "bigint"), *KINDS]
    for table in TABLES:
        connection.execute(f"drop table if exists {table}")
        connection.execute(f"create table {table} ({', '.join(map(' '.join, columns))})".encode())
    raws = [json_text(record).encode() for record in found]
    rows: list[Any] = []
    odd: list[int] = []
    sent = build(raws, 7, "f\t", digest, rows, odd)
    binary = BinaryRows(connection, "by_binary", names)
    binary.add_lines(rows, sent)
    binary.flush()
    text = Lines(connection, "by_text", names, digest, tuple(index + 2 for index in checksum.rewritten(entity)))
    for position, raw in enumerate(raws, 8):
        outcome = convert(slow_json.decode(raw.decode()))
        if position not in odd:
            assert isinstance(outcome, Loaded)
            text.add(["f", str(position), *outcome.row])
    text.flush()
    assert (binary.count, sent) == (text.count, text.checksum)
    expression = checksum.stored(columns, version)
    row = connection.execute(f"select count(*), coalesce({expression}, 0) from by_binary".encode()).fetchone()
    assert row == (binary.count, sent)
    both = [connection.execute(f"select t::text from {table} t order by 1".encode()).fetchall() for table in TABLES]
    assert both[0] == both[1]


def test_the_order_of_rows_does_not_matter() -> None:
    """Nor which worker has sent which."""
    digest = checksum.digest_for(180_000)
    rows = [checksum.sent(row, ()).encode() for row in (["a", None], ["b", "1"], [None, ""])]
    assert sum(map(digest, rows)) == sum(map(digest, reversed(rows)))
    assert len({digest(row) for row in rows}) == 3
