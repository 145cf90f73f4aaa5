"""The command line: a table of names and modules, each imported only when called."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from runner import __version__
from runner.errors import RunnerError, UsageError

# What `runner --help` prints; each name is a module of runner.commands.
COMMANDS = {
    "apply": "migrate the schema, load staging where files are new, run the steps of a day",
    "load": "load the staging of a day only",
    "migrate": "run the schema files that are new",
    "plan": "show what apply would do and why; nothing is executed",
    "status": "show days and steps",
    "metrics": "show what each step did",
    "rejects": "show which records were rejected, and why",
    "db": "start, stop and reach the embedded PostgreSQL",
    "doctor": "check this machine and project, and say how to mend them",
    "init": "make a new project",
}


class Terminated(KeyboardInterrupt):
    """SIGTERM, delivered like Ctrl-C, so that a running statement is cancelled in the server."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; every error ends in a message, never in a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()  # a reader that has left shows here, and not when the interpreter ends
        return code
    except RunnerError as error:
        return _fail(error)
    except Terminated:
        return _interrupted(signal.SIGTERM)
    except KeyboardInterrupt:
        return _interrupted(signal.SIGINT)
    except BrokenPipeError:
        # The reader (head, less) has enough. Standard output is replaced, so that closing it is quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("RUNNER_DEBUG"):
            raise
        return _fail(
            _of_the_server(error)
            or RunnerError(
                f"{type(error).__name__}: {error}",
                hint="This is a fault of the runner's. RUNNER_DEBUG=1 shows where it happened.",
            )
        )
    finally:
        signal.signal(signal.SIGTERM, before)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    name = arguments[0]
    if name in ("-V", "--version"):
        print(f"runner {__version__}")
        return 0
    if name not in COMMANDS:
        import difflib

        close = difflib.get_close_matches(name, COMMANDS, n=1)
        raise UsageError(
            f"there is no command {name!r}",
            hint=f"Did you mean 'runner {close[0]}'?" if close else "See runner --help.",
        )
    import argparse

    from runner import config

    class Parser(argparse.ArgumentParser):
        """Reports wrong usage the way every other error is reported."""

        def error(self, message: str) -> NoReturn:
            raise UsageError(message, hint=f"See {self.prog} --help.")

    module = importlib.import_module(f"runner.commands.{name}")
    parser = Parser(prog=f"runner {name}", description=COMMANDS[name], allow_abbrev=False)
    parser.add_argument("--project", metavar="DIR", help="the project's folder (default: found from here upwards)")
    parser.add_argument("--pipeline", metavar="P", help="a folder under migrations/ (default: the only one)")
    module.configure(parser)
    given = parser.parse_args(arguments[1:])
    return int(module.run(given, config.load(vars(given))))


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "usage: runner COMMAND [OPTIONS]\n\n"
        "Ordered SQL files are the warehouse: each step is one transaction that carries its own metrics.\n\n"
        f"{lines}\n\n"
        "runner COMMAND --help explains a command; runner --version names the version."
    )


def _of_the_server(error: Exception) -> RunnerError | None:
    """Return the server's own refusal, met where no file is to blame; None for any other error."""
    psycopg = sys.modules.get("psycopg")
    if psycopg is None or not isinstance(error, psycopg.Error):
        return None
    from runner import diagnosis

    return RunnerError(f"the server says: {diagnosis.primary(error)}", hint=diagnosis.hint_for(error))


def _fail(error: RunnerError) -> int:
    from runner import console

    print(console.explain(error), file=sys.stderr)
    return error.exit_code


def _interrupted(number: signal.Signals) -> int:
    print("\ninterrupted: what was not committed is rolled back", file=sys.stderr)
    return 128 + number


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


if __name__ == "__main__":
    sys.exit(main())
