"""What a transaction changed, row by row, between two points of it, without copies or triggers.

PostgreSQL keeps what was there. A cursor that is declared before the work and fetched after it still
returns the old rows, though it finds them by their headers of now: those whose `xmax` is set were
updated, deleted or merely locked since, and those that can still be seen at their place were merely
locked. The new rows are those whose `xmin` is the transaction's own. This holds for rows of one's own, too,
which another connection could not see. See https://www.postgresql.org/docs/current/ddl-system-columns.html.

Exact in a `repeatable read` transaction. In a `read committed` one, a row that another session
changes meanwhile, and this transaction after it, is taken for a new one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from runner import marks, tables, versions
from runner.database import Connection
from runner.errors import StepFailed
from runner.found import Found
from runner.step import SqlFile
from runner.tables import Table

KINDS = ("insert", "update", "delete", "rewrite")

# What PostgreSQL refuses to do to a table with an open cursor.
_WHOLE = re.compile(
    r"\b(truncate|alter|drop|cluster|reindex|create\s+(or\s+replace\s+)?(constraint\s+)?trigger)\b", re.I
)
_NAME = re.compile(r'[^\W\d]\w*|"[^"]+"')

_numbers = itertools.count(1)


@dataclass(frozen=True)
class RowChange:
    """What became of one row; values are their texts, None is null.

    `kind` is `insert`, `update`, `delete`, or `rewrite` for a row that was written and says the same.
    `columns` are those that differ, of an update. `key` is empty where the table has none.
    """

    kind: str
    key: Mapping[str, str | None]
    old: Mapping[str, str | None] | None
    new: Mapping[str, str | None] | None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableChanges:
    """How many rows of a table were changed, net: a row that came and went between the two points is none.

    Rows of a table without a key are told apart by all that they say, and so an update of one is a
    delete and an insert. What `rows` and `documents` return is there until the transaction goes on.
    """

    table: Table
    inserted: int
    updated: int
    deleted: int
    rewritten: int
    _found: Found = field(repr=False)

    @property
    def changed(self) -> bool:
        """Whether a row is other than before; a rewritten one is not."""
        return bool(self.inserted or self.updated or self.deleted)

    def rows(self, limit: int | None = None, kind: str | None = None) -> Iterator[RowChange]:
        """Yield changes by kind and key, the first `limit` of each kind or all, or only those of `kind`."""
        for wanted in KINDS if kind is None else (kind,):
            for old, new in self._found.rows(wanted, limit):
                yield _row(self.table, wanted, old, new)

    def documents(self) -> Iterator[dict[str, Any]]:
        """Yield all changes but rewrites as what JSON knows: `change`, `key`, `old` and `new`; numbers are exact."""
        for wanted in KINDS[:3]:
            for old, new, texts in self._found.documents(wanted):
                known = new or old or {}
                document = {"change": wanted, "key": {name: known[name] for name in self.table.key}}
                if old is not None and new is not None:
                    # JSON writes null for a null of SQL and for one of its own.
                    differing = [n for n in new if n in old and (n in texts or not _same(old[n], new[n]))]
                    old, new = {name: old[name] for name in differing}, {name: new[name] for name in differing}
                yield document | {"old": old, "new": new}


class Watch:
    """Sees what happens in the open transaction between its beginning and `changes()`.

    A context manager. Tables named in `copied` (as `Table.sql`, `Table.name` or without schema) are
    copied first: an open cursor forbids to truncate, alter or drop its table. Locks every readable table
    in ACCESS SHARE mode until the transaction's end.
    """

    def __init__(self, connection: Connection, copied: Collection[str] = ()) -> None:
        self._connection = connection
        self._copied = copied
        self._prefix = f"runner_changes_{next(_numbers)}"
        self._tables: list[versions.Watched] = []

    def __enter__(self) -> Watch:
        with _own_settings(self._connection):
            self._mark = marks.set_mark(self._connection, self._prefix)
            self._before = tables.describe(self._connection)
            self._tables = [
                versions.Watched(
                    self._connection, self._mark, table, f"{self._prefix}_{number}", self._is_copied(table)
                )
                for number, table in enumerate(self._before)
            ]
            versions.begin(self._connection, self._tables)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from psycopg.pq import TransactionStatus

        if not self._connection.closed and self._connection.info.transaction_status == TransactionStatus.INTRANS:
            versions.end(self._connection, self._prefix)

    def changes(self) -> list[TableChanges]:
        """Return the tables in which rows were written since the beginning, by name; call it once.

        Raises StepFailed where the work has closed the cursors that it needs.
        """
        import psycopg

        try:
            return self._compare()
        except psycopg.errors.InvalidCursorName as error:
            raise StepFailed(
                "the step closes all cursors, those too that show what it changes",
                hint="Leave 'close all' out: the end of a transaction closes what is open.",
            ) from error

    def _compare(self) -> list[TableChanges]:
        with _own_settings(self._connection):
            known = {table.oid for table in self._before}
            made = [table for table in tables.describe(self._connection) if table.oid not in known]
            watched = self._tables + [
                versions.Watched(self._connection, self._mark, table, f"{self._prefix}_new_{number}", is_new=True)
                for number, table in enumerate(made)
            ]
            found = []
            for one in versions.touched(self._connection, watched):
                counts, rows = one.compare()
                if any(counts.values()):
                    inserted, updated, deleted, rewritten = (counts.get(kind, 0) for kind in KINDS)
                    found.append(TableChanges(rows.table, inserted, updated, deleted, rewritten, rows))
        return sorted(found, key=lambda changes: changes.table.name)

    def named_in(self, text: str) -> list[str]:
        """Return the tables that `text` quotes, as the server's refusal to truncate one that is watched does."""
        return [table.sql for table in self._before if f'"{table.sql.rsplit(".", 1)[-1].strip(chr(34))}"' in text]

    def _is_copied(self, table: Table) -> bool:
        plain = table.sql.rsplit(".", 1)[-1].strip('"')
        return any(name in (table.sql, table.name, plain, plain.lower()) for name in self._copied)


