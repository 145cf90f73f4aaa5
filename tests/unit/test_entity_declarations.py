"""Declarations: what a TOML file may say, and what is refused with file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import ConfigError
from staging_loaders.entity import load_declarations

ZLURI = Path(__file__).parents[2] / "staging_loaders" / "zluri"
GOOD = 'table = "stg_x"\nkey = "x_id"\n[fields]\nx_id = { from = "id", type = "integer", required = true }\n'


def test_the_zluri_entities() -> None:
    """Seven entities, three of which a day must have."""
    found = load_declarations(ZLURI)
    assert [name for name, entity in found.items() if entity.required] == ["admin_groups", "agents", "transactions"]
    assert [name for name, entity in found.items() if not entity.required] == [
        "agent_details",
        "budgets",
        "cards",
        "roles",
    ]


def test_a_path_defaults_to_the_columns_name(tmp_path: Path) -> None:
    """`from` may be left out, and is text unless said otherwise."""
    (tmp_path / "x.toml").write_text(GOOD + "plain = {}\n")
    field = load_declarations(tmp_path)["x"].fields[1]
    assert (field.paths, field.type, field.required) == ((("plain",),), "text", False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD + "y = { type = 'int' }", "fields.y.type: 'int' is no type"),
        (GOOD + "y = { typ = 'text' }", "fields.y.typ: unknown key"),
        (GOOD + "y = 'text'", "fields.y: a field is a table"),
        (GOOD + "day = {}", "fields.day: not a column name of ours"),
        (GOOD + "Y = {}", "fields.Y: not a column name of ours"),
        (GOOD + "y = { from = [] }", "fields.y.from: a path"),
        (GOOD + "y = { from = 'a..b' }", "fields.y.from: a part of a path is empty"),
        (GOOD + "y = { required = 1 }", "fields.y.required: must be true or false"),
        (GOOD + "y = { malformed = 'drop' }", 'fields.y.malformed: either "warn" or "reject"'),
        (GOOD + "y = { type = 'text', min = 0 }", "fields.y: min, max and below are for integer and number"),
        (GOOD + "y = { type = 'number', min = '0' }", "fields.y.min: must be an integer"),
        (GOOD + "y = { type = 'integer', default = { minor_unit_of = 'z' } }",
         "fields.y.default: z is not a currency field"),
        (GOOD + "y = { type = 'integer', default = { value = 2 } }", "fields.y.default.value: unknown key"),
        (GOOD + "y = { type = 'integer[]', required = true }", "fields.y.required: an array"),
        (GOOD.replace("key", "ky"), "ky: unknown key"),
        (GOOD.replace('key = "x_id"\n', ""), "key: missing"),
        (GOOD.replace('"x_id"', '"z"'), "key: z is not a required field"),
        (GOOD.replace('"stg_x"', '"stg_x; drop"'), "table: 'stg_x; drop' is not a lower-case SQL name"),
        ("table = ", "Invalid value"),
    ],
    ids=lambda text: text.splitlines()[-1][:50],
)  # fmt: skip
def test_a_wrong_declaration_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """The error names the file and the key."""
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_declarations(tmp_path)
    assert str(error.value).startswith(str(tmp_path / "x.toml"))
    assert told in str(error.value)


def test_two_entities_cannot_fill_one_table(tmp_path: Path) -> None:
    """Each would remove the other's rows."""
    (tmp_path / "x.toml").write_text(GOOD)
    (tmp_path / "y.toml").write_text(GOOD)
    with pytest.raises(ConfigError, match=r"y\.toml: table stg_x is already filled by x\.toml"):
        load_declarations(tmp_path)


def test_a_folder_without_declarations_is_refused(tmp_path: Path) -> None:
    """The hint says how to write one."""
    with pytest.raises(ConfigError, match="no loader declarations") as error:
        load_declarations(tmp_path)
    assert "runner new loader" in (error.value.hint or "")
