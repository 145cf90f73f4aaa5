"""Drift sprinkled over generated records, deterministic like the records themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.generator.bits import Bits
from tests.generator.world import Record, World

Change = Callable[[Record, Bits], None]


def _set(path: str, *values: Any) -> Change:
    """Return a change that sets a dotted path to one of `values`."""

    def change(record: Record, bits: Bits) -> None:
        *parents, leaf = path.split(".")
        for name in parents:
            record = record[name]
        record[leaf] = bits.pick(values)

    return change


def _flat(record: Record, bits: Bits) -> None:
    """The fields of `contact` stand at the top."""
    record.update(record["contact"])
    record["contact"] = None


def _text_id(record: Record, bits: Bits) -> None:
    """The id is a string."""
    record["id"] = str(record["id"])


def _stale(field: str) -> Change:
    """Return a change that makes a record old."""
    return _set(field, "2020-01-01T00:00:00Z", None, "not a time")


_AGENT: tuple[Change, ...] = (
    _flat,
    _text_id,
    _stale("updated_at"),
    _set("contact.name", 7, " ", None),
    _set("contact.email", None, ["x"]),
    _set("available", "yes", "true", 1),
    _set("contact.last_login_at", "2026-02-30T00:00:00Z", 5),
)
CHANGES: dict[str, tuple[Change, ...]] = {
    "agents": _AGENT,
    "agent_details": (*_AGENT, _set("role_ids", "11", None, {}, [11, "x", None])),
    "admin_groups": (
        _text_id,
        _stale("updated_at"),
        _set("name", 7, "", None),
        _set("agent_ids", "1001,1002", None, {}, ["1001", "x", 1.5], []),
        _set("parent_group_id", "none", 99_999_999),
    ),
    "roles": (_text_id, _set("default", "maybe", "true", 1), _set("name", 7, "")),
    "budgets": (
        _set("currentPeriod.limit", -1, "1e3", None, "a lot"),
        _set("currentPeriod.spent", 5, None),
        _set("startDate", "2026-02-29", 5),
    ),
    "cards": (
        _set("currentPeriod.spent", -1, "12.50", "12,50"),
        _set("status", "", None),
        _stale("updatedTime"),
        _set("createdTime", "2026-02-30T00:00:00Z"),
    ),
    "transactions": (
        _stale("updatedTime"),
        _set("currencyData.originalCurrencyAmount", 12.5, "100", None, 10**18),
        _set("currencyData.originalCurrencyCode", "usd", "ZZZ", "VND", None),
        _set("currencyData.exponent", 10, "2", None, "two"),
        _set("currencyData.exchangeRate", 0, -1, "x", None, "1.5"),
        _set("currencyData", None, "12 USD"),
        _set("occurredTime", "2026-02-30T00:00:00Z", "2026-03-01 12:00", None),
        _set("uuid", None, ""),
    ),
}


def sprinkle(world: World, entity: str, day: int, records: Iterator[Record]) -> Iterator[Record]:
    """Yield the records, a share of `world.odd` of them changed."""
    for number, record in enumerate(records):
        if world.odd > 0:
            bits = world.bits("odd", entity, day, number)
            if bits.chance(world.odd):
                bits.pick(CHANGES[entity])(record, bits)
        yield record
