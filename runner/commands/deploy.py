"""runner deploy: the project's deployments on a Prefect server."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runner import console, deployments, serving
from runner.config import FILE, Settings

if TYPE_CHECKING:
    from runner.flows.marks import Change

NEEDS_PIPELINE = False

_COLOURS = {"created": "green", "updated": "yellow", "removed": "red", "unchanged": "dim"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner deploy`."""
    parser.add_argument("--dry-run", action="store_true", help="tell what would change; change nothing")
    parser.add_argument("--prefect-yaml", action="store_true", help="print the same as a prefect.yaml; ask no server")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Bring Prefect's server to what runner.toml declares, a line for each object."""
    declared = deployments.read(settings)
    from runner.flows import api

    api.prepare(settings)
    if args.prefect_yaml:
        from runner.flows import prefect_yaml

        console.say(prefect_yaml.text(settings, declared).rstrip())
        return 0
    from runner.flows.deploy import deploy

    with api.client(settings) as client:
        changes = deploy(client, settings, dry_run=args.dry_run)
    if args.json:
        console.print_json([document(change) for change in changes])
    else:
        show(changes)
        if args.dry_run:
            console.note("dry run: nothing was changed")
        new = [change.name for change in changes if (change.kind, change.what) == ("work pool", "created")]
        if new and not args.dry_run and serving.who(settings.home) is not None:
            console.note(f"new work pools: {', '.join(new)}; runner serve works for them once it is started again")
        if not declared.deployments:
            console.note(f"{settings.project / FILE} declares no deployments: write [deployments.NAME] into it")
    return 0


def show(changes: list[Change]) -> None:
    """Print a line for each object: what became of it, its name, its schedule."""
    width = max((len(f"{change.kind} {change.name}") for change in changes), default=0)
    for change in changes:
        name = f"{change.kind} {change.name}"
        line = f"{change.what:<9}  {name:<{width}}  {change.detail}".rstrip()
        console.say(console.style(line[:9], _COLOURS[change.what]) + line[9:])


def document(change: Change) -> dict[str, str]:
    """Return a change as machines read it."""
    return {"kind": change.kind, "name": change.name, "change": change.what, "detail": change.detail}
