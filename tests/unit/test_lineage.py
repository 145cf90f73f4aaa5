"""Where columns come from: every column of the shipped steps, and every way in which SQL moves values."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from runner import cli, config, project, sqltree
from runner.errors import UsageError
from runner.lineage import columns, show
from runner.lineage.changes import Assignment, Changes
from runner.lineage.columns import Lineage
from runner.lineage.values import Origin

ROOT = Path(__file__).parents[2]
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "lineage_expected.toml").read_text(encoding="utf-8")
)
COLUMNS = [(table, column) for table, found in EXPECTED.items() for column in found]
STATEMENTS = (Path(__file__).parent / "lineage_statements.sql").read_text(encoding="utf-8").splitlines()[1:]
SCHEMA = """
create table src (id int, a text, b text, doc jsonb, list int[]);
create table other (id int, a text, x text);
create table target (id int primary key, a text, b text, c text default 'c');
create table filled (id int generated always as identity, n serial, a text default 'new', t timestamptz default now());
create function looked_up(wanted int) returns text language sql stable as 'select x from other where id = wanted';
create function doubled(a text) returns text language sql return a || a;
create function found(wanted int) returns table (n int, s text) language sql as 'select id, a from other';
create table given (
    id int, a text, b numeric default 7,

    c text default
        upper(current_setting('app.day')),
    d text default current_setting('app.day')
);
create table whole (id int, a text, b text default 'b', d text) partition by list (a);
create table part partition of whole for values in ('a') partition by range (id);
create table inner_part partition of part default;
create table attached (d text, b text, a text, id int);
alter table whole attach partition attached default;
create table parent (id int);
create table child (x int) inherits (parent);
create materialized view kept as select id, upper(a) as shown from whole;
create view seen as select id, upper(a) as shown from src;
"""


def read(root: Path) -> Lineage:
    """Return the lineage of the project in a folder."""
    settings = config.load({"project": str(root)}, environ={})
    return columns.read(settings, project.discover(settings))


@pytest.fixture(scope="module")
def shipped() -> Lineage:
    """The lineage of the shipped steps."""
    return read(ROOT)


@pytest.fixture
def of(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return what the columns of `target` come from in the end, for a step of this text: `~` where computed."""

    def found(text: str, table: str = "target", names: Sequence[str] = ()) -> dict[str, str]:
        folder = tmp_path / "migrations" / "p"
        (folder / "schema").mkdir(parents=True)
        (folder / "schema" / "001_tables.sql").write_text(SCHEMA, encoding="utf-8")
        (folder / "010_step.sql").write_text(text, encoding="utf-8")
        lineage = read(tmp_path)
        return {
            name: " ".join(sorted(f"{'' if copied else '~'}{origin}" for origin, copied in origins.items()))
            for name in names or lineage.tables[table]
            if (origins := lineage.sources(Origin("column", name, table)))
        }

    return found


def expected(table: str, column: str) -> dict[str, bool]:
    """Return source -> whether it is copied, as the table of expected lineage has it."""
    wanted = EXPECTED[table][column]
    if isinstance(wanted, list):
        return dict.fromkeys(wanted, True)
    if "hashes" in wanted:
        return {source: False for name in wanted["hashes"] for source in expected(table, name)}
    return dict.fromkeys(wanted["computed"], False)


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[f"{table}.{column}" for table, column in COLUMNS])
def test_every_column_of_the_shipped_steps(shipped: Lineage, table: str, column: str) -> None:
    """Each column comes from just what the SQL, the declarations and the rules of the pipeline say."""
    found = shipped.sources(Origin("column", column, table))
    assert {str(origin).removeprefix("field "): copied for origin, copied in found.items()} == expected(table, column)


def test_no_column_is_left_out(shipped: Lineage) -> None:
    """The expectations name every column of every table that a step fills, and no names are unresolved."""
    assert {table: set(shipped.tables[table]) for table in shipped.final} == {
        table: set(found) for table, found in EXPECTED.items()
    }
    assert [edge for edge in shipped.edges() if edge.origin.kind == "unknown"] == []
    assert shipped.gaps == {}


