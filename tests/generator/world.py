"""What exists and happens on each day: records in the shape of a help desk and of a spend-card service.

Every record is a function of the seed, its number and the day, so that days of any size
stream with flat memory and a later day can repeat and change what an earlier one said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from tests.generator.bits import Bits

Record = dict[str, Any]

FIRST_AGENT = 1001
FIRST_GROUP = 501
FIRST_ROLE = 11

# Words, not names: nobody is called so.
_FIRST = (
    "Amber",
    "Birch",
    "Cobalt",
    "Dune",
    "Ember",
    "Fjörd",
    "Garnet",
    "Heath",
    "Indigo",
    "Juniper",
    "Kelp",
    "Lichen",
)
_LAST = (
    "Anchor",
    "Bracket",
    "Comet",
    "Dovetail",
    "Eddy",
    "Ferrule",
    "Gasket",
    "Hinge",
    "Isobar",
    "Jetty",
    "Kiln",
    "Lève",
)
_TITLES = ("Support engineer", "Team lead", "Billing specialist", "Field technician", None)
_ZONES = ("UTC", "Eastern Time (US & Canada)", "Berlin", "Kuala Lumpur", "Tokyo")
_LANGUAGES = ("en", "de", "ja-JP", "pt-BR")
_MERCHANTS = (
    "Paper Crane Supplies",
    "Tin Roof Hosting",
    "Café Null",
    "Long Haul Rail",
    "Blue Kettle Catering",
    "北 Print",
)
_CATEGORIES = ("5734", "5812", "4112", "5943")

# Currency, its minor units, and roughly what one major unit is worth in dollars.
_CURRENCIES = (
    ("USD", 2, 1.0),
    ("USD", 2, 1.0),
    ("USD", 2, 1.0),
    ("EUR", 2, 1.17),
    ("EUR", 2, 1.17),
    ("GBP", 2, 1.34),
    ("JPY", 0, 0.0064),
    ("INR", 2, 0.011),
    ("KWD", 3, 3.26),
    ("CHF", 2, 1.28),
)


@dataclass(frozen=True)
class World:
    """How much of everything there is, and what the days are called.

    `odd` is the share of records (0 to 1) that drift, `pad` the least size of a transaction in
    bytes, `chain` the number of groups below one another, `payload` whether transactions
    carry the many fields that are read by nobody.
    """

    seed: int = 1
    days: int = 3
    start: date = date(2026, 3, 5)
    iso: bool = False
    agents: int = 40
    details: int = 40
    groups: int = 15
    chain: int = 4
    members: int = 4
    roles: int = 8
    budgets: int = 10
    cards: int = 20
    transactions: int = 100
    late: float = 0.05
    odd: float = 0.01
    pad: int = 0
    payload: bool = True

    def name(self, day: int) -> str:
        """Return the name of the day with this number; the first is 1."""
        return self.date(day).isoformat() if self.iso else f"day{day}"

    def date(self, day: int) -> date:
        """Return the date of the day with this number."""
        return self.start + timedelta(days=day - 1)

    def bits(self, *keys: int | str) -> Bits:
        """Return the noise of one thing."""
        return Bits(self.seed, *keys)


def moment(day: date, second: int) -> str:
    """Return `second` seconds into `day` as the sources write times."""
    return (datetime(day.year, day.month, day.day) + timedelta(seconds=second)).isoformat() + "Z"


@lru_cache(maxsize=100_000)
def _uuid(world: World, kind: str, number: int) -> str:
    """Return the UUID of a user, card or budget, which many transactions name."""
    return world.bits(kind, number).uuid()


def agent(world: World, number: int, day: int, *, roles: bool = False) -> Record:
    """Return agent `number` as of `day`; with `roles`, in the form of `agent_details`."""
    bits = world.bits("agent", number)
    first, last = bits.pick(_FIRST), bits.pick(_LAST)
    created = world.start - timedelta(days=bits.between(30, 900))
    # An agent is edited on about every fourth day, and says so in updated_at.
    edited = day
    while edited > 0 and not world.bits("agent edited", number, edited).chance(0.25):
        edited -= 1
    now = world.bits("agent version", number, edited)
    updated = moment(world.date(edited), now.below(86_400)) if edited else moment(created, 3_600)
    record: Record = {
        "id": FIRST_AGENT + number,
        "available": now.chance(0.7),
        "available_since": updated,
        "deactivated": False,
        "focus_mode": now.chance(0.2),
        "agent_operational_status": now.pick(("on_duty", "on_call", None)),
        "ticket_scope": bits.between(1, 3),
        "last_active_at": updated,
        "created_at": moment(created, 3_600),
        "updated_at": updated,
        "signature": f"<p>{first}</p>" if bits.chance(0.3) else None,
        "freshchat_agent": bits.chance(0.1),
        "org_agent_id": str(90_000_000 + number),
        "type": "support_agent",
        "occasional": False,
        "contact": {
            "active": True,
            "email": f"{first}.{last}.{FIRST_AGENT + number}@example.com".lower(),
            "job_title": now.pick(_TITLES),
            "language": bits.pick(_LANGUAGES),
            "last_login_at": updated,
            "mobile": None,
            "name": f"{first} {last}",
            "phone": f"+1 202-555-01{bits.below(100):02d}",
            "time_zone": bits.pick(_ZONES),
        },
    }
    if roles:
        held = world.bits("roles of", number, day // 2)
        record["role_ids"] = sorted({FIRST_ROLE + held.below(max(world.roles, 1)) for _ in range(held.between(0, 3))})
    return record


def there(world: World, number: int, day: int) -> bool:
    """Return whether the agent is in the snapshot of `day`: most are, some leave, a few come back."""
    return not world.bits("agent leaves", number, day // 2).chance(0.08)


def agents(world: World, day: int) -> Iterator[Record]:
    """Yield the snapshot of `day`."""
    return (agent(world, number, day) for number in range(world.agents) if there(world, number, day))


def details(world: World, day: int) -> Iterator[Record]:
    """Yield the details of the first agents, present or not."""
    return (agent(world, number, day, roles=True) for number in range(min(world.details, world.agents)))


def group(world: World, number: int, day: int) -> Record:
    """Return group `number` as of `day`, below the group before it until the chain is long enough."""
    bits = world.bits("group members", number, day // 2)
    return {
        "id": FIRST_GROUP + number,
        "name": f"{_LAST[number % len(_LAST)]} team {number + 1}",
        "description": None if number % 3 else "Answers within a day",
        "parent_group_id": None if number % max(world.chain, 1) == 0 else FIRST_GROUP + number - 1,
        "agent_ids": sorted(
            {FIRST_AGENT + bits.below(max(world.agents, 1)) for _ in range(bits.between(0, 2 * world.members))}
        ),
        "escalate_to": None,
        "unassigned_for": "30m",
        "created_at": moment(world.start - timedelta(days=400), number % 86_400),
        "updated_at": moment(world.date(day), number % 86_400),
    }


def groups(world: World, day: int) -> Iterator[Record]:
    """Yield the groups of `day`."""
    return (group(world, number, day) for number in range(world.groups))


def roles(world: World, day: int) -> Iterator[Record]:
    """Yield the roles; one in five is renamed on each day."""
    for number in range(world.roles):
        renamed = day if (number + day) % 5 == 0 else 0
        yield {
            "id": FIRST_ROLE + number,
            "name": f"Role {number + 1}" + (f" (since {world.name(renamed)})" if renamed else ""),
            "description": "May read and answer",
            "default": number < 3,
            "agent_type": 1 + number % 2,
            "created_at": moment(world.start - timedelta(days=700), 0),
            "updated_at": moment(world.date(renamed) if renamed else world.start - timedelta(days=700), 60),
        }


def budgets(world: World, day: int) -> Iterator[Record]:
    """Yield the budgets with the amounts of `day`."""
    for number in range(world.budgets):
        bits = world.bits("budget", number, day)
        limit, cleared, pending = 1_000 * (number % 7 + 1), bits.below(50_000) / 100, bits.below(9_000) / 100
        yield {
            "id": f"bdg_{number + 1:04d}",
            "uuid": _uuid(world, "budget uuid", number),
            "name": f"{_LAST[number % len(_LAST)]} budget {number + 1}",
            "description": "Spent on what the name says",
            "retired": bits.chance(0.05),
            "startDate": world.start.replace(day=1).isoformat(),
            "recurringInterval": ("MONTHLY", "YEARLY", "NONE")[number % 3],
            "timezone": "US/Eastern",
            "currentPeriod": {
                "limit": limit,
                "overspendBuffer": limit // 10,
                "assigned": limit // 2,
                "spent": {"cleared": cleared, "pending": pending, "total": round(cleared + pending, 2)},
            },
        }


def card(world: World, number: int, day: int) -> Record:
    """Return card `number` as of `day`."""
    bits = world.bits("card", number)
    budget, user = number % max(world.budgets, 1), bits.below(max(world.agents, 1))
    changed = day if (number + day) % 4 == 0 else 0
    return {
        "id": f"crd_{number + 1:05d}",
        "uuid": _uuid(world, "card uuid", number),
        "name": f"{bits.pick(_MERCHANTS)} card",
        "userId": f"usr_{user + 1:05d}",
        "userUuid": _uuid(world, "user uuid", user),
        "budgetId": f"bdg_{budget + 1:04d}",
        "budgetUuid": _uuid(world, "budget uuid", budget),
        "lastFour": f"{bits.below(10_000):04d}",
        "validThru": f"{bits.between(1, 12):02d}/{bits.between(27, 31)}",
        "status": "FROZEN" if changed and bits.chance(0.3) else "ACTIVATED",
        "type": "VIRTUAL" if number % 3 else "PHYSICAL",
        "shareBudgetFunds": bits.chance(0.5),
        "recurring": bits.chance(0.5),
        "recurringLimit": 250,
        "currentPeriod": {"limit": 500, "spent": world.bits("card spent", number, changed).below(50_000) / 100},
        "createdTime": moment(world.start - timedelta(days=bits.between(60, 600)), 0),
        "updatedTime": moment(world.date(changed), 7_200) if changed else moment(world.start - timedelta(days=60), 0),
    }


def cards(world: World, day: int) -> Iterator[Record]:
    """Yield the cards as of `day`."""
    return (card(world, number, day) for number in range(world.cards))


def transaction(world: World, day: int, number: int, *, seen_on: int) -> Record:
    """Return transaction `number` of `day` as the files of `seen_on` tell it: later days tell an update."""
    bits = world.bits("transaction", day, number)
    code, exponent, worth = bits.pick(_CURRENCIES)
    minor = max(1, int(bits.between(100, 40_000) / worth) * 10**exponent // 100)
    if bits.chance(0.06):
        minor = -minor
    user, owner = bits.below(max(world.agents, 1)), bits.below(max(world.cards, 1))
    budget = owner % max(world.budgets, 1)
    merchant = bits.pick(_MERCHANTS)
    occurred = bits.below(86_400)
    record: Record = {
        "id": f"txn_{day:02d}_{number + 1:05d}",
        "uuid": bits.uuid(),
        "transactionType": "CLEAR" if seen_on > day or bits.chance(0.6) else "AUTHORIZATION",
        "userId": f"usr_{user + 1:05d}",
        "userUuid": _uuid(world, "user uuid", user),
        "userName": f"{_FIRST[user % len(_FIRST)]} {_LAST[user % len(_LAST)]}",
        "merchantName": merchant,
        "rawMerchantName": f"{merchant.upper()} *{number % 997:03d}",
        "cardId": f"crd_{owner + 1:05d}",
        "cardUuid": _uuid(world, "card uuid", owner),
        "budgetId": f"bdg_{budget + 1:04d}",
        "budgetUuid": _uuid(world, "budget uuid", budget),
        "occurredTime": moment(world.date(day), occurred),
        "updatedTime": moment(world.date(seen_on), min(occurred + 600, 86_399) if seen_on == day else occurred),
        "currencyData": {
            "originalCurrencyAmount": minor,
            "originalCurrencyCode": code,
            "exponent": exponent,
            "exchangeRate": round(worth * (0.98 + bits.below(400) / 10_000), 6),
        },
    }
    if world.payload:
        record.update(_payload(world, bits, day, number))
    return record


def _payload(world: World, bits: Bits, day: int, number: int) -> Record:
    """Return the fields that a real feed brings and nobody reads."""
    receipt, reviewer = bits.uuid(), bits.below(max(world.agents, 1))
    return {
        "amount": bits.below(100_000) / 100,
        "cardPresent": bits.chance(0.4),
        "complete": True,
        "network": "VISA",
        "merchantCategoryCode": bits.pick(_CATEGORIES),
        "isCredit": False,
        "isLocked": False,
        "isReconciled": bits.chance(0.5),
        "receiptRequired": True,
        "receiptStatus": "ATTACHED",
        "receipts": [{"id": receipt, "url": f"https://files.example.com/{receipt}.pdf", "createdTime": None}],
        "reviews": [{"userId": f"usr_{reviewer + 1:05d}", "status": "APPROVED", "note": "Within the budget"}],
        "customFields": [
            {"id": f"fld_{slot}", "uuid": bits.uuid(), "selectedValues": [{"value": bits.pick(_MERCHANTS)}]}
            for slot in range(2)
        ],
        "transactionTags": [],
        "parentTransactionId": None,
        "memo": f"Bought on {world.name(day)}, number {number + 1}",
    }


def transactions(world: World, day: int) -> Iterator[Record]:
    """Yield what happened on `day`, mixed with late updates of earlier days' transactions."""
    for number in range(world.transactions):
        bits = world.bits("late", day, number)
        if day > 1 and bits.chance(world.late):
            yield transaction(world, bits.between(1, day - 1), bits.below(world.transactions), seen_on=day)
        else:
            yield transaction(world, day, number, seen_on=day)


ENTITIES = {
    "agents": agents,
    "agent_details": details,
    "admin_groups": groups,
    "roles": roles,
    "budgets": budgets,
    "cards": cards,
    "transactions": transactions,
}
