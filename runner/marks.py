"""A point in a transaction, and which rows this transaction, or a part of it, has written or ended since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.database import Connection

# Only of numbers that a table may hold: for others the server raises an error.
_UPDATERS = """
select distinct member.xid::text
from pg_class as class
cross join lateral (select mxid_age(%(mark)s::text::xid) as age) as aged
cross join lateral pg_get_multixact_members(
    case when aged.age between 1 and mxid_age(class.relminmxid) then %(mark)s::text::xid end
) as member
where class.oid = any (%(leaves)s) and member.mode in ('nokeyupd', 'upd')
"""
# An id of a row has no epoch: it is that of the transaction, from whose id it is not far.
_STATES = """
select given.xid
from unnest(%(xids)s::bigint[]) as given(xid)
cross join lateral (

    select %(own)s::bigint + age((%(own)s::bigint %% 4294967296)::text::xid) - age(given.xid::text::xid) as full_xid

) as placed
where placed.full_xid >= %(own)s::bigint and pg_xact_status(placed.full_xid::text::xid8) = 'in progress'
"""


@dataclass(frozen=True)
class Mark:
    """A point in a transaction: its id, and the number of the last command."""

    xid: int
    command: int

    @property
    def short(self) -> int:
        """The id without its epoch, as rows have it."""
        return self.xid % 2**32


def set_mark(connection: Connection, prefix: str) -> Mark:
    """Return the point at which the transaction is; what is done before is of before."""
    row = connection.execute(
        f"create temporary table pg_temp.{prefix}_mark (is_set boolean) on commit drop;"
        f" insert into pg_temp.{prefix}_mark values (true)"
        " returning cmin::text::bigint, pg_current_xact_id()::text::bigint".encode()
    )
    while row.nextset():
        pass
    command, xid = row.fetchone() or (0, 0)
    return Mark(xid, command)


def is_by_us(connection: Connection, at: Mark, end: int, tables: Sequence[int]) -> bool:
    """Tell whether what ended a row that is no more to be seen, its raw `xmax`, is this transaction.

    Where others hold a lock on the row, it is the number of a multixact, a list of transactions,
    perhaps one from before the mark: equal lists share a number. `tables` are the oids of where the row lies.
    """
    if end in in_progress(connection, at, [end]):
        return True
    updaters = connection.execute(_UPDATERS, {"mark": end, "leaves": list(tables)}).fetchall()
    return bool(in_progress(connection, at, [int(xid) for (xid,) in updaters]))


def in_progress(connection: Connection, at: Mark, xids: Sequence[int]) -> list[int]:
    """Return which ids, of rows that are seen or were ended by somebody, are of this transaction or a part of it."""
    if not xids or list(xids) == [at.short]:
        return list(xids)
    return [xid for (xid,) in connection.execute(_STATES, {"xids": list(xids), "own": at.xid})]
