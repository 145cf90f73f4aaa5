"""Schema files run once, in order; edited ones are refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import schema, step
from runner.errors import ConfigError, EditedSchemaFile, SchemaFailed
from runner.step import SCHEMA_KEYS, SqlFile

Files = Callable[..., list[SqlFile]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Write schema files, given as name=text, and read the folder."""

    def write(**texts: str) -> list[SqlFile]:
        for name, text in texts.items():
            (tmp_path / f"{name[1:]}.sql").write_text(text, encoding="utf-8")
        return [step.read(path, tmp_path, SCHEMA_KEYS) for path in sorted(tmp_path.glob("*.sql"))]

    return write


@pytest.fixture
def empty(empty_database: str) -> Any:
    """A connection to a database in which the runner never was."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        yield connection


def test_files_run_once(empty: Any, files: Files) -> None:
    """The runner's tables and the files are made in order, once, each with its record."""
    found = files(_001_a="create table a (id int)", _002_b="begin; alter table a add b int; commit;")
    assert schema.migrate(empty, "demo", found) == [
        *(f"runner/{file.id}" for file in schema.own_files()),
        "001_a",
        "002_b",
    ]
    assert schema.migrate(empty, "demo", found) == []
    assert list(schema.history(empty, "demo")) == ["001_a", "002_b"]


def test_comments_may_change(empty: Any, files: Files) -> None:
    """A comment or white space put into an applied file is no edit."""
    schema.migrate(empty, "demo", files(_001_a="create table a (id int)"))
    assert schema.migrate(empty, "demo", files(_001_a="-- why\ncreate table a (\n    id int\n)")) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"_002_b": "create table b (id bigint)"}, "002_b.sql was changed after", id="edited"),
        pytest.param({"_001_x": "create table x (id int)"}, "its number is below 002", id="out of order"),
    ],
)
def test_drift_is_refused(empty: Any, files: Files, change: dict[str, str], message: str) -> None:
    """An edited file, or one that comes late, stops before anything is run, and the hint says what to do."""
    schema.migrate(empty, "demo", files(_002_b="create table b (id int)"))
    with pytest.raises(EditedSchemaFile, match=message) as caught:
        schema.migrate(empty, "demo", files(**change, _003_c="create table c (id int)"))
    assert caught.value.hint and caught.value.exit_code == 2
    assert empty.execute("select to_regclass('c')").fetchone() == (None,)


def test_missing_file_is_refused(empty: Any, files: Files, tmp_path: Path) -> None:
    """A file that was applied and is gone is drift, too."""
    schema.migrate(empty, "demo", files(_001_a="create table a (id int)"))
    (tmp_path / "001_a.sql").unlink()
    with pytest.raises(EditedSchemaFile, match=r"001_a\.sql was applied on .* and is gone"):
        schema.migrate(empty, "demo", files(_002_b="create table b (id int)"))


def test_failure_rolls_back_the_file(empty: Any, files: Files) -> None:
    """A file that fails leaves nothing, keeps those before it, and the message points into it."""
    found = files(_001_a="create table a (id int)", _002_b="create table b (id int);\nalter table a\n  drop nothing")
    with pytest.raises(SchemaFailed, match=r"002_b\.sql:3:8: column \"nothing\""):
        schema.migrate(empty, "demo", found)
    assert list(schema.history(empty, "demo")) == ["001_a"]
    assert empty.execute("select to_regclass('b')").fetchone() == (None,)


def test_outside_a_transaction(empty: Any, files: Files) -> None:
    """A file with `transaction: off` can build an index concurrently."""
    found = files(
        _001_a="create table a (id int)", _002_b="-- transaction: off\ncreate index concurrently a_id on a (id)"
    )
    assert schema.migrate(empty, "demo", found)[-1] == "002_b"
    assert list(schema.history(empty, "demo")) == ["001_a", "002_b"]


