"""How fast 200 steps are linted, as a process.

Beside sqlfluff where that is installed, on the same files: it has other rules, and no parser of PostgreSQL's.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from benchmarks.report import Limits, Took, command, least, table

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "migrations" / "zluri"
LIMIT = 2.0
"""Seconds by the clock for 200 steps."""


def run(folder: Path, limits: Limits, steps: int, times: int, quick: bool) -> None:
    """Write a project of `steps` steps below `folder`, lint it `times` times over, and print the least.

    It is held to the limit unless `quick`: seconds by the clock are partly the neighbours'.
    """
    held = Limits() if quick else limits
    project = folder / "lint"
    lines = _project(project, steps)
    took, text = _measure([sys.executable, "-m", "runner", "lint", "--project", str(project)], times)
    if "nothing to complain about" not in text:
        limits.missed.append(f"the steps have findings: {text.splitlines()[-1]}")
    limit = LIMIT * steps / 200
    rows = [
        [
            f"runner lint, {steps} steps, {lines:,} lines",
            f"{took.cpu:.2f}",
            held.check("runner lint", took.wall, limit, " s"),
            f"{limit:.2f}",
        ]
    ]
    if importlib.util.find_spec("sqlfluff"):
        written = str(project / "migrations" / "zluri")
        # It counts findings in its exit code, and there are some by its rules.
        other = [sys.executable, "-m", "sqlfluff", "lint", "--dialect", "postgres", "--nofail", "--processes", "0"]
        slow, _ = _measure([*other, written], 1)
        rows.append(["sqlfluff lint --processes 0", f"{slow.cpu:.2f}", f"{slow.wall:.2f} s", ""])
    table(["lint", "CPU s", "wall", "limit s"], rows)


def _project(folder: Path, steps: int) -> int:
    """Write the shipped steps again and again, under other numbers and names; return their lines."""
    pipeline = folder / "migrations" / "zluri"
    shutil.copytree(SHIPPED / "schema", pipeline / "schema")
    shipped = sorted(SHIPPED.glob("[0-9]*.sql"))
    lines = 0
    # Each round of all steps is followed by the next, so that what a step reads was written before.
    for number in range(steps):
        path = shipped[number % len(shipped)]
        name = path.stem.partition("_")[2]
        text = path.read_text(encoding="utf-8").replace(f"'{name}_task'", f"'{name}_{number}_task'")
        (pipeline / f"{number + 1:03}_{name}_{number}.sql").write_text(text, encoding="utf-8")
        lines += text.count("\n")
    return lines


def _measure(arguments: list[str], times: int) -> tuple[Took, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RUNNER_")}
    runs = [command(arguments, cwd=ROOT, env=environment) for _ in range(times)]
    return least([took for took, _ in runs]), runs[-1][1]
