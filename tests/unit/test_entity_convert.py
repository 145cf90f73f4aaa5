"""Records: which become rows, which are rejected, what is warned about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from staging_loaders.convert import Loaded, Rejected, compile_entity, json_text
from staging_loaders.entity import load_declarations, read_declaration
from staging_loaders.values import Number, Unfit

ZLURI = Path(__file__).parents[2] / "staging_loaders" / "zluri"
ENTITIES = load_declarations(ZLURI)
CONVERT = {name: compile_entity(entity) for name, entity in ENTITIES.items()}

AGENT = {"id": 7, "contact": {"email": "a@example.com", "name": "Ada"}}
GROUP = {"id": 1, "name": "g"}
CARD = {"id": "c", "status": "ACTIVE", "type": "VIRTUAL", "createdTime": "2026-01-01T00:00:00Z"}
MONEY = {"originalCurrencyAmount": 100, "originalCurrencyCode": "USD"}
TRANSACTION = {"id": "t", "uuid": "u", "occurredTime": "2026-01-01T00:00:00Z", "currencyData": MONEY}


def row(entity: str, record: object) -> dict[str, str | None]:
    """Return the row of a good record without warnings, by column."""
    outcome = CONVERT[entity](record)
    assert isinstance(outcome, Loaded)
    assert outcome.warnings == []
    return dict(zip(ENTITIES[entity].columns, outcome.row, strict=True))


def warned(entity: str, record: object) -> tuple[dict[str, str | None], list[tuple[Any, ...]]]:
    """Return the row of a good record by column, and its warnings."""
    outcome = CONVERT[entity](record)
    assert isinstance(outcome, Loaded)
    return dict(zip(ENTITIES[entity].columns, outcome.row, strict=True)), [tuple(w) for w in outcome.warnings]


def rejected(entity: str, record: object) -> Rejected:
    """Return the reject that a record becomes."""
    outcome = CONVERT[entity](record)
    assert isinstance(outcome, Rejected)
    return outcome


@pytest.mark.parametrize(
    ("contact", "flat", "email"),
    [
        ({"email": "n@x"}, {"email": "f@x"}, "n@x"),
        ({"email": None}, {"email": "f@x"}, "f@x"),
        ({}, {"email": "f@x"}, "f@x"),
        (None, {"email": "f@x"}, "f@x"),
    ],
    ids=["both", "nested null", "nested absent", "contact null"],
)
def test_a_nested_value_that_is_not_null_wins(contact: object, flat: dict[str, Any], email: str) -> None:
    """Contact fields may stand flat; the nested one wins unless it is null."""
    assert row("agents", {"id": 1, "name": "A", "contact": contact, **flat})["email"] == email


def test_a_blank_nested_value_is_not_null() -> None:
    """A nested value that is not null wins even where it is blank, and then rejects the record."""
    reject = rejected("agents", {"id": 1, "contact": {"email": " ", "name": "A"}, "email": "f@x"})
    assert reject.problem == ("contact.email is blank", "contact.email", " ")


@pytest.mark.parametrize(("contact", "raw"), [("x", "x"), ([1], "[1]"), (5, "5"), (False, "false")], ids=repr)
def test_a_contact_that_is_no_object_is_warned_about(contact: object, raw: str) -> None:
    """Flat fields are used then, and the odd value is kept."""
    found, warnings = warned("agents", {"id": 1, "email": "f@x", "name": "A", "contact": contact})
    assert found["email"] == "f@x"
    assert warnings == [("contact is not an object", "contact", raw)]


@pytest.mark.parametrize(
    ("entity", "record", "problem", "key"),
    [
        ("agents", None, ("the record is not an object", None, None), None),
        ("agents", [AGENT], ("the record is not an object", None, None), None),
        ("agents", Unfit("too odd"), ("too odd", None, None), None),
        ("agents", {**AGENT, "id": "7x"}, ("id is not an integer", "id", "7x"), None),
        ("agents", {**AGENT, "id": 2**63}, ("id is not an integer", "id", str(2**63)), None),
        ("agents", {"id": " 7 ", "email": "e"}, ("contact.name is missing", "contact.name", None), "7"),
        ("admin_groups", {"id": 1, "name": {"a": 1}}, ("name is not text", "name", '{"a": 1}'), "1"),
        ("budgets", {"id": "b", "currentPeriod": "x"},
         ("currentPeriod.limit is missing", "currentPeriod.limit", None), "b"),
        ("cards", {**CARD, "recurringLimit": "-0.01"},
         ("recurringLimit is less than 0", "recurringLimit", "-0.01"), "c"),
        ("cards", {**CARD, "id": ""}, ("id is blank", "id", ""), None),
        ("cards", {**CARD, "createdTime": ""}, ("createdTime is blank", "createdTime", ""), "c"),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_rejects(entity: str, record: object, problem: tuple[Any, ...], key: str | None) -> None:
    """A record that is no object, lacks a required field or breaks a rule is kept out, with reason and key."""
    reject = rejected(entity, record)
    assert (reject.problem, reject.key) == (problem, key)


def test_a_reject_tells_all_its_problems_and_no_warnings() -> None:
    """The reason lists every problem that rejects; the field is that of the first."""
    reject = rejected("transactions", {"id": "t", "uuid": "", "updatedTime": "soon", "occurredTime": 5})
    assert reject.problem.field == "uuid"
    assert reject.problem.reason == (
        "uuid is blank; occurredTime is not a time; currencyData.originalCurrencyAmount is missing; "
        "currencyData.originalCurrencyCode is missing"
    )


@pytest.mark.parametrize(
    ("money", "kept"),
    [
        ({}, ("100", "USD", "2")),
        ({"exponent": None, "originalCurrencyCode": "JPY"}, ("100", "JPY", "0")),
        ({"originalCurrencyCode": "XAU"}, ("100", "XAU", "2")),
        ({"exponent": "9"}, ("100", "USD", "9")),
        ({"exponent": Number("0.0")}, ("100", "USD", "0")),
        ({"originalCurrencyAmount": -(10**18) + 1}, (str(-(10**18) + 1), "USD", "2")),
        ({"originalCurrencyAmount": Number("1e17")}, (str(10**17), "USD", "2")),
        ({"originalCurrencyAmount": 0}, ("0", "USD", "2")),
    ],
    ids=repr,
)
def test_amounts(money: dict[str, Any], kept: tuple[str, str, str]) -> None:
    """Whole minor units of either sign; an absent exponent is the currency's own."""
    found = row("transactions", {**TRANSACTION, "currencyData": {**MONEY, **money}})
    assert (found["minor_units"], found["currency"], found["exponent"]) == kept


