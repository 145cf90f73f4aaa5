"""runner init: a new project with one small pipeline that runs as it is."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from runner import console, scaffold
from runner.config import Settings
from runner.errors import ConfigError, UsageError

# Where each template goes, below the new folder.
_FILES = {
    "runner.toml": "project/runner.toml.j2",
    ".gitignore": "project/gitignore.j2",
    "README.md": "project/README.md.j2",
    "migrations/{name}/schema/001_orders.sql": "project/schema.sql.j2",
    "migrations/{name}/010_orders.sql": "project/step.sql.j2",
    "staging_loaders/{name}/orders.toml": "project/entity.toml.j2",
    "data/sync-day1/orders/page1.json": "project/day1.json.j2",
    "data/sync-day2/orders/page1.json": "project/day2.json.j2",
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner init`."""
    parser.add_argument("dir", metavar="DIR", help="the folder to make; it may exist, none of its files is replaced")
    parser.add_argument("--name", default="shop", help="the pipeline's name (default: shop)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Write the files, all or none."""
    if not _NAME.fullmatch(args.name):
        raise UsageError(
            f"{args.name!r} is not a pipeline's name", hint="Use lower-case letters, digits and '_', a letter first."
        )
    root = Path(args.dir)
    targets = {root / path.format(name=args.name): template for path, template in _FILES.items()}
    if taken := [str(path) for path in targets if path.exists() or path.is_symlink()]:
        raise UsageError(f"{taken[0]} exists already", hint="Choose an empty folder; nothing was written.")
    texts = {path: scaffold.render(template, name=args.name) for path, template in targets.items()}
    written: list[Path] = []
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            written.append(path)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise ConfigError(
            f"{error.filename or root} cannot be written: {error.strerror}", hint="Choose a folder you may write to."
        ) from error
    console.say(f"{root}: a project with the pipeline {args.name}")
    for path in texts:
        console.say(f"  {path.relative_to(root)}")
    console.say(f"\ncd {root}\nrunner apply --day day1\nrunner apply --day day2\nrunner metrics")
    return 0
