"""Files that the runner would refuse, disabled rules, several pipelines: what lint says, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.lint import project

_METRICS = """
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_affected, status)
values (current_setting('app.flow_run_id'), 'a_task', 'a', current_setting('app.day'), 0, 'success');
"""
_SCHEMA = "create table a (id bigint primary key, name text);"


def _lint(
    folder: Path, files: dict[str, str | bytes], pipelines: tuple[str, ...] = ("p",)
) -> list[tuple[str, int, str]]:
    for name, text in files.items():
        path = folder / "migrations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [(Path(f.file).name, f.line, f.rule.id) for f in project.lint(folder, pipelines).findings]


def _step(folder: Path, text: str, schema: str = _SCHEMA) -> list[tuple[int, str]]:
    found = _lint(folder, {"p/schema/001_a.sql": schema, "p/010_a.sql": text})
    return [(line, rule) for _, line, rule in found]


def test_all_that_discovery_refuses(tmp_path: Path) -> None:
    """Every refused file has its finding, where the runner stops at the first."""
    found = _lint(
        tmp_path,
        {
            "p/agents.sql": _METRICS,
            "p/010_a.sql": _METRICS,
            "p/010_b.sql": "-- timeuot: 3s\nselect;" + _METRICS.replace("a_task", "b_task"),
            "p/020_a.sql": _METRICS,
            "p/030_c.sql": b"\xff\xfe",
            "p/040_d.sql": "select 1;\0",
            "p/050_e.sql": "select 1;\nselect from from;",
            "p/060_f.sql": "-- nothing\n",
        },
    )
    assert found == [
        ("010_b.sql", 1, "duplicate-number"),
        ("010_b.sql", 1, "bad-header"),
        ("020_a.sql", 1, "duplicate-name"),
        ("030_c.sql", 1, "unreadable"),
        ("040_d.sql", 1, "unreadable"),
        ("050_e.sql", 2, "syntax"),
        ("060_f.sql", 1, "empty"),
        ("agents.sql", 1, "file-name"),
    ]


def test_places_are_characters(tmp_path: Path) -> None:
    """A column counts characters, whatever their bytes, behind a byte-order mark and with Windows line ends."""
    text = "\ufeff-- é\r\nselect 'ü', nmae from a;\r\n" + _METRICS
    (tmp_path / "migrations/p/schema").mkdir(parents=True)
    (tmp_path / "migrations/p/schema/001_a.sql").write_text(_SCHEMA)
    (tmp_path / "migrations/p/010_a.sql").write_bytes(text.encode())
    (finding,) = project.lint(tmp_path, ["p"]).findings
    assert (finding.line, finding.column, finding.source) == (2, 13, "select 'ü', nmae from a;")


def test_sql_of_another_database_is_translated(tmp_path: Path) -> None:
    """What PostgreSQL refuses is said in its words, if only the one statement that it stumbles over."""
    _step(tmp_path, "select 1;\nselect ifnull(`a`, 0) from b;\nselect 2;")
    (finding,) = (found for found in project.lint(tmp_path, ["p"]).findings if found.rule.id == "syntax")
    assert "SQL of BigQuery" in finding.message
    assert finding.message.endswith('SELECT COALESCE("a", 0) FROM b')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("-- lint: disable=missing-where all of it\nbegin;\ndelete from a;", [], id="file"),
        pytest.param("delete from a; -- lint: disable=missing-where all of it", [], id="end of statement"),
        pytest.param("select 1;\n-- lint: disable=missing-where all\n\ndelete\nfrom a;", [], id="above a statement"),
        pytest.param("select 1;\ndelete\nfrom a -- lint: disable=missing-where all\n;", [], id="line"),
        pytest.param("select 1;\ndelete\n-- lint: disable=missing-where all\nfrom a;", [], id="above a line"),
        pytest.param(
            "select 1;\n-- lint: disable=missing-where,truncate all\ndelete from a;",
            [(2, "unused-disable")],
            id="one unused",
        ),
        pytest.param(
            "delete from a; -- lint: disable=missing-where", [(1, "missing-where"), (1, "bad-disable")], id="no reason"
        ),
        pytest.param(
            "delete from a; -- lint: disable=missing-were all", [(1, "missing-where"), (1, "bad-disable")], id="unknown"
        ),
        pytest.param("delete from a; -- lint: off", [(1, "missing-where"), (1, "bad-disable")], id="other words"),
        pytest.param(
            "select 1;\n-- lint: disable=missing-where all\nselect 2;\ndelete from a;",
            [(2, "unused-disable"), (4, "missing-where")],
            id="elsewhere",
        ),
        pytest.param(
            "select '-- lint: disable=missing-where all';\ndelete from a;", [(2, "missing-where")], id="in a string"
        ),
    ],
)
def test_disabled(tmp_path: Path, text: str, expected: list[tuple[int, str]]) -> None:
    """A comment holds for the file, the statement or the line; what it lacks is said."""
    tail = "\ncommit;" if "begin;" in text else ""
    found = [f for f in _step(tmp_path, text + _METRICS + tail) if f[1] != "uncounted-write"]
    assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("select b.* from a as b where b is not null", id="whole row"),
        pytest.param("select ctid, xmin, a.tableoid from a", id="system columns"),
        pytest.param('select "A".id from a as "A", lateral (select "A".name) as x', id="quoted, lateral"),
        pytest.param("select public.a.id, pg_catalog.now() from public.a", id="schemas"),
        pytest.param("select id as x from a group by x order by x", id="output names"),
        pytest.param("select j.id, u.id from (a join a as c using (id) as u) as j, a as u", id="join aliases"),
        pytest.param("select x.n, x.ordinality from generate_series(1, 2) with ordinality as x(n)", id="ordinality"),
        pytest.param("select r.a from json_to_recordset('[]') as r(a int, b text)", id="column definitions"),
        pytest.param("select e.key, e.value, v.value from jsonb_each('{}') e, jsonb_array_elements('[]') v", id="json"),
        pytest.param("select whatever from pg_stat_activity, unknown_to_us() as f", id="open relations"),
        pytest.param("select column1 from (values (1), (2)) as v", id="values"),
        pytest.param(
            "with recursive w(n) as (select 1 union all select n + 1 from w where n < 3) select n from w",
            id="recursive",
        ),
        pytest.param("with recursive b as (select * from c), c as (select 1 as x) select x from b", id="forward"),
        pytest.param("with a as (select 1 as x) select x from a", id="a name hides a table"),
        pytest.param("select (select max(x.id) from a as x where x.name = a.name) from a", id="correlated"),
        pytest.param("select id from a union select 1 order by id", id="order of a union"),
        pytest.param(
            "create temp table t on commit drop as select id as k from a; select t.k from t, pg_temp.t as u",
            id="temporary",
        ),
        pytest.param("create temp table t (like a) on commit drop; select t.name from t", id="like"),
        pytest.param("create table new_one (x int); select x from new_one", id="a table of the step's own"),
        pytest.param("do $$ begin create table b as select 1 as x; end $$; select 1", id="do"),
        pytest.param("set local search_path = other, public; select x from their_table", id="search path"),
        pytest.param("select name as n, count(*) from a group by grouping sets ((n), ())", id="grouping sets"),
        pytest.param("select to_jsonb(a), a.to_jsonb from a", id="functions of rows"),
        pytest.param(
            "select count(*) filter (where id > 1) over w from a window w as (partition by name)", id="window"
        ),
        pytest.param("analyze a (id, name); lock table a; explain select name from a", id="utilities"),
    ],
)
def test_names_that_are_there(tmp_path: Path, text: str) -> None:
    """What PostgreSQL resolves is resolved, or left open."""
    assert _step(tmp_path, f"{text};{_METRICS}") == []


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        pytest.param(
            "alter table a add column b int; alter table a drop column name", "select b, name from a", id="columns"
        ),
        pytest.param("alter table a rename column name to title", "select title, name from a", id="renamed column"),
        pytest.param("alter table a rename to c", "select id from c; select id from a", id="renamed table"),
        pytest.param("create view v as select id as x from a", "select x, id from v", id="view"),
        pytest.param("create table c (z int) inherits (a)", "select z, name, zz from c", id="inherited"),
        pytest.param("drop table a", "select 1; select * from a", id="dropped"),
        pytest.param(
            "create function f() returns table (p int, q int) language sql return (1, 2)",
            "select p, r from f()",
            id="function",
        ),
    ],
)
def test_names_by_the_schema_files(tmp_path: Path, schema: str, text: str) -> None:
    """Tables are as all schema files together leave them: the first name is there, the last one is not."""
    (found,) = _step(tmp_path, text + ";" + _METRICS, f"{_SCHEMA}\n{schema};\ncreate table keep (x int);")
    assert found[1] in ("unknown-table", "unknown-column")


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param("create extension postgis;", id="extension"),
        pytest.param("do $$ begin execute 'create table b (x int)'; end $$;", id="do"),
    ],
)
def test_tables_that_are_not_seen(tmp_path: Path, schema: str) -> None:
    """Where a schema file may make tables that it does not name, no table is unknown."""
    assert _step(tmp_path, "select x from b;" + _METRICS, _SCHEMA + schema) == []


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        pytest.param("", [], id="technical"),
        pytest.param(", loaded_at date", [(1, "clock-in-data")], id="of the source"),
    ],
)
def test_when_a_row_was_written(tmp_path: Path, columns: str, expected: list[tuple[int, str]]) -> None:
    """A column that says it may be set by the clock, unless the source has one of that name."""
    schema = f"create table a (id int, loaded_at date); create table stg_a (id int{columns});"
    insert = "with ins as (insert into a (id, loaded_at) select id, now() from stg_a returning id)"
    row = _METRICS.replace("rows_affected", "rows_inserted, rows_affected").replace("values (", "select ")
    text = insert + row.replace("0, 'success');", "count(*), count(*), 'success' from ins")
    assert _step(tmp_path, text, schema) == expected


_WIDE = """
create table a (id bigint primary key, name text, loaded_at timestamptz);
create schema mart; create table mart."Prices, all" (id bigint, "Made At" timestamptz);
"""
_DO = "do $$ begin end $$;"


@pytest.mark.parametrize(
    ("header", "schema", "text", "expected"),
    [
        pytest.param("watermark: a, b", _WIDE, "", [(1, 18, "unknown-table")], id="table"),
        pytest.param('watermark: mart."Prices, all", mart.c', _WIDE, "", [(1, 35, "unknown-table")], id="schema"),
        pytest.param('watermark: "A"', _WIDE, "", [(1, 15, "unknown-table")], id="quoted table"),
        pytest.param("watermark: public.a, pg_class, other.a, base.mart.a", _SCHEMA, "", [], id="tables elsewhere"),
        pytest.param("watermark: pipeline_metrics", _WIDE, "", [], id="table of the runner"),
        pytest.param("watermark: b", _WIDE, "create table b (x int);", [], id="table of the step"),
        pytest.param("watermark: b", _WIDE, "create temp table b (x int) on commit drop;", [], id="temporary table"),
        pytest.param("watermark: b", _WIDE, _DO, [], id="table that a block may make"),
        pytest.param("watermark: b", "", "", [], id="table without schema files"),
        pytest.param("watermark: b", _SCHEMA + "create extension postgis;", "", [], id="table of an extension"),
        pytest.param("technical: loaded_at,  loded_at", _WIDE, "", [(1, 27, "unknown-column")], id="column"),
        pytest.param("technical: a.loaded_at, a.loded_at", _WIDE, "", [(1, 28, "unknown-column")], id="of a table"),
        pytest.param("technical: b.loaded_at", _WIDE, "", [(1, 15, "unknown-table")], id="of no table"),
        pytest.param('technical: mart."Prices, all"."Made At"', _WIDE, "", [], id="of a schema's table"),
        pytest.param(
            'technical: mart."Prices, all"."made at"', _WIDE, "", [(1, 15, "unknown-column")], id="other case"
        ),
        pytest.param('technical: "Made At"', _WIDE, "", [], id="column of any table"),
        pytest.param("technical: x", _WIDE, "create table b (x int);", [], id="column of the step's table"),
        pytest.param("technical: b.x", _WIDE, "create table b (x int);", [], id="of the step's table"),
        pytest.param("technical: x", _WIDE, _DO, [], id="column that a block may make"),
        pytest.param("technical: x", "", "", [], id="column without schema files"),
        pytest.param("technical: x, c.y", _WIDE + "create table c (like a including all);", "", [], id="open table"),
    ],
)
def test_names_in_a_header(
    tmp_path: Path, header: str, schema: str, text: str, expected: list[tuple[int, int, str]]
) -> None:
    """A table or column that no schema file knows is found at its name; what lint cannot know is left alone."""
    _lint(tmp_path, {"p/schema/001_a.sql": schema or "select 1;", "p/010_a.sql": f"-- {header}\n{text}{_METRICS}"})
    found = [f for f in project.lint(tmp_path, ("p",)).findings if f.file.endswith("010_a.sql")]
    assert [(f.line, f.column, f.rule.id) for f in found] == expected


def test_what_a_name_in_a_header_may_mean(tmp_path: Path) -> None:
    """The message has the name that is like it, of the tables that the step writes."""
    text = "-- technical: loded_at\nwith x as (delete from a where id = 0 returning id)" + _METRICS.replace(
        "rows_affected", "rows_deleted, rows_affected"
    ).replace("values (", "select ").replace("0, 'success');", "count(*), count(*), 'success' from x")
    _lint(tmp_path, {"p/schema/001_a.sql": _WIDE, "p/010_a.sql": text})
    messages = [f.message for f in project.lint(tmp_path, ("p",)).findings]
    assert messages == ["no table has a column 'loded_at'; did you mean 'loaded_at'?"]


def test_a_function_that_acts(tmp_path: Path) -> None:
    """What a function of the project's own writes is not seen: metrics may be among it."""
    body = "insert into pipeline_metrics default values; create temp table b as select 1 as x"
    schema = f"{_SCHEMA} create function finish() returns void language sql as $$ {body} $$;"
    assert _step(tmp_path, "select finish(); select x from b", schema) == []


