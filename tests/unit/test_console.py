"""What a person and a machine get to see."""

from __future__ import annotations

import fcntl
import io
import json
import os
import struct
import termios
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import pytest

from runner import console, wording

COLUMNS = 40


@pytest.fixture
def terminal() -> Iterator[tuple[TextIO, int]]:
    """A terminal of forty columns, to write to, and the end at which somebody looks."""
    looker, end = os.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    with os.fdopen(end, "w", encoding="utf-8") as stream:
        yield stream, looker
    os.close(looker)


class Gone(io.StringIO):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_terminal_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes that nobody can see any more fail nothing."""
    monkeypatch.setattr("sys.stderr", Gone())
    console.note("interrupted")


@pytest.mark.parametrize(
    ("number", "what", "text"),
    [(1, "reject", "1 reject"), (0, "warning", "0 warnings"), (1200, "day", "1,200 days"), (2, "entity", "2 entities")],
)
def test_count(number: int, what: str, text: str) -> None:
    """One is one, all else is many."""
    assert console.count(number, what) == text


def test_json_is_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers are numbers, times ISO 8601 with their offset, all else is text."""
    document = {
        "seconds": Decimal("0.012500"),
        "count": Decimal(3),
        "at": datetime(2026, 1, 5, 12, 30, tzinfo=timezone(timedelta(hours=2))),
        "whole": datetime(2026, 1, 5, tzinfo=UTC),
        "home": Path("/tmp/x"),
    }
    console.print_json(document)
    assert json.loads(capsys.readouterr().out) == {
        "seconds": 0.0125,
        "count": 3,
        "at": "2026-01-05T12:30:00+02:00",
        "whole": "2026-01-05T00:00:00+00:00",
        "home": "/tmp/x",
    }


def test_table() -> None:
    """Numbers stand to the right, and no line ends with blanks."""
    text = console.table([("day1", 1200, None), ("day10", 3, "x")], ("day", "rows", "note"), colours={"day1": "red"})
    assert text.splitlines() == ["day     rows  note", "day1   1,200", "day10      3  x"]


def test_colours(monkeypatch: pytest.MonkeyPatch, terminal: tuple[TextIO, int]) -> None:
    """On a terminal what a cell says has a colour, and the columns stay where they were; NO_COLOR turns it off."""
    stream, _ = terminal
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    rows, headers = [("day1", "ok", "-"), ("day2", "FAILED", "-")], ("day", "010_first", "b")
    text = console.table(rows, headers, colours={"ok": "green", "FAILED": "red"})
    assert text.splitlines()[1:] == ["day1  \x1b[32mok       \x1b[0m  -", "day2  \x1b[31mFAILED   \x1b[0m  -"]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in console.table(rows, headers, colours={"ok": "green"})


def test_outcomes_stand_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Schema files, loads and steps are told in one form, whoever tells them."""
    wording.say_outcome("day1", "load", "agents", "3 read = 3 loaded + 0 rejected")
    wording.say_outcome("day1", "step", "010_agents", "3 inserted", 0.25)
    first, second = capsys.readouterr().out.splitlines()
    assert first.index("3 read") == second.index("3 inserted")
    assert second.endswith("    0.25 s")
    assert first == wording.outcome("day1", "load", "agents", "3 read = 3 loaded + 0 rejected")
