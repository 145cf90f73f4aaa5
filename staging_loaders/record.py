"""A record with its own text, many of them, and what is said where a file cannot give one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from runner.errors import UnreadableFile
from staging_loaders.convert import json_text
from staging_loaders.values import clean

_SHOWN = 120

# A record and its own text; None where the text has to be made from the record (CSV, Parquet).
Record = tuple[object, Any]


@dataclass(frozen=True)
class Cells:
    """Records as columns, of those declared paths that a file has: text, whole numbers, `Number`, booleans, lists.

    `blank_is_null` says so of all but arrays. ODD_CELL, in each column, stands for a record that is none of cells.
    """

    paths: tuple[tuple[str, ...], ...]
    columns: Sequence[Sequence[Any]]
    blank_is_null: bool


# Of no type that a value has.
ODD_CELL = (None,)


@dataclass(frozen=True)
class Batch:
    """Records of a file that follow one another.

    `raws` are their own bytes, JSON in UTF-8, or None where they are not JSON; `cells` their columns, where
    these say all. `exact` returns the record of an index (from 0); it raises UnreadableFile for one that is
    no JSON.
    """

    count: int
    raws: Sequence[Any] | None
    exact: Callable[[int], Record]
    cells: Cells | None = None


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


def require_field(path: str, line: int, columns: Sequence[str], fields: Sequence[tuple[str, ...]]) -> None:
    """Raise UnreadableFile where no column is a declared field: a foreign file would look like an empty one."""
    expected = [".".join(field) for field in fields if field]
    if not expected or not set(columns).isdisjoint(expected):
        return
    found = ", ".join(name.strip() for name in columns if name.strip()) or "nothing"
    raise unreadable(
        path,
        line,
        1,
        f"no column is a field of the declaration: there is {_shortened(found)}; expected are {', '.join(expected)}",
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


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
