"""The model against examples worked out by hand, sentence by sentence of the rules."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests.generator.files import as_csv, as_lines, as_parquet, as_results, encode, number
from tests.model import rates, values
from tests.model.files import Located, UnreadableError, parse, read_day
from tests.model.records import judge
from tests.model.values import MALFORMED, Number
from tests.model.warehouse import Count, MissingEntityError, Warehouse, day_order

EARLY, LATE = "2026-03-05T12:00:00Z", "2026-03-06T12:00:00Z"


def agent(identifier: Any, name: str = "A", at: str | None = EARLY, **more: Any) -> dict[str, Any]:
    """Return an agent's record."""
    return {"id": identifier, "contact": {"email": "a@example.com", "name": name}, "updated_at": at, **more}


def group(identifier: Any, members: Any = (), at: str | None = EARLY, **more: Any) -> dict[str, Any]:
    """Return a group's record."""
    members = list(members) if isinstance(members, tuple) else members
    return {"id": identifier, "name": "G", "agent_ids": members, "updated_at": at, **more}


def role(identifier: Any, name: str = "R", at: str | None = EARLY) -> dict[str, Any]:
    """Return a role's record."""
    return {"id": identifier, "name": name, "updated_at": at}


def transaction(identifier: str, at: str | None = EARLY, **money: Any) -> dict[str, Any]:
    """Return a transaction's record."""
    money = {"originalCurrencyAmount": 100, "originalCurrencyCode": "USD", **money}
    return {"id": identifier, "uuid": "u", "occurredTime": EARLY, "updatedTime": at, "currencyData": money}


def day(**entities: list[Any]) -> dict[str, bytes]:
    """Return the files of a day, one an entity; those that must exist do."""
    content = {"agents": [], "admin_groups": [], "transactions": [], **entities}
    return {f"{entity}/page.json": as_results(records) for entity, records in content.items()}


def warehouse(*applications: tuple[str, dict[str, bytes]]) -> Warehouse:
    """Return the model after these applications."""
    result = Warehouse()
    for name, files in applications:
        result.apply(name, files)
    return result


def column(result: Warehouse, table: str, name: str) -> dict[Any, Any]:
    """Return key -> value of one column of a final table."""
    rows = result.tables()[table]
    return {key[0] if len(key) == 1 else key: row[name] for key, row in rows.items()}


# Days


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("day2", "day10"),
        ("2026-01-05", "2026-01-06"),
        ("day02", "day2"),
        ("a1b2", "a1b10"),
        ("day", "day1"),
        ("a-1", "a1"),
    ],
)
def test_days_have_a_natural_order(first: str, second: str) -> None:
    """Digit runs compare as numbers, ties by text."""
    assert sorted([second, first], key=day_order) == [first, second]


# Files


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b'{"id": 1}'),
        ("a.json", b'[{"id": 1}]'),
        ("a.json", b'{"results": [{"id": 1}], "next": null}'),
        ("a.json", b'\xef\xbb\xbf{"id": 1}'),
        ("a.json.gz", gzip.compress(b'{"id": 1}')),
        ("a.jsonl", b'{"id": 1}\n\n'),
        ("a.ndjson", b'{"id": 1}'),
        ("a.jsonl.gz", gzip.compress(b'{"id": 1}\r\n')),
        ("a.csv", b"id\n1\n"),
        ("sub/a.json", b'{"id": 1}'),
    ],
    ids=["object", "array", "results", "mark", "gz", "lines", "ndjson", "lines-gz", "csv", "folder"],
)
def test_every_form_of_file_is_read(name: str, content: bytes) -> None:
    """JSON, JSON Lines, gzip, CSV, with or without a byte-order mark."""
    (located,) = read_day({f"agents/{name}": content})["agents"]
    assert (located.file, located.position) == (name, 1)
    assert values.integer(located.record["id"]) == 1


def test_csv_and_parquet_say_the_same_as_json() -> None:
    """Dotted names are nested fields, arrays JSON text, empty cells null."""
    records = [agent(1, role_ids=[1, 2], available=True), agent(2, signature="x")]
    forms = [as_results(records), as_csv("agent_details", records), as_parquet("agent_details", records)]
    judged = [
        [
            judge("agent_details", located).row
            for located in read_day({f"agent_details/a{ending}": form})["agent_details"]
        ]
        for form, ending in zip(forms, (".json", ".csv", ".parquet"), strict=True)
    ]
    assert judged[0] == judged[1] == judged[2]
    assert judged[0][0] is not None
    assert judged[0][0]["role_ids"] == [1, 2]


