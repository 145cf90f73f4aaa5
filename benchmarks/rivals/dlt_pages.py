"""dlt, tuned as its pages on performance and on its PostgreSQL destination say.

Pages instead of rows, its own JSON parser (orjson), files that rotate so that two processes normalize and several
threads load, no compression between the stages, larger buffers, no unique index, and CSV files, which it loads by COPY.
With `arrow`, pages become Arrow tables here, in what would be the user's own code, and dlt passes them on as they are.

Run by the Python of dlt's own environment, so nothing of the project is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from given import done, given, ready

_FILE = "50000"
_TUNED = {
    "EXTRACT__DATA_WRITER__BUFFER_MAX_ITEMS": _FILE,
    "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": _FILE,
    "NORMALIZE__DATA_WRITER__BUFFER_MAX_ITEMS": _FILE,
    "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": _FILE,
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
    "NORMALIZE__WORKERS": "2",
    "LOAD__WORKERS": "4",
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    "DESTINATION__POSTGRES__CREATE_INDEXES": "false",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
}
_TEXTS = {
    "transaction_type": "transactionType", "user_id": "userId", "user_uuid": "userUuid", "user_name": "userName",
    "merchant_name": "merchantName", "raw_merchant_name": "rawMerchantName", "card_id": "cardId",
    "card_uuid": "cardUuid", "budget_id": "budgetId", "budget_uuid": "budgetUuid",
}  # fmt: skip
_TYPES = {
    "source_file": "text", "position": "bigint", "transaction_id": "text", "transaction_uuid": "text",
    "occurred_time": "timestamp", "updated_time": "timestamp", **dict.fromkeys(_TEXTS, "text"),
    "minor_units": "bigint", "currency": "text", "exponent": "bigint", "payload_rate": "double", "payload": "json",
}  # fmt: skip


def main() -> None:
    """Load the pages in `data` into the table `transactions` of the schema `dataset`."""
    asked = given()
    os.environ.update(_TUNED)
    os.environ["DLT_DATA_DIR"] = os.getcwd()
    import dlt
    from dlt.common import json

    names = [name for name in _TYPES if name != "payload" or asked["payload"]]
    columns: dict[str, Any] = {name: {"name": name, "data_type": _TYPES[name]} for name in names}

    @dlt.resource(name="transactions", columns=columns, write_disposition="append", max_table_nesting=0)
    def transactions() -> Iterator[Any]:
        for path in sorted(Path(asked["data"]).iterdir()):
            records = json.loadb(path.read_bytes())
            rows = [_row(path.name, number, record) for number, record in enumerate(records, 1) if _is_good(record)]
            if asked["payload"]:
                for row in rows:
                    # The whole record stands under the last column for the moment; here it stays an object, or as text.
                    row["payload"] = json.dumps(row["payload"]) if asked["arrow"] else row["payload"]
            else:
                for row in rows:
                    del row["payload"]
            yield _table(names, rows) if asked["arrow"] else rows

    pipeline = dlt.pipeline(
        "benchmark", destination=dlt.destinations.postgres(asked["url"]), dataset_name=asked["dataset"]
    )
    ready()
    pipeline.run(transactions(), loader_file_format="csv")
    done()


def _is_good(record: dict[str, Any]) -> bool:
    money = record["currencyData"]
    return (
        record["id"] is not None
        and record["uuid"] is not None
        and _is_time(record["occurredTime"])
        and type(money["originalCurrencyAmount"]) is int
        and money["exponent"] >= 0
    )


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _row(file: str, position: int, record: dict[str, Any]) -> dict[str, Any]:
    money = record["currencyData"]
    rate, updated = money["exchangeRate"], record["updatedTime"]
    row = {
        "source_file": file,
        "position": position,
        "transaction_id": record["id"],
        "transaction_uuid": record["uuid"],
        "occurred_time": record["occurredTime"],
        "updated_time": updated if _is_time(updated) else None,
    }
    for column, name in _TEXTS.items():
        row[column] = record[name]
    row["minor_units"] = money["originalCurrencyAmount"]
    row["currency"] = money["originalCurrencyCode"]
    row["exponent"] = money["exponent"]
    row["payload_rate"] = rate if type(rate) is float else None
    row["payload"] = record
    return row


def _table(names: list[str], rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    kinds = {"text": pa.string(), "json": pa.string(), "bigint": pa.int64(), "double": pa.float64()}
    columns = {}
    for name in names:
        values = [row[name] for row in rows]
        if _TYPES[name] == "timestamp":
            columns[name] = pa.array(values, pa.string()).cast(pa.timestamp("us", "UTC"))
        else:
            columns[name] = pa.array(values, kinds[_TYPES[name]])
    return pa.table(columns)


if __name__ == "__main__":
    main()
