"""`python -m runner.flows --day D` runs a day as a Prefect flow, with no server to set up by hand.

Where PREFECT_API_URL (or Prefect's own configuration) names a server, the run is reported there;
else a private one runs along. Errors and exit codes are those of the command line.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from runner import config, console, days, extras, loading, project, streams, task_settings, unexpected, wording
from runner.commands.load import add_load_mode, add_load_options, check_load_options
from runner.config import Settings
from runner.errors import ConfigError, RunnerError, UsageError
from runner.flows.names import flow_name
from runner.signals import terminating


class Parser(argparse.ArgumentParser):
    """Reports wrong usage the way every other error is reported."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint="See python -m runner.flows --help.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the flow and return the exit code; every error ends in a message, never in a traceback."""
    streams.open_closed()
    code = _explained(argv)
    streams.drop_dead()
    return code


def _explained(argv: Sequence[str] | None) -> int:
    try:
        # Outside the flow; inside it Prefect's own handler and the tasks' are in place.
        with terminating():
            return _run(argv)
    except RunnerError as error:
        return _fail(error)
    except KeyboardInterrupt as error:
        console.note("\ninterrupted: what was not committed is rolled back")
        # Prefect's signal is one of these too, see runner.flows.tasks.
        return 128 + int(getattr(error, "signal", signal.SIGINT))
    except Exception as error:
        if os.environ.get("RUNNER_DEBUG"):
            raise
        return _fail(unexpected.translate(error))


def _run(argv: Sequence[str] | None) -> int:
    args = _arguments(argv)
    settings = config.load(vars(args))
    _check(settings, args)
    loading.resolve_for(settings, args.day, args.load)
    _prepare(settings)
    try:
        import prefect
    except ImportError as error:
        raise ConfigError(
            f"flows need Prefect, which is not installed: {error}",
            hint=f"Install it: {extras.install('prefect')}",
        ) from error
    with _server(settings) as private:
        from prefect.logging.configuration import setup_logging

        from runner.flows import link, tags
        from runner.flows.day import day_pipeline
        from runner.flows.tasks import TERMINAL

        # Once set up, Prefect's loggers keep the handlers they are given.
        setup_logging()
        for name in ("prefect.flow_runs", "prefect.task_runs", TERMINAL):
            logging.getLogger(name).addHandler(Terminal())
        logging.getLogger(TERMINAL).setLevel(logging.INFO)
        flow = day_pipeline(settings).with_options(on_running=[link.show])
        if private:
            console.note(f"{flow.name}: on a private Prefect server; PREFECT_API_URL names another")
        with prefect.tags(*tags.of(settings, f"day={args.day}")):
            flow(
                args.day, load=args.load, max_rejects=args.max_rejects, wait=args.wait, jobs=args.jobs, marts=args.marts
            )
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m runner.flows", description="Run a day as a Prefect flow.", allow_abbrev=False)
    parser.add_argument("--project", metavar="DIR", help="the project's folder (default: found from here upwards)")
    parser.add_argument("--pipeline", metavar="P", help="a folder under migrations/ (default: the only one)")
    add_load_options(parser)
    add_load_mode(parser)
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="run up to N steps at once that do not depend on each other"
    )
    parser.add_argument(
        "--marts",
        choices=("auto", "never"),
        default="auto",
        help="refresh the marts once the checkpoints have passed (auto), or not at all",
    )
    return parser.parse_args(argv)


def _check(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse at once what the flow would refuse after the server has started."""
    check_load_options(args)
    days.check(args.day)
    flow_name(settings.pipeline)
    for step in project.discover(settings).steps:
        step.statements  # noqa: B018 - refuses transaction control before anything is run
    task_settings.read(settings).at_once(args.jobs)
    loading.check(settings, args.day, mode=args.load, max_rejects=args.max_rejects)


def _prepare(settings: Settings) -> None:
    """Make Prefect quiet, offline and at home under the runner's home; what the environment says stays."""
    from runner.cluster_setup import make_home
    from runner.flows.server import QUIET

    if not os.environ.get("PREFECT_HOME"):
        make_home(settings.home)
        home = settings.home / "prefect"
        home.mkdir(mode=0o700, exist_ok=True)
        os.environ["PREFECT_HOME"] = str(home)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # The terminal shows the runner's lines; Prefect's own go to its server.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


@contextmanager
def _server(settings: Settings) -> Iterator[bool]:
    """Have a Prefect server; tell whether it is a private one, which ends with the block."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, get_current_settings, temporary_settings

    if url := get_current_settings().api.url:
        _reach(url)
        yield False
        return
    from runner.flows.server import PrivateServer

    with PrivateServer(Path(os.environ["PREFECT_HOME"])) as server:
        server.wait()
        with temporary_settings({PREFECT_API_URL: server.api_url, PREFECT_API_AUTH_STRING: server.password}):
            try:
                yield True
            finally:
                server.drain()


def _reach(url: str) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        fault = client.api_healthcheck()
    if fault is not None:
        raise ConfigError(
            f"Prefect's server does not answer at {re.sub('//[^/@]*@', '//', url)}: {fault}",
            hint="Check PREFECT_API_URL, or unset it: a private server then runs along.",
        )


class Terminal(logging.Handler):
    """Shows on a terminal what the tasks did, and warnings; errors are explained at the end."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "later", False):
            return
        if said := getattr(record, "outcome", None):
            wording.say_outcome(*said)
        elif record.levelno == logging.WARNING or getattr(record, "note", False):
            console.note(console.printable(record.getMessage()))


def _fail(error: RunnerError) -> int:
    console.note(console.explain(error))
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
