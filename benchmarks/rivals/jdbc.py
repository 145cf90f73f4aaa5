"""Spark as its guides show it: read.json infers the schema, a select brings the columns, write.jdbc appends.

It does what such a job must to end: what cannot be cast becomes null, and rows that the table would refuse are left
out. Nobody hears of either. `batched` adds what the driver's documentation offers: batches of 10,000 and
`reWriteBatchedInserts`.
"""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.rivals.given import done, given, ready
from runner.java import java_home

_REQUIRED = ("transaction_id", "transaction_uuid", "occurred_time", "minor_units", "currency", "exponent")
_SELECT = """
    _metadata.file_name as source_file,
    monotonically_increasing_id() as position,
    id as transaction_id,
    uuid as transaction_uuid,
    transactionType as transaction_type,
    try_cast(occurredTime as timestamp) as occurred_time,
    try_cast(updatedTime as timestamp) as updated_time,
    userId as user_id,
    userUuid as user_uuid,
    userName as user_name,
    merchantName as merchant_name,
    rawMerchantName as raw_merchant_name,
    cardId as card_id,
    cardUuid as card_uuid,
    budgetId as budget_id,
    budgetUuid as budget_uuid,
    try_cast(currencyData.originalCurrencyAmount as bigint) as minor_units,
    currencyData.originalCurrencyCode as currency,
    try_cast(currencyData.exponent as smallint) as exponent,
    try_cast(currencyData.exchangeRate as decimal(20, 10)) as payload_rate
"""


def main() -> None:
    """Load the pages in `data` into `table`."""
    asked = given()
    os.environ["JAVA_HOME"] = str(java_home(Path(asked["home"])))
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.master("local[*]").config("spark.jars", asked["jar"]).getOrCreate()
    spark.range(1).count()
    ready()
    columns = [line.strip().rstrip(",") for line in _SELECT.strip().splitlines()]
    if asked["payload"]:
        columns.append("to_json(struct(*)) as payload")
    rows = spark.read.json(asked["data"], multiLine=True).selectExpr(*columns)
    rows = rows.where(" and ".join(f"{name} is not null" for name in _REQUIRED)).where("exponent between 0 and 9")
    # Text may be what the column is: without this, the server has text for jsonb and refuses it.
    url = asked["jdbc"] + "?stringtype=unspecified" + ("&reWriteBatchedInserts=true" if asked["batched"] else "")
    properties = {"user": asked["user"], "password": asked["password"], "driver": "org.postgresql.Driver"}
    if asked["batched"]:
        properties["batchsize"] = "10000"
    rows.write.jdbc(url, asked["table"], mode="append", properties=properties)
    done()
    spark.stop()


if __name__ == "__main__":
    main()