@pytest.mark.parametrize(
    ("money", "reason"),
    [
        ({"originalCurrencyAmount": 10**18}, "originalCurrencyAmount is not below 1000000000000000000 in size"),
        ({"originalCurrencyAmount": -(10**18)}, "originalCurrencyAmount is not below 1000000000000000000 in size"),
        ({"originalCurrencyAmount": Number("0.5")}, "originalCurrencyAmount is not an integer"),
        ({"originalCurrencyCode": "usd"}, "originalCurrencyCode is not an ISO 4217 currency code"),
        ({"exponent": 10}, "exponent is more than 9"),
        ({"exponent": -1}, "exponent is less than 0"),
        ({"exponent": "two"}, "exponent is not an integer"),
    ],
    ids=repr,
)
def test_wrong_amounts_reject(money: dict[str, Any], reason: str) -> None:
    """A wrong amount, currency or exponent rejects the transaction: there is no half of a price."""
    reject = rejected("transactions", {**TRANSACTION, "currencyData": {**MONEY, **money}})
    assert reject.problem.reason == "currencyData." + reason


@pytest.mark.parametrize(
    ("value", "kept", "warnings"),
    [
        ([1, "2", 3.0], "{1,2}", [("agent_ids[3] is not an integer", "agent_ids", "3.0")]),
        ([1, "x", None, [2]], "{1}", [
            ("agent_ids[2] is not an integer", "agent_ids", "x"),
            ("agent_ids[3] is not an integer", "agent_ids", "null"),
            ("agent_ids[4] is not an integer", "agent_ids", "[2]"),
        ]),
        ([], "{}", []),
        (None, "{}", []),
        ("1,2", None, [("agent_ids is not an array", "agent_ids", "1,2")]),
        ({"0": 1}, None, [("agent_ids is not an array", "agent_ids", '{"0": 1}')]),
        (5, None, [("agent_ids is not an array", "agent_ids", "5")]),
    ],
    ids=repr,
)  # fmt: skip
def test_arrays(value: object, kept: str | None, warnings: list[tuple[str, str, str]]) -> None:
    """Absent is empty, no array is null, odd elements are skipped: each oddity with a warning."""
    found, told = warned("admin_groups", {**GROUP, "agent_ids": value})
    assert (found["agent_ids"], told) == (kept, warnings)


