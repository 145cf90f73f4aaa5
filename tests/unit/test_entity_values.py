"""Values: what the loader makes of one JSON value, against slow and obvious readings of the rules."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from staging_loaders import values
from staging_loaders.values import Number

digits = st.text("0123456789", min_size=1, max_size=25)
signs = st.sampled_from(["", "-", "+"])
exponents = st.one_of(st.just(""), st.integers(-40, 40).map(lambda power: f"e{power}"))
spaces = st.sampled_from(["", " ", "  "])


@st.composite
def json_numbers(draw: st.DrawFn) -> str:
    """Numbers as JSON writes them: no plus, no leading zeros."""
    whole = str(int(draw(digits)))
    fraction = draw(st.one_of(st.just(""), digits.map(lambda text: "." + text)))
    return draw(st.sampled_from(["", "-"])) + whole + fraction + draw(exponents)


def obvious_integer(text: str) -> str | None:
    """Compute the decimal in full and look at it."""
    value = Decimal(text)
    integral = value == value.to_integral_value() if abs(value.adjusted()) < 100 else value == 0
    return str(int(value)) if integral and -(2**63) <= value < 2**63 else None


@given(json_numbers())
@example("9223372036854775807")
@example("9223372036854775808.0")
@example("-9223372036854775808e0")
@example("-0.0")
@example("1.20e1")
def test_integers_are_numbers_with_an_integral_value(text: str) -> None:
    """A JSON number is an integer where its exact value is one of 64 bits, however it is written."""
    assert values.integer(Number(text)) == obvious_integer(text)


@given(spaces, signs, digits, spaces)
def test_strings_of_digits_are_integers(before: str, sign: str, text: str, after: str) -> None:
    """A string of digits with a sign and outer spaces is an integer where it fits 64 bits."""
    assert values.integer(before + sign + text + after) == obvious_integer(sign + text)


@pytest.mark.parametrize(
    "value",
    ["", " ", "1.0", "1e3", "0x10", "1_000", "+ 1", "١٢", "1 2", True, False, [1], {"a": 1}, "9" * 5000, 2**63,
     Number("0.5"), Number("1e999999999"), Number("1e-999999999"), Number("1e" + "9" * 5000), Number("nan")],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_what_is_no_integer(value: object) -> None:
    """Fractions, other alphabets, booleans and what does not fit are malformed, at no cost."""
    assert values.integer(value) is None


@given(spaces, signs, digits, st.one_of(st.just(""), digits.map(lambda text: "." + text)), exponents, spaces)
def test_numbers_keep_their_exact_value(
    before: str, sign: str, whole: str, fraction: str, exponent: str, after: str
) -> None:
    """A number, or a string that holds one, becomes text of exactly its value."""
    written = sign + whole + fraction + exponent
    kept = values.number(before + written + after)
    assert kept is not None
    assert Decimal(kept) == Decimal(written)
    assert re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", kept)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("1e131071", "1" + "0" * 131_071),
        ("1e131072", None),
        ("9.9e131071", "99" + "0" * 131_070),
        ("1e-16383", "0." + "0" * 16_382 + "1"),
        ("1e-16384", None),
        ("10e-16384", "0." + "0" * 16_382 + "1"),
        ("1e999999999999999999", None),
        ("0e999999999999999999", "0"),
        ("0." + "0" * 20_000, "0"),
        ("-0.00", "0"),
        ("1.50", "1.50"),
        ("15e-1", "1.5"),
        ("-1.5E+3", "-1500"),
        ("1" + "0" * 131_072, None),
        ("1.5" + "0" * 20_000, "1.5"),
    ],
    ids=lambda value: str(value)[:16],
)
def test_numbers_stay_within_what_numeric_holds(written: str, kept: str | None) -> None:
    """Beyond 131072 digits before the point, or 16383 after it, a number is malformed; zeros do not count."""
    assert values.number(Number(written)) == kept


@pytest.mark.parametrize("value", ["", " ", "1,5", ".5", "5.", "NaN", "inf", "1e", True, [], {}, "1 e3"], ids=repr)
def test_what_is_no_number(value: object) -> None:
    """Only plain decimals are numbers."""
    assert values.number(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        ("", ""),
        (12, "12"),
        (Number("1.50"), "1.50"),
        (Number("1e3"), "1e3"),
        (True, "true"),
        (False, "false"),
        ("a\x00b", "a\ufffdb"),
        ("é\ud800\x00", "é\ufffd\ufffd"),
        ("😀", "😀"),
        ([], None),
        ({}, None),
    ],
    ids=lambda value: repr(value)[:16],
)
def test_text_is_what_was_written(value: object, text: str | None) -> None:
    """Numbers and booleans become their text; what PostgreSQL cannot store becomes U+FFFD."""
    assert values.text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), ("true", "true"), (False, "false"), ("false", "false"), (1, None), (0, None), ("True", None),
     ("", None), ("yes", None), (Number("1.0"), None), ([True], None)],
    ids=lambda value: repr(value),
)  # fmt: skip
def test_booleans(value: object, text: str | None) -> None:
    """JSON's true and false, and these words as strings; nothing that merely looks like it."""
    assert values.boolean(value) == text