def test_expressions_are_where_they_are_said_to_be(shipped: Lineage) -> None:
    """The line of an edge holds the expression: the function's name, `case`, an operator."""
    edges = [edge for edge in shipped.edges() if edge.by == "040_transactions" and edge.line]
    lines = (ROOT / "migrations/zluri/040_transactions.sql").read_text(encoding="utf-8").splitlines()
    assert edges
    for edge in edges:
        first = re.match(r"\w+", edge.expression)
        assert first and first.group().lower() in lines[edge.line - 1].lower(), edge


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("insert into target (id, a) select id, a from src", {"id": "src.id", "a": "src.a"}, id="insert"),
        pytest.param("insert into target select * from src", {"c": "src.doc", "a": "src.a"}, id="star by place"),
        pytest.param(
            "insert into target (b, a) select s.a, s.b from src as s", {"b": "src.a", "a": "src.b"}, id="alias"
        ),
        pytest.param(
            "insert into target (id, a) values (1, 'x'), (2, 'y')", {"a": "constant 'x' constant 'y'"}, id="values"
        ),
        pytest.param("insert into target (a) select a || '-' || b from src", {"a": "~src.a ~src.b"}, id="expression"),
        pytest.param(
            "insert into target (a, b) select 'x', 'y'", {"a": "constant 'x'", "b": "constant 'y'"}, id="no names"
        ),
        pytest.param(
            "insert into target (a) select coalesce(a, 'none') from src",
            {"a": "~constant 'none' ~src.a"},
            id="coalesce",
        ),
        pytest.param(
            "insert into target (a) select case when id > 1 then b end from src", {"a": "~src.b ~src.id"}, id="case"
        ),
        pytest.param("insert into target (id) select a::int from src", {"id": "~src.a"}, id="cast"),
        pytest.param('insert into target (a) select a collate "C" from src', {"a": "src.a"}, id="collation"),
        pytest.param(
            "insert into target (a) select (select x from other where other.id = src.id) from src",
            {"a": "other.x"},
            id="scalar subquery",
        ),
        pytest.param("insert into target (id) select count(*) from src", {"id": "function count(*)"}, id="count"),
        pytest.param("insert into target (a) select now()", {"a": "function now()"}, id="clock"),
        pytest.param(
            "with t as (select a as z from src) insert into target (a) select z from t", {"a": "src.a"}, id="cte"
        ),
        pytest.param(
            "with t (z) as (select b from src) insert into target (a) select z from t",
            {"a": "src.b"},
            id="named columns",
        ),
        pytest.param(
            "with src as (select x as a from other) insert into target (a) select a from src",
            {"a": "other.x"},
            id="a cte hides a table",
        ),
        pytest.param(
            "with src as (select b as a from src) insert into target (a) select a from src",
            {"a": "src.b"},
            id="a cte over its table",
        ),
        pytest.param(
            "with gone as (delete from src where id = 1 returning a) insert into target (a) select a from gone",
            {"a": "src.a"},
            id="returning",
        ),
        pytest.param(
            "with recursive t as (select id, a from src union select t.id, other.x from t join other using (id))"
            " insert into target (id, a) select * from t",
            {"id": "src.id", "a": "other.x src.a"},
            id="recursive",
        ),
        pytest.param(
            "insert into target (a) select a from src union all select x from other", {"a": "other.x src.a"}, id="union"
        ),
        pytest.param(
            "insert into target (id, a, b) select * from src join other using (id, a)",
            {"id": "src.id", "a": "src.a", "b": "src.b"},
            id="using comes first",
        ),
        pytest.param(
            "insert into target (a) select a from src full join other using (a)", {"a": "other.a src.a"}, id="full join"
        ),
        pytest.param(
            "insert into target (a) select l.y from src"
            " cross join lateral (select src.b || other.x as y from other) as l",
            {"a": "~other.x ~src.b"},
            id="lateral",
        ),
        pytest.param(
            "insert into target (id) select n from src cross join unnest(list) as u (n)",
            {"id": "~src.list"},
            id="unnest",
        ),
        pytest.param(
            "insert into target (a) select r.a from jsonb_to_recordset((select jsonb_agg(to_jsonb(s)) from src as s))"
            " as r (a text, b text)",
            {"a": "src.a"},
            id="rows through a document",
        ),
        pytest.param(
            "insert into target (a) select to_jsonb(s) ->> 'b' from src as s",
            {"a": "src.b"},
            id="a field of a document",
        ),
        pytest.param(
            "insert into target (a) select doc ->> 'b' from src", {"a": "~src.doc"}, id="a document that is stored"
        ),
        pytest.param("insert into target (a) select (s).b from src as s", {"a": "src.b"}, id="a field of a row"),
        pytest.param(
            "insert into target (a) select first_value(a) over w from src window w as (order by b)",
            {"a": "~src.a ~src.b"},
            id="window",
        ),
        pytest.param(
            "insert into target (id, a) select id, a from src"
            " on conflict (id) do update set a = excluded.a, b = target.a",
            {"a": "src.a", "b": "src.a"},
            id="on conflict",
        ),
        pytest.param(
            "insert into target (id) select id from src on conflict (id) do update set a = excluded.b",
            {"a": "constant null"},
            id="what was not offered",
        ),
        pytest.param("update target set a = src.b from src where src.id = target.id", {"a": "src.b"}, id="update from"),
        pytest.param(
            "update target set (a, b) = (select x, upper(x) from other where other.id = target.id)",
            {"a": "other.x", "b": "~other.x"},
            id="several at once",
        ),
        pytest.param(
            "merge into target using src on target.id = src.id when matched then update set a = src.b"
            " when not matched then insert (id, b) values (src.id, 'new')",
            {"id": "src.id", "a": "src.b", "b": "constant 'new'"},
            id="merge",
        ),
        pytest.param(
            "create temporary table t on commit drop as select id, a as z from src;"
            " insert into target (id, a) select * from t",
            {"id": "src.id", "a": "src.a"},
            id="temporary table",
        ),
        pytest.param(
            "create temp table t (like src); insert into t select * from src; update t set a = 'x';"
            " insert into target (a) select a from t",
            {"a": "constant 'x' src.a"},
            id="temporary table that is filled",
        ),
        pytest.param(
            "create temp table src as select x as a from other; insert into target (a) select a from src",
            {"a": "other.x"},
            id="a temporary table hides a table",
        ),
        pytest.param("insert into target (a) select shown from seen", {"a": "~src.a"}, id="view"),
        pytest.param(
            "insert into target (a) select t.anything from nowhere as t", {"a": "nowhere.anything"}, id="unknown table"
        ),
        pytest.param(
            "insert into target (a) select current_setting('app.day')", {"a": "setting app.day"}, id="setting"
        ),
        pytest.param(
            "insert into target (id, a) select s.id, case when o.id is null then 'no' else 'yes' end"
            " from src as s left join (select id from other where x = 'x') as o on o.id = s.id",
            {"a": "~constant 'no' ~constant 'yes' ~other.id ~other.x"},
            id="whether a row was found",
        ),
        pytest.param(
            "insert into target (a) select looked_up(id) from src", {"a": "~other.x ~src.id"}, id="function that reads"
        ),
        pytest.param("insert into target (a) select doubled(b) from src", {"a": "~src.b"}, id="function"),
        pytest.param(
            "insert into target (id, a) select f.* from src cross join found(src.id) as f",
            {"id": "~other.id ~src.id", "a": "~other.a ~src.id"},
            id="function that returns rows",
        ),
        pytest.param("delete from target using src where target.id = src.id", {}, id="delete"),
        pytest.param("copy target (a) from '/file'", {"a": "function copy"}, id="copy"),
        pytest.param("selec 1", {}, id="no SQL"),
    ],
)
def test_ways_of_values(of: Callable[..., dict[str, str]], text: str, wanted: dict[str, str]) -> None:
    """A value is followed to where it was before any step, as it is or worked on."""
    found = of(text)
    assert {name: found.get(name) for name in wanted} == wanted
    assert wanted or not found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("insert into target (id) select id from src where a = 'x'", "~src.a", id="where"),
        pytest.param(
            "insert into target (id) select src.id from src join other on other.x = b", "~other.x ~src.b", id="join"
        ),
        pytest.param(
            "insert into target (id) select id as n from src where b = '' order by n limit 1",
            "~src.b ~src.id",
            id="limit",
        ),
        pytest.param(
            "with t as (select id from src where a = 'x') insert into target (id) table t", "~src.a", id="cte"
        ),
        pytest.param(
            "create temp table t as select id from src where a = 'x'; insert into target (id) select id from t",
            "~src.a",
            id="temporary table",
        ),
        pytest.param("update target set a = 'x' where b = 'y'", "~target.b", id="update"),
        pytest.param("delete from target using src where target.id = src.id", "~src.id ~target.id", id="delete"),
        pytest.param(
            "insert into target (id) select id from src"
            " on conflict (id) do update set a = 'x' where target.b < excluded.id::text",
            "~src.id ~target.b",
            id="guard",
        ),
        pytest.param(
            "merge into target using src on target.id = src.id when matched and src.a = 'x' then delete",
            "~src.a ~src.id ~target.id",
            id="merge",
        ),
        pytest.param("insert into target (id) select id from src", None, id="all rows"),
    ],
)
def test_which_rows(of: Callable[..., dict[str, str]], text: str, wanted: str | None) -> None:
    """Conditions decide which rows a table has, and are no source of its values."""
    assert of(text, names=["*"]).get("*") == wanted


