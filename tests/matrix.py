"""All tests on all versions: the long forms, the other releases of PostgreSQL, the other releases of Python.

    python -m tests.matrix [--seconds N] [NAME …]

runs what is named (long, postgresql-15, python-3.13 …; everything where nothing is), one after the other, each with
a log of its own, and prints a table. What a machine has not got is skipped, and the reason said. After N seconds
nothing more is begun, and what runs is stopped: that is said, too, and is no failure.

A test that failed is run once more by itself: what a version does not do it does not do then either. One that passes
has met a busy machine or another's fault; it is counted as unsteady, with its failure shown, and wants to be looked at.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from runner import cluster
from tests import postgres

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".matrix"

# Newest and oldest first: what the others do not show is between them.
POSTGRESQL = (15, 17, 16)
PYTHON = ("3.13", "3.12", "3.11")
WORKERS = min(4, 2 * (os.cpu_count() or 1))
_PATIENCE = 60
# Interrupted it writes down what it has, also where whoever started all this ignores interrupts.
_PYTEST = (
    "import signal, sys, pytest; signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(pytest.main())"
)


@dataclass(frozen=True)
class Run:
    """Tests to be run: which, by what Python, on which server; or the reason why not."""

    name: str
    tests: str
    python: Path = Path(sys.executable)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: counts of tests, reasons of those that were skipped with how often, seconds."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    said: str = ""
    unsteady: int = 0


class Absent(Exception):
    """This machine has not got what a run needs, and why."""


def names() -> list[str]:
    """Return all runs, the most telling first; the versions that `make test` runs on are not among them."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    servers = [f"postgresql-{version}" for version in POSTGRESQL]
    pythons = [f"python-{version}" for version in PYTHON if version != here]
    return [servers[0], "long", pythons[0], *servers[1:], *pythons[1:]]


def prepare(name: str) -> Run:
    """Return the run of this name, with what it needs fetched and installed.

    Raises:
        Absent: that cannot be had.
    """
    kind, _, version = name.partition("-")
    if kind == "long":
        # Properties get ten times the examples.
        return Run(name, "long or hypothesis", environment={"HYPOTHESIS_PROFILE": "long"})
    if kind == "postgresql":
        return Run(name, "database and not long and not cluster", environment={"TEST_POSTGRES": _server(int(version))})
    if kind == "python":
        return Run(name, "not long", python=_python(version))
    raise SystemExit(f"error: there is no {name}\nhint: choose of {', '.join(names())}")


def _server(version: int) -> str:
    if version in cluster.VERSIONS:
        return str(version)
    try:
        return str(postgres.installed(version) or postgres.fetch(version))
    except postgres.Missing as error:
        raise Absent(str(error)) from error


