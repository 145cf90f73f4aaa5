"""Which of the server's errors are tried again: each of PostgreSQL's codes is decided."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from runner import database, diagnosis

# https://www.postgresql.org/docs/current/errcodes-appendix.html
PASSING = {
    "08000": "connection exception",
    "08001": "connection could not be established",
    "08003": "connection does not exist",
    "08004": "connection rejected",
    "08006": "connection failure",
    "08007": "transaction resolution unknown",
    "08P01": "protocol violation, and whatever PgBouncer has to say",
    "25P03": "session ended, being idle in a transaction",
    "40001": "serialization failure",
    "40P01": "deadlock",
    "53300": "too many connections",
    "55P03": "lock not available in time",
    "57P01": "administrator's command",
    "57P02": "crash of another process",
    "57P03": "server is starting up, shutting down or recovering",
    "57P05": "session ended, being idle",
}
KNOWN = {
    error.sqlstate: error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, psycopg.Error) and error.sqlstate
}


def test_what_is_tried_again() -> None:
    """Of all codes that there are, exactly these pass."""
    assert len(KNOWN) > 250
    assert {code for code, error in KNOWN.items() if database.is_transient(error())} == set(PASSING)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("0A000", id="plan that does not fit any more"),
        pytest.param("22012", id="division by zero"),
        pytest.param("23505", id="unique violation"),
        pytest.param("25006", id="read only"),
        pytest.param("25P02", id="failed transaction"),
        pytest.param("25P04", id="transaction time-out"),
        pytest.param("28P01", id="wrong password"),
        pytest.param("40002", id="constraint at the commit"),
        pytest.param("42501", id="no right"),
        pytest.param("42P01", id="no such table"),
        pytest.param("53100", id="disk full"),
        pytest.param("53200", id="out of memory"),
        pytest.param("55006", id="in use"),
        pytest.param("57014", id="statement time-out"),
        pytest.param("57P04", id="database dropped"),
        pytest.param("58030", id="input or output"),
        pytest.param("P0001", id="raised"),
        pytest.param("XX000", id="internal"),
    ],
)
def test_what_fails_at_once(code: str) -> None:
    """What would come again the same way, or needs a person."""
    assert not database.is_transient(KNOWN[code]())


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        pytest.param(psycopg.OperationalError("lost"), True, id="lost"),
        pytest.param(psycopg.InterfaceError("closed"), True, id="closed"),
        pytest.param(psycopg.ProgrammingError("parameters"), False, id="wrong use"),
        pytest.param(psycopg.DataError("NUL"), False, id="wrong value"),
    ],
)
def test_without_a_code(error: psycopg.Error, passes: bool) -> None:
    """What psycopg says by itself is a connection that is lost, or a fault that stays."""
    assert database.is_transient(error) is passes


def test_a_limit_of_the_server_has_its_remedy() -> None:
    """A transaction that the server ends for its length is nothing to correct in the file."""
    assert "transaction_timeout" in diagnosis.hint_for_state("25P04")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n"
            "\tbefore or while processing the request.\n",
            "server closed the connection unexpectedly",
            id="guess",
        ),
        pytest.param("no row\nCONTEXT:  COPY rates", "no row\nCONTEXT:  COPY rates", id="context"),
        pytest.param("", "OperationalError", id="nothing"),
    ],
)
def test_what_an_error_says(text: str, told: str) -> None:
    """What libpq guesses of the cause is left out, so that the last line is the reason."""
    assert database.said(psycopg.OperationalError(text)) == told


def test_backoff_is_bounded() -> None:
    """Pauses double from a tenth of a second to ten seconds, half of each by chance."""
    most = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    for _ in range(50):
        pauses = list(database.backoff(10))
        assert len(pauses) == len(most)
        assert all(longest / 2 <= pause <= longest for pause, longest in zip(pauses, most, strict=True))
    assert list(database.backoff(1)) == []
    assert len({tuple(database.backoff(3)) for _ in range(20)}) == 20
