"""What generated records have in common: some people, shops and cards, and the many details that nobody asks for."""

from __future__ import annotations

import json
import random
from typing import NamedTuple

_GIVEN = random.Random(4)
_PEOPLE = ("Ada Larsen", "Ben Okafor", "Zoë Müller", "Chen Wei", "Diana Prince-Smith", "Émile Dubois")
_SHOPS = ("Corner Café", "Cloud Hosting Inc.", "Rail & Road", "Stationery World", "Hotel Seeblick", "Bookshop")
_WORDS = (
    "approved", "settled", "pending", "travel", "lodging", "meals", "software", "office", "receipt", "missing",
    "policy", "review", "manager",
)  # fmt: skip


class Shared(NamedTuple):
    """Some fields that many records have in common, in each format."""

    json: str
    row: str
    csv: str
    values: tuple[str, ...]


def _number(digits: int) -> str:
    return f"{_GIVEN.getrandbits(4 * digits):0{digits}x}"


def _uuid() -> str:
    return f"{_number(8)}-{_number(4)}-4{_number(3)}-a{_number(3)}-{_number(12)}"


def _shared(**fields: str) -> Shared:
    literals = [f'"{name}": {json.dumps(value, ensure_ascii=False)}' for name, value in fields.items()]
    values = tuple(fields.values())
    quoted = ('"' + value.replace('"', '""') + '"' if '"' in value else value for value in values)
    return Shared(", ".join(literals), "\t".join(values), ",".join(quoted), values)


def _shop(number: int) -> str:
    name = f"{_SHOPS[number % len(_SHOPS)]} {number}"
    # One in a hundred has what JSON and CSV escape.
    return f'The "{name}"' if number % 100 == 7 else name


def _details() -> str:
    return json.dumps(
        {
            "accountNumber": _number(20),
            "authorizedAt": f"2026-01-{_GIVEN.randint(1, 28):02}T08:{_GIVEN.randint(10, 59)}:00.000Z",
            "complete": _GIVEN.random() < 0.5,
            "customFields": [
                {"name": _GIVEN.choice(_WORDS), "value": " ".join(_GIVEN.choices(_WORDS, k=3)), "id": _number(16)}
                for _ in range(5)
            ],
            "fees": {"amount": _GIVEN.randint(0, 300), "currencyCode": "EUR", "exponent": 2, "reason": None},
            "mcc": str(_GIVEN.randint(1000, 9999)),
            "memo": " ".join(_GIVEN.choices(_WORDS, k=11)) + ' "as agreed"',
            "previousTransactionIds": [_number(24), _number(24)],
            "receiptStatus": _GIVEN.choice(_WORDS).upper(),
            "reviews": [{"by": _number(24), "state": _GIVEN.choice(_WORDS), "at": "2026-01-05T09:00:00Z"}],
            "tags": _GIVEN.choices(_WORDS, k=4),
        }
    )


# Their numbers have no common divisor, so that records do not repeat.
USERS = [
    _shared(userId=_number(24), userUuid=_uuid(), userName=f"{_PEOPLE[i % len(_PEOPLE)]} {chr(65 + i % 26)}.")
    for i in range(1009)
]
MERCHANTS = [
    _shared(merchantName=_shop(i), rawMerchantName=f"{_SHOPS[i % len(_SHOPS)].upper()} *{_number(8)}")
    for i in range(1511)
]
CARDS = [_shared(cardId=_number(24), cardUuid=_uuid(), budgetId=_number(24), budgetUuid=_uuid()) for _ in range(2003)]
DETAILS = [_details() for _ in range(997)]
