"""What a record says, as one number: the same in staging and in the final table."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from tests.steps import Warehouse

Connection = psycopg.Connection[tuple[Any, ...]]

TABLES = [
    ("stg_agents", "agents"),
    ("stg_agent_details", "agents"),
    ("stg_budgets", "budgets"),
    ("stg_cards", "cards"),
    ("stg_transactions", "transactions"),
]
# What identifies a row, orders its versions, or is worked out by a step: compared by itself where it matters.
NOT_CONTENT = {
    "agents": {"agent_id", "status", "version_key", "version_source"},
    "budgets": {"budget_id", "version_key"},
    "cards": {"card_id", "version_key"},
    "transactions": {
        "transaction_id",
        "version_key",
        "original_amount",
        "original_currency",
        "exchange_rate",
        "amount_usd",
        "fx_source",
    },
}

EXPRESSION = """
    select pg_get_expr(adbin, adrelid)
    from pg_attrdef
    inner join pg_attribute on attrelid = adrelid and attnum = adnum
    where adrelid = %s::regclass and attname = 'content_hash'
"""
COLUMNS = "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"


@pytest.mark.parametrize(("staging", "final"), TABLES, ids=[staging for staging, _ in TABLES])
def test_staging_and_final_table_hash_the_same_columns(connection: Connection, staging: str, final: str) -> None:
    """A record that is stored as it was staged has the hash that it was staged with."""
    expressions = [connection.execute(EXPRESSION, (name,)).fetchall() for name in (staging, final)]
    assert len(expressions[0]) == 1
    assert expressions[0] == expressions[1]


@pytest.mark.parametrize("final", NOT_CONTENT, ids=str)
def test_every_copied_column_is_in_the_hash(connection: Connection, final: str) -> None:
    """A column that is added to a final table and not to its hash would never be updated."""
    ((expression,),) = connection.execute(EXPRESSION, (final,)).fetchall()
    hashed = set(re.findall(r"\w+", expression.partition("ROW(")[2].partition(")")[0]))
    columns = {name for (name,) in connection.execute(COLUMNS, (final,)).fetchall()}
    assert hashed == columns - NOT_CONTENT[final] - {"content_hash"}


@pytest.mark.parametrize(
    ("table", "change"),
    [
        pytest.param("agents", "name = 'Somebody else'", id="agents"),
        pytest.param("groups", "description = 'changed'", id="groups"),
        pytest.param("roles", "name = 'changed'", id="roles"),
        pytest.param("budgets", "spent_total = 1", id="budgets"),
        pytest.param("cards", "recurring = true", id="cards"),
        pytest.param("transactions", "merchant_name = 'changed'", id="transactions"),
        pytest.param("transactions", "original_amount = 2, amount_usd = 2", id="an amount"),
        pytest.param("transactions", "fx_source = 'ECB'", id="a source of rates"),
    ],
)
def test_a_row_changed_by_hand_is_mended_by_a_rerun(connection: Connection, table: str, change: str) -> None:
    """A rerun looks at the tables as they are, not at what it remembers of them."""
    warehouse = Warehouse(connection)
    day: dict[str, Any] = {
        "agents": [{"agent_id": 1}],
        "admin_groups": [{"group_id": 1}],
        "roles": [{"role_id": 1}],
        "budgets": [{"budget_id": "b"}],
        "cards": [{"card_id": "c"}],
        "transactions": [{"transaction_id": "t"}],
    }
    warehouse.run("day1", **day)
    before = warehouse.rows(f"select * from {table}")
    connection.execute(f"update {table} set {change}".encode())
    assert warehouse.rows(f"select * from {table}") != before
    counts = warehouse.apply("day1")
    assert warehouse.rows(f"select * from {table}") == before
    assert counts[table] == (0, 1, 0, "success")
