"""What a person sees of a load that goes on: bars in place, at any width; and nothing elsewhere."""

from __future__ import annotations

import fcntl
import io
import os
import re
import select
import struct
import termios
from collections.abc import Iterator
from typing import TextIO

import pytest

from runner.commands.backfill_shown import Bar
from runner.progress import Advance, Progress


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TextIO, int]]:
    """A terminal, to write to, and the end at which somebody looks."""
    monkeypatch.setenv("TERM", "xterm")
    looker, end = os.openpty()
    with os.fdopen(end, "w", encoding="utf-8") as stream:
        resize(stream, 120)
        yield stream, looker
    os.close(looker)


def resize(stream: TextIO, columns: int, rows: int = 24) -> None:
    fcntl.ioctl(stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Screen:
    """As much of a terminal as the bars need: what is written, the cursor up, and erasing."""

    def __init__(self, looker: int) -> None:
        self._looker = looker
        self._lines = [""]
        self._row = self._column = 0
        self.blanks = 0

    def lines(self) -> list[str]:
        """Return what stands there now, trailing empty lines left out."""
        text = b""
        while select.select([self._looker], [], [], 0)[0]:
            text += os.read(self._looker, 100_000)
        for token in re.findall(r"\x1b\[\d*[A-Z]|\r|\n|[^\x1b\r\n]+", text.decode()):
            self._take(token)
            self.blanks += not any(self._lines)
        found = [line.rstrip() for line in self._lines]
        while found and not found[-1]:
            found.pop()
        return found

    def _take(self, token: str) -> None:
        if token == "\r":
            self._column = 0
        elif token == "\n":
            self._row += 1
            if self._row == len(self._lines):
                self._lines.append("")
        elif token == "\x1b[K":
            self._lines[self._row] = self._lines[self._row][: self._column]
        elif token == "\x1b[J":
            self._lines[self._row] = self._lines[self._row][: self._column]
            del self._lines[self._row + 1 :]
        elif token.startswith("\x1b"):
            self._row -= int(token[2:-1])
        else:
            line = self._lines[self._row].ljust(self._column)
            self._lines[self._row] = line[: self._column] + token + line[self._column + len(token) :]
            self._column += len(token)


CARDS = Advance("cards", 1, 2, 1_200_000, 4_000_000, 700, 0)
TRANSACTIONS = Advance("transactions", 3, 4, 7_500_000, 10_000_000, 12_300, 1)


def test_a_bar_an_entity(terminal: tuple[TextIO, int]) -> None:
    """Files, bytes, records and rejects of entities that are read side by side, in columns."""
    stream, looker = terminal
    progress = Progress(stream)
    progress(CARDS)
    progress(TRANSACTIONS)
    assert Screen(looker).lines() == [
        "cards         ██████··············  1 of 2 files   1.2 MB of 4 MB     700 records  0 rejects",
        "transactions  ███████████████·····  3 of 4 files  7.5 MB of 10 MB  12,300 records   1 reject",
    ]


def test_bars_are_replaced_in_place(terminal: tuple[TextIO, int]) -> None:
    """The next figures stand where the last ones did, and the screen is never blank between them."""
    stream, looker = terminal
    progress, screen = Progress(stream), Screen(looker)
    progress.show("starting Spark …")
    assert screen.lines() == ["starting Spark …"]
    progress(CARDS)
    progress(TRANSACTIONS)
    assert [line.split()[0] for line in screen.lines()] == ["cards", "transactions"]
    before = screen.blanks
    progress(Advance("cards", 2, 2, 4_000_000, 4_000_000, 1_400, 2))
    assert "████████████████████  2 of 2 files" in screen.lines()[0]
    assert screen.blanks == before
    progress.show("publishing …")
    assert screen.lines()[-1] == "publishing …"
    progress.clear()
    assert screen.lines() == []


def test_what_has_not_changed_is_not_written_again(terminal: tuple[TextIO, int]) -> None:
    """A tick that brings nothing new costs the terminal nothing."""
    stream, looker = terminal
    progress = Progress(stream)
    progress(CARDS)
    assert Screen(looker).lines()
    progress(CARDS)
    assert not select.select([looker], [], [], 0)[0]


@pytest.mark.parametrize("columns", [10, 25, 40, 60, 80, 100])
def test_bars_fit_the_terminal(terminal: tuple[TextIO, int], columns: int) -> None:
    """No line is longer than the terminal is wide: a broken one could not be replaced."""
    stream, looker = terminal
    resize(stream, columns)
    progress = Progress(stream)
    progress(CARDS)
    progress(TRANSACTIONS)
    lines = Screen(looker).lines()
    assert len(lines) == 2
    assert max(map(len, lines)) < columns


def test_more_entities_than_lines(terminal: tuple[TextIO, int]) -> None:
    """Those that are still at work are shown, and how many there are besides."""
    stream, looker = terminal
    resize(stream, 80, 6)
    progress = Progress(stream)
    for number in range(9):
        progress(Advance(f"e{number}", number % 2, 1, number % 2, 1, 0, 0))
    lines = Screen(looker).lines()
    assert [line.split()[0] for line in lines[:-1]] == ["e0", "e2", "e4"]
    assert lines[-1] == "and 6 other entities"


def test_a_terminal_that_becomes_narrower(terminal: tuple[TextIO, int]) -> None:
    """Lines that the terminal has broken are removed as what they have become."""
    stream, looker = terminal
    progress = Progress(stream)
    progress(CARDS)
    Screen(looker).lines()
    resize(stream, 50)
    progress(TRANSACTIONS)
    os.set_blocking(looker, False)
    assert os.read(looker, 10_000).startswith(b"\r\x1b[1A")


def test_notes_stay_above(terminal: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A line to keep is printed where the bars were, and they go on below it."""
    stream, looker = terminal
    monkeypatch.setattr("sys.stderr", stream)
    progress = Progress()
    progress(CARDS)
    progress.note("Spark UI: http://127.0.0.1:4040")
    lines = Screen(looker).lines()
    assert lines[0] == "Spark UI: http://127.0.0.1:4040"
    assert lines[1].startswith("cards  ")


@pytest.mark.parametrize("dumb", [False, True], ids=["pipe", "dumb terminal"])
def test_no_progress_elsewhere(terminal: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch, dumb: bool) -> None:
    """A file, a pipe, or a terminal that cannot move its cursor gets no bars."""
    monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
    stream = terminal[0] if dumb else io.StringIO()
    progress = Progress(stream)
    progress.show("starting Spark …")
    progress(CARDS)
    progress.clear()
    assert not select.select([terminal[1]], [], [], 0)[0]
    assert dumb or stream.getvalue() == ""  # type: ignore[attr-defined]


def test_a_terminal_without_blocks(terminal: tuple[TextIO, int]) -> None:
    """Where it knows ASCII alone, bars are of ASCII."""
    stream, looker = terminal
    stream.reconfigure(encoding="ascii")  # type: ignore[attr-defined]
    Progress(stream)(CARDS)
    assert Screen(looker).lines()[0].startswith("cards  ######....")


class Gone(io.StringIO):
    """A terminal that was closed."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_terminal_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress that nobody can see any more fails nothing."""
    monkeypatch.setenv("TERM", "xterm")
    progress = Progress(Gone())
    progress.show("starting Spark …")
    progress(CARDS)
    progress.clear()


def test_days_of_a_backfill(terminal: tuple[TextIO, int]) -> None:
    """A bar says how many days are done and which is at work; the entities that are loaded stand above it."""
    stream, looker = terminal
    progress, screen = Bar(4, stream), Screen(looker)
    progress.began("day1")
    assert screen.lines() == ["····················  0 of 4 days  day1"]
    progress(CARDS)
    assert [line.split()[0] for line in screen.lines()] == ["cards", "····················"]
    progress.clear()
    progress.began("day2")
    (line,) = screen.lines()
    assert line.startswith("█████···············  1 of 4 days, ") and line.endswith(" left  day2")
