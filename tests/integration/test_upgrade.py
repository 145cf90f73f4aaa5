"""A database of any earlier layout walks to today's and keeps its rows; one of tomorrow is refused."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import cli, config, project, schema, step
from runner.errors import ConfigError, EditedSchemaFile, SchemaFailed
from runner.step import SCHEMA_KEYS, SqlFile
from tests.conftest import ROOT, Server
from tests.steps import KEYS

LAYOUTS = ROOT / "tests" / "layouts"
PIPELINE = project.discover(config.load({"project": str(ROOT), "pipeline": "zluri"}, environ={}))
OWN = schema.own_files()
BOOKS = ("pipeline_metrics", "stg_loads", "stg_rejects")
STAGING = ("agents", "agent_details", "admin_groups", "roles", "budgets", "cards", "transactions")
# What each layout had of the runner's own files and of the pipeline's, by numbers; where edited since, from the folder.
EARLIER = {"hashes": ((1,), 6), "phases": ((1, 2), 6), "engines": ((1, 2), 6)}

# What a database of the first layout has still to run.
WALK = [*(f"runner/{file.id}" for file in OWN[1:]), "007_earlier_layouts"]

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def left(server: Server) -> Iterator[str]:
    """The name of a database that the first version left, three days applied; clone it, never connect."""
    name = server.create()
    with psycopg.connect(server.on(name), autocommit=True) as connection:
        connection.execute(gzip.decompress((LAYOUTS / "first.sql.gz").read_bytes()))
    yield name
    server.drop(name)


@pytest.fixture
def first(server: Server, left: str) -> Iterator[str]:
    """The URL of a database of the first layout."""
    name = server.create(left)
    yield server.on(name)
    server.drop(name)


@pytest.fixture
def old(first: str) -> Iterator[Connection]:
    """A connection to the database of the first layout."""
    with psycopg.connect(first, autocommit=True) as connection:
        yield connection


def migrate(connection: Connection) -> list[str]:
    return schema.migrate(connection, "zluri", PIPELINE.schema)


def rows(connection: Connection, table: str) -> list[str]:
    """Return the rows of a table, without what a later layout generates or adds."""
    added = ["content_hash", "engine", "plan_seconds", "start_seconds", "copy_seconds", "publish_seconds"]
    found = connection.execute(f"select (to_jsonb(t) - %s::text[])::text as t from {table} t".encode(), (added,))
    return sorted(text for (text,) in found)


def contents(connection: Connection) -> dict[str, list[str]]:
    tables = (*KEYS, *BOOKS, *(f"stg_{name}" for name in STAGING))
    return {table: rows(connection, table) for table in tables}


def layout(connection: Connection) -> list[tuple[Any, ...]]:
    """Return what the catalog says of tables, columns, rules, indexes and functions, but for the order of columns."""
    tables = (
        "select oid, relname, relkind from pg_class "
        "where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
    )
    return connection.execute(
        f"""
        with tables as ({tables})
        select relname, relkind::text, attname, format_type(atttypid, atttypmod), attnotnull, attcollation,
            attgenerated::text, pg_get_expr(adbin, adrelid)
        from tables
        inner join pg_attribute on attrelid = tables.oid and attnum > 0 and not attisdropped
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
        union all
        select relname, '', conname, pg_get_constraintdef(pg_constraint.oid), null, null, null, null
        from tables inner join pg_constraint on conrelid = tables.oid
        union all
        select relname, '', 'index', pg_get_indexdef(indexrelid), null, null, null, null
        from tables inner join pg_index on indrelid = tables.oid
        union all
        select proname, '', 'function', pg_get_functiondef(oid), null, null, null, null
        from pg_proc where pronamespace = 'public'::regnamespace
        order by 1, 2, 3, 4
        """.encode()
    ).fetchall()


def test_the_first_layout_walks_to_todays(old: Connection, connection: Connection) -> None:
    """Each later file runs once, in order; the tables are those of a new database, and every row is still there."""
    before = contents(old)
    assert migrate(old) == WALK
    assert migrate(old) == []
    assert layout(old) == layout(connection)
    assert contents(old) == before
    assert all(before[f"stg_{name}"] for name in STAGING)
    records = "select pipeline, name, checksum from schema_history order by 1, 2"
    assert old.execute(records).fetchall() == connection.execute(records).fetchall()


def test_days_of_the_first_layout_are_applied_again(
    first: str, old: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A rerun of its days by today's version migrates, loads them anew, and changes no final row."""
    monkeypatch.setenv("DATABASE_URL", first)
    before = {table: rows(old, table) for table in KEYS}
    for day in ("day1", "day2", "day3"):
        assert cli.main(["apply", "--project", str(ROOT), "--day", day, "--engine", "local"]) == 0
    assert {table: rows(old, table) for table in KEYS} == before
    assert old.execute("select count(*) from pipeline_metrics").fetchone() == (42,)
    assert old.execute("select count(distinct engine), min(engine) from stg_loads").fetchone() == (1, "local")
    (partitions,) = (
        old.execute(
            "select array_agg(c.relname) from pg_class c where oid in "
            "(select inhrelid from pg_inherits where inhparent = 'stg_agents'::regclass)"
        ).fetchone()
        or ()
    )
    assert sorted(partitions) == ["stg_agents@day1", "stg_agents@day2", "stg_agents@day3"]


