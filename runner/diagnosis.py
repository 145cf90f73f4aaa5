"""What went wrong in a SQL file, where, and what to do about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runner import excerpt, sqltext
from runner.sqltext import Statement
from runner.step import SqlFile

if TYPE_CHECKING:
    import psycopg

    from runner.places.trace import Place

# How many other places of an error are named, and how many functions it went through.
_SHOWN = 4
_DEPTH = 5
_DISK_FULL = "53100"
_TOO_DEEP = "54001"
_SYNTAX = "42601"
# Says that a run has one success for a step; see runner/sql.
_ONE_SUCCESS = "one_success_per_run"
# A variable of psql's: `:name`, `:'name'`, `:"name"`, `:{?name}`.
_VARIABLE = re.compile(r":['\"\w{]")

# SQLSTATE, or its class, -> the next action.
_HINTS = {
    "22012": "Guard the divisor: … / nullif(divisor, 0).",
    "22P02": "A text does not have the form of its type: look at the value named above.",
    "22001": "A text is longer than its column: shorten it, or widen the column in a schema file.",
    "22003": "A number is larger than its type: use bigint or numeric, or look at the value.",
    "22007": "A text does not have the form of a date or time: look at the value named above.",
    "22008": "There is no such date or time: look at the value named above.",
    "2201B": "Correct the regular expression; what stands for itself needs a backslash: \\(.",
    "23503": "A row names another that is not there, or that goes: write or delete the rows in the other order, "
    "or filter those without a partner.",
    "23P01": "Two rows exclude each other by the named constraint: mend the data or the step.",
    "23502": "A row lacks a required value: filter it out, or give it one.",
    "23505": "Two rows have one key: reduce the source to one row a key, or use 'on conflict'.",
    "23514": "A row breaks the named rule: mend the data or the step.",
    "21000": "One row was to be changed twice in one statement: reduce the source to one row a key.",
    "25006": "The server only reads: it is a standby, or default_transaction_read_only is on. Name the primary.",
    "25P02": "An earlier statement of the transaction failed.",
    "25P04": "The transaction took longer than transaction_timeout allows: raise it for this role "
    "(alter role … set …), or make the step faster.",
    "2D000": "A procedure or 'do' block commits: the runner alone opens and closes the transaction.",
    "3F000": "No schema of the search_path is there, or open to this role: name one that is (alter role … set "
    "search_path = public), or create or grant it.",
    "42501": "Grant the privilege to the role that runs the pipeline.",
    _SYNTAX: "Correct the SQL at the caret.",
    "42702": "Write the table's name or alias in front of the column.",
    "42704": "Correct the name, or create what it names in a schema file.",
    "42803": "Add the column to 'group by', or put it into an aggregate function; aggregates belong into 'having'.",
    "42804": "Cast one of the two to the other's type: value::type.",
    "42703": "Correct the column's name, or add the column in a schema file.",
    "42883": "Check the function's name and the types of its arguments, or create it in a schema file.",
    "42P01": "Correct the table's name, or create the table in a schema file.",
    "55P03": "Another transaction holds a lock: try again, or raise '-- lock_timeout: …' at the top of the file.",
    "57014": "Make the statement faster, or raise '-- timeout: …' at the top of the file.",
    _TOO_DEEP: "A function calls itself without end: give it a case in which it does not. "
    "Or the statement is nested too deep: split it.",
    _DISK_FULL: "The server's disk is full: free space where its data is ('runner db status' names the folder "
    "of the embedded one), or move the data to a larger disk, and run again.",
    "08": "The connection was lost: check the server and run again.",
    "57": "The server went away: check its log and run again.",
}
_DEFAULT = "Correct it and run again; nothing of it was kept."


def explain(file: SqlFile, statement: Statement | None, error: psycopg.Error) -> tuple[str, str]:
    """Return (message, hint) for an error of `statement`: place, line with caret, the server's words.

    The first place is in the statement that was sent; those in the functions and views that
    it ran follow. `statement` is None for what the commit brings up.
    """
    from runner.places import trace  # what only failures need

    found = trace.follow(file, statement, error)
    if not found.places:
        return "\n".join([primary(error), *_detail(error)]), _hint(file, None, error)
    first, *inner = found.places
    parts = [f"{_position(first)}: {primary(error)}", _draw(first), *_detail(error)]
    for place in _some(inner):
        parts += [f"in {place.inside}, {_position(place)}", _draw(place)] if place else ["…"]
    if found.query:
        parts += ["in a statement that was put together there", excerpt.draw(*found.query)]
    if found.rest:
        parts.append(f"where: {found.rest}")
    return "\n".join(parts), _hint(file, first, error, statement)


def _detail(error: psycopg.Error) -> list[str]:
    return [f"detail: {error.diag.message_detail}"] if error.diag.message_detail else []


def _some(places: list[Place]) -> list[Place | None]:
    """Return the places to show, None for those left out: a recursion has thousands, which are the same."""
    places = [place for place, previous in zip(places, [None, *places], strict=False) if place != previous]
    if len(places) <= _DEPTH:
        return list(places)
    return [*places[: _DEPTH - 1], None, places[-1]]


def _position(place: Place) -> str:
    return excerpt.position(place.file.shown, place.file.text, place.offset)


def _draw(place: Place) -> str:
    """Return the line with its carets, and where else it may be."""
    drawn = excerpt.draw(place.file.text, place.offset, place.others)
    if place.others:
        places = [sqltext.locate(place.file.text, offset) for offset in place.others]
        more = [f"{at.line}:{at.column}" for at in places[:_SHOWN]] + ["…"] * (len(places) > _SHOWN)
        drawn += f"\nor at {', '.join(more)}: the server does not say which"
    return drawn


def _hint(file: SqlFile, place: Place | None, error: psycopg.Error, statement: Statement | None = None) -> str:
    hint = hint_for(error)
    if error.diag.message_hint and error.sqlstate not in (_DISK_FULL, _TOO_DEEP):
        hint = error.diag.message_hint
    if error.sqlstate == "21000" and "subquery" in (error.diag.message_primary or ""):
        hint = "Let the subquery return one row: aggregate it, add 'limit 1' with an order, or join instead."
    if error.sqlstate == _SYNTAX and place is not None:
        from runner import dialects
        from runner.places import spelling

        text, offset = place.file.text, place.offset
        if sqltext.locate(text, offset).source.lstrip().startswith("\\"):
            hint = "Commands of psql's own do not run here: remove it, or write it in SQL."
        elif _VARIABLE.match(text, offset):
            hint = "Variables of psql's are not filled in here: write the value; the day is current_setting('app.day')."
        elif (error.diag.message_primary or "").startswith("INSERT has more"):
            hint = "Give each column of the list one value: add what is missing, or take out what is too many."
        elif text[offset : offset + 2] in ("{{", "{%", "{#"):
            hint = "Steps are plain SQL, without Jinja: write the table's name; the day is current_setting('app.day')."
        elif misspelt := spelling.misspelt(text, offset):
            hint = "Correct the SQL at the caret: '{}' looks like '{}'.".format(*misspelt)
        elif statement is not None and not place.inside and (foreign := dialects.recognise(statement.text)):
            hint = foreign.hint
        elif text[offset : offset + 1] == "`":
            hint = "PostgreSQL quotes names with double quotes, where they need any."
    if error.sqlstate == "0A000" and "system column" in (error.diag.message_primary or ""):
        hint = (
            "The inserted rows of a partitioned table have no xmax: return the key, and left join the table by it, "
            "which a statement sees as it was before: what finds no row is new. From PostgreSQL 18 on "
            "'returning old.<key> is null' says it, too, and from 17 on merge_action() in a merge."
        )
    if error.diag.constraint_name == _ONE_SUCCESS:
        hint = (
            "The step writes more than one row with the status success: keep one insert into pipeline_metrics, "
            "of one row."
            if f", {file.task_name}, " in (error.diag.message_detail or "")
            else f"Another step of this run has written that task_name: this one's is '{file.task_name}', and it "
            "writes one row with the status success."
        )
    return hint


def primary(error: psycopg.Error) -> str:
    """Return the server's message with its SQLSTATE, or psycopg's own first line."""
    if error.diag.message_primary:
        return f"{error.diag.message_primary} ({error.sqlstate})"
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def hint_for(error: psycopg.Error) -> str:
    """Return one next action for the error's SQLSTATE."""
    return hint_for_state(error.sqlstate or "08")


def hint_for_state(sqlstate: str) -> str:
    """Return one next action for a SQLSTATE."""
    return _HINTS.get(sqlstate) or _HINTS.get(sqlstate[:2]) or _DEFAULT
