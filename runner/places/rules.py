"""Where the schema files make a rule of a table: a constraint, or a column that must not be null."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from runner import excerpt
from runner import step as step_module
from runner.errors import RunnerError
from runner.places.fault import Fault
from runner.places.fragment import Fragment
from runner.step import SqlFile


def show(folder: Path, root: Path, fault: Fault) -> str | None:
    """Return the place of the rule that a row broke, with its line: for rows that no SQL file writes.

    `folder` holds the schema files. None where the fault is of no rule, or the rule in none of them.
    """
    if not fault.sqlstate.startswith("23") or not fault.table:
        return None
    found = None
    for path in sorted(folder.glob("[!._]*.sql")):
        with suppress(RunnerError):
            file = step_module.read(path, root, step_module.SCHEMA_KEYS)
            offset = _rule(file, fault)
            found = (file, offset) if offset is not None else found
    if found is None:
        return None
    file, offset = found
    return f"{excerpt.position(file.shown, file.text, offset)}\n{excerpt.draw(file.text, offset)}"


def _rule(file: SqlFile, fault: Fault) -> int | None:
    """Return where the file names the constraint, or the column, in a statement about the table."""
    for statement in file.statements:
        if statement.words[:1] not in (("create",), ("alter",)):
            continue
        tokens = Fragment(file, statement.start, statement.text).tokens
        names = [token for token in tokens if token.kind in ("word", "quoted")]
        if fault.table not in [token.text for token in names]:
            continue
        for wanted in (fault.constraint, fault.column):
            place = next((token.offset for token in names if wanted and token.text == wanted), None)
            if place is not None:
                return place
    return None
