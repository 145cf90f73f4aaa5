"""Every oddity a feed may bring, written by hand: each record's `note`, a field nobody reads, says what it shows.

Three functions an entity or so, one a day: what they return joins the ordinary records of the shipped days.
"""

from __future__ import annotations

from typing import Any

from tests.generator.files import number

Record = dict[str, Any]


def changed(record: Record, changes: dict[str, Any]) -> Record:
    """Return a copy of `record` with dotted paths set; the value `...` takes the field away."""
    copy = {name: dict(value) if isinstance(value, dict) else value for name, value in record.items()}
    for path, value in changes.items():
        *parents, leaf = path.split(".")
        branch = copy
        for name in parents:
            branch = branch[name]
        if value is ...:
            branch.pop(leaf, None)
        else:
            branch[leaf] = value
    return copy


def agent(identifier: Any, note: str, **changes: Any) -> Record:
    """Return an agent as of noon of day 1; in the names of changes `__` stands for a dot."""
    record: Record = {
        "id": identifier,
        "note": note,
        "available": True,
        "deactivated": False,
        "ticket_scope": 1,
        "created_at": "2025-06-01T08:00:00Z",
        "updated_at": "2026-03-05T12:00:00Z",
        "contact": {
            "email": f"odd.{str(identifier).strip()}@example.com",
            "name": f"Odd Agent {str(identifier).strip()}",
        },
    }
    return changed(record, {name.replace("__", "."): value for name, value in changes.items()})


DAY1, DAY2, DAY3 = "2026-03-05T12:00:00Z", "2026-03-06T12:00:00Z", "2026-03-07T12:00:00Z"


def agents_day1() -> list[Any]:
    """Drift, rejects and warnings of agents."""
    return [
        agent(1901, "contact is null, its fields stand flat", contact=None, email="flat.1901@example.com", name="Flat"),
        agent(" 1902 ", "the id is a string"),
        agent(1903, "the name is a number, kept as written", contact__name=number("1903.50")),
        agent(
            1904, "nested null: the flat e-mail counts", contact__email=None, email="flat.1904@example.com", name="No"
        ),
        agent(1905, "contact is a string", contact="see below", email="flat.1905@example.com", name="Flat Too"),
        agent(1906, "rejected, but present: blank e-mail; good on day2", contact__email="  "),
        agent(1907, "warned thrice", available="yes", available_since="2026-02-30T10:00:00Z", contact__phone=["x"]),
        agent(
            1908,
            "times in other forms",
            created_at="2026-03-01 08:00+05:30",
            updated_at="2026-03-01T08:00:00.1234567-0800",
        ),
        agent(1909, "newest of its day", contact__name="Newest", updated_at="2026-03-05T13:00:00Z"),
        agent(1909, "older, though later in the file", contact__name="Older"),
        agent(1910, "no updated_at is oldest of all", contact__name="Undated", updated_at=...),
        agent(1910, "so this one counts", contact__name="Dated", updated_at="0001-01-01T00:00:00Z"),
        agent(1911, "NUL and a lone surrogate", contact__name="Zero\x00 and half \ud83d here"),
        agent(1912, "away on day2, back on day3"),
        agent(1913, "gone from day2 on"),
        agent(1915, "as new as its details: agents win", contact__name="From agents"),
        agent(1916, "older than its details", contact__name="From agents"),
        agent(1917, "rejected on day3: still active, as it was", contact__job_title="Kept"),
        agent(1918, "beyond year 9999 in UTC", available_since="9999-12-31T23:59:59-01:00", deactivated="true"),
        agent(
            1919,
            "true and numbers are text too",
            ticket_scope=2,
            agent_operational_status=True,
            signature=number("1e3"),
        ),
        agent(1919.0, "same id, same time: the last in file order counts", signature="last"),
        agent(None, "rejected: id is null"),
        agent("19x1", "rejected: id is no integer"),
        agent(True, "rejected: id is a boolean"),
        agent(number("9223372036854775808"), "rejected: id beyond 64 bits"),
        agent(1998, "rejected, but present; never good: unknown", contact__name={"first": "Odd"}),
        {"note": "rejected: nothing there"},
        None,
        "rejected: not an object",
        17,
        [1999],
    ]


