"""A password in the settings is seen by the server alone: not on a screen, in a log, a table, a file or a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg import conninfo

from runner import cli, config, database
from runner.apply import Run as DayRun
from runner.errors import ConfigError, RunnerError
from staging_loaders.local import Local
from staging_loaders.server_faults import ServerFaults
from staging_loaders.split import Work
from tests.e2e.conftest import ROOT, environment
from tests.hostile.watching import Watch, files_with

SECRET = "Kanari/en:vogel%4@é#"
SECRETS = (SECRET, quote(SECRET), quote(SECRET, safe=""), "Kanari", "vogel%4", "vogel%254")

linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="what processes show is read from /proc")

BROKEN = "select 1 / (select count(*) - count(*) from pg_class);"

EVENTS = """
[spark]
"spark.eventLog.enabled" = true
"spark.eventLog.compress" = false
"spark.eventLog.dir" = "file://{}"
"spark.ui.enabled" = true
"""

Run = Callable[..., str]


def url(parts: dict[str, str], secret: str = "", **query: str) -> str:
    """Return a connection string as a URL."""
    rest = {key: value for key, value in parts.items() if key not in ("user", "password", "dbname")} | query
    secret = f":{quote(secret, safe='')}" if secret else ""
    return f"postgresql://{parts['user']}{secret}@/{parts['dbname']}?{urlencode(rest, quote_via=quote)}"


@pytest.fixture
def parts(empty_database: str) -> dict[str, str]:
    """What leads to the test's database, by libpq's names."""
    found = conninfo.conninfo_to_dict(empty_database)
    if "password" in found:
        pytest.skip("the server that DATABASE_URL names asks for a password of its own")
    return {key: str(value) for key, value in found.items() if value is not None}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one day and two steps, the second of which fails."""
    folder = tmp_path / "project"
    assert cli.main(["init", str(folder)]) == 0
    (folder / "migrations/shop/020_broken.sql").write_text(BROKEN)
    return folder


@pytest.fixture
def clean_run(project: Path, tmp_path: Path) -> Iterator[Run]:
    """Run a command, and see that nobody else gets to see the password; afterwards look at what it left."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    temporary.mkdir()

    def run(*words: str, module: str = "runner", expect: tuple[int, ...] = (0,), **given: str) -> str:
        settings = environment(RUNNER_HOME=str(home), TMPDIR=str(temporary), RUNNER_DEBUG="", **given)
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=project,
            env=settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with Watch(process.pid, SECRETS if "DATABASE_URL" in given else ()) as watch:
            out, _ = process.communicate(timeout=300)
        assert not watch.found
        assert not [secret for secret in SECRETS if secret in out], out
        assert process.returncode in expect, out
        run.seen = watch.seen  # type: ignore[attr-defined]
        return out

    yield run
    assert not files_with(home, SECRETS) if home.exists() else True
    assert not files_with(temporary, SECRETS)


def rows_with_secret(dsn: str) -> list[str]:
    """Return the tables of which a row holds the password."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname not like 'pg\\_%'"
        ).fetchall()
        return [
            table
            for (table,) in tables
            for (row,) in connection.execute(f"select whole::text from {table} as whole".encode())
            if any(secret in row for secret in SECRETS)
        ]


FORMS: dict[str, Callable[[dict[str, str], Path], dict[str, str]]] = {
    "url": lambda parts, _: {"DATABASE_URL": url(parts, SECRET)},
    "query": lambda parts, _: {"DATABASE_URL": url(parts, password=SECRET, sslpassword=SECRET)},
    "keywords": lambda parts, _: {"DATABASE_URL": conninfo.make_conninfo("", **parts, password=SECRET)},
    "variables": lambda parts, _: {
        "PGHOST": parts["host"],
        "PGPORT": parts.get("port", "5432"),
        "PGUSER": parts["user"],
        "PGDATABASE": parts["dbname"],
        "PGPASSWORD": SECRET,
    },
    "service": lambda parts, folder: {"PGSERVICE": "canary", "PGSERVICEFILE": str(folder / "service.conf")},
    "passfile": lambda parts, folder: {"DATABASE_URL": url(parts, passfile=str(folder / "pass"))},
}


@linux
@pytest.mark.parametrize("form", FORMS)
def test_a_password_is_shown_in_no_form(
    clean_run: Run, parts: dict[str, str], empty_database: str, tmp_path: Path, form: str
) -> None:
    """A day that is loaded, a step that works and one that fails show no password, wherever it was written."""
    lines = "\n".join(f"{key}={value}" for key, value in {**parts, "password": SECRET}.items())
    (tmp_path / "service.conf").write_text(f"[canary]\n{lines}\n")
    (tmp_path / "pass").write_text(f"*:*:*:*:{SECRET.replace(':', chr(92) + ':')}\n")
    (tmp_path / "pass").chmod(0o600)
    given = FORMS[form](parts, tmp_path)
    said = clean_run("apply", "--day", "day1", "--engine", "local", expect=(1,), **given)
    assert "020_broken.sql:1:10: division by zero" in said
    assert rows_with_secret(empty_database) == []


