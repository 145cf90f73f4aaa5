"""One check: a select of the rows that must not exist, read and refused before anything runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import sqltext
from runner import step as step_module
from runner.errors import ConfigError
from runner.sqltext import Statement
from runner.step import SqlFile

CHECK_KEYS = ("check", "severity", "description", "timeout")
CHECKPOINTS = "checkpoints"
"""The `step` of a checkpoint, which belongs to none and runs after all; see runner.checkpoint."""
SEVERITIES = ("error", "warn")

_WRITERS = {"insert": "into", "delete": "from", "merge": "into"}
_LOCKS = (("update",), ("share",), ("no", "key"), ("key", "share"))
_HINT = "A check is one select of the rows that must not exist, and changes nothing."


@dataclass(frozen=True)
class Check:
    """A file of `migrations/<pipeline>/checks/`; `step` is the id of the step after which it runs.

    One of `checkpoints/`, too: its `step` is `CHECKPOINTS`.
    """

    file: SqlFile
    step: str
    severity: str

    @property
    def name(self) -> str:
        """The file's name without its ending: `020_members_are_known`."""
        return self.file.id

    @property
    def description(self) -> str:
        """What its rows are, for those who see them."""
        return self.file.description

    @property
    def statement(self) -> Statement:
        """The select."""
        return self.file.statements[0]


def read(path: Path, root: Path, steps: Sequence[SqlFile]) -> Check:
    """Read the check at `path`, of one of `steps`; ConfigError where its name, header or statement is wrong."""
    file = step_module.read(path, root, CHECK_KEYS)
    header = step_module.read_header(file.text, file.shown, CHECK_KEYS)
    for key in ("check", "severity", "description"):
        if key not in header.values:
            raise step_module.refused(
                file.shown,
                file.text,
                0,
                f"the header has no '{key}'",
                "A check begins with '-- check: STEP', '-- severity: error' or 'warn', and '-- description: …'.",
            )
    severity, wanted = header.values["severity"], header.values["check"]
    if severity not in SEVERITIES:
        raise header.refused(
            "severity",
            f"severity is {severity!r}",
            "Write 'error', which rolls the step back, or 'warn', which is kept and shown.",
        )
    step = next((step for step in steps if step.answers_to(wanted)), None)
    if step is None:
        known = ", ".join(step.id for step in steps) or "none"
        raise header.refused("check", f"there is no step {wanted!r}", f"Steps: {known}.")
    refuse_all_but_a_select(file)
    return Check(file, step.id, severity)


def refuse_all_but_a_select(file: SqlFile) -> None:
    """Raise ConfigError for a file that is anything but one select."""
    statements = file.statements
    if len(statements) > 1:
        raise _refused(file, statements[1].start, "a second statement")
    (statement,) = statements
    if statement.words[:1] not in (("select",), ("with",), ("table",), ("values",)):
        raise _refused(file, statement.start, f"{(*statement.words, 'this')[0]} is no select")
    found = _writer(statement)
    if found is not None:
        raise _refused(file, *found)


def _refused(file: SqlFile, offset: int, what: str) -> ConfigError:
    return step_module.refused(file.shown, file.text, offset, what, _HINT)


def _writer(statement: Statement) -> tuple[int, str] | None:
    """Return the offset of the first thing that a select has not, a clause that writes or locks, and what it is.

    By words alone, so that running a day needs no parser. What this does not see, such as a
    function that writes, the transaction refuses, which only reads while a check runs.
    """
    tokens = [
        (kind, statement.text[start:stop].lower(), statement.start + start)
        for kind, start, stop in sqltext.tokens(statement.text)
        if kind not in sqltext.COMMENTS
    ]
    depth = 0
    for index, (kind, text, offset) in enumerate(tokens):
        depth += (kind == "open") - (kind == "close")
        if depth < 0:
            return offset, "a parenthesis that nothing opens"
        if kind != "word":
            continue
        previous = tokens[index - 1][0] if index else ""
        following = tuple(text for _, text, _ in tokens[index + 1 : index + 7])
        # A verb begins a statement behind a parenthesis: `as (delete from …)`, `) insert into …`.
        if previous == "open" or (previous == "close" and depth == 0):
            if text in _WRITERS and following[:1] == (_WRITERS[text],):
                return offset, f"{text} writes"
            if text == "update" and "set" in following[1:]:
                return offset, "update writes"
        if text == "into" and depth == 0:
            return offset, "select into makes a table"
        if text == "for" and (following[:1] in _LOCKS or following[:2] in _LOCKS):
            return offset, "a select that locks rows"
    return None
