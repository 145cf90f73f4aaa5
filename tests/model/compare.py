"""The tables of a database against the model's, and what differs, for a person to read.

`python -m tests.model.compare --url "$(runner db url)" day1 day2 day3` compares a database in which
these days were applied, in this order; each day's files are below `--data` (tests/days).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.model.files import read_folder
from tests.model.records import Row
from tests.model.warehouse import TABLES, Count, Tables, Warehouse

Connection = psycopg.Connection[Any]


def read_tables(connection: Connection) -> Tables:
    """Return each final table: key -> row, its columns only (not the technical ones)."""
    connection.execute("set timezone = 'UTC'")
    result: Tables = {}
    for name, table in TABLES.items():
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        query = sql.SQL("select {} from {}").format(columns, sql.Identifier(name))
        rows = [dict(zip(table.columns, row, strict=True)) for row in connection.execute(query)]
        result[name] = {tuple(row[column] for column in table.columns[: table.key]): row for row in rows}
        assert len(result[name]) == len(rows), f"{name} has two rows of one key"
    return result


def read_counts(connection: Connection, day: str, pipeline: str = "zluri") -> dict[str, Count]:
    """Return what stg_loads says of a day, by entity."""
    rows = connection.execute(
        "select entity, records_read, rows_loaded, rejects, warnings from stg_loads where pipeline = %s and day = %s",
        (pipeline, day),
    )
    return {row[0]: Count(*row[1:]) for row in rows}


def read_watermark(connection: Connection) -> Any:
    """Return the watermark of the transactions, None before there is one."""
    rows = connection.execute("select last_processed_time from transaction_pipeline_state").fetchall()
    assert len(rows) <= 1, f"{len(rows)} watermarks"
    return rows[0][0] if rows else None


def _key(key: tuple[Any, ...]) -> str:
    return ", ".join(map(str, key))


def _differing(expected: Row, actual: Row) -> Iterator[str]:
    for column, value in expected.items():
        if actual[column] != value or type(actual[column]) is not type(value):
            yield f"{column}: {actual[column]!r}, should be {value!r}"


def differences(expected: Tables, actual: Tables) -> list[str]:
    """Return one line for each row that is missing, too much or different."""
    lines = []
    for name, rows in expected.items():
        found = actual[name]
        for key in sorted(rows.keys() | found.keys(), key=str):
            where = f"{name} ({_key(key)})"
            if key not in found:
                lines.append(f"{where} is missing: {rows[key]}")
            elif key not in rows:
                lines.append(f"{where} should not be there: {found[key]}")
            else:
                lines += [f"{where} {difference}" for difference in _differing(rows[key], found[key])]
    return lines


def assert_same(expected: Tables, actual: Tables, shown: int = 10) -> None:
    """Fail with the first differences, if there are any."""
    lines = differences(expected, actual)
    rest = [f"… and {len(lines) - shown} more"] if len(lines) > shown else []
    assert not lines, "\n".join(["the tables differ:", *lines[:shown], *rest])


def assert_holds(connection: Connection, warehouse: Warehouse) -> None:
    """Fail unless the database holds what the model says: all final tables and the watermark."""
    assert_same(warehouse.tables(), read_tables(connection))
    assert read_watermark(connection) == warehouse.watermark()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what differs; return 1 if anything does."""
    parser = argparse.ArgumentParser(prog="python -m tests.model.compare", description=__doc__)
    parser.add_argument("--url", required=True, help="the database")
    parser.add_argument("--data", type=Path, default=Path("tests/days"), help="the folder of the sync-<day> folders")
    parser.add_argument("day", nargs="+", help="in the order in which they were applied")
    given = parser.parse_args(arguments)
    model = Warehouse()
    for day in given.day:
        model.apply(day, read_folder(given.data / f"sync-{day}"))
    with psycopg.connect(given.url, autocommit=True) as connection:
        expected, actual = model.tables(), read_tables(connection)
    lines = differences(expected, actual)
    rows = ", ".join(f"{name} {len(content)}" for name, content in expected.items())
    print("\n".join(lines) if lines else f"the same: {rows}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
