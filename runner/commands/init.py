"""runner init: a new project with one small pipeline that runs as it is."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

from runner import console, scaffold
from runner.config import Settings
from runner.errors import UsageError

NEEDS_PIPELINE = False

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
    # Elsewhere --pipeline names one that is there; here it is the new one.
    parser.add_argument("--name", "--pipeline", default="shop", help="the pipeline's name (default: shop)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Write the files, all or none."""
    name = args.name
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a pipeline's name", hint="Use lower-case letters, digits and '_', a letter first."
        )
    root = Path(args.dir)
    targets = {root / path.format(name=name): template for path, template in _FILES.items()}
    texts = {path: scaffold.render(template, name=name) for path, template in targets.items()}
    scaffold.write(texts)
    console.say(f"{root}: a project with the pipeline {name}")
    for path in texts:
        console.say(f"  {path.relative_to(root)}")
    console.say(f"\ncd {shlex.quote(str(root))}\nrunner apply --day day1\nrunner apply --day day2\nrunner metrics")
    return 0
