"""A year of small days: as many records each, most of them those of yesterday."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

FIRST = date(2025, 1, 1)
AGENTS, GROUPS, ROLES, BUDGETS, CARDS, TRANSACTIONS = 60, 12, 8, 12, 40, 100
# How many of the transactions of a day are updates of those of the day before.
_UPDATES = 20

Record = dict[str, Any]


def name(number: int) -> str:
    """Return the name of the day of that number, from 0: `2025-01-01`."""
    return (FIRST + timedelta(days=number)).isoformat()


def write(folder: Path, number: int) -> None:
    """Write the files of a day below `folder`."""
    for entity, records in _day(number).items():
        place = folder / f"sync-{name(number)}" / entity
        place.mkdir(parents=True)
        (place / "page.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")


def _day(number: int) -> dict[str, Sequence[Record]]:
    today = name(number)
    # A tenth of them has something new to say, and one in fifteen is not there.
    agents = [_agent(key, number) for key in range(1, AGENTS + 1)]
    return {
        "agents": [agent for agent in agents if (agent["id"] + number) % 15],
        "agent_details": [agent | {"role_ids": _some(ROLES, agent["id"], number, 3)} for agent in agents],
        "admin_groups": [
            {"id": key, "name": f"Group {key}", "agent_ids": _some(AGENTS, key, number, 10), "updated_at": f"{today}Z"}
            for key in range(1, GROUPS + 1)
        ],
        "roles": [{"id": key, "name": f"Role {key}"} for key in range(1, ROLES + 1)],
        "budgets": [
            {"id": f"b{key}", "name": f"Budget {key}", "currentPeriod": {"limit": 100 + (key + number) % 5}}
            for key in range(BUDGETS)
        ],
        "cards": [
            {
                "id": f"c{key}", "status": "ACTIVE", "type": "VIRTUAL", "budgetId": f"b{key % BUDGETS}",
                "createdTime": "2024-12-01T00:00:00Z", "updatedTime": f"{_since(key, number)}T01:00:00Z",
                "currentPeriod": {"limit": 500, "spent": (key + number) % 50},
            }
            for key in range(CARDS)
        ],
        "transactions": [
            *(_transaction(number, place) for place in range(TRANSACTIONS - _UPDATES)),
            *(_transaction(number - 1, place, number) for place in range(_UPDATES)),
        ],
    }  # fmt: skip


def _since(key: int, number: int) -> str:
    """Return the day on which a record was updated last: one in ten is today."""
    return name(number - (key + number) % 10)


def _agent(key: int, number: int) -> Record:
    changed = _since(key, number)
    return {
        "id": key, "updated_at": f"{changed}T01:00:00Z", "created_at": "2024-12-01T00:00:00Z", "available": True,
        "contact": {"email": f"agent{key}@example.com", "name": f"Agent {key}", "job_title": f"since {changed}"},
    }  # fmt: skip


def _some(of: int, key: int, number: int, count: int) -> list[int]:
    """Return keys from 1 to `of`; the choice of one in five changes by the day."""
    shift = number if key % 5 == 0 else 0
    return sorted({(key * 7 + place * 3 + shift) % of + 1 for place in range(count)})


def _transaction(number: int, place: int, updated: int | None = None) -> Record:
    key = f"t{number}-{place}"
    return {
        "id": key, "uuid": key, "transactionType": "CLEAR", "userId": f"u{place % 30}", "cardId": f"c{place % CARDS}",
        "budgetId": f"b{place % BUDGETS}", "merchantName": f"Merchant {place % 25}",
        "occurredTime": f"{name(number)}T02:00:00Z", "updatedTime": f"{name(updated or number)}T03:00:00Z",
        "currencyData": {
            "originalCurrencyAmount": 100 + place,
            "originalCurrencyCode": ("USD", "EUR", "INR")[place % 3],
            "exponent": 2,
        },
    }  # fmt: skip
