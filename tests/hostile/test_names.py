"""Names that mean harm: each is taken exactly or refused with a hint, and none reaches a shell, a file or SQL."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runner import cli, config, console, days, project, step
from runner.errors import ConfigError, RunnerError, UsageError
from runner.flows import names
from staging_loaders.entity import read_declaration
from tests.conftest import Server

HOSTILE = {
    "quote": "a'b; drop table orders;--",
    "double quote": 'a"b',
    "line break": "a\nb",
    "last line break": "day1\n",
    "escape": "a\x1b[31mred\x1b]0;title\x07",
    "control of one byte": "a\x9b31m",
    "right to left": "\u202eevil",
    "zero width": "day\u200b1",
    "homoglyph": "d\u0430y1",
    "combining": "day1\u0301",
    "full width": "\uff44ay1",
    "emoji": "\U0001f9ff",
    "superscript": "\u00b2",
    "not text": "\udcff\udcfe",
    "up": "../day1",
    "absolute": "/etc/passwd",
    "home": "~",
    "windows": "C:\\day1",
    "long": "x" * 300,
    "number": "1" * 5000,
    "word": "select",
    "nothing": "",
    "blank": " ",
    "option": "--",
    "format": "{0.__class__}%s%(a)s",
}
COMMANDS = {
    "apply": (["--day"], ["--day", "day1", "--only"], ["--day", "day1", "--from"], ["--day", "day1", "--until"],
              ["--day", "day1", "--pipeline"], ["--day", "day1", "--data"], ["--day", "day1", "--wait"],
              ["--day", "day1", "--max-rejects"], ["--day", "day1", "--engine"]),
    "load": (["--day"], ["--day", "day1", "--data"]),
    "plan": (["--day"], ["--day", "day1", "--data"]),
    "lint": ([],),
    "lineage": (["--column"],),
    "metrics": (["--day"], ["--run"], ["--format"]),
    "rejects": (["--day"], ["--entity"]),
    "checks": (["--day"],),
    "new": (["step"], ["loader"]),
    "prune": (["--keep"],),
}  # fmt: skip
DATABASE_WORDS = {"metrics", "rejects", "checks"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project."""
    folder = tmp_path_factory.mktemp("shop") / "project"
    assert cli.main(["init", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def shop_database(server: Server) -> Iterator[str]:
    """The URL of a database for that project."""
    name = server.create()
    yield server.on(name)
    server.drop(name)


@pytest.fixture
def inside(shop: Path, shop_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project's folder as the current one, with a database in which its tables are."""
    monkeypatch.chdir(shop)
    monkeypatch.setenv("DATABASE_URL", shop_database)
    assert cli.main(["migrate"]) == 0
    before = {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()}
    yield shop
    assert {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()} == before
    with psycopg.connect(shop_database) as connection:
        assert connection.execute("select count(*) from orders").fetchone() == (0,)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_words(inside: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Each command refuses such a word with a message and a hint, or finds nothing by it; its output is harmless."""
    word = HOSTILE[name]
    for command, options in COMMANDS.items():
        for option in options:
            if command == "new" and word == "select":
                continue  # a name like any other
            if command == "lint" and name in ("nothing", "option", "absolute"):
                continue  # all files, and one that is there
            capsys.readouterr()
            code = cli.main([command, *option, word])
            out, err = capsys.readouterr()
            said = f"{command} {option}: {out}{err}"
            assert "fault of the runner" not in err, said
            assert all(character.isprintable() or character == "\n" for character in out + err), said
            if code:
                assert code in (1, 2) and err.startswith("error: ") and "\nhint: " in err, said
            else:
                assert command in DATABASE_WORDS, said


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "word"])
def test_days(name: str) -> None:
    """What is no day name is none, however much it looks like one."""
    with pytest.raises(UsageError):
        days.check(HOSTILE[name])


@pytest.mark.parametrize("name", ["quote", "escape", "right to left", "not text", "emoji", "blank", "line break"])
def test_pipelines(
    tmp_path: Path, empty_database: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A pipeline may be called anything that is text: it is found, applied and told by exactly that name."""
    folder = tmp_path / "migrations" / HOSTILE[name]
    folder.mkdir(parents=True)
    (folder / "010_one.sql").write_text(
        "create table one (id int);\n"
        "insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_affected, status)\n"
        "select current_setting('app.flow_run_id'), 'one_task', 'one', 'one', current_setting('app.day'), 0, 'success'"
    )
    monkeypatch.setenv("DATABASE_URL", empty_database)
    code = cli.main(["apply", "--day", "day1", "--project", str(tmp_path)])
    out, err = capsys.readouterr()
    assert all(character.isprintable() or character == "\n" for character in out + err)
    if name == "not text":
        assert code == 2 and "not UTF-8" in err and "hint: " in err
        return
    assert code == 0, err
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("select distinct pipeline from pipeline_metrics").fetchall() == [(HOSTILE[name],)]


@pytest.mark.parametrize("name", sorted(HOSTILE.keys() - {"nothing", "up", "absolute", "word", "long", "number"}))
def test_files_of_steps_and_loaders(tmp_path: Path, name: str) -> None:
    """A step or a declaration whose file is not named like one is refused by its name."""
    for path, read in (
        (tmp_path / f"010_{HOSTILE[name]}.sql", lambda path: step.read(path, tmp_path, step.STEP_KEYS)),
        (tmp_path / f"{HOSTILE[name]}.toml", read_declaration),
    ):
        path.write_text('table = "stg_a"\nkey = "a"\n[fields]\na = { required = true }\n')
        with pytest.raises(RunnerError) as caught:
            read(path)
        assert caught.value.hint


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("key", ["table", "key", "column", "from"])
def test_names_in_declarations(tmp_path: Path, key: str, name: str) -> None:
    """Tables and columns are plain names of at most 63 characters, as the server keeps them; a path is anything."""
    words = {"table": "stg_a", "key": "a", "column": "a", "from": "a", key: HOSTILE[name]}
    quoted = {
        part: json.dumps(word.encode("utf-8", "replace").decode(), ensure_ascii=False) for part, word in words.items()
    }
    file = tmp_path / "a.toml"
    file.write_text(
        f"table = {quoted['table']}\nkey = {quoted['key']}\n[fields]\n"
        f"{quoted['column']} = {{ from = {quoted['from']}, required = true }}\n",
        encoding="utf-8",
    )
    if key == "from" and name not in ("nothing", "up"):
        assert read_declaration(file).fields[0].paths == (tuple(json.loads(quoted["from"]).split(".")),)
        return
    with pytest.raises(RunnerError) as caught:
        read_declaration(file)
    assert caught.value.hint


@pytest.mark.parametrize("folder", ["", "marts", "checkpoints"])
def test_capital_letters(tmp_path: Path, folder: str) -> None:
    """A file that ends in .SQL would be left out without a word: it is refused."""
    (tmp_path / "migrations/shop" / folder).mkdir(parents=True)
    (tmp_path / "migrations/shop" / folder / "010_a.SQL").write_text("select 1", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"010_a\.SQL ends in \.SQL"):
        project.discover(config.load({"project": str(tmp_path)}, environ={}))


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    """A step, a schema file, a check or a declaration that is a pipe is refused before it is opened."""
    for folder in ("", "schema", "checks"):
        (tmp_path / "migrations/shop" / folder).mkdir(parents=True, exist_ok=True)
        pipe = tmp_path / "migrations/shop" / folder / "010_a.sql"
        os.mkfifo(pipe)
        with pytest.raises(ConfigError, match=r"010_a\.sql is not a file"):
            project.discover(config.load({"project": str(tmp_path)}, environ={}))
        pipe.unlink()
    os.mkfifo(tmp_path / "a.toml")
    with pytest.raises(ConfigError, match=r"a\.toml: not a file"):
        read_declaration(tmp_path / "a.toml")


@pytest.mark.parametrize("name", ["a/b", "a%b", "<a>", "a&b"])
def test_flows_that_prefect_cannot_name(name: str) -> None:
    """What Prefect takes for no flow's name is refused before a server starts."""
    with pytest.raises(ConfigError, match="Prefect takes no flow") as caught:
        names.flow_name(name)
    assert caught.value.hint


def test_names_in_prefect() -> None:
    """Braces in a pipeline's name are no parameters; names that differ have tables of their own."""
    assert names.run_name("a{b}{}", "day1") == "a{b}{} day1"
    assert names.artifact_key("zluri", "metrics", "day1") == "zluri-metrics-day1"
    days = ("day1", "Day1", "2026-01-05", "2026.01.05", "2026_01_05")
    keys = {names.artifact_key(pipeline, "metrics", day) for pipeline in ("a", "A", "\u00e4", "a'") for day in days}
    assert len(keys) == 4 * len(days) and all(re.fullmatch("[a-z0-9-]+", key) for key in keys)


def test_a_loader_from_a_hostile_sample(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fields may be called anything: the declaration that is written can be read, and names them exactly."""
    fields = ["id", "a'b; drop", 'a"b', "a\nb = 1", "\x1b[31m", "\x7f", "\u202e", "\U0001f9ff"]
    fields += ["select", "x" * 300, "\u00e9", "#"]
    sample = tmp_path / "page\n1.json"
    sample.write_text(json.dumps([dict.fromkeys(fields, 1), {**dict.fromkeys(fields, 2)}]))
    for folder in ("migrations", "staging_loaders"):
        shutil.copytree(shop / folder, tmp_path / folder)
    code = cli.main(["new", "loader", "things", "--sample", str(sample), "--key", "id", "--project", str(tmp_path)])
    assert code == 0, capsys.readouterr().err
    entity = read_declaration(tmp_path / "staging_loaders/shop/things.toml")
    assert sorted(field.name for field in entity.fields) == sorted(fields)
    assert all(len(field.column) <= 63 for field in entity.fields)
    schema = project.discover(config.load({"project": str(tmp_path)}, environ={})).schema
    assert len(schema[-1].statements) == 1


def test_a_number_that_is_none(shop: Path) -> None:
    """A step is named by digits alone, of a number that a step can have."""
    steps = project.discover(config.load({"project": str(shop)}, environ={})).steps
    assert project.find(steps, "10") is project.find(steps, "010") is steps[0]
    for word in ("\u00b2", "\u0661\u0660", "1" * 5000, "-10", "1_0"):
        with pytest.raises(UsageError, match="no step"):
            project.find(steps, word)


def test_a_terminal_is_not_driven(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, too, nothing but the runner's own colours gets through."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        console.say(console.style("good", "green") + "\ta\x1b[2J\x1b[31m\x9b2J\u202eb\x7f\x08")
        console.print_json({"a": "\x9b2J\u202e\udcff\x7f\x1b[2J\u00e9"})
        stream.flush()
        seen = ""
        while not seen.endswith("}\n"):
            seen += os.read(ours, 10_000).decode().replace("\r\n", "\n")
    os.close(ours)
    assert seen.splitlines()[0].startswith("\x1b[32mgood\x1b[0m")
    assert seen.count("\x1b[2J") == 0 and not set(seen) & set("\x9b\u202e\x7f\x08")
    assert json.loads(seen.partition("\n")[2]) == {"a": "\x9b2J\u202e\udcff\x7f\x1b[2J\u00e9"}
