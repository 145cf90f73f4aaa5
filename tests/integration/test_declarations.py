"""docs/declarations.md is true: its declaration, table, records and errors are tried as they are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner.errors import ConfigError
from staging_loaders import landing
from staging_loaders.convert import Rejected, compile_entity
from staging_loaders.engine import Inline
from staging_loaders.entity import FIELD_KEYS, TYPES, Entity, read_declaration
from staging_loaders.load import load_day
from staging_loaders.read import read_records

DOCUMENT = (Path(__file__).parents[2] / "docs" / "declarations.md").read_text("utf-8")


def block(language: str) -> str:
    """Return the one block of the document in a language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    return str(found)


def section(title: str) -> list[str]:
    """Return what the first column of a section's table names."""
    text = DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return [name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(.*?)`", row)]


@pytest.fixture
def entity(tmp_path: Path) -> Entity:
    """The example."""
    (tmp_path / "orders.toml").write_text(block("toml"))
    return read_declaration(tmp_path / "orders.toml")


def test_every_key_and_type_is_there(entity: Entity) -> None:
    """No key is left out, none is made up, and the example has them all."""
    assert set(section("The keys of an entity")) == {"table", "key", "required", "fields"}
    assert set(section("The keys of a field")) == FIELD_KEYS
    assert set(section("The types")) == set(TYPES)
    assert all(re.search(rf"\b{key} = ", block("toml")) for key in FIELD_KEYS)
    assert {field.type for field in entity.fields} == set(TYPES) - {"integer[]"}


def test_the_records_end_as_it_says(entity: Entity, tmp_path: Path) -> None:
    """Each record of the example is loaded, warned of or rejected as its line tells."""
    convert = compile_entity(entity)
    told = []
    (tmp_path / "page1.jsonl").write_text(block("json"))
    for position, (record, _) in enumerate(read_records(str(tmp_path / "page1.jsonl")), 1):
        outcome = convert(record)
        if isinstance(outcome, Rejected):
            told.append(f"{position} rejected: {outcome.problem.reason}")
        else:
            told += [f"{position} loaded, {warning.reason}" for warning in outcome.warnings] or [f"{position} loaded"]
    assert told == block("text").splitlines()


def test_the_table_fits(entity: Entity, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """The loader takes the table of the example."""
    connection.execute(block("sql").encode())
    assert landing.check_table(connection, entity) is None


@pytest.mark.parametrize(
    ("column", "field", "fits"),
    [
        ("tags text[]", '{ type = "text[]" }', True),
        ("tags text[] not null", '{ type = "text[]" }', False),
        ("tags text[] not null", '{ type = "text[]", malformed = "reject" }', True),
        ("tags date not null", '{ type = "date" }', False),
        ("tags date not null", '{ type = "date", malformed = "reject" }', False),
        ("tags date not null", '{ type = "date", required = true }', True),
        ("tags bigint not null", '{ type = "integer", default = { minor_unit_of = "sure" } }', True),
        ("tags bigint not null", '{ type = "integer", default = { minor_unit_of = "unsure" } }', False),
    ],
)
def test_a_column_that_is_not_null(
    column: str, field: str, fits: bool, tmp_path: Path, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    """It needs a field that no record is loaded without; else one odd value would stop the day."""
    connection.execute(
        "create table stg_odd (day text, source_file text, position bigint, id text, sure text, unsure text, "
        f"{column})".encode()
    )
    (tmp_path / "odd.toml").write_text(
        'table = "stg_odd"\nkey = "id"\n[fields]\nid = { required = true }\n'
        'sure = { type = "currency", required = true }\nunsure = { type = "currency" }\n'
        f"tags = {field}\n"
    )
    found = landing.check_table(connection, read_declaration(tmp_path / "odd.toml"))
    assert (found is None) == fits
    if found is not None:
        assert found[0] == "fields.tags"
        assert found[1].startswith("stg_odd.tags is not null, and a record may come without it: say ")


def test_one_malformed_optional_field(
    database: str, connection: psycopg.Connection[tuple[Any, ...]], tmp_path: Path
) -> None:
    """A list of tags that is none leaves a warning, and the example's day is loaded."""
    connection.execute(block("sql").encode())
    (tmp_path / "declarations").mkdir()
    (tmp_path / "declarations" / "orders.toml").write_text(block("toml"))
    (tmp_path / "sync-day1" / "orders").mkdir(parents=True)
    record = '{"id": 1, "customer_name": "Ben", "amount": 5, "currency": "EUR", "tags": "new"}'
    (tmp_path / "sync-day1" / "orders" / "page1.jsonl").write_text(record + "\n")
    [load] = load_day(
        dsn=database, pipeline="shop", day="day1", base=str(tmp_path), declarations=tmp_path / "declarations",
        flow_run_id="docs", session=Inline(),
    )  # fmt: skip
    assert (load.rows_loaded, load.rejects, load.warnings) == (1, 0, 1)
    assert connection.execute("select tags from stg_orders").fetchall() == [(None,)]


def test_the_error_is_told_as_it_says(tmp_path: Path) -> None:
    """File, line, key and what may be meant."""
    file = tmp_path / "orders.toml"
    file.write_text(block("toml").replace("required = true }\ntags", "requird = true }\ntags"))
    with pytest.raises(ConfigError) as error:
        read_declaration(file)
    shown = f"error: {error.value.message}\nhint: {error.value.hint}\n"
    assert shown.replace(f"{tmp_path}/", "staging_loaders/shop/") == block("console")
