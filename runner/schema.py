"""Schema files: run once, in order, recorded with a checksum; an edited one is refused.

A file that was edited even so, after others had applied it, is made good for by a later one: its header
names the earlier texts (`-- upgrades: 001_staging@3631e247f30e`). A database that has one of them is let
in, for the later file to bring it to what the text of today makes, and recorded as up to date with it.

The runner's own tables are made the same way, by the files in runner/sql. The number of the last one
is the version of their layout.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from runner import database, diagnosis, sqltext
from runner import limits as task_limits
from runner import step as step_module
from runner.errors import ConfigError, EditedSchemaFile, RunnerError, SchemaFailed
from runner.step import SCHEMA_KEYS, SqlFile

# The runner's own files are recorded under this pipeline, which no folder can be called.
OWN = ""
# Seconds to wait for another run that migrates the same database.
_PATIENCE = 60.0
# The SQLSTATE of a role that lacks a right.
_NOT_ALLOWED = "42501"


@dataclass(frozen=True)
class Applied:
    """What schema_history says of a file."""

    checksum: str
    applied_at: datetime


def own_files() -> tuple[SqlFile, ...]:
    """Return the files that make the runner's own tables."""
    folder = Path(str(resources.files("runner") / "sql"))
    return tuple(step_module.read(path, folder.parent.parent, SCHEMA_KEYS) for path in sorted(folder.glob("*.sql")))


def history(connection: database.Connection, pipeline: str) -> dict[str, Applied]:
    """Return file id -> record for `pipeline`; empty where the runner was never here."""
    # to_regclass() alone may not have heard yet of a table that another run made since the transaction began.
    query = "select exists (select from pg_class where oid = to_regclass('schema_history'))"
    (exists,) = connection.execute(query).fetchone()
    if not exists:
        return {}
    rows = connection.execute("select name, checksum, applied_at from schema_history where pipeline = %s", (pipeline,))
    return {name: Applied(checksum, applied_at) for name, checksum, applied_at in rows}


