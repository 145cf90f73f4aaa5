"""How much memory a load takes, whatever the day looks like: many records or files, a huge file, a huge page."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load_data, meter
from benchmarks import transactions as made
from benchmarks.load_data import Server, Variant
from benchmarks.report import Limits, table

LIMIT, FLAT = 1.5, 1.25
"""GB of driver, JVM, workers and client together; the largest day's share of the smallest's."""

_RECORD = 1_715
"""Bytes a record, about."""


@dataclass(frozen=True)
class Case:
    """A day of one shape: `write` makes its files in a folder and returns how many records they hold.

    `extra` is GB that it may take beyond the limit.
    """

    title: str
    write: Callable[[Path], int]
    extra: float = 0.0
    flat: bool = False


def run(home: Path, server: Server, folder: Path, limits: Limits, quick: bool) -> None:
    """Load each case with Spark, print what it took, and remove its files. Where `quick`, a hundredth of each."""
    load_data.make_archive()
    scale = 100 if quick else 1
    variant = load_data.create(server, folder / "memory", "memory")
    body, flat = [], []
    for case in _cases(scale):
        with tempfile.TemporaryDirectory(prefix="day-", dir=folder) as base:
            entity = Path(base) / "data" / "sync-json" / "transactions"
            entity.mkdir(parents=True)
            records = case.write(entity)
            size = sum(file.stat().st_size for file in entity.iterdir())
            try:
                done = _load(home, variant, Path(base))
            except meter.Failed as error:
                limits.missed.append(f"{case.title}: {error}")
                continue
        load_data.empty(variant)
        wanted = made.expected(records, "json")
        found = made.Expected(*(done.said[name] for name in ("records", "rows", "rejects", "warnings")))
        if found != wanted:
            limits.missed.append(f"{case.title}: {found}, where {wanted} was to be found")
        if case.flat:
            flat.append(done.peak)
        allowed = LIMIT + case.extra / scale
        body.append(
            [
                case.title, f"{records:,}", f"{size / 1e9:.2f}", f"{done.seconds:.1f}",
                f"{records / done.seconds:,.0f}",
                limits.check(f"{case.title}: peak memory", done.peak / 1e9, allowed, " GB"), f"{allowed:.1f} GB",
            ]
        )  # fmt: skip
    table(["a day of", "records", "GB", "load s", "records/s", "peak", "limit"], body)
    if flat:
        ratio = limits.check("the largest day's memory to the smallest's", max(flat) / min(flat), FLAT)
        print(f"largest to smallest of the days in pages: {ratio} (<= {FLAT})\n", flush=True)


def _cases(scale: int) -> list[Case]:
    sizes = [(name, number // scale) for name, number in (("300k", 300_000), ("1M", 1_000_000), ("5M", 5_000_000))]
    return [
        *(Case(f"{name} records in pages of {made.PAGE:,}", _in_pages(number), flat=True) for name, number in sizes),
        Case("one file of JSON Lines, 4 GB", _in_lines(4_000_000_000 // _RECORD // scale)),
        Case("50,000 files of 10 records", _in_pages(500_000 // scale, 10)),
        # Its records are told apart only when all of it is there.
        Case("one page of 500 MB", _in_pages(500_000_000 // _RECORD // scale, 500_000_000), extra=0.5),
    ]


def _in_pages(records: int, page: int = made.PAGE) -> Callable[[Path], int]:
    def write(folder: Path) -> int:
        for number, start in enumerate(range(0, records, page), 1):
            stop = min(start + page, records)
            made.write_page(folder / f"page-{number:06}.json", made.transactions(start, stop))
        return records

    return write


def _in_lines(records: int) -> Callable[[Path], int]:
    def write(folder: Path) -> int:
        made.write_lines(folder / "all.jsonl", records)
        return records

    return write


def _load(home: Path, variant: Variant, base: Path) -> meter.Run:
    asked = {
        "url": variant.url, "home": str(home), "pipeline": load_data.PIPELINE, "day": "json", "engine": "spark",
        "data": str(base / "data"), "declarations": str(variant.declarations),
    }  # fmt: skip
    return meter.run("benchmarks.rivals.ours", asked, variant.server.pid, base)
