"""What landed -> what the steps read: one transaction replaces a day, or nothing happens.

All that takes long is done before the partitions are exchanged: looking again at what has landed,
and keeping account of it. Where there is no partition to exchange, rows are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from runner import console
from runner.database import BRIEF, Connection, set_local, set_unlimited
from runner.errors import LoadFailed, TooManyRejects, UsageError
from staging_loaders import blockers, exchange, partitions, rows
from staging_loaders.entity import Entity
from staging_loaders.exchange import Exchange
from staging_loaders.landing import REJECT_COLUMNS, Target, becomes_partition, part_counts, wait_for_lock
from staging_loaders.last_commit import LastCommit
from staging_loaders.part import UselessFile
from staging_loaders.plan import has_table

_STAGING_WAIT = 600.0
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
    plan_seconds: float
    start_seconds: float
    copy_seconds: float
    engine: str
    checksum: int
    useless: tuple[UselessFile, ...] = ()


@dataclass(frozen=True)
class Published:
    """The staging tables of which rows were replaced instead of a partition, each with what holds the day."""

    replaced: tuple[tuple[str, str], ...]


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
    note: Callable[[str], None],
    analyzed: Callable[[], bool],
    committing: Callable[[LastCommit], None],
) -> Published:
    """Replace the day's rows of each landed entity, and remove those of entities that have vanished.

    `vanished` are names with their tables, None for an entity that is not declared any more.
    `note` is told who keeps a new day waiting, `analyzed` waits some seconds for nobody else to be
    at the tables that landed and tells whether that is so, `committing` is called when only the commit is left to do.
    Readers see the day before or after, never between. Raises LoadFailed where what has landed is
    not what was read.
    """
    replaced: list[tuple[str, str]] = []
    for entity, landing in landings:
        if landing.rows_loaded and not _by_partition(connection, entity.table, landing.target):
            partitions.make(connection, entity.table, day, note)
    with connection.transaction():
        set_unlimited(connection)
        set_local(
            connection,
            BRIEF | {"lock_timeout": blockers.LOCK_TIMEOUT, "DateStyle": "ISO"},
        )
        wait_for_lock(connection, staging_key(pipeline, day), _STAGING_WAIT)
        exchanges = {}
        for entity, landing in landings:
            _reconcile(connection, entity, landing)
            _keep_account(connection, (pipeline, day, entity.name), flow_run_id, landing)
            old = partitions.partition(connection, entity.table, day)
            if _by_partition(connection, entity.table, landing.target) and (
                old is None or partitions.is_plain(connection, old, landing.target.rows)
            ):
                exchanges[entity.table] = Exchange(entity.table, day, old, landing.target.rows)
            else:
                rows.replace(connection, entity, day, landing.target.rows, _sent(landing))
                replaced.append((entity.table, entity.table))
        for name, table in vanished:
            _forget(connection, (pipeline, day, name))
            if table is None or not has_table(connection, table):
                continue
            old = partitions.partition(connection, table, day)
            if old and partitions.is_by_day(connection, table) and partitions.is_plain(connection, old, None):
                exchanges[table] = Exchange(table, day, old, None)
            else:
                rows.remove(connection, table, day)

        def replace(each: Exchange) -> None:
            found = next((found for found in landings if found[0].table == each.table), None)
            if found is None:
                rows.remove(connection, each.table, day)
            else:
                rows.replace(connection, found[0], day, exchange.moved(each), _sent(found[1]))
                replaced.append((each.table, each.old or each.table))
            # It was to be dropped as a whole; now it has dead rows.
            connection.execute(f"alter table {each.old} reset (autovacuum_enabled)")

        while not analyzed():
            connection.execute("select")  # a transaction that says nothing is taken for dead
        # Asked for before anybody is kept out; a transaction that has written has one.
        last = LastCommit.about_to(connection, pipeline, day)
        of_day = (pipeline, day, [entity.name for entity, _ in landings])
        exchange.exchange_all(connection, list(exchanges.values()), replace, _clock(connection, *of_day), note)
        committing(last)
    return Published(tuple(replaced))


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


def _by_partition(connection: Connection, table: str, target: Target) -> bool:
    """Tell whether what has landed may become a partition of `table`: somebody may have altered it meanwhile."""
    return becomes_partition(connection, target) and partitions.is_by_day(connection, table)


def _sent(landing: Landing) -> tuple[int, int]:
    return landing.rows_loaded, landing.checksum


def _reconcile(connection: Connection, entity: Entity, landing: Landing) -> None:
    """Look again at what really lies in the landing tables: read = loaded + rejected, and the rows are those sent."""
    *told, sent = part_counts(connection, landing.target)
    row = connection.execute(
        "select count(*) filter (where severity = 'reject'), count(*) filter (where severity = 'warning') "
        f"from {landing.target.rejects}"
    ).fetchone()
    rejects, warnings = row or (0, 0)
    lie, stored = rows.count(connection, entity, landing.target.rows)
    expected = [
        landing.parts, landing.files, landing.records_read, landing.rows_loaded, landing.rejects, landing.warnings,
    ]  # fmt: skip
    if told != expected or [lie, rejects, warnings] != expected[3:] or lie + rejects != landing.records_read:
        raise LoadFailed(
            f"{landing.entity}: {landing.records_read:,} records were read, but {lie:,} rows, {rejects:,} rejects and "
            f"{warnings:,} warnings have landed",
            hint="Nothing was published; run the load again.",
            transient=True,  # a crash of the server empties what is not logged
        )
    if sent != landing.checksum or stored not in (None, sent):
        raise LoadFailed(
            f"{landing.entity}: {lie:,} rows have landed, as many as were read, but not the same: "
            f"their checksum is {stored or 0:,}, not {landing.checksum:,}",
            hint="Nothing was published; run the load again. Does a trigger or another session change landing tables?",
            transient=True,
        )


def _keep_account(connection: Connection, of_entity: tuple[str, str, str], flow_run_id: str, landing: Landing) -> None:
    """Write the entity's rejects and its row of stg_loads; rejects that are there already stay where they are."""
    rejects = ", ".join(REJECT_COLUMNS)
    before = "from stg_rejects where pipeline = %s and day = %s and entity = %s"
    same = connection.execute(
        f"select (select count(*) {before}) = (select count(*) from {landing.target.rejects}) "
        f"and not exists (select {rejects} from {landing.target.rejects} except all select {rejects} {before})",
        of_entity * 2,
    ).fetchone()
    if not same[0]:
        connection.execute(f"delete {before}", of_entity)
        connection.execute(
            f"insert into stg_rejects (pipeline, day, entity, {rejects}) "
            f"select %s, %s, %s, {rejects} from {landing.target.rejects}",
            of_entity,
        )
    told = {
        "records_read": landing.records_read, "rows_loaded": landing.rows_loaded, "rejects": landing.rejects,
        "warnings": landing.warnings, "files": landing.files, "bytes": landing.bytes,
        "fingerprint": landing.fingerprint, "flow_run_id": flow_run_id, "seconds": round(landing.seconds, 3),
        "engine": landing.engine, "plan_seconds": round(landing.plan_seconds, 3),
        "start_seconds": round(landing.start_seconds, 3), "copy_seconds": round(landing.copy_seconds, 3),
    }  # fmt: skip
    connection.execute(
        f"insert into stg_loads as target (pipeline, day, entity, {', '.join(told)}) "
        f"values (%s, %s, %s, {', '.join(['%s'] * len(told))}) on conflict (pipeline, day, entity) do update set "
        f"{', '.join(f'{name} = excluded.{name}' for name in told)}, loaded_at = excluded.loaded_at",
        (*of_entity, *told.values()),
    )


def _clock(connection: Connection, pipeline: str, day: str, entities: list[str]) -> str:
    """Return the statement that keeps how long publishing has taken."""
    from psycopg import sql

    return (
        sql.SQL(
            "update stg_loads set publish_seconds = round(extract(epoch from clock_timestamp() - now()), 3) "
            "where pipeline = {} and day = {} and entity = any ({})"
        )
        .format(pipeline, day, entities)
        .as_string(connection)
    )


def _forget(connection: Connection, of_entity: tuple[str, str, str]) -> None:
    for bookkeeping in ("stg_rejects", "stg_loads"):
        connection.execute(f"delete from {bookkeeping} where pipeline = %s and day = %s and entity = %s", of_entity)
