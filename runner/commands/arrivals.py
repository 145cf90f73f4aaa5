"""runner arrivals: which days have arrived, and a run for each that is due."""

from __future__ import annotations

import argparse

from runner import arrivals, arrivals_book, console, database, project, schema, sensor
from runner.commands import apply
from runner.commands.load import add_engine_option
from runner.config import Settings
from runner.errors import DayHeld, RunnerError, UsageError

_FAILED, _HELD = 1, 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner arrivals`."""
    parser.add_argument("--data", metavar="BASE", help="the folder in which sync-<day>/ arrives (DATA_BASE_PATH)")
    parser.add_argument(
        "--settle", metavar="AGE", help="how long a day's files must have been left alone (default: 1min)"
    )
    parser.add_argument("--apply", action="store_true", help="apply the days that are due, each content once")
    add_engine_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


class _Here:
    """Days are applied by this process: there are no runs elsewhere that could have ended."""

    name = "runner apply"

    def is_over(self, key: str) -> bool:
        return False


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print what has arrived; with `--apply` apply what is due, and return the worst of its exit codes."""
    if args.apply and args.json:
        raise UsageError("--json shows what has arrived, and --apply acts on it", hint="Leave one of the two out.")
    if args.engine and not args.apply:
        raise UsageError("--engine is for days that are applied", hint="Add --apply, or leave it out.")
    pipeline = project.discover(settings)
    rules = arrivals.rules(settings, args.settle)
    dsn = database.resolve(settings)
    with schema.connect(dsn, "runner arrivals") as connection:
        if args.apply:
            schema.migrate(connection, pipeline.name, pipeline.schema, settings.attempts, console.note)
        found = sensor.look(settings, connection, rules)
        due = sensor.write(settings, connection, found) if args.apply else []
    if args.json:
        console.print_json([seen.document() for seen in found])
        return 0
    if args.apply:
        return _apply(settings, due)
    if found:
        console.say(console.table(map(sensor.row, found), sensor.HEADERS, colours=sensor.COLOURS))
        console.say()
    console.say(sensor.told(found))
    if waiting := sum(seen.due for seen in found):
        console.note(f"{console.count(waiting, 'day')} to run: runner arrivals --apply")
    return 0


def _apply(settings: Settings, due: list[sensor.Seen]) -> int:
    if not due:
        console.say("no day is due")
    codes = {0}
    for seen in due:
        with schema.connect(database.resolve(settings), "runner arrivals") as connection:
            intent = sensor.intend(settings, connection, seen, _Here())
        if intent is None:
            console.note(f"{seen.arrival.day}: another sensor is at it")
            continue
        codes.add(_apply_one(settings, intent))
    return _FAILED if _FAILED in codes else max(codes)


def _apply_one(settings: Settings, intent: sensor.Intent) -> int:
    """Apply a day and write down that it was, unless the same may succeed at the next look."""
    code = 0
    try:
        apply.run(_arguments(intent.day), settings)
    except RunnerError as error:
        console.note(console.explain(error))
        code = _HELD if isinstance(error, DayHeld) else _FAILED
        if error.transient or code == _HELD:
            return code
    with schema.connect(database.resolve(settings), "runner arrivals") as connection:
        last = connection.execute(
            "select flow_run_id from pipeline_metrics where pipeline = %s and day = %s order by id desc limit 1",
            (settings.pipeline, intent.day),
        ).fetchone()
        run_id = str(last[0]) if last else None
        arrivals_book.triggered(connection, settings.pipeline, intent.day, intent.generation, run_id)
    return code


def _arguments(day: str) -> argparse.Namespace:
    """Return what `runner apply --day` is given; what else was said is in the settings."""
    parser = argparse.ArgumentParser()
    apply.configure(parser)
    return parser.parse_args(["--day", day])