@pytest.mark.parametrize("name", [".DS_Store", "_SUCCESS", "_tmp/a.json", ".git/a.json"])
def test_names_with_a_dot_or_an_underscore_are_ignored(name: str) -> None:
    """They make no entity either."""
    assert read_day({f"agents/{name}": b"no JSON"}) == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b'{"results": [{"id": 1}, {"id"'),
        ("a.json", b"NaN"),
        ("a.jsonl", b'{"id": 1}\n{"id": Infinity}\n'),
        ("a.json", b'"\xff"'),
        ("a.xml", b"<a/>"),
        ("a.json.gz", gzip.compress(b"[1, 2]")[:-9]),
        ("a.parquet", b"PAR1"),
        ("a.csv", b'id\n"1'),
    ],
    ids=["truncated", "NaN", "Infinity", "not-UTF-8", "unknown", "half-gz", "not-parquet", "open-quote"],
)
def test_an_unreadable_file_stops_the_day(name: str, content: bytes) -> None:
    """Half a snapshot would mark people inactive."""
    result = Warehouse()
    with pytest.raises(UnreadableError, match="agents/a"):
        result.apply("day1", {**day(), f"agents/{name}": content})
    assert result.applications == []


@pytest.mark.parametrize("entity", ["agents", "admin_groups", "transactions"])
def test_three_entities_must_exist(entity: str) -> None:
    """The others are optional."""
    files = {name: content for name, content in day().items() if not name.startswith(f"{entity}/")}
    with pytest.raises(MissingEntityError, match=entity):
        Warehouse().apply("day1", files)


def test_files_are_ordered_by_path_as_a_plain_string() -> None:
    """`page-10` comes before `page-2`, then the position in the file counts."""
    files = {f"agents/{name}.json": as_results([agent(1), agent(2)]) for name in ("page-2", "page-10", "b/c", "b.c")}
    order = [(located.file, located.position) for located in read_day(files)["agents"]]
    assert [name for name, position in order if position == 1] == [
        "b.c.json",
        "b/c.json",
        "page-10.json",
        "page-2.json",
    ]
    assert [position for _, position in order] == [1, 2] * 4


# Values


