"""How far a run is: bars and a line on a terminal, redrawn in place; silence elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

from runner import console, sizes

_BAR = 20
_SHORT_BAR = 8
# What is left out first where a line is too long: from all columns to name and bar alone.
_LAYOUTS = (
    (_BAR, ("files", "bytes", "records", "rejects")),
    (_BAR, ("bytes", "records", "rejects")),
    (_SHORT_BAR, ("bytes", "records", "rejects")),
    (_SHORT_BAR, ("records", "rejects")),
    (_SHORT_BAR, ("records",)),
    (_SHORT_BAR, ()),
)


@dataclass(frozen=True)
class Advance:
    """How far an entity is: files and bytes of those it has, records and rejects so far."""

    entity: str
    files: int
    files_total: int
    bytes: int
    bytes_total: int
    records: int
    rejects: int

    @property
    def done(self) -> bool:
        return self.files >= self.files_total


class Progress:
    """A bar an entity while a day is loaded, and below them, or alone, a line that says what goes on.

    Called with an Advance. What is shown is replaced as a whole, in one write, so that nothing flickers.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._on = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._entities: dict[str, Advance] = {}
        self._text = ""
        self._shown: list[str] = []

    @property
    def visible(self) -> bool:
        """Whether there is somebody to see it, for whom it is worth finding out how far things are."""
        return self._on

    def __call__(self, advance: Advance) -> None:
        self._entities[advance.entity] = advance
        self._text = ""
        self._draw()

    def show(self, text: str) -> None:
        """Say what goes on; the next word replaces it. What a line of the terminal does not hold is cut off."""
        self._text = text
        self._draw()

    def clear(self) -> None:
        """Remove all, so that the next output starts at the margin."""
        self._text = ""
        self._entities.clear()
        self._draw()

    def note(self, text: str) -> None:
        """Print a line to keep, above those that say what goes on."""
        self._replace([])
        console.note(text)
        self._draw()

    def _draw(self) -> None:
        if not self._on:
            return
        columns, rows = self._size()
        bars = _fit(
            [self._entities[name] for name in sorted(self._entities)], columns - 1, max(rows - 2, 1), self._marks()
        )
        self._replace([line[: columns - 1] for line in (*bars, self._text) if line])

    def _replace(self, lines: list[str]) -> None:
        if lines == self._shown:
            return
        columns, _ = self._size()
        # A terminal that has become narrower shows a line as several.
        above = sum(max(1, -(-len(line) // columns)) for line in self._shown) - 1
        start = "\r" + (f"\x1b[{above}A" if above > 0 else "")
        # Each line is written over the old one, and only what is left of that is erased.
        text = start + "\r\n".join(f"{line}\x1b[K" for line in lines) + ("" if lines else "\x1b[K")
        try:
            self._stream.write(text + "\x1b[J")
            self._stream.flush()
        except OSError:  # the terminal may be gone
            self._on = False
        self._shown = lines

    def _marks(self) -> str:
        """Return what a bar is made of, which the terminal may not know."""
        with suppress(UnicodeEncodeError, LookupError):
            "█·…".encode(self._stream.encoding or "utf-8")
            return "█·"
        return "#."

    def _size(self) -> tuple[int, int]:
        """Return the terminal's columns and rows now: people resize it."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return 80, 24
        return size.columns or 80, size.lines or 24


def _fit(entities: Sequence[Advance], columns: int, rows: int, marks: str) -> list[str]:
    """Return a line an entity, each with as much as all lines have room for; of too many, those still at work."""
    rest = 0
    if len(entities) > rows:
        first = sorted(entities, key=lambda each: each.done)[: max(rows - 1, 1)]
        rest = len(entities) - len(first)
        entities = [each for each in entities if each in first]
    lines: list[str] = []
    for bar, names in _LAYOUTS:
        lines = _lines(entities, bar, names, marks)
        if max(map(len, lines), default=0) <= columns:
            break
    return [*lines, f"and {console.count(rest, 'other entity')}"] if rest and rows > 1 else lines


def _lines(entities: Sequence[Advance], bar: int, names: Sequence[str], marks: str) -> list[str]:
    name_width = max((len(each.entity) for each in entities), default=0)
    cells = [[_COLUMNS[name](each) for name in names] for each in entities]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            [
                each.entity.ljust(name_width),
                _bar(each, bar, marks),
                *(cell.rjust(width) for cell, width in zip(row, widths, strict=True)),
            ]
        )
        for each, row in zip(entities, cells, strict=True)
    ]


def _bar(each: Advance, width: int, marks: str) -> str:
    done, total = (each.bytes, each.bytes_total) if each.bytes_total else (each.files, each.files_total)
    filled = width if each.done else min(width * done // max(total, 1), width)
    return marks[0] * filled + marks[1] * (width - filled)


_COLUMNS: dict[str, Callable[[Advance], str]] = {
    "files": lambda each: f"{each.files:,} of {console.count(each.files_total, 'file')}",
    "bytes": lambda each: f"{sizes.shown(each.bytes)} of {sizes.shown(each.bytes_total)}",
    "records": lambda each: console.count(each.records, "record"),
    "rejects": lambda each: console.count(each.rejects, "reject"),
}
