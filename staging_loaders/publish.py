"""What landed -> what the steps read: one transaction replaces a day, or nothing happens."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from runner import console
from runner.database import Connection, set_local
from runner.errors import LoadFailed, TooManyRejects, UsageError
from staging_loaders.entity import Entity
from staging_loaders.landing import REJECT_COLUMNS, Target, part_counts, wait_for_lock
from staging_loaders.part import UselessFile
from staging_loaders.plan import has_table

_STAGING_WAIT = 600.0
_SETTLE_WAIT = 30.0
_POLL_SECONDS = 0.1
_SAMPLES = 5
_LIMIT = re.compile(r"([0-9]{1,18})|([0-9]{1,3}(?:\.[0-9]{1,9})?)%", re.ASCII)


@dataclass(frozen=True)
class Landing:
    """An entity whose records have all landed and wait to be published."""

    entity: str
    target: Target
    parts: int
    records_read: int
    rows_loaded: int
    rejects: int
    warnings: int
    files: int
    bytes: int
    fingerprint: str
    seconds: float
    useless: tuple[UselessFile, ...] = ()


@dataclass(frozen=True)
class Limit:
    """How many rejects a day may have: a number, or a share of the records read."""

    text: str
    count: int | None = None
    percent: Decimal | None = None

    def exceeded(self, rejects: int, records: int) -> bool:
        if self.count is not None:
            return rejects > self.count
        return rejects * 100 > (self.percent or 0) * records


def parse_limit(text: str) -> Limit:
    """Return the limit that `N` or `P%` names; UsageError for anything else."""
    match = _LIMIT.fullmatch(text.strip())
    if match and match[1]:
        return Limit(text, count=int(match[1]))
    if match and Decimal(match[2]) <= 100:
        return Limit(text, percent=Decimal(match[2]))
    raise UsageError(
        f"{text!r} is not a limit of rejects", hint="Give a number of records (10) or a share of them (0.5%)."
    )


def staging_key(pipeline: str, day: str) -> str:
    """Return the advisory lock of a day's staging: exclusive to replace it, shared to read it in several statements."""
    return f"staging:{pipeline}/{day}"


def check_limit(
    connection: Connection, day: str, limit: Limit, landings: Sequence[Landing], kept: Sequence[tuple[str, int, int]]
) -> None:
    """Raise TooManyRejects, with samples, where the day has more rejects than `limit`.

    `kept` are names, records and rejects of the entities that were not read again: the limit is the day's.
    """
    read = [(landing.entity, landing.records_read, landing.rejects) for landing in landings]
    records = sum(number for _, number, _ in (*read, *kept))
    rejects = sum(number for *_, number in (*read, *kept))
    if not limit.exceeded(rejects, records):
        return
    counts = [f"{name} {odd:,} of {number:,}" for name, number, odd in read if odd]
    counts += [f"{name} {odd:,} of {number:,}, loaded before" for name, number, odd in kept if odd]
    samples: list[str] = []
    for landing in landings:
        if landing.rejects and len(samples) < _SAMPLES:
            samples += (
                f"  {landing.entity}/{file}:{position}  {reason}"
                for file, position, reason in connection.execute(
                    f"select source_file, position, reason from {landing.target.rejects} where severity = 'reject' "
                    "order by source_file, position limit %s",
                    (_SAMPLES - len(samples),),
                )
            )
    raise TooManyRejects(
        "\n".join(
            [
                f"{day}: {console.count(rejects, 'reject')} in {console.count(records, 'record')}, more than "
                f"--max-rejects {limit.text} allows: {'; '.join(counts)}",
                *samples,
            ]
        ),
        hint="Mend the records or raise the limit; nothing was published."
        + (f" Those loaded before: runner rejects --day {day}" if any(odd for *_, odd in kept) else ""),
    )


def publish(
    connection: Connection,
    pipeline: str,
    day: str,
    flow_run_id: str,
    landings: Sequence[tuple[Entity, Landing]],
    vanished: Sequence[tuple[str, str | None]],
    committing: Callable[[str], None],
) -> None:
    """Replace the day's rows of each landed entity, and remove those of entities that have vanished.

    `vanished` are names with their tables, None for an entity that is not declared any more.
    `committing` is called with the transaction's id when only the commit is left to do.
    Readers see the day before or after, never between. Raises LoadFailed where counts do not reconcile.
    """
    with connection.transaction():
        set_local(
            connection,
            {
                "statement_timeout": "0",
                "idle_in_transaction_session_timeout": "0",
                "client_connection_check_interval": "1s",
            },
        )
        wait_for_lock(connection, staging_key(pipeline, day), _STAGING_WAIT)
        for entity, landing in landings:
            _reconcile(connection, landing)
            _replace(connection, pipeline, day, flow_run_id, entity, landing)
        for name, table in vanished:
            if table is not None and has_table(connection, table):
                connection.execute(f"delete from {table} where day = %s", (day,))
            for bookkeeping in ("stg_rejects", "stg_loads"):
                connection.execute(
                    f"delete from {bookkeeping} where pipeline = %s and day = %s and entity = %s", (pipeline, day, name)
                )
        row = connection.execute("select pg_current_xact_id()::text").fetchone()
        committing(str(row[0]))


