"""Fields of the type json: what the server keeps of them, and what it could not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from staging_loaders import landing
from staging_loaders.entity import Entity, read_declaration
from staging_loaders.files import find_files
from staging_loaders.part import Counts, Part, land_part

Connection = psycopg.Connection[tuple[Any, ...]]

DECLARATION = """
table = "stg_orders"
key = "id"

[fields]
id = { type = "integer", required = true }
city = { from = "ship.city" }
ship = { type = "json" }
lines = { type = "json", malformed = "reject" }
payload = { from = ".", type = "json" }
"""


@pytest.fixture
def entity(tmp_path: Path, connection: Connection) -> Entity:
    """Orders, and their table."""
    connection.execute(
        "create table stg_orders (day text, source_file text, position bigint, id bigint, city text, ship jsonb, "
        "lines jsonb, payload jsonb)"
    )
    (tmp_path / "orders.toml").write_text(DECLARATION)
    return read_declaration(tmp_path / "orders.toml")


def load(entity: Entity, connection: Connection, dsn: str, folder: Path, name: str, content: bytes) -> Counts:
    """Land a file with this content."""
    (folder / "orders").mkdir()
    (folder / "orders" / name).write_bytes(content)
    assert landing.check_table(connection, entity) is None
    target = landing.Target("l0123456789ab_1")
    landing.create(connection, target, entity, "day1")
    counts = land_part(Part(dsn, "test", entity, target, 0, find_files(folder / "orders")))
    assert isinstance(counts, Counts), counts
    return counts


def landed(connection: Connection) -> list[tuple[Any, ...]]:
    """Return the rows by position: id, city and the JSON columns as the server writes them."""
    return connection.execute(
        "select id, city, ship::text, lines::text, payload::text from landing.l0123456789ab_1_rows order by position"
    ).fetchall()


def odd(connection: Connection) -> list[tuple[Any, ...]]:
    """Return position, severity and reason of rejects and warnings."""
    return connection.execute(
        "select position, severity, reason from landing.l0123456789ab_1_rejects order by position, field"
    ).fetchall()


def test_parts_of_a_record_are_kept(entity: Entity, connection: Connection, database: str, tmp_path: Path) -> None:
    """A sub-object, an array and the whole record, numbers as they were written, beside fields within them."""
    records = rb"""[{"id": 1, "ship": {"city": "Ulm", "kg": 1.50, "note": "a\tb \\ \u0022", "x": {"y": [1e3, -0]}},
        "lines": [{"n": 1}, null]}, {"id": 2, "ship": null, "lines": "none"}, {"id": 3}]"""
    counts = load(entity, connection, database, tmp_path, "a.json", records)
    assert (counts.rows, counts.warnings, counts.rejects) == (3, 0, 0)
    rows = landed(connection)
    assert rows[0][:2] == (1, "Ulm")
    assert rows[0][2] == r'{"x": {"y": [1000, 0]}, "kg": 1.50, "city": "Ulm", "note": "a\tb \\ \""}'
    assert [row[2:4] for row in rows] == [(rows[0][2], '[{"n": 1}, null]'), (None, '"none"'), (None, None)]
    assert [json.loads(row[4])["id"] for row in rows] == [1, 2, 3]


@pytest.mark.parametrize(
    ("ship", "kept", "problem"),
    [
        (r'{"a\u0000": "\u0000"}', '{"a\ufffd": "\ufffd"}', None),
        (r'{"a": "\\u0000"}', r'{"a": "\\u0000"}', None),
        (r'{"a": "\ud800"}', '{"a": "\ufffd"}', None),
        ('{"a": 1, "a": 2}', '{"a": 2}', None),
        ('{"a": 1e131071}', f'{{"a": 1{"0" * 131071}}}', None),
        ('{"a": 1e131072}', None, "ship is not JSON that a jsonb column holds"),
        ('{"a": [1e-16384]}', None, "ship is not JSON that a jsonb column holds"),
        (f'{{"a": {"[" * 96}{"]" * 96}}}', f'{{"a": {"[" * 96}{"]" * 96}}}', None),
        (f'{{"a": {"[" * 99}{"]" * 99}}}', None, "ship is not JSON that a jsonb column holds"),
        (f'{{"a": {"[" * 5000}{"]" * 5000}}}', None, "ship is not JSON that a jsonb column holds"),
    ],
    ids=[
        "NUL",
        "no NUL",
        "lone surrogate",
        "twice",
        "large",
        "too large",
        "too small",
        "deep",
        "too deep",
        "bottomless",
    ],
)
def test_what_a_column_cannot_hold(
    entity: Entity,
    connection: Connection,
    database: str,
    tmp_path: Path,
    ship: str,
    kept: str | None,
    problem: str | None,
) -> None:
    """What no text can be is replaced; a value beyond jsonb's limits is warned about, and its neighbours stay."""
    content = f'{{"id": 1}}\n{{"id": 2, "ship": {ship}}}\n{{"id": 3, "ship": {{"ok": true}}}}'.encode()
    whole, declared = entity.fields[-1], entity.fields[:-1]
    assert whole.paths == ((),)
    alone = Entity(entity.name, entity.table, entity.required, entity.key, declared, entity.text)
    load(alone, connection, database, tmp_path, "a.jsonl", content)
    rows = connection.execute("select ship::text from landing.l0123456789ab_1_rows order by position").fetchall()
    assert rows == [(None,), (kept,), ('{"ok": true}',)]
    assert odd(connection) == ([(2, "warning", problem)] if problem else [])


