"""SQL that PostgreSQL refuses: whose it may be, and how PostgreSQL would say it.

Needs sqlglot, which is imported where it is used: only a refused statement costs its import.
"""

from __future__ import annotations

from dataclasses import dataclass

# sqlglot's names, the commonest first: the first that reads a statement is named. It forgives slips that
# no database would, such as a comma too many: what it reads as PostgreSQL's own SQL is nobody else's.
_DIALECTS = {
    "postgres": None,
    "snowflake": "Snowflake",
    "bigquery": "BigQuery",
    "redshift": "Redshift",
    "databricks": "Databricks",
    "mysql": "MySQL",
    "tsql": "SQL Server",
    "duckdb": "DuckDB",
    "oracle": "Oracle",
    "clickhouse": "ClickHouse",
}
# Characters of a statement worth trying, and of a translation worth showing in a hint.
_LONGEST, _SHOWN = 20_000, 300


@dataclass(frozen=True)
class Reading:
    """What a refused statement seems to mean: `sql` in PostgreSQL's words, on one line.

    `name` is the database whose SQL it looks like; None where it is a slip.
    """

    name: str | None
    sql: str

    @property
    def hint(self) -> str:
        """The next action, with the translation where it is short enough to read."""
        whose = f"It looks like SQL of {self.name}. " if self.name else ""
        if len(self.sql) > _SHOWN:
            return f"{whose}Correct the SQL at the caret."
        return f"{whose}In PostgreSQL's words, perhaps: {self.sql}"


def recognise(statement: str) -> Reading | None:
    """Return what the one statement seems to mean that PostgreSQL refuses; None where nobody reads or can translate it.

    Without pglast, which judges the translation, nothing is recognised; nor is what PostgreSQL's grammar
    takes, and what is refused for another reason, such as a value too few.
    """
    from runner.errors import ConfigError

    try:
        if len(statement) > _LONGEST or _parses(statement):
            return None
    except ConfigError:
        return None
    for dialect, name in _DIALECTS.items():
        translated = _translate(statement, dialect)
        if translated is not None and _parses(translated):
            return Reading(name, translated)
    return None


def _parses(statement: str) -> bool:
    from runner import sqltree

    try:
        return len(sqltree.parse(statement)) == 1
    except sqltree.TooDeep:
        return True  # its grammar takes it
    except sqltree.NotSql:
        return False


def _translate(statement: str, dialect: str) -> str | None:
    """Return the statement in PostgreSQL's dialect; None where the other one does not read it either."""
    import logging

    import sqlglot
    from sqlglot.errors import ErrorLevel

    # It remarks on standard error what it leaves as it is.
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    try:
        statements = sqlglot.transpile(statement, read=dialect, write="postgres", unsupported_level=ErrorLevel.RAISE)
    except Exception:  # whatever it makes of broken SQL must not hide what PostgreSQL said
        return None
    return statements[0] if len(statements) == 1 else None
