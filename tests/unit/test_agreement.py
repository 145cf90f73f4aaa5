"""The loader and the model, written apart, read any value and any record the same way."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from staging_loaders import convert, entity, values
from staging_loaders.read import read_records
from tests.generator.files import as_array, as_csv, encode, number
from tests.model import files, records, strategies
from tests.model import values as model
from tests.model.values import MALFORMED

DECLARATIONS = entity.load_declarations(Path(__file__).parents[2] / "staging_loaders" / "zluri")


def read_by_loader(content: bytes, ending: str = ".json") -> list[Any]:
    """Return the records that the loader reads from a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a{ending}")
        path.write_bytes(content)
        arrays = frozenset({("agent_ids",), ("role_ids",)})
        return [record[0] for record in read_records(str(path), arrays)]


def two(low: int, high: int) -> st.SearchStrategy[str]:
    """Draw a number of two digits, often an odd one."""
    return st.one_of(st.sampled_from([low, high, low - 1, high + 1]), st.integers(low, high)).map(
        lambda one: f"{max(one, 0):02d}"
    )


_fractions = st.sampled_from(["", ".", ".5", ".123456", ".9999999999", ".000000999", ",5"])
_offsets = st.sampled_from(
    [
        "",
        "Z",
        "z",
        " Z",
        "+00:00",
        "-00:00",
        "+05:30",
        "+0530",
        "-0800",
        "+05",
        "+23:59",
        "-23:59",
        "+00:60",
        "+0:00",
        "UTC",
    ]
)
_years = st.sampled_from(["0001", "0002", "1999", "2000", "2024", "2026", "2100", "9998", "9999", "26", "10000"])
dates = st.builds("{}-{}-{}".format, _years, two(1, 12), two(1, 31))
times = st.builds(
    "{}{}{}:{}{}{}".format,
    dates,
    st.sampled_from(["T", "T", " ", "t", "", "  "]),
    two(0, 23),
    two(0, 59),
    st.one_of(st.just(""), st.builds(":{}{}".format, two(0, 59), _fractions)),
    _offsets,
)
_spaces = st.sampled_from(["", "", " ", "   "])
_signs = st.sampled_from(["", "+", "-", "--"])
_digits = st.one_of(st.integers(0, 2**64).map(str), st.sampled_from(["0", "007", str(2**63 - 1), str(2**63), ""]))
_exponents = st.sampled_from(["", "", "e3", "E+2", "e-2", "e", "e1.5", "e25"])
_parts = st.sampled_from(["", "", ".0", ".50", ".", ".000000000000000000001"])
digits = st.builds("{0}{1}{2}{3}{4}{0}".format, _spaces, _signs, _digits, _parts, _exponents)
literals = (
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "-"]),
        st.one_of(st.integers(0, 2**64), st.sampled_from([0, 2**63 - 1, 2**63])),
        st.sampled_from(["", "", ".0", ".50", ".000000000000000000001"]),
        st.sampled_from(["", "", "e3", "E+2", "e-2", "e0", "e25"]),
    )
    .filter(lambda literal: literal != "-0")
    .map(number)
)  # as text it is either -0 or 0
texts = st.text(st.characters(codec=None), max_size=5)
anything = st.one_of(
    strategies.junk, texts, digits, literals, times, dates, st.booleans(), st.sampled_from(["true", "False"])
)


def _decimal(text: str) -> Decimal:
    return Decimal(text)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


KINDS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], str | None], Callable[[str], Any]]] = {
    "integer": (model.integer, values.integer, int),
    "number": (model.number, values.number, _decimal),
    "time": (model.time, values.moment, _moment),
    "date": (model.day, values.day, date.fromisoformat),
    "boolean": (model.boolean, values.boolean, lambda text: {"true": True, "false": False}[text]),
    "text": (model.text, values.text, str),
    "currency": (records.currency, values.currency, str),
}


@pytest.mark.parametrize("kind", KINDS)
@given(value=anything)
@example(value=number("1E2"))
@example(value="2024-02-29T23:59:59.999999999-23:59")
@example(value="9999-12-31T23:59:59.999999Z")
def test_a_value_means_the_same_to_both(kind: str, value: Any) -> None:
    """An integer, number, time, date, boolean, text or currency, or none."""
    expect, convert_value, back = KINDS[kind]
    content = as_array([{"value": value}])
    (record,) = read_by_loader(content)
    wanted = files.parse(encode(value))
    if wanted is None:
        return
    text = convert_value(record["value"])
    expected = expect(wanted)
    assert (MALFORMED if text is None else back(text)) == expected


ENTITIES = {
    "agents": strategies.agents,
    "agent_details": strategies.details,
    "admin_groups": strategies.groups,
    "roles": strategies.roles,
    "budgets": strategies.budgets,
    "cards": strategies.cards,
    "transactions": strategies.transactions,
}


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("name", ENTITIES)
@given(data=st.data())
def test_a_record_is_good_odd_or_bad_to_both(name: str, form: str, data: st.DataObject) -> None:
    """The same records are loaded, with as many warnings, and rejected, with the same key."""
    drawn = data.draw(st.lists(ENTITIES[name], min_size=1, max_size=4))
    # Junk where the ordinary draw seldom puts it.
    for record in drawn:
        if isinstance(record, dict) and record and data.draw(st.booleans()):
            record[data.draw(st.sampled_from(sorted(record)))] = data.draw(anything)
    drawn = [record for record in drawn if form == "json" or isinstance(record, dict)]
    content = as_csv(name, drawn) if form == "csv" else as_array(drawn)
    judge = convert.compile_entity(DECLARATIONS[name])
    wanted = files.read_day({f"{name}/a.{form}": content}).get(name, [])
    got = read_by_loader(content, f".{form}")
    assert len(got) == len(wanted)
    for located, record in zip(wanted, got, strict=True):
        expected, outcome = records.judge(name, located), judge(record)
        if isinstance(outcome, convert.Loaded):
            assert (expected.row is not None, len(expected.warnings)) == (True, len(outcome.warnings))
        else:
            key = None if expected.key is None else str(expected.key)
            assert (expected.row, key) == (None, outcome.key)
