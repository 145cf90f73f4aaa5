"""What a record says, as one number: the same in staging and in the final table."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

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
