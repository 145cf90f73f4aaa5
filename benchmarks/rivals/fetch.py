"""What others need and this project does not: the JDBC driver of PostgreSQL, and dlt, dbt and SQLMesh, each by itself.

They are fetched when they are first asked for, into `$XDG_CACHE_HOME/warehouse-benchmarks` (or `~/.cache/…`).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

JDBC = "42.7.8"
_JDBC_URL = f"https://repo1.maven.org/maven2/org/postgresql/postgresql/{JDBC}/postgresql-{JDBC}.jar"
_JDBC_SHA256 = "2a32a9dcbc42d67a50ad3a0de5efd102c8d2be46720045f2cbd6689f160ab7c7"
DLT = "1.31.0"
DBT, DBT_POSTGRES = "1.11.16", "1.11.0"
SQLMESH = "0.236.4"
_SECONDS = 60


class Missing(Exception):
    """Something is not there and could not be fetched; the text says what and why."""


def cache() -> Path:
    """Return the folder that is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "warehouse-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def jdbc() -> Path:
    """Return the driver's jar."""
    jar = cache() / f"postgresql-{JDBC}.jar"
    if not jar.exists():
        try:
            with urllib.request.urlopen(_JDBC_URL, timeout=_SECONDS) as response:
                data = response.read()
        except (urllib.error.URLError, OSError) as error:
            raise Missing(f"PostgreSQL's JDBC driver cannot be fetched: {_JDBC_URL}: {error}") from error
        if hashlib.sha256(data).hexdigest() != _JDBC_SHA256:
            raise Missing(f"{_JDBC_URL} is not the file that it was")
        _put(jar, data)
    return jar


def dlt() -> Path:
    """Return the Python of an environment that has dlt."""
    return _environment(f"dlt-{DLT}", f"dlt[postgres,parquet]=={DLT}") / "python"


def dbt() -> Path:
    """Return the program dbt of an environment that has it, with its adapter for PostgreSQL."""
    return _environment(f"dbt-{DBT}", f"dbt-core=={DBT}", f"dbt-postgres=={DBT_POSTGRES}") / "dbt"


def sqlmesh() -> Path:
    """Return the program sqlmesh of an environment that has it."""
    return _environment(f"sqlmesh-{SQLMESH}", f"sqlmesh[postgres]=={SQLMESH}") / "sqlmesh"


def _environment(name: str, *packages: str) -> Path:
    """Return the folder of programs of an environment with `packages`, made where it is not there."""
    folder = cache() / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    stamp = folder / "ready"
    if not stamp.exists():
        make = [sys.executable, "-m", "venv", "--clear", str(folder)]
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", *packages]
        try:
            for command in (make, install):
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
            raise Missing(f"{' and '.join(packages)} cannot be installed: {told[-1] if told else error}") from error
        stamp.touch()
    return folder / "bin"


def _put(path: Path, data: bytes) -> None:
    part = path.with_suffix(f".{os.getpid()}")
    part.write_bytes(data)
    part.replace(path)
