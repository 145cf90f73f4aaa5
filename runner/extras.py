"""The optional parts of the installation, and the command that adds one where the user is."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

_NAME = "warehouse-runner"
# Older metadata writes "pyspark (==4.3.*)".
_BLANKS = str.maketrans("", "", " ()")
_ROOT = Path(__file__).resolve().parent.parent


def install(extra: str) -> str:
    """Return the command that installs an extra (`spark`, `prefect`) into the Python that runs.

    From a checkout it is the checkout's own; elsewhere the packages are named one by one, since
    this one need not be in any index.
    """
    wanted = ["-e", f"{_ROOT}[{extra}]"] if (_ROOT / "pyproject.toml").is_file() else requirements(extra)
    return " ".join([shlex.quote(sys.executable), "-m pip install", *map(shlex.quote, wanted)])


def requirements(extra: str) -> list[str]:
    """Return what the installed package says the extra needs, as pip takes it: `pyspark==4.3.*`."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = requires(_NAME) or []
    except PackageNotFoundError:
        lines = []
    asked = re.compile(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]")
    found = [line.partition(";")[0].translate(_BLANKS) for line in lines if asked.search(line)]
    return found or [{"load": "msgspec", "spark": "pyspark", "parser": "pglast"}.get(extra, extra)]
