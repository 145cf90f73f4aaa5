"""Applied days -> final tables, computed anew from all that was ever applied."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from tests.model import rates
from tests.model.files import REQUIRED, Located, read_day
from tests.model.records import ENTITIES, KEYS, UPDATED, Judged, Row, judge

_EXACT = Context(prec=400)
_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


class MissingEntityError(Exception):
    """A day lacks one of the entities that must exist."""


@dataclass(frozen=True)
class Count:
    """What became of an entity's records on a day."""

    records_read: int
    rows_loaded: int
    rejects: int
    warnings: int


@dataclass(frozen=True)
class Table:
    """A final table: its columns, how many of them from the left are its key."""

    columns: tuple[str, ...]
    key: int = 1


def _columns(entity: str, *without: str) -> tuple[str, ...]:
    return tuple(each.column for each in ENTITIES[entity] if each.column not in without)


TABLES: dict[str, Table] = {
    "agents": Table((*_columns("agents"), "status")),
    "agent_status_history": Table(("agent_id", "day", "is_active"), 2),
    "roles": Table(_columns("roles")),
    "agent_role_mapping": Table(("agent_id", "role_id", "status"), 2),
    "groups": Table((*_columns("admin_groups", "agent_ids"), "inactive")),
    "group_membership": Table(("group_id", "agent_id"), 2),
    "budgets": Table(_columns("budgets")),
    "cards": Table(_columns("cards")),
    "transactions": Table(
        (
            *_columns("transactions", "minor_units", "currency", "exponent", "payload_rate"),
            "original_amount",
            "original_currency",
            "exchange_rate",
            "amount_usd",
            "fx_source",
        )
    ),
}

Tables = dict[str, dict[tuple[Any, ...], Row]]


def day_order(day: str) -> tuple[Any, ...]:
    """Return a sort key: runs of digits compare as numbers, everything else by character; ties by text."""
    parts = [(48, int(run)) if run.isdigit() else (ord(run), 0) for run in re.findall(r"[0-9]+|[^0-9]", day)]
    return parts, day  # type: ignore[return-value]


class Application:
    """One day applied once: its records, judged."""

    def __init__(self, day: str, entities: Mapping[str, list[Located]]) -> None:
        missing = [entity for entity in REQUIRED if entity not in entities]
        if missing:
            raise MissingEntityError(", ".join(missing))
        self.day = day
        self.judged: dict[str, list[Judged]] = {
            entity: [judge(entity, located) for located in records] for entity, records in entities.items()
        }

    def has(self, entity: str) -> bool:
        """Return whether the day has files of the entity."""
        return entity in self.judged

    def counts(self) -> dict[str, Count]:
        """Return what became of the records, by entity."""
        return {
            entity: Count(
                records_read=len(judged),
                rows_loaded=sum(each.row is not None for each in judged),
                rejects=sum(each.row is None for each in judged),
                warnings=sum(len(each.warnings) for each in judged),
            )
            for entity, judged in self.judged.items()
        }

    def newest(self, entity: str) -> dict[Any, Row]:
        """Return the day's record of each key: the newest, of those the last in file order."""
        result: dict[Any, Row] = {}
        for each in self.judged.get(entity, []):
            if each.row is not None:
                current = result.get(each.key)
                if current is None or updated(entity, each.row) >= updated(entity, current):
                    result[each.key] = each.row
        return result

    def present(self) -> set[int]:
        """Return the ids that `agents` names, in good and in rejected records."""
        return {each.key for each in self.judged["agents"] if each.key is not None}


def updated(entity: str, row: Row) -> tuple[bool, datetime]:
    """Return when a record was updated, as a sort key; never is before any time."""
    column = UPDATED[entity]
    value = row[column] if column else None
    return (False, _BEFORE_ALL) if value is None else (True, value)