def agents_day1_page10() -> list[Any]:
    """A page whose name sorts before page-2: what it says of 1925 is overtaken by a tie there."""
    return [agent(1925, "page-10 comes before page-2 in file order", contact__name="Page 10")]


def agents_day1_page2() -> list[Any]:
    """See `agents_day1_page10`."""
    return [agent(1925, "same time, later in file order", contact__name="Page 2")]


def agents_day2() -> list[Any]:
    """Newly known agents, and an update that comes late."""
    return [
        agent(1901, "an older update: changes nothing", updated_at="2026-03-01T00:00:00Z", contact__name="Stale"),
        agent(1902, "newer", updated_at=DAY2, contact__name="Newer"),
        agent(1906, "good now: its presence on day1 counts", updated_at=DAY2),
        agent(1917, "as before", contact__job_title="Kept"),
        agent(1930, "named by a group on day1, known from now on", updated_at=DAY2),
        agent(1908, "the same time again: the later day counts", updated_at="2026-03-01T16:00:00.123456Z"),
    ]


def agents_day3() -> list[Any]:
    """The files of this day are CSV, where every value is text and empty is null."""
    return [
        agent(1901, "still here"),
        agent(1912, "back", updated_at=DAY3),
        agent(1917, "rejected, but present", contact__name=None, updated_at=DAY3),
        agent(1930, "still here", updated_at=DAY2),
        agent(1906, "warned", updated_at=DAY3, available="TRUE", contact__last_login_at="2026-03-07T25:00:00Z"),
    ]


def details(identifier: int, note: str, role_ids: Any, **changes: Any) -> Record:
    """Return an agent's details."""
    return changed(agent(identifier, note, **changes), {"role_ids": role_ids})


def details_day1() -> dict[str, Any]:
    """File name -> its one object."""
    return {
        "1909": details(
            1909, "two files name this agent", [11], contact__name="Details", updated_at="2026-01-01T00:00:00Z"
        ),
        "1909-again": details(
            1909, "newer: this one counts", [12], contact__name="Details", updated_at="2026-02-01T00:00:00Z"
        ),
        "1914": details(1914, "only here, never in agents", [11, 12]),
        "1915": details(1915, "as new as in agents", [13], contact__name="From details"),
        "1916": details(1916, "newer than in agents", [11], contact__name="From details", updated_at=DAY2),
        "1920": details(1920, "role_ids is null: none", None),
        "1921": details(1921, "role_ids are there on day1, malformed on day3", [12]),
        "1922": details(1922, "role_ids is a string: says nothing", "11,12"),
        "1923": details(1923, "two bad elements; role 99 is known on day3 only", [11, "12", "x", None, 13.0, 99]),
        "1924": details(1924, "rejected: contributes nothing", [11], contact__name=None),
        "1926": details(1926, "role_ids absent on day3: none", [11, 14]),
        "1927": changed(
            details(1927, "flat", [15]), {"contact": ..., "email": "flat.1927@example.com", "name": "Flat Details"}
        ),
    }


def details_day3() -> dict[str, Any]:
    """See `details_day1`."""
    return {
        "1914": details(1914, "not well-formed: what day1 said stays", {"id": 11}),
        "1921": details(1921, "malformed: says nothing", "[12]", updated_at=DAY3),
        "1922": details(1922, "well-formed at last", ["12"], updated_at=DAY3),
        "1923": details(1923, "roles 12 and 13 are taken away", [11, 99], updated_at=DAY3),
        "1926": details(1926, "absent: both are taken away", ..., updated_at=DAY3),
        "1928": details(1928, "rejected: blank e-mail; contributes nothing", [11], contact__email=""),
    }


