"""One part of a load, in a worker: read its files, convert, COPY, all in one transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runner.database import Connection, connect, is_transient, redact, said, set_unlimited
from runner.errors import DatabaseUnavailable, UnreadableFile
from runner.places.fault import Fault
from staging_loaders.ahead import fetched
from staging_loaders.checksum import digest_for, rewritten
from staging_loaders.convert import Rejected, compile_entity
from staging_loaders.entity import TYPE_NAME, Entity
from staging_loaders.fast import compile_cells, compile_records, is_binary
from staging_loaders.files import SourceFile
from staging_loaders.landing import REJECT_COLUMNS, Target
from staging_loaders.lines import BinaryRows, Lines, escaped
from staging_loaders.read import read_batches
from staging_loaders.record import Batch, record_text
from staging_loaders.spans import Span

# Classes of what a server says of JSON beyond its limits, such as a number too large: the exact converter
# finds the record, which would cost every other one more than its text.
_BEYOND = ("22", "54")
# Records that are made into lines at a time.
_SLICE = 1_000


@dataclass(frozen=True)
class Part:
    """Some files of an entity and where their rows go; all a worker needs to know."""

    dsn: str
    name: str
    entity: Entity
    target: Target
    number: int
    files: tuple[SourceFile, ...]
    span: Span | None = None
    """What of the one file is read; None for all of the files."""

    @property
    def whole_files(self) -> int:
        """How many files are done with this part; of one that is read in spans the first stands for all."""
        return 0 if self.span is not None and self.span.start > 0 else len(self.files)

    def __repr__(self) -> str:  # the connection string may hold a password
        return f"Part({self.entity.name} {self.number})"


@dataclass(frozen=True)
class UselessFile:
    """A file of which every record was rejected; of an entity that a day must have, it may be an error page."""

    name: str
    rejects: int


@dataclass(frozen=True)
class Counts:
    """What became of the records of a part, and how long that took."""

    records: int = 0
    rows: int = 0
    rejects: int = 0
    warnings: int = 0
    seconds: float = 0.0
    useless: tuple[UselessFile, ...] = ()
    checksum: int = 0
    """Of the rows as they were sent, see `checksum`."""


@dataclass(frozen=True)
class Failed:
    """A part that came to nothing: as a value, since Spark would wrap an error and, on a cluster, try it again.

    `unreadable` says that a file is at fault, `transient` that another attempt may succeed, `fault` what
    the server said.
    """

    message: str
    hint: str | None = None
    unreadable: bool = False
    transient: bool = False
    fault: Fault | None = None


def land_part(part: Part) -> Counts | Failed:
    """Land the part unless that has been done, and return its counts. May run any number of times."""
    import psycopg

    try:
        with connect(part.dsn, part.name) as connection:
            connection.autocommit = False
            set_unlimited(connection)
            done = _done(connection, part)
            if done is not None:
                return done
            try:
                counts = _copy(connection, part, False, _kinds(connection, part))
            except psycopg.Error as error:
                if not part.entity.json_paths or str(error.sqlstate)[:2] not in _BEYOND:
                    raise
                connection.rollback()
                set_unlimited(connection)
                counts = _copy(connection, part, careful=True)
            first = connection.execute(
                f"insert into {part.target.parts} "
                "(part, files, records, rows, rejects, warnings, useless_files, useless_rejects, checksum) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing returning part",
                (
                    part.number, part.whole_files, counts.records, counts.rows, counts.rejects, counts.warnings,
                    [file.name for file in counts.useless], [file.rejects for file in counts.useless],
                    counts.checksum,
                ),
            ).fetchone()  # fmt: skip
            if first is None:
                # Another attempt came first; this one's rows go.
                connection.rollback()
                return _done(connection, part) or counts
            connection.commit()
            return counts
    except UnreadableFile as error:
        return Failed(error.message, error.hint, unreadable=not error.transient, transient=error.transient)
    except DatabaseUnavailable as error:
        return Failed(error.message, error.hint, transient=error.transient)
    except psycopg.Error as error:
        reason = redact(said(error), part.dsn)
        return Failed(reason, transient=is_transient(error), fault=Fault.of(error))


def _done(connection: Connection, part: Part) -> Counts | None:
    row = connection.execute(
        "select records, rows, rejects, warnings, useless_files, useless_rejects, checksum "
        f"from {part.target.parts} where part = %s",
        (part.number,),
    ).fetchone()
    if row is None:
        return None
    records, rows, rejects, warnings, names, counts, checksum = row
    return Counts(records, rows, rejects, warnings, useless=tuple(map(UselessFile, names, counts)), checksum=checksum)


def _kinds(connection: Connection, part: Part) -> tuple[tuple[str, str], ...]:
    """Return the types of the table's columns, which its rows have to say themselves where they are binary."""
    if not is_binary(part.entity):
        return ()
    rows = connection.execute(
        f"select attname::text, {TYPE_NAME} from pg_attribute "
        "where attrelid = to_regclass(%s) and attname = any(%s) order by attnum",
        (part.target.rows, list(part.entity.columns)),
    )
    return tuple(rows.fetchall())