@pytest.mark.parametrize("name", EARLIER)
def test_layouts_between_walk_to_todays(name: str, empty_database: str, connection: Connection) -> None:
    """A database of a file that was edited in place afterwards is told by its checksum, and walks on."""
    numbers, last = EARLIER[name]

    def as_it_was(file: SqlFile) -> SqlFile:
        path = LAYOUTS / name / file.path.name
        return step.read(path, LAYOUTS, SCHEMA_KEYS) if path.exists() else file

    with psycopg.connect(empty_database, autocommit=True) as between:
        for file in map(as_it_was, OWN):
            if file.number in numbers:
                assert schema._run(between, schema.OWN, file, OWN)
        for file in map(as_it_was, PIPELINE.schema):
            if file.number <= last:
                assert schema._run(between, "zluri", file, PIPELINE.schema)
        if name == "hashes":
            between.execute(
                "insert into stg_roles (day, source_file, position, role_id, name) values ('day1', 'a', 1, 7, 'x')"
            )
        assert migrate(between)[-2:] == WALK[-2:]
        assert layout(between) == layout(connection)
        kept = [("day1", 7)] if name == "hashes" else []
        assert between.execute("select day, role_id from stg_roles").fetchall() == kept
        assert migrate(between) == []


@pytest.mark.parametrize("stop", range(len(WALK)))
def test_a_migration_that_ended_between_files_goes_on(
    stop: int, old: Connection, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each file the database can be left as it is: the next run does the rest."""
    waiting = [*((schema.OWN, file, OWN) for file in OWN[1:]), ("zluri", PIPELINE.schema[-1], PIPELINE.schema)]
    before = contents(old)
    for pipeline, file, files in waiting[:stop]:
        assert schema._run(old, pipeline, file, files)
    assert migrate(old) == WALK[stop:]
    assert layout(old) == layout(connection)
    assert contents(old) == before


def test_a_migration_that_is_killed_amid_a_file_leaves_it_undone(first: str, old: Connection) -> None:
    """What dies at a file's last statement has changed nothing of it, and is run again."""
    before = contents(old)
    failed: list[Exception] = []

    def victim() -> None:
        with psycopg.connect(first, autocommit=True) as connection:
            pid.append(connection.info.backend_pid)
            try:
                migrate(connection)
            except SchemaFailed as error:
                failed.append(error)

    pid: list[int] = []
    with psycopg.connect(first) as holder:
        # The last of the tables that the file drops: all others are done by then.
        holder.execute("lock table stg_transactions in access share mode")
        thread = threading.Thread(target=victim)
        thread.start()
        while not old.execute(
            "select 1 from pg_locks where not granted and relation = 'stg_transactions'::regclass"
        ).fetchone():
            assert thread.is_alive()
        old.execute("select pg_terminate_backend(%s)", (pid[0],))
        thread.join()
    assert failed
    assert contents(old) == before
    assert migrate(old) == ["007_earlier_layouts"]
    assert contents(old) == before


def test_two_walk_at_once(first: str, old: Connection) -> None:
    """Of two runners that migrate an old database at once, one runs each file and the other finds it run."""
    done: list[str] = []

    def walk() -> None:
        with psycopg.connect(first, autocommit=True) as connection:
            done.extend(migrate(connection))

    threads = [threading.Thread(target=walk) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == sorted(WALK)


def test_staging_with_triggers_is_not_made_anew(old: Connection) -> None:
    """What a table of its own has and the new one would not have is told, and the table left alone."""
    old.execute("create function f() returns trigger language plpgsql as 'begin return new; end'")
    old.execute("create trigger t before insert on stg_roles for each row execute function f()")
    with pytest.raises(SchemaFailed, match="stg_roles is to be made anew, and has triggers") as caught:
        migrate(old)
    assert "Drop them" in (caught.value.hint or "")
    assert old.execute("select relkind::text from pg_class where relname = 'stg_cards'").fetchone() == ("r",)


def test_rights_on_staging_are_kept(old: Connection) -> None:
    """Whoever might read a staging table may read the one that takes its place."""
    old.execute("grant select on stg_agents to public")
    migrate(old)
    assert old.execute("select relacl::text like '%%=r/%%' from pg_class where relname = 'stg_agents'").fetchone() == (
        True,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(arguments, id=" ".join(arguments))
        for arguments in (
            ["apply", "--day", "day1"],
            ["apply", "--day", "day1", "--load", "never"],
            ["apply", "--day", "day1", "--dry-run"],
            ["load", "--day", "day1"],
            ["plan", "--day", "day1"],
            ["migrate"],
            ["verify"],
            ["status"],
            ["metrics"],
            ["checks"],
            ["rejects"],
            ["prune", "--keep", "1"],
            ["new", "step", "agents2", "--table", "agents"],
        )
    ],
)
def test_a_newer_database_is_refused(
    arguments: list[str], database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever opens it says that a newer runner made it, and what to do; nothing is read, nothing changed."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "insert into schema_history (pipeline, name, checksum, seconds) values ('', '999_future', '', 0)"
        )
    monkeypatch.setenv("DATABASE_URL", database)
    assert cli.main([*arguments, "--project", str(ROOT)]) == 2
    told = capsys.readouterr()
    assert "made by a newer runner: its layout is 999_future" in told.err
    assert "Upgrade the runner" in told.err
    assert told.out == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            "update schema_history set checksum = 'x' where name = '002_checks'",
            "002_checks was applied with another text",
            id="edited",
        ),
        pytest.param("delete from schema_history where name = '002_checks'", "002_checks was applied", id="left out"),
        pytest.param("drop table schema_history", "has a table pipeline_metrics that no runner has made", id="foreign"),
    ],
)
def test_an_unknown_layout_is_refused(change: str, message: str, connection: Connection) -> None:
    """Own tables that no version has made are left alone."""
    connection.execute(change.encode())
    with pytest.raises(ConfigError, match=message) as caught:
        migrate(connection)
    assert caught.value.hint


