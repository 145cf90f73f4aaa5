"""`runner db` and `runner doctor`, as a person calls them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from runner import cli, embedded, server_checks

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def call(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in a project of its own; return exit code, output and errors."""
    steps = tmp_path / "migrations" / "shop"
    steps.mkdir(parents=True)
    (steps / "010_items.sql").write_text("select 1;\n")
    (tmp_path / "data" / "sync-day1").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNNER_HOME", str(home))

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def _psql(home: Path, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `runner db psql`, which replaces its process, in one of its own."""
    environment = {**os.environ, "RUNNER_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "runner", "db", "psql", *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_start_stop_reset(call: Callable[..., tuple[int, str, str]], home: Path) -> None:
    """Each action says what it did, and doing it twice is no error."""
    assert call("db", "start")[1].startswith("PostgreSQL 18: started (process ")
    assert call("db", "start")[1].startswith("PostgreSQL 18: already runs (process ")
    assert call("db", "stop") == (0, "PostgreSQL 18: stopped\n", "")
    assert call("db", "stop") == (0, "PostgreSQL 18: did not run\n", "")
    data = embedded.status(home).data_dir
    assert call("db", "reset", "--yes") == (0, f"PostgreSQL 18: removed {data}\n", "")
    assert call("db", "reset", "--yes") == (0, "PostgreSQL 18: had no data\n", "")


def test_stop_while_a_run_is_active(call: Callable[..., tuple[int, str, str]], home: Path) -> None:
    """A server at work is not stopped from under its run, which would start it again; --force does even so."""
    call("migrate")
    url = call("db", "url")[1].strip()
    with psycopg.connect(url, autocommit=True, application_name="runner verify") as connection:
        code, out, err = call("db", "stop")
        assert (code, out) == (3, "")
        assert "error: PostgreSQL 18 is in use: runner verify (connection " in err
        connection.execute(
            "insert into runner_leases (pipeline, day, flow_run_id, host, pid)"
            " values ('shop', 'day1', 'other', 'afar', 7), ('shop', 'day2', 'dead', %s, 2147483646)",
            [socket.gethostname()],
        )
        code, out, err = call("db", "stop")
        assert (code, out) == (3, "")
        assert err.startswith("error: PostgreSQL 18 is in use: shop day1, run other on afar (pid 7) since 2")
        assert err.splitlines()[1].startswith("hint: ")
        assert embedded.status(home).running
        assert call("db", "stop", "--force") == (0, "PostgreSQL 18: stopped\n", "")


def test_reset_while_a_run_is_active(call: Callable[..., tuple[int, str, str]], home: Path) -> None:
    """Data are not removed from under a run, whoever agreed to lose them; --force does even so."""
    call("migrate")
    url = call("db", "url")[1].strip()
    with psycopg.connect(url, autocommit=True, application_name="runner verify") as connection:
        connection.execute(
            "insert into runner_leases (pipeline, day, flow_run_id, host, pid)"
            " values ('shop', 'day1', 'other', 'afar', 7)"
        )
        code, out, err = call("db", "reset", "--yes")
        assert (code, out) == (3, "")
        assert err.startswith("error: PostgreSQL 18 is in use: shop day1, run other on afar (pid 7) since 2")
        assert err.splitlines()[1].startswith("hint: ")
        assert "runner db reset --force" in err
        assert embedded.status(home).running
        assert "removed" in call("db", "reset", "--yes", "--force")[1]
    assert not embedded.status(home).data_dir.exists()


def test_a_port_that_the_running_server_lacks(
    call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status says that the port is wanted, why it is not there, and how it comes."""
    call("db", "start")
    monkeypatch.setenv("RUNNER_EMBEDDED_PORT", "5499")
    assert "off; it was started without port 5499: runner db stop, then runner db start" in call("db", "status")[1]
    monkeypatch.delenv("RUNNER_EMBEDDED_PORT")
    call("db", "stop")
    monkeypatch.setenv("RUNNER_EMBEDDED_PORT", "5499")
    assert "off; the next start listens on port 5499" in call("db", "status")[1]


def test_status_before_and_after(call: Callable[..., tuple[int, str, str]]) -> None:
    """Status starts nothing; it shows where the server is and whether it runs."""
    assert "does not run" in call("db", "status")[1]
    before = json.loads(call("db", "status", "--json")[1])
    assert (before["running"], before["pid"], before["size"], before["used"]) == (False, None, 0, True)
    call("db", "start")
    after = json.loads(call("db", "status", "--json")[1])
    assert after["running"]
    assert after["size"] > 1_000_000
    assert f"runs (process {after['pid']})" in call("db", "status")[1]


def test_reset_asks_first(call: Callable[..., tuple[int, str, str]], home: Path) -> None:
    """Without --yes and without a terminal to ask on, nothing is removed."""
    call("db", "start")
    code, _, err = call("db", "reset")
    assert code == 2
    assert "runner db reset --yes" in err
    assert embedded.status(home).running


def test_url_connects(call: Callable[..., tuple[int, str, str]]) -> None:
    """The URL is all a client needs."""
    url = call("db", "url")[1].strip()
    with psycopg.connect(url) as connection:
        assert connection.execute("select current_database()").fetchone() == ("warehouse",)


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (("-At", "-c", "select 6 * 7"), "42\n"),
        (("--", "-Atc", "select current_user"), "warehouse\n"),
        (("--no-align", "--tuples-only", "--file=two.sql"), "2\n"),
        (("-d", "postgres", "-Atc", "select current_database(), current_user"), "postgres|warehouse\n"),
        (("postgres", "-Atc", "select current_database()"), "postgres\n"),
    ],
    ids=["command", "after two dashes", "file", "another database", "another database's name alone"],
)
def test_psql(home: Path, tmp_path: Path, arguments: tuple[str, ...], output: str) -> None:
    """psql comes with the server; what follows is its own."""
    (tmp_path / "two.sql").write_text("select 2;\n")
    done = _psql(home, tmp_path, *arguments)
    assert (done.stdout, done.returncode) == (output, 0), done.stderr


