"""Loading side by side: COPY of prepared files, this project, Spark's JDBC and dlt, on the same rows and columns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import load_data, load_report, meter
from benchmarks import transactions as made
from benchmarks.load_data import ROOT, TABLE, Digest
from benchmarks.load_report import ARROW, BATCHED, COPY, DLT, LOCAL, NAMES, OURS, PARSE, PLAIN, WRITE, Bench
from benchmarks.meter import Failed, Run
from benchmarks.report import Limits, table
from benchmarks.rivals import fetch, ours
from runner import embedded

_AGAIN = (COPY, OURS, LOCAL)


def run(
    home: Path, url: str, folder: Path, limits: Limits, records: int, times: int, quick: bool, only: Sequence[str]
) -> None:
    """Compare on `records` generated transactions, for each target, and print it.

    The floor and this project are measured `times`, in turn with the others, which are slow and measured once. Goals
    hold for the target with a payload; where `quick`, they are printed and held to nothing. `only` names the loaders.
    """
    load_data.make_archive()
    server = load_data.server(url)
    base = folder / "data"
    days = [day for day in load_data.FORMATS if OURS in only]
    load_data.write(base, records, days)
    variants = load_data.prepare(server, folder, base, records)
    size = sum(file.stat().st_size for file in (base / "sync-json" / "transactions").iterdir())
    print(f"{records:,} transactions, {size / records:,.0f} bytes a record, {size / 1e9:.2f} GB of pages\n", flush=True)
    for variant in variants:
        held = limits if variant.payload and not quick else Limits()
        variant.store()
        bench = Bench(variant, base, home, records, limits, load_data.expected(variant))
        for turn in range(times):
            for name in NAMES:
                if name in only and name not in bench.skipped and (turn == 0 or name in _AGAIN):
                    _measure(bench, name)
        load_report.show(bench, held)
        if bench.best(OURS) and bench.best(COPY):
            if not variant.payload:
                _formats(bench, [day for day in days if day != "json"])
            _alone(bench, held)


def _measure(bench: Bench, name: str) -> None:
    """Run a loader; keep what it took, or why it did not run. A wrong result is a limit that is missed."""
    try:
        run, digest, wanted = _LOADERS[name](bench)
    except fetch.Missing as error:
        bench.skipped[name] = str(error)
        return
    except Failed as error:
        bench.skipped[name] = f"failed: {error}"
        bench.limits.missed.append(f"{NAMES[name]} ({bench.variant.title}): {error}")
        return
    if digest != wanted:
        bench.limits.missed.append(f"{NAMES[name]} ({bench.variant.title}): {digest}, where {wanted} was to be loaded")
    bench.runs.setdefault(name, []).append(run)


Result = tuple[Run, Digest, Digest]


def _floor(bench: Bench) -> Result:
    return _copied(bench, "benchmarks.rivals.floor", "binary", psql=str(embedded.binaries() / "psql"))


def _copied(bench: Bench, program: str, form: str, **asked: str) -> Result:
    variant = bench.variant
    with variant.table("copied") as name:
        files = [str(file) for file in variant.files(form)]
        columns = ", ".join(variant.columns)
        run = _run(program, bench, table=name, columns=columns, files=files, form=form, **asked)
        return run, variant.digest(name, variant.columns), bench.digests[0]


def _ours(bench: Bench, engine: str = "spark", day: str = "json") -> Result:
    variant = bench.variant
    if engine == "local" and find_spec(ours.LOCAL) is None:
        raise fetch.Missing("there is no local engine")
    run = _run(
        "benchmarks.rivals.ours", bench, pipeline=load_data.PIPELINE, day=day, data=str(bench.data), engine=engine,
        declarations=str(variant.declarations),
    )  # fmt: skip
    found = made.Expected(*(run.said[name] for name in ("records", "rows", "rejects", "warnings")))
    wanted = made.expected(bench.records, load_data.FORMATS[day])
    if found != wanted:
        bench.limits.missed.append(f"{NAMES[OURS]} ({variant.title}, {day}): {found}, where {wanted} was to be found")
    exact = day == "json"
    digest = variant.digest(TABLE, variant.columns if exact else None)
    load_data.empty(variant)
    return run, digest, bench.digests[0 if exact else 1]


def _local(bench: Bench) -> Result:
    return _ours(bench, "local")


def _jdbc(bench: Bench, batched: bool = False) -> Result:
    variant, server = bench.variant, bench.variant.server
    jar = fetch.jdbc()
    with variant.table("appended") as name:
        run = _run(
            "benchmarks.rivals.jdbc", bench, data=str(bench.data / "sync-json" / "transactions"), table=name,
            jar=str(jar), jdbc=f"jdbc:postgresql://127.0.0.1:{server.port}/{variant.name}", user=server.user,
            password=server.password, payload=variant.payload, batched=batched,
        )  # fmt: skip
        return run, *_counted(bench, name)


def _batched(bench: Bench) -> Result:
    return _jdbc(bench, batched=True)


def _dlt(bench: Bench, arrow: bool = False) -> Result:
    variant = bench.variant
    python = fetch.dlt()
    run = _run(
        ROOT / "benchmarks" / "rivals" / "dlt_pages.py", bench, python=python, dataset="dlt", arrow=arrow,
        data=str(bench.data / "sync-json" / "transactions"), url=variant.server.with_password(variant.name),
        payload=variant.payload,
    )  # fmt: skip
    result = _counted(bench, "dlt.transactions")
    with variant.connect() as connection:
        connection.execute("set client_min_messages = error")
        connection.execute("drop schema if exists dlt cascade")
    return run, *result


def _arrow(bench: Bench) -> Result:
    return _dlt(bench, arrow=True)


_LOADERS: Mapping[str, Callable[[Bench], Result]] = {
    COPY: _floor, OURS: _ours, LOCAL: _local, PLAIN: _jdbc, BATCHED: _batched, DLT: _dlt, ARROW: _arrow
}  # fmt: skip


def _counted(bench: Bench, name: str) -> tuple[Digest, Digest]:
    """Return how many rows there are and should be: what others make of odd values is their own affair."""
    return Digest(bench.variant.digest(name).rows, 0), Digest(bench.digests[0].rows, 0)


def _run(program: str | Path, bench: Bench, python: Path | None = None, **asked: Any) -> Run:
    asked = {"url": bench.variant.url, "home": str(bench.home), **asked}
    with bench.variant.connect() as connection:
        # What others left to be written is not this one's.
        connection.execute("checkpoint")
    with tempfile.TemporaryDirectory(prefix="run-", dir=bench.data.parent, ignore_cleanup_errors=True) as folder:
        return meter.run(program, asked, bench.variant.server.pid, Path(folder), python)


def _formats(bench: Bench, days: Sequence[str]) -> None:
    """Print what the other formats take."""
    body = []
    for day in days:
        try:
            run, digest, wanted = _ours(bench, day=day)
        except Failed as error:
            bench.limits.missed.append(f"{NAMES[OURS]}, {day}: {error}")
            continue
        if digest != wanted:
            bench.limits.missed.append(f"{NAMES[OURS]}, {day}: {digest}, where {wanted} was to be loaded")
        body.append(
            [
                day, f"{run.seconds:.2f}", f"{bench.digests[0].rows / run.seconds:,.0f}",
                bench.micro(run.client_cpu), bench.micro(run.server_cpu), f"{run.peak / 1e6:,.0f}",
            ]
        )  # fmt: skip
    table([NAMES[OURS], "load s", "rows/s", "client µs", "server µs", "MB"], body)


def _alone(bench: Bench, held: Limits) -> None:
    """Print what parsing takes without a server, and writing without parsing."""
    ours, floor = bench.best(OURS), bench.best(COPY)
    assert ours is not None and floor is not None
    declarations = str(bench.variant.declarations)
    try:
        parsed = _run("benchmarks.rivals.parse", bench, data=str(bench.data), day="json", declarations=declarations)
        form = "binary" if bench.variant.payload else "text"  # as the workers send them
        written, digest, wanted = _copied(bench, "benchmarks.rivals.write", form)
    except Failed as error:
        bench.limits.missed.append(f"parsing or writing alone: {error}")
        return
    micro = parsed.client_cpu / bench.records * 1e6
    if digest != wanted:
        bench.limits.missed.append(f"COPY of {form} pieces: {digest}, where {wanted} was to be loaded")
    publish = ours.said["phases"]["publish"]
    share = floor.seconds / (written.seconds + publish)
    table(
        ["alone", "is", "wanted"],
        [
            ["parsing, µs of client CPU a record", held.check("parsing", micro, PARSE, " µs"), f"<= {PARSE:.0f}"],
            [
                f"writing (COPY of {form}, publishing), share of the floor",
                held.least("writing", share, WRITE),
                f"{WRITE}",
            ],
            [f"COPY of {form}, µs of server CPU a record", bench.micro(written.server_cpu), ""],
            *([f"phase {name}, s", f"{seconds:.2f}", ""] for name, seconds in ours.said["phases"].items()),
        ],
    )