class Warehouse:
    """What the tables hold after the applications so far."""

    def __init__(self) -> None:
        self.applications: list[Application] = []

    def apply(self, day: str, files: Mapping[str, bytes]) -> Application:
        """Apply a day with these files (path below the day's folder -> bytes); an unreadable one changes nothing."""
        application = Application(day, read_day(files))
        self.applications.append(application)
        return application

    # What is known of a day is what its last application said.

    def _last(self, *entities: str) -> dict[str, Application]:
        """Return each day's last application, in the order of days.

        With `entities`, the last that had one of them: a skipped step changes nothing.
        """
        result = {each.day: each for each in self.applications if not entities or any(map(each.has, entities))}
        return {day: result[day] for day in sorted(result, key=day_order)}

    def _versions(self, *entities: str) -> dict[Any, Row]:
        """Return the newest version of each key ever seen: by time, then day, then entity, then application."""
        best: dict[Any, tuple[Any, Row]] = {}
        for index, application in enumerate(self.applications):
            for rank, entity in enumerate(entities):
                for key, row in application.newest(entity).items():
                    version = (updated(entity, row), day_order(application.day), rank, index)
                    if key not in best or version > best[key][0]:
                        best[key] = (version, row)
        return {key: row for key, (_, row) in best.items()}

    def watermark(self) -> datetime | None:
        """Return the newest `updated_time` of a transaction ever seen."""
        times = [
            row["updated_time"]
            for application in self.applications
            for row in application.newest("transactions").values()
            if row["updated_time"] is not None
        ]
        return max(times, default=None)

    def tables(self) -> Tables:
        """Return each final table: key -> row."""
        # The later entity wins ties: agents over agent_details.
        agents = self._versions("agent_details", "agents")
        days = list(self._last().values())
        active = days[-1].present() & set(agents) if days else set()
        agent_rows = [{**row, "status": "active" if key in active else "inactive"} for key, row in agents.items()]

        roles = self._versions("roles")
        groups = self._versions("admin_groups")
        members = {(group, agent) for group, agent in self._members() if agent in agents}
        used = self._used_groups(groups, {group for group, agent in members if agent in active})

        rows: dict[str, list[Row]] = {
            "agents": agent_rows,
            "agent_status_history": [row for row in self._presence() if row["agent_id"] in agents],
            "roles": list(roles.values()),
            "agent_role_mapping": [
                {"agent_id": agent, "role_id": role, "status": status}
                for (agent, role), status in self._assignments().items()
                if agent in agents and role in roles
            ],
            "groups": [{**row, "inactive": key not in used} for key, row in groups.items()],
            "group_membership": [{"group_id": group, "agent_id": agent} for group, agent in members],
            "budgets": list(self._versions("budgets").values()),
            "cards": list(self._versions("cards").values()),
            "transactions": [_priced(row) for row in self._versions("transactions").values()],
        }
        return {name: _keyed(name, content) for name, content in rows.items()}

    def _presence(self) -> Iterator[Row]:
        for day, application in self._last().items():
            present = application.present()
            for agent in present | set(application.newest("agent_details")):
                yield {"agent_id": agent, "day": day, "is_active": agent in present}

    def _assignments(self) -> dict[tuple[int, int], str]:
        """Return the status of each (agent, role) ever named, known or not."""
        named: dict[tuple[int, int], str] = {}
        for application in self._last("agent_details", "roles").values():
            for agent, row in application.newest("agent_details").items():
                if row["role_ids"] is None:
                    continue
                for pair in named:
                    if pair[0] == agent:
                        named[pair] = "removed"
                named.update({(agent, role): "assigned" for role in row["role_ids"]})
        return named

    def _members(self) -> set[tuple[int, int]]:
        """Return (group, agent), known agents or not."""
        members: dict[int, list[int]] = {}
        for application in self._last().values():
            for group, row in application.newest("admin_groups").items():
                if row["agent_ids"] is not None:
                    members[group] = row["agent_ids"]
        return {(group, agent) for group, agents in members.items() for agent in agents}

    @staticmethod
    def _used_groups(groups: Mapping[int, Row], with_active: set[int]) -> set[int]:
        """Return the groups with an active member in them or below them."""
        used: set[int] = set()
        for group in with_active:
            climbing: int | None = group
            while climbing in groups and climbing not in used:
                used.add(climbing)
                climbing = groups[climbing]["parent_group_id"]
        return used


def _priced(row: Row) -> Row:
    amount = Fraction(row["minor_units"], 10 ** row["exponent"])
    rate, source = rates.price(row["currency"], row["occurred_time"], row["payload_rate"])
    return {
        **row,
        "original_amount": _EXACT.scaleb(Decimal(row["minor_units"]), -row["exponent"]),
        "original_currency": row["currency"],
        "exchange_rate": rate,
        "amount_usd": None if rate is None else rates.half_away(amount * Fraction(rate), 4),
        "fx_source": source,
    }


def _keyed(table: str, rows: list[Row]) -> dict[tuple[Any, ...], Row]:
    shape = TABLES[table]
    return {
        tuple(row[column] for column in shape.columns[: shape.key]): {column: row[column] for column in shape.columns}
        for row in rows
    }


__all__ = ["KEYS", "TABLES", "Application", "Count", "MissingEntityError", "Tables", "Warehouse", "day_order"]