def test_malformed_json_can_reject_its_record(
    entity: Entity, connection: Connection, database: str, tmp_path: Path
) -> None:
    """As any other value that is not of its type."""
    content = b'[{"id": 1, "lines": [1e999999]}, {"id": 2, "lines": [1]}]'
    counts = load(entity, connection, database, tmp_path, "a.json", content)
    assert (counts.rows, counts.rejects) == (1, 1)
    assert odd(connection) == [(1, "reject", "lines is not JSON that a jsonb column holds")]


def test_cells_of_csv(entity: Entity, connection: Connection, database: str, tmp_path: Path) -> None:
    """A cell holds JSON or text; columns of dotted names make an object, and the record is one of its cells."""
    content = b'id,lines,ship.city\n1,"[1.50, {""a"": null}]",Ulm\n2,x y,\n3,null,\n'
    load(entity, connection, database, tmp_path, "a.csv", content)
    assert [row[1:4] for row in landed(connection)] == [
        ("Ulm", '{"city": "Ulm"}', '[1.50, {"a": null}]'),
        (None, None, '"x y"'),
        (None, None, None),
    ]
    assert landed(connection)[1][4] == '{"id": "2", "lines": "x y"}'


def test_values_of_parquet(entity: Entity, connection: Connection, database: str, tmp_path: Path) -> None:
    """Structs, lists and maps are JSON; what is no number there is none here."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table(
        {
            "id": [1, 2],
            "ship": [{"city": "Ulm", "kg": 1.5}, {"city": "Bonn", "kg": float("nan")}],
            "lines": pyarrow.array([[("a", 1.5)], []], pyarrow.map_(pyarrow.string(), pyarrow.float64())),
        }
    )
    (tmp_path / "orders").mkdir()
    pyarrow.parquet.write_table(table, tmp_path / "orders" / "a.parquet")
    content = (tmp_path / "orders" / "a.parquet").read_bytes()
    (tmp_path / "orders" / "a.parquet").unlink()
    (tmp_path / "orders").rmdir()
    load(entity, connection, database, tmp_path, "a.parquet", content)
    rows = landed(connection)
    assert rows[0][1:4] == ("Ulm", '{"kg": 1.5, "city": "Ulm"}', '[["a", 1.5]]')
    assert rows[1][1:4] == ("Bonn", None, "[]")
    assert [reason for *_, reason in odd(connection)] == [
        ". is not JSON that a jsonb column holds",
        "ship is not JSON that a jsonb column holds",
    ]