def literal(value: Any) -> Any:
    """Return a value as a file would bring it."""
    return parse(encode(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),
        (5.0, 5),
        (number("1e3"), 1000),
        (number("-0"), 0),
        (" +7 ", 7),
        ("007", 7),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, MALFORMED),
        (str(2**63), MALFORMED),
        (5.5, MALFORMED),
        ("5.0", MALFORMED),
        ("1e3", MALFORMED),
        ("٣", MALFORMED),
        ("", MALFORMED),
        (True, MALFORMED),
        ([1], MALFORMED),
        (number("1e999999999"), MALFORMED),
    ],
    ids=str,
)
def test_integers(value: Any, expected: Any) -> None:
    """A number with an integral value, or a string of digits, within 64 bits."""
    assert values.integer(literal(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, Decimal(5)),
        (number("0.1000000000000000055"), Decimal("0.1000000000000000055")),
        (" -1.50e-3 ", Decimal("-0.0015")),
        ("+2E2", Decimal(200)),
        ("1.", MALFORMED),
        (".5", MALFORMED),
        ("1,5", MALFORMED),
        ("NaN", MALFORMED),
        ("0x1", MALFORMED),
        (False, MALFORMED),
        ({}, MALFORMED),
    ],
    ids=str,
)
def test_numbers(value: Any, expected: Any) -> None:
    """Exact decimals, from numbers and from strings."""
    assert values.number(literal(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-05T12:34:56Z", datetime(2026, 3, 5, 12, 34, 56, tzinfo=UTC)),
        ("2026-03-05 12:34", datetime(2026, 3, 5, 12, 34, tzinfo=UTC)),
        ("2026-03-05T12:34:56.1234569Z", datetime(2026, 3, 5, 12, 34, 56, 123456, tzinfo=UTC)),
        ("2026-03-05T00:30:00+05:30", datetime(2026, 3, 4, 19, 0, tzinfo=UTC)),
        ("2026-03-05T00:30-0100", datetime(2026, 3, 5, 1, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00+00:01", MALFORMED),
        ("9999-12-31T23:59:59-00:01", MALFORMED),
        ("2026-02-29T00:00:00Z", MALFORMED),
        ("2026-03-05T24:00:00Z", MALFORMED),
        ("2026-03-05T12:60:00Z", MALFORMED),
        ("2026-03-05", MALFORMED),
        ("2026-03-05T12Z", MALFORMED),
        ("2026-3-5T12:00:00Z", MALFORMED),
        ("2026-03-05T12:00:00 Z", MALFORMED),
        (" 2026-03-05T12:00:00Z", MALFORMED),
        (1772712896, MALFORMED),
        (None, MALFORMED),
    ],
    ids=str,
)
def test_times(value: Any, expected: Any) -> None:
    """A calendar day, a clock, an offset or UTC."""
    assert values.time(literal(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-02-28", date(2026, 2, 28)),
        ("2026-02-29", MALFORMED),
        ("2026-02-28T00:00", MALFORMED),
        (20260228, MALFORMED),
    ],
    ids=str,
)
def test_dates(value: Any, expected: Any) -> None:
    """`YYYY-MM-DD` and nothing else."""
    assert values.day(literal(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), ("false", False), ("True", MALFORMED), (1, MALFORMED), ("", MALFORMED)],
    ids=str,
)
def test_booleans(value: Any, expected: Any) -> None:
    """True and false, or these words."""
    assert values.boolean(literal(value)) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", "x"),
        ("", ""),
        (5, "5"),
        (number("1.50"), "1.50"),
        (number("1e3"), "1e3"),
        (True, "true"),
        ("a\x00b\ud83dc", "a\ufffdb\ufffdc"),
        ("😀", "😀"),
        ([], MALFORMED),
        ({}, MALFORMED),
    ],
    ids=repr,
)
def test_texts(value: Any, expected: Any) -> None:
    """Strings; numbers and booleans as their text."""
    assert values.text(literal(value)) == expected


# Good, odd and bad records


def judged(entity: str, record: Any) -> tuple[bool, list[str]]:
    """Return (whether the record is good, the fields warned of)."""
    result = judge(entity, Located("a.json", 1, literal(record)))
    return result.row is not None, result.warnings


@pytest.mark.parametrize("record", [None, "text", 17, [], True], ids=repr)
def test_what_is_no_object_is_rejected(record: Any) -> None:
    """Whatever the entity."""
    assert judged("roles", record) == (False, [])


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"contact": None, "email": "e", "name": "n"}, True),
        ({"contact": {"email": None, "name": "n"}, "email": "e"}, True),
        ({"contact": {"email": [], "name": "n"}, "email": "e"}, False),
        ({"contact": {"email": " ", "name": "n"}, "email": "e"}, False),
        ({"contact": {"email": "e"}}, False),
        ({"contact": {"email": "e", "name": 7}}, True),
        ({"id": None}, False),
        ({"id": "1"}, True),
        ({"id": "x"}, False),
        ({"id": True}, False),
    ],
    ids=str,
)
def test_agents_need_id_email_and_name(change: Any, good: bool) -> None:
    """Nested or flat; a nested one that is not null wins."""
    assert judged("agents", {**agent(1), **change}) == (good, [])


def test_an_optional_field_that_is_malformed_is_warned_of() -> None:
    """The record is loaded without it."""
    assert judged("agents", agent(1, available="yes", created_at="soon")) == (True, ["available", "created_at"])


def test_a_rejected_record_has_no_warnings() -> None:
    """It is kept whole instead."""
    assert judged("agents", agent(None, available="yes")) == (False, [])


def test_what_ought_to_hold_fields_and_does_not_is_warned_of() -> None:
    """As an optional field is; its fields count as absent."""
    assert judged("agents", {"id": 1, "contact": "x", "email": "e", "name": "n"}) == (True, ["contact"])


@pytest.mark.parametrize(
    ("members", "warnings", "result"),
    [
        ([1, "2", 3.0], 0, [1, 2, 3]),
        ([1, "x", None, True, 1.5], 4, [1]),
        (None, 0, []),
        ("1,2", 1, None),
        ({}, 1, None),
    ],
    ids=repr,
)
def test_arrays(members: Any, warnings: int, result: Any) -> None:
    """Malformed elements are skipped with a warning each; what is no array says nothing."""
    row = judge("admin_groups", Located("a", 1, literal(group(1, members))))
    assert row.row is not None
    assert (row.row["agent_ids"], len(row.warnings)) == (result, warnings)


