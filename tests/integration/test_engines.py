"""Whatever reads a day: the tables, the rejects and the fingerprints are the same, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given

from staging_loaders.engine import Engine
from staging_loaders.entity import load_declarations
from staging_loaders.load import load_day
from staging_loaders.local import Local
from staging_loaders.session import Session
from staging_loaders.split import Work
from tests import make_days
from tests.examples import costly
from tests.model import strategies
from tests.model.chain import write_files

ROOT = Path(__file__).parents[2]
DAYS = ROOT / "tests" / "days"
ZLURI = ROOT / "staging_loaders" / "zluri"
TABLES = sorted(entity.table for entity in load_declarations(ZLURI).values())


@pytest.fixture
def inline() -> Iterator[Engine]:
    """The local engine where there is little to read: this process."""
    with Local(inline_weight=10**15) as engine:
        yield engine


@pytest.fixture(scope="module")
def pool() -> Iterator[Engine]:
    """The local engine where there is much to read: processes of this machine."""
    with Local(2, inline_weight=0) as engine:
        engine.expect(Work(1, 1, 1))
        yield engine


@pytest.fixture
def dump(database: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, bytes]]:
    """Load a day with an engine; return all that staging then holds, as the server writes it, but for times."""
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)

    def dump(base: Path, day: str, engine: Engine) -> dict[str, bytes]:
        load_day(
            dsn=database, pipeline="zluri", day=day, base=str(base), declarations=ZLURI, flow_run_id="run",
            session=engine, mode="always",
        )  # fmt: skip
        with psycopg.connect(database) as connection:
            columns = ", ".join(
                name
                for (name,) in connection.execute(
                    "select attname from pg_attribute where attrelid = 'stg_loads'::regclass and attnum > 0 "
                    "and attname !~ 'seconds$' and attname not in ('loaded_at', 'engine') order by attnum"
                )
            )
            found = {table: f"select * from {table} order by day, source_file, position" for table in TABLES}
            found["stg_rejects"] = 'select * from stg_rejects order by stg_rejects::text collate "C"'
            found["stg_loads"] = f"select {columns} from stg_loads order by entity"
            return {name: _copied(connection, query) for name, query in found.items()}

    return dump


def _copied(connection: psycopg.Connection[Any], query: str) -> bytes:
    with connection.cursor().copy(f"copy ({query}) to stdout".encode()) as copy:
        return b"".join(map(bytes, copy))


@costly(5)
@given(files=strategies.days())
def test_processes_load_the_same(
    dump: Callable[..., dict[str, bytes]],
    inline: Engine,
    pool: Engine,
    tmp_path_factory: pytest.TempPathFactory,
    files: strategies.Files,
) -> None:
    """Random days with every kind of drift, read here and in other processes."""
    base = tmp_path_factory.mktemp("day")
    write_files(base / "sync-day1", files)
    assert dump(base, "day1", inline) == dump(base, "day1", pool)


@pytest.mark.slow
@costly(8)
@given(files=strategies.days())
def test_spark_loads_the_same(
    dump: Callable[..., dict[str, bytes]],
    inline: Engine,
    spark: Session,
    tmp_path_factory: pytest.TempPathFactory,
    files: strategies.Files,
) -> None:
    """Random days with every kind of drift, read here and in Spark's workers."""
    base = tmp_path_factory.mktemp("day")
    write_files(base / "sync-day1", files)
    assert dump(base, "day1", inline) == dump(base, "day1", spark)


# One that mixes all forms, and the one whose values have types of their own; the others are long forms.
@pytest.mark.parametrize(
    "form",
    [*(pytest.param(form, marks=pytest.mark.long) for form in ("json", "jsonl", "gz", "csv")), "parquet", "mixed"],
)
def test_generated_days_in_each_form(
    dump: Callable[..., dict[str, bytes]], inline: Engine, pool: Engine, spark: Session, tmp_path: Path, form: str
) -> None:
    """A few hundred records in many small files, a fifth of them odd, through all engines."""
    make_days.main([
        "--out", str(tmp_path), "--days", "1", "--odd", "0.2", "--format", form, "--page-size", "23",
        "--agents", "60", "--details", "20", "--transactions", "200", "--seed", "7",
    ])  # fmt: skip
    expected = dump(tmp_path, "day1", inline)
    assert expected["stg_transactions"] and expected["stg_rejects"]
    assert dump(tmp_path, "day1", pool) == expected
    assert dump(tmp_path, "day1", spark) == expected


@pytest.mark.parametrize("day", ["day1", "day2", "day3"])
def test_the_shipped_days(
    dump: Callable[..., dict[str, bytes]], inline: Engine, pool: Engine, spark: Session, day: str
) -> None:
    """Every oddity that a feed may bring, through all engines."""
    expected = dump(DAYS, day, inline)
    assert dump(DAYS, day, pool) == expected
    assert dump(DAYS, day, spark) == expected
