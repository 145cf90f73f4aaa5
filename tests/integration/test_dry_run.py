"""apply --dry-run: shows exactly what an apply would change, and keeps nothing of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given

from runner import config, project, schema
from runner import database as database_module
from runner.dry_run import DryRun, Preview
from runner.errors import CheckFailed, StepFailed
from runner.project import Pipeline
from tests.copies import copies, difference, seen
from tests.e2e.conftest import start
from tests.examples import costly
from tests.model import chain, strategies
from tests.steps import KEYS

Connection = psycopg.Connection[tuple[Any, ...]]
ALL_KEYS = {**KEYS, "transaction_pipeline_state": ("pipeline_name",)}

METRICS = """
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_updated, rows_deleted, rows_affected,
    status
)
select
    current_setting('app.flow_run_id'), '{name}_task', '{name}', '{name}', current_setting('app.day'),
    {inserted}, {updated}, {deleted}, {inserted} + {updated} + {deleted}, 'success';
"""
ITEMS = """
create table items (
    id integer primary key, label text, size integer, double_size integer generated always as (size * 2) stored
);
create table notes (note text);
create table parents (id integer primary key);
create table children (id integer primary key, parent_id integer references parents deferrable initially deferred);
create function empty_items() returns void language sql as 'truncate items';
create sequence numbers;
"""


class Project:
    """A project folder with a pipeline of SQL alone, and its database."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.write("schema/001_items", ITEMS)
        (folder / "runner.toml").write_text('pipeline = "demo"\n')

    def write(self, name: str, text: str) -> None:
        """Write a SQL file of the pipeline."""
        path = self.folder / "migrations" / "demo" / f"{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def step(self, name: str, text: str, inserted: int = 0, updated: int = 0, deleted: int = 0) -> None:
        """Write a step whose metrics row says these counts."""
        plain = name.partition("_")[2]
        self.write(name, text + ";\n" + METRICS.format(name=plain, inserted=inserted, updated=updated, deleted=deleted))

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline as its files are now."""
        return project.discover(config.load({"project": str(self.folder), "pipeline": "demo"}, environ={}))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of the runner."""
        return start(*arguments, cwd=self.folder, DATABASE_URL=self.url, RUNNER_HOME=str(self.folder / "home"))

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command; return its exit code, output and errors."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err, err
        return process.returncode, out, err

    def dry_run(self) -> DryRun:
        """Return a dry run of its steps."""
        return dry_run(self.url, self.pipeline)

    def previews(self) -> list[dict[str, list[Any]]]:
        """Return, for each step, table -> changed rows."""
        found = []
        with self.dry_run() as dry:
            for preview in dry.run(self.pipeline.steps):
                tables = (*preview.tables, *preview.marks)
                found.append({one.table.name: [(row.kind, dict(row.key)) for row in one.rows()] for one in tables})
        return found


def dry_run(url: str, pipeline: Pipeline, day: str = "day1") -> DryRun:
    """Return a dry run of a day."""
    return DryRun(lambda: database_module.connect(url, "dry run"), pipeline, day, lambda _: None)


@pytest.fixture
def demo(tmp_path: Path, empty_database: str) -> Project:
    """A migrated project with three items."""
    made = Project(tmp_path, empty_database)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        schema.migrate(connection, "demo", made.pipeline.schema)
        connection.execute("insert into items select id, 'item ' || id, id from generate_series(1, 3) as id")
    return made


