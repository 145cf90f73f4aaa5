"""Publishing a day: how long readers are kept out, and what a hundred reloads leave behind."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks.report import Limits, table
from benchmarks.steps import ROOT, server_cpu
from runner import config, project, schema
from staging_loaders import checksum, exchange, landing, publish
from staging_loaders.entity import load_declarations
from staging_loaders.landing import Target
from staging_loaders.load import load_day
from staging_loaders.publish import Landing
from staging_loaders.session import Inline

PIPELINE = "zluri"
DECLARATIONS = ROOT / "staging_loaders" / PIPELINE
ENTITY = load_declarations(DECLARATIONS)["transactions"]
# How much longer a hundred times the rows may keep readers out; how long anybody may wait, in
# milliseconds; and how much more reloads may take than the first.
CONSTANT, WAIT, BLOAT = 2.0, 100.0, 1.1

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Took:
    """Seconds of a publish, of which readers are kept out for some, and the server's for each row."""

    whole: float
    shut: float
    row: float


def run(url: str, limits: Limits, rows: int, times: int, quick: bool) -> None:
    """Measure with a hundredth of `rows` and with all, and reload a small day beside a reader."""
    with _database(url) as (dsn, connection):
        sizes = (rows // 100, rows)
        small, large = (_sizes(connection, dsn, f"day{size}", size, times) for size in sizes)
        ratio = large.shut / small.shut
        held = Limits() if quick else limits
        head = ["a day loaded again", f"{sizes[0]:,} rows", f"{sizes[1]:,} rows", "ratio"]
        ms = [f"{each.shut * 1000:.1f}" for each in (small, large)]
        table(
            head,
            [
                [
                    "readers are kept out, ms",
                    *ms,
                    held.check("readers kept out, a hundred times the rows", ratio, CONSTANT),
                ],
                [
                    "publishing in all, with the look at each row, s",
                    *(f"{each.whole:.3f}" for each in (small, large)),
                    f"{large.whole / small.whole:.1f}",
                ],
                ["server CPU of it, µs a row", f"{small.row * 1e6:.1f}", f"{large.row * 1e6:.1f}", ""],
            ],
        )
        _reloads(dsn, connection, held, 20 if quick else 100)


@contextmanager
def _database(url: str) -> Iterator[tuple[str, Connection]]:
    name = "bench_publish"
    dsn = url.replace("/warehouse?", f"/{name}?")
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"create database {name}".encode())
        pipeline = project.discover(config.load({"project": str(ROOT), "pipeline": PIPELINE}, environ={}))
        with psycopg.connect(dsn, autocommit=True) as connection:
            schema.migrate(connection, pipeline.name, pipeline.schema)
            yield dsn, connection
        server.execute(f"drop database {name} with (force)".encode())


def _sizes(connection: Connection, dsn: str, day: str, rows: int, times: int) -> Took:
    """Load a day of `rows` transactions again and again; return the least of each."""
    _publish(connection, dsn, day, _land(connection, day, rows, 0))
    took = [_publish(connection, dsn, day, _land(connection, day, rows, 1 + again)) for again in range(max(times, 5))]
    return Took(min(each.whole for each in took), min(each.shut for each in took), min(each.row for each in took))


def _land(connection: Connection, day: str, rows: int, attempt: int) -> Landing:
    """Land rows that the server makes, as workers would leave them."""
    target = Target(landing.prefix(f"{rows:012x}", attempt))
    landing.create(connection, target, ENTITY, day)
    connection.execute(
        f"insert into {target.rows} (source_file, position, transaction_id, transaction_uuid, occurred_time,"
        " updated_time, user_id, user_uuid, user_name, merchant_name, raw_merchant_name, card_id, card_uuid, budget_id,"
        " budget_uuid, minor_units, currency, exponent)"
        " select 'a.jsonl', n, md5(n::text), md5(n::text), '2026-01-05 10:00Z', '2026-01-05 10:00Z', "
        " md5('u' || n % 1000), md5('u' || n % 1000), 'Somebody', 'A merchant', 'A MERCHANT 42', md5('c' || n % 1000),"
        " md5('c' || n % 1000), md5('b' || n % 100), md5('b' || n % 100), n, 'USD', 2"
        f" from generate_series(1, {rows}) as n".encode()
    )
    connection.execute(f"vacuum analyze {target.rows}".encode())
    kinds: dict[str, str] = dict(
        connection.execute(
            "select attname::text, format_type(atttypid, null) from pg_attribute where attrelid = %s::regclass",
            (target.rows,),
        ).fetchall()
    )
    columns = [(name, kinds[name]) for name in ("source_file", "position", *ENTITY.columns)]
    expression = checksum.stored(columns, connection.info.server_version)
    sent = connection.execute(f"select {expression} from {target.rows}".encode()).fetchall()[0][0]
    connection.execute(
        f"insert into {target.parts} values (0, 1, {rows}, {rows}, 0, 0, '{{}}', '{{}}', {sent})".encode()
    )
    return Landing(
        entity=ENTITY.name, target=target, parts=1, records_read=rows, rows_loaded=rows, rejects=0, warnings=0, files=1,
        bytes=1, fingerprint="", seconds=0.0, plan_seconds=0.0, start_seconds=0.0, copy_seconds=0.0, checksum=sent,
        engine="local",
    )  # fmt: skip


