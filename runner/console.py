"""What a person sees: tables, colours and bars; and JSON for machines.

Results go to standard output, progress and errors to standard error. Colours and
bars appear only on a terminal.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any, TextIO

from runner import streams
from runner.errors import RunnerError

_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}
# The sequences that `style` makes, and everything else that plays with a terminal.
_STYLED = re.compile(f"(\x1b\\[(?:0|{'|'.join(_CODES.values())})m)")
_NOT_TEXT = re.compile(r"[^\n\t -~]")


def colourful(stream: TextIO) -> bool:
    """Tell whether `stream` is a terminal that wants colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def style(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Return `text` in a colour where `stream` (standard output) shows colours."""
    stream = sys.stdout if stream is None else stream
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if text and colourful(stream) else text


def printable(text: str) -> str:
    """Replace control characters, which data could use to play with a terminal; a tab becomes a space."""
    return "".join(c if c.isprintable() or c == "\n" else " " if c == "\t" else "\ufffd" for c in text)


def _harmless(text: str, stream: TextIO) -> str:
    """Return `text` with no control characters but line breaks, tabs and, where `stream` has them, our own colours."""
    if _NOT_TEXT.search(text) is None:
        return text
    parts = _STYLED.split(text) if colourful(stream) else [text]
    return "".join(
        part if number % 2 else "\t".join(map(printable, part.split("\t"))) for number, part in enumerate(parts)
    )


def say(text: str = "") -> None:
    """Print a result, at once; a reader who has enough (head, less) does not stop the work."""
    try:
        print(_harmless(text, sys.stdout), flush=True)
    except BrokenPipeError:
        streams.drop_output()


def note(text: str) -> None:
    """Print progress or a warning to standard error; one that nobody can read any more fails nothing."""
    with suppress(OSError):
        print(_harmless(text, sys.stderr), file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Print a warning to standard error, marked as one."""
    note(style("warning: ", "yellow", sys.stderr) + printable(text))


def interactive() -> bool:
    """Tell whether a person can be asked: questions go to standard error, answers come from standard input."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> bool:
    """Ask a person; only `y` and `yes` agree, and the end of the input does not."""
    sys.stderr.write(f"{printable(question)} [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        note("")
    return answer.strip().lower() in ("y", "yes")


def print_json(document: Any) -> None:
    """Print one JSON document; see `plain` for what JSON does not know."""
    print(json_text(document, indent=2))


def json_text(document: Any, indent: int | None = None) -> str:
    """Return a JSON document in which strings hold nothing that plays with a terminal, but its escape sequence."""
    text = json.dumps(document, indent=indent, default=plain, ensure_ascii=False)
    return text if text.isascii() and "\x7f" not in text else _NOT_TEXT.sub(_escaped, text)


def _escaped(character: re.Match[str]) -> str:
    return character[0] if character[0].isprintable() else json.dumps(character[0])[1:-1]


def plain(value: Any) -> Any:
    """Return what machines read: numbers as numbers, times in ISO 8601 with their offset, all else as text."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def count(number: int, what: str) -> str:
    """Return a number and what is counted: `1 reject`, `1,200 rejects`, `2 entities`."""
    if number != 1:
        what = what.removesuffix("y") + "ies" if what.endswith("y") and what[-2] not in "aeou" else f"{what}s"
    return f"{number:,} {what}"


def table(
    rows: Iterable[Sequence[Any]],
    headers: Sequence[str],
    *,
    width: int | None = None,
    colours: Mapping[str, str] | None = None,
    styled: bool = True,
) -> str:
    """Return an aligned table: numbers to the right, None empty, cells cut at `width` characters.

    `colours` maps what a cell says to the colour in which a terminal shows it. What is not
    printed at once but becomes part of a message is not `styled`.
    """
    colours = colours or {}
    cells = [[_cell(value, width) for value in row] for row in rows]
    numeric = [_numeric([row[i] for row in cells]) for i in range(len(headers))]
    widths = [max([len(h), *(len(row[i]) for row in cells)]) for i, h in enumerate(headers)]

    def line(row: Sequence[str]) -> str:
        parts = [c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)]
        parts[-1] = parts[-1].rstrip()
        shown = (style(p, colours[c]) if c in colours else p for p, c in zip(parts, row, strict=True))
        return "  ".join(shown).rstrip()

    head = style(line(headers), "bold") if styled else line(headers)
    return "\n".join([head, *(line(row) for row in cells)])


def _numeric(column: list[str]) -> bool:
    filled = [cell for cell in column if cell]
    return bool(filled) and all(
        cell.replace(",", "").replace(".", "", 1).removeprefix("-").isdigit() for cell in filled
    )


def _cell(value: Any, width: int | None) -> str:
    if value is None:
        return ""
    text = printable(f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))
    text = text.replace("\n", " ")
    return text if width is None or len(text) <= width else text[: width - 1] + "…"


def explain(error: RunnerError) -> str:
    """Return an error as a person reads it: what happened, then what to do."""
    text = style("error: ", "red", sys.stderr) + printable(error.message)
    if error.hint:
        text += "\n" + style("hint: ", "blue", sys.stderr) + printable(error.hint)
    return text