def group(identifier: Any, note: str, parent: Any = None, members: Any = (), **changes: Any) -> Record:
    """Return a group as of noon of day 1."""
    record = {
        "id": identifier,
        "note": note,
        "name": f"Odd group {identifier}",
        "description": None,
        "parent_group_id": parent,
        "agent_ids": list(members) if isinstance(members, tuple) else members,
        "created_at": "2025-06-01T08:00:00Z",
        "updated_at": DAY1,
    }
    if members is ...:
        del record["agent_ids"]
    return changed(record, changes)


def groups_day1() -> list[Any]:
    """Trees that are none, members that are none."""
    chain = [group(601 + level, "one of a chain of 20", 600 + level if level else None) for level in range(19)]
    return [
        *chain,
        group(620, "the end of the chain: its active member makes all twenty active", 619, (1901,)),
        group(591, "a circle of two with an active member", 592, (1902,)),
        group(592, "a circle of two", 591),
        group(593, "a circle of three without active members", 595),
        group(594, "a circle of three", 593, (1914,)),
        group(595, "a circle of three", 594),
        group(596, "its own parent", 596, (1901,)),
        group(597, "its own parent, nobody in it", 597),
        group(590, "unknown parent", 99_999, (1901,)),
        group(589, "agent_ids is a string", None, "1901,1902"),
        group(588, "agent_ids is null", None, None),
        group(587, "agent_ids is absent", None, ...),
        group(586, "four bad elements", None, ["1901", 1902, "abc", None, 1.5, True, 1903.0]),
        group("585", "id a string, name a number", None, (1903,), name=number("585")),
        group(584, "the member is unknown until day2", None, (1930,)),
        group(583, "loses its last member on day2", None, (1901,)),
        group(582, "not mentioned again: keeps its member", None, (1902,)),
        group(581, "parent malformed", "none", (1901,)),
        group(580, "the parent comes on day2", 579, (1902,)),
        group(578, "newest of its day", None, (1901, 1902), updated_at="2026-03-05T13:00:00Z"),
        group(578, "older: its member does not count", None, (1903,)),
        group(577, "members well-formed here, malformed on day2: these stay", None, (1903,)),
        group(576, "a member that leaves on day2: inactive then", None, (1913,)),
        group(575, "a member who is rejected and never known", None, (1998,)),
        group(574, "rejected: no name", name=...),
        group("  ", "rejected: blank id"),
        group(573, "rejected: the name is a list", name=["A"]),
    ]


def groups_day2() -> list[Any]:
    """Changes of day 2."""
    return [
        group(579, "the parent of 580", None, updated_at=DAY2),
        group(583, "the last member is gone", None, (), updated_at=DAY2),
        group(577, "malformed members", None, {"ids": [1901]}, updated_at=DAY2),
        group(
            591,
            "an older update: the name stays, the members are this day's",
            None,
            (),
            name="Stale",
            updated_at="2026-01-01T00:00:00Z",
        ),
        group(572, "known from day2", 583, (1930, 1930), updated_at=DAY2),
    ]


def groups_day3() -> list[Any]:
    """Changes of day 3."""
    return [
        group(620, "the chain loses its only active member", 619, (), updated_at=DAY3),
        group(583, "has a member again", None, (1912,), updated_at=DAY3),
        group(587, "agent_ids still absent", None, ..., updated_at=DAY3),
    ]


def role(identifier: Any, note: str, **changes: Any) -> Record:
    """Return a role as of noon of day 1."""
    record = {
        "id": identifier,
        "note": note,
        "name": f"Odd role {identifier}",
        "description": None,
        "default": False,
        "agent_type": 1,
        "created_at": "2025-06-01T08:00:00Z",
        "updated_at": DAY1,
    }
    return changed(record, changes)


def roles_day1() -> list[Any]:
    """Oddities of roles."""
    return [
        role(91, "default is a string", default="true"),
        role(92, "default is malformed", default="maybe"),
        role("93", "id a string"),
        role(94, "newest of its day", name="Newest", updated_at="2026-03-05T13:00:00Z"),
        role(94, "older", name="Older"),
        role(None, "rejected: no id"),
        role(95, "rejected: blank name", name=" "),
    ]