@pytest.mark.parametrize(
    ("header", "tail", "expected"),
    [
        pytest.param("", "", ["not-in-transaction"], id="in a transaction"),
        pytest.param("-- transaction: off\n", "", [], id="outside"),
        pytest.param("-- transaction: off\n", "select 1;", ["transaction-control"], id="outside, not alone"),
    ],
)
def test_schema_files(tmp_path: Path, header: str, tail: str, expected: list[str]) -> None:
    """A schema file may ask for no transaction, and is then one statement."""
    files: dict[str, str | bytes] = {
        "p/schema/001_a.sql": _SCHEMA,
        "p/schema/002_index.sql": f"{header}create index concurrently on a (name);{tail}",
    }
    assert [rule for _, _, rule in _lint(tmp_path, files)] == expected


def test_no_schema_files(tmp_path: Path) -> None:
    """A project without schema files may have any tables."""
    assert _lint(tmp_path, {"p/010_a.sql": "select x from b;" + _METRICS}) == []


def test_pipelines_share_tables(tmp_path: Path) -> None:
    """Steps may read what another pipeline's schema files make; numbers may repeat between pipelines."""
    step = "select name from a;" + _METRICS
    files: dict[str, str | bytes] = {"p/schema/001_a.sql": _SCHEMA, "p/010_a.sql": step, "q/010_a.sql": step}
    assert _lint(tmp_path, files, ("p", "q")) == []


