"""A record with its own text, and what is said where a file cannot give one."""

from __future__ import annotations

from typing import Any

from runner.errors import UnreadableFile
from staging_loaders.convert import json_text
from staging_loaders.values import clean

# A record and its own text; None where the text has to be made from the record (CSV, Parquet).
Record = tuple[object, Any]


def record_text(record: object, raw: Any) -> str:
    """Return a record's own text, storable by PostgreSQL."""
    if raw is None:
        return json_text(record)
    return clean(raw if isinstance(raw, str) else bytes(raw).decode("utf-8"))


def unreadable(path: str, line: int, column: int, problem: str) -> UnreadableFile:
    """Return the error for a file that is not what its ending says."""
    return UnreadableFile(
        f"{path}:{line}:{column}: {problem}", hint="Fetch the file again or mend it; nothing was changed."
    )


def decode_utf8(path: str, data: bytes, line: int = 1) -> str:
    """Return `data`, which starts at `line`, as text; UnreadableFile where it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        raise unreadable(
            path, line + before.count(b"\n"), column, f"not UTF-8 (byte {data[error.start]:#04x})"
        ) from None
