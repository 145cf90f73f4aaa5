"""The README is true: each of its commands works, and shows what the README shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import readme


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, list[str]]]:
    """How each command ended, all run in order in a fresh copy of the repository."""
    folder: Path = tmp_path_factory.mktemp("readme")
    return readme.run(COMMANDS, folder)


COMMANDS = readme.commands(readme.README.read_text(encoding="utf-8"))


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=[command.text for command in COMMANDS])
def test_command(outcomes: list[tuple[int, list[str]]], number: int) -> None:
    """A command ends with 0 and with the output that stands below it, numbers and ids aside."""
    code, lines = outcomes[number]
    assert code == 0, "\n".join(lines)
    assert readme.agrees(COMMANDS[number].shown, lines), "\n".join(readme.masked(lines))
