"""How light the client is: start-up, a day without a JVM, a rerun of it, and what a step costs beside psql."""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import uuid
from pathlib import Path

from benchmarks import local_day
from benchmarks.report import Limits, Took, command, least, table
from runner import embedded

ROOT = Path(__file__).resolve().parent.parent
STEPS = sorted((ROOT / "migrations" / "zluri").glob("[0-9]*.sql"))
DAY = "day1"
HELP_CPU, APPLY_CPU, STEP_OVERHEAD = 0.15, 0.45, 0.005


def run(home: Path, url: str, limits: Limits, times: int, quick: bool) -> None:
    """Measure `runner` as a process and print it beside `psql -f` of the same files.

    The day is loaded and applied once before. A step's overhead is its time in the runner less
    the time of the same statements in psql, which waits for the server and does nothing else. It is
    held to its limit unless `quick`: a few milliseconds by the clock are mostly the neighbours'.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RUNNER_", "PG"))}
    environment |= {"DATABASE_URL": url, "RUNNER_HOME": str(home), "DATA_BASE_PATH": str(ROOT / "tests" / "days")}
    runner = [sys.executable, "-m", "runner"]
    options = {"cwd": ROOT, "env": environment}
    command([sys.executable, "-m", "compileall", "-q", "runner", "staging_loaders"], **options)
    local_day.run(url, environment, limits, min(times, 3))
    command([*runner, "apply", "--day", DAY, "--engine", "local"], **options)

    apply = [*runner, "apply", "--day", DAY, "--load", "never"]
    # Interleaved, so that a busy moment is shared.
    bare, helped, applied, sql, runs, timings = [], [], [], [], [], []
    for _ in range(times):
        bare.append(command([sys.executable, "-c", "pass"], **options)[0])
        helped.append(command([*runner, "--help"], **options)[0])
        applied.append(command(apply, **options)[0])
        runs.append(command([*apply, "--json"], **options)[1])
        took, text = command(_psql(url), **options)
        sql.append(took)
        timings.append([float(number) / 1000 for number in re.findall(r"^Time: ([0-9.]+) ms", text, re.MULTILINE)])
    rows = [
        ["python -c pass", *_cells(bare), "", ""],
        ["runner --help", *_cells(helped), f"{HELP_CPU:.2f}", _check(limits, "runner --help", helped, HELP_CPU)],
        [
            f"runner apply --load never, {len(STEPS)} steps",
            *_cells(applied),
            f"{APPLY_CPU:.2f}",
            _check(limits, "runner apply --load never", applied, APPLY_CPU),
        ],
        [f"psql -f, {len(STEPS)} files", *_cells(sql), "", ""],
    ]
    table(["client", "CPU s", "wall s", "limit CPU s", ""], rows)

    ours = [sum(step["seconds"] for step in json.loads(text)["steps"]) for text in runs]
    theirs = [sum(seconds) for seconds in timings]
    overhead = (statistics.median(ours) - statistics.median(theirs)) / len(STEPS)
    held = Limits() if quick else limits
    text = held.check("overhead a step", overhead * 1000, STEP_OVERHEAD * 1000, " ms")
    table(
        [f"{len(STEPS)} steps, median of {times}", "seconds"],
        [
            ["in the runner", f"{statistics.median(ours):.4f}"],
            ["the same statements in psql", f"{statistics.median(theirs):.4f}"],
            [f"overhead a step (limit {STEP_OVERHEAD * 1000:.0f} ms)", text],
        ],
    )


def _psql(url: str) -> list[str | Path]:
    settings = f"select set_config('app.flow_run_id', '{uuid.uuid4()}', false), set_config('app.day', '{DAY}', false)"
    # A step's checks are the server's work, too.
    files = [part for step in STEPS for file in (step, *_checks(step)) for part in ("-f", file)]
    return [
        embedded.binaries() / "psql", url, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", settings, "-c", "\\timing on",
        *files,
    ]  # fmt: skip


def _checks(step: Path) -> list[Path]:
    checks = sorted((step.parent / "checks").glob("*.sql"))
    return [check for check in checks if re.search(rf"^-- check: {step.stem}$", check.read_text(), re.MULTILINE)]


def _cells(all_of: list[Took]) -> list[str]:
    took = least(all_of)
    return [f"{took.cpu:.3f}", f"{took.wall:.3f}"]


def _check(limits: Limits, what: str, all_of: list[Took], limit: float) -> str:
    cpu = least(all_of).cpu
    limits.check(what, cpu, limit, " CPU s")
    return "ok" if cpu <= limit else "missed"
