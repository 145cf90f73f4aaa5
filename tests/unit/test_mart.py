"""A mart's file and a checkpoint's: what each may be, and where one that is not is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import checkpoint, config, mart, marts, plan, project
from runner.check import CHECKPOINTS
from runner.errors import ConfigError, UsageError
from runner.mart import Mart
from runner.marts import State

VIEW = "create materialized view things as select 1 as id"
KEY = "create unique index things_key on things (id)"


def read(folder: Path, text: str, name: str = "010_things") -> Mart:
    """Write `text` to a file and read it as a mart."""
    path = folder / "marts" / f"{name}.sql"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return mart.read(path, folder)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{VIEW};\n{KEY}", id="plain"),
        pytest.param(f"begin;\n{VIEW};\n{KEY};\ncommit;", id="outer transaction"),
        pytest.param(f"{VIEW} with data;\n{KEY}", id="with data"),
        pytest.param(f"create materialized view if not exists things as select 1 as id;\n{KEY}", id="if not exists"),
        pytest.param(f"{VIEW};\ncreate unique index on only things using btree (id desc nulls last)", id="no name"),
        pytest.param(f'{VIEW};\ncreate unique index things_key on things (id collate "C")', id="collation"),
        pytest.param(f"{VIEW};\ncreate index named on things ((id + 1));\n{KEY} nulls not distinct", id="two indexes"),
        pytest.param(f"{VIEW};\n{KEY};\ncomment on column things.id is 'x';\ngrant select on things to a", id="more"),
        pytest.param(f'{VIEW.replace("things", chr(34) + "things" + chr(34))};\n{KEY}', id="quoted"),
    ],
)  # fmt: skip
def test_a_mart(tmp_path: Path, text: str) -> None:
    """A materialized view with a unique index of columns alone, whatever else belongs to it."""
    found = read(tmp_path, text)
    assert (found.id, found.name) == ("010_things", "things")
    assert found.statement.words[:3] == ("create", "materialized", "view")


def test_header(tmp_path: Path) -> None:
    """It may say what it is, and how long it may take."""
    found = read(tmp_path, f"-- description: all of them\n-- timeout: 1h\n{VIEW};\n{KEY}")
    assert (found.file.description, found.file.timeout) == ("all of them", 3_600_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("create view things as select 1;", ":1:1: create view things makes no mat", id="view"),
        pytest.param("create table things as select 1;", ":1:1: create table things makes", id="table"),
        pytest.param("select 1", ":1:1: select makes no materialized view", id="select"),
        pytest.param(VIEW, ":1:1: things has no unique index", id="no index"),
        pytest.param(f"{VIEW};\n{KEY.replace('unique ', '')}", ":1:1: things has no unique index", id="not unique"),
        pytest.param(f"{VIEW};\n{KEY} where id > 1", ":1:1: things has no unique index", id="partial"),
        pytest.param(f"{VIEW};\n{KEY.replace('(id)', '((id + 1))')}", "no unique index", id="expression"),
        pytest.param(f"{VIEW};\n{KEY.replace('(id)', '(lower(id))')}", "no unique index", id="function"),
        pytest.param(f"{VIEW} with no data;\n{KEY}", ":1:51: a mart that is made with no data", id="no data"),
        pytest.param(f"{VIEW.replace('things', 'others')};\n{KEY}", ":1:26: the file makes others", id="name"),
        pytest.param(f"{VIEW.replace('things', 'public.things')};\n{KEY}", ":1:26: a mart is named", id="schema"),
        pytest.param(f"{VIEW};\n{KEY.replace('on things', 'on others')}", ":2:35: an index on others", id="other"),
        pytest.param(f"{VIEW};\n{KEY.replace('index', 'index concurrently')}", ":2:21: an index of", id="concurrently"),
        pytest.param(f"{VIEW};\n{KEY};\nrefresh materialized view things", ":3:1: refresh mater", id="refresh"),
        pytest.param(f"{VIEW};\n{KEY};\ncreate materialized view more as select 1", ":3:1: create mat", id="two"),
        pytest.param(f"-- table: things\n{VIEW};\n{KEY}", ":1:4: unknown header key 'table'", id="key"),
        pytest.param(f"{VIEW};\ncommit;\n{KEY}", ":2:1: transaction control", id="commit"),
        pytest.param("create materialized view", ":1:21: a name is missing", id="short"),
        pytest.param("", "contains no statement", id="empty"),
    ],
)
def test_what_is_none(tmp_path: Path, text: str, message: str) -> None:
    """What could not be refreshed while it is read is refused with its place, before anything runs."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert message in caught.value.message and caught.value.hint