@pytest.mark.parametrize(
    ("limit", "good"),
    [(0, True), ("1e3", True), (number("-0.01"), False), (None, False), ("a lot", False)],
    ids=str,
)
def test_budgets_need_a_limit_that_is_not_negative(limit: Any, good: bool) -> None:
    """Absent, null or malformed is no limit."""
    assert judged("budgets", {"id": "b", "currentPeriod": {"limit": limit}}) == (good, [])


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"currentPeriod": {"limit": -1}}, False),
        ({"currentPeriod": {"spent": "-1"}}, False),
        ({"recurringLimit": -1}, False),
        ({"recurringLimit": 0}, True),
        ({"status": ""}, False),
        ({"type": None}, False),
        ({"createdTime": "soon"}, False),
    ],
    ids=str,
)
def test_cards_need_status_type_and_creation_and_nothing_negative(change: Any, good: bool) -> None:
    """Limits and spent are optional, but not negative."""
    card = {"id": "c", "status": "s", "type": "t", "createdTime": EARLY}
    assert judged("cards", {**card, **change}) == (good, [])


@pytest.mark.parametrize(
    ("money", "good"),
    [
        ({"originalCurrencyAmount": -5}, True),
        ({"originalCurrencyAmount": 0}, True),
        ({"originalCurrencyAmount": 10**18 - 1}, True),
        ({"originalCurrencyAmount": 10**18}, False),
        ({"originalCurrencyAmount": -(10**18)}, False),
        ({"originalCurrencyAmount": 1.5}, False),
        ({"originalCurrencyAmount": None}, False),
        ({"originalCurrencyCode": "usd"}, False),
        ({"originalCurrencyCode": "HRK"}, False),
        ({"originalCurrencyCode": "XAU"}, True),
        ({"originalCurrencyCode": ""}, False),
        ({"exponent": 9}, True),
        ({"exponent": "0"}, True),
        ({"exponent": 10}, False),
        ({"exponent": -1}, False),
        ({"exponent": "two"}, False),
    ],
    ids=str,
)
def test_transactions_need_an_amount_in_a_current_currency(money: Any, good: bool) -> None:
    """An integer of minor units, and an exponent from 0 to 9."""
    assert judged("transactions", transaction("t", **money)) == (good, [])


def test_counts_reconcile() -> None:
    """Each record read is loaded or rejected; warnings come on top."""
    files = day(agents=[agent(1, available="yes", focus_mode=[]), agent("x"), None])
    assert warehouse(("day1", files)).applications[0].counts()["agents"] == Count(3, 1, 2, 2)


# Final tables


def test_within_a_day_the_newest_counts_then_the_last_in_file_order() -> None:
    """An absent time is oldest."""
    records = [
        agent(1, "new", LATE),
        agent(1, "old", EARLY),
        agent(2, "first"),
        agent(2, "last"),
        agent(3, "dated"),
        agent(3, "undated", None),
    ]
    assert column(warehouse(("day1", day(agents=records))), "agents", "name") == {1: "new", 2: "last", 3: "dated"}


@pytest.mark.parametrize("order", [("day2", "day10"), ("day10", "day2")], ids="-".join)
def test_across_days_the_newest_counts_then_the_later_day(order: tuple[str, str]) -> None:
    """Whenever the days are applied."""
    days = {
        "day2": day(roles=[role(1, "new", LATE), role(2, "day2")]),
        "day10": day(roles=[role(1, "old", EARLY), role(2, "day10")]),
    }
    assert column(warehouse(*((name, days[name]) for name in order)), "roles", "name") == {1: "new", 2: "day10"}


def test_the_newest_version_ever_seen_stays() -> None:
    """A day applied again without it, or with an older one, does not take it away."""
    first, again = day(roles=[role(1, "new", LATE), role(2)]), day(roles=[role(1, "old", EARLY)])
    assert column(warehouse(("day1", first), ("day1", again)), "roles", "name") == {1: "new", 2: "R"}


