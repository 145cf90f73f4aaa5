"""SQL of other databases, told apart from SQL that nobody reads."""

from __future__ import annotations

import pytest

from runner import dialects, sqltree


@pytest.mark.parametrize(
    ("statement", "name", "fragment"),
    [
        pytest.param("select * from a qualify row_number() over (order by x) = 1", None, "_w = 1", id="qualify"),
        pytest.param("select ifnull(`a`, 0) from `p.d.t`", "BigQuery", 'COALESCE("a", 0)', id="backticks"),
        pytest.param("select [a] from [b]", "SQL Server", 'SELECT "a" FROM "b"', id="brackets"),
        pytest.param("select a from b limit 5, 10", None, "LIMIT 10 OFFSET 5", id="limit"),
        pytest.param("select a, from b", None, "SELECT a FROM b", id="trailing comma"),
    ],
)
def test_foreign_sql_is_translated(statement: str, name: str | None, fragment: str) -> None:
    """What another database reads is named after it, and said in words that PostgreSQL parses."""
    with pytest.raises(sqltree.NotSql):
        sqltree.parse(statement)
    foreign = dialects.recognise(statement)
    assert foreign is not None
    assert foreign.name == name
    assert fragment in foreign.sql
    assert foreign.sql in foreign.hint
    sqltree.parse(foreign.sql)


@pytest.mark.parametrize(
    "statement",
    [
        "selec a from b",
        "select a from b where",
        "select 'open",
        "))",
        "select a from b; select ifnull(`a`, 0)",
        "x" * 30_000,
        "insert into a (b, c) select d from e",
    ],
    ids=[
        "misspelt",
        "unfinished",
        "a quote without an end",
        "nonsense",
        "two statements",
        "too long",
        "a value too few",
    ],
)
def test_what_nobody_reads_is_left_alone(statement: str) -> None:
    """A slip is not taken for another database's SQL."""
    assert dialects.recognise(statement) is None


def test_a_long_translation_is_not_shown() -> None:
    """A hint stays short enough to read."""
    columns = ", ".join(f"ifnull(`column_{n}`, 0)" for n in range(50))
    foreign = dialects.recognise(f"select {columns} from t")
    assert foreign is not None
    assert foreign.hint == "It looks like SQL of BigQuery. Correct the SQL at the caret."
