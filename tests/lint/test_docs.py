"""The examples of docs/lint.md: the first of each pair breaks the rule of its section and no other, the second none."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from runner.lint import project, report
from runner.lint.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
SECTIONS = {
    heading: re.findall(r"```sql\n(.*?)```", body, re.DOTALL)
    for heading, body in re.findall(r"^### (\S+)\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
# An example is a part of a step: without metrics, unless it is about them.
_TEMPLATE = ("no-metrics", "uncounted-write")


def _broken(folder: Path, example: str, rule: str) -> set[str]:
    pipeline = folder / "migrations" / "zluri"
    shutil.copytree(ROOT / "migrations" / "zluri" / "schema", pipeline / "schema")
    for name in ("checks", "checkpoints", "marts"):
        (pipeline / name).mkdir()
    parts = re.split(r"^-- file: (\S+)\n", example, flags=re.MULTILINE)
    files = dict(zip(parts[1::2], parts[2::2], strict=True)) or {"010_agents.sql": example}
    if any("/" in name for name in files) and not any(name.startswith("010_") for name in files):
        files["010_agents.sql"] = "select 1;"
    for name, text in files.items():
        (pipeline / name).write_text(text)
    found = {finding.rule.id for finding in project.lint(folder, ["zluri"]).findings}
    return found if "pipeline_metrics" in example or rule in _TEMPLATE else found - set(_TEMPLATE)


def test_output(tmp_path: Path) -> None:
    """What the page shows is what lint says of these files, plain and as on a terminal."""
    styles, pipeline = ROOT / "tests" / "lint" / "styles", tmp_path / "migrations" / "shop"
    shutil.copytree(styles / "schema", pipeline / "schema")
    for name in ("020_replaces_members.sql", "030_recomputes.sql", "050_misspells.sql"):
        shutil.copy(styles / "wrong" / name, pipeline)
    plain, terminal = re.findall(r"```console\n\$ .*\n((?:.*\n)*?)```", PAGE)
    assert report.text(project.lint(tmp_path, ["shop"]), excerpts=False) + "\n" == plain
    one = project.lint(tmp_path, ["shop"], {(pipeline / "030_recomputes.sql").resolve()})
    assert report.text(one, excerpts=True) + "\n" == terminal


def test_every_rule_has_its_section() -> None:
    """In the order of the table, each with its severity."""
    assert list(SECTIONS) == list(RULES)
    for rule in RULES.values():
        assert f"### {rule.id}\n\n{rule.severity.capitalize()}. " in PAGE


@pytest.mark.parametrize("rule", [rule for rule, examples in SECTIONS.items() if examples])
def test_wrong_example(tmp_path: Path, rule: str) -> None:
    """It breaks just this rule."""
    assert _broken(tmp_path, SECTIONS[rule][0], rule) == {rule}


@pytest.mark.parametrize("rule", [rule for rule, examples in SECTIONS.items() if examples])
def test_right_example(tmp_path: Path, rule: str) -> None:
    """It breaks none."""
    _, right = SECTIONS[rule]
    assert _broken(tmp_path, right, rule) == set()
