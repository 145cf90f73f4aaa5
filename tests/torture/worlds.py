"""Worlds: a database and the day that is to be applied to it, with what it holds before, between and after.

A run of a world commits in an order that is known: schema files, rates, staging, each step. So its
database is, at any moment, in one of a few states, which are recorded in a run that nobody disturbs.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.torture.process import Runner
from tests.torture.proxy import Boundary, Proxy

Connection = psycopg.Connection[Any]
State = Mapping[str, str]
"""Table -> digest of its rows, but for what is different each time; no rows and no table are the same."""
Counts = tuple[int, int, int]
"""Rows inserted, updated and deleted."""

ROOT = Path(__file__).resolve().parents[2]
EMPTY = "no rows"
RATES = ("fx_rates", "reference_loads")
# Rows of books, and the mart that is made of one: they tell of runs.
_BOOKS = ("pipeline_metrics", "runner_leases", "check_results", "schema_history", "runner_marts", "pipeline_health")
MARTS = ("monthly_spend", "daily_activity")
# What is different each time, such as times and the ids of runs.
_KEPT = {
    "stg_loads": "pipeline, day, entity, records_read, rows_loaded, rejects, warnings, files, bytes, fingerprint",
    "reference_loads": "name, fingerprint",
}
_DEADLINE = 120.0


@dataclass(frozen=True)
class World:
    """A database to clone (`template`), the day to apply to it and the folder of its files.

    `before` is the state of the template, `staged` that of staging and rates once they are loaded, and of the marts at
    the end. `steps` says what each step, in order, leaves of the final tables and what its metrics count. `relations`
    are all names in the catalog afterwards, `boundaries` the statements of an undisturbed run, which took `seconds`;
    `result` is the database that it left.
    """

    name: str
    template: str
    day: str
    data: Path
    before: State
    staged: State
    steps: Mapping[str, tuple[State, Counts]]
    relations: frozenset[str] = field(repr=False)
    boundaries: tuple[Boundary, ...] = field(repr=False)
    seconds: float
    result: str


def is_staging(table: str) -> bool:
    return table.startswith("stg_")


def read_state(connection: Connection) -> dict[str, str]:
    """Return the state of the database."""
    tables = connection.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'm')"
        " and relname <> all (%s) order by 1",
        (list(_BOOKS),),
    ).fetchall()
    if not tables:
        return {}
    queries = [
        sql.SQL(
            "select {}, count(*), coalesce(md5(string_agg(md5(row::text), '' order by md5(row::text))), '')"
            " from (select {} from {}) as row"
        ).format(table, sql.SQL(_KEPT.get(table, "*")), sql.Identifier(table))
        for (table,) in tables
    ]
    rows = connection.execute(sql.SQL(" union all ").join(queries))
    return {table: f"{count} rows {digest}" if count else EMPTY for table, count, digest in rows}


def read_relations(connection: Connection) -> frozenset[str]:
    """Return kind and name of all that is in the catalog and not the server's own."""
    rows = connection.execute(
        "select relkind::text || ' ' || nspname || '.' || relname ||"
        " case when relispartition then ' attached' else '' end"
        " || case when indisvalid is false then ' invalid' else '' end"
        " from pg_class inner join pg_namespace as spaces on spaces.oid = relnamespace"
        " left join pg_index on indexrelid = pg_class.oid"
        " where nspname !~ '^pg_toast' and nspname not in ('pg_catalog', 'information_schema')"
    )
    return frozenset(name for (name,) in rows)


def read_counts(connection: Connection, day: str) -> dict[str, list[tuple[str, Counts]]]:
    """Return step -> (run, counts) of each committed success of a day."""
    (known,) = connection.execute("select to_regclass('pipeline_metrics') is not null").fetchone() or (False,)
    found: dict[str, list[tuple[str, Counts]]] = {}
    if known:
        for step, run, *counts in connection.execute(
            "select step, flow_run_id, rows_inserted, rows_updated, rows_deleted from pipeline_metrics"
            " where day = %s and status <> 'failure' order by id",
            (day,),
        ):
            found.setdefault(step, []).append((run, (counts[0], counts[1], counts[2])))
    return found


class Maker:
    """Makes worlds on a server: `create` clones a database (None: an empty one), `on` returns a name's URL."""

    def __init__(self, create: Callable[[str | None], str], on: Callable[[str], str], folder: Path) -> None:
        self._create = create
        self._on = on
        self._folder = folder
        self.project = folder / "project"
        # Whoever edits the project's files meanwhile does not disturb.
        for name in ("migrations", "staging_loaders/zluri"):
            shutil.copytree(ROOT / name, self.project / name)
        shutil.copy(ROOT / "runner.toml", self.project)

    def settings(self, dsn: str, data: Path) -> dict[str, str]:
        """Return the environment of a runner of this project."""
        return {"DATABASE_URL": dsn, "DATA_BASE_PATH": str(data), "RUNNER_HOME": str(self._folder / "home")}

    def make(self, names: Sequence[str] = ("first", "next", "again")) -> dict[str, World]:
        """Make worlds.

        first: the first day, in a database in which the runner never was. next: another day after it. again: the
        first day once more, with other files, so that partitions are exchanged and entities vanish.
        """
        # The first of all takes long to start, and is not what is measured.
        Runner(["--version"], {}, self._folder / "version.txt").wait(_DEADLINE)
        days = ROOT / "tests" / "days"
        other = self._folder / "again"
        shutil.copytree(days / "sync-day2", other / "sync-day1")
        first = self._make("first", self._create(None), "day1", days)
        made = {"first": first}
        for name, day, data in (("next", "day2", days), ("again", "day1", other)):
            if name in names:
                made[name] = self._make(name, first.result, day, data)
        return made

    def _make(self, name: str, template: str, day: str, data: Path) -> World:
        result = self._create(template)
        output = self._folder / "undisturbed.txt"
        output.unlink(missing_ok=True)
        arguments = ["apply", "--day", day, "--engine", "local", "--project", str(self.project)]
        states: dict[str, State] = {}
        with psycopg.connect(self._on(result), autocommit=True) as connection, Proxy(self._on(result)) as proxy:
            before = read_state(connection)
            proxy.trap(
                lambda boundary: bool(boundary.step) and boundary.text == "commit",
                "after",
                lambda _, boundary: states.update({boundary.step: read_state(connection)}),
                always=True,
            )
            started = time.monotonic()
            runner = Runner(arguments, self.settings(proxy.dsn, data), output)
            code = runner.wait(_DEADLINE)
            assert code == 0, f"runner {' '.join(arguments)} ended with {code}:\n{runner.output()}"
            counts = read_counts(connection, day)
            last = read_state(connection)
            staged = {table: told for table, told in last.items() if is_staging(table) or table in (*RATES, *MARTS)}
            steps = {
                step: ({table: told for table, told in state.items() if table not in staged}, counts[step][-1][1])
                for step, state in states.items()
            }
            return World(
                name, template, day, data, before, staged, steps, read_relations(connection), tuple(proxy.seen),
                time.monotonic() - started, result,
            )  # fmt: skip
