"""The README's commands: found, run in order in one shell, and held against the output it shows.

`python -m tests.readme` writes the output of today into the README. Below a command, `…` stands for
lines that are left out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
_FENCE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "::readme::"
_LONGEST = 31


@dataclass(frozen=True)
class Command:
    """A command of the README and the output below it."""

    text: str
    shown: tuple[str, ...]


def commands(markdown: str) -> list[Command]:
    """Return the commands of all console blocks, in order."""
    found: list[Command] = []
    for block in _FENCE.findall(markdown):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Command(line[2:], ()))
            else:
                found[-1] = Command(found[-1].text, (*found[-1].shown, line))
    return found


def run(wanted: list[Command], folder: Path) -> list[tuple[int, list[str]]]:
    """Run the commands in one shell, in a copy of the repository below `folder`; return exit codes and lines.

    The copy shares this Python's environment as its .venv, and has an embedded server of its own, removed at the end.
    """
    copy = folder / "warehouse-runner"
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    # Older than the stamp in .venv: `make run` is not to install the copy into the environment it shares.
    for name in ("pyproject.toml", "requirements.lock"):
        os.utime(copy / name, (0, 0))
    (copy / ".venv").symlink_to(sys.prefix)
    script = "\n".join(f"{command.text}\necho {_MARK}$?" for command in wanted)
    taken = ("RUNNER_", "DATABASE_URL", "DATA_BASE_PATH", "SPARK_MASTER", "PG", "MAKE", "PREFECT_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(taken)}
    try:
        done = subprocess.run(
            ["bash"],
            input=script,
            cwd=copy,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    finally:
        for project in (path.parent for path in folder.glob("*/runner.toml")):
            reset = [str(Path(sys.prefix, "bin", "runner")), "db", "reset", "--yes"]
            subprocess.run(reset, cwd=project, env=environ, check=False, capture_output=True)
    outcomes = []
    lines: list[str] = []
    for line in done.stdout.splitlines():
        text, mark, code = line.partition(_MARK)
        lines += [text.rstrip()] if text or not mark else []
        if mark:
            outcomes.append((int(code), lines))
            lines = []
    return outcomes


def masked(lines: list[str] | tuple[str, ...]) -> list[str]:
    """Return lines without what differs from run to run: numbers, ids, paths, widths of columns."""
    text = "\n".join(lines)
    text = re.sub(r"(?:~|\.\.)?/[^\s,;:)]+", "PATH", text)
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{8}\b", "ID", text)
    text = re.sub(r"\d[\d,.]*", "N", text)
    return [re.sub(r"[\s-]+", " ", line).strip() for line in text.splitlines()]


def agrees(shown: tuple[str, ...], lines: list[str]) -> bool:
    """Tell whether the output has the lines that are shown, in order; `…` may stand for some of them."""
    if not shown:
        return True
    pattern = "".join(r"(?:.*\n)*?" if line == "…" else re.escape(line) + r"\n" for line in masked(shown))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in masked(lines))) is not None


def rewrite(markdown: str, outcomes: list[tuple[int, list[str]]], folder: Path) -> str:
    """Return the README with the new output of each command that shows one, cut in the middle where it is long.

    A command shows its output where something stands below it already, if only `…`.
    """
    rest = iter(outcomes)

    def block(match: re.Match[str]) -> str:
        text = []
        for command in commands(match.group()):
            _, lines = next(rest)
            lines = [line.replace(str(folder), "~").replace(str(ROOT), "~/warehouse-runner") for line in lines]
            lines = [line.removesuffix(" ") for line in lines] if command.shown else []
            if len(lines) > _LONGEST:
                lines = [*lines[: _LONGEST - 6], "…", *lines[-5:]]
            text += [f"$ {command.text}", *lines]
        return "\n".join(["```console", *text, "```"])

    return _FENCE.sub(block, markdown)


if __name__ == "__main__":
    before = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        results = run(commands(before), folder)
    for command, (code, _) in zip(commands(before), results, strict=True):
        if code:
            sys.exit(f"{command.text} ended with {code}")
    README.write_text(rewrite(before, results, folder), encoding="utf-8")