def roles_day3() -> list[Any]:
    """A role that was assigned before it was known, and an update that comes late."""
    return [
        role(99, "assigned since day1, known from now on", updated_at=DAY3),
        role(94, "an older update: changes nothing", name="Stale", updated_at="2026-01-01T00:00:00Z"),
        role(91, "newer", name="Renamed", updated_at=DAY3),
    ]


def budget(identifier: Any, note: str, limit: Any = 1000, **changes: Any) -> Record:
    """Return a budget."""
    record = {
        "id": identifier,
        "note": note,
        "uuid": "00000000-0000-4000-8000-000000000001",
        "name": f"Odd budget {identifier}",
        "description": None,
        "retired": False,
        "startDate": "2026-03-01",
        "recurringInterval": "MONTHLY",
        "timezone": "UTC",
        "currentPeriod": {
            "limit": limit,
            "overspendBuffer": 0,
            "assigned": 0,
            "spent": {"cleared": 0, "pending": 0, "total": 0},
        },
    }
    return changed(record, {name.replace("__", "."): value for name, value in changes.items()})


def budgets_day1() -> list[Any]:
    """Oddities of budgets that CSV can carry."""
    return [
        budget("bdg_odd_1", "an exponent", "1e3"),
        budget("bdg_odd_2", "zero is a limit", 0),
        budget("bdg_odd_3", "warned: no such date", startDate="2026-02-29", currentPeriod__assigned="a lot"),
        budget("bdg_odd_4", "rejected: below zero", number("-0.01")),
        budget("bdg_odd_5", "rejected: no limit", None),
        budget("bdg_odd_6", "rejected: limit malformed", "1,000"),
        budget("bdg_odd_7", "only on day1: stays", " 12.3450 "),
    ]


def budgets_day2() -> list[Any]:
    """Oddities of budgets that need JSON."""
    return [
        budget("bdg_odd_1", "twice a day: first", 1),
        budget("bdg_odd_1", "twice a day: the last counts", number("2.50")),
        budget(8001, "an id that is a number", 10, retired="true", name=False),
        budget("bdg_odd_8", "rejected: no period", currentPeriod=None),
        budget("bdg_odd_9", "spent is no object", 10, currentPeriod__spent=12),
        budget("", "rejected: blank id"),
    ]


def card(identifier: Any, note: str, **changes: Any) -> Record:
    """Return a card as of noon of day 1."""
    record = {
        "id": identifier,
        "note": note,
        "uuid": "00000000-0000-4000-8000-000000000002",
        "name": f"Odd card {identifier}",
        "userId": "usr_00001",
        "budgetId": "bdg_0001",
        "lastFour": "0042",
        "validThru": "01/29",
        "status": "ACTIVATED",
        "type": "VIRTUAL",
        "shareBudgetFunds": True,
        "recurring": False,
        "recurringLimit": 100,
        "currentPeriod": {"limit": 500, "spent": 20.25},
        "createdTime": "2025-06-01T08:00:00Z",
        "updatedTime": DAY1,
    }
    return changed(record, {name.replace("__", "."): value for name, value in changes.items()})


def cards_day1() -> list[Any]:
    """Oddities of cards."""
    return [
        card("crd_odd_1", "amounts as strings, lastFour a number", lastFour=42, currentPeriod__limit="500.10"),
        card("crd_odd_2", "warned: spent is malformed", currentPeriod__spent="20,25"),
        card("crd_odd_3", "warned: the period is no object", currentPeriod="none"),
        card("crd_odd_4", "no period at all", currentPeriod=None, recurringLimit=None),
        card("crd_odd_5", "rejected: limit below zero", currentPeriod__limit=-1),
        card("crd_odd_6", "rejected: spent below zero", currentPeriod__spent=number("-0.5")),
        card("crd_odd_7", "rejected: recurringLimit below zero", recurringLimit="-1"),
        card("crd_odd_8", "rejected: no createdTime", createdTime=...),
        card("crd_odd_9", "rejected: createdTime malformed", createdTime="2025-06-31T08:00:00Z"),
        card("crd_odd_10", "rejected: blank status", status=""),
        card("crd_odd_11", "rejected: the type is an object", type={}),
        card("crd_odd_12", "a late update comes on day2"),
    ]


