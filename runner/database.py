"""Connections: where the server is, how to reach it, and what its errors mean for a retry."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runner import connections, extras, limits
from runner.config import Settings
from runner.errors import ConfigError, DatabaseUnavailable

if TYPE_CHECKING:
    import psycopg

    from runner import unanswered

Connection = Any
"""A psycopg connection in autocommit mode; its type is not imported, for a quick start."""

# Serialization failure, deadlock, lock time-out, lost connection, server going down or coming up, too many
# connections, a session ended for its silence: https://www.postgresql.org/docs/current/errcodes-appendix.html
# Not a database that was dropped (57P04), nor what took too long (57014, 25P04) or has no room (53100, 53200).
_TRANSIENT = re.compile(r"40001|40P01|55P03|08\w{3}|57P0[1235]|53300|25P03")
# What a server says to whom it will never let in; other refusals may pass.
_REFUSED = re.compile(
    r"authentication failed|no pg_hba\.conf entry|pg_hba\.conf rejects|no password supplied|does not exist"
    r"|not permitted to log in|permission denied|unsupported startup parameter|no such (user|database)"
)
_STARTING = re.compile(
    "the database system is (starting up|in recovery mode|not yet accepting connections)"
    "|recovery state has not been yet reached"
)
_TRIED = re.compile(
    r'^(connection (is bad|failed): )?connection to server (at|on socket) "[^"]*"(, port \d+| \([^)]*\))* failed: '
)
_GUESSES = ("Is the server running", "This probably means", "before or while processing")
# What of a connection string nobody else may see, and from how many characters on it is looked for.
_SECRETS, _SHORTEST = ("password", "sslpassword"), 4
_AT_IN_PATH = re.compile(r"postgres(?:ql)?://[^/?]*/[^?]*@")
# How SQLAlchemy names a driver.
_DRIVER = re.compile(r"postgres(?:ql)?(\+\w+)://")
ABSENT = 5
"""How much longer than after another fault to wait for a server that is not there: it may be starting again."""

# Seconds a server that is starting up is waited for.
_START = 30.0
# Seconds a connection attempt may take; a host that is gone is noticed after 30 + 3 * 10 seconds without a sign of
# it, or 60 of unacknowledged data. What the connection string says of these counts more.
_PATIENCE: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# How the server notices that a client is gone: by its connection's end also while a statement runs, and, where its
# host vanished without a goodbye, within a minute; the system's own patience is two hours.
WATCHED = {
    "client_connection_check_interval": "1s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
# For a transaction with locks that keep others waiting, whose client says something all the time as long as it lives.
BRIEF = WATCHED | {"idle_in_transaction_session_timeout": "60s"}


def resolve(settings: Settings) -> str:
    """Return the connection string of the settings' server, starting the embedded one where none is named.

    Raises ConfigError for a block of Prefect's that cannot be had, and RunnerError where its server is away.
    """
    if settings.database_url is not None:
        return _loaded(settings.database_url)
    from runner import embedded

    return embedded.ensure_running(settings.home, settings.embedded_version, settings.embedded_port)


def _loaded(url: str) -> str:
    """Return the connection string that `url` is, or that the block has which it names (see connections.py)."""
    block = connections.block_name(url)
    if block is None:
        return url
    try:
        from runner.flows import blocks
    except ImportError as error:
        raise ConfigError(
            f"the settings name the block {block}, and Prefect, which keeps it, is not installed: {error}",
            hint=f"Install it: {extras.install('prefect')}. Or set DATABASE_URL to the connection string itself.",
        ) from error
    return blocks.load(block)


def connect(dsn: str, name: str) -> unanswered.Connection:
    """Open a connection in autocommit mode, which `pg_stat_activity` shows as `name`.

    A server that is starting up is waited for, up to half a minute. Raises
    DatabaseUnavailable, or ConfigError for what is no connection string, both without the password.
    """
    import psycopg

    from runner import unanswered

    check(dsn)
    # libpq takes it from here alone; psycopg reads times in this style only, whatever the server's default.
    os.environ["PGDATESTYLE"] = "ISO"
    given = _parts(dsn) or {}
    patience = {option: value for option, value in _PATIENCE.items() if option not in given}
    until = time.monotonic() + _START
    for pause in backoff(1000):
        try:
            connection = unanswered.Connection.connect(
                dsn,
                autocommit=True,
                application_name=name[:63],
                fallback_application_name=None,
                # Prepared statements do not survive a transaction pooler.
                prepare_threshold=None,
                client_encoding="utf8",
                **patience,
            )
            connection.asked_at = dsn
            connection.budget = limits.current()
            # Else the server takes backslashes in what we send, files of SQL among it, for escapes. PgBouncer keeps it.
            if connection.info.parameter_status("standard_conforming_strings") == "off":
                connection.execute("set standard_conforming_strings to on")
            return connection
        except psycopg.OperationalError as error:
            if time.monotonic() > until or not _STARTING.search(str(error)):
                raise _no_answer(dsn, _reason(error, dsn)) from None
            time.sleep(min(pause, 1.0))
        except (psycopg.ProgrammingError, UnicodeError, ValueError):
            # libpq's own message quotes the string, and so perhaps the password.
            raise _not_a_connection_string(dsn) from None
    raise AssertionError("unreachable")


def _no_answer(dsn: str, reason: str) -> DatabaseUnavailable:
    from runner import embedded_silence

    return embedded_silence.explain(_parts(dsn) or {}, reason) or DatabaseUnavailable(
        f"cannot connect to {describe(dsn)}: {reason}",
        hint=pooler_hint(reason)
        or "Check DATABASE_URL and that the server runs, or unset it to use the embedded PostgreSQL.",
        transient=not _REFUSED.search(reason),
    )


def pooler_hint(reason: str) -> str | None:
    """Return what to do about an error that PgBouncer made, None for any other."""
    if "unsupported startup parameter" in reason:
        name = reason.rpartition(": ")[2]
        return (
            f"A pooler refuses it: take {name} out of DATABASE_URL and PGOPTIONS (alter role … set … says it to the "
            f"server), or let PgBouncer pass over it: ignore_startup_parameters = {name}."
        )
    if "query_wait_timeout" in reason:
        return (
            "The pooler had no connection to spare: give it more (default_pool_size). A load holds one, and one for "
            "each of its workers; see docs/races.md."
        )
    return None


def _parts(dsn: str) -> dict[str, Any] | None:
    """Return the parts of a connection string, None for what is none.

    Nor is one whose password has an unescaped `@` or `/`: libpq then takes a part of it for the name of the
    host or the database.
    """
    from psycopg import ProgrammingError, conninfo

    if "\0" in dsn or _AT_IN_PATH.match(dsn):
        return None
    try:
        parts = conninfo.conninfo_to_dict(dsn)
    except (ProgrammingError, UnicodeError):
        return None
    # At the beginning it names an abstract socket.
    return None if "@" in str(parts.get("host") or "")[1:] else parts


def check(dsn: str, name: str = "DATABASE_URL") -> None:
    """Refuse what is no connection string, without quoting it: it may hold a password. `name` is where it stands."""
    parts = _parts(dsn)
    if parts is None:
        raise _not_a_connection_string(dsn, name)
    for port in str(parts.get("port") or "").split(","):
        if port and not (port.isascii() and port.isdigit()):
            raise _not_a_connection_string(dsn, name, "its port is not a number")  # but perhaps a part of the password


def _not_a_connection_string(dsn: str, name: str = "DATABASE_URL", why: str = "") -> ConfigError:
    driver = _DRIVER.match(dsn)
    if driver:
        hint = f"Leave out {driver[1]!r}, which is for SQLAlchemy: postgresql://user:password@host:5432/database."
    else:
        hint = (
            "Write postgresql://user:password@host:5432/database, "
            "with special characters in the password percent-encoded."
        )
    return ConfigError(f"{name} is not a connection string{why and f': {why}'}", hint=hint)


def describe(dsn: str) -> str:
    """Return where `dsn` points, without user secrets: `user@host:port/database`."""
    parts = _parts(dsn)
    if parts is None:
        return "the server of DATABASE_URL"
    user = f"{parts['user']}@" if parts.get("user") else ""
    port = f":{parts['port']}" if parts.get("port") else ""
    name = parts.get("dbname") or parts.get("user")
    return f"{user}{parts.get('host') or 'the local server'}{port}{f'/{name}' if name else ''}"


def redact(text: str, dsn: str) -> str:
    """Remove the password of `dsn` from `text`, plain or percent-encoded, in case somebody quotes it.

    It is looked for as a word of its own, and not at all where it is shorter than four characters: other
    text would be spoilt, and tell by its gaps what the password is.
    """
    from urllib.parse import quote

    parts = _parts(dsn) or {}
    given = [*(parts.get(key) for key in _SECRETS), os.environ.get("PGPASSWORD")]
    secrets = {str(secret) for secret in given if secret and len(str(secret)) >= _SHORTEST}
    written = {form for secret in secrets for form in (secret, quote(secret), quote(secret, safe=""))}
    for form in sorted(written, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", "********", text)
    return text


def said(error: Exception) -> str:
    """Return what an error says, without libpq's guesses at its cause; its kind where it says nothing."""
    lines = map(str.strip, str(error).strip().splitlines())
    return "\n".join(line for line in lines if not line.startswith(_GUESSES)) or type(error).__name__