@linux
@pytest.mark.long
@pytest.mark.parametrize(
    ("engine", "programs"),
    [("local", ("runner.flows.server",)), ("spark", ("runner.flows.server", "PythonGatewayServer", "pyspark"))],
)
def test_prefect_and_spark_are_not_told(
    clean_run: Run,
    parts: dict[str, str],
    empty_database: str,
    project: Path,
    tmp_path: Path,
    engine: str,
    programs: tuple[str, ...],
) -> None:
    """A flow that loads a day and fails tells its processes, files, tables and Prefect's own nothing."""
    words = ("--day", "day1", "--engine", engine)
    if engine == "spark":  # whose log of events tells its settings and tasks
        log = tmp_path / "home/events"
        log.mkdir(parents=True)
        with (project / "runner.toml").open("a") as file:
            file.write(EVENTS.format(log))
    said = clean_run(*words, module="runner.flows", expect=(1,), DATABASE_URL=url(parts, SECRET))
    assert "division by zero" in said
    seen = "\n".join(clean_run.seen)  # type: ignore[attr-defined]
    assert all(program in seen for program in programs)
    assert engine != "spark" or any(path.stat().st_size for path in log.rglob("*") if path.is_file())
    assert rows_with_secret(empty_database) == []


def test_workers_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that copies rows gets its connection string by hand, and libpq's variables, which it may need."""
    monkeypatch.setenv("DATABASE_URL", f"postgresql://ada:{SECRET}@db")
    monkeypatch.setenv("PGPASSWORD", SECRET)
    with Local(1, inline_weight=0) as engine:
        engine.expect(Work(1, 1, 1))
        assert engine.run(os.getenv, ["DATABASE_URL", "PGPASSWORD"]) == [None, SECRET]


def test_the_commands_that_tell_of_the_server(
    clean_run: Run, parts: dict[str, str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What doctor and db say of the server is its address."""
    monkeypatch.setenv("DATABASE_URL", url(parts, SECRET, sslpassword=SECRET))
    for words in (["doctor"], ["db", "url"], ["db", "status", "--json"], ["db", "start"]):
        cli.main(words)
    said = "".join(capfd.readouterr())
    assert parts["dbname"] in said
    assert not [secret for secret in SECRETS if secret in said]


@pytest.mark.parametrize(
    "dsn",
    [
        pytest.param(f"postgresql://ada:{SECRET}@nowhere.invalid/db", id="not encoded"),
        pytest.param(f"postgresql+psycopg2://ada:{quote(SECRET)}@nowhere.invalid/db", id="with a driver"),
        pytest.param(f"postgresql://ada:{quote(SECRET)}@nowhere.invalid:12x/db", id="port"),
        pytest.param(f"postgresql://ada:{quote(SECRET)}@nowhere.invalid/db?nothing=1", id="unknown option"),
        pytest.param(f"postgresql://ada:{quote(SECRET, safe='')}@[::1/db", id="bracket"),
        pytest.param(f"postgresql://ada:{quote(SECRET, safe='')}%zz@localhost/db", id="percent"),
        pytest.param(f"host=localhost password='{SECRET}", id="quote"),
        pytest.param(f"host=nowhere.invalid password={SECRET} connect_timeout=1", id="no such host"),
        pytest.param(f"mysql://ada:{SECRET}@localhost/db", id="another server"),
        pytest.param(f"postgresql://ada:{quote(SECRET, safe='')}\0@localhost/db", id="NUL"),
        pytest.param(f"postgresql://ada:{quote(SECRET, safe='')}\udcff@localhost/db", id="not UTF-8"),
    ],
)
def test_a_string_that_leads_nowhere(dsn: str) -> None:
    """A connection string that is wrong is refused without being quoted, also in what caused the error."""
    with pytest.raises(RunnerError) as caught:
        database.connect(dsn, "test")
    shown = "".join(traceback.format_exception(caught.value)) + str(caught.value.hint) + repr(caught.value)
    assert not [secret for secret in SECRETS if secret in shown.replace("nowhere.invalid", "")]


@pytest.mark.parametrize("value", [[f"postgresql://ada:{SECRET}@db"], {"a": f"password={SECRET}"}, 5], ids=repr)
def test_a_url_that_is_no_text(tmp_path: Path, value: object) -> None:
    """A setting of the wrong kind may be the password all the same: its kind is told, not its value."""
    written = json.dumps(value).replace(":", "=", 1) if isinstance(value, dict) else json.dumps(value)
    (tmp_path / "runner.toml").write_text(f"[database]\nurl = {written}\n")
    with pytest.raises(
        ConfigError, match=r"database\.url in .* is (a list|a table|a number), which is not text"
    ) as caught:
        config.load({"project": str(tmp_path)}, environ={})
    assert "Kanari" not in caught.value.message


@pytest.mark.parametrize(
    ("password", "text", "left"),
    [
        ("day1", "day10: a holiday1 of day1", "day10: a holiday1 of ********"),
        ("a", "a day", "a day"),
        ("p/w@:d", "p%2Fw%40%3Ad, p/w%40%3Ad or p/w@:d", "********, ******** or ********"),
    ],
    ids=["a word", "a letter", "encoded"],
)
def test_only_a_password_is_taken_out(password: str, text: str, left: str) -> None:
    """What looks like the password within another word stays, and so does ordinary text."""
    assert database.redact(text, f"postgresql://ada:{quote(password, safe='')}@localhost/db") == left


def test_what_holds_a_password_does_not_print_it() -> None:
    """The objects that carry a connection string show none of it in a traceback's or a log's `repr`."""
    dsn = f"postgresql://ada:{SECRET}@db"
    settings = replace(config.load({"project": str(ROOT), "pipeline": "zluri"}, environ={}), database_url=dsn)
    faults = ServerFaults("day1", dsn, ROOT, ROOT, lambda: None)  # type: ignore[arg-type]
    for value in (settings, DayRun("shop", "day1", "1", dsn), faults):
        assert "Kanari" not in repr(value)