def test_an_equal_version_is_replaced_by_the_later_application() -> None:
    """A day that was corrected."""
    first, again = day(roles=[role(1, "wrong")]), day(roles=[role(1, "right")])
    assert column(warehouse(("day1", first), ("day1", again)), "roles", "name") == {1: "right"}


@pytest.mark.parametrize(
    ("agents_at", "details_at", "name"),
    [(EARLY, EARLY, "agents"), (EARLY, LATE, "details"), (LATE, EARLY, "agents"), (None, None, "agents")],
    ids=["equal", "details-newer", "agents-newer", "no-time"],
)
def test_agents_win_over_details_on_equal_time_and_day(agents_at: Any, details_at: Any, name: str) -> None:
    """The newest of either source otherwise."""
    files = day(agents=[agent(1, "agents", agents_at)], agent_details=[agent(1, "details", details_at)])
    assert column(warehouse(("day1", files)), "agents", "name") == {1: name}


def test_a_later_day_wins_over_the_source() -> None:
    """The source counts on equal time and day only."""
    days = [("day1", day(agents=[agent(1, "agents")])), ("day2", day(agent_details=[agent(1, "details")]))]
    assert column(warehouse(*days), "agents", "name") == {1: "details"}


@pytest.mark.parametrize("order", ["12", "21"])
def test_who_is_in_the_latest_days_snapshot_is_active(order: str) -> None:
    """The latest day is the latest applied one, whenever it was applied."""
    days = {
        "1": day(agents=[agent(1), agent(2)]),
        "2": day(agents=[agent(2), agent(3, contact=None)], agent_details=[agent(4)]),
    }
    result = warehouse(*((f"day{name}", days[name]) for name in order))
    assert column(result, "agents", "status") == {1: "inactive", 2: "active", 4: "inactive"}


def test_a_rejected_record_with_a_valid_id_is_present() -> None:
    """And its record contributes nothing else."""
    days = [("day1", day(agents=[agent(1, "kept")])), ("day2", day(agents=[agent(1, contact=None, updated_at=LATE)]))]
    result = warehouse(*days)
    assert column(result, "agents", "name") == {1: "kept"}
    assert column(result, "agents", "status") == {1: "active"}


def test_the_status_history_has_each_day_that_names_a_known_agent() -> None:
    """In `agents` it is active, in `agent_details` alone it is not; an unknown one appears once known."""
    days = [
        ("day1", day(agents=[agent(1), agent(2, contact=None)], agent_details=[agent(3), agent(5, contact=None)])),
        ("day2", day(agents=[agent(2), agent(5)])),
    ]
    assert column(warehouse(*days), "agent_status_history", "is_active") == {
        (1, "day1"): True,
        (2, "day1"): True,
        (3, "day1"): False,
        (2, "day2"): True,
        (5, "day2"): True,
    }


def test_a_day_applied_again_replaces_its_presence() -> None:
    """Who is no longer in it was not there."""
    days = [("day1", day(agents=[agent(1), agent(2)])), ("day1", day(agents=[agent(2)]))]
    result = warehouse(*days)
    assert column(result, "agents", "status") == {1: "inactive", 2: "active"}
    assert column(result, "agent_status_history", "is_active") == {(2, "day1"): True}


ROLES = [role(1), role(2)]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([2], {(1, 1): "removed", (1, 2): "assigned"}),
        ([], {(1, 1): "removed"}),
        (None, {(1, 1): "removed"}),
        (..., {(1, 1): "removed"}),
        ("2", {(1, 1): "assigned"}),
        (["x", 2, 9], {(1, 1): "removed", (1, 2): "assigned"}),
    ],
    ids=["other", "none", "null", "absent", "malformed", "elements"],
)
def test_roles_are_those_of_the_latest_day_that_says_so(second: Any, expected: Any) -> None:
    """Only an earlier day's are removed; an unknown role is left out."""
    later = agent(1) if second is ... else agent(1, role_ids=second)
    days = [
        ("day1", day(roles=ROLES, agent_details=[agent(1, role_ids=[1])])),
        ("day2", day(agent_details=[later])),
    ]
    for order in (days, days[::-1]):
        assert column(warehouse(*order), "agent_role_mapping", "status") == expected


def test_a_role_is_mapped_once_known() -> None:
    """It was named before."""
    days = [("day1", day(agent_details=[agent(1, role_ids=[1])])), ("day2", day(roles=ROLES))]
    assert column(warehouse(*days), "agent_role_mapping", "status") == {(1, 1): "assigned"}


