"""Declarations: what a TOML file may say, and what is refused with file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import ConfigError
from staging_loaders.entity import load_declarations, read_declaration

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
        (GOOD + "y = { from = '.' }", 'fields.y.from: the whole record is of the type "json"'),
        (GOOD + "y = { from = ['.'], type = 'text' }", 'fields.y.from: the whole record is of the type "json"'),
        (GOOD + "y = { from = ['a', '.'], type = 'json' }", "fields.y.from: the whole record is never null"),
        (GOOD + "y = { type = 'json', min = 0 }", "fields.y: min, max and below are for"),
        ('table = "x"\nkey = "k"\n[fields]\nk = { type = "json", required = true }', "key: k is json"),
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
        (GOOD.replace('"x_id"', '"z"'), "2: key: z is not a field with required = true"),
        (GOOD.replace("[fields]", "[field]"), "3: field: unknown key (did you mean fields?)"),
        (GOOD + "y = { type = 'Integer' }", "5: fields.y.type: 'Integer' is no type (did you mean integer?)"),
        (GOOD + "y = { requird = true }", "5: fields.y.requird: unknown key (did you mean required?)"),
        (GOOD + "y = { required = 'true' }", "5: fields.y.required: must be true or false"),
        (GOOD + "y = { type = 'number', min = 0.5 }", "5: fields.y.min: must be an integer"),
        (GOOD + "y = { type = 'number', min = 2, max = 1 }", "5: fields.y.min: 2 is more than max, 1"),
        (GOOD + "y = { type = 'integer', below = 0 }", "5: fields.y.below: no size is below that"),
        (GOOD + "y = { from = ['a', 1] }", "5: fields.y.from: a path"),
        (GOOD + "[fields.y]\ntype = 'text'\nmax = 1", "5: fields.y: min, max and below are for"),
        (GOOD + "[fields.y]\ntype = 'text'\nmx = 1", "7: fields.y.mx: unknown key (did you mean max?)"),
        (GOOD + "y = {}\ny = {}", "Cannot overwrite a value"),
        (GOOD + "y = {", "toml:5:"),
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
    with pytest.raises(ConfigError, match=r"y\.toml:1: table: stg_x is already filled by x\.toml"):
        load_declarations(tmp_path)


def test_a_folder_without_declarations_is_refused(tmp_path: Path) -> None:
    """The hint says how to write one."""
    with pytest.raises(ConfigError, match="no loader declarations") as error:
        load_declarations(tmp_path)
    assert "orders.toml" in (error.value.hint or "")


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    """Editors write one."""
    (tmp_path / "x.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_declarations(tmp_path)["x"].table == "stg_x"


def test_an_unreadable_declaration_is_named(tmp_path: Path) -> None:
    """Whatever is wrong with it, the file is the user's own."""
    (tmp_path / "x.toml").write_bytes(b"\xff")
    (tmp_path / "y.toml").mkdir()
    for name in ("x", "y"):
        with pytest.raises(ConfigError, match=rf"{tmp_path}/{name}\.toml: ") as error:
            read_declaration(tmp_path / f"{name}.toml")
        assert error.value.hint
