"""What a comparison of loaders found, and what it wanted to find."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load_data import Digest, Variant
from benchmarks.meter import Run
from benchmarks.report import Limits, table

FLOOR, WRITE, OF_PLAIN, OF_DLT, WITH_START = 0.50, 0.75, 4.0, 10.0, 3.5
PARSE, MEMORY = 30.0, 1.5
"""Shares of the floor, ratios, µs of client CPU a record, GB."""

START_RECORDS = 1_000_000
"""With fewer records, the start of a session is most of a load."""

COPY, OURS, LOCAL, PLAIN, BATCHED, DLT, ARROW = "floor", "ours", "local", "plain", "batched", "dlt", "arrow"
NAMES = {
    COPY: "binary COPY, 2 connections",
    OURS: "runner load, Spark",
    LOCAL: "runner load, local engine",
    PLAIN: "Spark JDBC",
    BATCHED: "Spark JDBC, batched, rewritten",
    DLT: "dlt, pages of records, tuned",
    ARROW: "dlt, pages as Arrow tables",
}


@dataclass
class Bench:
    """What one comparison needs, and what it found.

    `digests` are of the rows that must be there: with their place in the files, and without.
    """

    variant: Variant
    data: Path
    home: Path
    records: int
    limits: Limits
    digests: tuple[Digest, Digest]
    runs: dict[str, list[Run]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def best(self, name: str) -> Run | None:
        """Return the run that a busy machine disturbed least."""
        return min(self.runs.get(name, ()), key=lambda run: run.seconds, default=None)

    def micro(self, seconds: float) -> str:
        """Return seconds of all records as the microseconds of one."""
        return f"{seconds / self.records * 1e6:.1f}"


def show(bench: Bench, held: Limits) -> None:
    """Print the loaders beside each other, and how far the goals are reached, to which `held` holds them."""
    others = [bench.best(name) for name in (COPY, PLAIN, DLT)]
    figures = ["start s", "load s", "with start", "rows/s", "of floor", "x plain", "x dlt"]
    body = []
    for name, title in NAMES.items():
        run = bench.best(name)
        if run is not None:
            body.append(
                [
                    title, f"{run.start:.1f}", f"{run.seconds:.2f}", f"{run.start + run.seconds:.1f}",
                    f"{bench.digests[0].rows / run.seconds:,.0f}",
                    *(f"{other.seconds / run.seconds:.2f}" if other else "" for other in others),
                    bench.micro(run.client_cpu), bench.micro(run.server_cpu), f"{run.peak / 1e6:,.0f}",
                ]
            )  # fmt: skip
    table([bench.variant.title, *figures, "client µs", "server µs", "MB"], body)
    for name, reason in bench.skipped.items():
        print(f"skipped: {NAMES[name]}: {reason}\n", flush=True)
    goals = _goals(bench, held)
    if goals:
        table([f"goals, {bench.variant.title}", "is", "wanted"], goals)


def _goals(bench: Bench, held: Limits) -> list[list[str]]:
    ours, floor, plain, dlt = (bench.best(name) for name in (OURS, COPY, PLAIN, DLT))
    if ours is None:
        return []
    ratios = []
    if floor:
        ratios.append(("share of the floor", floor.seconds / ours.seconds, FLOOR, held))
    if plain:
        ratios.append(("times Spark JDBC", plain.seconds / ours.seconds, OF_PLAIN, held))
        whole = (plain.start + plain.seconds) / (ours.start + ours.seconds)
        ratios.append(("times Spark JDBC, with start", whole, WITH_START, _enough(bench, held)))
    if dlt:
        ratios.append(("times dlt", dlt.seconds / ours.seconds, OF_DLT, held))
    goals = [[what, limits.least(what, ratio, limit), f"{limit:g}"] for what, ratio, limit, limits in ratios]
    peak = max(run.peak for run in bench.runs[OURS]) / 1e9
    return [*goals, ["peak memory, GB", held.check("peak memory", peak, MEMORY), f"<= {MEMORY:g}"]]


def _enough(bench: Bench, held: Limits) -> Limits:
    return held if bench.records >= START_RECORDS else Limits()
