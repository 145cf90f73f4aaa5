"""Measure the client and the steps; exit 1 when a limit is missed: `python -m benchmarks [--quick]`."""

from __future__ import annotations

import argparse
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from benchmarks import (
    backfill,
    checks,
    dry_run,
    jobs,
    light,
    lint,
    load,
    load_data,
    long_life,
    memory,
    publish,
    races,
    start,
    steps,
)
from benchmarks.report import Limits, machine
from runner import embedded


@dataclass(frozen=True)
class Bench:
    """What the parts measure on, and how much of it."""

    given: argparse.Namespace
    folder: Path
    limits: Limits
    url: str = ""
    """Of the server; empty where no part needs one."""
    tcp: str = ""

    @property
    def home(self) -> Path:
        """Where the server and what is fetched lie."""
        return self.folder / "home"

    @property
    def quick(self) -> bool:
        """Whether a tenth is enough."""
        return bool(self.given.quick)

    @property
    def times(self) -> int:
        """How often each is measured."""
        return int(self.given.times)

    @property
    def rows(self) -> int:
        """How many transactions stand in staging."""
        return int(min(self.given.rows, 100_000) if self.quick else self.given.rows)

    @property
    def records(self) -> int:
        """How many transactions are loaded."""
        return int(min(self.given.records, 30_000) if self.quick else self.given.records)


@dataclass(frozen=True)
class Part:
    """Something to measure; `asked` is what a run of all leaves out, `port` what its server must be reached by."""

    what: str
    run: Callable[[Bench], None]
    asked: bool = False
    server: bool = True
    port: bool = False


PARTS = {
    "light": Part(
        "the client beside psql: start-up, a rerun, what a step costs",
        lambda b: light.run(b.home, b.url, b.limits, 5 if b.quick else 9, b.quick),
    ),
    "start": Part(
        "Spark's first result, and a day from cold",
        lambda b: start.run(b.home, b.url, b.limits, min(b.times, 1 if b.quick else 3), b.quick),
    ),
    "steps": Part(
        "the steps beside bare upserts; what a rerun costs and writes",
        lambda b: steps.run(b.home, b.url, b.limits, b.rows, b.times, b.quick),
    ),
    "dry_run": Part(
        "a dry run beside the step alone", lambda b: dry_run.run(b.url, b.limits, b.rows, b.times, b.quick)
    ),
    "publish": Part(
        "how long publishing keeps readers out, and what reloads leave behind",
        lambda b: publish.run(b.url, b.limits, b.rows, b.times, b.quick),
    ),
    "checks": Part("the checks beside their steps", lambda b: checks.run(b.url, b.rows)),
    "lint": Part(
        "runner lint on many steps",
        lambda b: lint.run(b.folder, b.limits, b.given.steps, b.times, b.quick),
        server=False,
    ),
    "jobs": Part(
        "the steps one by one and side by side, by the clock", lambda b: jobs.run(b.url, b.rows, b.times), asked=True
    ),
    # Loading is measured beside programs that know no way to the server but a port.
    "load": Part(
        "loading beside other loaders",
        lambda b: load.run(b.home, b.tcp, b.folder, b.limits, b.records, b.times, b.quick, b.given.loaders),
        asked=True,
        port=True,
    ),
    "long_life": Part(
        "a year of days and a hundred reruns, pruned and not",
        lambda b: long_life.run(b.url, b.folder, b.limits, b.quick),
        asked=True,
    ),
    "backfill": Part(
        "a year of days in one backfill, beside single calls",
        lambda b: backfill.run(b.url, b.folder, b.limits, b.quick),
        asked=True,
    ),
    "races": Part(
        "two runs of a day at once, beside two runs of dbt and of SQLMesh",
        lambda b: races.run(b.tcp, b.folder, b.limits),
        asked=True,
        port=True,
    ),
    "memory": Part(
        "days of every shape, and the memory that loading them takes; 15 GB of disk",
        lambda b: memory.run(b.home, load_data.server(b.tcp), b.folder, b.limits, b.quick),
        asked=True,
        port=True,
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the parts, on a server of their own where they need one, which is removed afterwards."""
    given = _parser().parse_args(arguments)
    parts = [part for name, part in PARTS.items() if given.only == name or (not given.only and not part.asked)]
    folder = Path(tempfile.mkdtemp(prefix="warehouse-bench-"))
    folder.chmod(0o711)
    bench = Bench(given, folder, limits := Limits())
    try:
        if any(part.server for part in parts):
            bench = _serve(bench, any(part.port for part in parts))
        else:
            machine("is not asked")
        for part in parts:
            part.run(bench)
    finally:
        embedded.reset(bench.home)
        shutil.rmtree(folder, ignore_errors=True)
    for line in limits.missed:
        print(f"missed: {line}")
    print("all limits are kept" if not limits.missed else f"{len(limits.missed)} limits are missed")
    return 1 if limits.missed else 0


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {name:8} {part.what}{' *' * part.asked}" for name, part in PARTS.items()]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n".join(["parts:", *lines, "  * only where --only names it"]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows; ratios are only printed")
    parser.add_argument("--only", choices=PARTS, metavar="PART", help="one part alone; they are named below")
    parser.add_argument("--times", type=int, default=3, help="how often each is measured; the least counts (3)")
    parser.add_argument(
        "--rows", type=_number, default=1_000_000, metavar="N",
        help="steps, dry_run, publish, checks, jobs: how many transactions, as in 100k or 1M, where limits hold (1M)",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=200, metavar="N", help="lint: how many steps (200)")
    parser.add_argument(
        "--records", type=_number, default=300_000, metavar="N", help="load: how many records, as in 300k or 1M (300k)"
    )
    parser.add_argument(
        "--loaders", type=_loaders, default=[*load.NAMES], metavar="A,B", help="load: some of them (all)"
    )
    return parser


def _serve(bench: Bench, port: bool) -> Bench:
    """Start a server, and say what the numbers are of."""
    url = embedded.ensure_running(bench.home, port=_free_port() if port else None)
    with psycopg.connect(url, autocommit=True) as connection:
        # Its work would count as the steps'; what they need to know is counted by hand.
        connection.execute("alter system set autovacuum = off")
        connection.execute("select pg_reload_conf()")
        machine(str(connection.info.parameter_status("server_version")))
    return replace(bench, url=url, tcp=str(embedded.status(bench.home).tcp_url))


def _number(text: str) -> int:
    """Return the number that `300k`, `1M` or `20000` means."""
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    return int(text.rstrip("kKmM")) * factor


def _loaders(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in load.NAMES]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(load.NAMES)}")
    return names


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