@pytest.mark.parametrize("text", STATEMENTS)
def test_any_statement_is_read(text: str) -> None:
    """Nothing that PostgreSQL parses is too much, and every name that is there is found."""
    found: list[Assignment] = []
    tables = {"src": ["id", "a", "b", "doc", "list"], "t": ["id", "a", "b"]}
    (tree,) = sqltree.parse(text)
    Changes("010_step", tables, {}, found.append).read(tree.node)
    assert [origin for each in found for origin in each.value.origins if origin.kind == "unknown"] == []


def test_defaults_are_sources(of: Callable[..., dict[str, str]]) -> None:
    """A column that an insert leaves out comes from its default, one that it names does not."""
    assert of("insert into filled (t) select id::text::timestamptz from src", table="filled") == {
        "id": "function sequence",
        "n": "function sequence",
        "a": "constant 'new'",
        "t": "~src.id",
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(
            "merge into given using src as s on given.id = s.id"
            " when not matched then insert (id, a) values (s.id, s.a)",
            {"a": "src.a", "b": "constant 7", "c": "~setting app.day", "d": "setting app.day"},
            id="merge",
        ),
        pytest.param(
            "merge into given using src on given.id = src.id when matched then update set b = default, a = default",
            {"a": "constant null", "b": "constant 7"},
            id="merge, set",
        ),
        pytest.param("update given set c = default, a = default", {"a": "constant null", "c": "~setting app.day"}),
        pytest.param(
            "insert into given (a, b, c, d) values ('x', default, 'y', 'z'), (default, 2, 'y', 'z')",
            {"a": "constant 'x'", "b": "constant 2 constant 7", "c": "constant 'y'"},
            id="values",
        ),
        pytest.param(
            "insert into given (id, a, b) select id, a, id from src on conflict (id) do update set b = default",
            {"b": "constant 7 src.id"},
            id="on conflict",
        ),
    ],
)
def test_the_word_default(of: Callable[..., dict[str, str]], text: str, wanted: dict[str, str]) -> None:
    """A default that is written out, or used by a merge, is that of its column; null where it has none."""
    found = of(text, "given")
    assert {name: found.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(
            "insert into part (id, a) select id, a from src", {"id": "src.id", "b": "constant 'b'"}, id="part"
        ),
        pytest.param("insert into inner_part select id, a, b from src", {"a": "src.a", "b": "src.b"}, id="of a part"),
        pytest.param("insert into attached select b from src", {"d": "src.b"}, id="with columns in another order"),
        pytest.param(
            "create table more partition of whole for values in ('m'); insert into more (id) select id from src",
            {"id": "src.id"},
            id="made by the step",
        ),
        pytest.param(
            "merge into whole using src on whole.id = src.id when not matched then insert (id) values (src.id)",
            {"id": "src.id"},
            id="merge into the whole",
        ),
    ],
)
def test_partitions_are_their_table(of: Callable[..., dict[str, str]], text: str, wanted: dict[str, str]) -> None:
    """The columns of a partition are those of its table, whichever of both a statement names."""
    found = of(text, "whole")
    assert {name: found.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    "text",
    [
        "insert into part (id) select 1",
        "merge into whole using src on false when not matched then insert (id) values (src.id)",
        "insert into child select 1",
        "create table side (id int)",
        "alter table target add column more int",
        "refresh materialized view kept",
        "drop table other",
    ],
)
def test_what_a_statement_names_is_followed(tmp_path: Path, text: str) -> None:
    """Of a table that a step writes, makes or alters by name it is not said that a block does."""
    folder = tmp_path / "migrations" / "p"
    (folder / "schema").mkdir(parents=True)
    (folder / "schema" / "001_tables.sql").write_text(SCHEMA, encoding="utf-8")
    (folder / "010_step.sql").write_text(text, encoding="utf-8")
    lineage = read(tmp_path)
    assert lineage.gaps == {}
    assert lineage.column("inner_part.id") == Origin("column", "id", "whole")


