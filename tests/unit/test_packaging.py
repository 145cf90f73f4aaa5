"""What is installed works outside the repository, and what is pinned is what is asked for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def _asked() -> list[str]:
    """Return the requirements of pyproject.toml, those of all extras and of the build included."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = document["project"]["optional-dependencies"].values()
    return [
        *document["build-system"]["requires"],
        *document["project"]["dependencies"],
        *(r for e in extras for r in e),
    ]


@pytest.mark.parametrize("requirement", sorted(set(_asked())))
def test_everything_asked_for_is_pinned(requirement: str) -> None:
    """`make setup` installs from the lock alone, so each requirement must be in it, with hashes."""
    name = re.match(r"[A-Za-z0-9-]+", requirement)
    assert name
    pinned = re.search(rf"^{name[0].lower()}(\[[a-z,]+\])?==\S+( ;[^\\]*)? \\\n +--hash=sha256:", LOCK, re.MULTILINE)
    assert pinned, f"{name[0]} is not in requirements.lock: make lock"


def test_the_lock_names_no_host() -> None:
    """Packages come from whichever index the machine is set up for."""
    assert "://" not in LOCK
    assert "--index" not in LOCK


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, built."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("*.whl")
    return built


def test_the_wheel_carries_what_is_not_python(wheel: Path) -> None:
    """Bookkeeping SQL, templates, declarations and the licence are in the wheel; tests and data are not."""
    names = zipfile.ZipFile(wheel).namelist()
    for pattern in (
        r"runner/sql/001_bookkeeping\.sql",
        r"runner/sql/002_checks\.sql",
        r"runner/sql/003_partitions\.sql",
        r"runner/sql/functions\.txt",
        r"runner/templates/.+\.j2",
        r"staging_loaders/zluri/agents\.toml",
        r"warehouse_runner-.+\.dist-info/licenses/LICENSE",
    ):
        assert any(re.fullmatch(pattern, name) for name in names), pattern
    assert not [name for name in names if name.startswith(("tests", "migrations", "benchmarks"))]


def test_an_installed_runner_makes_a_project(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere, the wheel alone is enough to make a project and read it."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*arguments: str, cwd: Path) -> str:
        command = [sys.executable, "-P", "-m", "runner", *arguments]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("init", "demo", cwd=tmp_path)
    assert "1 step, 1 entity" in run("doctor", cwd=tmp_path / "demo")
    origin = "import runner, staging_loaders; print(runner.__file__, staging_loaders.__file__)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", origin], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.count(str(site)) == 2
