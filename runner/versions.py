"""The versions of a table's rows before and after some work in one transaction, and how they belong together.

Everything stays in the server: old rows go from a cursor into a temporary table, pairs of old and new
ones into another, and only counts and the rows that are asked for come out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from runner import marks
from runner.database import Connection
from runner.found import KINDS, Found
from runner.marks import Mark
from runner.tables import Leaf, Table, literal, quoted

# Blocks of a table whose old rows are moved at once: a few megabytes.
_PART = 1_000


class Watched:
    """A table between two points of the transaction: looked at before the work, compared after it."""

    def __init__(
        self,
        connection: Connection,
        mark: Mark,
        table: Table,
        name: str,
        is_copied: bool = False,
        *,
        is_new: bool = False,
    ) -> None:
        self.table = table
        self.is_whole = is_copied or is_new
        """Whether all rows before and after are compared, instead of versions."""
        self.written = 0
        """How many rows the statistics have counted before the work."""
        self._connection = connection
        self._mark = mark
        self._is_new = is_new
        self._old = f"pg_temp.{name}_old"
        self._still = f"pg_temp.{name}_still"
        self._pairs = f"pg_temp.{name}_pairs"
        self._name = name

    def before(self) -> str:
        """Return the statements that keep the way back to the rows of now."""
        if self.is_whole:
            return (
                f"create temporary table {self._old} on commit drop as"
                f" select ctid as runner_tid, tableoid as runner_rel, {self._columns('source')}"
                f" from {self.table.source} as source"
            )
        return ";".join(
            f"declare {self._cursor(leaf)} no scroll cursor for {self._versions(leaf)}"
            for leaf in self.table.leaves
            if leaf.blocks
        )

    def compare(self) -> tuple[dict[str, int], Found]:
        """Pair what was with what is; return how many rows of each kind there are, and where they are."""
        columns = self.table.columns
        if self.is_whole:
            has_old = not self._is_new
            now = self._columns_of_now()
            exists = bool(now)
            if exists:
                columns = tuple(name for name in now if name in columns or self._add_to_old(name, now[name]))
            condition = "true"
        else:
            exists = True
            has_old = self._fetch_old()
            condition = self._is_own_and_new()
        self._pair(columns, has_old, exists, condition)
        counted = self._connection.execute(
            f"select runner_kind, count(*) from {self._pairs} group by runner_kind".encode()
        ).fetchall()
        counts = {KINDS[code]: number for code, number in counted}
        if self.is_whole:
            counts.pop("rewrite", None)  # nobody has looked which of them were written
        order = tuple(map(quoted, self.table.key)) or ("runner_text", "runner_number")
        table = self.table if columns == self.table.columns else _narrowed(self.table, columns)
        return counts, Found(
            self._connection,
            table,
            self._pairs,
            self._old if has_old else None,
            self.table.sql if exists else None,
            order,
        )

    def _columns_of_now(self) -> dict[str, tuple[str, bool, str | None]]:
        """Return column -> its type, whether it is generated, and what rows have that are older than it.

        Empty where the table is gone.
        """
        found = self._connection.execute(
            "select attname::text, format_type(atttypid, atttypmod), attgenerated <> '',"
            " (attmissingval::text::text[])[1] from pg_attribute where attrelid = %s and attnum > 0"
            " and not attisdropped order by attnum",
            (self.table.oid,),
        )
        return {name: (kind, is_generated, missing) for name, kind, is_generated, missing in found}

    def _add_to_old(self, name: str, column: tuple[str, bool, str | None]) -> bool:
        """Give the old rows a column that was added meanwhile, as it was before it was written; False if generated."""
        kind, is_generated, missing = column
        if not is_generated:
            default = "" if missing is None else f" default {literal(missing)}::{kind}"
            self._connection.execute(f"alter table {self._old} add column {quoted(name)} {kind}{default}".encode())
        return not is_generated

    def _versions(self, leaf: Leaf) -> str:
        """Return a select of the rows that were updated, deleted or locked, some blocks of the table a row.

        No row of before is beyond the blocks of before. As arrays, because what moves a cursor's rows
        one by one takes five times as long.
        """
        row = "line"
        if self.table.partitioned:
            row = f"row({self._columns('line')})::{self.table.sql}"
        return (
            f"select {leaf.oid}::oid as rel, part.tids, part.marks, part.lines"
            f" from generate_series(0, {leaf.blocks - 1}, {_PART}) as block cross join lateral ("
            f"select array_agg(line.ctid) as tids, array_agg(line.xmax) as marks, array_agg({row}) as lines"
            f" from only {leaf.sql} as line"
            f" where line.ctid >= format('(%s,0)', block)::tid and line.ctid < format('(%s,0)', block + {_PART})::tid"
            " and line.xmax <> 0) as part where part.tids is not null"
        )

    def _fetch_old(self) -> bool:
        """Move the old rows that are gone from the cursors into a temporary table; tell whether there are any."""
        cursors = [leaf for leaf in self.table.leaves if leaf.blocks]
        self._connection.execute(
            f"create temporary table {self._old} on commit drop as select null::tid as runner_tid,"
            f" null::oid as runner_rel, null::xid as runner_mark, {self._columns('line')}"
            f" from unnest(null::{self.table.sql}[]) as line limit 0;"
            f" create temporary table {self._still} (runner_tid tid, runner_rel oid) on commit drop".encode()
        )
        for leaf in cursors:
            there = f"exists (select from only {leaf.sql} as current where current.ctid = line.runner_tid)"
            lines = f"unnest(part.tids, part.marks, part.lines) as line(runner_tid, runner_mark{self._names(', ')})"
            # Rows of the transaction's own that were locked, or deleted in vain, are told from new ones by this.
            still = f"insert into {self._still} select line.runner_tid, part.rel from {lines} where {there};"
            self._connection.execute(
                f"do $runner$ declare source refcursor := {literal(self._cursor(leaf, quote=False))}; part record;"
                f" begin loop fetch source into part; exit when not found; {still if self.written else ''}"
                f" insert into {self._old} select line.runner_tid, part.rel, line.runner_mark{self._names(', line.')}"
                f" from {lines} where not {there}; end loop; end $runner$".encode()
            )
        ends = [
            int(end)
            for (end,) in self._connection.execute(f"select distinct runner_mark::text from {self._old}".encode())
        ]
        leaves = [leaf.oid for leaf in self.table.leaves]
        foreign = [end for end in ends if not marks.is_by_us(self._connection, self._mark, end, leaves)]
        if foreign:
            self._connection.execute(
                f"delete from {self._old} where runner_mark = any (%s::text[]::xid[])".encode(),
                ([str(end) for end in foreign],),
            )
        return len(ends) > len(foreign)

    def _is_own_and_new(self) -> str:
        """Return the condition of a row that this transaction has written since the mark."""
        found = self._connection.execute(
            f"select distinct xmin::text from {self.table.source}"
            f" where age(xmin) <= age('{self._mark.short}'::xid)".encode()
        )
        own = marks.in_progress(self._connection, self._mark, [int(xid) for (xid,) in found])
        condition = f"source.xmin = any ('{{{','.join(map(str, own))}}}'::xid[])"
        if not self.written:
            return condition
        # Where a deletion was taken back, `cmin` is a number of another kind.
        return (
            f"{condition} and (source.cmin::text::bigint > {self._mark.command} or source.xmax <> 0)"
            f" and not exists (select from {self._still} as still"
            " where still.runner_tid = source.ctid and still.runner_rel = source.tableoid)"
        )

    def _pair(self, columns: Sequence[str], has_old: bool, exists: bool, condition: str) -> None:
        keys = self.table.key
        old = f"select runner_tid, runner_rel, {_list(columns, 'source')} from {self._old} as source"
        new = (
            f"select ctid as runner_tid, tableoid as runner_rel, {_list(columns, 'source')}"
            f" from {self.table.source} as source where {condition}"
        )
        if not keys:
            numbered = "select *, row_number() over (partition by runner_text) as runner_number from ({}) as numbered"
            text = f"row({_list(columns, 'source')})::text as runner_text, "
            old = numbered.format(old.replace("select ", f"select {text}", 1))
            new = numbered.format(new.replace("select ", f"select {text}", 1))
        match = [quoted(key) for key in keys] or ["runner_text", "runner_number"]
        if not exists or not has_old:
            side, rows, code = ("new", new, "i") if exists else ("old", old, "d")
            none = "null::tid as runner_{0}, null::oid as runner_{0}_rel"
            places = f"runner_tid as runner_{side}, runner_rel as runner_{side}_rel"
            select = (
                f"select '{code}'::\"char\" as runner_kind, {', '.join(match)}, {places},"
                f" {none.format('old' if side == 'new' else 'new')} from ({rows}) as line"
            )
        else:
            joined = ", ".join(f"coalesce(new.{name}, old.{name}) as {name}" for name in match)
            select = (
                "select (case when old.runner_tid is null then 'i' when new.runner_tid is null then 'd'"
                f" when {self._differs(columns) if keys else 'false'} then 'u' else 'r' end)::\"char\" as runner_kind,"
                f" {joined}, old.runner_tid as runner_old, old.runner_rel as runner_old_rel,"
                " new.runner_tid as runner_new, new.runner_rel as runner_new_rel"
                f" from ({old}) as old full join ({new}) as new"
                f" on {' and '.join(f'new.{name} = old.{name}' for name in match)}"
            )
            if self.is_whole:
                select = f"select * from ({select}) as pair where runner_kind <> 'r'"
        self._connection.execute(f"create temporary table {self._pairs} on commit drop as {select}".encode())

    def _differs(self, columns: Sequence[str]) -> str:
        """Return whether the rows `old` and `new` say something else.

        Equal bytes do not; other bytes may: an array knows more than one way to be written down. What
        type and collation call equal is still another row where its text is: 1.0 and 1.00.
        """
        equal = [name for name in columns if name in self.table.comparable]
        image = f"pg_catalog.record_image_ne(row({_list(columns, 'old')}), row({_list(columns, 'new')}))"
        distinct = [f"old.{quoted(name)} is distinct from new.{quoted(name)}" for name in equal]
        text = f"row({_list(columns, 'old')})::text <> row({_list(columns, 'new')})::text"
        return f"{image} and ({' or '.join([*distinct, text])})"

    def _cursor(self, leaf: Leaf, *, quote: bool = True) -> str:
        name = f"{self._name}_{leaf.oid}"
        return quoted(name) if quote else name

    def _columns(self, of: str) -> str:
        return _list(self.table.columns, of)

    def _names(self, separator: str) -> str:
        return "".join(f"{separator}{quoted(name)}" for name in self.table.columns)

    def _one(self, query: str, *values: Any) -> Sequence[Any]:
        given = values[0] if values and isinstance(values[0], dict) else values
        return self._connection.execute(query.encode(), given).fetchone() or (None,)


def begin(connection: Connection, watched: Iterable[Watched]) -> None:
    """Keep the way back to the rows of now, for all tables."""
    watched = list(watched)
    statements = [text for one in watched if (text := one.before())]
    if statements:
        connection.execute(";".join(statements).encode())
    written = _written(connection, [leaf.oid for one in watched for leaf in one.table.leaves])
    for one in watched:
        one.written = sum(written.get(leaf.oid, 0) for leaf in one.table.leaves)


def touched(connection: Connection, watched: Iterable[Watched]) -> list[Watched]:
    """Return the tables in which the statistics have counted rows since `begin`, and those looked at as a whole."""
    watched = list(watched)
    (counted,) = connection.execute("select current_setting('track_counts')::boolean").fetchone() or (False,)
    if not counted:
        for one in watched:
            one.written = 1  # perhaps
        return watched
    written = _written(connection, [leaf.oid for one in watched for leaf in one.table.leaves])
    return [
        one
        for one in watched
        if one.is_whole or sum(written.get(leaf.oid, 0) for leaf in one.table.leaves) != one.written
    ]


def end(connection: Connection, prefix: str) -> None:
    """Drop the cursors and temporary tables whose names begin with `prefix`."""
    pattern = prefix.replace("_", r"\_") + r"\_%"
    cursors = connection.execute("select name from pg_cursors where name like %s", (pattern,)).fetchall()
    relations = connection.execute(
        "select relname from pg_class where relnamespace = pg_my_temp_schema() and relkind = 'r' and relname like %s",
        (pattern,),
    ).fetchall()
    statements = [f"close {quoted(name)}" for (name,) in cursors]
    statements += [f"drop table pg_temp.{quoted(name)}" for (name,) in relations]
    connection.execute(";".join(statements).encode())


def _written(connection: Connection, oids: Collection[int]) -> dict[int, int]:
    """Return oid -> rows that this transaction has written, failed subtransactions' included; it only grows."""
    return dict(
        connection.execute(
            "select oid, pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid)"
            " + pg_stat_get_xact_tuples_deleted(oid) from unnest(%s::oid[]) as given(oid)",
            (list(oids),),
        ).fetchall()
    )


def _narrowed(table: Table, columns: tuple[str, ...]) -> Table:
    return dataclasses.replace(table, columns=columns)


def _list(columns: Sequence[str], of: str) -> str:
    return ", ".join(f"{of}.{quoted(name)}" for name in columns)
