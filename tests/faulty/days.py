"""Two small days in which whatever the rules are about happens once."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.steps import Warehouse

DAYS = ("day1", "day2")

# Tables that only faulty steps write.
_TABLES = """
create table if not exists card_events (card_id text, day text, status text);
create table if not exists card_history (card_id text, day text, status text, primary key (card_id, day));
"""


def stage(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Fill the staging of both days."""
    connection.execute(_TABLES)
    warehouse = Warehouse(connection)
    early, late = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    warehouse.stage(
        "day1",
        agents=[
            {"agent_id": 1, "name": "Ann", "updated_at": early},
            {"agent_id": 2, "name": "Bob", "updated_at": late},
            {"agent_id": 3, "name": "Cid", "updated_at": early},
        ],
        agent_details=[
            {"agent_id": 1, "name": "Ann", "role_ids": [10, 11], "updated_at": early},
            {"agent_id": 4, "name": "Dot", "role_ids": [10], "updated_at": early},
        ],
        roles=[
            {"role_id": 10, "name": "Reader", "updated_at": late},
            {"role_id": 11, "name": "Writer", "updated_at": early},
        ],
        admin_groups=[
            {"group_id": 100, "name": "All", "agent_ids": [1, 2], "updated_at": early},
            {"group_id": 101, "name": "Night", "agent_ids": [3], "updated_at": early},
            {"group_id": 102, "name": "Moon", "agent_ids": [9], "updated_at": early},
            {"group_id": 103, "name": "One", "updated_at": early},
            {"group_id": 103, "name": "Two", "updated_at": early},
        ],
        budgets=[{"budget_id": "budget-1", "limit_amount": 100}, {"budget_id": "budget-2", "limit_amount": 50}],
        cards=[
            {"card_id": "card-1", "status": "frozen", "updated_time": late, "current_spent": 5},
            {"card_id": "card-2", "status": "open", "updated_time": early},
            {"card_id": "card-3", "status": "open", "updated_time": early},
        ],
        transactions=[
            {"transaction_id": "t1", "updated_time": early, "minor_units": 100},
            {"transaction_id": "t2", "updated_time": late, "minor_units": 200},
        ],
    )
    warehouse.stage(
        "day2",
        agents=[
            {"agent_id": 1, "name": "Anna", "updated_at": late},
            {"agent_id": 2, "name": "Robert", "updated_at": early},
            {"agent_id": 9, "name": "Ivy", "updated_at": late},
        ],
        agent_details=[{"agent_id": 1, "name": "Anna", "role_ids": [11], "updated_at": early}],
        roles=[
            {"role_id": 10, "name": "Old reader", "updated_at": early},
            {"role_id": 12, "name": "Judge", "updated_at": early},
        ],
        admin_groups=[
            {"group_id": 100, "name": "All", "agent_ids": [1], "updated_at": late},
            {"group_id": 101, "name": "Night", "agent_ids": [], "updated_at": late},
        ],
        budgets=[{"budget_id": "budget-1", "limit_amount": 200}],
        cards=[
            {"card_id": "card-1", "status": "open", "updated_time": early, "current_spent": 7},
            {"card_id": "card-2", "status": "closed", "updated_time": late},
            {"card_id": "card-3", "status": "closed", "updated_time": early},
        ],
        transactions=[
            {"transaction_id": "t1", "updated_time": late, "minor_units": 150},
            {"transaction_id": "t3", "updated_time": early, "minor_units": 300},
            {"transaction_id": "t4", "updated_time": "2026-01-03T00:00:00Z", "minor_units": 400},
        ],
    )
