"""`runner lint` as people and programs meet it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from runner import cli
from runner.lint.rules import RULES

STYLES = Path(__file__).parent / "styles"


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A project with wrong steps."""
    shutil.copytree(STYLES / "schema", tmp_path / "migrations" / "shop" / "schema")
    for path in (STYLES / "wrong").glob("*.sql"):
        shutil.copy(path, tmp_path / "migrations" / "shop")
    return tmp_path


def test_text(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, then a summary; the exit code says that there are errors."""
    assert cli.main(["lint", "--project", str(wrong), str(wrong / "migrations/shop/020_replaces_members.sql")]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "migrations/shop/020_replaces_members.sql:9:17: delete-then-insert 'del' and 'ins' delete and insert rows of "
        "'team_members' in one statement",
        "migrations/shop/020_replaces_members.sql:15:64: metrics-finish finished_at is now(), the time when the "
        "transaction began",
        "1 file: 2 errors",
    ]


def test_clean(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Nothing wrong is one line and exit code 0; so are warnings alone."""
    step = tmp_path / "migrations" / "shop" / "010_outer_transaction.sql"
    step.parent.mkdir(parents=True)
    step.write_text((STYLES / "right" / step.name).read_text())
    assert cli.main(["lint", "--project", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1 file: nothing to complain about\n"
    step.write_text(step.read_text().replace("WHERE RN = 1", "WHERE RN = 1 AND UPDATED_AT < NOW()"))
    assert cli.main(["lint", "--project", str(tmp_path)]) == 0
    assert "1 file: 1 warning\n" in capsys.readouterr().out


def test_json(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document with all that the text says."""
    assert cli.main(["lint", "--project", str(wrong), "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["errors"] == sum(f["severity"] == "error" for f in document["findings"]) > 10
    assert document["files"] == 6
    assert set(document["findings"][0]) == {"file", "line", "column", "rule", "severity", "message", "hint"}


def test_sarif(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SARIF 2.1.0: what its schema requires, and every rule described."""
    assert cli.main(["lint", "--project", str(wrong), "--format", "sarif"]) == 1
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] and [rule["id"] for rule in driver["rules"]] == list(RULES)
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning")
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]
        assert (wrong / place["artifactLocation"]["uri"]).is_file()
        assert place["region"]["startLine"] >= 1 and place["region"]["startColumn"] >= 1


def test_folder(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder stands for the SQL files below it, but for hidden ones; one without any is wrong usage."""
    folder = wrong / "migrations" / "shop"
    (folder / ".old").mkdir()
    (folder / ".old" / "010_old.sql").write_text("selec 1")
    assert cli.main(["lint", str(wrong)]) == 1
    assert "\n6 files: " in capsys.readouterr().out
    assert cli.main(["lint", str(folder / "schema")]) == 0
    assert capsys.readouterr().out == "1 file: nothing to complain about\n"
    (wrong / "empty").mkdir()
    assert cli.main(["lint", str(wrong / "empty")]) == 2
    assert f"there are no SQL files in {wrong / 'empty'}" in capsys.readouterr().err


def test_no_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipeline without files is nothing wrong, and said."""
    (tmp_path / "migrations" / "shop").mkdir(parents=True)
    assert cli.main(["lint", "--project", str(tmp_path), "--pipeline", "shop"]) == 0
    said = capsys.readouterr()
    assert said.out == "0 files: nothing to complain about\n"
    assert f"there are no SQL files under {tmp_path / 'migrations' / 'shop'}" in said.err


def test_no_such_file(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there is wrong usage."""
    assert cli.main(["lint", "--project", str(wrong), "nowhere.sql"]) == 2
    assert "there is no file nowhere.sql" in capsys.readouterr().err


def test_without_the_parser(wrong: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pglast is missing, the message says how to install it."""
    monkeypatch.setitem(__import__("sys").modules, "pglast", None)
    assert cli.main(["lint", "--project", str(wrong)]) == 2
    assert "pglast" in capsys.readouterr().err
