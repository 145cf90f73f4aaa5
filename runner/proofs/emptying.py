"""Emptying tables inside a transaction, so that days begin from nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

from runner import database, diagnosis
from runner.errors import RunnerError
from runner.proofs import digest
from runner.proofs.digest import Table

# Emptying a table may fill another by a trigger, which is emptied once more, but not for ever.
_TIMES = 3
_NOT_EMPTIED = "Prove what needs no empty tables (--proof rerun,metrics,checks), or verify in a copy."


def empty(connection: database.Connection, tables: Iterable[Table]) -> None:
    """Delete the rows of tables, referencing tables first; readers go on reading them as they are."""
    import psycopg

    names = [table.name for table in digest.existing(connection, tables)]
    left = _referencing_first(connection, names)
    try:
        for _ in range(_TIMES):
            for name in left:
                connection.execute(f"delete from {name}".encode())
            left = [name for name in left if _holds(connection, name)]
    except psycopg.Error as error:
        raise RunnerError(
            f"the tables cannot be emptied inside a transaction, to begin from nothing: {diagnosis.primary(error)}",
            hint=_NOT_EMPTIED,
        ) from error
    if left:
        raise RunnerError(
            f"the tables cannot be emptied, to begin from nothing: {', '.join(left)} still holds rows; "
            "a trigger keeps or brings them",
            hint=_NOT_EMPTIED,
        )


def _holds(connection: database.Connection, table: str) -> bool:
    return connection.execute(f"select from {table} limit 1".encode()).fetchone() is not None


def _referencing_first(connection: database.Connection, names: Sequence[str]) -> list[str]:
    """Return tables so that one that references another comes before it; a circle keeps the given order."""
    found = connection.execute(
        "select conrelid::regclass::text, confrelid::regclass::text from pg_constraint"
        " where contype = 'f' and conrelid <> confrelid"
    ).fetchall()
    sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(names, ()))
    for child, parent in found:
        if child in names and parent in names:
            sorter.add(parent, child)
    try:
        return list(sorter.static_order())
    except CycleError:
        return list(names)
