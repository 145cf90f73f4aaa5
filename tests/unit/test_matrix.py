"""The table of versions: what ran, what did not, and why."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from tests import matrix, postgres
from tests.matrix import Outcome, Run

REPORT = """<testsuites><testsuite>
<testcase name="good"/>
<testcase name="bad"><failure message="no"/></testcase>
<testcase name="broken"><error message="no"/></testcase>
<testcase name="left out"><skipped message="there is
 no engine"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Logs and reports of the test's own."""
    monkeypatch.setattr(matrix, "FOLDER", tmp_path)
    monkeypatch.setattr(matrix, "ROOT", tmp_path)
    return tmp_path


def test_a_report_is_read(folder: Path) -> None:
    """Tests that passed, failed or broke, and those that were skipped by their reasons."""
    (folder / "x.xml").write_text(REPORT)
    found = matrix._read("x", folder / "x.xml", 1.0)
    assert (found.passed, found.failed, found.skipped) == (1, 2, {"there is no engine": 1})
    assert matrix._read("x", folder / "none.xml", 1.0) == Outcome("x", seconds=1.0)


def test_the_table_says_what_was_not_run() -> None:
    """A line each, and under them the reasons of tests that were skipped."""
    lines = matrix.table([
        Outcome("long", 90, 1, Counter({"no engine": 2}), 61.5, "see x.log"),
        Outcome("python-3.9", said="not run: there is none"),
    ]).splitlines()  # fmt: skip
    assert [line.split() for line in lines[1:]] == [
        ["long", "90", "1", "2", "62", "see", "x.log"],
        ["python-3.9", "-", "-", "-", "-", "not", "run:", "there", "is", "none"],
        ["skipped:", "no", "engine", "(long", "2)"],
    ]


@pytest.mark.parametrize(
    ("test", "code", "total"),
    [
        pytest.param("def test(): pass", 0, "1 passed, 0 failed, 0 skipped", id="passes"),
        pytest.param("def test(): assert 1 == 2", 1, "0 passed, 1 failed, 0 skipped", id="fails"),
        pytest.param("import nothing_of_that_name", 1, "0 passed, 1 failed, 0 skipped", id="cannot be read"),
    ],
)
def test_a_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], test: str, code: int, total: str
) -> None:
    """Tests are run and counted; a failure is shown, and is the exit code."""
    (folder / "test_it.py").write_text(test)
    monkeypatch.setattr(matrix, "WORKERS", 0)
    monkeypatch.setattr(matrix, "prepare", lambda name: Run(name, "not long"))
    assert matrix.main(["python-3.12"]) == code
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == total
    assert ("1 == 2" in said) == ("1 == 2" in test)


def test_a_test_that_passes_by_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is run once more, alone: its failure is shown, it is counted as unsteady, and those that passed rest."""
    (folder / "test_it.py").write_text(
        "from pathlib import Path\n"
        "def log(name): Path('log').open('a').write(name); return Path('log').read_text().count(name)\n"
        "def test_unsteady(): assert log('u') == 2, 'the first time'\n"
        "def test_steady(): log('s')\n"
    )
    monkeypatch.setattr(matrix, "WORKERS", 0)
    monkeypatch.setattr(matrix, "prepare", lambda name: Run(name, "not long"))
    assert matrix.main(["python-3.12"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "2 passed, 0 failed, 0 skipped, 1 unsteady"
    assert "the first time" in said and "1 unsteady, see python-3.12.log" in said
    assert (folder / "log").read_text() == "usu"


def test_what_is_out_of_time_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not begun, and no failure."""
    assert matrix.main(["--seconds", "-1"]) == 0
    said = capsys.readouterr().out
    assert said.count("not run: out of time") == len(matrix.names())


def test_what_is_missing_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not run, and no failure."""
    monkeypatch.setattr(postgres, "installed", lambda _: None)
    monkeypatch.setattr(postgres.shutil, "which", lambda _: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    assert matrix.main(["postgresql-17"]) == 0
    assert "postgresql-17          -       -        -        -  not run: " in capsys.readouterr().out


def test_all_versions_that_are_promised_are_run() -> None:
    """Those of the classifiers; this Python and the newest server are those of make test."""
    here = f"python-{sys.version_info.major}.{sys.version_info.minor}"
    assert {*matrix.names(), here} >= {
        "python-3.11", "python-3.12", "python-3.13", "postgresql-15", "postgresql-16", "postgresql-17", "long",
    }  # fmt: skip
