"""How old the newest data of each table is, against limits.

Data is as new as the last run that wrote its table or found nothing to change there, which `pipeline_metrics` knows;
or, where a column is named, as the newest value of that column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from runner import database, durations
from runner.config import FILE, Settings
from runner.errors import ConfigError
from runner.step import SqlFile

LIMIT = timedelta(hours=25)
"""How old data may be where nothing is said: a day, and an hour for the day's run."""

Level = Literal["fresh", "warning", "stale", "skipped"]
_KEYS = ("warn", "error", "column")
_TIMES = ("timestamptz", "timestamp", "date")


@dataclass(frozen=True)
class Rule:
    """From what age on a table's data is worth a warning, and from what age it is stale; `warn` may be None."""

    table: str
    column: str | None
    warn: timedelta | None
    error: timedelta

    def level(self, age: timedelta | None) -> Level:
        """Return what an age means; None is that of data that was never there."""
        if age is None or age > self.error:
            return "stale"
        return "warning" if self.warn is not None and age > self.warn else "fresh"


@dataclass(frozen=True)
class Freshness:
    """What a look at one table found; `newest` and `age` are None where there is no data.

    `skipped` says that its step was skipped in all runs: nobody has such data, and none of it can be too old.
    """

    rule: Rule
    newest: datetime | None
    age: timedelta | None
    skipped: bool = False

    @property
    def level(self) -> Level:
        return "skipped" if self.skipped else self.rule.level(self.age)

    def document(self) -> dict[str, Any]:
        """Return it as machines read it; durations in seconds."""
        rule = self.rule
        return {
            "table": rule.table,
            "column": rule.column,
            "newest": self.newest,
            "age_seconds": None if self.age is None else round(self.age.total_seconds(), 3),
            "warn_seconds": None if rule.warn is None else rule.warn.total_seconds(),
            "error_seconds": rule.error.total_seconds(),
            "level": self.level,
        }


def rules(
    settings: Settings, steps: Sequence[SqlFile], warn: timedelta | None = None, error: timedelta | None = None
) -> list[Rule]:
    """Return the rules of the tables that the steps write and of those in runner.toml, in their order.

    `warn` and `error` are stronger than what [freshness] says for all tables, and weaker than what it says for one.
    Raises ConfigError for what it should not say.
    """
    where = settings.project / FILE
    said = settings.freshness
    if not isinstance(said, Mapping):
        raise ConfigError(f"freshness in {where} is no table", hint="Write [freshness] above its keys.")
    tables = said.get("tables", {})
    for key, value in said.items():
        if key not in ("warn", "error", "tables"):
            raise ConfigError(
                f"{where} has an unknown key {f'freshness.{key}'!r}",
                hint="There are warn, error and [freshness.tables.NAME].",
            )
        if key == "tables" and not (isinstance(value, dict) and all(isinstance(one, dict) for one in value.values())):
            raise ConfigError(f"freshness.tables in {where} holds tables", hint="Write [freshness.tables.NAME].")
    warn = warn if warn is not None else _duration(said, "warn", "freshness", settings)
    error = error if error is not None else _duration(said, "error", "freshness", settings)
    names = dict.fromkeys([*(step.table for step in steps), *tables])
    return [_rule(name, tables.get(name, {}), warn, error, settings) for name in names]


def _rule(
    name: str, said: Mapping[str, Any], warn: timedelta | None, error: timedelta | None, settings: Settings
) -> Rule:
    key = f"freshness.tables.{name}"
    for inner in said:
        if inner not in _KEYS:
            raise ConfigError(
                f"{settings.project / FILE} has an unknown key {f'{key}.{inner}'!r}",
                hint=f"There are {', '.join(_KEYS)}.",
            )
    column = said.get("column")
    if column is not None and not isinstance(column, str):
        raise ConfigError(f"{key}.column in {settings.project / FILE} is no text", hint="Name a column.")
    own = _duration(said, "error", key, settings)
    limit = own or error or LIMIT
    warned = _duration(said, "warn", key, settings) or warn
    if warned is not None and warned > limit:
        raise ConfigError(
            f"{name} is stale after {durations.shown(limit)}, before the warning after {durations.shown(warned)}",
            hint="Let warn be less than error.",
        )
    return Rule(name, column, warned, limit)


def _duration(said: Mapping[str, Any], key: str, under: str, settings: Settings) -> timedelta | None:
    if key not in said:
        return None
    value = said[key]
    return duration(value if isinstance(value, str) else repr(value), f"{under}.{key} in {settings.project / FILE}")


def duration(text: str, where: str) -> timedelta:
    """Return the duration that `25h` means; ConfigError, naming `where` it stands, for what is none."""
    milliseconds = durations.parse(text)
    if not milliseconds:
        raise ConfigError(f"{where} is {text!r}, which is not a duration", hint=durations.HINT)
    return timedelta(milliseconds=milliseconds)


def look(
    connection: database.Connection, pipeline: str, rules: Sequence[Rule], timeout: int = 300_000
) -> list[Freshness]:
    """Return how fresh the tables are now; each look takes at most `timeout` milliseconds.

    Raises ConfigError for a table or column that is not there, or is no time.
    """
    with connection.transaction():
        database.set_local(
            connection, database.BRIEF | {"statement_timeout": f"{timeout}ms", "TimeZone": "UTC", "DateStyle": "ISO"}
        )
        return [_look(connection, pipeline, rule) for rule in rules]


def _look(connection: database.Connection, pipeline: str, rule: Rule) -> Freshness:
    from psycopg import sql

    if rule.column is None:
        query = sql.SQL(
            "select max(finished_at) filter (where status = 'success'),"
            " clock_timestamp() - max(finished_at) filter (where status = 'success'),"
            " coalesce(bool_and(status = 'skipped'), false) from pipeline_metrics"
            " where table_name = {} and (pipeline = {} or pipeline is null)"
        ).format(sql.Literal(rule.table), sql.Literal(pipeline))
    else:
        query = _query(connection, rule.table, rule.column)
    row = connection.execute(query).fetchone()
    return Freshness(rule, *row)


def _query(connection: database.Connection, table: str, column: str) -> Any:
    """Return the look at a column, by the names that the catalogue has for it."""
    import psycopg
    from psycopg import sql

    key = f"freshness.tables.{table}"
    try:
        found = connection.execute(
            "select nspname::text, relname::text, attname::text, format_type(atttypid, null),"
            " atttypid = any(%s::regtype[])"
            " from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace"
            " left join pg_attribute on attrelid = pg_class.oid and attname = %s and attnum > 0 and not attisdropped"
            " where pg_class.oid = to_regclass(%s)",
            (list(_TIMES), column, table),
        ).fetchone()
    except (psycopg.errors.InvalidName, psycopg.errors.SyntaxError, psycopg.DataError):
        found = None
    if found is None:
        raise ConfigError(f"{key}: the database has no table {table}", hint="Correct its name, or apply a day first.")
    schema, name, attribute, kind, is_time = found
    if attribute is None:
        raise ConfigError(f"{key}.column: {table} has no column {column}", hint="Name one that holds times.")
    if not is_time:
        raise ConfigError(
            f"{key}.column: {table}.{column} is {kind}",
            hint=f"Name a column of one of these types: {', '.join(_TIMES)}.",
        )
    # An index on the column answers this at once. What is no time in any calendar of Python's says nothing.
    return sql.SQL(
        "select max({0})::timestamptz, clock_timestamp() - max({0})::timestamptz from {1}"
        " where {0} between '0001-01-02' and '9999-12-30'"
    ).format(sql.Identifier(attribute), sql.Identifier(schema, name))