def test_a_skipped_step_changes_nothing() -> None:
    """A day applied again without roles and details keeps the assignments; with roles alone it loses them."""
    first = ("day1", day(roles=ROLES, agent_details=[agent(1, role_ids=[1])]))
    assert column(warehouse(first, ("day1", day())), "agent_role_mapping", "status") == {(1, 1): "assigned"}
    assert column(warehouse(first, ("day1", day(roles=ROLES))), "agent_role_mapping", "status") == {}


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([group(1, (2,))], {2}),
        ([group(1, ())], set()),
        ([group(1, None)], set()),
        ([group(1, "2")], {1}),
        ([group(2)], {1}),
        ([group(1, (2,)), group(1, "superseded by a malformed one")], {1}),
        ([group(1, (1, 2, 9))], {1, 2}),
        ([group(1, (2,), None)], {2}),
    ],
    ids=["other", "empty", "null", "malformed", "unmentioned", "tie", "unknown", "older-record"],
)
def test_members_are_those_of_the_latest_day_that_says_so(second: Any, expected: set[int]) -> None:
    """A group that a later day does not mention keeps its members; unknown agents are left out."""
    days = [
        ("day1", day(agents=[agent(1), agent(2)], admin_groups=[group(1, (1,))])),
        ("day2", day(admin_groups=second)),
    ]
    for order in (days, days[::-1]):
        members = warehouse(*order).tables()["group_membership"]
        assert {who for which, who in members if which == 1} == expected


def test_a_member_joins_once_known() -> None:
    """Whichever day makes it known."""
    days = [("day1", day(admin_groups=[group(1, (1,))])), ("day2", day(agent_details=[agent(1)]))]
    assert set(warehouse(*days).tables()["group_membership"]) == {(1, 1)}


@pytest.mark.parametrize(
    ("groups", "active"),
    [
        ([(1, None, ()), (2, 1, ()), (3, 2, (1,))], {1, 2, 3}),
        ([(1, None, (1,)), (2, 1, ())], {1}),
        ([(1, 2, (1,)), (2, 1, ())], {1, 2}),
        ([(1, 2, ()), (2, 1, ())], set()),
        ([(1, 1, ()), (2, 2, (1,))], {2}),
        ([(1, 9, (1,)), (2, 9, ())], {1}),
        ([(1, None, (2,))], set()),
        ([(1, 2, ()), (2, 3, ()), (3, 1, (1,)), (4, 3, ())], {1, 2, 3}),
    ],
    ids=[
        "chain",
        "parent-alone",
        "circle",
        "empty-circle",
        "self",
        "unknown-parent",
        "inactive-member",
        "circle-of-three",
    ],
)
def test_a_group_is_inactive_unless_it_or_one_below_has_an_active_member(groups: Any, active: set[int]) -> None:
    """Agent 1 is active, agent 2 is not."""
    records = [group(one, members, parent_group_id=parent) for one, parent, members in groups]
    result = warehouse(("day1", day(agents=[agent(1)], agent_details=[agent(2)], admin_groups=records)))
    assert {key for key, inactive in column(result, "groups", "inactive").items() if not inactive} == active


def test_budgets_are_the_latest_days() -> None:
    """They have no time; one that the latest day does not name stays."""
    one, two = ({"id": "b", "currentPeriod": {"limit": limit}} for limit in (1, 2))
    days = [("day1", day(budgets=[one, {**one, "id": "c"}])), ("day2", day(budgets=[one, two])), ("day3", day())]
    for order in (days, days[::-1]):
        assert column(warehouse(*order), "budgets", "limit_amount") == {"b": 2, "c": 1}


def test_an_older_update_never_overwrites_a_newer_one() -> None:
    """A late one lands where it belongs."""
    days = [
        ("day1", day(transactions=[transaction("t", LATE, originalCurrencyAmount=1)])),
        ("day2", day(transactions=[transaction("t", EARLY, originalCurrencyAmount=2)])),
    ]
    assert column(warehouse(*days), "transactions", "original_amount") == {"t": Decimal("0.01")}