def test_an_absent_array_is_empty() -> None:
    """A group without `agent_ids` has no members, which is not the same as saying nothing."""
    assert row("admin_groups", GROUP)["agent_ids"] == "{}"


def test_a_malformed_optional_field_is_null_and_its_value_kept() -> None:
    """The record is loaded all the same."""
    found, warnings = warned("admin_groups", {**GROUP, "parent_group_id": "", "updated_at": Number("1e3"), "x": [1]})
    assert (found["parent_group_id"], found["updated_at"]) == (None, None)
    assert warnings == [
        ("parent_group_id is blank", "parent_group_id", ""),
        ("updated_at is not a time", "updated_at", "1e3"),
    ]


def test_a_malformed_parent_is_warned_about_once() -> None:
    """`currentPeriod` of a card that is no object loses both of its optional fields, with one warning."""
    found, warnings = warned("cards", {**CARD, "currentPeriod": [1]})
    assert (found["current_limit"], found["current_spent"]) == (None, None)
    assert warnings == [("currentPeriod is not an object", "currentPeriod", "[1]")]


def test_deep_paths() -> None:
    """A field may lie two objects deep."""
    period = {"limit": "100.50", "spent": {"total": Number("1e1")}}
    found = row("budgets", {"id": "b", "currentPeriod": period})
    assert (found["limit_amount"], found["spent_total"], found["spent_pending"]) == ("100.50", "10", None)


def test_raw_json_is_as_it_was_written() -> None:
    """Numbers keep their digits; what cannot be stored is replaced."""
    assert json_text({"a": [Number("1.50"), 10**400, None, True], "b\x00": "é\ud800"}) == (
        '{"a": [1.50, ' + str(10**400) + ', null, true], "b\\u0000": "é\ufffd"}'
    )


def test_a_pipeline_needs_only_a_declaration(tmp_path: Path) -> None:
    """Arrays of text, limits of decimals and defaults come from the file alone."""
    (tmp_path / "items.toml").write_text(
        'table = "stg_items"\nkey = "item"\n[fields]\n'
        'item = { type = "text", required = true }\n'
        'tags = { type = "text[]" }\n'
        'price = { from = ["net.price", "price"], type = "number", max = 10 }\n'
        'unit = { type = "currency" }\n'
        'digits = { type = "integer", default = { minor_unit_of = "unit" } }\n'
    )
    convert = compile_entity(read_declaration(tmp_path / "items.toml"))
    assert convert({"item": "a", "tags": ['x"\\', 1, {}], "price": "9.99", "unit": "KWD"}) == Loaded(
        ["a", '{"x\\"\\\\","1"}', "9.99", "KWD", "3"], [("tags[3] is not text", "tags", "{}")]
    )
    assert convert({"item": "a"}) == Loaded(["a", "{}", None, None, None], [])
    assert convert({"item": "a", "price": Number("10.01")}) == Rejected(
        ("price is more than 10", "price", "10.01"), "a"
    )


@pytest.mark.parametrize(
    ("length", "kept"), [pytest.param(2048, True, id="fits"), pytest.param(2049, False, id="too long for an index")]
)
def test_a_key_must_fit_an_index(length: int, kept: bool) -> None:
    """A text key that PostgreSQL could not index is rejected, and so does not stop the day's step."""
    outcome = CONVERT["transactions"]({**TRANSACTION, "id": "x" * length})
    assert isinstance(outcome, Loaded) is kept
    if isinstance(outcome, Rejected):
        assert (outcome.problem.reason, outcome.key) == ("id is longer than 2048 bytes", None)
