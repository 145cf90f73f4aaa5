"""040_transactions: newest update, exact amounts, the rate of the transaction's own date."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.steps import Row, Warehouse

EARLY, LATE = "2024-01-01T00:00:00Z", "2024-06-01T00:00:00Z"


@pytest.fixture
def warehouse(connection: psycopg.Connection[tuple[Any, ...]]) -> Warehouse:
    """An empty warehouse."""
    return Warehouse(connection)


@pytest.fixture
def rates(warehouse: Warehouse) -> Warehouse:
    """A warehouse with rates of Friday the 5th, Monday the 8th and Tuesday the 9th of January 2024."""
    warehouse.connection.execute(
        """
        insert into fx_rates (currency, rate_date, units_per_eur, source) values
            ('USD', '2024-01-05', 1.1, 'ECB'), ('USD', '2024-01-08', 1.2, 'ECB'), ('USD', '2024-01-09', 1.3, 'ECB'),
            ('GBP', '2024-01-05', 0.8, 'ECB'), ('GBP', '2024-01-08', 0.9, 'ECB'),
            ('JPY', '2024-01-08', 157.37, 'ECB')
        """
    )
    return warehouse


def payment(transaction_id: str = "t", **more: Any) -> Row:
    """A staging row of `transactions`: one dollar."""
    return {"transaction_id": transaction_id, **more}


def priced(warehouse: Warehouse, **more: Any) -> tuple[Any, ...]:
    """Apply one transaction; return its rate, dollars and source."""
    warehouse.run("day1", transactions=[payment(**more)])
    return warehouse.one("select exchange_rate, amount_usd, fx_source from transactions")


def names(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """Return (id, merchant) of all transactions."""
    return warehouse.rows("select transaction_id, merchant_name from transactions order by transaction_id")


@pytest.mark.parametrize("order", [["day2", "day10"], ["day10", "day2"]], ids=["in order", "reversed"])
def test_the_newest_update_wins(warehouse: Warehouse, order: list[str]) -> None:
    """Time decides, then the later day; no time is oldest; whichever is applied first."""
    entities = {
        "day2": [
            payment("a", merchant_name="new", updated_time=LATE),
            payment("b", merchant_name="day2", updated_time=EARLY),
            payment("c", merchant_name="timed", updated_time=EARLY),
        ],
        "day10": [
            payment("a", merchant_name="old", updated_time=EARLY),
            payment("b", merchant_name="day10", updated_time=EARLY),
            payment("c", merchant_name="bare", updated_time=None),
        ],
    }
    for day in order:
        warehouse.run(day, transactions=entities[day])
    assert names(warehouse) == [("a", "new"), ("b", "day10"), ("c", "timed")]


@pytest.mark.parametrize(
    ("records", "winner"),
    [
        pytest.param(
            [payment(merchant_name="new", updated_time=LATE), payment(merchant_name="old", updated_time=EARLY)],
            "new",
            id="newest time",
        ),
        pytest.param([payment(merchant_name="first"), payment(merchant_name="last")], "last", id="last in file"),
        pytest.param(
            [payment(merchant_name="b", source_file="b.json"), payment(merchant_name="a", source_file="a.json")],
            "b",
            id="last file",
        ),
    ],
)
def test_within_a_day_one_record_stands(warehouse: Warehouse, records: list[Row], winner: str) -> None:
    """A superseded record is neither written nor counted, also when the day is applied again."""
    assert warehouse.run("day1", transactions=records)["transactions"] == (1, 0, 0, "success")
    assert warehouse.apply("day1")["transactions"] == (0, 0, 0, "success")
    assert names(warehouse) == [("t", winner)]


def test_a_corrected_day_replaces_its_own_record(warehouse: Warehouse) -> None:
    """A day applied again with other content at the same time replaces what it brought."""
    warehouse.run("day1", transactions=[payment(merchant_name="typo"), payment("u")])
    counts = warehouse.run("day1", transactions=[payment(merchant_name="right"), payment("u")])
    assert names(warehouse) == [("t", "right"), ("u", None)]
    assert counts["transactions"] == (0, 1, 0, "success")


def test_a_corrected_day_may_reorder_its_records(warehouse: Warehouse) -> None:
    """Of records with the same time the last in the new file order stands."""
    one, other = payment(merchant_name="one"), payment(merchant_name="other")
    warehouse.run("day1", transactions=[one, other])
    warehouse.run("day1", transactions=[other, one])
    assert names(warehouse) == [("t", "one")]


def test_a_superseded_record_does_not_come_back(warehouse: Warehouse) -> None:
    """The stored record is the day's last; an earlier one between corrections stays out."""
    last = payment(merchant_name="last")
    warehouse.run("day1", transactions=[last])
    counts = warehouse.run("day1", transactions=[payment(merchant_name="first"), payment(merchant_name="second"), last])
    assert names(warehouse) == [("t", "last")]
    assert counts["transactions"] == (0, 0, 0, "success")