def test_a_checkpoint(tmp_path: Path) -> None:
    """A checkpoint is of no step."""
    path = tmp_path / "010_all_is_well.sql"
    path.write_text("-- severity: warn\n-- description: odd things\n-- timeout: 2s\nselect 1", encoding="utf-8")
    found = checkpoint.read(path, tmp_path)
    assert (found.name, found.step, found.severity) == ("010_all_is_well", CHECKPOINTS, "warn")
    assert (found.description, found.file.timeout) == ("odd things", 2_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("-- description: x\nselect 1", ":1:1: the header has no 'severity'", id="severity"),
        pytest.param("-- severity: error\nselect 1", ":1:1: the header has no 'description'", id="description"),
        pytest.param("-- severity: bad\n-- description: x\nselect 1", ":1:14: severity is 'bad'", id="word"),
        pytest.param("-- check: 010\n-- severity: error\nselect 1", ":1:4: unknown header key 'check'", id="step"),
        pytest.param("-- severity: error\n-- description: x\ndelete from x", ":3:1: delete is no select", id="delete"),
        pytest.param("-- severity: error\n-- description: x\nselect 1; select 2", ":3:11: a second", id="two"),
    ],
)
def test_what_is_no_checkpoint(tmp_path: Path, text: str, message: str) -> None:
    """It is refused as a check is, with its place."""
    path = tmp_path / "010_all_is_well.sql"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        checkpoint.read(path, tmp_path)
    assert message in caught.value.message and caught.value.hint


def test_a_project_has_both(tmp_path: Path) -> None:
    """They are found in folders of their own, marts in the order of their numbers, which no two share."""
    folder = tmp_path / "migrations" / "shop"
    for name, text in {
        "marts/020_things.sql": f"{VIEW};\n{KEY}",
        "marts/003_sums.sql": f"{VIEW};\n{KEY}".replace("things", "sums"),
        "checkpoints/010_good.sql": "-- severity: error\n-- description: bad things\nselect 1",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    settings = config.load({"project": str(tmp_path)}, environ={})
    found = project.discover(settings)
    assert [mart.id for mart in found.marts] == ["003_sums", "020_things"]
    assert [checkpoint.name for checkpoint in found.checkpoints] == ["010_good"]
    for name in ("20", "020", "things", "020_things"):
        assert [mart.name for mart in marts.select(found.marts, [name])] == ["things"]
    assert marts.select(found.marts, ["things", "sums"]) == list(found.marts) == marts.select(found.marts, [])
    with pytest.raises(UsageError) as caught:
        marts.select(found.marts, ["thing"])
    assert "did you mean things?" in caught.value.message
    (folder / "marts/020_more.sql").write_text(f"{VIEW};\n{KEY}".replace("things", "more"), encoding="utf-8")
    with pytest.raises(ConfigError, match="have the same number"):
        project.discover(settings)


def test_plan(tmp_path: Path) -> None:
    """A mart is made where it is not there, made anew where its text has changed, and else refreshed."""
    found = read(tmp_path, f"-- description: changed\n{VIEW};\n{KEY} -- remark")
    same = read(tmp_path, f"{VIEW}; {KEY};").checksum
    known = State("things", oid=1, kind="m", checksum=same)
    assert [one.action for one in plan.marts([found], {})] == ["make"]
    assert marts.pending([found], {"things": State("things", checksum=same)}) == [found]
    assert marts.pending([found], {"things": known}) == []
    changed = State("things", oid=1, kind="m", checksum="another")
    assert [one.action for one in plan.marts([found], {"things": changed})] == ["make anew"]
    assert marts.pending([found], {"things": changed}) == [found]


@pytest.mark.parametrize("state", [State("things", oid=1, kind="r", checksum="x"), State("things", oid=1, kind="m")])
def test_somebody_elses(tmp_path: Path, state: State) -> None:
    """What no mart made is not exchanged."""
    with pytest.raises(ConfigError, match="that no mart made"):
        marts.pending([read(tmp_path, f"{VIEW};\n{KEY}")], {"things": state})
