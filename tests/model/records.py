"""What each entity's records hold, and whether one is good, odd or bad."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from iso4217 import Currency

from tests.model import values
from tests.model.files import Located
from tests.model.values import MALFORMED

Convert = Callable[[Any], Any]
Row = dict[str, Any]


def integers(value: Any) -> Any:
    """Mark a field as an array of integers; `_array` reads it."""
    raise NotImplementedError


def currency(value: Any) -> Any:
    """Return a current ISO 4217 code, or `MALFORMED`."""
    return value if isinstance(value, str) and value in MINOR_UNITS else MALFORMED


# ISO names no minor unit for metals and the like: two.
MINOR_UNITS = {entry.code: 2 if entry.exponent is None else entry.exponent for entry in Currency}


@dataclass(frozen=True)
class Field:
    """A column, where its value stands (the first that is not null counts), its type, whether it must be there."""

    column: str
    paths: tuple[str, ...]
    convert: Convert
    required: bool = False


def _f(column: str, paths: str, convert: Convert, required: bool = False) -> Field:
    return Field(column, tuple(paths.split()), convert, required)


_AGENT = [
    _f("agent_id", "id", values.integer, True),
    _f("email", "contact.email email", values.text, True),
    _f("name", "contact.name name", values.text, True),
    _f("job_title", "contact.job_title job_title", values.text),
    _f("language", "contact.language language", values.text),
    _f("mobile", "contact.mobile mobile", values.text),
    _f("phone", "contact.phone phone", values.text),
    _f("time_zone", "contact.time_zone time_zone", values.text),
    _f("last_login_at", "contact.last_login_at last_login_at", values.time),
    _f("org_agent_id", "org_agent_id", values.text),
    _f("available", "available", values.boolean),
    _f("available_since", "available_since", values.time),
    _f("deactivated", "deactivated", values.boolean),
    _f("focus_mode", "focus_mode", values.boolean),
    _f("agent_operational_status", "agent_operational_status", values.text),
    _f("ticket_scope", "ticket_scope", values.text),
    _f("last_active_at", "last_active_at", values.time),
    _f("signature", "signature", values.text),
    _f("freshchat_agent", "freshchat_agent", values.boolean),
    _f("created_at", "created_at", values.time),
    _f("updated_at", "updated_at", values.time),
]

ENTITIES: dict[str, list[Field]] = {
    "agents": _AGENT,
    "agent_details": [*_AGENT, _f("role_ids", "role_ids", integers)],
    "admin_groups": [
        _f("group_id", "id", values.integer, True),
        _f("name", "name", values.text, True),
        _f("description", "description", values.text),
        _f("parent_group_id", "parent_group_id", values.integer),
        _f("agent_ids", "agent_ids", integers),
        _f("created_at", "created_at", values.time),
        _f("updated_at", "updated_at", values.time),
    ],
    "roles": [
        _f("role_id", "id", values.integer, True),
        _f("name", "name", values.text, True),
        _f("description", "description", values.text),
        _f("is_default", "default", values.boolean),
        _f("agent_type", "agent_type", values.text),
        _f("created_at", "created_at", values.time),
        _f("updated_at", "updated_at", values.time),
    ],
    "budgets": [
        _f("budget_id", "id", values.text, True),
        _f("budget_uuid", "uuid", values.text),
        _f("name", "name", values.text),
        _f("description", "description", values.text),
        _f("retired", "retired", values.boolean),
        _f("start_date", "startDate", values.day),
        _f("recurring_interval", "recurringInterval", values.text),
        _f("timezone", "timezone", values.text),
        _f("limit_amount", "currentPeriod.limit", values.number, True),
        _f("overspend_buffer", "currentPeriod.overspendBuffer", values.number),
        _f("assigned_amount", "currentPeriod.assigned", values.number),
        _f("spent_cleared", "currentPeriod.spent.cleared", values.number),
        _f("spent_pending", "currentPeriod.spent.pending", values.number),
        _f("spent_total", "currentPeriod.spent.total", values.number),
    ],
    "cards": [
        _f("card_id", "id", values.text, True),
        _f("card_uuid", "uuid", values.text),
        _f("name", "name", values.text),
        _f("user_id", "userId", values.text),
        _f("user_uuid", "userUuid", values.text),
        _f("budget_id", "budgetId", values.text),
        _f("budget_uuid", "budgetUuid", values.text),
        _f("last_four", "lastFour", values.text),
        _f("valid_thru", "validThru", values.text),
        _f("status", "status", values.text, True),
        _f("type", "type", values.text, True),
        _f("share_budget_funds", "shareBudgetFunds", values.boolean),
        _f("recurring", "recurring", values.boolean),
        _f("recurring_limit", "recurringLimit", values.number),
        _f("current_limit", "currentPeriod.limit", values.number),
        _f("current_spent", "currentPeriod.spent", values.number),
        _f("created_time", "createdTime", values.time, True),
        _f("updated_time", "updatedTime", values.time),
    ],
    "transactions": [
        _f("transaction_id", "id", values.text, True),
        _f("transaction_uuid", "uuid", values.text, True),
        _f("transaction_type", "transactionType", values.text),
        _f("occurred_time", "occurredTime", values.time, True),
        _f("updated_time", "updatedTime", values.time),
        _f("user_id", "userId", values.text),
        _f("user_uuid", "userUuid", values.text),
        _f("user_name", "userName", values.text),
        _f("merchant_name", "merchantName", values.text),
        _f("raw_merchant_name", "rawMerchantName", values.text),
        _f("card_id", "cardId", values.text),
        _f("card_uuid", "cardUuid", values.text),
        _f("budget_id", "budgetId", values.text),
        _f("budget_uuid", "budgetUuid", values.text),
        _f("minor_units", "currencyData.originalCurrencyAmount", values.integer, True),
        _f("currency", "currencyData.originalCurrencyCode", currency, True),
        # Not required, but a malformed one rejects: `_problem`.
        _f("exponent", "currencyData.exponent", values.integer),
        _f("payload_rate", "currencyData.exchangeRate", values.number),
    ],
}
KEYS = {entity: fields[0].column for entity, fields in ENTITIES.items()}
UPDATED = {
    "agents": "updated_at",
    "agent_details": "updated_at",
    "admin_groups": "updated_at",
    "roles": "updated_at",
    "budgets": None,
    "cards": "updated_time",
    "transactions": "updated_time",
}


@dataclass
class Judged:
    """One record: a `row` or None where it is rejected, its `key` where that is valid, the fields warned of."""

    located: Located
    row: Row | None = None
    key: Any = None
    reason: str | None = None
    warnings: list[str] = field(default_factory=list)


def judge(entity: str, located: Located) -> Judged:
    """Say what becomes of one record."""
    result = Judged(located)
    record = located.record
    if not isinstance(record, dict):
        result.reason = "not an object"
        return result
    row: Row = {}
    for each in ENTITIES[entity]:
        found = next((value for path in each.paths if (value := at(record, path)) is not None), None)
        if each.convert is integers:
            row[each.column] = _array(found, each.column, result.warnings)
            continue
        value = None if found is None else each.convert(found)
        blank = value is None or (isinstance(value, str) and not value.strip())
        if each.required and (blank or value is MALFORMED):
            result.reason = result.reason or f"{each.column} is {'malformed' if value is MALFORMED else 'missing'}"
        if each.column == KEYS[entity] and not (blank or value is MALFORMED):
            result.key = value
        if value is MALFORMED:
            result.warnings.append(each.column)
        row[each.column] = None if value is MALFORMED else value
    result.warnings += _no_objects(entity, record)
    result.reason = result.reason or _problem(entity, row, result.warnings)
    if result.reason:
        result.warnings = []
        return result
    if entity == "transactions" and row["exponent"] is None:
        row["exponent"] = MINOR_UNITS[row["currency"]]
    result.row = row
    return result


def at(record: Any, path: str) -> Any:
    """Return the value at a dotted path, None where there is none."""
    for name in path.split("."):
        record = record.get(name) if isinstance(record, dict) else None
    return record


def _array(value: Any, column: str, warnings: list[str]) -> list[int] | None:
    """Return the good elements; none for null; None for what is no array."""
    if value is None:
        return []
    if not isinstance(value, list):
        warnings.append(column)
        return None
    elements = [values.integer(element) for element in value]
    warnings += [column for element in elements if element is MALFORMED]
    return [element for element in elements if element is not MALFORMED]


def _no_objects(entity: str, record: Row) -> Iterable[str]:
    """Return the fields that ought to hold other fields and hold something else."""
    paths = {path for each in ENTITIES[entity] for path in each.paths if "." in path}
    parents = {".".join(path.split(".")[:depth]) for path in paths for depth in range(1, path.count(".") + 1)}
    return [parent for parent in sorted(parents) if not isinstance(at(record, parent), (dict, type(None)))]


def _problem(entity: str, row: Row, malformed: list[str]) -> str | None:
    """Return the rule that a record breaks, if it breaks one."""
    if entity == "budgets" and row["limit_amount"] < 0:
        return "limit_amount is negative"
    if entity == "cards":
        for column in ("current_limit", "current_spent", "recurring_limit"):
            if row[column] is not None and row[column] < 0:
                return f"{column} is negative"
    if entity == "transactions":
        if abs(row["minor_units"]) >= 10**18:
            return "minor_units are too many"
        if "exponent" in malformed or (row["exponent"] is not None and not 0 <= row["exponent"] <= 9):
            return "exponent is not 0 to 9"
    return None
