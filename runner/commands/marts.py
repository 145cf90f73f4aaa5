"""runner marts: how old the marts are, and their refresh by hand."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

from runner import console, database, durations, mart_refresh, marts, metrics, project, schema, sizes
from runner.config import Settings
from runner.errors import RunnerError, UsageError
from runner.mart import Mart
from runner.mart_refresh import Refreshed
from runner.marts import State
from runner.progress import Progress
from runner.wording import describe_mart, told

_HEADERS = ("mart", "state", "refreshed", "age", "by", "rows", "size", "seconds")
_COLOURS = {"ok": "green", "changed": "yellow", "not made": "yellow", "no file": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the options of `runner marts`."""
    parser.add_argument(
        "--refresh",
        nargs="*",
        metavar="NAME",
        help="refresh these marts now, or all; whatever the checkpoints have found",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the marts and the age of their rows, or refresh them."""
    pipeline = project.discover(settings)
    if not pipeline.marts and args.refresh:
        raise UsageError(f"{pipeline.name} has no marts", hint=f"Put them into {settings.migrations / 'marts'}.")
    wanted = marts.select(pipeline.marts, args.refresh or ())
    dsn = database.resolve(settings)
    with schema.connect(dsn, "runner marts") as connection:
        if args.refresh is None:
            new = metrics.nothing_yet(connection)
            known = {} if new else marts.states(connection, pipeline.name, wanted)
            rows = [_row(connection, mart, known.get(mart.name, State(mart.name))) for mart in wanted]
            rows += [_row(connection, None, known[name]) for name in marts.left_behind(wanted, known)]
            return _list(rows, args.json, settings)
    return _refresh(dsn, pipeline.name, wanted, settings.attempts, args.json)


def _row(connection: database.Connection, mart: Mart | None, state: State) -> dict[str, Any]:
    """Return what is told of a mart; rows and size are None where it is not there or may not be read."""
    rows = size = None
    if state.is_there:
        from psycopg import sql

        (may, size) = connection.execute(
            "select has_table_privilege(%(oid)s, 'select'), pg_total_relation_size(%(oid)s)", {"oid": state.oid}
        ).fetchone()
        if may:
            (rows,) = connection.execute(
                sql.SQL("select count(*) from {}").format(sql.Identifier(state.name))
            ).fetchone()
    if mart is None:
        what = "no file"
    elif not state.is_there:
        what = "not made"
    else:
        what = "ok" if state.checksum == mart.checksum else "changed"
    return {
        "mart": mart.id if mart else state.name,
        "name": state.name,
        "state": what,
        "refreshed_at": state.refreshed_at,
        "age_seconds": None if state.age is None else round(state.age.total_seconds(), 3),
        "day": state.day,
        "flow_run_id": state.flow_run_id,
        "by": _by(state),
        "rows": rows,
        "bytes": size,
        "seconds": state.seconds,
        "description": mart.file.description if mart else "",
    }


def _by(state: State) -> str | None:
    """Return what made the rows of a mart: a day's run, another run, somebody, or whatever made the mart."""
    if state.refreshed_at is None:
        return None
    if state.is_as_made:
        return "migrate"
    return state.day or ("hand" if state.flow_run_id is None else "run")


def _list(rows: Sequence[dict[str, Any]], as_json: bool, settings: Settings) -> int:
    if as_json:
        console.print_json(rows)
        return 0
    if not rows:
        console.note(f"{settings.pipeline} has no marts: put them into {settings.migrations / 'marts'}")
        return 0
    console.say(console.table(map(_cells, rows), _HEADERS, colours=_COLOURS))
    for row in rows:
        if row["state"] == "no file":
            console.note(f"no file makes {row['name']}: restore it, or: drop materialized view {row['name']}")
    if any(row["state"] in ("changed", "not made") for row in rows):
        console.note("runner migrate, or the next apply, makes what is changed or not made")
    return 0


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    from datetime import timedelta

    age = row["age_seconds"]
    return (
        row["mart"],
        row["state"],
        "never" if row["refreshed_at"] is None else f"{row['refreshed_at']:%Y-%m-%d %H:%M:%S}",
        "" if age is None else durations.shown(timedelta(seconds=age)),
        row["by"] or "",
        row["rows"],
        "" if row["bytes"] is None else sizes.shown(row["bytes"]),
        "" if row["seconds"] is None else f"{row['seconds']:.3f}",
    )


def _refresh(dsn: str, pipeline: str, wanted: Sequence[Mart], attempts: int, as_json: bool) -> int:
    progress = Progress()
    width = max((len(mart.id) for mart in wanted), default=0)
    found: list[Refreshed] = []

    def done(one: Refreshed) -> None:
        progress.clear()
        found.append(one)
        if not as_json:
            console.say(f"mart    {one.mart:<{width}}  {describe_mart(one):<32}{one.seconds:8.2f} s")

    def document() -> dict[str, Any]:
        return {"pipeline": pipeline, "marts": [dataclasses.asdict(one) for one in found]}

    try:
        mart_refresh.refresh(
            dsn,
            pipeline,
            wanted,
            attempts=attempts,
            log=progress.note,
            running=lambda names: progress.show(f"mart    {', '.join(names)} …"),
            done=done,
        )
    except RunnerError as error:
        if as_json:  # what was done until then, and why no more
            console.print_json(document() | {"error": told(error)})
        raise
    finally:
        progress.clear()
    if as_json:
        console.print_json(document())
    elif not wanted:
        console.note(f"{pipeline} has no marts")
    return 0
