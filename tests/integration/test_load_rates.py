"""Exchange rates: the packaged history, a newer file or a URL; only what is new is written."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner.errors import LoadFailed
from staging_loaders import rates

Connection = psycopg.Connection[tuple[Any, ...]]

CSV = "Date,USD,JPY,EUR,\n2026-01-06,1.1000,160.5,1,\n2026-01-05,1.05,N/A,1,\n"


def stored(connection: Connection) -> list[tuple[Any, ...]]:
    """Return the rates that steps see."""
    return connection.execute(
        "select currency, rate_date::text, units_per_eur::text, source from fx_rates order by 1, 2"
    ).fetchall()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small file of rates."""
    file = tmp_path / "rates.csv"
    file.write_text(CSV)
    return file


def zipped(text: str) -> bytes:
    """Return a zip as the bank publishes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("eurofxref-hist.csv", text)
    return buffer.getvalue()


def test_rates_as_they_were_written(connection: Connection, source: Path) -> None:
    """Exact decimals; what was not quoted has no row, and the euro is the base."""
    assert rates.refresh(connection, str(source)) == 3
    assert stored(connection) == [
        ("JPY", "2026-01-06", "160.5", "ECB"),
        ("USD", "2026-01-05", "1.05", "ECB"),
        ("USD", "2026-01-06", "1.1000", "ECB"),
    ]


def test_a_source_is_read_once(connection: Connection, source: Path) -> None:
    """The same content is not even looked at; rates corrected by hand since then stay."""
    rates.refresh(connection, str(source))
    connection.execute("update fx_rates set units_per_eur = 2 where currency = 'JPY'")
    assert rates.refresh(connection, str(source)) == 0
    assert stored(connection)[0] == ("JPY", "2026-01-06", "2", "ECB")


def test_only_what_differs_is_written(connection: Connection, source: Path) -> None:
    """A newer file adds and corrects; rates that it lacks stay."""
    rates.refresh(connection, str(source))
    versions = dict(connection.execute("select currency || rate_date, xmin::text from fx_rates").fetchall())
    source.write_text("Date,USD\n2026-01-07,1.2\n2026-01-06,1.1\n2026-01-05,1.06\n")
    assert rates.refresh(connection, str(source)) == 2
    assert [row[:3] for row in stored(connection)] == [
        ("JPY", "2026-01-06", "160.5"),
        ("USD", "2026-01-05", "1.06"),
        ("USD", "2026-01-06", "1.1000"),
        ("USD", "2026-01-07", "1.2"),
    ]
    after = dict(connection.execute("select currency || rate_date, xmin::text from fx_rates").fetchall())
    assert sorted(key for key in versions if versions[key] == after[key]) == ["JPY2026-01-06", "USD2026-01-06"]


def test_the_packaged_history(connection: Connection) -> None:
    """It begins in 1999, and holds currencies that are no more."""
    assert rates.refresh(connection) > 200_000
    row = connection.execute(
        "select units_per_eur::text from fx_rates where currency = 'USD' and rate_date = '1999-01-04'"
    ).fetchone()
    assert row == ("1.1789",)
    assert rates.refresh(connection) == 0


@pytest.fixture
def url() -> Iterator[str]:
    """A local web server with a zip of rates at /rates.zip and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/rates.zip"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(zipped(CSV) if found else b"")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_rates_from_a_url(connection: Connection, url: str) -> None:
    """A zip fetched from the network is as good as a file."""
    assert rates.refresh(connection, f"{url}/rates.zip") == 3


def test_a_url_that_answers_no(connection: Connection, url: str) -> None:
    """The error names the source and the setting."""
    with pytest.raises(LoadFailed, match=r"/gone: HTTP Error 404") as error:
        rates.refresh(connection, f"{url}/gone")
    assert "FX_RATES_SOURCE" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the first column is not Date"),
        (b"<html>", "the first column is not Date"),
        (b"Date,USD\nyesterday,1.1\n", "line 2: 'yesterday' is not a date"),
        (b"Date,USD\n2026-01-05,1.1\n2026-01-06,-1\n", "line 3: '-1' is not a rate of USD"),
        (b"Date,USD\n2026-01-05,0.00\n", "line 2: '0.00' is not a rate of USD"),
        (b"Date,USD\n2026-01-05,\xff\n", "utf-8"),
        (zipped(CSV)[:60], "not a zip file"),
        (zipped(CSV).replace(b".csv", b".txt"), "no CSV file in it"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_source_that_is_something_else(connection: Connection, source: Path, content: bytes, words: str) -> None:
    """Nothing is written, and the error says where it went wrong."""
    source.write_bytes(content)
    with pytest.raises(LoadFailed, match=words):
        rates.refresh(connection, str(source))
    assert stored(connection) == []
    assert connection.execute("select count(*) from reference_loads").fetchone() == (0,)


def test_a_file_that_is_not_there(connection: Connection) -> None:
    """The error names it."""
    with pytest.raises(LoadFailed, match=r"/nowhere/rates\.csv: .*No such file"):
        rates.refresh(connection, "/nowhere/rates.csv")


def test_a_database_without_rates_needs_none(connection: Connection) -> None:
    """A pipeline that prices nothing is left alone."""
    connection.execute("drop table fx_rates")
    assert rates.refresh(connection) == 0
