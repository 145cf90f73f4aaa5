"""runner verify: prove the steps, and keep nothing."""

from __future__ import annotations

import argparse
import re
import shlex

from runner import console, database, days, loading, metrics, project, schema
from runner.commands.load import seconds
from runner.config import Settings
from runner.errors import ConfigError, NotLoaded, UsageError
from runner.progress import Progress
from runner.proofs.fault import PROOFS, Fault, shown_columns
from runner.verify import Task, Verdict, Verifier

_COLOURS = {"ok": "green", "fault": "red", "open": "yellow"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner verify`."""
    parser.add_argument(
        "--day", action="append", metavar="D", help="a day in staging; may come several times (default: all of them)"
    )
    parser.add_argument(
        "--only", action="append", metavar="S[,S]", help="prove these steps, by number, name or both; others only run"
    )
    parser.add_argument("--proof", metavar="P[,P]", help=f"these proofs: {', '.join(PROOFS)} (default: all)")
    parser.add_argument(
        "--seed", type=int, default=0, help="which orders of more than three days are tried (default: 0)"
    )
    parser.add_argument(
        "--shrink",
        type=seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long to look for the smallest counterexample (default: 30)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Prove the steps; 0 where no fault was found, 1 where one was. Nothing is changed."""
    pipeline = project.discover(settings)
    if not pipeline.steps:
        raise UsageError(f"{pipeline.name} has no steps yet", hint=f"Put them into {settings.migrations}.")
    chosen = project.select(pipeline.steps, ",".join(args.only) if args.only else None)
    for step in pipeline.steps:
        step.statements  # noqa: B018 - refuses transaction control before anything is run
    proofs = _proofs(args.proof)
    given = sorted({days.check(day) for day in args.day or ()}, key=days.order)
    dsn = loading.resolve_for(settings, given[0] if given else "", "never")
    with schema.connect(dsn, "runner verify") as connection:
        found = _days(connection, settings, pipeline, given)
    task = Task(
        pipeline.name,
        pipeline.steps,
        tuple(chosen),
        tuple(found),
        pipeline.checks,
        proofs,
        args.seed,
        args.shrink,
    )
    progress = Progress()
    verifier = Verifier(task, lambda: database.connect(dsn, "runner verify"), progress.show, progress.note)
    try:
        verdicts, faults = verifier.run()
    finally:
        progress.clear()
    again = {id(fault): _command(fault, args, settings) for fault in faults}
    if args.json:
        console.print_json(
            {
                "pipeline": pipeline.name,
                "days": found,
                "seed": args.seed,
                "proofs": [verdict.__dict__ for verdict in verdicts],
                "faults": [{**fault.document(), "command": again[id(fault)]} for fault in faults],
            }
        )
    else:
        _say(found, verdicts, faults, again)
    return 1 if faults else 0


def _proofs(given: str | None) -> tuple[str, ...]:
    wanted = given.split(",") if given else list(PROOFS)
    for name in wanted:
        if name not in PROOFS:
            raise UsageError(f"there is no proof {name!r}", hint=f"Proofs: {', '.join(PROOFS)}.")
    return tuple(name for name in PROOFS if name in wanted)


def _days(
    connection: database.Connection, settings: Settings, pipeline: project.Pipeline, given: list[str]
) -> list[str]:
    """Return the days to prove on, in natural order; refuse a database that is not up to date, or has no days."""
    if metrics.nothing_yet(connection):
        raise NotLoaded("nothing is loaded: the runner was never here", hint="Load a day: runner load --day D")
    pending = schema.pending(pipeline.schema, schema.history(connection, pipeline.name))
    if pending or schema.pending_own(connection):
        names = ", ".join(file.id for file in pending) or "the runner's own tables"
        raise ConfigError(f"the schema is not up to date: {names}", hint="Run the schema files first: runner migrate")
    if given:
        if loading.has_loaders(settings):
            for day in given:
                loading.require_loaded(settings, day, loading.loaded(connection, settings, day))
        # Steps that read no staging have no days to be mistaken in.
        elif (missing := set(given) - _staged(connection, given)) and _staged(connection):
            raise UsageError(
                f"no staging table holds rows of {', '.join(sorted(missing, key=days.order))}",
                hint=f"Verify with days that are staged: {', '.join(sorted(_staged(connection)))}.",
            )
        return given
    rows = connection.execute("select distinct day from stg_loads where pipeline = %s", (pipeline.name,))
    found = sorted((day for (day,) in rows), key=days.order)
    if not found:
        full = _staged(connection)
        raise NotLoaded(
            "no day is in staging" if not full else f"stg_loads names no day; staging holds {', '.join(sorted(full))}",
            hint="Load one: runner load --day D"
            if loading.has_loaders(settings)
            else "Name the days, whose rows the pipeline brings itself: runner verify --day D",
        )
    return found


def _staged(connection: database.Connection, wanted: list[str] | None = None) -> set[str]:
    """Return the days, of those `wanted` or all, that staging tables have rows of."""
    tables = connection.execute(
        "select attrelid::regclass::text from pg_attribute inner join pg_class as class on class.oid = attrelid"
        " where attname = 'day' and not attisdropped and relkind in ('r', 'p') and relpersistence <> 't'"
        " and relname like 'stg\\_%' and relname <> 'stg_loads' and has_table_privilege(attrelid, 'select')"
    ).fetchall()
    found: set[str] = set()
    for (table,) in tables:
        query = f"select distinct day::text from {table} where %s::text[] is null or day::text = any(%s)"
        found |= {day for (day,) in connection.execute(query.encode(), (wanted, wanted)) if day is not None}
    return found


def _command(fault: Fault, args: argparse.Namespace, settings: Settings) -> str:
    """Return the command that finds the fault again."""
    words = ["runner", "verify"]
    if len([path for path in settings.migrations.parent.iterdir() if path.is_dir()]) > 1:
        words += ["--pipeline", settings.pipeline]
    for day in sorted(fault.days, key=days.order):
        words += ["--day", day]
    words += ["--only", fault.step]
    if len(fault.days) > 3:
        words += ["--seed", str(args.seed)]
    return shlex.join(words)


def _say(found: list[str], verdicts: list[Verdict], faults: list[Fault], again: dict[int, str]) -> None:
    """Print a line a proof and step, then each fault with what shows it."""
    rows = [(verdict.step, verdict.proof, verdict.outcome, verdict.text) for verdict in verdicts]
    console.say(console.table(rows, ("step", "proof", "outcome", "seen"), colours=_COLOURS))
    for fault in faults:
        console.say()
        _say_fault(fault, again[id(fault)])
    console.say()
    proven = f"{console.count(len(verdicts), 'proof')} on {console.count(len(found), 'day')}"
    open_ones = sum(verdict.outcome == "open" for verdict in verdicts)
    rest = f", {open_ones} open" if open_ones else ""
    told = f"{console.count(len(faults), 'fault')}" if faults else "no fault"
    console.say(f"{proven}: {console.style(told, 'red' if faults else 'green')}{rest}; everything was rolled back")


def _say_fault(fault: Fault, command: str) -> None:
    first, *rest = console.printable(fault.message).splitlines()
    title = f"{fault.step}  {fault.proof}  {fault.kind}"
    console.say(f"{console.style(title, 'red')}\n  {console.style(first, 'bold')}")
    for line in rest:
        console.say(f"  {line}")
    if fault.evidence and fault.evidence.rows:
        _say_table(fault.evidence.rows, fault.evidence.headers, fault.evidence.more)
    if fault.writers:
        console.say(f"  {fault.writers}.")
    if fault.also:
        console.say(f"  Other tables differ too, and may follow from it: {', '.join(fault.also)}")
    if fault.minimal and not fault.staging:
        console.say("  It takes no staging rows.")
    if fault.staging:
        what = (
            "these staging rows, none of which can be left out" if fault.minimal else "these staging rows among others"
        )
        console.say(f"  It takes {what}:")
    for table in dict.fromkeys(row.table for row in fault.staging):
        of_table = [row for row in fault.staging if row.table == table]
        headers = fault.evidence.headers if fault.evidence else ()
        values = {text for line in (fault.evidence.rows if fault.evidence else ()) for text in line if text}
        # Of a table without a key the row is its columns and values.
        named = re.findall(r"(\w+)=", " ".join(values))
        columns = shown_columns(of_table, [*headers, *values, *named], fault.keys)
        console.say(f"  {console.style(table, 'bold')}")
        _say_table([[row.values[name] for name in columns] for row in of_table], columns, 0)
    if not fault.from_empty:
        console.say("  It comes about with what the tables hold now.")
    console.say(f"  {console.style('cause:', 'blue')} {fault.cause}")
    console.say(f"  {console.style('again:', 'blue')} {command}")


def _say_table(rows, headers, more: int) -> None:  # type: ignore[no-untyped-def]
    text = console.table(rows, headers, width=40, styled=False)
    for line in [*text.splitlines(), *([f"… and {more:,} more"] if more else [])]:
        console.say(f"    {line}")
