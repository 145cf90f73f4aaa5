"""The files of a pipeline: schema files, steps, checks, checkpoints and marts, found, ordered and selected. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import check, checkpoint, mart
from runner import step as step_module
from runner.check import Check
from runner.config import Settings
from runner.errors import ConfigError, UsageError
from runner.mart import MART_KEYS, Mart
from runner.step import SCHEMA_KEYS, STEP_KEYS, SqlFile


@dataclass(frozen=True)
class Pipeline:
    """What a folder under migrations/ holds, in the order of numbers; checks and checkpoints in that of their names."""

    name: str
    schema: tuple[SqlFile, ...]
    steps: tuple[SqlFile, ...]
    checks: tuple[Check, ...] = ()
    checkpoints: tuple[Check, ...] = ()
    marts: tuple[Mart, ...] = ()


def discover(settings: Settings) -> Pipeline:
    """Read all SQL files of the pipeline.

    Raises UsageError where there is no pipeline and ConfigError for a wrong file.
    """
    if not settings.pipeline:
        raise UsageError(
            f"there is no pipeline under {settings.project / 'migrations'}",
            hint="Go to a project's folder, name it with --project, or make one: runner init DIR",
        )
    folder = settings.migrations
    steps = _files(folder, settings.project, STEP_KEYS)
    return Pipeline(
        settings.pipeline,
        _files(folder / "schema", settings.project, SCHEMA_KEYS),
        steps,
        tuple(check.read(path, settings.project, steps) for path in _paths(folder / "checks")),
        tuple(checkpoint.read(path, settings.project) for path in _paths(folder / "checkpoints")),
        tuple(map(mart.of, _files(folder / "marts", settings.project, MART_KEYS))),
    )


def _paths(folder: Path) -> list[Path]:
    inside = folder.iterdir() if folder.is_dir() else ()
    found = sorted(path for path in inside if path.suffix.lower() == ".sql" and not path.name.startswith((".", "_")))
    for path in found:
        if path.suffix != ".sql":  # and would be left out without a word
            raise ConfigError(
                f"{path} ends in {path.suffix}", hint="Call it .sql, or something else if it is not to run."
            )
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ConfigError(f"{path} is not a file", hint="Move it away, or call it something else than .sql.")
    return found


def _files(folder: Path, root: Path, keys: tuple[str, ...]) -> tuple[SqlFile, ...]:
    files = sorted((step_module.read(path, root, keys) for path in _paths(folder)), key=lambda f: (f.number, f.name))
    for first, second in itertools.pairwise(files):
        if first.number == second.number:
            raise ConfigError(
                f"{first.shown} and {second.shown} have the same number", hint="Give one of them another number."
            )
    names: dict[str, SqlFile] = {}
    for file in files:
        if file.name in names:
            raise ConfigError(
                f"{names[file.name].shown} and {file.shown} have the same name", hint="Give one of them another name."
            )
        names[file.name] = file
    return tuple(files)


def select(
    steps: Sequence[SqlFile], only: str | None = None, first: str | None = None, last: str | None = None
) -> list[SqlFile]:
    """Return the steps that `--only` (`S[,S]`), `--from` and `--until` leave, in file order; None leaves all."""
    chosen = list(steps)
    if only is not None:
        named = [find(steps, name) for name in only.split(",")]
        chosen = [file for file in steps if file in named]
    start = steps.index(find(steps, first)) if first is not None else 0
    stop = steps.index(find(steps, last)) if last is not None else len(steps) - 1
    chosen = [file for file in chosen if start <= steps.index(file) <= stop]
    if steps and not chosen:
        raise UsageError("no step is left to run", hint="Check --only, --from and --until: they exclude each other.")
    return chosen


def find(steps: Sequence[SqlFile], name: str) -> SqlFile:
    """Return the step that `name` means: by number, name or both."""
    for file in steps:
        if file.answers_to(name):
            return file
    import difflib

    names = {text: file.id for file in steps for text in (file.id, file.name)}
    near = difflib.get_close_matches(name, names, n=1)
    asked = f"Did you mean {names[near[0]]}? " if near else ""
    known = ", ".join(file.id for file in steps) or "none"
    raise UsageError(f"there is no step {name!r}", hint=f"{asked}Steps: {known}.")