def _python(version: str) -> Path:
    """Return an environment's interpreter of this version, with what requirements.lock pins and the project."""
    folder = FOLDER / f"python-{version}"
    uv = Path(sys.executable).with_name("uv")
    python = folder / "bin" / "python"
    lock = ROOT / "requirements.lock"
    stamp = folder / ".ready"
    if stamp.exists() and stamp.stat().st_mtime >= lock.stat().st_mtime:
        return python
    # uv finds more than the PATH has, and fetches one where that is allowed.
    _do(uv, "venv", "--quiet", "--clear", "--python", str(_interpreter(version) or version), str(folder))
    _do(uv, "pip", "install", "--quiet", "--python", str(python), "--no-deps", "--require-hashes", "-r", str(lock))
    _do(uv, "pip", "install", "--quiet", "--python", str(python), "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    # As set-up does; a few files of others are templates, which do not compile.
    subprocess.run([python, "-m", "compileall", "-qq", "-j", "0", str(folder / "lib")], check=False)
    _do(python, "-m", "staging_loaders.class_archive")
    stamp.touch()
    return python


def _interpreter(version: str) -> Path | None:
    """Return an interpreter on the PATH or of pyenv that really is of this version."""
    found = [shutil.which(f"python{version}"), *sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python"))]
    for candidate in filter(None, found):
        with contextlib.suppress(OSError):
            asked = [str(candidate), "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"]
            if subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() == version:
                return Path(candidate)
    return None


def _do(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Absent(" ".join(done.stdout.split())[-200:])


def run(wanted: Run, until: float) -> Outcome:
    """Run tests until they end or `until`, a time of the monotonic clock; those that fail once more, by themselves."""
    (FOLDER / f"{wanted.name}.log").unlink(missing_ok=True)
    shutil.rmtree(_failed_last(wanted), ignore_errors=True)
    first = _tests(wanted, until, wanted.name, ["-n", str(WORKERS), "--no-loadscope-reorder"])
    if not first.failed or time.monotonic() > until:
        return first
    again = _tests(
        wanted, until, f"{wanted.name}-again", ["-n", "0", "--last-failed", "--last-failed-no-failures=none"]
    )
    return replace(
        first,
        passed=first.passed + again.passed,
        # One that was not tried again, since the time is over, has failed.
        failed=max(first.failed - again.passed, again.failed),
        seconds=first.seconds + again.seconds,
        said=f"{again.passed} unsteady, {first.said}" if again.passed else again.said or first.said,
        unsteady=again.passed,
    )


def _tests(wanted: Run, until: float, name: str, options: list[str]) -> Outcome:
    began = time.monotonic()
    report, log = FOLDER / f"{name}.xml", FOLDER / f"{wanted.name}.log"
    report.unlink(missing_ok=True)
    command = [wanted.python, "-c", _PYTEST, "-q", "-m", wanted.tests, f"--junitxml={report}",
               "-o", f"cache_dir={_failed_last(wanted)}", *options]  # fmt: skip
    environment = os.environ | wanted.environment | {"PATH": f"{wanted.python.parent}:{os.environ['PATH']}"}
    # As `make test` does: what is not compiled takes three times as long to import, in each process.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    sources = ("runner", "staging_loaders", "tests")
    subprocess.run([wanted.python, "-m", "compileall", "-qq", *sources], cwd=ROOT, env=environment, check=False)
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True,
        )  # fmt: skip
        stopped = False
        try:
            process.wait(max(1.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            stopped = True
        finally:
            _end(process)
    outcome = _read(wanted.name, report, time.monotonic() - began)
    if stopped:
        return replace(outcome, said="out of time")
    if process.returncode and not outcome.failed:
        return replace(outcome, failed=1, said=f"see {log.relative_to(ROOT)}")
    return replace(outcome, said=f"see {log.relative_to(ROOT)}" if outcome.failed else "")


def _failed_last(wanted: Run) -> Path:
    """Return where pytest keeps which tests have failed."""
    return FOLDER / f"{wanted.name}.cache"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let pytest write down what it has, then end all it has started."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(name: str, report: Path, seconds: float) -> Outcome:
    """Return what a report in JUnit's form tells."""
    passed = failed = 0
    skipped: Counter[str] = Counter()
    if report.exists():
        for case in ElementTree.parse(report).iter("testcase"):
            kinds = {child.tag: child for child in case}
            if "failure" in kinds or "error" in kinds:
                failed += 1
            elif "skipped" in kinds:
                skipped[" ".join((kinds["skipped"].get("message") or "").split())] += 1
            else:
                passed += 1
    return Outcome(name, passed, failed, skipped, seconds)


def table(outcomes: list[Outcome]) -> str:
    """Return the outcomes, a line each, and below them why tests were skipped."""
    lines = [f"{'':<16} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}"]
    for one in outcomes:
        if one.seconds:
            counts = f"{one.passed:>7} {one.failed:>7} {one.skipped.total():>8} {one.seconds:>8.0f}"
        else:
            counts = f"{'-':>7} {'-':>7} {'-':>8} {'-':>8}"
        lines.append(f"{one.name:<16} {counts}  {one.said}".rstrip())
    for reason in sorted({reason for one in outcomes for reason in one.skipped}):
        where = ", ".join(f"{one.name} {one.skipped[reason]}" for one in outcomes if one.skipped[reason])
        lines.append(f"  skipped: {reason} ({where})")
    return "\n".join(lines)


def failures(name: str) -> str:
    """Return the end of a run's log, from its first failure on."""
    text = (FOLDER / f"{name}.log").read_text("utf-8", "replace")
    _, mark, told = text.partition("= FAILURES =")
    return f"--- {name} ---\n{(mark + told)[:20_000]}\n…\n{text[-4000:]}" if mark else f"--- {name} ---\n{text[-8000:]}"


def main(words: list[str]) -> int:
    """Do it; return 1 where a test failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", nargs="*", help="long, postgresql-15, python-3.13 …; everything where nothing is named")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing afterwards")
    given = parser.parse_args(words)
    until = time.monotonic() + given.seconds
    # What runs has a session of its own, and ends with us.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    FOLDER.mkdir(exist_ok=True)
    outcomes = []
    for name in given.name or names():
        if time.monotonic() > until:
            outcomes.append(Outcome(name, said="not run: out of time"))
            continue
        try:
            wanted = prepare(name)
        except Absent as error:
            outcomes.append(Outcome(name, said=f"not run: {error}"))
            continue
        print(f"{name} …", flush=True)
        outcomes.append(run(wanted, until))
        print(table(outcomes[-1:]).partition("\n")[2], flush=True)
        if outcomes[-1].failed or outcomes[-1].unsteady:
            print(failures(name), flush=True)
    print(f"\n{table(outcomes)}\n")
    passed, failed = sum(one.passed for one in outcomes), sum(one.failed for one in outcomes)
    skipped, unsteady = sum(one.skipped.total() for one in outcomes), sum(one.unsteady for one in outcomes)
    told = f", {unsteady} unsteady" if unsteady else ""
    print(f"{passed} passed, {failed} failed, {skipped} skipped{told}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
