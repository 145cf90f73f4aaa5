"""What a session of Spark takes up to its first result, and a whole day from a cold start.

The first result is that of two Python tasks, in a process of its own: a plain SparkSession with all of Spark's
defaults, beside a load's session, started from the archive of classes and from Spark's scripts. A warm-up of the
file cache comes first, since the first of the three would read the jars from disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.meter import ROOT, tree_cpu
from benchmarks.report import Limits, Took, command, least, table
from runner import java
from staging_loaders import class_archive

_LIMIT = 0.45
_APPLY_SECONDS = 10.0
_DAYS = ROOT / "tests" / "days"
_DEFAULT = """
from pyspark.sql import SparkSession
context = SparkSession.builder.master("local[*]").getOrCreate().sparkContext
print("first result", context.parallelize(range(2), 2).map(str).collect(), flush=True)
input()
"""
_OURS = """
import sys
from pathlib import Path
from staging_loaders import class_archive
from staging_loaders.session import Session
if sys.argv[2] == "scripts":
    class_archive.find = lambda java: None
with Session("local[*]", cache=Path(sys.argv[1])) as session:
    print("first result", session.run(str, range(2)), flush=True)
    input()
"""


def run(home: Path, url: str, limits: Limits, times: int, quick: bool) -> None:
    """Measure each in turn, `times` times over, and hold the least of each to the limits."""
    found = java.find()
    assert found is not None, "Spark needs Java"
    class_archive.make(found)
    kinds = {"Spark's default": (_DEFAULT, ""), "from its scripts": (_OURS, "scripts"), "from the archive": (_OURS, "")}
    _first_result(_OURS, home, "scripts")
    took: dict[str, list[Took]] = {kind: [] for kind in kinds}
    for _ in range(times):
        for kind, (program, word) in kinds.items():
            took[kind].append(_first_result(program, home, word))
    best = {kind: least(all_of) for kind, all_of in took.items()}
    default = best["Spark's default"]
    rows = []
    for kind, each in best.items():
        cpu, wall = each.cpu / default.cpu, each.wall / default.wall
        held = kind == "from the archive" and not quick
        said = [
            limits.check(f"first result {kind}, {clock}", ratio, _LIMIT) if held else f"{ratio:.2f}"
            for clock, ratio in (("CPU", cpu), ("wall", wall))
        ]
        rows.append((kind, f"{each.cpu:.2f}", said[0], f"{each.wall:.2f}", said[1]))
    table((f"first result of Spark, least of {times}", "CPU s", f"ratio (<= {_LIMIT})", "wall s", "ratio"), rows)
    days = sorted(path.name.removeprefix("sync-") for path in _DAYS.glob("sync-*"))
    applied = [_apply(home, url, day) for day in days]
    rows = [
        (f"runner apply --day {day}", f"{each.cpu:.2f}", limits.check(f"apply {day}", each.wall, _APPLY_SECONDS, " s"))
        for day, each in zip(days, applied, strict=True)
    ]
    table(("a shipped day, Spark started for it", "client CPU s", f"wall (<= {_APPLY_SECONDS:.0f} s)"), rows)


def _first_result(program: str, home: Path, word: str) -> Took:
    """Run `program` up to its first result."""
    folder = Path(tempfile.mkdtemp(prefix="warehouse-start-"))
    try:
        started = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", program, str(home), word], cwd=folder, env=_environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            assert process.stdout is not None and process.stdin is not None
            lines = iter(process.stdout.readline, "")
            assert any(line.startswith("first result") for line in lines), "Spark does not start"
            took = Took(tree_cpu(process.pid), time.perf_counter() - started)
            process.stdin.write("\n")
        return took
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _apply(home: Path, url: str, day: str) -> Took:
    return command(
        [sys.executable, "-m", "runner", "apply", "--day", day, "--engine", "spark", "--data", _DAYS],
        cwd=ROOT, env=_environment() | {"DATABASE_URL": url, "RUNNER_HOME": str(home)}, stderr=subprocess.DEVNULL,
    )[0]  # fmt: skip


def _environment() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("RUNNER_", "PG", "SPARK", "PYSPARK"))
    }
    return kept | {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable}