def cards_day2() -> list[Any]:
    """An update that comes late, one without a time, one on time."""
    return [
        card(
            "crd_odd_12", "an older update: changes nothing", status="FROZEN", updatedTime="2026-03-05T11:59:59.999999Z"
        ),
        card("crd_odd_1", "no updatedTime is older than any", status="FROZEN", updatedTime=None),
        card("crd_odd_2", "newer", status="DESTROYED", updatedTime=DAY2),
    ]


def transaction(identifier: Any, note: str, amount: Any, code: Any, **changes: Any) -> Record:
    """Return a transaction at noon of day 1; `exponent` and `rate` stand for the fields in `currencyData`."""
    money = {"originalCurrencyAmount": amount, "originalCurrencyCode": code}
    if "exponent" in changes:
        money["exponent"] = changes.pop("exponent")
    if "rate" in changes:
        money["exchangeRate"] = changes.pop("rate")
    record = {
        "id": identifier,
        "note": note,
        "uuid": f"uuid-{identifier}",
        "transactionType": "CLEAR",
        "userId": "usr_00001",
        "userName": "Odd Agent 1901",
        "merchantName": "Café Null",
        "rawMerchantName": "CAFE NULL",
        "cardId": "crd_00001",
        "budgetId": "bdg_0001",
        "occurredTime": DAY1,
        "updatedTime": DAY1,
        "currencyData": money,
    }
    return changed(record, changes)


