"""The project's own code as zip files, for machines on which it is not installed (see scripts/spark_submit.sh)."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("runner", "staging_loaders")
# Files without a date of their own, so that the same code is the same file.
_DATE = (2000, 1, 1, 0, 0, 0)


def write(target: Path) -> Path:
    """Write the Python code of the runner and the loaders into the zip file `target`, and return it.

    Raises OSError where it cannot be written.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in _PACKAGES:
            for path in sorted((_ROOT / package).rglob("*.py")):
                archive.writestr(_entry(path.relative_to(_ROOT).as_posix()), path.read_bytes())
    return target


def write_project(target: Path, project: Path) -> Path:
    """Write what a driver on another machine needs: all code, and of `project` its settings, SQL and declarations.

    Raises OSError where it cannot be written.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for root, names in (
            (_ROOT, (*_PACKAGES, "templates")),
            (project, ("migrations", "staging_loaders", "runner.toml")),
        ):
            for name in names:
                found = [root / name] if (root / name).is_file() else sorted((root / name).rglob("*"))
                for path in found:
                    inside = path.relative_to(root).as_posix()
                    if path.is_file() and "__pycache__" not in path.parts and inside not in archive.NameToInfo:
                        archive.writestr(_entry(inside), path.read_bytes())
    return target


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def main() -> int:
    """`CODE.zip`, or `CODE.zip PROJECT.zip FOLDER`: write the code, and with it the project in FOLDER."""
    write(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        write_project(Path(sys.argv[2]), Path(sys.argv[3]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
