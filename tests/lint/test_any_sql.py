"""Any SQL: lint never fails on what PostgreSQL parses, and never calls a name unknown that the server knows."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from runner import catalog as catalogs
from runner import sqltext, sqltree
from runner.catalog import Catalog
from runner.errors import ConfigError
from runner.lint import project, upserts
from runner.lint.source import Source
from runner.step import SqlFile

ROOT = Path(__file__).resolve().parents[2]
_FILES = [*sorted((ROOT / "migrations" / "zluri").rglob("*.sql")), *sorted((Path(__file__).parent).rglob("*.sql"))]
_UNUSUAL = """
select * from agents natural join roles; select j.* from (agents join roles using (name)) as j; table agents;
select count(*) over w from agents window w as (partition by status); values (1), (2) order by 1 limit all;
with x as (insert into agent_days values ('a', 'b') returning *) table x; select (agents).name from agents;
select * from rows from (generate_series(1, 2), unnest(array[1])) with ordinality as x(a, b, c);
update agents set (status, name) = (select 'active', 'b') where true; insert into agent_days default values;
merge into roles r using stg_roles s on r.role_id = s.role_id when matched then delete when not matched then do nothing;
with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) cycle n set c using p select * from t;
create view v as select * from agents; explain select 1; prepare p as select 1; do $$ begin end $$; call p();
create function f() returns int language sql return 1; copy (select 1) to '/x'; select $1; lock agents; listen x;
delete from agents using roles where true returning old.*, new.*; select 1 in (select 2), 1 = any (select 3);
select distinct on (1) name, status from agents order by 1, 2; select a[1].b from agents; select * from f(1) as (a int);
select array_agg(name order by name) from agents group by grouping sets ((status), ()); select xmin, ctid from agents;
alter table agents add column z int; create index on agents ((lower(name))); declare c cursor for select 1;
insert into pipeline_metrics default values; insert into pipeline_metrics select * from pipeline_metrics; vacuum;
select * from agents tablesample system (1) repeatable (2); create table t as execute p; truncate agents, roles;
"""
STATEMENTS = [s.text for text in (*(f.read_text() for f in _FILES), _UNUSUAL) for s in sqltext.split(text)]
_TOKENS = [[text[start:stop] for _, start, stop in sqltext.tokens(text)] for text in STATEMENTS]
_WORDS = sorted({token for tokens in _TOKENS for token in tokens if token.strip() and not token.startswith("--")})
_CONTROL = (
    "begin",
    "commit",
    "end",
    "start transaction",
    "rollback",
    "savepoint a",
    "begin read only",
    "copy roles from stdin",
)
_MANY = 2 * settings.default.max_examples
_NAMES = ("unknown-table", "unknown-column", "insert-width", "generated-column", "conflict-target")


@st.composite
def _sql(draw: st.DrawFn) -> str:
    """A statement in which some tokens are left out, or are others."""
    tokens = list(draw(st.sampled_from(_TOKENS)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(tokens) - 1))
        word = draw(st.sampled_from(["", *_WORDS]))
        tokens[at] = f" {word} "
    return "".join(tokens)


def _catalog() -> Catalog:
    found = catalogs.of_the_runner()
    for path in sorted((ROOT / "migrations" / "zluri" / "schema").glob("*.sql")):
        found.add(sqltree.parse(path.read_text()))
    return found


_CATALOG = _catalog()


def _linted(text: str) -> Source:
    source = Source(Path("010_agents.sql"), "010_agents.sql", "step")
    source.text = text
    try:
        source.statements = sqltree.parse(text)
    except sqltree.NotSql:
        assume(False)
    known = Catalog(**{each.name: copy.copy(getattr(_CATALOG, each.name)) for each in fields(Catalog)})
    project.examine(source, known)
    known.add(source.statements)
    return source


@settings(max_examples=_MANY, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.lists(_sql(), min_size=1, max_size=3))
def test_never_fails(statements: list[str]) -> None:
    """Whatever can be parsed can be linted."""
    for finding in _linted(";\n".join(statements)).findings:
        assert finding.message and finding.line >= 1 and finding.column >= 1


@pytest.fixture(scope="module")
def shared(server: object, template: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection to a migrated database in which nothing is changed."""
    name = server.create(template)  # type: ignore[attr-defined]
    with psycopg.connect(server.on(name), autocommit=True) as connection:  # type: ignore[attr-defined]
        yield connection
    server.drop(name)  # type: ignore[attr-defined]


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(text=_sql())
def test_names_that_the_server_knows(shared: psycopg.Connection[tuple[object, ...]], text: str) -> None:
    """A statement that the server prepares has no unknown name."""
    source = _linted(text)
    assume(len(source.statements) == 1)
    upserts.check(source)
    wrong = [finding.message for finding in source.findings if finding.rule.id in _NAMES]
    assume(wrong)
    with pytest.raises(psycopg.Error), shared.transaction(force_rollback=True):
        shared.execute(b"prepare checked as " + text.encode())


@settings(max_examples=_MANY, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.lists(st.one_of(_sql(), st.sampled_from(_CONTROL)), min_size=1, max_size=4))
def test_what_the_runner_refuses(statements: list[str]) -> None:
    """A file that the runner would refuse for its statements has an error."""
    text = ";\n".join(statements)
    source = _linted(text)
    assume(source.statements)  # of an empty file lint says so before it examines it
    file = SqlFile(Path("010_agents.sql"), "010_agents.sql", 10, "agents", text)
    try:
        refused = not file.statements
    except ConfigError:
        refused = True
    assume(refused)
    assert source.has("transaction-control", "client-copy", "syntax")


def test_deep_nesting() -> None:
    """What is nested deeper than a person writes is left to the server."""
    for text in (
        "select " + "(" * 900 + "1" + ")" * 900,
        "select " + "1 + " * 3000 + "1",
        "select " + "not " * 900 + "a",
    ):
        source = Source(Path("010_a.sql"), "010_a.sql", "step")
        source.text = text
        try:
            source.statements = sqltree.parse(text)
        except (sqltree.NotSql, RecursionError):
            continue
        project.examine(source, catalogs.of_the_runner())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "with " + ", ".join(f"c{i} as (select x + x as x, b and b as b from c{i - 1})" for i in range(1, 60))
            .replace("from c0", "from (select 1 as x, true as b) as o")
            + " insert into agent_days (day, day_key) select distinct on (x) x, x from c59 where b order by x, b",
            id="columns made from columns",
        ),
        pytest.param(
            "create temp table t (x int, y int) on commit drop; update t set x = y, y = x;"
            "insert into agent_days (day, day_key) select distinct on (x) x, y from t where x = y order by x, y",
            id="columns made from each other",
        ),
        pytest.param(
            "with recursive c(x, b) as (select 1, true union all select x, b from c where b and x < 3)"
            "insert into agent_days (day, day_key) select distinct on (x) x, b from c where b order by x, b",
            id="a recursive expression",
        ),
    ],
)  # fmt: skip
def test_circles(text: str) -> None:
    """What is made from itself, over and over, is looked at once."""
    source = _linted(text)
    assert source.has("no-metrics") and not source.has("unknown-column")