def everything(url: str) -> dict[str, Any]:
    """Return all rows of all tables and where they lie, the catalogue, and what locks and files are there."""
    with psycopg.connect(url, autocommit=True) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "select oid::regclass::text from pg_class where relkind = 'r'"
                " and relnamespace = 'public'::regnamespace order by 1"
            )
        ]
        # That rows were locked, or written in vain, leaves a mark on them, but no other row.
        found: dict[str, Any] = {
            name: connection.execute(
                f"select ctid::text, xmin::text, t::text from {name} as t order by ctid".encode()
            ).fetchall()
            for name in names
        }
        found["relations"] = connection.execute(
            "select relname, relnamespace::regnamespace::text from pg_class"
            " where relname not like 'pg\\_toast%' order by 1, 2"
        ).fetchall()
        found["sessions"] = connection.execute(
            "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        ).fetchall()
        found["locks"] = connection.execute(
            "select locktype, mode from pg_locks where pid <> pg_backend_pid()"
            " and database = (select oid from pg_database where datname = current_database())"
        ).fetchall()
        return found


def settled(url: str) -> dict[str, Any]:
    """Return the same once all other sessions have ended, which a server does a moment after their client."""
    while (found := everything(url))["sessions"]:
        pass
    return found


@pytest.fixture
def warehouse(database: str) -> str:
    """The URL of a migrated Zluri database with the exchange rates that random days need."""
    with psycopg.connect(database, autocommit=True) as connection:
        chain.fill_rates(connection)
    return database


@costly(5)
@given(history=strategies.histories(most=3))
def test_it_shows_what_the_shipped_steps_then_do(warehouse: str, history: list[strategies.Application]) -> None:
    """On generated days each step's preview is what full copies show when it really runs, and its metrics agree."""
    with psycopg.connect(warehouse, autocommit=True) as connection:
        chain.empty(connection)
        *earlier, (day, files) = history
        for name, content in earlier:
            chain.apply(connection, name, content)
        chain.stage(connection, day, files)
        previews: list[tuple[Preview, dict[str, list[Any]]]] = []
        with dry_run(warehouse, chain.PIPELINE, day) as dry:
            for preview in dry.run(chain.PIPELINE.steps):
                previews.append((preview, seen([*preview.tables, *preview.marks], ALL_KEYS)))
        connection.execute(
            "select set_config('app.flow_run_id', %s, false), set_config('app.day', %s, false)",
            (str(uuid.uuid4()), day),
        )
        for preview, shown in previews:
            before = copies(connection, ALL_KEYS)
            connection.execute(preview.step.text.encode())
            expected = difference(before, copies(connection, ALL_KEYS), ALL_KEYS)
            assert shown == expected
            assert preview.agrees, (preview.step.id, preview.reported, preview.counted)
            assert preview.rewritten == 0


def test_nothing_is_left(demo: Project) -> None:
    """Rows, books, locks, sessions and the catalogue are as before; a sequence moved, and is named."""
    demo.step(
        "010_items",
        "update items set label = 'x' where id = 1; delete from items where id = 2;"
        " insert into items values (nextval('numbers') + 9)",
        1, 1, 1,
    )  # fmt: skip
    before = settled(demo.url)
    code, _, err = demo.run("apply", "--day", "day1", "--dry-run")
    assert code == 0
    assert settled(demo.url) == before
    assert (
        "sequences moved on, which no rollback takes back: numbers unused → 1, pipeline_metrics_id_seq unused → 1"
        in err
    )


def test_what_a_person_sees(demo: Project) -> None:
    """Counts, keys, and for updates each column old and new; what is generated is left out."""
    demo.step(
        "010_items",
        "insert into items values (4, 'new', null); update items set label = null, size = 7 where id = 1;"
        " delete from items where id = 2",
        1, 1, 1,
    )  # fmt: skip
    code, out, err = demo.run("apply", "--day", "day1", "--dry-run")
    assert code == 0 and "warning" not in err
    head, *lines = out.splitlines()
    assert head.startswith("day1  dry     010_items               1 inserted, 1 updated, 1 deleted")
    assert lines == [
        "  items: 1 inserted, 1 updated, 1 deleted",
        "    inserted; 1 column null",
        "    id  label",
        "     4  new",
        "    updated",
        "    id  column  old     new",
        "     1  label   item 1  null",
        "        size    1       7",
        "    deleted",
        "    id  label   size",
        "     2  item 2     2",
    ]


def test_null_is_told_from_texts(demo: Project) -> None:
    """Empty texts, those with blanks around them and the word null are quoted; null itself is not."""
    demo.step(
        "010_items",
        "insert into items values (4, ''), (5, null), (6, 'null'), (7, 'it''s');"
        " update items set label = case id when 1 then null when 2 then 'null' else ' item 3' end where id < 4",
        4, 3,
    )  # fmt: skip
    _, out, _ = demo.run("apply", "--day", "day1", "--dry-run")
    assert out.splitlines()[2:] == [
        "    inserted; 1 column null",
        "    id  label",
        "     4  ''",
        "     5",
        "     6  'null'",
        "     7  it's",
        "    updated",
        "    id  column  old     new",
        "     1  label   item 1  null",
        "     2  label   item 2  'null'",
        "     3  label   item 3  ' item 3'",
    ]


def test_long_values_are_shown_where_they_differ(demo: Project) -> None:
    """An update of a value that is longer than its cell shows the place of the first difference."""
    demo.step("010_items", "update items set label = repeat('long ', 9) || id", 0, 3)
    demo.step(
        "020_items_again",
        "update items set label = label || case id when 1 then '!' else repeat('?', 40) end where id < 3", 0, 2,
    )  # fmt: skip
    demo.step("030_items_at_last", "update items set label = 'short' where id = 1", 0, 1)
    _, out, _ = demo.run("apply", "--day", "day1", "--dry-run")
    assert [line for line in out.splitlines() if "ong" in line][3:] == [
        "     1  label   … long long 1  … long long 1!",
        "     2  label   … long long 2  … long long 2??????????????????????????…",
        "     1  label   long long long long long long long long…  short",
    ]


def test_rows_without_a_key_are_shown_with_their_nulls(tmp_path: Path, demo: Project) -> None:
    """What tells rows of a table without a key apart is all of their columns."""
    demo.write("schema/002_pairs", "create table pairs (one integer, two text, three text)")
    with psycopg.connect(demo.url, autocommit=True) as connection:
        schema.migrate(connection, "demo", demo.pipeline.schema)
    demo.step("010_pairs", "insert into pairs values (2, null, null)", 1)
    _, out, _ = demo.run("apply", "--day", "day1", "--dry-run")
    assert out.splitlines()[2:] == ["    inserted", "    one  two  three", "      2"]


def test_rows_says_how_many(demo: Project) -> None:
    """--rows N shows the first N of each kind, 0 only the counts, and --json all."""
    demo.step("010_items", "insert into items select id from generate_series(11, 40) as id", 30)
    _, out, _ = demo.run("apply", "--day", "day1", "--dry-run", "--rows", "2")
    assert "inserted, the first 2 of 30" in out and len(out.splitlines()) == 6
    _, out, _ = demo.run("apply", "--day", "day1", "--dry-run", "--rows", "0")
    assert out.splitlines()[1:] == ["  items: 30 inserted"]
    _, out, _ = demo.run("apply", "--day", "day1", "--dry-run", "--json")
    document = json.loads(out)
    (step,) = document["steps"]
    (table,) = step["tables"]
    assert (step["agrees"], table["inserted"], len(table["rows"])) == (True, 30, 30)
    assert table["rows"][0] == {
        "change": "insert",
        "key": {"id": 11},
        "old": None,
        "new": {"id": 11, "label": None, "size": None, "double_size": None},
    }
    assert document["sequences"] == {"pipeline_metrics_id_seq": [2, 3]}


@pytest.mark.parametrize("way", ["truncate items", "select empty_items()"], ids=["by itself", "by a function"])
def test_a_table_may_be_emptied(demo: Project, way: str) -> None:
    """A step that truncates a table is shown like any other, also where only a function of it knows."""
    demo.step("010_notes", "insert into notes values ('first')", 1)
    demo.step("020_items", f"{way}; insert into items values (1, 'item 1', 1), (5, 'new', 1)", 1, 0, 2)
    assert demo.previews() == [
        {"notes": [("insert", {})]},
        {"items": [("insert", {"id": "5"}), ("delete", {"id": "2"}), ("delete", {"id": "3"})]},
    ]


def test_later_steps_see_earlier_ones(demo: Project) -> None:
    """Steps run one after the other: temporary tables and settings end with their step, rows stay."""
    work = (
        "create temporary table work on commit drop as select 1; set local search_path = public; set local app.x = '{}'"
    )
    demo.step("010_items", work.format("1") + "; update items set label = 'first' where id = 1", 0, 1)
    demo.step(
        "020_items_again",
        "do $$ begin if coalesce(current_setting('app.x', true), '') <> '' then raise 'it leaked'; end if; end $$; "
        + work.format("2")
        + "; update items set label = label || ' and second' where label = 'first'",
        0,
        1,
    )
    assert demo.previews() == [{"items": [("update", {"id": "1"})]}] * 2


def test_a_failing_step_fails_as_in_an_apply(demo: Project) -> None:
    """The error names file, line and column; what came before is shown, and nothing is recorded."""
    demo.step("010_items", "delete from items where id = 1", 0, 0, 1)
    demo.step("020_broken", "select 1;\nselect 1 / 0")
    before = settled(demo.url)
    code, out, err = demo.run("apply", "--day", "day1", "--dry-run")
    assert code == 1
    assert "1 deleted" in out
    assert "020_broken failed" in err and "migrations/demo/020_broken.sql:2:" in err and "division by zero" in err
    code, out, err = demo.run("apply", "--day", "day1", "--dry-run", "--json")
    document = json.loads(out)
    assert code == 1
    assert [step["step"] for step in document["steps"]] == ["010_items"]
    assert "division by zero" in document["error"]["message"]
    assert settled(demo.url) == before


def test_what_is_checked_at_the_commit_is_checked(demo: Project) -> None:
    """A deferred constraint that the commit would refuse fails the step; the next ones defer as before."""
    demo.step("010_children", "insert into children values (1, 1); insert into parents values (1)", 2)
    demo.step("020_more", "insert into children values (2, 2); insert into parents values (2)", 2)
    demo.step("030_orphans", "insert into children values (3, 3)", 1)
    with demo.dry_run() as dry, closing(dry.run(demo.pipeline.steps)) as previews:
        assert [next(previews).step.id, next(previews).step.id] == ["010_children", "020_more"]
        with pytest.raises(StepFailed, match="violates foreign key constraint"):
            next(previews)


def test_a_check_that_fails_shows_the_rows_first(demo: Project) -> None:
    """Where a check refuses a step, the preview comes before the error."""
    demo.step("010_items", "update items set size = -1 where id = 1", 0, 1)
    demo.write(
        "checks/010_sizes",
        "-- check: 010\n-- severity: error\n-- description: items of a negative size\n"
        "select id, size from items where size < 0",
    )
    with demo.dry_run() as dry, closing(dry.run(demo.pipeline.steps)) as previews:
        preview = next(previews)
        assert [result.status for result in preview.checks] == ["failed"]
        assert [row.key for table in preview.tables for row in table.rows()] == [{"id": "1"}]
        with pytest.raises(CheckFailed, match="items of a negative size"):
            next(previews)
    code, out, err = demo.run("apply", "--day", "day1", "--dry-run")
    assert code == 1 and "1 updated" in out and "items of a negative size" in err


@pytest.mark.parametrize(
    ("work", "counts", "told"),
    [
        (
            "update items set label = label",
            (0, 3, 0),
            "say 3 updated; in truth none, and 3 rows written that say the same",
        ),
        ("delete from items where id > 1", (0, 0, 1), "say 1 deleted; in truth 2 deleted"),
        ("insert into notes values ('x')", (0, 0, 0), "say nothing changed; in truth 1 inserted"),
    ],
    ids=["rewritten", "too few", "none"],
)
def test_metrics_that_lie_are_called_so(demo: Project, work: str, counts: tuple[int, int, int], told: str) -> None:
    """Where the step's own metrics are not what changed, both are said."""
    demo.step("010_items", work, *counts)
    code, out, err = demo.run("apply", "--day", "day1", "--dry-run", "--json")
    assert code == 0
    assert f"warning: day1  010_items: its metrics {told}" in err
    assert json.loads(out)["steps"][0]["agrees"] is False


def test_a_table_without_a_key_may_count_updates(demo: Project) -> None:
    """An update of a table without a key is a delete and an insert, and its metrics agree all the same."""
    demo.step("010_notes", "insert into notes values ('a'), ('b')", 2)
    demo.step("020_more", "update notes set note = note || '!' where note = 'a'", 0, 1)
    with demo.dry_run() as dry:
        assert [(one.agrees, one.counted) for one in dry.run(demo.pipeline.steps)] == [
            (True, (2, 0, 0)),
            (True, (1, 0, 1)),
        ]


def test_a_watermark_is_shown_and_not_counted(demo: Project) -> None:
    """What a step calls its watermark is no part of its counts."""
    demo.step(
        "010_items",
        "-- watermark: public.\"notes\"\ninsert into notes values ('seen'); delete from items where id = 1",
        0,
        0,
        1,
    )
    with demo.dry_run() as dry:
        (preview,) = dry.run(demo.pipeline.steps)
        assert preview.agrees
        assert [one.table.name for one in preview.tables] == ["items"]
        assert [one.table.name for one in preview.marks] == ["notes"]


def test_runs_of_its_steps_wait(demo: Project) -> None:
    """While it lasts, its steps are taken and the day's staging may be read; at the end all is free."""
    demo.step("010_items", "select 1")
    step, staging = "step:demo/010_items", "staging:demo/day1"
    with psycopg.connect(demo.url, autocommit=True) as other:

        def free(**lock: str) -> bool:
            return database_module.try_lock(other, **lock)

        with demo.dry_run() as dry, closing(dry.run(demo.pipeline.steps)) as previews:
            next(previews)
            assert (free(exclusive=step), free(shared=staging), free(exclusive=staging)) == (False, True, False)
        assert (free(exclusive=step), free(exclusive=staging)) == (True, True)


def test_readers_see_nothing_of_it(demo: Project) -> None:
    """Other sessions read the tables as they are."""
    demo.step("010_items", "delete from items", 0, 0, 3)
    with demo.dry_run() as dry, closing(dry.run(demo.pipeline.steps)) as previews:
        next(previews)
        with psycopg.connect(demo.url) as other:
            assert other.execute("select count(*) from items").fetchall() == [(3,)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupted_one_leaves_nothing(demo: Project, number: int, code: int) -> None:
    """Ctrl-C, SIGTERM and SIGKILL in the middle of a step end its statement and its transaction."""
    demo.step("010_items", "delete from items; do $$ begin loop perform pg_sleep(0.01); end loop; end $$")
    before = settled(demo.url)
    process = demo.start("apply", "--day", "day1", "--dry-run")
    asleep = "select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"
    with psycopg.connect(demo.url, autocommit=True) as other:
        while not other.execute(asleep.encode()).fetchall():
            assert process.poll() is None
        os.kill(process.pid, number)
        process.communicate(timeout=60)
        assert process.returncode == code
        while other.execute(asleep.encode()).fetchall():
            pass
    assert settled(demo.url) == before


def test_a_schema_that_is_behind_is_refused(demo: Project) -> None:
    """Schema files that wait are not run: the hint says what to do."""
    demo.write("schema/002_more", "create table more (id integer)")
    demo.step("010_items", "select 1")
    code, _, err = demo.run("apply", "--day", "day1", "--dry-run")
    assert code == 2
    assert "1 schema file to be applied first: 002_more" in err and "hint: " in err and "runner migrate" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--rows", "3"), "--rows belongs to a dry run"),
        (("--dry-run", "--jobs", "2"), "a dry run is one transaction"),
        (("--dry-run", "--rows", "-1"), "--rows is -1"),
    ],
    ids=["rows alone", "jobs", "negative"],
)
def test_options_that_do_not_fit(demo: Project, arguments: tuple[str, ...], told: str) -> None:
    """What has no meaning is refused."""
    demo.step("010_items", "select 1")
    code, _, err = demo.run("apply", "--day", "day1", *arguments)
    assert code == 2 and told in err


def test_a_day_that_is_not_loaded(database: str) -> None:
    """Staging is taken as it is, and an unloaded day is refused: it would look like an empty one."""
    process = start("apply", "--day", "day1", "--dry-run", cwd=chain.ROOT, DATABASE_URL=database)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "day1 is not loaded" in err and "runner load --day day1" in err