def test_only_some_files(tmp_path: Path) -> None:
    """The others are read for what they make and write, and not reported on."""
    files: dict[str, str | bytes] = {
        "p/schema/001_a.sql": _SCHEMA,
        "p/010_a.sql": "select name from a;" + _METRICS,
        "p/020_b.sql": "delete from a;",
    }
    _lint(tmp_path, files)
    wanted = {(tmp_path / "migrations/p/010_a.sql").resolve()}
    report = project.lint(tmp_path, ["p"], wanted)
    assert [(finding.rule.id, finding.message) for finding in report.findings] == [
        ("reads-later-step", "'a' is only written later, by migrations/p/020_b.sql")
    ]
    assert report.files == 1


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("insert into sales values (1) returning xmax", (1, 40), id="insert"),
        pytest.param("insert into sales as s values (1) returning id, (s.xmin = '1')", (1, 50), id="by its alias"),
        pytest.param(
            "with m as (\n    merge into sales using pairs on pairs.id = sales.id\n"
            "    when not matched then insert (id) values (pairs.id)\n    returning sales.xmax\n) select from m",
            (4, 15),
            id="merge",
        ),
        pytest.param("insert into north values (1) returning xmax", (1, 40), id="a partition with partitions"),
        pytest.param("insert into near values (1) returning xmax", None, id="a partition"),
        pytest.param("insert into pairs values (1) returning xmax", None, id="a plain table"),
        pytest.param("insert into sales values (1) returning ctid, tableoid", None, id="other system columns"),
        pytest.param("update sales set id = 2 where id = 1 returning xmax", None, id="update"),
        pytest.param(
            "merge into sales using pairs on pairs.id = sales.id when matched then delete returning sales.xmax",
            None,
            id="merge that inserts nothing",
        ),
        pytest.param(
            "insert into sales values (1) returning (select max(xmax::text) from pairs)", None, id="another table's"
        ),
    ],
)
def test_system_columns_of_partitioned_tables(tmp_path: Path, text: str, place: tuple[int, int] | None) -> None:
    """What the server refuses to return is found; what it returns is not called wrong."""
    folder = tmp_path / "migrations" / "shop"
    (folder / "schema").mkdir(parents=True)
    (folder / "schema" / "001_tables.sql").write_text(
        "create table pairs (id int); create table sales (id int) partition by list (id);"
        "create table north partition of sales default partition by list (id);"
        "create table near partition of north default;"
    )
    (folder / "010_it.sql").write_text(text)
    found = [each for each in project.lint(tmp_path, ["shop"]).findings if each.rule.id == "partitioned-xmax"]
    assert [(each.line, each.column) for each in found] == ([place] if place else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "create temp table q on commit drop as select id from a; create temp view v as select id from q;"
            "alter table q add column z int; update q set z = 1 where z is null;"
            "select v.id, q.z from v join q using (id);",
            [],
            id="view and column",
        ),
        pytest.param(
            "create temp table q on commit drop as select id, name from a; create view v (key) as select id from q;"
            "alter table q rename name to title; alter table q rename to r; select key, title from v, r;",
            [],
            id="renamed, and a view that is temporary by its table",
        ),
        pytest.param(
            "create temp table q on commit drop as select id, name from a;\nalter table q drop column name;\n"
            "select name from q;",
            [(3, "unknown-column")],
            id="dropped column",
        ),
        pytest.param("create temp view v as select id from a;", [(1, "temporary-table")], id="view of what stays"),
        pytest.param("create temp view v as select id from a; drop view v;", [], id="dropped view"),
        pytest.param(
            "create temp table q as select id from a; alter table q rename to r; drop table r;",
            [],
            id="dropped renamed",
        ),
        pytest.param(
            "create temp table q on commit drop as select 1 as x; drop table q;\ncreate temp table q as select 2 as y;"
            "select y from q;",
            [(2, "temporary-table")],
            id="two of a name",
        ),
        pytest.param(
            "alter table a add column size int; update a set size = 1 where size is null;", [], id="column of a table"
        ),
        pytest.param("alter table a rename to b; select id from b;", [], id="renamed table"),
        pytest.param(
            "drop table if exists a; create table a as select 1 as other; select other from a;", [], id="made anew"
        ),
        pytest.param("create or replace view v as select id from a;\nselect name from v;", [(2, "unknown-column")]),
    ],
)
def test_what_a_step_makes_and_alters(tmp_path: Path, text: str, expected: list[tuple[int, str]]) -> None:
    """What stands behind a statement knows what it made, renamed or dropped."""
    found = [(line, rule) for line, rule in _step(tmp_path, text + _METRICS) if rule != "uncounted-write"]
    assert found == expected