def watch(connection: Connection, copied: Collection[str] = ()) -> Watch:
    """Return a `Watch` of the open transaction of `connection`; see `to_copy`.

    `with changes.watch(connection, changes.to_copy(step)) as watched: …; found = watched.changes()`
    """
    return Watch(connection, copied)


def to_copy(step: SqlFile) -> frozenset[str]:
    """Return the names, of tables and of other things, in what a step does to tables as a whole."""
    names: set[str] = set()
    for statement in step.statements:
        text = statement.text
        if statement.words[:1] == ("do",):
            text = text if _WHOLE.search(text) else ""
        elif not _WHOLE.match(text):
            continue
        names |= {word.strip('"').lower() for word in _NAME.findall(text)}
    return frozenset(names)


@contextmanager
def _own_settings(connection: Connection) -> Iterator[None]:
    """Run our own queries without compilation, whose start costs more than it saves, and without the step's limit."""
    wanted = {"jit": "off", "work_mem": "64MB", "statement_timeout": "0"}
    held = connection.execute(f"select {', '.join('current_setting(%s)' for _ in wanted)}", list(wanted)).fetchone()
    _set(connection, wanted)
    yield
    _set(connection, dict(zip(wanted, held, strict=True)))


def _set(connection: Connection, values: Mapping[str, str]) -> None:
    calls = ", ".join("set_config(%s, %s, true)" for _ in values)
    connection.execute(f"select {calls}", [text for item in values.items() for text in item])


def _row(table: Table, kind: str, old: dict[str, str | None] | None, new: dict[str, str | None] | None) -> RowChange:
    known: Mapping[str, str | None] = new if new is not None else old or {}
    columns: tuple[str, ...] = ()
    if kind == "update" and old is not None and new is not None:
        columns = tuple(name for name in new if name in old and old[name] != new[name])
    return RowChange(kind, {name: known[name] for name in table.key}, old, new, columns)


def _same(old: Any, new: Any) -> bool:
    """Tell whether two JSON values are written alike: 1.0 and 1.00 are not."""
    return type(old) is type(new) and str(old) == str(new)
