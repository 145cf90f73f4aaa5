"""Which steps wait for which, from what each reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import config, graph, project, step
from runner.effects import Effects, Schema
from runner.step import SCHEMA_KEYS, STEP_KEYS

ROOT = Path(__file__).parents[2]

SCHEMA = """
create table a (id int primary key);
create table b (id int);
create table c (id int references a on delete cascade);
create table d (id int references a);
create table audit (id int);
create table whole (id int) partition by hash (id);
create table part partition of whole for values with (modulus 1, remainder 0);
create table later (id int);
alter table whole attach partition later default;
create view v as select * from a;
create materialized view m as select v.id, stays() from v;
create table filled as select * from d;
create sequence numbers;
create function stays() returns bigint language sql stable as 'select count(*) from b';
create function adds() returns void language sql as 'insert into b select 1';
create function body() returns void begin atomic insert into b select id from d; end;
create function looks() returns void language plpgsql stable as $$
begin perform from b; if stays() then return; end if; end $$;
create function writes() returns void language plpgsql as $$ begin insert into b select 1; end $$;
create function guesses() returns void language plpgsql as $$ begin execute 'drop table b'; end $$;
create function strange() returns void language plpgsql as $$ declare x other.kind; begin x := null; end $$;
create function foreign_one() returns void language plpython3u as 'pass';
create function note() returns trigger language plpgsql as $$ begin insert into audit values (1); return null; end $$;
create function enters() returns void language plpgsql as $$ begin insert into pg_temp.entries select 1; end $$;
create table watched (id int);
create trigger noted after insert on watched for each row execute function note();
"""


@pytest.fixture
def effects(tmp_path: Path) -> Callable[..., Effects]:
    """Return what a step of this text does to the tables above."""

    def of(text: str) -> Effects:
        for name, content in (("001_tables.sql", SCHEMA), ("010_it.sql", text)):
            (tmp_path / name).write_text(content, encoding="utf-8")
        schema = Schema([step.read(tmp_path / "001_tables.sql", tmp_path, SCHEMA_KEYS)])
        return schema.of_steps([step.read(tmp_path / "010_it.sql", tmp_path, STEP_KEYS)])["010_it"]

    return of


@pytest.mark.parametrize(
    ("text", "reads", "writes"),
    [
        pytest.param("insert into b select id from public.a", {"a"}, {"b"}, id="tables"),
        pytest.param("create temp table t as select * from a; insert into b select * from t", {"a"}, {"b"}, id="temp"),
        pytest.param("select * from b; create temp table b (x int); insert into b select 1", {"b"}, set(), id="hidden"),
        pytest.param("create table pg_temp.t (x int); insert into pg_temp.t select 1", set(), set(), id="pg_temp"),
        pytest.param("create table new as select * from b", {"b"}, {"new"}, id="a new table"),
        pytest.param("drop table if exists t; create temp table t (x int)", set(), set(), id="temp, dropped before"),
        pytest.param(
            "create temp view t as select * from a; insert into b select * from t", {"a"}, {"b"}, id="temp view"
        ),
        pytest.param(
            "create or replace temp view t as select stays() from a; insert into t select 1",
            {"a", "b", "d"},
            {"a", "c"},
            id="temp view, written through",
        ),
        pytest.param(
            "create view pg_temp.t as select * from b; insert into pg_temp.t select 1",
            {"b"},
            {"b"},
            id="temp view, named with its schema",
        ),
        pytest.param(
            "create temp view t as select * from b; create temp view u as select * from t; delete from u",
            {"b"},
            {"b"},
            id="temp view on another",
        ),
        pytest.param(
            "create temp view t as select * from b; create temp table b (id int); insert into t select 1",
            {"b"},
            {"b"},
            id="temp view, its table hidden later",
        ),
        pytest.param(
            "create temp table b (id int); create temp view t as select * from b; insert into t select 1",
            set(),
            set(),
            id="temp view of a temp table",
        ),
        pytest.param(
            "create temp recursive view t (n) as select id from b union select n from t; select * from t",
            {"b"},
            set(),
            id="temp view, recursive",
        ),
        pytest.param(
            "drop view if exists t; create temp view t as select * from b; drop view t",
            {"b"},
            set(),
            id="temp view, dropped",
        ),
        pytest.param(
            "do $$ begin create temp view t as select * from b; end $$; insert into t select 1",
            {"b"},
            {"b", "t"},
            id="temp view of a block",
        ),
        pytest.param(
            "create temp view entries as select * from b; select enters()",
            {"b"},
            {"b"},
            id="temp view that a function writes",
        ),
        pytest.param(
            "create temp view audit as select * from b; insert into watched select 1",
            {"b"},
            {"audit", "b", "watched"},
            id="temp view that a trigger writes",
        ),
        pytest.param(
            "create temp table t (id int); insert into t select 1; "
            "create trigger noted after insert on t for each row execute function note()",
            set(),
            {"audit"},
            id="temp table with a trigger",
        ),
        pytest.param("truncate b", set(), {"b"}, id="truncate"),
        pytest.param("set local work_mem = '1GB'; analyze a", set(), set(), id="settings"),
        pytest.param("select set_config('app.x', '1', true), now(), count(*)", set(), set(), id="harmless functions"),
        pytest.param("select * from part", {"part", "whole", "later"}, set(), id="partition"),
        pytest.param("delete from whole", set(), {"part", "whole", "later"}, id="partitioned table"),
        pytest.param("select * from v", {"a", "v"}, set(), id="view"),
        pytest.param("refresh materialized view m", {"a", "b", "v"}, {"m"}, id="refresh"),
        pytest.param("insert into b select id from m", {"m"}, {"b"}, id="materialized view"),
        pytest.param("insert into filled select 1", set(), {"filled"}, id="a table that was made from a query"),
        pytest.param("insert into c select 1", {"a"}, {"c"}, id="foreign key"),
        pytest.param("delete from a where id = 1", {"a", "d"}, {"a", "c"}, id="what is referenced"),
        pytest.param("select stays()", {"b"}, set(), id="function that reads"),
        pytest.param("select adds()", set(), {"b"}, id="function that writes"),
        pytest.param("select body()", {"d"}, {"b"}, id="function in standard SQL"),
        pytest.param("select looks()", {"b"}, set(), id="function that only reads, in PL/pgSQL"),
        pytest.param("select writes()", set(), {"b"}, id="function that writes, in PL/pgSQL"),
        pytest.param("do $$ begin delete from b; end $$", set(), {"b"}, id="block"),
        pytest.param("do $$ begin insert into b table d; end $$", {"d"}, {"b"}, id="block, table"),
        pytest.param(
            "do $$ begin insert into b select a.id from a join d on d.id = a.id; end $$",
            {"a", "d"},
            {"b"},
            id="block that reads",
        ),
        pytest.param("do $$ begin delete /* from a */ from only b; end $$", set(), {"b"}, id="block that deletes"),
        pytest.param("do $$ declare a int; begin select 1 into a from b; end $$", {"b"}, set(), id="block, into"),
        pytest.param(
            "do $$ declare it b%rowtype; list int[]; begin it.id := count(*) from d; list[1] := stays(); end $$",
            {"b", "d"},
            set(),
            id="block that assigns",
        ),
        pytest.param(
            "do $$ declare c cursor for select from a; n int := (select 1 from b); begin"
            " for n in 1 .. (select 2 from d) loop if exists (select from audit) then perform adds(); end if; end loop;"
            " exception when others then raise notice '%', (select from part); end $$",
            {"a", "b", "d", "audit", "part", "whole", "later"},
            {"b"},
            id="block, everywhere",
        ),
        pytest.param("do $$ begin create temp table a (i int); perform from a; end $$", set(), set(), id="block, temp"),
        pytest.param("do $$ begin perform from x.y, public.z; end $$", {"x.y", "z"}, set(), id="block, other schemas"),
        pytest.param("do $$ begin perform nextval('numbers'); end $$", set(), {"numbers"}, id="block, sequence"),
        pytest.param(
            "do $$ begin insert into b values (1) on conflict do update set id = b.id; end $$",
            set(),
            {"b"},
            id="block that upserts",
        ),
        pytest.param("insert into watched select 1", set(), {"watched", "audit"}, id="trigger"),
        pytest.param("select nextval('numbers')", set(), {"numbers"}, id="sequence"),
        pytest.param("create index on b (id)", {"b"}, {"b"}, id="index"),
    ],
)
def test_reads_and_writes(effects: Callable[..., Effects], text: str, reads: set[str], writes: set[str]) -> None:
    """What a statement does to tables, also through what the schema files hang on them."""
    assert effects(text) == Effects(frozenset(reads), frozenset(writes))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("select guesses()", "it calls guesses(), which builds its statements itself", id="dynamic"),
        pytest.param("do $$ begin execute 'x'; end $$", "it has a block that builds its statements", id="block"),
        pytest.param("do $$ begin return query execute 'x'; end $$", "the parser cannot read (", id="block, misused"),
        pytest.param("do $$ begin perform 1 from; end $$", "cannot read (syntax error at end", id="block, no SQL"),
        pytest.param("do $$ begin perform dblink_exec('x'); end $$", "it calls dblink_exec()", id="block that calls"),
        pytest.param("do $$ begin set local search_path = x; end $$", "it sets search_path", id="block that sets"),
        pytest.param(
            "do $$ declare n int; begin for n in execute 'select 1' loop null; end loop; end $$",
            "builds its statements itself",
            id="block, loop",
        ),
        pytest.param("select strange()", "it calls strange(), which the parser cannot read (", id="function, a type"),
        pytest.param("do language plpython3u 'pass'", "it has a block in plpython3u", id="another language"),
        pytest.param("select foreign_one()", "which is written in plpython3u", id="function in another language"),
        pytest.param("select dblink_exec('x')", "it calls dblink_exec(), which no schema file makes", id="unknown"),
        pytest.param("set local search_path = x", "it sets search_path", id="search_path"),
        pytest.param("select set_config('search_path', 'x', true)", "it calls set_config()", id="set_config"),
        pytest.param("select nextval(name) from b as names (name)", "it calls nextval()", id="some sequence"),
        pytest.param("create extension dblink", "it has a statement of the kind CreateExtension", id="statement"),
        pytest.param("create view t as select * from a", "it has a statement of the kind View", id="a view that stays"),
        pytest.param("create temp view t as select guesses()", "it calls guesses()", id="temp view that calls"),
        pytest.param("drop function stays", "it drops what is no table", id="drop of a function"),
        pytest.param("selec 1", "PostgreSQL does not understand it: syntax error", id="no SQL"),
        pytest.param("select 1" + " + 1" * 2000, "it is nested deeper than a person writes", id="deep"),
    ],
)
def test_what_is_unclear(effects: Callable[..., Effects], text: str, why: str) -> None:
    """A step that may do more than its text says is told, with the reason."""
    assert why in effects(text).unclear


def test_shipped_steps() -> None:
    """Steps wait for those whose tables they or their checks read, and for no others."""
    pipeline = project.discover(config.load({"project": str(ROOT), "pipeline": "zluri"}, environ={}))
    found = graph.effects(pipeline)
    assert not [each for each in found.values() if each.unclear]
    assert graph.nearest(graph.build(found)) == {
        "010_agents": [],
        "011_roles": [],
        "012_agent_roles": ["010_agents", "011_roles"],
        "020_groups": ["010_agents"],
        "030_budgets": [],
        "031_cards": ["030_budgets"],
        "040_transactions": [],
    }


def test_metrics_of_blocks(tmp_path: Path) -> None:
    """Blocks that add their rows to the metrics do not wait for each other; one that reads the metrics waits."""
    texts = {
        "010_plain": "insert into pipeline_metrics values (1)",
        "020_block": "do $$ begin insert into pipeline_metrics values (1); end $$",
        "030_block": "do $$ begin insert into pipeline_metrics values (1); end $$",
        "040_asks": "do $$ begin perform from pipeline_metrics; end $$",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.sql").write_text(text, encoding="utf-8")
    steps = [step.read(tmp_path / f"{name}.sql", tmp_path, STEP_KEYS) for name in texts]
    found = graph.build(Schema().of_steps(steps))
    assert found == {name: frozenset(list(texts)[:3] if name == "040_asks" else ()) for name in texts}


def test_blocks_alone(tmp_path: Path) -> None:
    """Of a table that nothing but blocks names, readers wait for writers, and writers for readers."""
    texts = {
        "010_writes": "do $$ begin insert into elsewhere.things values (1); end $$",
        "020_reads": "do $$ begin if exists (select from elsewhere.things) then return; end if; end $$",
        "030_reads": "do $$ begin perform from elsewhere.things; end $$",
        "040_writes": "do $$ begin update elsewhere.things set id = 1; end $$",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.sql").write_text(text, encoding="utf-8")
    steps = [step.read(tmp_path / f"{name}.sql", tmp_path, STEP_KEYS) for name in texts]
    assert graph.nearest(graph.build(Schema().of_steps(steps))) == {
        "010_writes": [],
        "020_reads": ["010_writes"],
        "030_reads": ["010_writes"],
        "040_writes": ["020_reads", "030_reads"],
    }


def test_only_the_nearest_are_named() -> None:
    """Of the steps that one waits for, those that another of them waits for go without saying."""
    found = graph.build({name: Effects(writes=frozenset("t")) for name in "abc"})
    assert found == {"a": frozenset(), "b": frozenset("a"), "c": frozenset("ab")}
    assert graph.nearest(found) == {"a": [], "b": ["a"], "c": ["b"]}
    assert graph.build({name: Effects(writes=frozenset("t")) for name in "abc"}, ["a", "c"])["c"] == frozenset("a")


_tables = st.frozensets(st.sampled_from("tuvw"), max_size=2)
_effects = st.builds(Effects, reads=_tables, writes=_tables, unclear=st.sampled_from(["", "", "", "", "why"]))


def _run(order: Sequence[int], steps: Sequence[Effects]) -> dict[str, object]:
    """Return the tables after steps in some order: what one writes follows from all that it can see."""
    tables: dict[str, object] = {}
    for number in order:
        seen = steps[number].reads | steps[number].writes if not steps[number].unclear else frozenset("tuvw")
        written = steps[number].writes if not steps[number].unclear else frozenset("tuvw")
        state = tuple(sorted((name, tables.get(name)) for name in seen))
        tables |= {name: hash((number, name, state)) for name in written}
    return tables


@given(steps=st.lists(_effects, max_size=7), data=st.data())
def test_any_schedule_ends_in_the_tables_of_file_order(steps: list[Effects], data: st.DataObject) -> None:
    """Whichever step is taken next of those whose needs are met, each sees what it would see in file order."""
    found = graph.build({str(number): each for number, each in enumerate(steps)})
    order: list[int] = []
    while len(order) < len(steps):
        done = {str(number) for number in order}
        ready = [n for n in range(len(steps)) if n not in order and found[str(n)] <= done]
        order.append(data.draw(st.sampled_from(ready)))
    assert _run(order, steps) == _run(range(len(steps)), steps)
