"""Measure the client and the steps; exit 1 when a limit is missed: `python -m benchmarks [--quick]`."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import psycopg

from benchmarks import dry_run, light, steps
from benchmarks.report import Limits, machine
from runner import embedded


def main() -> int:
    """Run the parts on a server of their own, which is removed afterwards."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows; ratios are only printed")
    parser.add_argument("--only", choices=("light", "steps", "dry_run"), help="one part alone")
    parser.add_argument("--times", type=int, default=3, help="how often each step is measured; the least counts (3)")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="warehouse-bench-"))
    folder.chmod(0o711)
    home = folder / "home"
    limits = Limits()
    try:
        url = embedded.ensure_running(home)
        with psycopg.connect(url, autocommit=True) as connection:
            # Its work would count as the steps'; what they need to know is counted by hand.
            connection.execute("alter system set autovacuum = off")
            connection.execute("select pg_reload_conf()")
            machine(str(connection.info.parameter_status("server_version")))
        if given.only in (None, "light"):
            light.run(home, url, limits, times=5 if given.quick else 9, quick=given.quick)
        rows = 100_000 if given.quick else 1_000_000
        if given.only in (None, "steps"):
            steps.run(home, url, limits, rows, given.times, given.quick)
        if given.only in (None, "dry_run"):
            dry_run.run(url, limits, rows, given.times, given.quick)
    finally:
        embedded.reset(home)
        shutil.rmtree(folder, ignore_errors=True)
    for line in limits.missed:
        print(f"missed: {line}")
    print("all limits are kept" if not limits.missed else f"{len(limits.missed)} limits are missed")
    return 1 if limits.missed else 0


if __name__ == "__main__":
    sys.exit(main())
