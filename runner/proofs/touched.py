"""The tables that a transaction really reads and writes, as the server counts: in blocks, functions and triggers, too.

See https://www.postgresql.org/docs/current/monitoring-stats.html for the statistics of the open transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from runner.database import Connection

# A table that is truncated or made anew counts nothing, but lies in another file.
_COUNTS = """
select
    coalesce(pg_partition_root(class.oid), class.oid)::regclass::text,
    array_agg(array[
        class.oid::bigint,
        class.relfilenode::bigint,
        pg_stat_get_xact_tuples_inserted(class.oid),
        pg_stat_get_xact_tuples_updated(class.oid),
        pg_stat_get_xact_tuples_deleted(class.oid)
    ] order by class.oid),
    sum(pg_stat_get_xact_numscans(class.oid) + coalesce((

        select sum(pg_stat_get_xact_numscans(index.indexrelid))
        from pg_index as index
        where index.indrelid = class.oid

    ), 0))
from pg_class as class
inner join pg_namespace as namespace on namespace.oid = class.relnamespace
where class.relkind in ('r', 'm')
    and class.relpersistence <> 't'
    and namespace.nspname not in ('pg_catalog', 'information_schema')
    and namespace.nspname !~ '^pg_'
group by 1
"""

_State = Mapping[str, tuple[list[list[int]], int]]


@dataclass
class Touched:
    """Step -> names, as SQL quotes them, of the tables that its runs have read and written."""

    reads: dict[str, set[str]] = field(default_factory=dict)
    writes: dict[str, set[str]] = field(default_factory=dict)

    @contextmanager
    def by(self, connection: Connection, step: str) -> Iterator[None]:
        """Add what is touched in the block to what the step's other runs have touched."""
        before = _state(connection)
        yield
        reads, writes = self.reads.setdefault(step, set()), self.writes.setdefault(step, set())
        after = _state(connection)
        for name, (written, scans) in after.items():
            old = before.get(name, ([], 0))
            if written != old[0]:
                writes.add(name)
            if scans != old[1]:
                reads.add(name)
        writes |= set(before) - set(after)


def is_counted(connection: Connection) -> bool:
    """Tell whether the server counts at all (`track_counts`)."""
    (on,) = connection.execute("select current_setting('track_counts')::bool").fetchone() or (False,)
    return bool(on)


def _state(connection: Connection) -> _State:
    return {name: (written, int(scans)) for name, written, scans in connection.execute(_COUNTS.encode())}
