"""What staging holds of the Zluri days, for comparing loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from staging_loaders.entity import load_declarations

Connection = psycopg.Connection[Any]
ZLURI = Path(__file__).resolve().parent.parent / "staging_loaders" / "zluri"
TABLES = {name: entity.table for name, entity in load_declarations(ZLURI).items()}


def staging(connection: Connection, fingerprints: bool = True) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that readers of staging can see, but for times; fingerprints are each store's own."""
    found = {
        table: connection.execute(f"select * from {table} order by day, source_file, position").fetchall()
        for table in TABLES.values()
    }
    found["rejects"] = connection.execute(
        "select * from stg_rejects order by day, entity, source_file, position, reason, raw_value"
    ).fetchall()
    found["loads"] = connection.execute(
        "select day, entity, records_read, rows_loaded, rejects, warnings, files, bytes, "
        "case when %s then fingerprint end from stg_loads order by 1, 2",
        (fingerprints,),
    ).fetchall()
    return found
