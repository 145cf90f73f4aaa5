"""The command line: a table of names and modules, each imported only when called."""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

from runner import __version__, streams
from runner.errors import RunnerError, UsageError
from runner.signals import Terminated, terminating

# What `runner --help` prints; each name is a module of runner.commands.
COMMANDS = {
    "apply": "migrate the schema, load staging where files are new, run the steps of a day",
    "load": "load the staging of a day only",
    "migrate": "run the schema files that are new, and make the marts that are new or changed",
    "plan": "show what apply would do and why; nothing is executed",
    "verify": "prove that reruns change nothing, counts are true and the order of days does not matter",
    "lint": "check steps and schema files without a server",
    "lineage": "show what steps read and write, and where a column comes from",
    "status": "show days and steps",
    "metrics": "show what each step did",
    "checks": "show what the checks of the steps found",
    "rejects": "show which records were rejected, and why",
    "marts": "show how old the marts are, or refresh them",
    "freshness": "tell how old the newest data of each table is, and whether that is too old",
    "arrivals": "show which days have arrived, and apply those that are due",
    "backfill": "apply many days, in chunks; go on after a kill",
    "deploy": "make or update the deployments of runner.toml on a Prefect server",
    "serve": "run what is due, with a Prefect server and its page where none is named",
    "prune": "take old days out of staging and the books",
    "db": "start, stop and reach the embedded PostgreSQL",
    "doctor": "check this machine and project, and say how to mend them",
    "init": "make a new project",
    "new": "write a step or a loader to start from",
}


_DAY = re.compile(r"[A-Za-z]*[0-9][A-Za-z0-9_.-]*", re.ASCII)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; every error ends in a message, never in a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    streams.open_closed()
    code = _run(arguments)
    streams.drop_dead()
    return code


def _run(arguments: list[str]) -> int:
    try:
        with terminating():
            code = _dispatch(arguments)
        sys.stdout.flush()  # a reader that has left shows here, and not when the interpreter ends
        return code
    except RunnerError as error:
        return _fail(error)
    except Terminated as error:
        return _interrupted(error.signal)
    except KeyboardInterrupt:
        return _interrupted(signal.SIGINT)
    except BrokenPipeError:
        streams.drop_output()  # the reader (head, less) has enough
        return 0
    except Exception as error:
        if isinstance(error, OSError):
            streams.drop_output()  # it may be what failed
        if os.environ.get("RUNNER_DEBUG"):
            raise
        from runner import unexpected

        return _fail(unexpected.translate(error))


def _dispatch(arguments: list[str]) -> int:
    arguments = _command_first(arguments)
    if arguments[:1] == ["help"] and len(arguments) > 1:
        arguments = [arguments[1], "--help"]
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
            # A day without its option is what people write first.
            words = (word for option, word in pairwise(arguments) if not option.startswith("-"))
            word = next((word for word in words if _DAY.fullmatch(word)), None)
            if word and "--day" in self._option_string_actions and "--day" not in arguments:
                raise UsageError(message, hint=f"Write --day {word}.")
            raise UsageError(message, hint=f"See {self.prog} --help.")

    module = importlib.import_module(f"runner.commands.{name}")
    # A command may give an option of all commands a meaning of its own.
    parser = Parser(prog=f"runner {name}", description=COMMANDS[name], allow_abbrev=False, conflict_handler="resolve")
    parser.add_argument("--project", metavar="DIR", help="the project's folder (default: found from here upwards)")
    parser.add_argument("--pipeline", metavar="P", help="a folder under migrations/ (default: the only one)")
    module.configure(parser)
    given = parser.parse_args(arguments[1:])
    settings = config.load(vars(given), need_pipeline=getattr(module, "NEEDS_PIPELINE", True))
    return int(module.run(given, settings))


def _command_first(arguments: list[str]) -> list[str]:
    """Return the arguments with those that every command has (`--project DIR status`) behind its name."""
    moved = 0
    while moved < len(arguments) and arguments[moved].startswith(("--project", "--pipeline")):
        moved += 1 if "=" in arguments[moved] else 2
    if moved >= len(arguments):
        return []
    return [arguments[moved], *arguments[:moved], *arguments[moved + 1 :]]


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "usage: runner COMMAND [OPTIONS]\n\n"
        "Ordered SQL files are the warehouse: each step is one transaction that carries its own metrics.\n\n"
        f"{lines}\n\n"
        "runner COMMAND --help explains a command; runner --version names the version."
    )


def _fail(error: RunnerError) -> int:
    from runner import console

    console.note(console.explain(error))
    return error.exit_code


def _interrupted(number: int) -> int:
    from runner import console

    console.note("\ninterrupted: what was not committed is rolled back")
    return 128 + number


if __name__ == "__main__":
    sys.exit(main())
