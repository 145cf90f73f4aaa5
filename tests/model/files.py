"""The files of a day, read one by one with the standard library: path below the day's folder -> bytes -> records."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

from tests.model.values import Number

ENTITIES = ("agents", "agent_details", "admin_groups", "roles", "budgets", "cards", "transactions")
REQUIRED = ("agents", "admin_groups", "transactions")
_ARRAYS = ("agent_ids", "role_ids")


class UnreadableError(Exception):
    """A file that stops its day; the message is its path below the day's folder."""


@dataclass(frozen=True)
class Located:
    """A record, and where it stands: the file below its entity's folder, its number in it from 1."""

    file: str
    position: int
    record: Any


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a day's folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_day(files: Mapping[str, bytes]) -> dict[str, list[Located]]:
    """Return the records in file order of each entity that has a file; `UnreadableError` where one cannot be read."""
    result: dict[str, list[Located]] = {}
    for entity in ENTITIES:
        names = [name.removeprefix(f"{entity}/") for name in files if name.startswith(f"{entity}/")]
        names = sorted(name for name in names if not any(part[0] in "._" for part in name.split("/")))
        if names:
            result[entity] = [
                Located(name, position, record)
                for name in names
                for position, record in enumerate(_records(f"{entity}/{name}", files[f"{entity}/{name}"]), start=1)
            ]
    return result


def _records(name: str, content: bytes) -> list[Any]:
    try:
        if name.endswith(".gz"):
            name, content = name.removesuffix(".gz"), gzip.decompress(content)
        if name.endswith(".parquet"):
            return list(_parquet(content))
        text = content.decode("utf-8-sig")
        if name.endswith(".json"):
            return _page(text)
        if name.endswith((".jsonl", ".ndjson")):
            return [parse(line) for line in text.split("\n") if line.strip(" \t\r")]
        if name.endswith(".csv"):
            return list(_csv(text))
    except (ValueError, OSError, EOFError, zlib.error, csv.Error) as error:
        raise UnreadableError(name) from error
    raise UnreadableError(name)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse(text: str) -> Any:
    """Return what a JSON text says, numbers as they are written."""
    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_constant)


def _page(text: str) -> list[Any]:
    content = parse(text)
    if isinstance(content, dict) and isinstance(content.get("results"), list):
        content = content["results"]
    return content if isinstance(content, list) else [content]


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return `{"contact.email": x}` as `{"contact": {"email": x}}`."""
    record: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, leaf = path.split(".")
        branch = record
        for name in parents:
            branch = branch.setdefault(name, {})
        branch[leaf] = value
    return record


def _csv(text: str) -> Iterator[dict[str, Any]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(rows, [])
    for row in rows:
        if row:
            yield _nest({name: _cell(name, cell) for name, cell in zip(header, row, strict=False)})


def _cell(name: str, cell: str) -> Any:
    if cell == "":
        return None
    if name in _ARRAYS:
        try:
            return parse(cell)
        except ValueError:
            return cell
    return cell


def _parquet(content: bytes) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(io.BytesIO(content)).to_pylist()
    except pa.ArrowException as error:
        raise ValueError("not Parquet") from error
    for row in rows:
        yield _nest({name: _plain(value) for name, value in row.items()})


def _plain(value: Any) -> Any:
    """Return a value of a typed table as JSON would say it."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return []  # no number: malformed wherever it stands
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return Number(str(value))
    return value