def test_a_limit_outside_a_transaction(empty: Any, files: Files) -> None:
    """A file with `transaction: off` has the time that its header says, and what follows has its own."""
    found = files(_001_slow="-- transaction: off\n-- timeout: 50ms\nselect pg_sleep(60)")
    with pytest.raises(SchemaFailed, match=r"(?s)before stays.*statement timeout"):
        schema.migrate(empty, "demo", found)
    assert schema.history(empty, "demo") == {}
    assert empty.execute("show statement_timeout").fetchone() == ("0",)


def test_an_index_is_made_concurrently_once(empty: Any, empty_database: str, files: Files) -> None:
    """A file of no transaction is run once, too: who comes second waits until the first has recorded it."""
    schema.migrate(empty, "demo", files(_001_a="create table a (id int)"))
    found = files(_002_b="-- transaction: off\ncreate index concurrently a_id on a (id)")
    done: list[str] = []

    def migrate() -> None:
        with psycopg.connect(empty_database, autocommit=True) as connection:
            done.extend(schema.migrate(connection, "demo", found))

    with psycopg.connect(empty_database) as writer:
        writer.execute("lock table a in row exclusive mode")
        threads = [threading.Thread(target=migrate) for _ in range(2)]
        for thread in threads:
            thread.start()
        met = (
            "select true from pg_stat_activity as one, pg_stat_activity as two where one.wait_event_type = 'Lock'"
            " and one.query like 'create index%' and two.application_name = 'runner migrate' and two.query = 'rollback'"
        )
        while not empty.execute(met).fetchone():
            assert all(thread.is_alive() for thread in threads)
        writer.rollback()
    for thread in threads:
        thread.join()
    assert done == ["002_b"]


def test_a_lock_that_is_kept_for_a_while(empty: Any, empty_database: str, files: Files) -> None:
    """A file that does not get a lock in time is tried again, and told; without attempts it fails, and may pass."""
    schema.migrate(empty, "demo", files(_001_a="create table a (id int)"))
    found = files(_002_b="-- lock_timeout: 50ms\nalter table a add b int")
    said: list[str] = []
    with psycopg.connect(empty_database) as other:
        other.execute("lock table a")
        with pytest.raises(SchemaFailed) as caught:
            schema.migrate(empty, "demo", found)
        assert caught.value.transient

        def hear(line: str) -> None:
            said.append(line)
            other.rollback()

        assert schema.migrate(empty, "demo", found, 3, hear) == ["002_b"]
    (line,) = said
    assert line.startswith("002_b: attempt 1 of 3 failed (")
    assert "lock timeout" in line


def test_two_migrate_at_once(empty: Any, empty_database: str, files: Files) -> None:
    """Two runners that migrate one database at once run each file once."""
    found = files(_001_a="create table a (id int); select pg_sleep(0.2)", _002_b="create table b (id int)")
    done: list[str] = []

    def migrate() -> None:
        with psycopg.connect(empty_database, autocommit=True) as connection:
            done.extend(schema.migrate(connection, "demo", found))

    threads = [threading.Thread(target=migrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ["001_a", "002_b", *(f"runner/{file.id}" for file in schema.own_files())]


def test_newer_database_is_refused(empty: Any, files: Files) -> None:
    """A database made by a newer runner is left alone."""
    schema.migrate(empty, "demo", [])
    empty.execute("insert into schema_history (pipeline, name, checksum, seconds) values ('', '999_future', '', 0)")
    with pytest.raises(ConfigError, match="newer runner"):
        schema.migrate(empty, "demo", [])


def test_another_run_was_quicker(empty_database: str) -> None:
    """A transaction that began before another run made the runner's tables sees them: it has the lock, and waited."""
    with (
        psycopg.connect(empty_database, autocommit=True) as late,
        psycopg.connect(empty_database, autocommit=True) as early,
    ):
        assert schema.history(late, schema.OWN) == {}
        late.execute("begin")
        late.execute("select 1")
        schema.migrate(early, "zluri", [])
        assert schema.history(late, schema.OWN).keys() == schema.history(early, schema.OWN).keys() != set()
        late.execute("rollback")