def test_an_expression_is_shown_where_it_stands(tmp_path: Path) -> None:
    """That of a default in its schema file, and what has no place of its own in the line of its first part."""
    folder = tmp_path / "migrations" / "p"
    (folder / "schema").mkdir(parents=True)
    (folder / "schema" / "001_tables.sql").write_text(SCHEMA, encoding="utf-8")
    (folder / "010_step.sql").write_text(
        "select 1;\ninsert into given (id, a)\nselect\n    id,\n    (doc).a\nfrom src", encoding="utf-8"
    )
    lineage = read(tmp_path)
    (default,) = lineage.into(Origin("column", "c", "given"))
    line = 1 + SCHEMA[: SCHEMA.index("upper(current_setting")].count("\n")
    assert (default.by, default.line, default.expression) == (
        "001_tables", line, "upper(current_setting('app.day'))",
    )  # fmt: skip
    (field,) = lineage.into(Origin("column", "a", "given"))
    assert (field.by, field.line) == ("010_step", 5)


def test_what_is_not_followed_is_named(tmp_path: Path) -> None:
    """A table that a block writes has no lineage, and the step is told."""
    folder = tmp_path / "migrations" / "p"
    (folder / "schema").mkdir(parents=True)
    (folder / "schema" / "001_tables.sql").write_text(SCHEMA, encoding="utf-8")
    (folder / "010_step.sql").write_text("do $$ begin insert into target select 1; end $$", encoding="utf-8")
    lineage = read(tmp_path)
    assert lineage.gaps == {"010_step": ["target"]}
    assert lineage.final == ["target"]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        pytest.param("target.x", "warning: 010_step writes target in a block or function, which is not followed\n"),
        pytest.param("src.x", "src.x: none of the steps, schema files and declarations fills it\n"),
    ],
)
def test_a_column_of_a_block(tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str, said: str) -> None:
    """Of a column that only a block fills one thing is said; a block that only reads its table is not named."""
    folder = tmp_path / "migrations" / "p"
    (folder / "schema").mkdir(parents=True)
    (folder / "schema" / "001_tables.sql").write_text("create table src (x int); create table target (x int);")
    (folder / "010_step.sql").write_text("do $$ begin insert into target select src.x from src; end $$")
    assert cli.main(["lineage", "--project", str(tmp_path), "--pipeline", "p", "--column", column]) == 0
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("agents.emial", "agents.email", id="column"),
        pytest.param("agent.email", "agents.email", id="table"),
        pytest.param("email", "agents.email", id="no table"),
        pytest.param("zzzz.q", "Tables: agents", id="nothing like it"),
    ],
)
def test_unknown_columns(shipped: Lineage, name: str, hint: str) -> None:
    """What is meant is said."""
    with pytest.raises(UsageError) as caught:
        shipped.column(name)
    assert hint in str(caught.value.hint)


