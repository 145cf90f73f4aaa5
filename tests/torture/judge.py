"""What must hold after a fault, and after the plain rerun that follows it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping

from tests.torture.worlds import (
    EMPTY,
    MARTS,
    RATES,
    Connection,
    State,
    World,
    is_staging,
    read_counts,
    read_relations,
    read_state,
)

# The most seconds that a session of the dead may go on.
_GONE = 5.0
_DONE = re.compile(r"^\S+ +step +(\w+)\s", re.MULTILINE)
_FAILED = re.compile(r"^(?:error: )?\S+ (\w+) failed", re.MULTILINE)


def sessions(connection: Connection, seconds: float = _GONE, *, only_active: bool = False) -> Iterator[str]:
    """Tell of sessions and locks that are still there some seconds after the run has ended, or of statements alone."""
    query = (
        "select coalesce(nullif(application_name, ''), backend_type) || ', ' || coalesce(state, '')"
        " || ', ' || left(query, 60) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
        # A copy that waits for the next rows of a client is not at work: a proxy can hide for ever that it is gone.
        " and (state = 'active' and wait_event is distinct from 'ClientRead' or not %s)"
    )
    until = time.monotonic() + seconds
    while left := [told for (told,) in connection.execute(query, (only_active,))]:
        if time.monotonic() > until:
            yield from (f"a session goes on after {seconds:.0f} s: {told}" for told in left)
            return
        time.sleep(0.05)
    if only_active:
        return
    for kind, mode in connection.execute(
        "select locktype, mode from pg_locks where pid <> pg_backend_pid()"
        " and database = (select oid from pg_database where datname = current_database())"
        " and pid not in (select pid from pg_stat_activity where backend_type <> 'client backend')"
    ):
        yield f"a lock is left: {kind} {mode}"


def moment(connection: Connection, world: World, code: int | None, output: str) -> Iterator[str]:
    """Tell what is wrong right after the run has ended, with `code` (negative: killed) and its output."""
    found = read_counts(connection, world.day)
    runs = list(world.steps)
    earlier = _earlier(connection, world)
    committed = [step for step in runs if len(found.get(step, ())) > earlier.get(step, 0)]
    state = read_state(connection)
    if committed != runs[: len(committed)]:
        yield f"steps out of order have their metrics: {committed}"
        return
    for step in committed:
        many = len(found[step]) - earlier.get(step, 0)
        if many != 1:
            yield f"{step} has {many} rows of success in pipeline_metrics"
    final = world.steps[committed[-1]][0] if committed else _final(world.before)
    yield from _differences(f"after {len(committed)} committed steps", final, _final(state))
    staged, before = _staging(world.staged), _staging(world.before)
    if committed or code == 0:
        yield from _differences("of staging, published", staged, _staging(state))
    elif _staging(state) not in (staged, before):
        yield from _differences("of staging, neither old nor new; from new", staged, _staging(state))
    rates = [{table: told.get(table, EMPTY) for table in RATES} for told in (world.before, world.staged, state)]
    if rates[2] not in rates[:2]:
        yield "the rates are neither the old nor the new ones"
    yield from _told(connection, world, code, output, committed)


def _told(connection: Connection, world: World, code: int | None, output: str, committed: list[str]) -> Iterator[str]:
    if code == 0 and committed != list(world.steps):
        yield f"exit 0, and only {committed} are committed"
    if code is not None and code > 0 and code not in (1, 2):
        yield f"exit {code}"
    if "Traceback (most recent call last)" in output or "internal error" in output:
        yield f"a traceback:\n{output}"
    for step in _DONE.findall(output):
        if step not in committed:
            yield f"{step} is reported as done, and was not committed"
    for step in _FAILED.findall(output):
        if step in committed:
            yield f"{step} is reported as failed, and was committed"
    known = connection.execute("select to_regclass('pipeline_metrics') is not null").fetchone() == (True,)
    if known:
        for (step,) in connection.execute(
            "select step from pipeline_metrics as failed where status = 'failure' and exists ("
            "select from pipeline_metrics as done where done.flow_run_id = failed.flow_run_id"
            " and done.step = failed.step and done.status = 'success')"
        ):
            yield f"{step} has a row of failure and one of success from one run"
        for (step,) in connection.execute(
            "select distinct step from check_results as found"
            " where status <> 'failed' and step <> 'checkpoints' and not exists ("
            "select from pipeline_metrics as done where done.flow_run_id = found.flow_run_id"
            " and done.step = found.step and done.status = 'success')"
        ):
            yield f"{step} has results of checks, and was not committed"


def tables(connection: Connection, world: World) -> Iterator[str]:
    """Tell what is wrong with the tables and what was counted, after the rerun."""
    state = read_state(connection)
    last = [state for state, _ in world.steps.values()][-1]
    yield from _differences("at the end", {**last, **world.staged}, state)
    earlier = _earlier(connection, world)
    found = read_counts(connection, world.day)
    for step, (_, wanted) in world.steps.items():
        ours = found.get(step, [])[earlier.get(step, 0) :]
        total = tuple(sum(numbers) for numbers in zip((0, 0, 0), *(counts for _, counts in ours), strict=True))
        if total != wanted:
            yield f"{step}: its metrics count {total} in {len(ours)} runs, the undisturbed one {wanted}"
        if len({run for run, _ in ours}) != len(ours):
            yield f"{step} has two rows of success from one run"


def leftovers(connection: Connection, world: World) -> Iterator[str]:
    """Tell what runs have left behind, or taken along."""
    relations = read_relations(connection)
    yield from (f"left behind: {name}" for name in sorted(relations - world.relations))
    yield from (f"missing: {name}" for name in sorted(world.relations - relations))
    for (day,) in connection.execute("select day from runner_leases"):
        yield f"the lease of {day} is left"


def _earlier(connection: Connection, world: World) -> Mapping[str, int]:
    """Return how many successes of the day each step had before the run: those of the template."""
    return dict.fromkeys(world.steps, 1) if world.name == "again" else {}


def _final(state: State) -> dict[str, str]:
    return {table: told for table, told in state.items() if not is_staging(table) and table not in (*RATES, *MARTS)}


def _staging(state: State) -> dict[str, str]:
    return {table: told for table, told in state.items() if is_staging(table) and told != EMPTY}


def _differences(when: str, expected: State, found: State) -> Iterator[str]:
    for table in sorted(expected.keys() | found.keys()):
        wanted, there = expected.get(table, EMPTY), found.get(table, EMPTY)
        if wanted != there:
            yield f"{table} {when}: {there}, should be {wanted}"