def test_psql_keeps_its_exit_code(home: Path, tmp_path: Path) -> None:
    """A failed script fails the command, as psql itself would."""
    done = _psql(home, tmp_path, "-c", "select 1 / 0", "-v", "ON_ERROR_STOP=1")
    assert done.returncode == 1
    assert "division by zero" in done.stderr


def test_a_named_server_is_not_the_embedded_one(
    call: Callable[..., tuple[int, str, str]], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With DATABASE_URL set, nothing embedded is started, and no password is shown."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:hush-hush@127.0.0.1:1/shop")
    code, out, err = call("db", "start")
    assert (code, out) == (2, "")
    assert "Unset DATABASE_URL" in err
    url = call("db", "url")[1]
    status = call("db", "status")[1]
    assert url == "postgresql://ada@127.0.0.1:1/shop\n"
    assert "the embedded one is not used" in status
    assert "hush-hush" not in err + url + status
    assert not home.exists()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"DATABASE_URL": "host='/tmp/a b' port=5433 user=a@b dbname=x/y password=hush"},
         "postgresql://a%40b@%2Ftmp%2Fa%20b:5433/x%2Fy"),
        ({"DATABASE_URL": "postgresql://a,[::1]:2/x?sslmode=require"}, "postgresql://a,[::1]:2/x?sslmode=require"),
        ({"PGHOST": "db.example", "PGDATABASE": "x", "PGPASSWORD": "hush"}, "postgresql://db.example/x"),
    ],
    ids=["socket", "two hosts", "environment"],
)  # fmt: skip
def test_url_of_a_named_server(
    call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, given: dict[str, str], shown: str
) -> None:
    """However the server is named, what is printed is a URL that libpq reads as the same place, without a password."""
    from psycopg import conninfo

    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert call("db", "url") == (0, f"{shown}\n", "")
    if url := given.get("DATABASE_URL"):
        meant = conninfo.conninfo_to_dict(url)
        meant.pop("password", None)
        assert {name: value for name, value in conninfo.conninfo_to_dict(shown).items() if value.strip(",")} == meant