def _copy(connection: Connection, part: Part, careful: bool = False, kinds: tuple[tuple[str, str], ...] = ()) -> Counts:
    """Copy the part's rows and rejects.

    `careful` leaves every record to the exact converter; `kinds` are the columns' types, see `compile_records`.
    """
    started = time.perf_counter()
    sender = _Sender(connection, part, careful, kinds)
    fields, arrays, jsons = part.entity.paths, part.entity.array_paths, part.entity.json_paths
    records = 0
    useless: list[UselessFile] = []
    for file in fetched(part.files):
        first = position = 0 if part.span is None else part.span.records
        before = sender.count
        for batch in read_batches(file, arrays, fields, jsons, part.span):
            sender.add_batch(file, position, batch)
            position += batch.count
        records += position - first
        if position > first and sender.count == before and part.entity.required:
            useless.append(UselessFile(file.name, position - first))
    sender.flush()
    return Counts(
        records, sender.count, sender.rejects, sender.warnings, time.perf_counter() - started, tuple(useless),
        sender.checksum,
    )  # fmt: skip


class _Sender:
    """Sends records as rows, rejects and warnings. Where ordinary rows are binary, odd ones are text beside them."""

    def __init__(self, connection: Connection, part: Part, careful: bool, kinds: tuple[tuple[str, str], ...]) -> None:
        self.rejects = self.warnings = 0
        columns = part.entity.columns
        left_out = tuple(index + 2 for index in rewritten(part.entity))
        self._digest = digest_for(connection.info.server_version)
        filled = ("source_file", "position", *columns)
        self._exact = Lines(connection, part.target.rows, filled, self._digest, left_out)
        self._usual = BinaryRows(connection, part.target.rows, filled) if is_binary(part.entity) else self._exact
        self._odd = Lines(connection, part.target.rejects, REJECT_COLUMNS)
        self._entity = part.entity
        self._careful = careful
        self._build = compile_records(part.entity, kinds)
        self._convert = compile_entity(part.entity)
        self._key = columns.index(part.entity.key)

    @property
    def count(self) -> int:
        """How many rows have been sent."""
        return sum(rows.count for rows in {self._usual, self._exact})

    @property
    def checksum(self) -> int:
        return sum(rows.checksum for rows in {self._usual, self._exact})

    def flush(self) -> None:
        for rows in (self._usual, self._exact, self._odd):
            rows.flush()

    def add_batch(self, file: SourceFile, position: int, batch: Batch) -> None:
        """Send the records that follow `position` in a file."""
        if self._careful or escaped(file.name) != file.name:
            odd: Sequence[int] = range(position + 1, position + batch.count + 1)
        else:
            odd = self._add_usual(file, position, batch)
        for number in odd:
            self._add(file, number, *batch.exact(number - position - 1))

    def _add_usual(self, file: SourceFile, position: int, batch: Batch) -> Sequence[int]:
        """Send the ordinary records of a batch; return the positions of the others."""
        cells, beginning = batch.cells, f"{file.name}\t"
        lines: list[Any] = []
        odd: list[int] = []
        if cells and (build := compile_cells(self._entity, cells.paths, cells.blank_is_null)):
            checksum = build(cells.columns, position, beginning, self._digest, lines, odd)
            self._usual.add_lines(lines, checksum)
        elif batch.raws is not None and self._build:
            for start in range(0, batch.count, _SLICE):
                lines = []
                raws = batch.raws[start : start + _SLICE]
                checksum = self._build(raws, position + start, beginning, self._digest, lines, odd)
                self._usual.add_lines(lines, checksum)
        else:
            return range(position + 1, position + batch.count + 1)
        return odd

    def _add(self, file: SourceFile, position: int, record: object, raw: object) -> None:
        outcome = self._convert(record)
        at = str(position)
        if isinstance(outcome, Rejected):
            reason, field, value = outcome.problem
            self.rejects += 1
            self._odd.add(["reject", reason, field, file.name, at, outcome.key, value, record_text(record, raw)])
            return
        self._exact.add([file.name, at, *outcome.row])
        for note in outcome.warnings:
            self.warnings += 1
            key = outcome.row[self._key]
            self._odd.add(["warning", note.reason, note.field, file.name, at, key, note.raw, None])
