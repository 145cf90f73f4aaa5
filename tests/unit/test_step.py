"""A step's name, header, transaction control and selection."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import project, step
from runner.errors import ConfigError, UsageError
from runner.step import SCHEMA_KEYS, STEP_KEYS, SqlFile


def read(folder: Path, text: str, name: str = "010_things.sql", keys: tuple[str, ...] = STEP_KEYS) -> SqlFile:
    """Write `text` to a file and read it as a step."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return step.read(path, folder, keys)


def test_header(tmp_path: Path) -> None:
    """Header lines at the top set the time-outs, the table and the description."""
    file = read(
        tmp_path, "-- 010_things: all of them\n-- timeout: 5min\n--lock_timeout: 250ms\n-- table: the_things\nselect 1"
    )
    assert (file.timeout, file.lock_timeout, file.table) == (300_000, 250, "the_things")
    assert (file.id, file.name, file.number, file.task_name) == ("010_things", "things", 10, "things_task")


def test_header_ends_at_the_first_statement(tmp_path: Path) -> None:
    """A comment below the first line of SQL is a comment, whatever it looks like."""
    assert read(tmp_path, "select 1;\n-- timeout: 1s\n").timeout == 300_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("-- timeuot: 3s\nselect 1", "010_things.sql:1:4: unknown header key 'timeuot'", id="unknown key"),
        pytest.param("-- timeout: soon\nselect 1", "010_things.sql:1:13: timeout is 'soon'", id="no duration"),
        pytest.param("-- timeout: 0s\nselect 1", "010_things.sql:1:13: timeout is '0s'", id="zero duration"),
        pytest.param("-- timeout: 1s\n-- timeout: 1s\nselect 1", "names 'timeout' twice", id="twice"),
        pytest.param("-- timeout:\nselect 1", "has no value", id="no value"),
        pytest.param("-- transaction: off\nselect 1", "unknown header key 'transaction'", id="key of schema files"),
    ],
)
def test_wrong_header(tmp_path: Path, text: str, message: str) -> None:
    """A header that is not understood is an error with its line and column, never ignored."""
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("begin;\nselect 1;\ncommit;", id="begin and commit"),
        pytest.param("BEGIN WORK;\nselect 1;\nEND TRANSACTION;", id="other words"),
        pytest.param("start transaction; select 1; commit work", id="start transaction"),
        pytest.param("-- a\nbegin /* b */;\nselect 1;\n-- c\ncommit;\n-- d\n", id="comments around"),
        pytest.param("select 1", id="none"),
    ],
)
def test_outer_transaction(tmp_path: Path, text: str) -> None:
    """An outer begin and commit, for psql, are left out; what stands between is sent from its own place."""
    file = read(tmp_path, text)
    assert [statement.text for statement in file.statements] == ["select 1"]
    assert file.text[file.statements[0].start :].startswith("select 1")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("begin;\nselect 1;\n", ":1:1: transaction control: begin", id="begin alone"),
        pytest.param("select 1;\n  commit;", ":2:3: transaction control: commit", id="commit alone"),
        pytest.param("begin;\nselect 1;\ncommit;\nbegin;\nselect 2;\ncommit;", ":3:1:", id="two transactions"),
        pytest.param("begin; savepoint a; select 1; commit;", ":1:8: transaction control: savepoint a", id="savepoint"),
        pytest.param("select 1; rollback to a", "rollback to", id="rollback to"),
        pytest.param("select 1; prepare transaction 'x'", "prepare transaction", id="two-phase"),
        pytest.param("begin isolation level serializable; select 1; commit", ":1:1:", id="modes"),
        pytest.param("begin;\nselect 1;\ncommit;\nselect 2;", ":4:1: a statement stands after", id="after commit"),
        pytest.param("select 1;\nbegin;\nselect 2;\ncommit;", ":1:1: a statement stands before", id="before begin"),
    ],
)
def test_transaction_control_is_refused(tmp_path: Path, text: str, place: str) -> None:
    """Any other transaction control is refused, with its place, before anything runs."""
    with pytest.raises(ConfigError, match=place):
        _ = read(tmp_path, text).statements


def test_words_that_only_look_like_control(tmp_path: Path) -> None:
    """A prepared statement and a block's own begin and end are not transaction control."""
    file = read(tmp_path, "prepare p as select 1; do $$ begin perform 1; end $$; execute p")
    assert len(file.statements) == 3


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("copy things from stdin", id="from stdin"),
        pytest.param("select 1; COPY (select 1 /* a */) TO STDOUT with (format csv)", id="to stdout"),
    ],
)
def test_copy_through_the_client_is_refused(tmp_path: Path, text: str) -> None:
    """A copy through the client has nobody to talk to; it is refused before anything runs."""
    with pytest.raises(ConfigError, match="copy from stdin or to stdout cannot run here"):
        _ = read(tmp_path, text).statements


