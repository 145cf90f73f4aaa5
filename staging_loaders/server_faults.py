"""What the server says against a load, as an error that tells what to do; see shortage.py for what it runs out of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.database import is_transient, pooler_hint, redact, said
from runner.errors import LoadFailed, UnreadableFile
from runner.places.fault import Fault
from staging_loaders import blockers, shortage
from staging_loaders.blockers import Watch
from staging_loaders.part import Failed, Part

if TYPE_CHECKING:
    import psycopg

_UNCHANGED = "Nothing was changed"
# Classes of what the server says of a value, or a row, that a table does not take: the next attempt has it, too.
_OF_ROWS = ("22", "23")
# The class of what is larger than the server takes: a value, a row, an entry of an index.
_TOO_LARGE = "54"


@dataclass(frozen=True)
class ServerFaults:
    """Turns what the server says into errors of the load of `day`; `schema` holds the schema files of `project`."""

    day: str
    dsn: str = field(repr=False)
    schema: Path
    project: Path
    watch: Watch

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise LoadFailed for what the server says within."""
        import psycopg

        try:
            yield
        except psycopg.errors.LockNotAvailable as error:
            holders = " and ".join(self.watch.holders) or "another session"
            raise LoadFailed(
                f"{self.day} was not loaded: it waited {blockers.LOCK_TIMEOUT} for a lock of {holders}",
                hint=f"{_UNCHANGED}. Let the other end, or end it (select pg_terminate_backend(…)), then load again.",
                transient=True,
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            lacking = "`runner doctor` says what the role lacks, docs/publishing.md what it needs."
            if "row-level security" in str(error):
                lacking = "A policy must let the role that loads read and write every row: create policy … to ROLE."
            raise LoadFailed(
                f"{self.day} was not loaded: {str(error).strip()}", hint=f"{_UNCHANGED}. {lacking}"
            ) from error
        except psycopg.errors.DuplicateTable as error:
            # Such as a partition that somebody detached: whoever did may want its rows.
            raise LoadFailed(
                f"{self.day} was not loaded: {str(error).strip()}, and is no partition of its table",
                hint=f"{_UNCHANGED}. It is in the schema staging_days: attach it again, rename it or drop it.",
            ) from error
        except psycopg.errors.DatatypeMismatch as error:
            # What landed is like the table as it was.
            raise LoadFailed(
                f"{self.day} was not loaded: a staging table was altered meanwhile "
                f"({error.diag.message_primary or _said(error, self.dsn)})",
                hint=f"{_UNCHANGED}; try again.",
                transient=True,
            ) from error
        except psycopg.Error as error:
            # A landing table that is gone was dropped by another load, which took this one for dead.
            lost = isinstance(error, psycopg.errors.UndefinedTable)
            raise self._refused(_said(error, self.dsn), Fault.of(error), lost or is_transient(error)) from error

    def of_part(self, part: Part, failed: Failed) -> LoadFailed:
        """Return the error of a part that came to nothing."""
        if failed.unreadable:
            return UnreadableFile(failed.message, hint=failed.hint)
        # A row that breaks a rule of the table breaks it where it lands: nobody knows that name.
        landed_in = part.target.rows.rpartition(".")[2]
        reason = failed.message.replace(landed_in, part.entity.table)
        if failed.fault is None:
            return self.not_loaded(reason, failed.transient)
        of_table = failed.fault.table == landed_in
        fault = replace(failed.fault, table=part.entity.table) if of_table else failed.fault
        return self._refused(reason, fault, failed.transient)

    def not_loaded(self, reason: str, transient: bool) -> LoadFailed:
        """Return the error of a day that was not loaded, for a reason that says what to do."""
        told = f"{self.day} was not loaded: {reason}"
        pooler = pooler_hint(reason)
        hint = f"{_UNCHANGED}. {pooler}" if pooler else f"{_UNCHANGED}; try again."
        return LoadFailed(told, hint=hint, transient=transient)

    def _refused(self, reason: str, fault: Fault, transient: bool) -> LoadFailed:
        """Return the error of what the server refused: what it lacks, or the rule's place where a row broke one."""
        from runner.places import rules

        if lack := shortage.find(fault, self.dsn):
            return LoadFailed(f"{self.day} was not loaded: {_lacking(lack, reason)}", hint=f"{_UNCHANGED}. {lack.hint}")
        failed = self.not_loaded(reason, transient)
        if fault.sqlstate.startswith(_TOO_LARGE):
            failed.hint = (
                f"{_UNCHANGED}. A record is larger than the server takes (1 GB), or than an index of the table does: "
                "take it out of its file, or the index off the table."
            )
            return failed
        if transient or fault.sqlstate[:2] not in _OF_ROWS:
            return failed
        rule = rules.show(self.schema, self.project, fault)
        what = "rule" if fault.sqlstate.startswith("23") else "column"
        return LoadFailed(
            f"{failed.message}\n{rule}" if rule else failed.message,
            hint=f"{_UNCHANGED}. Let the entity's declaration reject such records, or change the {what}.",
        )


@contextmanager
def translated(what: str, dsn: str) -> Iterator[None]:
    """Raise LoadFailed for what the server says within, which is no day's: `what` says what did not happen."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        reason, lack = _said(error, dsn), shortage.find(Fault.of(error), dsn)
        if lack:
            raise LoadFailed(f"{what}: {_lacking(lack, reason)}", hint=f"{_UNCHANGED}. {lack.hint}") from error
        raise LoadFailed(
            f"{what}: {reason}", hint=f"{_UNCHANGED}; try again.", transient=is_transient(error)
        ) from error


def _lacking(lack: shortage.Shortage, reason: str) -> str:
    return f"{lack.what}: {reason.splitlines()[0]}"


def _said(error: psycopg.Error, dsn: str) -> str:
    return redact(said(error), dsn)