def _publish(connection: Connection, dsn: str, day: str, landed: Landing) -> Took:
    """Publish, while somebody reads the table all the time: his longest statement amid it is what all wait."""
    cpu = server_cpu(connection)
    with _exchanges() as windows, reader(dsn, "select from stg_transactions where day = ''") as read:
        while not read:
            time.sleep(0.001)
        started = time.perf_counter()
        publish.publish(connection, PIPELINE, day, "bench", [(ENTITY, landed)], [], print, lambda: True, lambda _: None)
        ended = time.perf_counter()
    ((begun, _),) = windows
    used = (server_cpu(connection) or 0.0) - (cpu or 0.0)
    landing.drop(connection, landed.target.prefix[1:13])
    amid = [stop - start for start, stop in read if start < ended and stop > begun]
    return Took(ended - started, max(amid), used / landed.rows_loaded)


def _reloads(dsn: str, connection: Connection, limits: Limits, times: int) -> None:
    """Load a shipped day again and again, while somebody reads another; print sizes and the longest statement."""
    base = str(ROOT / "tests" / "days")
    flow = itertools.count()

    def load(day: str, mode: Any = "always") -> None:
        load_day(
            dsn=dsn, pipeline=PIPELINE, day=day, base=base, declarations=DECLARATIONS, flow_run_id=f"run{next(flow)}",
            session=Inline(), mode=mode,
        )  # fmt: skip

    # As a server is that is left alone, but for the minute between two looks.
    connection.execute("alter system set autovacuum = on")
    connection.execute("alter system set autovacuum_naptime = '1s'")
    connection.execute("select pg_reload_conf()")
    statement = "select count(*) from stg_agents where day = 'day1'"
    load("day1")
    for _ in range(times // 5):
        load("day2")
    with reader(dsn, statement) as read:
        time.sleep(2.0)
    alone = sorted(stop - start for start, stop in read)
    first = _bytes(connection)
    with reader(dsn, statement) as read, _exchanges() as windows:
        for _ in range(times):
            load("day2")
    beside = sorted(stop - start for start, stop in read)
    amid = [stop - start for start, stop in read if any(start < end and stop > begin for begin, end in windows)]
    last = _bytes(connection)
    connection.execute("alter system set autovacuum = off")
    connection.execute("alter system reset autovacuum_naptime")
    connection.execute("select pg_reload_conf()")
    head = [f"{times} reloads of a shipped day", "before", "after", "ratio"]
    rows = []
    for name in first:
        ratio = last[name] / first[name]
        rows.append(
            [
                f"{name}, kB",
                f"{first[name] / 1024:,.0f}",
                f"{last[name] / 1024:,.0f}",
                limits.check(f"{name} after reloads", ratio, BLOAT),
            ]
        )
    table(head, rows)
    waited = limits.check("a reader's longest statement amid exchanges, ms", max(amid) * 1000, WAIT)
    table(
        ["a reader of another day, ms", "alone", f"beside them (<= {WAIT:.0f})"],
        [
            ["longest statement amid an exchange", "", waited],
            ["longest statement", f"{alone[-1] * 1000:.1f}", f"{beside[-1] * 1000:.1f}"],
            [
                "median",
                f"{alone[len(alone) // 2] * 1000:.1f}",
                f"{beside[len(beside) // 2] * 1000:.1f}",
            ],
            ["statements", f"{len(alone):,}", f"{len(beside):,}"],
        ],
    )


@contextmanager
def _exchanges() -> Iterator[list[tuple[float, float]]]:
    """Yield when each exchange of partitions began and was committed, of the loads of this process."""
    windows: list[tuple[float, float]] = []
    begun: list[float] = []
    send, whole = exchange._send, publish.publish

    def timed(*arguments: Any) -> None:
        begun.append(time.perf_counter())
        send(*arguments)

    def published(*arguments: Any) -> publish.Published:
        done = whole(*arguments)
        windows.append((begun[-1], time.perf_counter()))
        return done

    exchange._send, publish.publish = timed, published  # type: ignore[assignment]
    try:
        yield windows
    finally:
        exchange._send, publish.publish = send, whole


@contextmanager
def reader(dsn: str, statement: str) -> Iterator[list[tuple[float, float]]]:
    """Run a statement all the time in a thread; what it yields is when each began and ended."""
    took: list[tuple[float, float]] = []
    ended = threading.Event()

    def read() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not ended.is_set():
                started = time.perf_counter()
                connection.execute(statement.encode())
                took.append((started, time.perf_counter()))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield took
    finally:
        ended.set()
        thread.join()


def _bytes(connection: Connection) -> dict[str, int]:
    """Return what staging, its bookkeeping and the catalogs take."""
    (sizes,) = connection.execute(
        "select (select sum(pg_total_relation_size(inhrelid))::bigint from pg_inherits),"
        " pg_total_relation_size('stg_rejects') + pg_total_relation_size('stg_loads'),"
        " (select sum(pg_total_relation_size(oid))::bigint from pg_class"
        " where relnamespace = 'pg_catalog'::regnamespace and relkind = 'r')"
    ).fetchall()
    return dict(zip(("staging", "its bookkeeping", "catalogs"), sizes, strict=True))