def test_columns_by_name(shipped: Lineage) -> None:
    """A column may be named with its schema; so may one of a temporary table."""
    assert shipped.column("public.agents.email") == Origin("column", "email", "agents")
    assert shipped.column("rates.minor_unit") == Origin("column", "minor_unit", "rates", "040_transactions")


@pytest.mark.parametrize("name", ['"Mart"."Item. Prices"."Made At"', "Mart.Item. Prices.Made At"])
def test_columns_in_quotes(tmp_path: Path, name: str) -> None:
    """A column may be named as SQL spells it, or as lineage prints it; what is not quoted is in lower case."""
    folder = tmp_path / "migrations" / "p"
    (folder / "schema").mkdir(parents=True)
    (folder / "schema" / "001_tables.sql").write_text(
        'create table "Mart"."Item. Prices" ("Made At" text); create table plain (id int);', encoding="utf-8"
    )
    (folder / "010_step.sql").write_text('insert into "Mart"."Item. Prices" values (1)', encoding="utf-8")
    lineage = read(tmp_path)
    assert lineage.column(name) == Origin("column", "Made At", "Mart.Item. Prices")
    assert lineage.column("PLAIN.Id") == Origin("column", "id", "plain")


MERMAID = re.compile(
    r"flowchart LR|    subgraph g\d+\[\"[^\"]+\"\]|    end"
    r"|(    |        )[nst]\d+(\[\"[^\"]+\"\]|\(\[\"[^\"]+\"\]\)|\[\(\"[^\"]+\"\)\])"
    r"|    [nst]\d+ (-->|-\.->|==>)(\|\"[^\"]+\"\|)? [nst]\d+"
)


