"""Checks inside a step's transaction: run before its commit, judged and shown."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from runner import console, database, diagnosis, excerpt, limits
from runner.check import CHECKPOINTS, Check
from runner.errors import CheckFailed, StepFailed
from runner.step import SqlFile

if TYPE_CHECKING:
    import psycopg

SAMPLE = 5
"""How many of the rows that must not exist are shown and kept."""

# Characters of a value that a table shows.
_WIDTH = 40
_READ_ONLY = "25006"

# All rows are counted and the first ones taken along, by evaluating the select once. A limit would
# have the planner look for a quick first row, and there is none where all is well.
_COUNTED = """
select count(*), coalesce(json_agg(row_to_json(runner_row)) filter (where runner_number <= {sample}), '[]')::text
from (select runner_row, row_number() over () as runner_number from (
{select}
) as runner_row) as numbered
"""


@dataclass(frozen=True)
class CheckResult:
    """What a check found: `status` is `passed`, `warned` or `failed`; `sample` are the first rows, column -> value."""

    check: str
    severity: str
    description: str
    status: str
    rows_failed: int
    sample: tuple[dict[str, Any], ...]
    seconds: float
    source: str
    """The check's file with line and column, as messages show it."""


def of(checks: Sequence[Check], step: SqlFile) -> list[Check]:
    """Return the checks that run after `step`."""
    return [check for check in checks if check.step == step.id]


def run(connection: database.Connection, checks: Sequence[Check]) -> tuple[CheckResult, ...]:
    """Run checks in the open transaction of their step, which they only read, and return what each found.

    What a step has written they see, and nobody else does yet. Raises StepFailed for a check that
    cannot be run, and psycopg's error for a passing fault. Rows that were found raise nothing:
    see `require`.
    """
    if not checks:
        return ()
    connection.execute("savepoint runner_checks")
    results = tuple(_run(connection, check) for check in checks)
    connection.execute("rollback to savepoint runner_checks; release savepoint runner_checks")
    return results


def _run(connection: database.Connection, check: Check) -> CheckResult:
    import psycopg

    # A transaction that has written may still be told to read only; going back to the savepoint ends that.
    connection.execute(
        "rollback to savepoint runner_checks; set local transaction_read_only = on; "
        f"set local statement_timeout = {limits.capped(check.file.timeout)}"
    )
    started = time.perf_counter()
    try:
        text = _COUNTED.format(sample=SAMPLE, select=check.statement.text)
        count, sample = connection.execute(text.encode()).fetchone()
    except psycopg.Error as error:
        if database.is_transient(error):
            raise
        raise _broken(check, _at_the_source(connection, check, error)) from error
    return CheckResult(
        check=check.name,
        severity=check.severity,
        description=check.description,
        status="passed" if not count else "failed" if check.severity == "error" else "warned",
        rows_failed=count,
        sample=tuple(json.loads(sample, parse_float=Decimal)),
        seconds=round(time.perf_counter() - started, 6),
        source=excerpt.position(check.file.shown, check.file.text, check.statement.start),
    )


def _at_the_source(connection: database.Connection, check: Check, error: psycopg.Error) -> psycopg.Error:
    """Return the error that the select has by itself, whose position is the file's."""
    import psycopg

    if error.diag.statement_position is None:
        return error
    # It was refused before it ran, and so it will be again.
    connection.execute("rollback to savepoint runner_checks; set local transaction_read_only = on")
    try:
        connection.execute(check.statement.text.encode())
    except psycopg.Error as own:
        return own
    return error


def _broken(check: Check, error: psycopg.Error) -> StepFailed:
    message, hint = limits.explain(error, *diagnosis.explain(check.file, check.statement, error))
    if error.sqlstate == _READ_ONLY:
        hint = "A check only reads: let a step write, and the check select the rows that must not exist."
    what = f"the check {check.name} cannot be run; the step is rolled back"
    if check.step == CHECKPOINTS:
        what = f"the checkpoint {check.name} cannot be run"
    return StepFailed(f"{message}\n{what}", hint=hint)


def require(results: Sequence[CheckResult], checks: Sequence[Check]) -> None:
    """Raise CheckFailed where a check of severity `error` found rows; `checks` are those that the results are of."""
    failed = tuple(result for result in results if result.status == "failed")
    if not failed:
        return
    files = {check.name: check for check in checks}
    raise CheckFailed(
        "\n".join(failure(result, files[result.check]) for result in failed),
        hint="The step is rolled back. Find out how it makes these rows, and correct the step or its data; "
        "'-- severity: warn' in the check would let them in.",
        results=failed,
    )


def failure(result: CheckResult, check: Check) -> str:
    """Return what is told of a check that failed: where it is, its select with a caret, and the rows."""
    what, *rows = _found(result).split("\n")
    drawn = excerpt.draw(check.file.text, check.statement.start)
    return "\n".join([f"{result.source}: check failed: {what}", drawn, *rows])


def warnings(results: Sequence[CheckResult]) -> list[str]:
    """Return a text for each check that warned: what was found, and its first rows."""
    return [f"{result.check}: {_found(result)}" for result in results if result.status == "warned"]


def _found(result: CheckResult) -> str:
    count = console.count(result.rows_failed, "row")
    return "\n".join([f"{count}: {result.description}", *sample_lines(result.sample, result.rows_failed)])


def sample_lines(sample: Sequence[dict[str, Any]], count: int) -> list[str]:
    """Return the first of `count` rows as an aligned table, indented, and how many there are more."""
    headers = list(sample[0])
    lines = ["(rows without columns)"]
    if headers:
        rows = [[shown(row.get(name)) for name in headers] for row in sample]
        lines = console.table(rows, headers, width=_WIDTH, styled=False).splitlines()
    if count > len(sample):
        lines.append(f"… and {count - len(sample):,} more")
    return [f"    {line}" for line in lines]


def shown(value: Any) -> str | None:
    """Return a value as a table shows it; an id keeps its digits together."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return None if value is None else str(value)
