"""One part of a load, in a worker: read its files, convert, COPY, all in one transaction."""

from __future__ import annotations

import time
from dataclasses import dataclass

from runner.database import Connection, connect, is_transient, redact
from runner.errors import DatabaseUnavailable, UnreadableFile
from runner.places.fault import Fault
from staging_loaders.checksum import Digest, digest_for, rewritten, sent
from staging_loaders.convert import Rejected, compile_entity
from staging_loaders.entity import Entity
from staging_loaders.files import SourceFile
from staging_loaders.landing import REJECT_COLUMNS, Target
from staging_loaders.read import read_records
from staging_loaders.record import record_text

# Rows and rejects are sent in pieces of about this many characters: memory stays flat, and
# two COPYs can take turns on one connection.
_PIECE = 4_000_000


@dataclass(frozen=True)
class Part:
    """Some files of an entity and where their rows go; all a worker needs to know."""

    dsn: str
    name: str
    entity: Entity
    target: Target
    number: int
    files: tuple[SourceFile, ...]

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
            connection.execute("set local idle_in_transaction_session_timeout = 0")
            done = _done(connection, part)
            if done is not None:
                return done
            counts = _copy(connection, part)
            first = connection.execute(
                f"insert into {part.target.parts} "
                "(part, files, records, rows, rejects, warnings, useless_files, useless_rejects, checksum) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing returning part",
                (
                    part.number, len(part.files), counts.records, counts.rows, counts.rejects, counts.warnings,
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
        return Failed(error.message, error.hint, unreadable=True)
    except DatabaseUnavailable as error:
        return Failed(error.message, error.hint, transient=True)
    except psycopg.Error as error:
        reason = redact(str(error).strip() or type(error).__name__, part.dsn)
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


def _copy(connection: Connection, part: Part) -> Counts:
    entity = part.entity
    started = time.perf_counter()
    convert = compile_entity(entity)
    rows = _Lines(
        connection,
        part.target.rows,
        ("source_file", "position", *entity.columns),
        digest_for(connection.info.server_version),
        tuple(index + 2 for index in rewritten(entity)),
    )
    odd = _Lines(connection, part.target.rejects, REJECT_COLUMNS)
    key_index = entity.columns.index(entity.key)
    arrays, fields = entity.array_paths, entity.paths
    records = rejects = warnings = 0
    useless: list[UselessFile] = []
    for file in part.files:
        position, before = 0, rows.count
        for position, (record, raw) in enumerate(read_records(file.path, arrays, fields), 1):
            outcome = convert(record)
            at = str(position)
            if isinstance(outcome, Rejected):
                reason, field, value = outcome.problem
                rejects += 1
                odd.add(["reject", reason, field, file.name, at, outcome.key, value, record_text(record, raw)])
                continue
            rows.add([file.name, at, *outcome.row])
            for note in outcome.warnings:
                warnings += 1
                key = outcome.row[key_index]
                odd.add(["warning", note.reason, note.field, file.name, at, key, note.raw, None])
        records += position
        if position and rows.count == before and entity.required:
            useless.append(UselessFile(file.name, position))
    rows.flush()
    odd.flush()
    return Counts(records, rows.count, rejects, warnings, time.perf_counter() - started, tuple(useless), rows.checksum)


class _Lines:
    """Rows on their way into one table, in PostgreSQL's text format."""

    def __init__(
        self,
        connection: Connection,
        table: str,
        columns: tuple[str, ...],
        digest: Digest | None = None,
        rewritten: tuple[int, ...] = (),
    ) -> None:
        self.count = 0
        self.checksum = 0
        self._digest = digest
        self._rewritten = rewritten
        self._connection = connection
        self._statement = f"copy {table} ({', '.join(columns)}) from stdin"
        self._tabs = len(columns) - 1
        self._lines: list[str] = []
        self._size = 0

    def add(self, row: list[str | None]) -> None:
        line = "\t".join(["\\N" if value is None else value for value in row])
        if self._digest is not None:
            self.checksum += self._digest((sent(row, self._rewritten) if self._rewritten else line).encode())
        # Nearly no row holds a character that the format escapes: looking at the whole is cheaper.
        if (
            line.count("\t") != self._tabs
            or "\n" in line
            or "\r" in line
            or ("\\" in line and line.count("\\") != row.count(None))
        ):
            line = "\t".join(["\\N" if value is None else _escaped(value) for value in row])
        self.count += 1
        self._lines.append(line)
        self._size += len(line)
        if self._size > _PIECE:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            self._lines.append("")
            with self._connection.cursor().copy(self._statement) as copy:
                copy.write("\n".join(self._lines))
            self._lines = []
            self._size = 0


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
