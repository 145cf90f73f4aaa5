"""Rows on their way into one table, in PostgreSQL's text format or in its binary one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.database import Connection
from staging_loaders import binary
from staging_loaders.checksum import Digest, sent

# Rows are sent in pieces of about this many characters or bytes: memory stays flat, and two COPYs can take
# turns on one connection.
_PIECE = 4_000_000


class Lines:
    """The lines for one table; `checksum` is that of all rows so far, see staging_loaders/checksum.py."""

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
        self._lines: list[Any] = []
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
            line = "\t".join(["\\N" if value is None else escaped(value) for value in row])
        self.add_lines([line])

    def add_lines(self, lines: Sequence[str] | Sequence[bytes], checksum: int = 0) -> None:
        """Add rows that are in the format already, with the sum of their digests."""
        self.count += len(lines)
        self.checksum += checksum
        self._lines += lines
        self._size += sum(map(len, lines))
        if self._size > _PIECE:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            with self._connection.cursor().copy(self._statement) as copy:
                copy.write(self._joined())
            self._lines = []
            self._size = 0

    def _joined(self) -> str | bytes:
        self._lines.append("")
        return "\n".join(self._lines)


class BinaryRows(Lines):
    """Rows that are in the binary format already."""

    def __init__(self, connection: Connection, table: str, columns: tuple[str, ...]) -> None:
        super().__init__(connection, table, columns)
        self._statement += " (format binary)"

    def _joined(self) -> bytes:
        return b"".join([binary.HEADER, *self._lines, binary.TRAILER])


def escaped(value: str) -> str:
    """Return a value as the format writes it."""
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