def _reason(error: Exception, dsn: str) -> str:
    """Return the last line of libpq's message, the one that says why."""
    lines = [line for line in said(error).splitlines() if line and not line.startswith("Multiple connection")]
    # Where it was tried is said already.
    return redact(_TRIED.sub("", lines[-1]) if lines else "no reason given", dsn)


def is_transient(error: psycopg.Error, connection: Connection | None = None) -> bool:
    """Tell whether trying again can help; an error without SQLSTATE is a lost connection.

    Of a server that refuses to write, the `connection` is asked whether it is a standby, which may pass.
    """
    import psycopg

    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if error.sqlstate == "25006":
        return connection is not None and _in_recovery(connection)
    return _TRANSIENT.fullmatch(error.sqlstate) is not None


def _in_recovery(connection: Connection) -> bool:
    import psycopg

    try:
        connection.execute("rollback")
        row = connection.execute("select pg_is_in_recovery()").fetchone()
    except psycopg.Error:
        return False
    return bool(row[0])


def backoff(attempts: int) -> Iterator[float]:
    """Yield the seconds to wait after each failed attempt but the last: doubling from 0.1 to 10, half of it random.

    The jitter keeps those who failed together from meeting again
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    for attempt in range(attempts - 1):
        pause = min(10.0, 0.1 * 2**attempt)
        yield pause * (0.5 + random.random() / 2)


def try_lock(connection: Connection, *, exclusive: str | None = None, shared: str | None = None) -> bool:
    """Try to take advisory locks until the transaction's end, without waiting.

    Session locks would leak through a pooler; waiting ones would deadlock with
    `create index concurrently`.
    """
    columns, values = [], []
    if exclusive is not None:
        columns.append("pg_try_advisory_xact_lock(hashtextextended(%s, 0))")
        values.append(exclusive)
    if shared is not None:
        columns.append("pg_try_advisory_xact_lock_shared(hashtextextended(%s, 0))")
        values.append(shared)
    row = connection.execute(f"select {' and '.join(columns)}", values).fetchone()
    return bool(row[0])


def set_local(connection: Connection, settings: dict[str, str]) -> None:
    """Make settings for the current transaction, as bound parameters."""
    calls = ", ".join("set_config(%s, %s, true)" for _ in settings)
    connection.execute(f"select {calls}", [text for item in settings.items() for text in item])


def set_unlimited(connection: Connection) -> None:
    """Let the current transaction take as long as it needs, whatever the role or the database says."""
    # Those of these limits that the server knows.
    connection.execute(
        "select set_config(name, '0', true) from pg_settings where name in"
        " ('idle_in_transaction_session_timeout', 'transaction_timeout', 'statement_timeout')"
    )
