"""Each way of making a shipped step wrong is found by the rule that is there for it, and by no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runner.lint import project
from tests.lint import mutants
from tests.lint.mutants import Mutant

MUTANTS = mutants.read()
ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "migrations" / "zluri"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the shipped schema files and steps."""
    root = tmp_path_factory.mktemp("project")
    folder = root / "migrations" / "zluri"
    shutil.copytree(SHIPPED / "schema", folder / "schema")
    for path in SHIPPED.glob("*.sql"):
        shutil.copy(path, folder)
    return root


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant(copied: Path, mutant: Mutant) -> None:
    """The rule, no other one, and the place where one can be named."""
    path = copied / "migrations" / "zluri" / f"{mutant.step}.sql"
    original = path.read_text()
    text = mutant.apply(original)
    try:
        path.write_text(text)
        found = project.lint(copied, ["zluri"]).findings
    finally:
        path.write_text(original)
    assert {finding.rule.id for finding in found} == {mutant.rule}, [
        f"{f.line}: {f.rule.id} {f.message}" for f in found
    ]
    assert {finding.file for finding in found} == {f"migrations/zluri/{mutant.step}.sql"}
    if mutant.at:
        before = text[: text.index(mutant.at)]
        assert (before.count("\n") + 1, len(before) - before.rfind("\n")) in {(f.line, f.column) for f in found}


def test_enough_of_them() -> None:
    """There are many, and each is another one."""
    assert len(MUTANTS) >= 60
    assert len({mutant.edits for mutant in MUTANTS}) == len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_shipped_files() -> None:
    """There is nothing to complain about in the shipped steps, schema files and checks."""
    assert project.lint(ROOT, ["zluri"]).findings == ()