def test_copy_on_the_server(tmp_path: Path) -> None:
    """A copy of the server's own files is a statement like any other, whatever its words."""
    assert read(tmp_path, "copy (select a from stdin) to '/tmp/to stdout'").statements


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        pytest.param("things.sql", "select 1", "not named like", id="no number"),
        pytest.param("010-things.sql", "select 1", "not named like", id="no underscore"),
        pytest.param("010_things.sql", "sel\0ect", "NUL", id="nul"),
    ],
)
def test_wrong_file(tmp_path: Path, name: str, text: str, message: str) -> None:
    """A file that cannot be a step is refused by name."""
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text, name)


def test_names_in_a_header(tmp_path: Path) -> None:
    """What a step declares about tables and columns is read as lists of names."""
    file = read(tmp_path, "-- watermark: state, other.state\n-- technical: loaded_at,things.seen_at\nselect 1")
    assert file.watermark == ("state", "other.state")
    assert file.technical == ("loaded_at", "things.seen_at")
    quoted = read(tmp_path, '-- technical: m."Prices, all"."Made ""At""", x\nselect 1')
    assert quoted.technical == ('m."Prices, all"."Made ""At"""', "x")
    with pytest.raises(ConfigError, match=r"010_things.sql:1:15: watermark is 'a b': 'a b' is not a name"):
        read(tmp_path, "-- watermark: a b\nselect 1")


def test_not_utf8(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused with the byte's place."""
    (tmp_path / "010_a.sql").write_bytes(b"select '\xff'")
    with pytest.raises(ConfigError, match=r"not UTF-8 text \(byte 8\)"):
        step.read(tmp_path / "010_a.sql", tmp_path, STEP_KEYS)


def test_byte_order_mark(tmp_path: Path) -> None:
    """A byte-order mark is skipped."""
    assert read(tmp_path, "\ufeffselect 1").statements[0].text == "select 1"


def test_no_transaction_needs_one_statement(tmp_path: Path) -> None:
    """A schema file outside a transaction holds one statement, or half of it could stay."""
    file = read(tmp_path, "-- transaction: off\nselect 1; select 2", keys=SCHEMA_KEYS)
    with pytest.raises(ConfigError, match="allows one statement, and there are 2"):
        _ = file.statements


def test_earlier_texts(tmp_path: Path) -> None:
    """A schema file names the earlier texts of files that it makes good for; a step has no such key."""
    file = read(tmp_path, "-- upgrades: 001_a@0123456789ab, 001_a@abcdef012345\nselect 1", keys=SCHEMA_KEYS)
    assert file.upgrades == (("001_a", "0123456789ab"), ("001_a", "abcdef012345"))
    for text in ("001_a", "001_a@0123", "a@0123456789ab", "001_a@0123456789ab,"):
        with pytest.raises(ConfigError, match="no earlier text of a file"):
            read(tmp_path, f"-- upgrades: {text}\nselect 1", keys=SCHEMA_KEYS)
    with pytest.raises(ConfigError, match="unknown header key 'upgrades'"):
        read(tmp_path, "-- upgrades: 001_a@0123456789ab\nselect 1")


def test_checksum(tmp_path: Path) -> None:
    """Comments and white space do not count, the SQL does."""
    one = read(tmp_path, "select 1", "001_a.sql").checksum
    assert one == read(tmp_path, "-- better\n\nselect\n    1", "001_c.sql").checksum
    assert one != read(tmp_path, "select 2", "001_d.sql").checksum


@pytest.fixture
def steps(tmp_path: Path) -> list[SqlFile]:
    """Three steps."""
    return [read(tmp_path, "select 1", name) for name in ("010_agents.sql", "011_roles.sql", "020_groups.sql")]


@pytest.mark.parametrize(
    ("only", "first", "last", "chosen"),
    [
        pytest.param(None, None, None, ["010_agents", "011_roles", "020_groups"], id="all"),
        pytest.param("20,agents", None, None, ["010_agents", "020_groups"], id="by number and name"),
        pytest.param("020_groups", None, None, ["020_groups"], id="by both"),
        pytest.param(None, "roles", None, ["011_roles", "020_groups"], id="from"),
        pytest.param(None, None, "011", ["010_agents", "011_roles"], id="until"),
    ],
)
def test_selection(
    steps: list[SqlFile], only: str | None, first: str | None, last: str | None, chosen: list[str]
) -> None:
    """Steps are named by number, name or both, and keep their order."""
    assert [file.id for file in project.select(steps, only, first, last)] == chosen


@pytest.mark.parametrize(
    ("only", "first", "last"),
    [
        pytest.param("nothing", None, None, id="unknown"),
        pytest.param("", None, None, id="an unset variable of the shell"),
        pytest.param(None, "020", "010", id="upside down"),
        pytest.param("010", "020", None, id="excluded"),
    ],
)
def test_wrong_selection(steps: list[SqlFile], only: str | None, first: str | None, last: str | None) -> None:
    """What selects nothing is wrong usage, not a run of nothing."""
    with pytest.raises(UsageError):
        project.select(steps, only, first, last)
