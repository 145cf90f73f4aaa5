"""A run as pages of Markdown, which a person reads in the orchestrator: checks, rejects, changed rows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from runner import checks, console
from runner.check import CHECKPOINTS
from runner.run_record import RunRecord

# Characters of a value that a table shows, as those of the command line do.
_WIDTH = 60
# Characters of what an author has written in a sentence.
_SENTENCE = 1000
# What Markdown, or the HTML in it, would take for its own, or make a link of.
_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&$@]|:(?=//)|(?<=www)\.")
_MARKS = {"passed": "✓ passed", "warned": "! warned", "failed": "✗ failed"}
# What became of the rows that a check has found.
_IN_STEP = "The step was rolled back: readers never saw these rows."
_AFTER_DAY = "What the steps wrote is committed; no mart was refreshed."
_ORDER = ("failed", "warned", "passed")


def text(value: Any, width: int = _WIDTH) -> str:
    """Return a value as Markdown that shows just its characters, on one line, cut where it is longer than `width`."""
    if value is None:
        return ""
    shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    shown = console.printable(shown).replace("\n", " ")
    if len(shown) > width:
        shown = shown[: width - 1] + "…"
    return _SPECIAL.sub(r"\\\g<0>", shown)


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], numbers: Sequence[str] = ()) -> str:
    """Return a table; columns whose header is one of `numbers` stand to the right."""
    lines = [
        "| " + " | ".join(headers) + " |",
        "|" + "|".join(" ---: " if header in numbers else " --- " for header in headers) + "|",
    ]
    lines += ["| " + " | ".join(map(text, row)) + " |" for row in rows]
    return "\n".join(lines)


def changes_page(record: RunRecord) -> str | None:
    """Return how many rows each step changed, and the query that shows them; None where no step was done."""
    if not record.changes:
        return None
    ended = {row["pipeline_name"]: row for row in record.metrics}  # by its last attempt
    undone = [name for name, row in ended.items() if row["status"] == "failure"]
    counts = ("inserted", "updated", "deleted")
    rows = [(row["table_name"] or "", row["step"], *(row[name] for name in counts)) for row in record.changes]
    changed = [row for row in record.changes if any(row[name] for name in counts)]
    page = [f"# Rows changed by {_run(record)}", "", table(("table", "step", *counts), rows, counts), ""]
    if undone:
        page += [f"Rolled back, and so without a change: {', '.join(map(text, undone))}", ""]
    if not changed:
        none = "The other steps found nothing to change." if undone else "Nothing differed: a rerun changes no row."
        return "\n".join([*page, none])
    seen = next((row for row in changed if row["inserted"] or row["updated"]), None)
    if seen is not None and seen["table_name"]:
        page += [
            "The rows that a step wrote in a table, as far as no later run has written them again:",
            "",
            "```sql",
            _query(seen["table_name"], record),
            "```",
            "",
        ]
    page.append(f"What a run of the day would change now, old and new: `runner apply --day {record.day} --dry-run`")
    return "\n".join(page)


def _query(name: str, record: RunRecord) -> str:
    """Return the query for the rows of a transaction: its row in pipeline_metrics has the same xmin as they have."""
    parts = ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))
    table_name, run = (value.replace("'", "''") for value in (name, record.flow_run_id))
    return (
        f"select written.*\nfrom {parts} as written\n"
        "inner join pipeline_metrics as metrics on metrics.xmin = written.xmin\n"
        f"where metrics.flow_run_id = '{run}' and metrics.table_name = '{table_name}';"
    )


def checks_page(record: RunRecord, described: dict[str, str]) -> str | None:
    """Return what the checks found, the worst first, with the first rows; None where none were run.

    `described` maps the name of a check to what its rows are.
    """
    if not record.checks:
        return None
    found = sorted(record.checks, key=lambda row: (_ORDER.index(row["status"]), row["check_name"]))
    counted = {status: sum(row["status"] == status for row in found) for status in _ORDER}
    page = [
        f"# Checks of {_run(record)}",
        "",
        ", ".join(f"{counted[status]} {status}" for status in _ORDER if counted[status]),
        "",
        table(
            ("status", "check", "step", "rows"),
            ((_MARKS[row["status"]], row["check_name"], row["step"], row["rows_failed"]) for row in found),
            ("rows",),
        ),
    ]
    for row in found:
        if row["rows_failed"]:
            what = described.get(row["check_name"], "rows that must not exist")
            page += [
                "",
                f"## {text(row['check_name'])}",
                "",
                f"{console.count(row['rows_failed'], 'row')}: {text(what, _SENTENCE)}",
            ]
            page += ["", _sample(row["sample"], row["rows_failed"])]
            if row["status"] == "failed":
                page += ["", _AFTER_DAY if row["step"] == CHECKPOINTS else _IN_STEP]
    return "\n".join(page)


def _sample(sample: Sequence[dict[str, Any]], count: int) -> str:
    headers = list(sample[0]) if sample else []
    if not headers:
        return "(rows without columns)"
    rows = ([checks.shown(row.get(name)) for name in headers] for row in sample)
    more = f"\n\n… and {count - len(sample):,} more" if count > len(sample) else ""
    return table([text(name) for name in headers], rows) + more


def rejects_page(record: RunRecord) -> str | None:
    """Return which records of the day were kept out or mended, and why; None for a day that was never loaded."""
    if not record.loads:
        return None
    counts = ("read", "loaded", "rejected", "warnings")
    rows = [
        (
            row["entity"], row["records_read"], row["rows_loaded"], row["rejects"], row["warnings"],
            "this run" if row["by_this_run"] else "an earlier run: the files are the same",
        )
        for row in record.loads
    ]  # fmt: skip
    page = [f"# Records of {text(record.day)}", "", table(("entity", *counts, "loaded by"), rows, counts), ""]
    if not record.reasons:
        return "\n".join([*page, "No record was rejected, and none had a field that had to be mended."])
    reasons = [(row["severity"], row["entity"], row["field"], row["reason"], row["records"]) for row in record.reasons]
    page += ["## Why", "", table(("severity", "entity", "field", "reason", "records"), reasons, ("records",)), ""]
    first = [
        (
            row["severity"], row["entity"], f"{row['source_file']}:{row['position']}", row["record_key"],
            row["raw_value"], row["reason"],
        )
        for row in record.rejects
    ]  # fmt: skip
    headers = ("severity", "entity", "file:record", "key", "value", "reason")
    page += ["## The first of each", "", table(headers, first), ""]
    page.append(f"All of them: `runner rejects --day {record.day} --limit 0`")
    return "\n".join(page)


def _run(record: RunRecord) -> str:
    return f"{text(record.pipeline)} {text(record.day)}"