def test_a_corrected_day_does_not_take_back_the_newest(warehouse: Warehouse) -> None:
    """Where the newest version wins, the newest ever seen stays, also when the record is gone."""
    warehouse.run("day1", transactions=[payment(merchant_name="new", updated_time=LATE), payment("u")])
    warehouse.run("day1", transactions=[payment(merchant_name="old", updated_time=EARLY)])
    assert names(warehouse) == [("t", "new"), ("u", None)]


def test_unknown_budgets_cards_and_users_are_harmless(warehouse: Warehouse) -> None:
    """A transaction may name what no file has."""
    warehouse.run("day1", transactions=[payment(budget_id="?", card_id="?", user_id="?")])
    assert warehouse.one("select budget_id, card_id, user_id from transactions") == ("?", "?", "?")


@pytest.mark.parametrize(
    ("minor_units", "exponent", "amount"),
    [
        pytest.param(12345, 2, "123.45", id="cents"),
        pytest.param(500, 0, "500", id="no minor unit"),
        pytest.param(1, 3, "0.001", id="a thousandth"),
        pytest.param(-1, 2, "-0.01", id="negative"),
        pytest.param(0, 2, "0.00", id="zero"),
        pytest.param(10**18 - 1, 9, "999999999.999999999", id="largest and finest"),
        pytest.param(-(10**18) + 1, 0, "-999999999999999999", id="smallest"),
        pytest.param(100, 2, "1.00", id="trailing zeros"),
    ],
)
def test_amounts_are_exact(warehouse: Warehouse, minor_units: int, exponent: int, amount: str) -> None:
    """Minor units over a power of ten, with as many decimals as the exponent."""
    warehouse.run("day1", transactions=[payment(minor_units=minor_units, exponent=exponent)])
    assert warehouse.one("select original_amount::text from transactions") == (amount,)


def test_dollars_are_dollars(rates: Warehouse) -> None:
    """Rate 1 for US dollars, whatever the record says."""
    assert priced(rates, minor_units=1234, payload_rate=2) == (Decimal(1), Decimal("12.34"), "USD")


@pytest.mark.parametrize(
    ("occurred", "currency", "rate"),
    [
        pytest.param("2024-01-08T12:00:00Z", "GBP", Decimal("1.3333333333"), id="its own date"),
        pytest.param("2024-01-07T12:00:00Z", "GBP", Decimal("1.375"), id="Sunday takes Friday's"),
        pytest.param("2024-01-09T12:00:00Z", "GBP", Decimal("1.3333333333"), id="the nearest day with both legs"),
        pytest.param("2024-01-15T23:59:59Z", "GBP", Decimal("1.3333333333"), id="seven days"),
        pytest.param("2024-01-08T00:30:00+02:00", "GBP", Decimal("1.375"), id="the date in UTC"),
        pytest.param("2024-01-09T12:00:00Z", "EUR", Decimal("1.3"), id="euro"),
        pytest.param("2024-01-06T12:00:00Z", "EUR", Decimal("1.1"), id="euro at the weekend"),
        pytest.param("2024-01-08T12:00:00Z", "JPY", Decimal("0.0076253416"), id="small"),
    ],
)
def test_the_banks_rate(rates: Warehouse, occurred: str, currency: str, rate: Decimal) -> None:
    """The reference rate of the transaction's UTC date, or of the nearest earlier day within seven."""
    amount = (100 * rate).quantize(Decimal("0.0001"), rounding="ROUND_HALF_UP")
    assert priced(rates, occurred_time=occurred, currency=currency, minor_units=10000, payload_rate=9) == (
        rate,
        amount,
        "ECB",
    )


@pytest.mark.parametrize(
    ("occurred", "currency"),
    [
        pytest.param("2024-01-16T00:00:00Z", "GBP", id="eight days later"),
        pytest.param("2024-01-04T23:59:59Z", "EUR", id="before the first rate"),
        pytest.param("2024-01-08T12:00:00Z", "AED", id="a currency the bank does not know"),
    ],
)
def test_without_a_banks_rate_the_payloads(rates: Warehouse, occurred: str, currency: str) -> None:
    """The record's own rate prices what the bank's cannot, rounded to 10 decimals."""
    assert priced(
        rates, occurred_time=occurred, currency=currency, payload_rate=Decimal("0.27229407765"), minor_units=100
    ) == (Decimal("0.2722940777"), Decimal("0.2723"), "PAYLOAD")


