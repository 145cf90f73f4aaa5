"""Generated transactions: the same records as JSON pages, JSON Lines, CSV and Parquet, and the rows they must become.

Made from templates, about 5 µs a record, and the same on every run. A record is 1.7 kB of JSON, more than half of it
in `details`, which no column asks for. One in a hundred is odd, of each kind in `ODD` in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.pools import CARDS, DETAILS, MERCHANTS, USERS, Shared

PAGE = 5_000
FILE = 50_000
"""Records a page, and a file of the other formats."""

ODD_EVERY = 100
COLUMNS = (
    "source_file", "position", "transaction_id", "transaction_uuid", "transaction_type", "occurred_time",
    "updated_time", "user_id", "user_uuid", "user_name", "merchant_name", "raw_merchant_name", "card_id", "card_uuid",
    "budget_id", "budget_uuid", "minor_units", "currency", "exponent", "payload_rate",
)  # fmt: skip
HEADER = (
    "id,uuid,transactionType,occurredTime,updatedTime,userId,userUuid,userName,merchantName,rawMerchantName,cardId,"
    "cardUuid,budgetId,budgetUuid,currencyData.originalCurrencyAmount,currencyData.originalCurrencyCode,"
    "currencyData.exponent,currencyData.exchangeRate,details\n"
)


class Odd(NamedTuple):
    """What is wrong with a record: the value that a field has, as JSON and as the cell of a CSV file.

    The effects are those of the formats: `reject`, `warning`, or nothing where the format, or its types, hide it. A
    Parquet file has null where its column cannot hold the value.
    """

    field: str
    literal: str
    cell: str
    json: str
    csv: str
    parquet: str


ODD = (
    Odd("id", "null", "", "reject", "reject", "reject"),
    Odd("uuid", "null", "", "reject", "reject", "reject"),
    Odd("occurred", '"31/12/2025"', "31/12/2025", "reject", "reject", "reject"),
    Odd("exponent", "-2", "-2", "reject", "reject", "reject"),
    Odd("amount", '"12,50"', "12;50", "reject", "reject", "reject"),
    Odd("rate", '"n/a"', "n/a", "warning", "warning", ""),
    Odd("updated", '"yesterday"', "yesterday", "warning", "warning", "warning"),
)


class Transaction(NamedTuple):
    """A record; what is odd about it stands in `odd`, and its own value there is what it would be otherwise."""

    id: str
    uuid: str
    kind: str
    occurred: str
    updated: str
    user: Shared
    merchant: Shared
    card: Shared
    amount: int
    currency: tuple[str, int]
    rate: str
    details: str
    odd: Odd | None


@dataclass
class Expected:
    """What a load of the files must find."""

    records: int = 0
    rows: int = 0
    rejects: int = 0
    warnings: int = 0

    def add(self, effect: str) -> None:
        self.records += 1
        self.rows += effect != "reject"
        self.rejects += effect == "reject"
        self.warnings += effect == "warning"


def transactions(start: int, stop: int) -> Iterator[Transaction]:
    """Yield the records numbered from `start` up to `stop`."""
    currencies = (("EUR", 2), ("USD", 2), ("GBP", 2), ("JPY", 0), ("CHF", 2), ("KWD", 3))
    for i in range(start, stop):
        # Ids look random, as they do in a source: numbers would compress too well.
        digits = f"{i * 0x9E3779B97F4A7C15F39CC0605CEDC835 & (1 << 128) - 1:032x}"
        seconds = f"{i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02}"
        day = f"2026-{i // 2_592_000 % 12 + 1:02}-{i // 86_400 % 28 + 1:02}T"
        yield Transaction(
            digits[:24],
            f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}",
            "CREDIT" if i % 31 == 0 else "CLEAR",
            f"{day}{seconds}Z",
            f"{day}{seconds}.{i * 7919 % 1000:03}Z",
            USERS[i * 7 % len(USERS)],
            MERCHANTS[i * 13 % len(MERCHANTS)],
            CARDS[i * 11 % len(CARDS)],
            i * 37 % 200_000 - 10_000,
            currencies[i % 6],
            f"{0.5 + i % 9973 / 10_000:.4f}",
            DETAILS[i % len(DETAILS)],
            ODD[i // ODD_EVERY % len(ODD)] if i % ODD_EVERY == 37 else None,
        )


def json_of(one: Transaction) -> str:
    """Return the record as JSON."""
    if one.odd is None:
        return _json(
            f'"{one.id}"', f'"{one.uuid}"', f'"{one.occurred}"', f'"{one.updated}"', str(one.amount),
            str(one.currency[1]), one.rate, one,
        )  # fmt: skip
    usual = {
        "id": f'"{one.id}"', "uuid": f'"{one.uuid}"', "occurred": f'"{one.occurred}"', "updated": f'"{one.updated}"',
        "amount": str(one.amount), "exponent": str(one.currency[1]), "rate": one.rate,
    }  # fmt: skip
    return _json(*{**usual, one.odd.field: one.odd.literal}.values(), one)


def _json(
    key: str, uuid: str, occurred: str, updated: str, amount: str, exponent: str, rate: str, one: Transaction
) -> str:
    return (
        f'{{"id": {key}, "uuid": {uuid}, "transactionType": "{one.kind}", "occurredTime": {occurred}, '
        f'"updatedTime": {updated}, {one.user.json}, {one.merchant.json}, {one.card.json}, "currencyData": '
        f'{{"originalCurrencyAmount": {amount}, "originalCurrencyCode": "{one.currency[0]}", "exponent": {exponent}, '
        f'"exchangeRate": {rate}}}, "details": {one.details}}}'
    )


def csv_of(one: Transaction) -> str:
    """Return the record as a line of CSV, under `HEADER`."""
    cells = {
        "id": one.id, "uuid": one.uuid, "occurred": one.occurred, "updated": one.updated, "amount": str(one.amount),
        "exponent": str(one.currency[1]), "rate": one.rate,
    }  # fmt: skip
    if one.odd is not None:
        cells[one.odd.field] = one.odd.cell
    details = one.details.replace('"', '""')
    return (
        f"{cells['id']},{cells['uuid']},{one.kind},{cells['occurred']},{cells['updated']},{one.user.csv},"
        f"{one.merchant.csv},{one.card.csv},{cells['amount']},{one.currency[0]},{cells['exponent']},{cells['rate']},"
        f'"{details}"\n'
    )


def row_of(one: Transaction, file: str, position: int, payload: str | None = None) -> str | None:
    """Return the row of `COLUMNS` that the record becomes, as COPY's text, None where it is rejected.

    With `payload`, the JSON of a last column.
    """
    updated, rate = one.updated, one.rate
    if one.odd is not None:
        if one.odd.json == "reject":
            return None
        updated = r"\N" if one.odd.field == "updated" else updated
        rate = r"\N" if one.odd.field == "rate" else rate
    last = "" if payload is None else "\t" + payload.replace("\\", "\\\\")
    return (
        f"{file}\t{position}\t{one.id}\t{one.uuid}\t{one.kind}\t{one.occurred}\t{updated}\t{one.user.row}\t"
        f"{one.merchant.row}\t{one.card.row}\t{one.amount}\t{one.currency[0]}\t{one.currency[1]}\t{rate}{last}\n"
    )


def pages(records: int, page: int = PAGE) -> Iterator[tuple[str, list[Transaction]]]:
    """Yield the name of each page, and its records."""
    for number, start in enumerate(range(0, records, page), 1):
        yield f"page-{number:06}.json", list(transactions(start, min(start + page, records)))


def write_page(path: Path, page: Iterable[Transaction]) -> None:
    """Write a page: an array of records."""
    before = "["
    with path.open("w", encoding="utf-8") as file:
        for one in page:
            file.write(before + json_of(one))
            before = ", "
        file.write("]" if before == ", " else "[]")


def write_lines(path: Path, records: int, start: int = 0) -> None:
    """Write one file of JSON Lines."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json_of(one) + "\n" for one in transactions(start, start + records))


