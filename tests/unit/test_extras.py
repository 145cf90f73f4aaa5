"""The command that adds an optional part of the installation."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from runner import extras

ROOT = Path(__file__).resolve().parents[2]


def test_from_a_checkout() -> None:
    """A checkout installs its own extras, from wherever the command is typed."""
    assert extras.install("spark") == f"{sys.executable} -m pip install -e '{ROOT}[spark]'"


def test_from_an_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Elsewhere the packages are named with the versions that the installed package asks for."""
    lines = ["psycopg>=3", "pyspark (==4.1.*) ; extra == 'spark'", 'msgspec>=0.19; extra == "spark"', "x; extra == 'p'"]
    monkeypatch.setattr(extras, "_ROOT", tmp_path)
    monkeypatch.setattr("importlib.metadata.requires", lambda _: lines)
    assert extras.install("spark") == f"{sys.executable} -m pip install 'pyspark==4.1.*' 'msgspec>=0.19'"