@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        pytest.param("create schema dw; create table dw.b (id int);", "select 1 from itemz;", True, id="public"),
        pytest.param("create schema dw;", "select 1 from dw.b;", True, id="schema"),
        pytest.param("create table dw.b (id int);", "select 1 from dw.c;", True, id="schema that is named"),
        pytest.param("create schema dw;", "select 1 from other.b;", False, id="another schema"),
        pytest.param("create schema dw create table b (id int);", "select 1 from c;", False, id="schema with tables"),
        pytest.param(
            "create schema dw; set local search_path to dw; create table b (x int);", "select 1 from dw.b;", False
        ),
        pytest.param("create schema dw; alter table a set schema dw;", "select id from dw.a;", False, id="moved"),
        pytest.param("create schema dw; alter table a set schema dw;", "select id from a;", True, id="moved away"),
        pytest.param("create sequence s;", "select last_value from s;", False, id="sequence"),
        pytest.param("create table b (id serial);", "select last_value from b_id_seq;", False, id="serial"),
    ],
)
def test_tables_of_schemas(tmp_path: Path, schema: str, text: str, expected: bool) -> None:
    """A table is unknown where the project says what is in its schema."""
    found = _step(tmp_path, text + _METRICS, f"{_SCHEMA} {schema}")
    assert [rule for _, rule in found] == ["unknown-table"] * expected


def test_files_nested_too_deep(tmp_path: Path) -> None:
    """What such a schema file makes, or such a step writes, nothing is said of."""
    deep = "select 1" + " + 1" * 1500
    files = {
        "p/schema/001_a.sql": _SCHEMA,
        "p/schema/002_b.sql": f"create table b (id int); create view c as {deep} as n;",
        "p/010_deep.sql": f"insert into a (id) {deep};",
        "p/020_a.sql": "select name from a; select n from c; select id from b;" + _METRICS,
        "p/030_last.sql": "insert into a (id) select 1 where false;" + _METRICS.replace("a_task", "last_task"),
    }
    assert _lint(tmp_path, files) == [("030_last.sql", 1, "uncounted-write")]
