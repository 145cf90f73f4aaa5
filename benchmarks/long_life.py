"""A year of days, one after the other, and a hundred reruns: what time, memory and disk they take in the end."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import publish, year
from benchmarks.meter import memory, tree_cpu
from benchmarks.report import Limits, table
from runner import cli

ROOT = Path(__file__).resolve().parent.parent
KEEP = 30
# How much more the last of all may take than those after the first month: the processors' seconds, the process's
# memory, staging and the catalog on disk; and what final tables and their indexes take beside their like made anew.
TIME, MEMORY, STAGING, BLOAT = 1.15, 1.05, 1.1, 2.0
# How long a statement of a reader may take, in milliseconds, while all old days go at once.
WAIT = 100.0

_STAGING = (
    "select coalesce(sum(pg_total_relation_size(oid)), 0) from pg_class"
    " where relnamespace::regnamespace::text = 'staging_days'"
)
_BOOKS = (
    "select sum(pg_total_relation_size(oid)) from pg_class"
    " where relname in ('pipeline_metrics', 'check_results', 'stg_loads', 'stg_rejects', 'runner_leases')"
)
_CATALOG = (
    "select sum(pg_total_relation_size(oid)) from pg_class"
    " where relkind = 'r' and relnamespace = 'pg_catalog'::regnamespace"
)
_FINAL = (
    "select sum(pg_total_relation_size(oid)) from pg_class"
    " where relkind = 'r' and relnamespace = 'public'::regnamespace"
    " and relname !~ '^(stg_|runner_|schema_|pipeline_|check_|reference_|fx_)'"
)
SIZES = {"staging": _STAGING, "books": _BOOKS, "catalog": _CATALOG, "final tables": _FINAL}


@dataclass(frozen=True)
class Day:
    """What an apply took: the processors' seconds, those of the runner and of the server, and the clock's."""

    client: float
    server: float
    wall: float

    @property
    def cpu(self) -> float:
        return self.client + self.server


@dataclass
class Life:
    """All days in order, then the reruns; memory of the process and bytes on disk by how many days there were."""

    days: list[Day] = field(default_factory=list)
    prunes: list[Day] = field(default_factory=list)
    reruns: list[Day] = field(default_factory=list)
    memory: dict[int, int] = field(default_factory=dict)
    sizes: dict[int, dict[str, int]] = field(default_factory=dict)
    told: dict[int, dict[str, float]] = field(default_factory=dict)
    partitions: int = 0
    anew: int = 0
    all_at_once: Day | None = None
    """What one prune of all old days took, where none was before; `waits`: a reader's seconds, before and amid it."""
    waits: tuple[float, float] = (0.0, 0.0)


def run(url: str, folder: Path, limits: Limits, quick: bool) -> None:
    """Live a year with a prune after each day, held to limits, and one without, which is printed beside it.

    Where `quick`, a quarter of the days; ratios are then printed only.
    """
    held = Limits() if quick else limits
    count, reruns = (100, 20) if quick else (365, 100)
    base = folder / "year"
    for number in range(count):
        year.write(base, number)
    for keep in (KEEP, None):
        _show(_live(url, base, count, reruns, keep), count, keep, held)


def _live(url: str, base: Path, count: int, reruns: int, keep: int | None) -> Life:
    life = Life()
    with _database(url) as (dsn, connection, server):
        for number in range(count):
            arguments = ["apply", "--day", year.name(number), "--engine", "local", "--data", str(base)]
            life.days.append(_took(server, lambda asked=arguments: _call(dsn, *asked)))  # type: ignore[misc]
            if keep:
                life.prunes.append(_took(server, lambda: _call(dsn, "prune", "--keep", str(keep))))
            if number + 1 in (2 * KEEP, count):
                _look(life, number + 1, connection, dsn, server, year.name(number))
        again = ["apply", "--day", year.name(count - 1), "--engine", "local", "--load", "always", "--data", str(base)]
        life.reruns += (_took(server, lambda: _call(dsn, *again)) for _ in range(reruns))
        _look(life, count + reruns, connection, dsn, server, year.name(count - 1))
        (life.partitions,) = connection.execute("select count(*) from pg_inherits").fetchone() or (0,)
        for (name,) in connection.execute(_FINAL.replace("sum(pg_total_relation_size(oid))", "oid::regclass::text")):
            connection.execute(f"vacuum full {name}".encode())
        life.anew = _size(connection, _FINAL)
        if not keep:
            statement = f"select count(*) from stg_agents where day = '{year.name(count - 1)}'"
            with publish.reader(dsn, statement) as alone:
                time.sleep(5)
            with publish.reader(dsn, statement) as amid:
                life.all_at_once = _took(server, lambda: _call(dsn, "prune", "--keep", str(KEEP)))
            life.waits = tuple(max(stop - start for start, stop in read) for read in (alone, amid))  # type: ignore[assignment]
    return life


@contextlib.contextmanager
def _database(url: str) -> Iterator[tuple[str, psycopg.Connection[tuple[Any, ...]], int]]:
    """Make a database on a server that cleans up after itself, as one does that is left alone."""
    name = "bench_long_life"
    dsn = url.replace("/warehouse?", f"/{name}?")
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"create database {name}".encode())
        server.execute("alter system set autovacuum = on")
        # A day takes a second here: what a minute is to a server is a moment to this one.
        server.execute("alter system set autovacuum_naptime = '1s'")
        server.execute("select pg_reload_conf()")
        pid = int(Path(f"/proc/{server.info.backend_pid}/stat").read_text().rpartition(")")[2].split()[1])
        with psycopg.connect(dsn, autocommit=True) as connection:
            yield dsn, connection, pid
        server.execute(f"drop database {name} with (force)".encode())
        server.execute("alter system set autovacuum = off")
        server.execute("alter system reset autovacuum_naptime")
        server.execute("select pg_reload_conf()")


