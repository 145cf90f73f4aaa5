"""What went wrong in a SQL file, where, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner import sqltext
from runner.sqltext import Statement
from runner.step import SqlFile

if TYPE_CHECKING:
    import psycopg

_DIVISION = "22012"
_DISK_FULL = "53100"
_SYNTAX = "42601"
# Says that a run has one success for a step; see runner/sql.
_ONE_SUCCESS = "one_success_per_run"

# SQLSTATE, or its class, -> the next action.
_HINTS = {
    _DIVISION: "Guard the divisor: … / nullif(divisor, 0).",
    "22P02": "A text does not have the form of its type: look at the value named above.",
    "23502": "A row lacks a required value: filter it out, or give it one.",
    "23505": "Two rows have one key: reduce the source to one row a key, or use 'on conflict'.",
    "23514": "A row breaks the named rule: mend the data or the step.",
    "21000": "One row was to be changed twice in one statement: reduce the source to one row a key.",
    "25006": "The server only reads: it is a standby, or default_transaction_read_only is on. Name the primary.",
    "25P02": "An earlier statement of the transaction failed.",
    "2D000": "A procedure or 'do' block commits: the runner alone opens and closes the transaction.",
    "42501": "Grant the privilege to the role that runs the pipeline.",
    _SYNTAX: "Correct the SQL at the caret.",
    "42703": "Correct the column's name, or add the column in a schema file.",
    "42883": "Check the function's name and the types of its arguments, or create it in a schema file.",
    "42P01": "Correct the table's name, or create the table in a schema file.",
    "55P03": "Another transaction holds a lock: try again, or raise '-- lock_timeout: …' at the top of the file.",
    "57014": "Make the statement faster, or raise '-- timeout: …' at the top of the file.",
    _DISK_FULL: "The server's disk is full: free space where its data is ('runner db status' names the folder "
    "of the embedded one), or move the data to a larger disk, and run again.",
    "08": "The connection was lost: check the server and run again.",
    "57": "The server went away: check its log and run again.",
}
_DEFAULT = "Correct it and run again; nothing of it was kept."


def explain(file: SqlFile, statement: Statement | None, error: psycopg.Error) -> tuple[str, str]:
    """Return (message, hint) for an error of `statement`: place, line with caret, the server's words.

    The server names a position for what it could not parse or resolve; for what
    failed while it ran, the statement's first word is named.
    """
    at, inner = place(file, statement, error)
    parts = [f"{file.shown}:{at.line}:{at.column}: {primary(error)}", _excerpt(at)]
    if error.diag.message_detail:
        parts.append(f"detail: {error.diag.message_detail}")
    if inner:
        parts.append(f"where: {inner}")
    hint = hint_for(error)
    if error.diag.message_hint and error.sqlstate != _DISK_FULL:
        hint = error.diag.message_hint
    if error.sqlstate == _SYNTAX and at.source.lstrip().startswith("\\"):
        hint = "Commands of psql's own do not run here: remove it, or write it in SQL."
    if error.diag.constraint_name == _ONE_SUCCESS:
        hint = (
            f"Another step of this run has written that task_name: this one's is '{file.task_name}', and it writes "
            "one row with the status success."
        )
    return "\n".join(parts), hint


def place(file: SqlFile, statement: Statement | None, error: psycopg.Error) -> tuple[sqltext.Location, str | None]:
    """Return where the error stands in the file, and the server's context for errors inside functions."""
    start = statement.start if statement else 0
    position = error.diag.statement_position
    offset = start + int(position) - 1 if position else start
    if statement and not position and error.sqlstate == _DIVISION:
        # The server does not say where it divided; a single division can only be the one.
        divisions = sqltext.find_operators(statement, ("/", "%"))
        offset = divisions[0] if len(divisions) == 1 else offset
    context = error.diag.context
    return sqltext.locate(file.text, offset), context.splitlines()[0] if context else None


def primary(error: psycopg.Error) -> str:
    """Return the server's message with its SQLSTATE, or psycopg's own first line."""
    if error.diag.message_primary:
        return f"{error.diag.message_primary} ({error.sqlstate})"
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def hint_for(error: psycopg.Error) -> str:
    """Return one next action for the error's SQLSTATE."""
    state = error.sqlstate or "08"
    return _HINTS.get(state) or _HINTS.get(state[:2]) or _DEFAULT


def _excerpt(at: sqltext.Location) -> str:
    """Return the line with a caret below the column; long lines are cut around it."""
    source = at.source.rstrip("\r\n").replace("\t", " ")
    column = at.column - 1
    cut = max(0, column - 80)
    gutter = f"{at.line:>5} | "
    return f"{gutter}{source[cut : cut + 120]}\n{' ' * (len(gutter) - 2)}| {' ' * (column - cut)}^"
