"""Writing records into the files of a day: JSON pages, JSON Lines, gzip, CSV, Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.generator.world import Record


def _fields(names: str) -> tuple[str, ...]:
    return tuple(names.split())


_AGENT = _fields(
    "id org_agent_id available available_since deactivated focus_mode agent_operational_status ticket_scope "
    "last_active_at created_at updated_at signature freshchat_agent contact.email contact.name contact.job_title "
    "contact.language contact.mobile contact.phone contact.time_zone contact.last_login_at"
)
# The fields that are read, with dotted names: the header of a CSV file.
FIELDS: dict[str, tuple[str, ...]] = {
    "agents": _AGENT,
    "agent_details": (*_AGENT, "role_ids"),
    "admin_groups": _fields("id name description parent_group_id agent_ids created_at updated_at"),
    "roles": _fields("id name description default agent_type created_at updated_at"),
    "budgets": _fields(
        "id uuid name description retired startDate recurringInterval timezone currentPeriod.limit "
        "currentPeriod.overspendBuffer currentPeriod.assigned currentPeriod.spent.cleared "
        "currentPeriod.spent.pending currentPeriod.spent.total"
    ),
    "cards": _fields(
        "id uuid name userId userUuid budgetId budgetUuid lastFour validThru status type shareBudgetFunds recurring "
        "recurringLimit currentPeriod.limit currentPeriod.spent createdTime updatedTime"
    ),
    "transactions": _fields(
        "id uuid transactionType userId userUuid userName merchantName rawMerchantName cardId cardUuid budgetId "
        "budgetUuid occurredTime updatedTime currencyData.originalCurrencyAmount currencyData.originalCurrencyCode "
        "currencyData.exponent currencyData.exchangeRate"
    ),
}

_NUMBER = re.compile(r'"#number ([^"]+)"')
_SURROGATE = re.compile("[\ud800-\udfff]")


def number(literal: str) -> str:
    """Return a value that is written as this JSON number to the letter, such as `1e3` or `1.50`."""
    return f"#number {literal}"


def encode(record: Any, size: int = 0) -> str:
    """Return one line of JSON, readable: only lone surrogates are escaped.

    An object that is shorter than `size` bytes is filled up to it with a field that is not read.
    """
    text = json.dumps(record, ensure_ascii=False)
    if '"#number ' in text:
        text = _NUMBER.sub(r"\1", text)
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        text = _SURROGATE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
        length = len(text.encode())
    lacking = size - length - len(', "filler": ""')
    if lacking > 0 and isinstance(record, dict) and record:
        filler = ("lorem ipsum " * (lacking // 12 + 1))[:lacking]
        return f'{text[:-1]}, "filler": "{filler}"}}'
    return text


def as_results(records: Iterable[Record], size: int = 0) -> bytes:
    """Return a page `{"results": [...]}` with a line a record."""
    return ('{"results": [\n' + ",\n".join(encode(record, size) for record in records) + "\n]}\n").encode()


def as_array(records: Iterable[Record]) -> bytes:
    """Return an array with a line a record."""
    return ("[\n" + ",\n".join(map(encode, records)) + "\n]\n").encode()


def as_lines(records: Iterable[Record], size: int = 0) -> bytes:
    """Return JSON Lines."""
    return "".join(encode(record, size) + "\n" for record in records).encode()


def as_gzip(content: bytes) -> bytes:
    """Return `content` compressed, the same bytes for the same content: no name and no time in it."""
    return gzip.compress(content, mtime=0)


def _leaf(record: Any, path: str) -> Any:
    for name in path.split("."):
        record = record.get(name) if isinstance(record, dict) else None
    return record


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.removeprefix("#number ")
    return encode(value)


def as_csv(entity: str, records: Iterable[Record], extra: tuple[str, ...] = ()) -> bytes:
    """Return CSV with dotted names; `extra` columns come last."""
    header = (*FIELDS[entity], *extra)
    rows = [[_cell(_leaf(record, path)) for path in header] for record in records]
    # The writer quotes what holds its own line end, not a carriage return alone.
    returns = any("\r" in cell for row in rows for cell in row)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL)
    writer.writerows([header, *rows])
    return text.getvalue().encode(errors="replace")  # a lone surrogate can only be escaped, in JSON


def _parquet_type(path: str) -> Any:
    import pyarrow as pa

    name = path.rsplit(".", 1)[-1]
    if name in ("agent_ids", "role_ids"):
        return pa.list_(pa.int64())
    if name in ("originalCurrencyAmount", "parent_group_id"):
        return pa.int64()
    if name == "exponent":
        return pa.int32()
    if name in ("limit", "spent", "cleared", "pending", "total", "assigned", "overspendBuffer", "recurringLimit"):
        return pa.decimal128(20, 2)
    if name == "exchangeRate":
        return pa.float64()
    booleans = "available deactivated focus_mode freshchat_agent default retired shareBudgetFunds recurring"
    return pa.bool_() if name in booleans.split() else pa.string()


def _column(path: str, values: list[Any], integer_id: bool) -> Any:
    """Return a Parquet column; a value that does not fit makes the whole column text, as it does in feeds.

    Not so in a column of lists: `ValueError`.
    """
    from decimal import Decimal

    import pyarrow as pa

    kind = pa.int64() if path == "id" and integer_id else _parquet_type(path)
    try:
        if pa.types.is_decimal(kind):
            values = [None if value is None else Decimal(str(value)) for value in values]
        return pa.array(values, kind)
    except (pa.ArrowException, ArithmeticError, TypeError, ValueError) as error:
        if pa.types.is_list(kind):
            raise ValueError(f"{path} has values that are no list") from error
        return pa.array([None if value is None else _cell(value) for value in values], pa.string())


def as_parquet(entity: str, records: Iterable[Record]) -> bytes:
    """Return Parquet with nested fields as structs, like the JSON."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(records)
    tree: dict[str, Any] = {}
    for path in FIELDS[entity]:
        *parents, leaf = path.split(".")
        branch = tree
        for name in parents:
            branch = branch.setdefault(name, {})
        integer_id = entity in ("agents", "agent_details", "admin_groups", "roles")
        branch[leaf] = _column(path, [_leaf(row, path) for row in rows], integer_id)

    def build(branch: dict[str, Any]) -> Any:
        columns = [build(column) if isinstance(column, dict) else column for column in branch.values()]
        return pa.StructArray.from_arrays(columns, names=list(branch))

    sink = io.BytesIO()
    table = pa.Table.from_batches([pa.RecordBatch.from_struct_array(build(tree))])
    pq.write_table(table, sink, compression="snappy")
    return sink.getvalue()


