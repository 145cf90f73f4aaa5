"""Limits, aligned tables, and what the numbers were measured on."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


@dataclass
class Limits:
    """What must hold; `missed` collects what does not."""

    missed: list[str] = field(default_factory=list)

    def check(self, what: str, value: float, limit: float, unit: str = "") -> str:
        """Note a limit that is missed; return `value (limit)` as text."""
        if value > limit:
            self.missed.append(f"{what}: {value:.3g}{unit}, where at most {limit:.3g}{unit} is allowed")
        return f"{value:.2f}{unit}{'' if value <= limit else ' !'}"

    def least(self, what: str, value: float, limit: float, unit: str = "") -> str:
        """Note a value that does not reach its limit; return it as text."""
        if value < limit:
            self.missed.append(f"{what}: {value:.3g}{unit}, where at least {limit:.3g}{unit} is wanted")
        return f"{value:.2f}{unit}{'' if value >= limit else ' !'}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a head, the first column to the left and the others to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, ["-" * width for width in widths], *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  ".join(cells).rstrip(), flush=True)
    print(flush=True)


def machine(server: str) -> None:
    """Print what the numbers are of: date, processor, versions, and how busy it is."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} x {cpu}, {platform.system()} {platform.release()}")
    print(f"PostgreSQL {server}, Python {platform.python_version()}, psycopg {version('psycopg')}")
    print(f"load average at the start: {os.getloadavg()[0]:.1f}\n", flush=True)


@dataclass(frozen=True)
class Took:
    """Seconds of a command: the processor's in all its processes, and the clock's."""

    cpu: float
    wall: float


def command(arguments: Sequence[str | Path], **options: object) -> tuple[Took, str]:
    """Run a command to its end; return what it took and printed. A failing one raises."""
    before, started = _children(), time.perf_counter()
    done = subprocess.run(
        [str(argument) for argument in arguments],
        check=True, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **options,  # type: ignore[call-overload]
    )  # fmt: skip
    return Took(_children() - before, time.perf_counter() - started), str(done.stdout)


def least(all_of: Sequence[Took]) -> Took:
    """Return the least of each clock: what noise has added most seldom."""
    return Took(min(took.cpu for took in all_of), min(took.wall for took in all_of))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
