"""What a dry run found, as tables for people and as one JSON document for machines."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from runner import console
from runner.changes import RowChange, TableChanges
from runner.counting import Counts
from runner.dry_run import Preview

# Characters of a value that a table shows, of those that stay in front of a difference, and of a line
# where the terminal does not say.
_CELL, _BEFORE, _LINE = 40, 12, 120
_VERBS = {"insert": "inserted", "update": "updated", "delete": "deleted"}
_NULL = "null"

Moved = dict[str, tuple[int | None, int | None]]
"""Sequence -> last value before and after."""


def summary(preview: Preview) -> str:
    """Return what the step would do, in words: `2 inserted, 1 updated`."""
    if preview.metrics.status == "skipped" and not any(preview.counted):
        return "skipped"
    return words(preview.counted) or "nothing to change"


def words(counts: Counts) -> str:
    """Return `2 inserted, 1 updated`; nothing where all are zero."""
    return ", ".join(f"{count:,} {verb}" for count, verb in zip(counts, _VERBS.values(), strict=True) if count)


def disagreement(preview: Preview) -> str | None:
    """Return what the metrics row says that is not so, None where it tells the truth."""
    if preview.agrees:
        return None
    text = (
        f"its metrics say {words(preview.reported) or 'nothing changed'}; in truth {words(preview.counted) or 'none'}"
    )
    if preview.rewritten:
        text += f", and {console.count(preview.rewritten, 'row')} written that say the same"
    return text


def lines(preview: Preview, rows: int) -> Iterator[str]:
    """Yield the tables of a step: what is inserted, updated and deleted, the first `rows` of each."""
    for changes in (*preview.tables, *preview.marks):
        mark = " (a watermark, which metrics do not count)" if changes in preview.marks else ""
        yield f"  {console.style(changes.table.name, 'bold')}: {_counted(changes)}{mark}"
        if not rows:
            continue
        found = list(changes.rows(rows))
        for kind, count in zip(_VERBS, (changes.inserted, changes.updated, changes.deleted), strict=True):
            these = [row for row in found if row.kind == kind]
            if not these:
                continue
            caption = _VERBS[kind] if len(these) == count else f"{_VERBS[kind]}, the first {len(these):,} of {count:,}"
            table, left_out = _updates(changes, these) if kind == "update" else _whole(changes, these)
            yield f"    {console.style('; '.join([caption, *left_out]), 'dim')}"
            yield from (f"    {line}" for line in table.splitlines())


def moved(sequences: Moved) -> str | None:
    """Return which sequences moved on, None where none did."""
    if not sequences:
        return None
    told = [f"{name} {'unused' if old is None else old} → {new}" for name, (old, new) in sequences.items()]
    return f"sequences moved on, which no rollback takes back: {', '.join(told)}"


class Document:
    """The JSON document of a dry run, written piece by piece, so that no table need fit into memory."""

    def __init__(self, stream: TextIO, **head: Any) -> None:
        self._stream = stream
        self._steps = 0
        self._stream.write(console.json_text(head, indent=2)[:-2] + ',\n  "steps": [')

    def step(self, preview: Preview) -> None:
        """Add what a step would do, with all rows."""
        self._stream.write("," if self._steps else "")
        self._steps += 1
        head = {
            "step": preview.step.id,
            "status": preview.metrics.status,
            "seconds": round(preview.seconds, 6),
            "metrics": dict(zip(("table", *_VERBS.values()), (preview.metrics.table, *preview.reported), strict=True)),
            "agrees": preview.agrees,
            "checks": [dataclasses.asdict(result) for result in preview.checks],
        }
        self._stream.write(f'\n    {_json(head)[:-1]}, "tables": [')
        for number, changes in enumerate((*preview.tables, *preview.marks)):
            self._table(changes, watermark=changes in preview.marks, comma=bool(number))
        self._stream.write("]}")

    def _table(self, changes: TableChanges, *, watermark: bool, comma: bool) -> None:
        head = {
            "table": changes.table.name,
            "key": changes.table.key,
            "watermark": watermark,
            "inserted": changes.inserted,
            "updated": changes.updated,
            "deleted": changes.deleted,
            "rewritten": changes.rewritten,
        }
        self._stream.write(f'{"," if comma else ""}\n      {_json(head)[:-1]}, "rows": [')
        for number, document in enumerate(changes.documents()):
            self._stream.write(f"{',' if number else ''}\n        {_json(document)}")
        self._stream.write("]}")

    def end(self, **tail: Any) -> None:
        """Close the document with what is known at the end."""
        self._stream.write("\n  ],\n" + console.json_text(tail, indent=2)[2:] + "\n")


def _json(value: Any) -> str:
    return console.json_text(value)


def _counted(changes: TableChanges) -> str:
    parts = [words((changes.inserted, changes.updated, changes.deleted))]
    parts += [f"{changes.rewritten:,} written that say the same"] if changes.rewritten else []
    text = ", ".join(part for part in parts if part)
    return text if changes.table.key else f"{text} (no key: an update is a delete and an insert)"


def _updates(changes: TableChanges, rows: Sequence[RowChange]) -> tuple[str, list[str]]:
    """Return a line for each column that differs; the key stands in the first of a row's."""
    cells: list[list[str | None]] = []
    for row in rows:
        assert row.old is not None and row.new is not None
        key = [_shown(row.key[name]) for name in changes.table.key]
        # What is generated follows from the others.
        plain = [name for name in row.columns if name not in changes.table.generated] or row.columns
        for name in plain:
            old, new = (_shown(side[name]) or _NULL for side in (row.old, row.new))
            cells.append([*key, name, *_around(old, new)])
            key = [None] * len(key)
    return console.table(cells, [*changes.table.key, "column", "old", "new"], width=_CELL), []


def _around(old: str, new: str) -> tuple[str, str]:
    """Return two texts from where they begin to differ, where a cell would show only what is the same."""
    shorter = min(len(old), len(new))
    same = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    if same + _BEFORE <= _CELL or max(len(old), len(new)) <= _CELL:
        return old, new
    start = same - _BEFORE
    return f"…{old[start:]}", f"…{new[start:]}"


def _whole(changes: TableChanges, rows: Sequence[RowChange]) -> tuple[str, list[str]]:
    """Return the rows with the columns that fit the line, the key first, and how many columns are left out.

    Rows without a key are told apart by all columns, so those that are null are shown, too.
    """
    key = changes.table.key
    values = [row.new or row.old or {} for row in rows]
    plain = [name for name in changes.table.columns if name not in key and name not in changes.table.generated]
    names = [name for name in plain if not key or any(row.get(name) is not None for row in values)]
    room = max(shutil.get_terminal_size((_LINE, 24)).columns, 80) - 4
    cells = [{name: _shown(row.get(name)) for name in (*key, *names)} for row in values]
    kept: list[str] = []
    for name in (*key, *names):
        width = max(len(name), *(min(len(row[name] or ""), _CELL) for row in cells)) + 2
        if width > room + 2 and name not in key:
            break
        room -= width
        kept.append(name)
    table = console.table([[row[name] for name in kept] for row in cells], kept, width=_CELL)
    hidden, empty = len(names) + len(key) - len(kept), len(plain) - len(names)
    left_out = [f"{console.count(hidden, 'column')} more"] if hidden else []
    return table, left_out + ([f"{console.count(empty, 'column')} null"] if empty else [])


def _shown(value: str | None) -> str | None:
    """Return a text as SQL would quote it where it would look like null, or like another; others as they are."""
    if value is None or (value and value == value.strip() and value != _NULL and value[0] != "'"):
        return value
    return "'" + value.replace("'", "''") + "'"
