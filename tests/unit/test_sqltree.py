"""What a statement reads and writes, by PostgreSQL's own parser."""

from __future__ import annotations

import pytest

from runner import sqltree, treenames


def _relations(text: str) -> treenames.Relations:
    (tree,) = sqltree.parse(text)
    return treenames.relations(tree.node)


@pytest.mark.parametrize(
    ("text", "reads", "writes"),
    [
        pytest.param("select * from a join b using (x)", {"a", "b"}, set(), id="select"),
        pytest.param("insert into a select * from b", {"b"}, {"a"}, id="insert"),
        pytest.param("update a set x = b.x from b where a.k = b.k", {"b"}, {"a"}, id="update from"),
        pytest.param("delete from a using b where a.k = b.k", {"b"}, {"a"}, id="delete using"),
        pytest.param("merge into a using b on a.k = b.k when matched then delete", {"b"}, {"a"}, id="merge"),
        pytest.param("truncate a, b", set(), {"a", "b"}, id="truncate"),
        pytest.param("copy a from '/f'", set(), {"a"}, id="copy in"),
        pytest.param(
            "with w as (insert into a select 1 returning x) select * from w, c", {"c"}, {"a"}, id="writing CTE"
        ),
        pytest.param("with a as (select * from a) select * from a", {"a"}, set(), id="a CTE that hides its table"),
        pytest.param(
            "with a as (select 1) select * from public.a, a", {"public.a"}, set(), id="a schema says the table"
        ),
        pytest.param(
            "with recursive w as (select 1 union select * from w, a) select * from w", {"a"}, set(), id="recursive"
        ),
        pytest.param("select (select max(x) from a) where exists (select from b)", {"a", "b"}, set(), id="subqueries"),
        pytest.param("analyze a", set(), set(), id="analyze"),
    ],
)
def test_reads_and_writes(text: str, reads: set[str], writes: set[str]) -> None:
    """Tables count where they stand, common table expressions are looked through."""
    found = _relations(text)
    assert (found.reads, found.writes) == (reads, writes)


def test_temporary_tables_are_made() -> None:
    """A table that a statement makes is told apart from one that it writes."""
    assert _relations("create temp table t on commit drop as select * from a") == treenames.Relations(
        reads=frozenset({"a"}), made=frozenset({"t"})
    )


def test_places_are_characters() -> None:
    """Statements are cut out by characters, whatever their bytes."""
    text = "-- é\nselect 'ü';\nselect 2"
    assert [text[tree.start : tree.stop].strip() for tree in sqltree.parse(text)] == ["select 'ü'", "select 2"]


def test_what_postgresql_refuses() -> None:
    """The offset of a syntax error is that of the token it stumbles over."""
    text = "select 'é', from a"
    with pytest.raises(sqltree.NotSql, match="syntax error") as caught:
        sqltree.parse(text)
    assert text[caught.value.offset :] == "from a"