ENDINGS = {"json": ".json", "jsonl": ".jsonl", "gz": ".jsonl.gz", "csv": ".csv", "parquet": ".parquet"}
MIXED = ("json", "jsonl", "gz", "csv", "parquet")


def _pages(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    page: list[Record] = []
    for record in records:
        page.append(record)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


def _page(entity: str, page: list[Record], kind: str, size: int) -> bytes:
    if kind == "csv":
        return as_csv(entity, page)
    if kind == "parquet":
        return as_parquet(entity, page)
    if kind == "json":
        return as_results(page, size)
    return as_lines(page, size) if kind == "jsonl" else as_gzip(as_lines(page, size))


def write_entity(folder: Path, entity: str, records: Iterable[Record], form: str, page_size: int, size: int = 0) -> int:
    """Write records in pages of `page_size`; hold one page at a time. Return how many records there were.

    `size` is the least size of a record in bytes, in the forms that have room for what is not read: JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for index, page in enumerate(_pages(records, page_size)):
        count += len(page)
        kind = MIXED[index % len(MIXED)] if form == "mixed" else form
        try:
            content = _page(entity, page, kind, size)
        except ValueError:  # a Parquet column of lists has no room for drift, JSON Lines have
            kind = "jsonl"
            content = as_lines(page, size)
        (folder / f"page-{index + 1:05d}{ENDINGS[kind]}").write_bytes(content)
    if count == 0:
        (folder / "page-00001.json").write_bytes(as_results([]))
    return count


def write_each(folder: Path, records: Iterable[Record]) -> int:
    """Write one object a file, named by its id."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for record in records:
        count += 1
        (folder / f"{record['id']}.json").write_text(encode(record) + "\n", encoding="utf-8")
    return count