def connect(dsn: str, name: str) -> Any:
    """Open a connection as `database.connect` does, to a database whose layout of the runner's own tables is known.

    Raises ConfigError for one that a newer runner has made. An older one is let in: `migrate` is for that.
    """
    connection = database.connect(dsn, name)
    try:
        # A role that may read metrics only need not read this.
        if is_readable(connection):
            pending_own(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def is_readable(connection: database.Connection) -> bool:
    """Tell whether there is a record of what was run, and this role may read it."""
    row = connection.execute(
        "select coalesce(has_table_privilege(to_regclass('schema_history'), 'select'), false)"
    ).fetchone()
    return bool(row[0])


def pending(files: Sequence[SqlFile], applied: Mapping[str, Applied]) -> list[SqlFile]:
    """Return files not yet applied, in order, refusing edited, missing and out-of-order ones."""
    known = {file.id for file in files}
    for name, record in applied.items():
        if name not in known:
            raise EditedSchemaFile(
                f"schema file {name}.sql was applied on {record.applied_at:%Y-%m-%d} and is gone",
                hint="Restore it; what it made is taken back by a new file.",
            )
    newest = max((file.number for file in files if file.id in applied), default=-1)
    waiting = []
    for file in files:
        if file.id not in applied and file.number < newest:
            raise EditedSchemaFile(
                f"{file.shown} is new, but its number is below {newest:03}, which is already applied",
                hint=f"Give it a number above {newest:03}: files run once, in order.",
            )
        if file.id not in applied:
            waiting.append(file)
    for file in edited(files, applied):
        raise EditedSchemaFile(
            f"{file.shown} was changed after it was applied on {applied[file.id].applied_at:%Y-%m-%d}",
            hint=f"Restore it (git checkout -- {file.shown}) and put the change into a new file.",
        )
    return waiting


def edited(files: Sequence[SqlFile], applied: Mapping[str, Applied]) -> list[SqlFile]:
    """Return the files that were applied with another text, which no file that waits makes good for."""
    waiting = [earlier for file in files if file.id not in applied for earlier in file.upgrades]
    return [
        file
        for file in files
        if file.id in applied
        and applied[file.id].checksum != file.checksum
        and not any(name == file.id and applied[name].checksum.startswith(begins) for name, begins in waiting)
    ]


def pending_own(connection: database.Connection) -> list[SqlFile]:
    """Return the runner's own files that are not yet applied, in order.

    Raises ConfigError for a layout of its tables that this runner does not know: a newer one's, or nobody's.
    """
    own = own_files()
    # Before the history: another run may make both at this moment.
    taken = _taken(connection)
    applied = history(connection, OWN)
    if newer := sorted(set(applied) - {file.id for file in own}):
        raise ConfigError(
            f"the database was made by a newer runner: its layout is {newer[-1]}, this one knows {own[-1].id} at most",
            hint="Upgrade the runner on this machine.",
        )
    waiting = [file for file in own if file.id not in applied]
    if not applied and taken:
        raise ConfigError(
            f"the database has a table {taken} that no runner has made",
            hint="Name another database (DATABASE_URL), or rename the table.",
        )
    late = bool(waiting) and any(file.number > waiting[0].number for file in own if file.id in applied)
    odd = [file.id for file in edited(own, applied)] or [file.id for file in waiting if late]
    if odd:
        raise ConfigError(
            f"the layout of the runner's own tables is not known: {odd[0]} was applied with another text, "
            "or not at all",
            hint="Use the runner that made this database, or a new one; no release has made such a layout.",
        )
    return waiting


def _taken(connection: database.Connection) -> str | None:
    """Return one of the runner's own tables that is there."""
    for (name,) in connection.execute(
        "select name from unnest(array['pipeline_metrics', 'stg_loads']) as names (name) "
        "where to_regclass(name) is not null"
    ):
        return str(name)
    return None


def migrate(
    connection: database.Connection,
    pipeline: str,
    files: Sequence[SqlFile],
    attempts: int = 1,
    log: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Run what is pending of the runner's own files and of `files`; return the ids that ran.

    `connection` is in autocommit mode. Each file and its record are one transaction,
    but for files with `transaction: off`, whose record follows. A file is tried up to `attempts` times on faults
    that may pass, such as a lock that somebody keeps, each told to `log`.
    """

    def run(of: str, file: SqlFile, all_files: Sequence[SqlFile]) -> bool:
        for attempt, pause in enumerate([*database.backoff(attempts), None], 1):
            try:
                return _run(connection, of, file, all_files)
            except SchemaFailed as error:
                if pause is None or not error.transient:
                    raise
                why = error.message.splitlines()[1]
                log(f"{file.id}: attempt {attempt} of {attempts} failed ({why}); again in {pause:.1f} s")
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    own = own_files()
    done = [f"runner/{file.id}" for file in pending_own(connection) if run(OWN, file, own)]
    waiting = pending(files, history(connection, pipeline))
    done += [file.id for file in waiting if run(pipeline, file, files)]
    return done


def _run(connection: database.Connection, pipeline: str, file: SqlFile, files: Sequence[SqlFile]) -> bool:
    """Run one of `files` and record it, and those it upgrades; False where another run was quicker."""
    import psycopg

    statements = file.statements
    with _keeper(connection, file) as keeper:
        _begin(keeper, file)
        try:
            if file.id in history(keeper, pipeline):
                keeper.execute("rollback")
                return False
            started = time.perf_counter()
            if keeper is not connection:
                _be_patient(keeper)
                # For this session, since there is no transaction: the statement of a killed runner would go on.
                connection.execute("set client_connection_check_interval = '1s'")
            with _limited(connection, file):
                for statement in statements:
                    try:
                        connection.execute(statement.text.encode())
                    except psycopg.Error as error:
                        raise _failed(file, statement, error) from error
            keeper.execute(
                "insert into schema_history (pipeline, name, checksum, seconds) values (%s, %s, %s, %s)",
                (pipeline, file.id, file.checksum, round(time.perf_counter() - started, 6)),
            )
            texts = {each.id: each.checksum for each in files}
            for name, begins in file.upgrades:
                keeper.execute(
                    "update schema_history set checksum = %s "
                    "where pipeline = %s and name = %s and starts_with(checksum, %s)",
                    (texts.get(name), pipeline, name, begins),
                )
            keeper.execute("commit")
        except psycopg.OperationalError as error:
            if not keeper.closed:
                raise _failed(file, None, error) from error
            raise SchemaFailed(
                f"the connection was lost while schema file {file.id} was recorded; nobody knows whether it was",
                hint="Run again: a schema file that was recorded is not run again.",
            ) from error
        except psycopg.Error as error:
            raise _failed(file, None, error) from error
        finally:
            if not keeper.closed and keeper.info.transaction_status:
                keeper.execute("rollback")
    return True


@contextmanager
def _keeper(connection: database.Connection, file: SqlFile) -> Iterator[database.Connection]:
    """Return the connection whose transaction keeps other migrations away and has the record: another one where
    the file's statement is in no transaction."""
    if file.in_transaction:
        yield connection
        return
    from psycopg import conninfo

    info = connection.info
    password = {"password": info.password} if info.password else {}
    keeper = database.connect(conninfo.make_conninfo(info.dsn, **password), "runner migrate")
    try:
        yield keeper
    finally:
        keeper.close()


def _be_patient(keeper: database.Connection) -> None:
    """Let the transaction stay open for as long as the statement beside it takes, and without a snapshot."""
    keeper.execute(
        "select set_config(name, '0', true) from pg_settings"
        " where name in ('idle_in_transaction_session_timeout', 'transaction_timeout')"
    )
    # The snapshot of a statement with parameters lasts until the next one comes, and an index that is made
    # concurrently waits for it.
    keeper.execute("select")


@contextmanager
def _limited(connection: database.Connection, file: SqlFile) -> Iterator[None]:
    """Set the time limits of a file that is in no transaction, where it has any, for this session."""
    limits = {"statement_timeout": file.timeout, "lock_timeout": file.lock_timeout}
    limits = {} if file.in_transaction else {name: limit for name, limit in limits.items() if limit}
    for name, limit in limits.items():
        connection.execute(f"set {name} = {limit}")
    budget = None
    if not file.in_transaction:  # what is given up there stays behind half done
        budget, connection.budget = getattr(connection, "budget", None), None
    try:
        yield
    finally:
        if budget is not None:
            connection.budget = budget
            task_limits.restart()
        for name in limits:
            if not connection.closed:
                connection.execute(f"reset {name}")


def _begin(connection: database.Connection, file: SqlFile) -> None:
    """Open a transaction that alone migrates this database."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        connection.execute("begin")
        limits = {"lock_timeout": f"{file.lock_timeout}ms", "statement_timeout": f"{file.timeout}ms"}
        database.set_local(connection, database.BRIEF | (limits if file.in_transaction else {}))
        if database.try_lock(connection, exclusive="schema"):
            return
        connection.execute("rollback")
        if time.monotonic() > deadline:
            raise SchemaFailed(
                f"another run has been migrating this database for {_PATIENCE:.0f} s", hint="Wait for it and run again."
            )
        time.sleep(0.1)


def _failed(file: SqlFile, statement: sqltext.Statement | None, error: Any) -> RunnerError:
    message, hint = task_limits.explain(error, *diagnosis.explain(file, statement, error))
    if error.sqlstate == _NOT_ALLOWED:
        return ConfigError(
            f"the database needs schema file {file.id}, and this role may not run it\n{message}",
            hint="Let a role that may do so, such as the owner of the tables, run: runner migrate",
        )
    # What was in no transaction may have left something behind, and a lost connection is not ours to open again.
    passes = file.in_transaction and error.sqlstate is not None and database.is_transient(error)
    undone = file.in_transaction
    how = "failed and was rolled back" if undone else "failed; without a transaction, what it did before stays"
    told = f"schema file {file.id} {how}\n{message}"
    return SchemaFailed(told, hint=hint, transient=passes)