def test_an_upgrade_is_for_the_texts_that_it_names(old: Connection) -> None:
    """A file with yet another text is refused, also where a later file makes good for some; and once it has run."""
    old.execute("update schema_history set checksum = 'x' where name = '001_staging'")
    with pytest.raises(EditedSchemaFile, match=r"001_staging\.sql was changed"):
        migrate(old)
    old.execute("update schema_history set checksum = '3631e247f30e1d67' where name = '001_staging'")
    migrate(old)
    old.execute("update schema_history set checksum = '3631e247f30e1d67' where name = '001_staging'")
    with pytest.raises(EditedSchemaFile, match=r"001_staging\.sql was changed"):
        migrate(old)


@pytest.fixture
def as_role(server: Server, old: Connection) -> Iterator[Callable[..., Connection]]:
    """Connect to the old database as a role that has some rights only."""
    role = f"reader_of_{old.info.dbname}"
    opened: list[Connection] = []

    def connect(*grants: str) -> Connection:
        old.execute(f'create role "{role}"'.encode())
        for grant in grants:
            old.execute(f'{grant} to "{role}"'.encode())
        opened.append(psycopg.connect(server.on(old.info.dbname), autocommit=True))
        opened[0].execute(f'set session authorization "{role}"'.encode())
        return opened[0]

    yield connect
    for connection in opened:
        connection.close()
    old.execute(f'drop owned by "{role}"'.encode())
    old.execute(f'drop role "{role}"'.encode())


def test_a_role_that_may_not_migrate_is_told(as_role: Callable[..., Connection]) -> None:
    """Who may use the tables but not change them learns that somebody else must, in one sentence."""
    connection = as_role("grant select, insert, update on all tables in schema public")
    with pytest.raises(ConfigError, match="needs schema file 002_checks, and this role may not run it") as caught:
        migrate(connection)
    assert "runner migrate" in (caught.value.hint or "")


def test_a_role_that_may_only_read_metrics_reads_them(as_role: Callable[..., Connection]) -> None:
    """The layout is not looked at where the role may not look."""
    connection = as_role("grant select on pipeline_metrics")
    assert not schema.is_readable(connection)


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        pytest.param(OWN[-1].id, 0, f"an earlier version, without {OWN[-1].id}", id="older"),
        pytest.param("999_future", 1, "made by a newer runner", id="newer"),
    ],
)
def test_the_doctor_tells_of_the_layout(
    name: str, code: int, told: str, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A layout that is not this runner's is a finding: a fault where the runner refuses the database."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from schema_history where name = %s", (name,))
        if code:
            connection.execute(
                "insert into schema_history (pipeline, name, checksum, seconds) values ('', %s, '', 0)", (name,)
            )
    monkeypatch.setenv("DATABASE_URL", database)
    assert cli.main(["doctor", "--project", str(ROOT), "--json"]) == code
    assert told in capsys.readouterr().out