def _call(dsn: str, *arguments: str) -> None:
    """Call a command as a process that lives long does: in this one."""
    os.environ["DATABASE_URL"] = dsn
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = cli.main([*arguments, "--project", str(ROOT)])
    if code:
        raise RuntimeError(f"{arguments}: exit {code}: {errors.getvalue()}")


def _took(server: int, what: Callable[[], None]) -> Day:
    used, cpu, started = _used(), tree_cpu(server), time.perf_counter()
    what()
    return Day(_used() - used, tree_cpu(server) - cpu, time.perf_counter() - started)


def _used() -> float:
    mine, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime


def _size(connection: psycopg.Connection[tuple[Any, ...]], query: str) -> int:
    ((size,),) = connection.execute(query.encode()).fetchall()
    return int(size)


def _look(
    life: Life, after: int, connection: psycopg.Connection[tuple[Any, ...]], dsn: str, server: int, day: str
) -> None:
    life.sizes[after] = {name: _size(connection, query) for name, query in SIZES.items()}
    asked = (("status",), ("metrics",), ("plan", "--day", day, "--load", "never"), ("checks",))
    life.told[after] = {
        words[0]: min(_took(server, lambda words=words: _call(dsn, *words)).cpu for _ in range(3))  # type: ignore[misc]
        for words in asked
    }
    # Behind the commands, which import and remember something the first time; what was freed goes back to the system
    # first, since how much of it the C library keeps is now this and now that.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    life.memory[after] = memory(os.getpid())


def _show(life: Life, count: int, keep: int | None, limits: Limits) -> None:
    def flat(what: str, limit: float) -> Callable[[float], str] | None:
        """Return what holds a ratio to its limit; nothing does where nothing is pruned."""
        return (lambda ratio: limits.check(what, ratio, limit)) if keep else None

    early, late = life.days[KEEP : 2 * KEEP], life.days[-KEEP:]
    first, last = life.reruns[: len(life.reruns) // 5], life.reruns[-(len(life.reruns) // 5) :]
    rows = [
        _row("a day, CPU s", early, late, "cpu", flat("CPU of a day", TIME)),
        _row("  of the server", early, late, "server"),
        _row("  by the clock, s", early, late, "wall"),
    ]
    if keep:
        rows.append(_row("a prune, CPU s", life.prunes[KEEP : 2 * KEEP], life.prunes[-KEEP:], "cpu"))
    then, now, end = 2 * KEEP, count, count + len(life.reruns)
    rows.append(
        _sizes("the process's memory, MB", life.memory[then], life.memory[now], 1e6,
               flat("memory", MEMORY))
    )  # fmt: skip
    for name in SIZES:
        check = flat(name, STAGING) if name in ("staging", "catalog") else None
        rows.append(_sizes(f"{name}, MB", life.sizes[then][name], life.sizes[now][name], 1e6, check))
    rows += (
        _sizes(f"runner {name}, CPU s", life.told[then][name], life.told[now][name], 1.0) for name in life.told[now]
    )
    what = f"{keep} days kept, a prune a day" if keep else "nothing is pruned"
    table([f"{count} days; {what}", f"days {KEEP}-{2 * KEEP}", "the last 30", "ratio"], rows)
    rows = [
        _row("a rerun, CPU s", first, last, "cpu", lambda ratio: limits.check("CPU of a rerun", ratio, TIME)),
        _sizes("the process's memory, MB", life.memory[now], life.memory[end], 1e6,
               lambda ratio: limits.check("memory after the reruns", ratio, MEMORY)),
        *(_sizes(f"{name}, MB", life.sizes[now][name], life.sizes[end][name], 1e6) for name in SIZES),
    ]  # fmt: skip
    table([f"{len(life.reruns)} reruns of the last day", "the first fifth", "the last fifth", "ratio"], rows)
    bloat = life.sizes[end]["final tables"] / life.anew
    print(
        f"final tables and indexes take {limits.check('bloat', bloat, BLOAT)} times what they take made anew; "
        f"staging has {life.partitions} partitions\n"
    )
    if life.all_at_once:
        before, amid = (seconds * 1000 for seconds in life.waits)
        print(
            f"{count - KEEP} days pruned at once: {life.all_at_once.wall:.1f} s, {life.all_at_once.cpu:.1f} CPU s; the "
            f"longest statement of a reader took {limits.check('a reader amid a prune', amid, WAIT)} ms amid it, "
            f"{before:.1f} ms before\n"
        )


def _row(
    what: str, early: Sequence[Day], late: Sequence[Day], name: str, check: Callable[[float], str] | None = None
) -> list[str]:
    before, after = (statistics.median(getattr(day, name) for day in days) for days in (early, late))
    ratio = after / before if before else 1.0
    return [what, f"{before:.3f}", f"{after:.3f}", check(ratio) if check else f"{ratio:.2f}"]


def _sizes(
    what: str, before: float, after: float, unit: float, check: Callable[[float], str] | None = None
) -> list[str]:
    ratio = after / before if before else 1.0
    digits = 3 if unit == 1.0 else 1
    return [
        what, f"{before / unit:.{digits}f}", f"{after / unit:.{digits}f}", check(ratio) if check else f"{ratio:.2f}",
    ]  # fmt: skip
