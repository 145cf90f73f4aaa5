"""runner serve: a Prefect server with its page, the project's deployments, and a worker that runs what is due."""

from __future__ import annotations

import argparse

from runner import deployments, serving
from runner.config import Settings

NEEDS_PIPELINE = False


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner serve`."""
    parser.add_argument("--port", type=int, metavar="N", help="the page's port, 0 for a free one (default: 4200)")
    parser.add_argument("--host", metavar="H", help="the page's address (default: 127.0.0.1, for this machine only)")
    parser.add_argument("--limit", type=int, metavar="N", help="how many runs go on at once (default: 4)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Serve until a signal ends it; 0 when that has been done in order."""
    place = serving.place(settings, args.host, args.port, args.limit)
    deployments.read(settings)  # what is wrong there is told before anything is started
    from runner.cluster_setup import make_home

    make_home(settings.home)
    with serving.Claim(settings.home) as claim:
        from runner.flows import api

        api.prepare(settings)
        from runner.flows.serve import serve

        serve(settings, place, claim)
    return 0