@pytest.mark.parametrize(
    ("money", "expected"),
    [
        ({"originalCurrencyCode": "JPY"}, "100"),
        ({"originalCurrencyCode": "KWD"}, "0.100"),
        ({"originalCurrencyCode": "XAU"}, "1.00"),
        ({"originalCurrencyCode": "USD", "exponent": None}, "1.00"),
        ({"originalCurrencyCode": "USD", "exponent": 9}, "0.000000100"),
        ({"originalCurrencyAmount": -(10**18 - 1), "exponent": 0}, "-999999999999999999"),
    ],
    ids=str,
)
def test_the_amount_is_minor_units_by_the_exponent(money: Any, expected: str) -> None:
    """Exact; without an exponent the currency's minor unit, 2 where ISO names none."""
    result = warehouse(("day1", day(transactions=[transaction("t", **money)])))
    assert column(result, "transactions", "original_amount") == {"t": Decimal(expected)}


def at(year: int, month: int, of: int) -> datetime:
    """Return a time on a date."""
    return datetime(year, month, of, 12, tzinfo=UTC)


def test_a_dollar_is_a_dollar() -> None:
    """Whatever the record's own rate."""
    assert rates.price("USD", at(1990, 1, 1), Decimal(7)) == (Decimal(1), "USD")


def test_the_banks_rate_is_that_of_the_utc_date() -> None:
    """Dollars per euro by units per euro, to 10 decimals."""
    bank = rates.bank_rates()
    when = date(2026, 3, 5)
    exact = bank["USD", when] / bank["JPY", when]
    rate, source = rates.price("JPY", datetime.fromisoformat("2026-03-06T01:00:00+03:00"), None)
    assert source == "ECB"
    assert rate is not None
    assert abs(Fraction(rate) - exact) <= Fraction(1, 2 * 10**10)
    assert rates.price("EUR", at(2026, 3, 5), None) == (Decimal("1.1618000000"), "ECB")


@pytest.mark.parametrize(
    ("when", "source"),
    [(at(2022, 3, 1), "ECB"), (at(2022, 3, 8), "ECB"), (at(2022, 3, 9), "PAYLOAD"), (at(1998, 12, 31), "PAYLOAD")],
    ids=["the-day", "seven-later", "eight-later", "before-all"],
)
def test_the_nearest_earlier_day_within_seven_counts(when: datetime, source: str) -> None:
    """The rouble's last rate is of 2022-03-01."""
    assert rates.price("RUB", when, Decimal(2))[1] == source


@pytest.mark.parametrize("payload", [None, Decimal(0), Decimal(-1)], ids=str)
def test_without_any_rate_the_transaction_is_kept_unpriced(payload: Decimal | None) -> None:
    """The record's own rate must be above zero."""
    assert rates.price("VND", at(2026, 3, 5), payload) == (None, "MISSING")


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [
        ("0.00005", 4, "0.0001"),
        ("-0.00005", 4, "-0.0001"),
        ("0.000049", 4, "0.0000"),
        ("1.00000000005", 10, "1.0000000001"),
    ],
)
def test_halves_go_away_from_zero(value: str, decimals: int, expected: str) -> None:
    """In both directions."""
    assert rates.half_away(Fraction(value), decimals) == Decimal(expected)


def test_dollars_are_the_amount_by_the_stored_rate() -> None:
    """Rounded to 4, from the rate as it is stored."""
    money = {"originalCurrencyCode": "VND", "originalCurrencyAmount": 10**6, "exchangeRate": number("0.00000000004")}
    result = warehouse(("day1", day(transactions=[transaction("t", exponent=0, **money)])))
    assert column(result, "transactions", "exchange_rate") == {"t": Decimal(0)}
    assert column(result, "transactions", "amount_usd") == {"t": Decimal(0)}


def test_the_watermark_is_the_newest_update_seen() -> None:
    """It only moves forward."""
    days = [
        ("day1", day(transactions=[transaction("t", LATE)])),
        ("day1", day(transactions=[transaction("t", EARLY)])),
    ]
    assert warehouse(*days).watermark() == datetime(2026, 3, 6, 12, tzinfo=UTC)
    assert warehouse(("day1", day(transactions=[transaction("t", None)]))).watermark() is None


def test_lines_keep_numbers_as_written() -> None:
    """A number that is text somewhere keeps its zeros."""
    (located,) = read_day({"agents/a.jsonl": as_lines([{"id": number("1.50")}])})["agents"]
    assert located.record == {"id": Number("1.50")}
