"""One thing written in several ways: the right ones are not called wrong, and the slip in each is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.lint import project

SCHEMA = """
create table stg_items (
    day text not null, source_file text not null, position bigint not null, item_id bigint, sku text, name text,
    updated_at timestamptz
);
create table items (item_id bigint primary key, sku text not null unique, name text, updated_at timestamptz);
create table totals (sku text constraint sku_of_totals primary key, n bigint not null);
create table sales (order_id bigint not null, region text not null) partition by list (region);
create table north partition of sales for values in ('north', 'arctic');
create table rest partition of sales default;
create table log (item_id bigint, day text, what text);
create table days (day text primary key, day_key text not null);
create table spans (item_id bigint, valid_from text);
create function day_order(day text) returns text language sql immutable return lower(day);
"""
METRICS = """
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_updated, rows_deleted, rows_affected,
    status, started_at, finished_at, duration_seconds
)
select
    current_setting('app.flow_run_id'), 'step_task', 'p', 'items', current_setting('app.day'), inserted, updated,
    deleted, inserted + updated + deleted, 'success', now(), finished_at, extract(epoch from finished_at - now())
from (select counts.*, clock_timestamp() as finished_at from counts) as finished;
"""
ADDED = "counts as (select count(*) as inserted, 0 as updated, 0 as deleted from added)" + METRICS
MERGED = """
with merged as (
    merge into totals as target
    using (select sku, count(*) as n from items group by sku) as source on source.sku = target.sku
    when matched and target.n <> source.n then update set n = source.n
    when not matched then insert (sku, n) values (source.sku, source.n)
    returning merge_action() as action
),
counts as (
    select
        count(*) filter (where action = '{}') as inserted, count(*) filter (where action = '{}') as updated,
        0 as deleted
    from merged
)
"""
UPSERT = """
with written as (
    insert into totals as target (sku, n) select sku, count(*) from items group by sku
    on conflict {} do update set n = excluded.n where target.n <> excluded.n
    returning (xmax = 0) as inserted
),
"""
BY_KIND = """
kinds as (select inserted as is_new, count(*) as n from written group by inserted),
counts as (
    select
        coalesce((select n from kinds where is_new), 0) as inserted,
        coalesce((select n from kinds where not is_new), 0) as updated, 0 as deleted
)
"""
BY_FILTER = """
counts as (
    select
        count(*) filter (where inserted) as inserted, count(*) filter (where not inserted) as updated, 0 as deleted
    from written
)
"""
UPDATE = """
create temporary table newest on commit drop as
select distinct on (item_id) item_id, name, updated_at from stg_items where day = current_setting('app.day')
order by item_id, updated_at desc nulls last, source_file desc, position desc;
with changed as (
    update items set name = newest.name, updated_at = {} from newest
    where newest.item_id = items.item_id and newest.name is distinct from items.name and {}
    returning 1
),
counts as (select 0 as inserted, count(*) as updated, 0 as deleted from changed)
"""
# What the day before this one may not undo: the step is of the latest day, or of none.
SNAPSHOT = """
create temporary table newest on commit drop as
select distinct on (item_id) item_id, name, updated_at from stg_items where day = current_setting('app.day')
order by item_id, updated_at desc nulls last, source_file desc, position desc;
with context as (
    select current_setting('app.day') as day, day_order(current_setting('app.day')) as day_key, {} as is_latest
),
changes as (
    select item_id, newest.name, newest.updated_at, stored.item_id is null as is_new, newest.item_id is null as is_gone
    from newest full join items as stored using (item_id)
    where {} and (newest.item_id, newest.name) is distinct from (stored.item_id, stored.name)
),
changed as (
    update items set name = changes.name, updated_at = changes.updated_at from changes
    where changes.item_id = items.item_id and not is_new and not is_gone
    returning 1
),
counts as (select 0 as inserted, count(*) as updated, 0 as deleted from changed)
"""
USED = "(select is_latest from context)"
OF_THE_LATEST_DAY = [
    ("not exists (select from days where day_key > day_order(current_setting('app.day')))", USED),
    ("not exists (select from days where day_order(current_setting('app.day')) < day_order(days.day))", USED),
    ("not exists (select from days where not day_key <= day_order(current_setting('app.day')))", USED),
    ("exists (select from days where day_key > day_order(current_setting('app.day')))", f"not {USED}"),
    ("(select max(day_key) from days) <= day_order(current_setting('app.day'))", USED),
    ("coalesce((select max(day_key) from days) <= day_order(current_setting('app.day')), true)", USED),
    ("(select coalesce(max(day_key), '') <= day_order(current_setting('app.day')) from days)", USED),
    ("day_order(current_setting('app.day')) >= (select day_key from days order by day_key desc limit 1)", USED),
    ("day_order(current_setting('app.day')) = (select max(day_key) from days)", USED),
    ("day_order(current_setting('app.day')) >= all (select day_key from days)", USED),
    ("not day_order(current_setting('app.day')) < any (select day_key from days)", USED),
    ("(select count(*) from days where day_key > day_order(current_setting('app.day'))) = 0", USED),
    ("true", "not exists (select from days, context where days.day_key > context.day_key)"),
    ("true", "exists (select from context where not exists (select from days where days.day_key > context.day_key))"),
    ("true", "(select day_key >= (select max(days.day_key) from days) from context)"),
    (
        "(select max(day_key) from days)",
        "(select is_latest is null or is_latest <= day_key from context)",
    ),
]
OF_ANY_DAY = [
    ("not exists (select from days where day_key > day_order(current_setting('app.day')))", "true"),
    ("not exists (select from days where day_key < day_order(current_setting('app.day')))", USED),
    ("exists (select from days where day_key > day_order(current_setting('app.day')))", USED),
    ("day_order(current_setting('app.day')) <> (select max(day_key) from days)", USED),
    ("(select max(day_key) from days) >= day_order(current_setting('app.day'))", USED),
    ("true", "(select max(day_key) from days where day = newest.name) <= current_setting('app.day')"),
    ("(select min(day_key) from days) <= day_order(current_setting('app.day'))", USED),
    ("not exists (select from stg_items where day > current_setting('app.day'))", USED),
    ("not exists (select from days where day = current_setting('app.day'))", USED),
    ("true", "exists (select from spans where valid_from <= current_setting('app.day'))"),
    (
        "true",
        "not exists (select from spans where item_id = stored.item_id and valid_from > current_setting('app.day'))",
    ),
    ("true", f"({USED} or newest.name <> '')"),
]
UPSERT_OF_DAY = """
with changed as (
    insert into items as target (item_id, sku, name, updated_at)
    select distinct on (item_id) item_id, sku, name, updated_at from stg_items
    where day = current_setting('app.day') and {}
    order by item_id, updated_at desc nulls last, source_file desc, position desc
    on conflict (item_id) do update set name = excluded.name, updated_at = excluded.updated_at
    where target.name is distinct from excluded.name
    returning (xmax = 0) as inserted
),
counts as (
    select
        count(*) filter (where inserted) as inserted, count(*) filter (where not inserted) as updated, 0 as deleted
    from changed
)
"""
SALES = """
with sold as (insert into {} (order_id, region) select item_id, {} from stg_items returning 1),
sums as (select count(*) as n from {}),
added as (
    insert into log (item_id, day, what) select n, '', '' from sums where not exists (select from log) returning 1
),
counts as (
    select (select count(*) from sold) + (select count(*) from added) as inserted, 0 as updated, 0 as deleted
)
"""
LOGGED = "with added as (insert into log (item_id, day, what) {} where not exists (select from log) returning 1),"


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., set[str]]:
    """Return the rules that a step breaks."""

    def lint(text: str, name: str = "010_step.sql") -> set[str]:
        folder = tmp_path / "migrations" / "p"
        for part in ("schema", "checks"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "schema" / "001_tables.sql").write_text(SCHEMA)
        (folder / name).write_text(text)
        return {finding.rule.id for finding in project.lint(tmp_path, ["p"]).findings if finding.file.endswith(name)}

    return lint


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        pytest.param(MERGED.format("INSERT", "UPDATE") + METRICS, set(), id="merge_action"),
        pytest.param(MERGED.format("UPDATE", "INSERT") + METRICS, {"metrics-kind"}, id="merge_action, swapped"),
        pytest.param(UPSERT.format("(sku)") + BY_KIND + METRICS, set(), id="counted by kind"),
        pytest.param(UPSERT.format("on constraint sku_of_totals") + BY_FILTER + METRICS, set(), id="constraint"),
        pytest.param(
            "with newest as (select distinct on (sku) * from items order by sku), "
            + LOGGED.removeprefix("with ").format("select item_id, '', name from newest")
            + ADDED,
            set(),
            id="distinct on a key",
        ),
        pytest.param(
            "with newest as (select distinct on (name) * from items order by name), "
            + LOGGED.removeprefix("with ").format("select item_id, '', name from newest")
            + ADDED,
            {"distinct-on-order"},
            id="distinct on no key",
        ),
        pytest.param(
            "with newest as (select distinct on (i.sku) l.* from items i join log l using (item_id) order by i.sku), "
            + LOGGED.removeprefix("with ").format("select item_id, '', what from newest")
            + ADDED,
            {"distinct-on-order"},
            id="distinct on a key of one side",
        ),
        pytest.param(
            "with each as (select sku, max(updated_at) as u from stg_items group by 1), "
            "newest as (select distinct on (sku) sku, u from each order by sku), "
            + LOGGED.removeprefix("with ").format("select 1, '', sku || u from newest")
            + ADDED,
            set(),
            id="distinct on what is grouped",
        ),
        pytest.param(
            "with each as (select sku, name, max(updated_at) as u from stg_items group by sku, name), "
            "newest as (select distinct on (sku) sku, u from each order by sku), "
            + LOGGED.removeprefix("with ").format("select 1, '', sku || u from newest")
            + ADDED,
            {"distinct-on-order"},
            id="distinct on less than is grouped",
        ),
        pytest.param(
            LOGGED.format("select item_id, '', extract(year from age(updated_at))::text from items") + ADDED,
            {"clock-in-data"},
            id="age of today",
        ),
        pytest.param(
            LOGGED.format("select item_id, '', age(updated_at, timestamptz '2026-01-01')::text from items") + ADDED,
            set(),
            id="age of a date",
        ),
        pytest.param(
            LOGGED.format("select item_id, 'today'::date::text, '' from items") + ADDED, {"clock-in-data"}, id="'today'"
        ),
        *(
            pytest.param(UPDATE.format(value, guard) + METRICS, rules, id=f"update of {value}, {guard}")
            for value, guard, rules in (
                ("newest.updated_at", "true", {"no-recency-guard"}),
                ("newest.updated_at", "newest.updated_at >= items.updated_at", set()),
                ("newest.updated_at", "(items.updated_at <= newest.updated_at) is not false", set()),
                ("greatest(newest.updated_at, items.updated_at)", "true", set()),
                ("newest.updated_at", "items.updated_at is null", set()),
                ("newest.updated_at", "items.updated_at = newest.updated_at", set()),
                ("newest.updated_at", "(items.updated_at is null or items.name <> '')", {"no-recency-guard"}),
            )
        ),
        *(
            pytest.param(SNAPSHOT.format(is_latest, where) + METRICS, rules, id=f"{is_latest}, where {where}")
            for guards, rules in ((OF_THE_LATEST_DAY, set()), (OF_ANY_DAY, {"no-recency-guard"}))
            for is_latest, where in guards
        ),
        *(
            pytest.param(UPSERT_OF_DAY.format(where) + METRICS, rules, id=f"upsert where {where}")
            for where, rules in ((OF_THE_LATEST_DAY[0][0], set()), ("true", {"no-recency-guard"}))
        ),
        *(
            pytest.param(SALES.format(into, region, read) + METRICS, rules, id=f"{region} into {into}, {read} is read")
            for into, region, read, rules in (
                ("north", "'north'", "sales", {"sibling-read"}),
                ("sales", "'north'", "north", {"sibling-read"}),
                ("sales", "sku", "rest", {"sibling-read"}),
                ("sales", "'south'", "north", set()),
                ("sales", "'south'", "rest", set()),
                ("north", "'north'", "rest", set()),
            )
        ),
        pytest.param(
            UPSERT.format("on constraint sku_of_total") + BY_FILTER + METRICS, {"conflict-target"}, id="no constraint"
        ),
        pytest.param(LOGGED.format("select item_id, 'now'::text, '' from items") + ADDED, set(), id="the word now"),
    ],
)
def test_steps(found: Callable[..., set[str]], text: str, rules: set[str]) -> None:
    """Merges, upserts, keys, clocks and partitions."""
    assert found(text) == rules


def test_data_of_a_copy(found: Callable[..., set[str]]) -> None:
    """Of a copy from the client only that is said, at its own place, and nothing of the data behind it."""
    assert found("copy log (item_id, day) from stdin;\n4\tday1\n\\.\n" + METRICS) == {"client-copy"}


@pytest.mark.parametrize("select", ["table log", "values (1) limit 0"])
def test_checks_without_the_word_select(found: Callable[..., set[str]], select: str) -> None:
    """They are selects of rows, too."""
    header = "-- check: 010_step\n-- severity: warn\n-- description: rows that must not be\n"
    found(LOGGED.format("select 1, '', ''") + ADDED)
    assert found(header + select, "checks/010_check.sql") == set()
