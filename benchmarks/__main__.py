"""Measure the client and the steps; exit 1 when a limit is missed: `python -m benchmarks [--quick]`."""

from __future__ import annotations

import argparse
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import psycopg

from benchmarks import dry_run, light, load, load_data, memory, start, steps
from benchmarks.report import Limits, machine
from runner import embedded


def main() -> int:
    """Run the parts on a server of their own, which is removed afterwards."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows; ratios are only printed")
    parser.add_argument(
        "--only", choices=("light", "start", "steps", "dry_run", "load", "memory"), help="one part alone"
    )
    parser.add_argument("--times", type=int, default=3, help="how often each step is measured; the least counts (3)")
    parser.add_argument(
        "--records", type=_number, default=300_000, metavar="N", help="load: how many records, as in 300k or 1M (300k)"
    )
    parser.add_argument(
        "--loaders", type=_loaders, default=[*load.NAMES], metavar="A,B", help="load: some of them (all)"
    )
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="warehouse-bench-"))
    folder.chmod(0o711)
    home = folder / "home"
    limits = Limits()
    try:
        # Loading is measured beside programs that know no other way; it is no part of a run of all.
        url = embedded.ensure_running(home, port=_free_port() if given.only in ("load", "memory") else None)
        with psycopg.connect(url, autocommit=True) as connection:
            # Its work would count as the steps'; what they need to know is counted by hand.
            connection.execute("alter system set autovacuum = off")
            connection.execute("select pg_reload_conf()")
            machine(str(connection.info.parameter_status("server_version")))
        if given.only in (None, "light"):
            light.run(home, url, limits, times=5 if given.quick else 9, quick=given.quick)
        if given.only in (None, "start"):
            start.run(home, url, limits, min(given.times, 1 if given.quick else 3), given.quick)
        rows = 100_000 if given.quick else 1_000_000
        if given.only in (None, "steps"):
            steps.run(home, url, limits, rows, given.times, given.quick)
        if given.only in (None, "dry_run"):
            dry_run.run(url, limits, rows, given.times, given.quick)
        tcp = str(embedded.status(home).tcp_url)
        if given.only == "load":
            records = min(given.records, 30_000) if given.quick else given.records
            only = given.loaders
            load.run(home, tcp, folder, limits, records, given.times, given.quick, only)
        if given.only == "memory":
            memory.run(home, load_data.server(tcp), folder, limits, given.quick)
    finally:
        embedded.reset(home)
        shutil.rmtree(folder, ignore_errors=True)
    for line in limits.missed:
        print(f"missed: {line}")
    print("all limits are kept" if not limits.missed else f"{len(limits.missed)} limits are missed")
    return 1 if limits.missed else 0


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
