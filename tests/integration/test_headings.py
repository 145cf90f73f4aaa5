"""What PostgreSQL calls columns without names, asked of a server."""

from __future__ import annotations

import psycopg

from runner import headings, sqltree

_EXPRESSIONS = [
    "a", "r.a", "1", "-a", "a + 1", "'x'", "null", "true", "a is null", "not a is null",
    "a::text", "1::bigint", "(1::int)::text", "'{}'::int[]", "cast(a as varchar(10))", "varchar 'x'",
    "case when true then a end", "case when true then 1 else a end", "case when true then 1 end",
    "(case when true then 1 end)::text", "case when true then 1 else 2::int end", "a::text collate \"C\"",
    "now()", "lower('A')::text", "current_date", "current_timestamp(3)", "localtime(0)", "current_user",
    "extract(year from now())", "nullif(a, 1)", "coalesce(a, 1)", "greatest(a, 1)", "least(a, 1)",
    "array[1, 2]", "(array[1, 2])[1]", "row(1, 2)", "(r).a", "(row(r.*)).f1", "count(*) over ()",
    "exists (select 1)", "array(select 1)", "(select a)", "(select 1)", "(select 1)::text", "(values (1))",
    "1 in (select 1)", "a between 1 and 2", "a = any (array[1])"
]  # fmt: skip


def test_columns_without_names(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """A column is called what the server calls it."""
    text = f"select {', '.join(_EXPRESSIONS)} from (values (1, 2)) as r(a, b)"
    (statement,) = sqltree.parse(text)
    described = connection.execute(text.encode()).description or ()
    assert [headings.of(target.val) for target in statement.node.targetList] == [column.name for column in described]