def transactions_day1() -> list[Any]:
    """Currencies, amounts, exponents, rates and duplicates."""
    return [
        transaction("txn_odd_jpy", "no minor units", 12_345, "JPY"),
        transaction("txn_odd_kwd", "three decimals; only its own rate prices it", 12_345, "KWD", rate=3.2567),
        transaction("txn_odd_xau", "ISO names no minor unit: two", 250, "XAU", rate="5100.5", exponent=None),
        transaction("txn_odd_clp", "no decimals, own rate rounded half away", 990, "CLP", rate=number("0.00109999995")),
        transaction("txn_odd_vnd", "nothing prices it", 50_000, "VND"),
        transaction("txn_odd_zero_rate", "a rate of zero is none", 50_000, "VND", rate=0),
        transaction("txn_odd_minus_rate", "a rate below zero is none", 50_000, "VND", rate=-1.5),
        transaction("txn_odd_bad_rate", "warned: no rate", 50_000, "VND", rate="1.5 or so"),
        transaction("txn_odd_usd", "a dollar is a dollar", 1_000, "USD", rate=7),
        transaction("txn_odd_eur", "the bank's rate wins over its own", 1_000, "EUR", exponent=2, rate=9.9),
        transaction(
            "txn_odd_utc", "its UTC date is the day before", 1_000, "GBP", occurredTime="2026-03-06T01:30:00+03:00"
        ),
        transaction("txn_odd_weekend", "Sunday: the rate of Friday", 1_000, "GBP", occurredTime="2026-03-01T12:00:00Z"),
        transaction(
            "txn_odd_gap",
            "four days after the last rate of the rouble",
            1_000,
            "RUB",
            occurredTime="2022-03-05T12:00:00Z",
        ),
        transaction("txn_odd_gap_7", "seven days after it", 1_000, "RUB", occurredTime="2022-03-08T12:00:00Z"),
        transaction(
            "txn_odd_gap_8", "eight days: its own rate", 1_000, "RUB", occurredTime="2022-03-09T12:00:00Z", rate=0.0083
        ),
        transaction("txn_odd_before", "before the first rate", 1_000, "EUR", occurredTime="1998-12-31T12:00:00Z"),
        transaction("txn_odd_minus", "a refund", -2_599, "EUR"),
        transaction("txn_odd_zero", "nothing", 0, "EUR"),
        transaction("txn_odd_tie", "half a unit of the fourth decimal, away from zero", -5, "USD", exponent=5),
        transaction("txn_odd_string", "the amount is a string", " -1250 ", "GBP", exponent="2"),
        transaction("txn_odd_1e3", "an integral value, however written", number("1e3"), "USD", exponent=2.0),
        transaction("txn_odd_big", "the largest amount", 999_999_999_999_999_999, "USD", exponent=0),
        transaction("txn_odd_exponent", "four decimals of a dollar", 123_456, "USD", exponent=4),
        transaction(7001, "the id is a number", 100, "USD", userName=True, merchantName=None, rawMerchantName=""),
        transaction("txn_odd_untimed", "warned: updatedTime malformed, so oldest", 100, "USD", updatedTime="soon"),
        transaction("txn_odd_twice", "newest of its day", 100, "USD", updatedTime="2026-03-05T13:00:00Z"),
        transaction("txn_odd_twice", "older, though later", 200, "USD"),
        transaction("txn_odd_same", "first of a tie", 100, "USD"),
        transaction("txn_odd_same", "last of a tie", 200, "USD", updatedTime="2026-03-05T13:00:00+01:00"),
        transaction("txn_odd_late", "a late update comes on day2", 100, "EUR", updatedTime="2026-03-05T18:00:00Z"),
        transaction("txn_odd_day3", "an update comes on day3", 100, "EUR", transactionType="AUTHORIZATION"),
        transaction("txn_odd_moved", "its date and currency change on day3", 100, "EUR"),
        transaction("txn_bad_half", "rejected: half a minor unit", 12.5, "USD"),
        transaction("txn_bad_big", "rejected: too large", 10**18, "USD"),
        transaction("txn_bad_none", "rejected: no amount", None, "USD"),
        transaction("txn_bad_small", "rejected: not in capitals", 100, "usd"),
        transaction("txn_bad_old", "rejected: no longer current", 100, "BGN"),
        transaction("txn_bad_code", "rejected: no currency", 100, "ZZZ"),
        transaction("txn_bad_null", "rejected: no code", 100, None),
        transaction("txn_bad_exp_10", "rejected: exponent above 9", 100, "USD", exponent=10),
        transaction("txn_bad_exp_minus", "rejected: exponent below 0", 100, "USD", exponent=-1),
        transaction("txn_bad_exp_text", "rejected: exponent malformed", 100, "USD", exponent="two"),
        transaction("txn_bad_time", "rejected: no real time", 100, "USD", occurredTime="2026-03-05T24:00:00Z"),
        transaction("txn_bad_uuid", "rejected: blank uuid", 100, "USD", uuid=" "),
        transaction("txn_bad_money", "rejected: no currencyData", 100, "USD", currencyData=None),
        transaction(None, "rejected: no id", 100, "USD"),
        ["rejected: not an object"],
    ]


def transactions_day2() -> list[Any]:
    """Late and later updates."""
    return [
        transaction("txn_odd_late", "an older update: changes nothing", 999, "EUR", updatedTime="2026-03-05T17:59:59Z"),
        transaction("txn_odd_untimed", "has a time now", 300, "USD", updatedTime="2026-01-01T00:00:00Z"),
        transaction("txn_odd_same", "the same time: the later day counts", 400, "USD"),
    ]


def transactions_day3() -> list[Any]:
    """Updates for transactions of day 1."""
    return [
        transaction("txn_odd_day3", "cleared at last", 125, "EUR", updatedTime=DAY3),
        transaction("txn_odd_moved", "priced anew", 100, "JPY", updatedTime=DAY3, occurredTime=DAY2),
        transaction(
            "txn_odd_saturday", "Saturday: the rate of Friday", 1_000, "CHF", updatedTime=DAY3, occurredTime=DAY3
        ),
        transaction(
            "txn_odd_twice", "older than on day1: changes nothing", 1, "USD", updatedTime="2026-03-05T12:30:00Z"
        ),
    ]