def write_csv(path: Path, records: int, start: int = 0) -> None:
    """Write one file of CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(HEADER)
        file.writelines(csv_of(one) for one in transactions(start, start + records))


def write_parquet(path: Path, records: int, start: int = 0) -> None:
    """Write one Parquet file, its amounts as integers, its rates as doubles, its times as text."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    money = pa.struct(
        [
            ("originalCurrencyAmount", pa.int64()),
            ("originalCurrencyCode", pa.string()),
            ("exponent", pa.int32()),
            ("exchangeRate", pa.float64()),
        ]
    )
    names = [name for name in HEADER.strip().split(",") if not name.startswith("currencyData")]
    schema = pa.schema([(name, pa.string()) for name in names[:-1]] + [("currencyData", money), ("details", "string")])
    with parquet.ParquetWriter(path, schema) as writer:
        for begin in range(start, start + records, PAGE):
            rows = [_cells(one) for one in transactions(begin, min(begin + PAGE, start + records))]
            columns = zip(*rows, strict=True)
            arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _cells(one: Transaction) -> tuple[Any, ...]:
    odd = one.odd.field if one.odd is not None else ""
    money = {
        "originalCurrencyAmount": None if odd == "amount" else one.amount,
        "originalCurrencyCode": one.currency[0],
        "exponent": -2 if odd == "exponent" else one.currency[1],
        "exchangeRate": None if odd == "rate" else float(one.rate),
    }
    return (
        None if odd == "id" else one.id,
        None if odd == "uuid" else one.uuid,
        one.kind,
        "31/12/2025" if odd == "occurred" else one.occurred,
        "yesterday" if odd == "updated" else one.updated,
        *one.user.values, *one.merchant.values, *one.card.values, money, one.details,
    )  # fmt: skip


def expected(records: int, kind: str) -> Expected:
    """Return what a load must find in the files of a format: `json`, `csv` or `parquet`."""
    found = Expected(records, records)
    for number in range(37, records, ODD_EVERY):
        effect = getattr(ODD[number // ODD_EVERY % len(ODD)], kind)
        found.rows -= effect == "reject"
        found.rejects += effect == "reject"
        found.warnings += effect == "warning"
    return found