@pytest.mark.parametrize("column", [None, "transactions.fx_source", "groups.inactive", "agents.email"])
def test_mermaid(shipped: Lineage, column: str | None) -> None:
    """Every line is one of the flowchart's few forms, every arrow joins nodes that were named before."""
    chart = show.step_chart(shipped) if column is None else show.column_chart(shipped, shipped.column(column))
    named: set[str] = set()
    for line in chart.splitlines():
        assert MERMAID.fullmatch(line), line
        if "->" in line or "==>" in line:
            assert set(re.findall(r"\b[nst]\d+\b", re.sub(r'"[^"]*"', "", line))) <= named
        else:
            named |= set(re.findall(r"^ +([nst]\d+)", line))
    assert len(named) > 1


SHOWN = (ROOT / "docs" / "lineage.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [*re.findall(r"^\$ runner (.+)$", SHOWN, re.MULTILINE), "lineage --column cards.last_four --format mermaid"],
)
def test_the_page_shows_what_is_printed(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The output on the page is that of today."""
    assert cli.main([*arguments.split(), "--project", str(ROOT)]) == 0
    assert capsys.readouterr().out.rstrip() in SHOWN


def test_labels_are_text() -> None:
    """What would end a label or begin a character's name is written by its name."""
    assert show._label('a "b" #1 <c> &d') == "a #quot;b#quot; #35;1 #lt;c#gt; #amp;d"


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Text, JSON and errors of the command, without a server."""
    project_flag = ["--project", str(ROOT)]
    assert cli.main(["lineage", *project_flag]) == 0
    assert re.search(r"^020_groups +after +010_agents$", capsys.readouterr().out, re.MULTILINE)
    assert cli.main(["lineage", *project_flag, "--column", "agents.email"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "agents.email"
    assert re.search(r"field agents: contact.email +copied +load agents$", out, re.MULTILINE)
    assert cli.main(["lineage", *project_flag, "--column", "cards.last_four", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["sources"] == [{"kind": "field", "entity": "cards", "name": "lastFour", "how": "copied"}]
    assert cli.main(["lineage", *project_flag, "--format", "json"]) == 0
    assert {"pipeline", "steps", "marts", "columns", "edges"} == json.loads(capsys.readouterr().out).keys()
    assert cli.main(["lineage", *project_flag, "--column", "agents.emial"]) == 2
    assert "Did you mean agents.email" in capsys.readouterr().err
