"""The checksum of rows as they are sent, and of the same rows as they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from staging_loaders import checksum
from staging_loaders.convert import Loaded, compile_entity
from staging_loaders.entity import TYPES, Entity, read_declaration
from staging_loaders.lines import Lines
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


def test_the_order_of_rows_does_not_matter() -> None:
    """Nor which worker has sent which."""
    digest = checksum.digest_for(180_000)
    rows = [checksum.sent(row, ()).encode() for row in (["a", None], ["b", "1"], [None, ""])]
    assert sum(map(digest, rows)) == sum(map(digest, reversed(rows)))
    assert len({digest(row) for row in rows}) == 3
