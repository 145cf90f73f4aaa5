"""Drive the Zluri steps without a loader: staging rows in, step files executed as they are, tables out."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
STEPS = sorted((ROOT / "migrations" / "zluri").glob("[0-9]*.sql"))
REQUIRED = ("agents", "admin_groups", "transactions")

# What a staging row has where a test does not care.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "agents": {"email": "someone@example.com", "name": "Someone"},
    "agent_details": {"email": "someone@example.com", "name": "Someone", "role_ids": []},
    "admin_groups": {"name": "A group", "agent_ids": []},
    "roles": {"name": "A role"},
    "budgets": {"limit_amount": 0},
    "cards": {"status": "open", "type": "virtual", "created_time": "2024-01-01T00:00:00Z"},
    "transactions": {
        "transaction_uuid": "u",
        "occurred_time": "2024-01-01T00:00:00Z",
        "minor_units": 100,
        "currency": "USD",
        "exponent": 2,
    },
}
# The tables that steps write, with their keys; the watermark and the metrics are counted nowhere.
KEYS = {
    "agents": ("agent_id",),
    "agent_status_history": ("agent_id", "day"),
    "agent_presence_unknown": ("agent_id", "day"),
    "agent_days": ("day",),
    "roles": ("role_id",),
    "agent_role_mapping": ("agent_id", "role_id"),
    "agent_role_unknown": ("agent_id", "role_id"),
    "agent_role_history": ("agent_id", "day"),
    "groups": ("group_id",),
    "group_membership": ("group_id", "agent_id"),
    "group_member_unknown": ("group_id", "agent_id"),
    "group_member_history": ("group_id", "day"),
    "budgets": ("budget_id",),
    "cards": ("card_id",),
    "transactions": ("transaction_id",),
}

Row = Mapping[str, Any]


class Counts(NamedTuple):
    """What a step's metrics row says."""

    inserted: int
    updated: int
    deleted: int
    status: str


class Warehouse:
    """A migrated database into which days are staged and to which steps are applied."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self.connection = connection

    def stage(self, day: str, rejected_agents: Iterable[int] = (), **entities: Iterable[Row]) -> None:
        """Replace the staging of `day`; entities not given are empty where required, else absent.

        A row's `source_file` and `position` default to one file in the given order.
        """
        loaded = {name: list(entities.get(name, ())) for name in {*REQUIRED, *entities}}
        with self.connection.transaction():
            for name in _DEFAULTS:
                self.connection.execute("select staging_day(%s, %s)", (f"stg_{name}", day))
                self.connection.execute(
                    sql.SQL("delete from {} where day = %s").format(sql.Identifier(f"stg_{name}")), (day,)
                )
            self.connection.execute("delete from stg_loads where day = %s", (day,))
            self.connection.execute("delete from stg_rejects where day = %s", (day,))
            for name, rows in loaded.items():
                for position, row in enumerate(rows, start=1):
                    self._insert(name, {"source_file": "a.json", "position": position, **_DEFAULTS[name], **row}, day)
                self.connection.execute(
                    "insert into stg_loads (pipeline, day, entity, records_read, rows_loaded, rejects, warnings,"
                    " files, bytes, fingerprint, flow_run_id, seconds)"
                    " values ('zluri', %s, %s, %s, %s, 0, 0, 1, 1, '', '', 0)",
                    (day, name, len(rows), len(rows)),
                )
            for key in rejected_agents:
                self.connection.execute(
                    "insert into stg_rejects (pipeline, day, entity, severity, reason, source_file, position,"
                    " record_key) values ('zluri', %s, 'agents', 'reject', 'no name', 'a.json', 1, %s)",
                    (day, str(key)),
                )

    def apply(self, day: str, *names: str) -> dict[str, Counts]:
        """Run the steps of `day` in order, or only those named (`020_groups`); return their metrics."""
        run = str(uuid.uuid4())
        self.connection.execute(
            "select set_config('app.flow_run_id', %s, false), set_config('app.day', %s, false)", (run, day)
        )
        for step in STEPS:
            if not names or step.stem in names:
                try:
                    self.connection.execute(step.read_bytes())
                except psycopg.Error:
                    self.connection.rollback()
                    raise
        return {
            name: Counts(*counts)
            for name, *counts in self.rows(
                "select pipeline_name, rows_inserted, rows_updated, rows_deleted, status"
                " from pipeline_metrics where flow_run_id = %s",
                run,
            )
        }

    def run(self, day: str, rejected_agents: Iterable[int] = (), **entities: Iterable[Row]) -> dict[str, Counts]:
        """Stage and apply a day."""
        self.stage(day, rejected_agents, **entities)
        return self.apply(day)

    def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return a query's rows."""
        return self.connection.execute(query.encode(), arguments or None).fetchall()

    def one(self, query: str, *arguments: Any) -> tuple[Any, ...]:
        """Return a query's only row."""
        (row,) = self.rows(query, *arguments)
        return row

    def content(self) -> dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]:
        """Return every table the steps write: key -> row."""
        return {
            table: {
                row[: len(key)]: row
                for row in self.rows(f"select {', '.join(key)}, t.* from {table} as t order by {', '.join(key)}")
            }
            for table, key in KEYS.items()
        }

    def places(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return where each row lies and who wrote or locked it last: the same only if nothing was touched."""
        return {
            table: self.rows(f"select ctid::text, xmin::text, xmax::text from {table} order by ctid") for table in KEYS
        }

    def _insert(self, entity: str, row: Row, day: str) -> None:
        row = {"day": day, **row}
        self.connection.execute(
            sql.SQL("insert into {} ({}) values ({})").format(
                sql.Identifier(f"stg_{entity}"),
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join(sql.Placeholder() * len(row)),
            ),
            list(row.values()),
        )