offsets = st.one_of(
    st.sampled_from(["", "Z"]),
    st.builds(
        lambda sign, hours, colon, minutes: f"{sign}{hours:02}{colon}{minutes:02}",
        st.sampled_from("+-"),
        st.integers(0, 25),
        st.sampled_from(["", ":"]),
        st.integers(0, 61),
    ),
)


@st.composite
def times(draw: st.DrawFn) -> str:
    """Times of the right form, real and not."""
    year = draw(st.one_of(st.integers(0, 2), st.integers(1990, 2030), st.integers(9998, 9999)))
    month, day = draw(st.integers(0, 13)), draw(st.integers(0, 32))
    clock = f"{draw(st.integers(0, 24)):02}:{draw(st.integers(0, 60)):02}"
    if draw(st.booleans()):
        clock += f":{draw(st.integers(0, 61)):02}"
        if draw(st.booleans()):
            clock += "." + draw(st.text("0123456789", min_size=1, max_size=9))
    return f"{year:04}-{month:02}-{day:02}{draw(st.sampled_from('T '))}{clock}{draw(offsets)}"


def obvious_time(text: str) -> datetime | None:
    """Take the text apart by the rule's own words; return the moment in UTC."""
    match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:?\d\d)?", text)
    if match is None:
        return None
    year, month, day, hour, minute = (int(part) for part in match.groups()[:5])
    micro = int((match[7] or "").ljust(6, "0")[:6])
    offset = timedelta()
    if match[8] and match[8] != "Z":
        hours, minutes = int(match[8][1:3]), int(match[8][-2:])
        if hours > 23 or minutes > 59:
            return None
        offset = timedelta(hours=hours, minutes=minutes) * (-1 if match[8][0] == "-" else 1)
    try:
        # Year 0 has no place in Python; 400 years later the calendar is the same.
        local = datetime(year or 400, month, day, hour, minute, int(match[6] or 0), micro, UTC)
        utc = local - offset
    except (ValueError, OverflowError):
        return None
    if year == 0:
        return utc.replace(year=1) if utc.year == 401 else None
    return utc


@given(times())
@example("0000-12-31T23:00:00-05:00")
@example("0001-01-01T00:00:00+00:01")
@example("9999-12-31T23:59:59-00:01")
@example("2026-01-05 10:00:00.1234567")
@example("2026-01-05T10:00:00.999999999Z")
@example("2024-02-29T00:00Z")
def test_times_are_moments_in_utc(text: str) -> None:
    """A real time becomes its moment in UTC, cut to microseconds; any other is malformed."""
    kept = values.moment(text)
    expected = obvious_time(text)
    assert (kept is None) == (expected is None)
    if kept is not None:
        assert re.fullmatch(r"....-..-..T..:..:..(\.[0-9]{0,5}[1-9])?Z", kept)
        assert datetime.fromisoformat(kept) == expected


@pytest.mark.parametrize(
    "value",
    ["", "2026-01-05", "2026-01-05t10:00:00Z", "2026-01-05T10:00:00z", " 2026-01-05T10:00:00Z", "2026-01-05T10Z",
     "2026-01-05T10:00:00,5Z", "2026-W02-1T10:00:00Z", "20260105T100000Z", "2026-01-05T10:00:00.Z",
     "2026-01-05T10:00:00 Z", "2026-01-05T10:00:00+05", "10000-01-01T00:00:00Z", 1767607200, True, []],
    ids=repr,
)  # fmt: skip
def test_what_is_no_time(value: object) -> None:
    """Other forms of ISO 8601, numbers and bare dates are no times."""
    assert values.moment(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [("2026-01-05", "2026-01-05"), ("2024-02-29", "2024-02-29"), ("2026-02-29", None), ("0000-01-01", None),
     ("2026-1-5", None), ("2026-01-05T00:00:00Z", None), (" 2026-01-05", None), ("", None), (20260105, None)],
    ids=lambda value: repr(value),
)  # fmt: skip
def test_dates(value: object, text: str | None) -> None:
    """A date is YYYY-MM-DD and a real one."""
    assert values.day(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("USD", "USD"), ("JPY", "JPY"), ("XAU", "XAU"), ("usd", None), (" USD", None), ("DEM", None), ("ZZZ", None),
     ("", None), (840, None), (["USD"], None)],
    ids=lambda value: repr(value),
)  # fmt: skip
def test_currencies(value: object, text: str | None) -> None:
    """A current ISO 4217 code in capitals, no other."""
    assert values.currency(value) == text


@pytest.mark.parametrize(("code", "digits"), [("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("XAU", 2)])
def test_minor_units(code: str, digits: int) -> None:
    """The currency's own number of decimals; 2 where ISO 4217 names none."""
    assert values.minor_units()[code] == digits
