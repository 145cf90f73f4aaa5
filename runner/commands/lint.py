"""runner lint: check SQL files, without a server."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path

from runner import config, console
from runner.config import Settings
from runner.errors import UsageError

NEEDS_PIPELINE = False


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner lint`."""
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="these files or folders only (default: the project)",
    )
    parser.add_argument("--format", choices=("text", "json", "sarif"), default="text", help="default: text")
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print what is wrong; 1 where an error is among it, warnings alone are 0."""
    from runner.lint import project, report

    wanted = {path for name in args.files for path in _named(name)} if args.files else None
    project_folder = _project(args, settings, wanted or set())
    pipelines = [args.pipeline] if args.pipeline else config.pipelines(project_folder)
    if not pipelines and wanted is None:
        raise UsageError(
            f"there is no pipeline under {project_folder / 'migrations'}",
            hint="Go to a project's folder, name it with --project, or name files: runner lint FILE",
        )
    # Trees are many small objects that all live to the end: looking for garbage among them takes as long as the rest.
    gc.disable()
    found = project.lint(project_folder, pipelines, wanted)
    if not found.files:
        where = " and ".join(str(project_folder / "migrations" / name) for name in pipelines)
        console.note(f"there are no SQL files under {where}: put steps there, such as 010_name.sql")
    if args.format == "json":
        console.print_json(report.document(found))
    elif args.format == "sarif":
        console.print_json(report.sarif(found))
    else:
        console.say(report.text(found, excerpts=sys.stdout.isatty()))
    return 1 if found.count("error") else 0


def _project(args: argparse.Namespace, settings: Settings, wanted: set[Path]) -> Path:
    """Return the project to lint: the one that is named, else that of the files, else the one here."""
    of_files = None
    if not args.project and not args.pipeline and wanted:
        of_files = config.find_project(min(wanted).parent)
    return (of_files or settings.project).resolve()


def _named(name: str) -> list[Path]:
    """Return the file of that name, or the SQL files below the folder of that name."""
    path = Path(name).resolve()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"there is no file {name}", hint="Name a .sql file, a folder, or nothing for the project.")
    found = [each for each in sorted(path.rglob("[!._]*.sql")) if not _is_hidden(each.relative_to(path))]
    if not found:
        raise UsageError(f"there are no SQL files in {name}", hint="Name a .sql file, or a folder that has some.")
    return found


def _is_hidden(path: Path) -> bool:
    """Return whether a folder on the way is left out, as an environment's or a tool's own."""
    return any(part.startswith((".", "_")) for part in path.parts[:-1])
