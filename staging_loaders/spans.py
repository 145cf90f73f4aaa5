"""A large JSON Lines file in spans of bytes, so that several workers read it.

A span holds the lines that start in it. Where its records stand in the file is known once the lines of the
spans before it are counted, which costs a tenth of what reading them does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import IO

from runner.errors import UnreadableFile
from staging_loaders.files import SourceFile, open_file
from staging_loaders.read_json import BLANK, BOM

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Span:
    """The bytes from `start` to `stop` (exclusive) of a file; `lines` and `records` come before them."""

    start: int
    stop: int
    lines: int = 0
    records: int = 0


def is_divisible(file: SourceFile) -> bool:
    """Tell whether the file is one that can be read from the middle."""
    return file.path.lower().endswith((".jsonl", ".ndjson"))


def divide(file: SourceFile, size: int) -> list[Span]:
    """Return spans of about `size` bytes that cover the file."""
    count = max(1, round(file.size / size))
    bounds = [file.size * number // count for number in range(count + 1)]
    return [Span(start, stop) for start, stop in pairwise(bounds)]


def read_span(stream: IO[bytes], span: Span | None) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the span's lines, many at a time, each time with the number of the first one; of all, where it is None."""
    number = 1
    left: float = float("inf")
    if span is not None:
        number += span.lines
        at = _seek_line(stream, span.start)
        left = span.stop - at
    first = span is None or span.start == 0
    while left > 0:
        # The limit is one that the lines' size exceeds.
        limit = int(min(_CHUNK, left)) - 1
        lines = stream.readlines(limit) if limit else [stream.readline()]
        if not lines or not lines[0]:
            return
        left -= sum(map(len, lines))
        if first:
            lines[0] = lines[0].removeprefix(BOM)
            first = False
        yield number, lines
        number += len(lines)


def count(item: tuple[SourceFile, Span]) -> tuple[int, int]:
    """Return how many lines and how many records a file has in a span.

    A file that cannot be read has none: reading it will tell why.
    """
    file, span = item
    lines = records = 0
    try:
        with open_file(file) as stream:
            for _, piece in read_span(stream, span):
                lines += len(piece)
                # Stripping a line copies it: hardly any begins with what a blank one does.
                records += sum(1 for line in piece if line[:1] > b" " or line.strip(BLANK))
    except (OSError, UnreadableFile):
        return 0, 0
    return lines, records


def place(spans: Sequence[Span], counts: Sequence[tuple[int, int]]) -> list[Span]:
    """Return the spans of a file, in order, with what comes before each, from the counts of each."""
    placed, lines, records = [], 0, 0
    for span, (more_lines, more_records) in zip(spans, counts, strict=True):
        placed.append(Span(span.start, span.stop, lines, records))
        lines += more_lines
        records += more_records
    return placed


def _seek_line(stream: IO[bytes], start: int) -> int:
    """Go to the first line that starts at `start` or after it, and return where that is."""
    if start == 0:
        return stream.seek(0)
    stream.seek(start - 1)
    return start - 1 + len(stream.readline())