def test_a_home_that_is_a_file(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is named, and what to set."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "file" / "home"))
    assert call("status") == (
        2,
        "",
        f"error: {tmp_path}/file/home cannot be made: {tmp_path}/file is not a folder\n"
        "hint: Set RUNNER_HOME (home in runner.toml) to a folder of your own.\n",
    )


def test_nothing_to_load(call: Callable[..., tuple[int, str, str]]) -> None:
    """A project of SQL alone has nothing to load, and says what it has."""
    code, out, err = call("load", "--day", "day1")
    assert (code, out) == (2, "")
    assert err.startswith("error: shop is SQL alone, so there is nothing to load: ")
    assert "runner apply --day D" in err


def test_several_pipelines(call: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """The server and the machine are looked at without choosing a pipeline; the doctor looks at each."""
    (tmp_path / "migrations" / "other").mkdir()
    (tmp_path / "migrations" / "other" / "010_a.sql").write_text("select 1;\n")
    assert call("db", "status")[0] == 0
    code, out, _ = call("doctor")
    assert code == 0
    assert [line.split()[3] for line in out.splitlines() if "  project" in line] == ["other,", "shop,"]
    assert "2 pipelines" in call("status")[2]


def test_the_doctor_counts_days_alone(call: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """A folder whose name no day can have is none, however alike they look."""
    (tmp_path / "data" / "sync-day2\u200f").mkdir()
    (line,) = [line for line in call("doctor")[1].splitlines() if "  data " in line]
    assert line.endswith(": 1 day")


def test_the_end_of_input_is_no_yes(home: Path, tmp_path: Path) -> None:
    """Ctrl-D at the question removes nothing."""
    (home / "pg18" / "data").mkdir(parents=True)
    master, slave = os.openpty()
    os.write(master, b"\x04")
    environment = {**os.environ, "RUNNER_HOME": str(home), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "runner", "db", "reset"],
        cwd=tmp_path,
        env=environment,
        stdin=slave,
        stderr=slave,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.wait(60) == 1
    os.close(slave)
    said = os.read(master, 10_000).decode()
    os.close(master)
    assert "for good? [y/N]" in said
    assert "nothing was removed" in said
    assert (home / "pg18" / "data").is_dir()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("stop", "now"), "now"), (("restart",), "restart"), ((), "ACTION"), (("stop", "--yes"), "--yes")],
    ids=["stray word", "unknown action", "no action", "another action's option"],
)
def test_wrong_usage(call: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], words: str) -> None:
    """What does not fit is an error, not silence."""
    code, out, err = call("db", *arguments)
    assert (code, out) == (2, "")
    assert words in err


