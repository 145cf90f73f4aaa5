"""Schema files: run once, in order, recorded with a checksum; an edited one is refused."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from runner import database, diagnosis, sqltext
from runner import step as step_module
from runner.errors import ConfigError, EditedSchemaFile, SchemaFailed
from runner.step import SCHEMA_KEYS, SqlFile

# The runner's own files are recorded under this pipeline, which no folder can be called.
OWN = ""
# Seconds to wait for another run that migrates the same database.
_PATIENCE = 60.0


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
    (exists,) = connection.execute("select to_regclass('schema_history') is not null").fetchone()
    if not exists:
        return {}
    rows = connection.execute("select name, checksum, applied_at from schema_history where pipeline = %s", (pipeline,))
    return {name: Applied(checksum, applied_at) for name, checksum, applied_at in rows}


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
        if file.id not in applied:
            if file.number < newest:
                raise EditedSchemaFile(
                    f"{file.shown} is new, but its number is below {newest:03}, which is already applied",
                    hint=f"Give it a number above {newest:03}: files run once, in order.",
                )
            waiting.append(file)
        elif applied[file.id].checksum != file.checksum:
            raise EditedSchemaFile(
                f"{file.shown} was changed after it was applied on {applied[file.id].applied_at:%Y-%m-%d}",
                hint=f"Restore it (git checkout -- {file.shown}) and put the change into a new file.",
            )
    return waiting


def migrate(connection: database.Connection, pipeline: str, files: Sequence[SqlFile]) -> list[str]:
    """Run what is pending of the runner's own files and of `files`; return the ids that ran.

    `connection` is in autocommit mode. Each file and its record are one transaction,
    but for files with `transaction: off`, whose record follows.
    """
    own = own_files()
    done = [f"runner/{file.id}" for file in _pending_own(connection, own) if _run(connection, OWN, file)]
    done += [file.id for file in pending(files, history(connection, pipeline)) if _run(connection, pipeline, file)]
    return done


def _pending_own(connection: database.Connection, own: Sequence[SqlFile]) -> list[SqlFile]:
    applied = history(connection, OWN)
    if newer := sorted(set(applied) - {file.id for file in own}):
        raise ConfigError(
            f"the database was made by a newer runner (it has {newer[-1]})", hint="Upgrade the runner on this machine."
        )
    return [file for file in own if file.id not in applied]


def _run(connection: database.Connection, pipeline: str, file: SqlFile) -> bool:
    """Run one file and record it; False where another run was quicker."""
    import psycopg

    statements = file.statements
    _begin(connection, file)
    try:
        if file.id in history(connection, pipeline):
            connection.execute("rollback")
            return False
        started = time.perf_counter()
        if not file.in_transaction:
            connection.execute("rollback")
        for statement in statements:
            try:
                connection.execute(statement.text.encode())
            except psycopg.Error as error:
                raise _failed(file, statement, error) from error
        if not file.in_transaction:
            connection.execute("begin")
        connection.execute(
            "insert into schema_history (pipeline, name, checksum, seconds) values (%s, %s, %s, %s)",
            (pipeline, file.id, file.checksum, round(time.perf_counter() - started, 6)),
        )
        connection.execute("commit")
    except psycopg.Error as error:
        raise _failed(file, None, error) from error
    finally:
        if not connection.closed and connection.info.transaction_status:
            connection.execute("rollback")
    return True


def _begin(connection: database.Connection, file: SqlFile) -> None:
    """Open a transaction that alone migrates this database."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        connection.execute("begin")
        database.set_local(
            connection, {"lock_timeout": f"{file.lock_timeout}ms", "statement_timeout": f"{file.timeout}ms"}
        )
        if database.try_lock(connection, exclusive="schema"):
            return
        connection.execute("rollback")
        if time.monotonic() > deadline:
            raise SchemaFailed(
                f"another run has been migrating this database for {_PATIENCE:.0f} s", hint="Wait for it and run again."
            )
        time.sleep(0.1)


def _failed(file: SqlFile, statement: sqltext.Statement | None, error: Any) -> SchemaFailed:
    message, hint = diagnosis.explain(file, statement, error)
    return SchemaFailed(f"schema file {file.id} failed and was rolled back\n{message}", hint=hint)