@pytest.mark.parametrize("payload_rate", [None, 0, -1], ids=["absent", "zero", "negative"])
def test_without_any_rate_the_transaction_is_kept(rates: Warehouse, payload_rate: int | None) -> None:
    """A rate must be above 0; without one, rate and dollars are null."""
    assert priced(rates, currency="AED", payload_rate=payload_rate) == (None, None, "MISSING")


def test_a_payload_rate_may_round_to_zero(warehouse: Warehouse) -> None:
    """A rate above 0 is the payload's, even where nothing is left of it at ten decimals."""
    assert priced(warehouse, currency="AED", payload_rate=Decimal("1e-12")) == (0, 0, "PAYLOAD")


@pytest.mark.parametrize(
    ("minor_units", "dollars"),
    [pytest.param(5, "0.0001", id="up"), pytest.param(-5, "-0.0001", id="down")],
)
def test_dollars_round_half_away_from_zero(warehouse: Warehouse, minor_units: int, dollars: str) -> None:
    """A half of the fourth decimal goes away from zero."""
    rate = {"currency": "AED", "payload_rate": Decimal("0.001")}
    assert priced(warehouse, minor_units=minor_units, exponent=2, **rate)[1] == Decimal(dollars)


units = st.decimals(min_value="0.0001", max_value="99999999", places=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(usd=units, own=units)
def test_the_quotient_is_rounded_once(warehouse: Warehouse, usd: Decimal, own: Decimal) -> None:
    """USD per EUR over currency per EUR, rounded half up at the tenth decimal of the exact quotient."""
    warehouse.connection.execute("truncate fx_rates, transactions")
    warehouse.connection.execute(
        "insert into fx_rates values ('USD', '2024-01-01', %s, ''), ('GBP', '2024-01-01', %s, '')", (usd, own)
    )
    warehouse.stage("day1", transactions=[payment(currency="GBP")])
    warehouse.apply("day1", "040_transactions")
    (rate,) = warehouse.one("select exchange_rate from transactions")
    tenths = Fraction(usd) / Fraction(own) * 10**10
    assert rate == Decimal(int(tenths + Fraction(1, 2))).scaleb(-10)


def test_applying_again_prices_with_the_rates_known_then(warehouse: Warehouse) -> None:
    """A rate that comes later prices the day's transactions when the day is applied again."""
    assert priced(warehouse, currency="GBP")[2] == "MISSING"
    warehouse.connection.execute(
        "insert into fx_rates values ('USD', '2024-01-01', 1.1, ''), ('GBP', '2024-01-01', 0.8, '')"
    )
    counts = warehouse.apply("day1")
    assert counts["transactions"] == (0, 1, 0, "success")
    assert warehouse.one("select exchange_rate, fx_source from transactions") == (Decimal("1.375"), "ECB")


def test_a_day_prices_only_what_it_brought(warehouse: Warehouse) -> None:
    """Applying a day again leaves the price of a record that another day replaced."""
    warehouse.run("day1", transactions=[payment(currency="GBP")])
    warehouse.run("day2", transactions=[payment(currency="GBP")])
    warehouse.connection.execute(
        "insert into fx_rates values ('USD', '2024-01-01', 1.1, ''), ('GBP', '2024-01-01', 0.8, '')"
    )
    assert warehouse.apply("day1")["transactions"] == (0, 0, 0, "success")


def watermark(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """Return the watermark as text."""
    return warehouse.rows(
        "select pipeline_name, to_char(last_processed_time at time zone 'UTC', 'YYYY-MM-DD')"
        " from transaction_pipeline_state"
    )


def test_the_watermark_only_moves_forward(warehouse: Warehouse) -> None:
    """It is the newest update seen, a superseded one included; an older day does not move it back."""
    warehouse.run("day2", transactions=[payment(updated_time=LATE)])
    warehouse.run("day1", transactions=[payment("u", updated_time=EARLY)])
    assert watermark(warehouse) == [("transactions", "2024-06-01")]


def test_the_watermark_is_no_filter(warehouse: Warehouse) -> None:
    """A record older than the watermark lands where it belongs."""
    warehouse.run("day2", transactions=[payment(updated_time=LATE)])
    warehouse.run("day1", transactions=[payment("late", updated_time=EARLY)])
    assert [name for name, _ in names(warehouse)] == ["late", "t"]


def test_without_times_there_is_no_watermark(warehouse: Warehouse) -> None:
    """A day without any `updatedTime` has seen none."""
    warehouse.run("day1", transactions=[payment()])
    assert watermark(warehouse) == []