def test_project_may_stand_before_or_after_the_action(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """`--project` means the same on either side."""
    (tmp_path / "other" / "migrations" / "x").mkdir(parents=True)
    options = ("--project", str(tmp_path / "other"), "status")
    assert call("db", *options)[:2] == call("db", options[2], *options[:2])[:2]
    assert call("db", "status", "--project", str(tmp_path / "gone"))[0] == 2


def test_doctor_finds_a_healthy_machine(call: Callable[..., tuple[int, str, str]], home: Path) -> None:
    """Every check passes with the server stopped, and nothing is started or made."""
    code, out, err = call("doctor")
    assert (code, err) == (0, "")
    assert "fail" not in out
    assert "does not run now" in out
    assert not home.exists()


def test_doctor_asks_a_running_server(call: Callable[..., tuple[int, str, str]]) -> None:
    """A server that runs is connected to."""
    call("db", "start")
    document = json.loads(call("doctor", "--json")[1])
    findings = {finding["check"]: finding for finding in document["findings"]}
    assert document["healthy"]
    assert findings["postgresql"]["level"] == "ok"
    assert "warehouse@" in findings["postgresql"]["message"]


def test_doctor_counts_partitions_and_locks(
    call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    """A server whose lock table is too small for the days that staging holds is told what to set."""
    monkeypatch.setenv("DATABASE_URL", database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("select staging_day('stg_agents', 'day' || day) from generate_series(1, 3) as day")
    assert "locks" not in call("doctor")[1]
    # As if each partition were a hundred thousand.
    monkeypatch.setattr(server_checks, "_LOCKS", server_checks._LOCKS.replace("4 * count(*)", "400000 * count(*)"))
    _, out, _ = call("doctor")
    assert re.search(r"locks .*staging has 3 partitions, .* room for [0-9,]+ locks", out)
    assert re.search(r"Raise max_locks_per_transaction from \d+ to \d+, or remove days", out)


def test_doctor_names_what_loading_lacks(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    """A role without rights is told the statements that give it those which a load needs, and no more."""
    folder = tmp_path / "staging_loaders" / "shop"
    folder.mkdir(parents=True)
    (folder / "agents.toml").write_text(
        'table = "stg_agents"\nkey = "agent_id"\n[fields]\nagent_id = { type = "integer", required = true }\n'
    )
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("drop role if exists doctor_role")
        connection.execute("create role doctor_role")
        try:
            monkeypatch.setenv("DATABASE_URL", conninfo.make_conninfo(database, options="-c role=doctor_role"))
            (told,) = re.findall(r"lacks rights to load\n +→ Let the owner run: (.*)", call("doctor")[1])
            assert "create schema landing authorization doctor_role" in told
            assert told.endswith("grant select, insert, delete on stg_agents to doctor_role")
            for statement in told.split("; "):
                connection.execute(statement.encode())
            assert "lacks rights" not in call("doctor")[1]
        finally:
            connection.execute("drop owned by doctor_role cascade")
            connection.execute("drop role doctor_role")


def test_doctor_says_what_a_user_can_do_who_may_not_migrate(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: str
) -> None:
    """Nothing is wrong with a user who may only load, once the owner has migrated; before that the owner is named."""
    folder = tmp_path / "staging_loaders" / "shop"
    folder.mkdir(parents=True)
    (folder / "sales.toml").write_text(
        'table = "stg_sales"\nkey = "sale"\n[fields]\nsale = { type = "integer", required = true }\n'
    )
    (tmp_path / "data").mkdir(exist_ok=True)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("revoke create on schema public from public")
        connection.execute("drop role if exists loads_only")
        connection.execute("create role loads_only")
        theirs = conninfo.make_conninfo(empty_database, options="-c role=loads_only")
        try:
            monkeypatch.setenv("DATABASE_URL", theirs)
            code, out, _ = call("doctor")
            assert code == 1
            assert "may not create tables, and " in out
            assert "Let the owner run: runner migrate; or grant: grant usage, create on schema public to" in out
            monkeypatch.setenv("DATABASE_URL", empty_database)
            assert call("migrate")[0] == 0
            connection.execute(
                "create table stg_sales (day text, source_file text, position bigint, sale bigint);"
                "grant select on all tables in schema public to loads_only"
            )
            monkeypatch.setenv("DATABASE_URL", theirs)
            assert re.search(
                r"ok +postgresql .*this user can read what the runner keeps, but not migrate", call("doctor")[1]
            )
            (told,) = re.findall(r"Let the owner run: (.*)", call("doctor")[1])
            for statement in told.split("; "):
                connection.execute(statement.encode())
            connection.execute("grant insert on pipeline_metrics to loads_only")
            code, out, _ = call("doctor")
            can = "this user can load and run steps on tables that it may write, but not migrate"
            assert re.search(
                rf"ok +postgresql .*{can}\n +→ For new schema files: let the owner run: runner migrate", out
            )
            assert "fail  postgresql" not in out
        finally:
            connection.execute("drop owned by loads_only cascade")
            connection.execute("drop role loads_only")


def _break_home(home: Path, project: Path, patch: pytest.MonkeyPatch) -> None:
    home.write_text("not a folder")


def _break_data(home: Path, project: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("DATA_BASE_PATH", str(project / "nowhere"))


def _break_server(home: Path, project: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("DATABASE_URL", "postgresql://ada:hush-hush@127.0.0.1:1/shop")


def _break_url(home: Path, project: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("DATABASE_URL", "postgresql://ada:hush hush@[")


def _break_java(home: Path, project: Path, patch: pytest.MonkeyPatch) -> None:
    from runner import java

    patch.setattr(java, "candidates", list)


def _break_project(home: Path, project: Path, patch: pytest.MonkeyPatch) -> None:
    (project / "migrations" / "shop" / "010_twice.sql").write_text("select 1;\n")


def _break_disk(home: Path, project: Path, patch: pytest.MonkeyPatch) -> None:
    import shutil

    patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 0))  # type: ignore[attr-defined]


def _break_master(home: Path, project: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("SPARK_MASTER", "foo")


def _break_rates(home: Path, project: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("FX_RATES_SOURCE", "/nope")


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        ("home", _break_home),
        ("data", _break_data),
        ("postgresql", _break_server),
        ("postgresql", _break_url),
        ("java", _break_java),
        ("project", _break_project),
        ("disk", _break_disk),
        ("master", _break_master),
        ("rates", _break_rates),
    ],
    ids=[
        "home",
        "data folder",
        "server down",
        "bad url",
        "no java",
        "two steps of one number",
        "disk full",
        "master",
        "rates",
    ],
)
def test_doctor_names_a_fault_and_how_to_mend_it(
    call: Callable[..., tuple[int, str, str]],
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    check: str,
    fault: Callable[[Path, Path, pytest.MonkeyPatch], None],
) -> None:
    """One fault fails the command and is the only failure; the line after it says what to do."""
    fault(home, tmp_path, monkeypatch)
    code, out, _ = call("doctor")
    assert code == 1
    assert "hush" not in out
    failed = [line.split()[1] for line in out.splitlines() if line.startswith("fail")]
    assert failed == [check]
    assert "→" in out