def useless_files(connection: Connection, pipeline: str, day: str, entity: Entity) -> tuple[UselessFile, ...]:
    """Return the files of a published entity of which every record was rejected, in file order."""
    # Few files have as many rejects as the place of their last one; only for those is the day's staging looked at.
    rows = connection.execute(
        "with rejected as materialized ("
        "select source_file, count(*) as rejects from stg_rejects "
        "where pipeline = %s and day = %s and entity = %s and severity = 'reject' "
        "group by source_file having count(*) = max(position)) "
        "select source_file, rejects from rejected "
        f"where source_file not in (select source_file from {entity.table} where day = %s) order by source_file",
        (pipeline, day, entity.name, day),
    )
    return tuple(UselessFile(name, rejects) for name, rejects in rows)


def was_committed(connection: Connection, transaction: str) -> bool:
    """Tell how a transaction ended whose connection was lost at its commit.

    The server may take a moment to notice. Raises LoadFailed where it does not say.
    """
    until = time.monotonic() + _SETTLE_WAIT
    while time.monotonic() < until:
        row = connection.execute("select pg_xact_status(%s::text::xid8)", (transaction,)).fetchone()
        if row[0] != "in progress":
            return bool(row[0] == "committed")
        time.sleep(_POLL_SECONDS)
    raise LoadFailed(
        f"the connection was lost during the commit of transaction {transaction}, "
        "and the server does not say how it ended",
        hint="Run the load again: what was published is not read twice.",
    )


def _reconcile(connection: Connection, landing: Landing) -> None:
    """Count again what really lies in the landing tables: read = loaded + rejected, to the last record."""
    told = tuple(part_counts(connection, landing.target))
    row = connection.execute(
        f"select (select count(*) from {landing.target.rows}), count(*) filter (where severity = 'reject'), "
        f"count(*) filter (where severity = 'warning') from {landing.target.rejects}"
    ).fetchone()
    rows, rejects, warnings = row or (0, 0, 0)
    expected = (
        landing.parts, landing.files, landing.records_read, landing.rows_loaded, landing.rejects, landing.warnings,
    )  # fmt: skip
    if told != expected or (rows, rejects, warnings) != expected[3:] or rows + rejects != landing.records_read:
        raise LoadFailed(
            f"{landing.entity}: {landing.records_read:,} records were read, but {rows:,} rows, {rejects:,} rejects and "
            f"{warnings:,} warnings have landed",
            hint="Nothing was published; run the load again.",
            transient=True,  # a crash of the server empties what is not logged
        )


def _replace(
    connection: Connection, pipeline: str, day: str, flow_run_id: str, entity: Entity, landing: Landing
) -> None:
    columns = ", ".join(("source_file", "position", *entity.columns))
    connection.execute(f"delete from {entity.table} where day = %s", (day,))
    connection.execute(
        f"insert into {entity.table} (day, {columns}) select %s, {columns} from {landing.target.rows}", (day,)
    )
    of_entity = (pipeline, day, entity.name)
    connection.execute("delete from stg_rejects where pipeline = %s and day = %s and entity = %s", of_entity)
    rejects = ", ".join(REJECT_COLUMNS)
    connection.execute(
        f"insert into stg_rejects (pipeline, day, entity, {rejects}) "
        f"select %s, %s, %s, {rejects} from {landing.target.rejects}",
        of_entity,
    )
    connection.execute(
        "insert into stg_loads as target (pipeline, day, entity, records_read, rows_loaded, rejects, warnings, files, "
        "bytes, fingerprint, flow_run_id, seconds) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, round(%s::numeric, 3)) "
        "on conflict (pipeline, day, entity) do update set records_read = excluded.records_read, "
        "rows_loaded = excluded.rows_loaded, rejects = excluded.rejects, warnings = excluded.warnings, "
        "files = excluded.files, bytes = excluded.bytes, fingerprint = excluded.fingerprint, "
        "flow_run_id = excluded.flow_run_id, loaded_at = excluded.loaded_at, seconds = excluded.seconds",
        (
            *of_entity,
            landing.records_read, landing.rows_loaded, landing.rejects, landing.warnings, landing.files,
            landing.bytes, landing.fingerprint, flow_run_id, landing.seconds,
        ),
    )  # fmt: skip
