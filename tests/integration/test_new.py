"""runner new: what it writes runs as it is, for every shape and for tables of every kind."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import sql

from runner import cli
from staging_loaders.load import load_day
from staging_loaders.session import Inline

Connection = psycopg.Connection[tuple[Any, ...]]
Run = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parents[2]
DAYS = ("day1", "day2", "day10")
BORN = [f"2026-01-{number:02}" for number in range(1, 13)]
TIMES = [datetime(2026, 1, number, 9, tzinfo=UTC) for number in range(1, 10)]


class Column(NamedTuple):
    """A column that both tables have: its types, and values as they are staged and as they are stored."""

    name: str
    staged: str
    stored: str
    values: Sequence[Any]
    results: Sequence[Any] | None = None

    def result(self, number: int) -> Any:
        return (self.results or self.values)[number]


class Record(NamedTuple):
    """A record of a day: the numbers of its key, its version (None: null) and its other values."""

    key: int
    version: int | None
    value: int


@dataclass(frozen=True)
class Case:
    """A table of some kind, and how it is asked for."""

    table: str
    key: tuple[Column, ...]
    others: tuple[Column, ...] = ()
    version: Column | None = None
    extra: str = ""
    before: str = ""
    arguments: tuple[str, ...] = ()
    constraint: str = "primary key"
    partitions: tuple[str, ...] = ()
    """By what the table is partitioned, and its partitions."""
    untouched: tuple[str, ...] = ()
    """Columns that the server fills."""

    @property
    def columns(self) -> tuple[Column, ...]:
        return (*self.key, *self.others, *([self.version] if self.version else []))

    def schema(self) -> str:
        """Return the two tables."""

        def names(columns: Sequence[Column]) -> str:
            return ", ".join(quoted(column.name) for column in columns)

        staged = ", ".join(f"{quoted(column.name)} {column.staged}" for column in self.columns)
        stored = ", ".join(f"{quoted(column.name)} {column.stored}" for column in self.columns)
        by, *partitions = self.partitions or ("",)
        return (
            f"{self.before}\n"
            f"create table {quoted('stg_' + self.table)} (day text not null, "
            f'source_file text collate "C" not null, position bigint not null, {staged});\n'
            f"create table {quoted(self.table)} ({stored}, {self.extra} {self.constraint} ({names(self.key)})) {by};\n"
        ) + "\n".join(partitions)

    def staged(self, record: Record) -> list[Any]:
        """Return the values of a record as they are staged."""
        values = [column.values[record.key] for column in self.key]
        values += [column.values[record.value] for column in self.others]
        return values + ([None if record.version is None else TIMES[record.version]] if self.version else [])

    def stored(self, record: Record) -> tuple[Any, ...]:
        """Return what is to be stored of a record."""
        values = [column.result(record.key) for column in self.key]
        values += [column.result(record.value) for column in self.others]
        return (*values, *([None if record.version is None else TIMES[record.version]] if self.version else []))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


IDS = Column("item_id", "bigint", "bigint", range(100, 120))
NAMES = Column("name", "text", "text", [f"name {number}" for number in range(12)])
NOTES = Column("note", "text", "text", [None if number % 3 == 0 else f"note {number}" for number in range(12)])
UPDATED = Column("updated_at", "timestamptz", "timestamptz", ())

CASES = [
    Case("items", (IDS,), (NAMES, NOTES), UPDATED),
    Case("items", (IDS,), (NAMES, NOTES)),
    Case("items", (IDS, Column("region", "text", "text", "abcdefghijkl")), (NAMES,), UPDATED),
    Case("items", (IDS, Column("region", "text", 'text collate "C"', "abcdefghijkl"))),
    Case(
        "Order Items",
        (Column("Item Id", "bigint", "bigint", range(20)), Column("group", "text", "text", "abcdefghijkl")),
        (Column("select", "text", "text", "abcdefghijkl"), Column('say "it"', "integer", "bigint", range(20))),
        Column("Changed At", "timestamptz", "timestamptz", ()),
        arguments=("--version-column", "Changed At"),
    ),
    Case(
        "items",
        (IDS,),
        (NAMES,),
        UPDATED,
        extra="id bigint generated always as identity primary key, "
        "name_length integer generated always as (length(name)) stored, loaded_at timestamptz not null default now(),"
        " origin text not null default 'feed', remark text,",
        constraint="unique",
        untouched=("id", "name_length", "loaded_at", "origin", "remark"),
    ),
    Case(
        "changed",
        (Column("item_id", "text", "integer", [f"{n}" for n in range(12)], range(12)),),
        (
            Column(
                "amount",
                "numeric",
                "numeric(12,2)",
                [Decimal(n) / 3 for n in range(12)],
                [round(Decimal(n) / 3, 2) for n in range(12)],
            ),
            Column("document", "text", "json", [f'{{"a":{n}}}' for n in range(12)], [{"a": n} for n in range(12)]),
            Column("more", "text", "document", [f"[{n}]" for n in range(12)], [[n] for n in range(12)]),
            Column("state", "text", "mood", ["sad", "ok", "happy"] * 4),
            Column("code", "text", "varchar(9)", [f"c{n}" for n in range(12)]),
            Column("short", "text", "char(4)", [f"s{n} " for n in range(12)], [f"s{n}".ljust(4) for n in range(12)]),
            Column("born", "text", "date", BORN, [date.fromisoformat(text) for text in BORN]),
            Column("tags", "text[]", "text[]", [[f"t{n}"] for n in range(12)]),
            Column("place", "point", "point", [f"({n},1)" for n in range(12)]),
            Column("is_new", "boolean", "boolean", [n % 2 == 0 for n in range(12)]),
        ),
        Column("updated_time", "timestamptz", "timestamptz not null", ()),
        before="create type mood as enum ('sad', 'ok', 'happy'); create domain document as json;",
    ),
    Case(
        "items",
        (Column("region", "text", "text", "abcdefghijkl"), IDS),
        (NAMES,),
        UPDATED,
        partitions=(
            "partition by list (region)",
            "create table items_b partition of items for values in ('b', 'c') partition by hash (item_id);",
            "create table items_bc partition of items_b for values with (modulus 1, remainder 0);",
            "create table items_rest partition of items default;",
        ),
    ),
]
IDS_OF_CASES = [
    "version",
    "no version",
    "composite",
    "only a key",
    "quoted",
    "server's columns",
    "types",
    "partitioned",
]


class Project:
    """A pipeline without loaders, whose staging is filled by hand."""

    def __init__(self, root: Path, run: Run, connection: Connection) -> None:
        self.root, self.run, self.connection = root, run, connection
        self.migrations = root / "migrations" / "shop"
        (self.migrations / "schema").mkdir(parents=True)

    def schema(self, text: str) -> None:
        """Add a schema file and apply it."""
        folder = self.migrations / "schema"
        (folder / f"{len(list(folder.iterdir())) + 1:03}_tables_{len(list(folder.iterdir()))}.sql").write_text(text)
        assert self.run("migrate")[0] == 0

    def new(self, *arguments: str) -> Path:
        """Write a step, apply its schema file, and return its path."""
        code, out, err = self.run("new", "step", *arguments)
        assert code == 0, err
        if "runner migrate" in out:
            assert self.run("migrate")[0] == 0
        return self.root / out.splitlines()[0]

    def stage(self, case: Case, day: str, records: Sequence[Record]) -> None:
        """Replace the staging of a day."""
        table = sql.Identifier(f"stg_{case.table}")
        names = [sql.Identifier(column.name) for column in case.columns]
        self.connection.execute(sql.SQL("delete from {} where day = %s").format(table), (day,))
        for position, record in enumerate(records, 1):
            self.connection.execute(
                sql.SQL("insert into {} (day, source_file, position, {}) values (%s, 'a.json', %s, {})").format(
                    table, sql.SQL(", ").join(names), sql.SQL(", ").join(sql.Placeholder() * len(names))
                ),
                [day, position, *case.staged(record)],
            )

    def apply(self, day: str) -> tuple[int, int, int]:
        """Apply a day and return the counts of its only step."""
        code, out, err = self.run("apply", "--day", day, "--json")
        assert code == 0, err
        (step,) = json.loads(out)["steps"]
        return step["rows_inserted"], step["rows_updated"], step["rows_deleted"]

    def complaints(self) -> list[str]:
        """Return what lint finds, warnings included."""
        code, out, err = self.run("lint", "--json")
        assert code in (0, 1), err
        return [str(found) for found in json.loads(out)["findings"]]

    def faults(self, *days: str) -> list[str]:
        """Return what cannot be proven on these days of staging."""
        named = itertools.chain.from_iterable(("--day", day) for day in days)
        code, out, err = self.run("verify", "--json", "--shrink", "1", *named)
        assert code in (0, 1) and out, err
        return [str(proof) for proof in json.loads(out)["proofs"] if proof["outcome"] not in ("ok", "open")]

    def rows(self, case: Case) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Return the table's rows by key: what was copied."""
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in case.columns)
        found = self.connection.execute(sql.SQL("select {} from {}").format(names, sql.Identifier(case.table)))
        return {row[: len(case.key)]: row for row in found}


@pytest.fixture
def run(
    tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command in the project's folder."""
    monkeypatch.setenv("DATABASE_URL", empty_database)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(arguments)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call


@pytest.fixture
def connection(empty_database: str) -> Iterator[Connection]:
    """A connection in autocommit mode to the project's database."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def shop(tmp_path: Path, run: Run, connection: Connection) -> Project:
    """An empty project with the pipeline shop."""
    return Project(tmp_path, run, connection)


# Superseded within a day and across days, late, tied, without a version, gone, back again, unchanged.
RECORDS = {
    "day1": [Record(1, 4, 1), Record(2, 4, 2), Record(2, 3, 3), Record(3, 5, 4), Record(3, 5, 5), Record(4, None, 6)],
    "day2": [Record(1, 2, 7), Record(2, 6, 8), Record(3, 5, 9), Record(4, None, 10), Record(5, 1, 1)],
    "day10": [Record(6, 7, 2), Record(1, 4, 3), Record(5, 1, 1), Record(6, None, 4), Record(2, 6, 11)],
}
# What a key says never changes; a day may say it twice.
FACTS = {
    "day1": [Record(1, 4, 1), Record(2, 4, 2), Record(3, 5, 4), Record(2, 4, 2)],
    "day2": [Record(4, 2, 7), Record(2, 4, 2), Record(5, 1, 1)],
    "day10": [Record(6, 7, 2), Record(1, 4, 1)],
}


def records_of(case: Case, shape: str, day: str) -> list[Record]:
    """Return the records of a day; a table whose versions are not null gets none that are."""
    records = (FACTS if shape == "append" else RECORDS)[day]
    if case.version and "not null" in case.version.stored:
        return [record._replace(version=record.version or 0) for record in records]
    return records


def expected(case: Case, shape: str, days: Sequence[str]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return the table's rows after these days, in whatever order they were applied."""
    days = sorted(set(days), key=DAYS.index)
    if shape == "snapshot":
        days = days[-1:]
    best: dict[int, tuple[tuple[int, int, int], Record]] = {}
    for day in days:
        for position, record in enumerate(records_of(case, shape, day)):
            version = -1 if record.version is None or not case.version else record.version
            rank = (version, DAYS.index(day), position)
            if record.key not in best or rank > best[record.key][0]:
                best[record.key] = rank, record
    rows = (case.stored(record) for _, record in best.values())
    return {row[: len(case.key)]: row for row in rows}


def _is_telling(name: str, shape: str) -> bool:
    """Tell whether a case belongs in the short form: each table as one shape, one of them as all."""
    return shape == "upsert" or name == "version"


@pytest.mark.parametrize(
    ("case", "shape"),
    [
        pytest.param(case, shape, id=f"{name}-{shape}", marks=[pytest.mark.long] * (not _is_telling(name, shape)))
        for case, name in zip(CASES, IDS_OF_CASES, strict=True)
        for shape in ("upsert", "snapshot", "append")
    ],
)
def test_a_step_from_staging(shop: Project, case: Case, shape: str) -> None:
    """Days in any order end in the same table; metrics count what changed; a day again changes nothing."""
    shop.schema(case.schema())
    asked = case.arguments if shape != "append" else ()
    name = case.table.lower().replace(" ", "_")
    shop.new(name, "--table", case.table, "--shape", shape, *asked)
    for day in DAYS:
        shop.stage(case, day, records_of(case, shape, day))
    assert shop.complaints() == []
    assert shop.faults(*DAYS) == []
    ends = []
    for order in (DAYS, DAYS[::-1], ("day2", "day10", "day2", "day1")):
        done: list[str] = []
        for day in order:
            before = shop.rows(case), stamps(shop, case)
            counts = shop.apply(day)
            after = shop.rows(case), stamps(shop, case)
            done.append(day)
            assert after[0] == expected(case, shape, done)
            days_noted = int(shape == "snapshot" and day not in done[:-1])
            assert counts == (
                len(after[1].keys() - before[1].keys()) + days_noted,
                sum(after[1][key] != before[1][key] for key in after[1].keys() & before[1].keys()),
                len(before[1].keys() - after[1].keys()),
            )
            assert shop.apply(day) == (0, 0, 0)
            assert stamps(shop, case) == after[1]
        ends.append(untimed(shop, case))
        shop.connection.execute(sql.SQL("delete from {}").format(sql.Identifier(case.table)))
        if shape == "snapshot":
            shop.connection.execute(sql.SQL("delete from {}").format(sql.Identifier(f"{case.table}_days")))
    assert ends[0] == ends[1] == ends[2]


def stamps(shop: Project, case: Case) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return by key where a row lies and who wrote it: the same only if it was not written."""
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in case.key)
    query = sql.SQL("select {}, ctid::text, xmin::text from {}").format(names, sql.Identifier(case.table))
    return {row[: len(case.key)]: row[len(case.key) :] for row in shop.connection.execute(query)}


def untimed(shop: Project, case: Case) -> list[tuple[Any, ...]]:
    """Return all of the table but what the server fills with when a row was written."""
    columns = shop.connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"
        " and attname not in ('id', 'loaded_at') order by attname",
        (quoted(case.table),),
    ).fetchall()
    names = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for (name,) in columns)
    query = sql.SQL("select {} from {}").format(names, sql.Identifier(case.table))
    return sorted(shop.connection.execute(query).fetchall(), key=repr)


@pytest.mark.parametrize("shape", ["upsert", "snapshot", "append"])
def test_columns_called_like_the_template_s(shop: Project, connection: Connection, shape: str) -> None:
    """The day may be a part of the key, and columns may be called as in the step itself."""
    names = ("started_at", "flow_run_id", "is_loaded", "is_latest", "day_key", "inserted", "newest", "stored", "target")
    columns = ", ".join(f"{name} text" for name in names)
    shop.schema(
        f"create table stg_items (day text, source_file text, position bigint, item_id bigint, {columns});"
        f"create table items (day text, item_id bigint, {columns}, primary key (day, item_id));"
    )
    shop.new("items", "--shape", shape)
    assert shop.complaints() == []
    for day in ("day1", "day2"):
        values = ", ".join("'x'" for _ in names)
        connection.execute(f"insert into stg_items values ('{day}', 'a', 1, 7, {values})".encode())
    assert shop.faults("day1", "day2") == []
    shop.apply("day2")
    shop.apply("day1")
    rows = connection.execute("select day, item_id, target from items order by day").fetchall()
    assert rows == [("day1", 7, "x"), ("day2", 7, "x")][shape == "snapshot" :]


def test_facts_that_change(shop: Project) -> None:
    """Where a fact is not one, because its values change from day to day, verify tells."""
    case = CASES[0]
    shop.schema(case.schema())
    shop.new("items", "--shape", "append")
    for day in ("day1", "day2"):
        shop.stage(case, day, RECORDS[day])
    (fault,) = shop.faults("day1", "day2")
    assert "'order'" in fault


SOURCE = """
create table sales (sale_id bigint primary key, shop text, item bigint not null, price numeric, updated_at timestamptz);
create table latest_sale (shop text primary key, item bigint, price numeric(10, 1), note text);
create table sale_copy (sale_id bigint, shop text, price numeric, is_gone boolean, primary key (sale_id));
"""


def fill(connection: Connection, *rows: tuple[Any, ...]) -> None:
    """Replace the sales."""
    connection.execute("delete from sales")
    for row in rows:
        connection.execute("insert into sales values (%s, %s, %s, %s, %s)", (*row, TIMES[0]))


def test_recomputed_from_rows_of_other_keys(shop: Project, connection: Connection) -> None:
    """One row a key comes out, the same on every run; rows without the key are left out; what is gone is deleted."""
    shop.schema(SOURCE)
    shop.new("latest_sale", "--shape", "recompute", "--from-table", "sales")
    fill(connection, (1, "a", 10, "1.23"), (2, "a", 11, "2.26"), (3, "b", 12, None), (4, None, 13, 4))
    assert shop.apply("day1") == (2, 0, 0)
    rows = connection.execute("select shop, item, price from latest_sale order by shop").fetchall()
    assert rows == [("a", 11, Decimal("2.3")), ("b", 12, None)]
    assert shop.apply("day1") == (0, 0, 0)
    assert shop.complaints() == []
    assert shop.faults("day1", "day2") == []
    fill(connection, (1, "a", 10, "1.23"), (5, "c", 12, None))
    assert shop.apply("day2") == (1, 1, 1)
    rows = connection.execute("select shop, item, price from latest_sale order by shop").fetchall()
    assert rows == [("a", 10, Decimal("1.2")), ("c", 12, None)]
    assert shop.apply("day2") == (0, 0, 0)


def test_recomputed_row_by_row(shop: Project, connection: Connection) -> None:
    """A source with the same key is taken as it is."""
    shop.schema(SOURCE)
    step = shop.new("045_copies", "--table", "sale_copy", "--shape", "recompute", "--from-table", "sales")
    assert step.name == "045_copies.sql"
    assert "distinct on" not in step.read_text()
    fill(connection, (1, None, 10, 1), (2, "a", 11, None))
    assert shop.complaints() == []
    assert shop.faults("day1", "day2") == []
    assert shop.apply("day1") == (2, 0, 0)
    fill(connection, (1, None, 10, 1), (2, "b", 11, None))
    assert shop.apply("day1") == (0, 1, 0)
    assert connection.execute("select sale_id, shop, price from sale_copy order by 1").fetchall() == [
        (1, None, 1),
        (2, "b", None),
    ]


@pytest.mark.parametrize("shape", ["upsert", "snapshot", "append"])
def test_psql_takes_it(shop: Project, connection: Connection, shape: str) -> None:
    """The file runs by itself, its begin and commit included, once the two settings are made."""
    case = CASES[0]
    shop.schema(case.schema())
    step = shop.new("items", "--shape", shape)
    shop.stage(case, "day1", records_of(case, shape, "day1"))
    connection.execute("select set_config('app.flow_run_id', 'by hand', false), set_config('app.day', 'day1', false)")
    connection.execute(step.read_bytes())
    assert connection.info.transaction_status == 0
    assert shop.rows(case) == expected(case, shape, ["day1"])
    assert connection.execute("select task_name, status from pipeline_metrics").fetchall() == [
        ("items_task", "success")
    ]


def test_the_day_that_brought_a_row_is_a_column(shop: Project, connection: Connection) -> None:
    """Without one the table gets it by a schema file; what was there already gives way to every day."""
    case = CASES[0]
    shop.schema(case.schema() + "insert into items values (101, 'by hand', null, null);")
    shop.new("items")
    files = sorted(path.name for path in (shop.migrations / "schema").iterdir())
    assert files == ["001_tables_0.sql", "002_items_version.sql"]
    assert "create or replace function day_order" in (shop.migrations / "schema" / files[1]).read_text()
    shop.stage(case, "day1", [Record(1, None, 2)])
    assert shop.apply("day1") == (0, 1, 0)
    # It is there by now, and so is the function.
    (shop.migrations / "010_items.sql").unlink()
    shop.new("items")
    assert sorted(path.name for path in (shop.migrations / "schema").iterdir()) == files
    assert shop.apply("day1") == (0, 0, 0)


def test_a_version_of_the_source(shop: Project, connection: Connection) -> None:
    """A version_key that the source sends is its version, and the day gets another column."""
    case = Case("items", (IDS,), (NAMES,), Column("version_key", "bigint", "bigint", ()))
    shop.schema(case.schema())
    step = shop.new("items")
    assert "coalesce(newest.version_key, '-9223372036854775808'), newest.day_key)" in step.read_text()
    assert "add column day_key" in (shop.migrations / "schema" / "002_items_version.sql").read_text()
    for day, number, version in (("day1", 1, 7), ("day2", 2, 5), ("day3", 3, 7), ("day4", 4, None)):
        connection.execute("insert into stg_items values (%s, 'a', 1, 1, %s, %s)", (day, f"name {number}", version))
    for day in ("day4", "day3", "day1", "day2", "day4"):
        shop.apply(day)
    assert connection.execute("select name, version_key from items").fetchall() == [("name 3", 7)]


@pytest.mark.parametrize("shape", ["upsert", "snapshot", "append"])
def test_staging_without_file_order(shop: Project, connection: Connection, shape: str) -> None:
    """Where staging does not say which record came last, the same one wins however the rows lie."""
    shop.schema(
        "create table stg_items (day date not null, item_id bigint, name text, document json);"
        "create table items (item_id bigint primary key, name text, document json);"
    )
    shop.new("items", "--shape", shape)
    assert shop.complaints() == []
    rows = [(1, "a", '{"a": 1}'), (1, "b", '{"a": 2}'), (1, "b", '{"a": 1}'), (2, None, None)]
    for ordered in itertools.islice(itertools.permutations(rows), 0, None, 7):
        connection.execute("delete from stg_items")
        for row in ordered:
            connection.execute("insert into stg_items values ('2026-01-05', %s, %s, %s)", row)
        shop.apply("2026-01-05")
        assert connection.execute("select item_id, name, document::text from items order by 1").fetchall() == [
            (1, "b", '{"a": 2}'),
            (2, None, None),
        ]


def test_keys_that_are_null(shop: Project, connection: Connection) -> None:
    """A unique constraint lets null pass, again and again; such records are left out."""
    shop.schema(
        "create table stg_items (day text not null, source_file text, position bigint, item_id bigint, name text);"
        "create table items (item_id bigint unique, name text);"
    )
    shop.new("items", "--shape", "append")
    connection.execute("insert into stg_items values ('day1', 'a', 1, null, 'x'), ('day1', 'a', 2, 1, 'y')")
    assert shop.apply("day1") == (1, 0, 0)
    assert shop.apply("day1") == (0, 0, 0)


DECLARATION = """
table = "stg_items"
required = {required}
key = "item_id"

[fields]
item_id = {{ type = "integer", required = true }}
name = {{ type = "text" }}
updated_at = {{ type = "time" }}
"""


@pytest.mark.parametrize("shape", ["upsert", "snapshot", "append"])
def test_a_day_that_was_not_loaded(shop: Project, connection: Connection, shape: str) -> None:
    """A step of an optional entity is skipped on a day without it; a day that has it and is empty is a day."""
    folder = shop.root / "staging_loaders" / "shop"
    folder.mkdir(parents=True)
    (folder / "items.toml").write_text(DECLARATION.format(required="false"))
    shop.schema(Case("items", (IDS,), (NAMES,), UPDATED).schema())
    step = shop.new("items", "--shape", shape)

    def by_hand(day: str) -> tuple[Any, ...]:
        connection.execute("select set_config('app.flow_run_id', gen_random_uuid()::text, false)")
        connection.execute("select set_config('app.day', %s, false)", (day,))
        connection.execute(step.read_bytes())
        row = connection.execute(
            "select status, rows_inserted, rows_updated, rows_deleted from pipeline_metrics order by id desc limit 1"
        ).fetchone()
        assert row is not None
        return row

    connection.execute("insert into stg_items values ('day1', 'a', 1, 1, 'x', null)")
    assert by_hand("day1") == ("skipped", 0, 0, 0)
    loaded = (
        "insert into stg_loads (pipeline, day, entity, records_read, rows_loaded, rejects, warnings, files, bytes,"
        " fingerprint, flow_run_id, seconds) values ('shop', %s, 'items', 1, 1, 0, 0, 1, 1, '', '', 0)"
    )
    connection.execute(loaded, ("day1",))
    is_snapshot = shape == "snapshot"
    assert by_hand("day1") == ("success", 1 + is_snapshot, 0, 0)
    assert by_hand("day2") == ("skipped", 0, 0, 0)
    connection.execute(loaded, ("day2",))
    assert by_hand("day2") == ("success", int(is_snapshot), 0, int(is_snapshot))


WRONG = """
create table stg_items (day text not null, source_file text, position bigint, item_id bigint, name text, flag boolean,
    updated_at boolean, at timestamptz);
create table items (item_id bigint primary key, name text, updated_at boolean, at timestamptz);
create table keyless (item_id bigint, name text);
create table strict (item_id bigint primary key, nam text not null);
create table other_key (id bigint primary key, name text);
create table two_keys (id bigint primary key, item_id bigint unique, name text unique);
create table served (item_id bigint generated always as identity primary key, name text);
create table flags (item_id bigint primary key, flag timestamptz);
create table placed (item_id bigint primary key, position bigint not null);
create table taken (item_id bigint primary key, version_key text not null);
create table stg_plain (item_id bigint, name text);
create table items_days (day text);
create view seen as select * from items;
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["itms"], "no table 'itms' (did you mean items?)", id="table"),
        pytest.param(["x", "--table", "items", "--from-table", "stg_item"], "did you mean stg_items?", id="source"),
        pytest.param(["keyless2", "--table", "keyless"], "runner new loader keyless", id="no staging"),
        pytest.param(["items", "--key", "item"], "no column 'item' (did you mean item_id?)", id="key"),
        pytest.param(["items", "--key", "name"], "alter table items add unique (name)", id="key is not unique"),
        pytest.param(["items", "--key", "item_id,item_id"], "twice", id="key twice"),
        pytest.param(["keyless", "--from-table", "stg_items"], "no primary key", id="no key"),
        pytest.param(["other_key", "--from-table", "stg_items"], "cannot fill the key", id="unknown key"),
        pytest.param(["two_keys", "--from-table", "stg_items"], "--key item_id; --key name", id="two keys"),
        pytest.param(["served", "--from-table", "stg_items"], "cannot fill the key", id="generated key"),
        pytest.param(["served", "--from-table", "stg_items", "--key", "item_id"], "server alone", id="given key"),
        pytest.param(["items", "--version-column", "updated"], "did you mean updated_at?", id="version"),
        pytest.param(["items", "--version-column", "updated_at"], "boolean", id="version without order"),
        pytest.param(["items", "--version-column", "at", "--shape", "append"], "no meaning", id="version of facts"),
        pytest.param(["items", "--shape", "upsurt"], "did you mean upsert?", id="shape"),
        pytest.param(["items", "--shape", "recompute"], "needs --from-table", id="computed from nothing"),
        pytest.param(["items", "--shape", "recompute", "--from-table", "stg_items"], "is staging", id="from staging"),
        pytest.param(["items", "--from-table", "items"], "from itself", id="itself"),
        pytest.param(["items", "--from-table", "stg_plain"], "no column 'day'", id="no staging table"),
        pytest.param(["items", "--shape", "snapshot"], "a table items_days already", id="days"),
        pytest.param(["stg_items", "--from-table", "items"], "a loader fills", id="staging"),
        pytest.param(["seen", "--from-table", "stg_items"], "not a table", id="view"),
        pytest.param(["strict", "--from-table", "stg_items"], "requires it (did you mean name?)", id="required"),
        pytest.param(["flags", "--from-table", "stg_items"], "boolean, which cannot become", id="types"),
        pytest.param(["placed", "--from-table", "stg_items", "--shape", "append"], "applied first", id="provenance"),
        pytest.param(["taken", "--from-table", "stg_items"], 'collate "C"', id="day's column"),
        pytest.param(["no/name", "--table", "items"], "not a step's name", id="name"),
        pytest.param(["010_other", "--table", "items"], "has that number already", id="number"),
        pytest.param(["there", "--table", "items"], "has that name already", id="same name"),
    ],
)
def test_what_cannot_be_written(shop: Project, arguments: list[str], message: str) -> None:
    """Wrong requests end with 2, say what was meant or what to do, and write nothing."""
    shop.schema(WRONG)
    (shop.migrations / "010_there.sql").write_text("select 1;")
    before = sorted(shop.root.rglob("*"))
    code, out, err = shop.run("new", "step", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "hint:" in err
    assert sorted(shop.root.rglob("*")) == before


def test_a_schema_file_that_waits(shop: Project) -> None:
    """Tables that the database does not have yet are migrated first."""
    (shop.migrations / "schema" / "001_items.sql").write_text("create table items (item_id bigint primary key);")
    code, _, err = shop.run("new", "step", "items")
    assert code == 2
    assert "001_items.sql was not applied" in err and "runner migrate" in err


def test_numbers_and_columns_that_are_left(shop: Project) -> None:
    """Steps are numbered in tens; a person is told which columns the step leaves alone."""
    shop.schema(Case("items", (IDS,), (NAMES,), extra="remark text, origin text default 'feed', n serial,").schema())
    (shop.migrations / "031_there.sql").write_text("select 1;")
    code, out, err = shop.run("new", "step", "Things", "--table", "items", "--shape", "append")
    assert code == 0
    assert out.splitlines()[0] == "migrations/shop/040_Things.sql"
    assert err.splitlines() == [
        "note: items.remark stays null: stg_items has no such column",
        "note: items.origin keeps its default: stg_items has no such column",
        "note: items.n keeps its default: stg_items has no such column",
    ]
    text = (shop.migrations / "040_Things.sql").read_text()
    assert "-- table: items\n-- technical: n\n" in text


def test_another_pipeline(shop: Project, connection: Connection) -> None:
    """With several pipelines one is named; its schema files make all that its steps need."""
    shop.schema(CASES[0].schema())
    shop.new("items")
    other = shop.root / "migrations" / "depot" / "schema"
    other.mkdir(parents=True)
    (other / "001_parts.sql").write_text(
        "create table stg_parts (day text, source_file text, position bigint, part_id bigint);"
        "create table parts (part_id bigint primary key);"
    )
    assert "--pipeline" in shop.run("new", "step", "parts")[2]
    assert shop.run("migrate", "--pipeline", "depot")[0] == 0
    assert shop.run("new", "step", "parts", "--pipeline", "depot")[0] == 0
    assert "create or replace function day_order" in (other / "002_parts_version.sql").read_text()
    connection.execute("insert into stg_parts values ('day1', 'a', 1, 7)")
    assert shop.run("apply", "--day", "day1", "--pipeline", "depot")[0] == 0
    assert connection.execute("select part_id from parts").fetchall() == [(7,)]


def test_a_table_in_another_schema(shop: Project, connection: Connection) -> None:
    """A table outside the search path is named with its schema."""
    shop.schema(
        "create schema mart; create table mart.items (item_id bigint primary key, name text);"
        "create table stg_items (day text, source_file text, position bigint, item_id bigint, name text);"
    )
    shop.new("items", "--table", "mart.items", "--shape", "append")
    connection.execute("insert into stg_items values ('day1', 'a', 1, 7, 'x')")
    assert shop.apply("day1") == (1, 0, 0)
    assert connection.execute("select * from mart.items").fetchall() == [(7, "x")]


@pytest.mark.parametrize("shape", ["append", "upsert"])
def test_a_table_in_quotes(shop: Project, connection: Connection, shape: str) -> None:
    """A table is named as SQL names it, and so are its technical columns."""
    shop.schema(
        'create schema "Mart"; create table "Mart"."Item. Prices" (item_id bigint primary key, name text,'
        ' "Made At" timestamptz not null default now());'
        "create table stg_items (day text, source_file text, position bigint, item_id bigint, name text);"
    )
    path = shop.new("items", "--table", '"Mart"."Item. Prices"', "--from-table", '"stg_items"', "--shape", shape)
    assert '-- technical: "Made At"' in path.read_text()
    connection.execute("insert into stg_items values ('day1', 'a', 1, 7, 'x')")
    assert shop.apply("day1") == (1, 0, 0)


PAGE = """{"results": [
  {"id": 7, "name": "Ada", "contact": {"email": "a@example.com", "phone": null}, "tags": ["new"], "scores": [1, 2],
   "paid": 12.50, "zip": "01234", "serial": "12", "isNew": true, "createdAt": "2026-01-05T09:00:00Z",
   "born": "2001-02-03", "currencyCode": "EUR", "order": 3, "lines": [{"a": 1}], "day": 5, "mixed": 1,
   "HTTPStatus": 200, "9lives": 9, "at": {"x": 1}},
  {"id": 8, "name": 5, "contact": null, "tags": [], "scores": [], "paid": 3, "mixed": "2", "born": null,
   "at": "home"}
]}"""
FIELDS = """\
id = { type = "integer", required = true }
name = { type = "text" }
contact_email = { from = "contact.email", type = "text" }
contact_phone = { from = "contact.phone", type = "text" }  # always null in the sample
tags = { type = "text[]" }
scores = { type = "integer[]" }
paid = { type = "number" }
zip = { type = "text" }
serial = { type = "text" }
is_new = { from = "isNew", type = "boolean" }
created_at = { from = "createdAt", type = "time" }
born = { type = "date" }
currency_code = { from = "currencyCode", type = "currency" }
order_ = { from = "order", type = "integer" }
lines = { type = "json" }
day_ = { from = "day", type = "integer" }
mixed = { type = "integer" }
http_status = { from = "HTTPStatus", type = "integer" }
_9lives = { from = "9lives", type = "integer" }
at = { type = "json" }
"""
CSV = """\
customer_id,name,zip,born,active,amount,tags,note
7,Ada,01234,2001-02-03,true,1.5,"[""a""]",
8,Ben,99999,,false,2,,
"""
CSV_FIELDS = """\
customer_id = { type = "integer", required = true }
name = { type = "text" }
zip = { type = "text" }
born = { type = "date" }
active = { type = "boolean" }
amount = { type = "number" }
tags = { type = "text[]" }
"""
LINES = '{"ref": {"code": "x"}, "n": 1}\n{"ref": {"code": "y"}, "n": 1}\n'
LINES_FIELDS = 'ref_code = { from = "ref.code", type = "text", required = true }\nn = { type = "integer" }\n'


@pytest.mark.parametrize(
    ("name", "text", "fields", "arguments"),
    [
        pytest.param("page1.json", PAGE, FIELDS, [], id="json"),
        pytest.param("page1.csv", CSV, CSV_FIELDS, [], id="csv"),
        pytest.param("page1.jsonl", LINES, LINES_FIELDS, [], id="lines"),
        pytest.param("page1.jsonl", LINES, LINES_FIELDS, ["--key", "ref.code"], id="key"),
        pytest.param("page1.json", "[]", 'id = { type = "text", required = true }\n', None, id="no sample"),
    ],
)
def test_a_loader(
    shop: Project, connection: Connection, name: str, text: str, fields: str, arguments: list[str] | None
) -> None:
    """What is guessed from a sample loads it, every record and without a warning; a step can be written from there."""
    folder = shop.root / "data" / "sync-day1" / "customers"
    folder.mkdir(parents=True)
    (folder / name).write_text(text)
    sample = [] if arguments is None else ["--sample", str(folder / name), *arguments]
    code, out, err = shop.run("new", "loader", "customers", *sample)
    assert code == 0, err
    declaration, table = (shop.root / line for line in out.splitlines()[:2])
    assert declaration == shop.root / "staging_loaders" / "shop" / "customers.toml"
    assert table == shop.migrations / "schema" / "001_stg_customers.sql"
    assert declaration.read_text().partition("[fields]\n")[2] == fields
    assert ("lines holds objects" in err) == (text == PAGE)
    assert shop.run("migrate")[0] == 0
    assert shop.complaints() == []
    (load,) = load_day(
        dsn=os.environ["DATABASE_URL"],
        pipeline="shop",
        day="day1",
        base=str(shop.root / "data"),
        declarations=declaration.parent,
        flow_run_id="run",
        session=Inline(),
    )
    assert (load.records_read, load.rejects, load.warnings) == (0 if arguments is None else 2, 0, 0)
    stored = connection.execute(
        "select distinct attname, attstorage::text from pg_attribute where atttypid = 'jsonb'::regtype "
        "and attrelid in (select relid from pg_partition_tree('stg_customers'))"
    ).fetchall()
    assert set(stored) == ({("lines", "e"), ("at", "e")} if text == PAGE else set())
    key = fields.partition(" ")[0]
    shop.schema(f"create table customers (like stg_customers, primary key ({key}));")
    shop.new("customers")
    assert shop.apply("day1") == (load.records_read, 0, 0)
    assert shop.faults("day1") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["Orders"], "not an entity's name", id="name"),
        pytest.param(["there"], "there.toml exists already", id="never overwritten"),
        pytest.param(["other", "--table", "stg_there"], "makes stg_there already", id="table"),
        pytest.param(["x", "--table", "a b"], "not a staging table's name", id="table's name"),
        pytest.param(["x", "--sample", "nowhere.json"], "there is no file nowhere.json", id="no file"),
        pytest.param(["x", "--sample", "empty.json"], "no record", id="no record"),
        pytest.param(["x", "--sample", "odd.json", "--key", "idd"], "did you mean id?", id="key"),
        pytest.param(["x", "--sample", "odd.json", "--key", "name"], "1 of 2 records are without it", id="not always"),
        pytest.param(["x", "--sample", "keyless.json"], "Name one with --key", id="no key"),
        pytest.param(["x", "--sample", "broken.json"], "broken.json:1:", id="not JSON"),
        pytest.param(["x", "--sample", "page.txt"], "unknown ending", id="ending"),
        pytest.param(["x", "--sample", "semicolons.csv"], "a semicolon seems to separate its cells", id="semicolons"),
        pytest.param(["x", "--sample", "tabs.csv.gz"], "a tab seems to separate its cells", id="tabs"),
    ],
)
def test_what_cannot_be_declared(shop: Project, arguments: list[str], message: str) -> None:
    """Wrong requests say what was meant or what to do, and write nothing."""
    samples = {
        "empty.json": "[]",
        "odd.json": '[{"id": 1, "name": "x"}, {"id": 1}]',
        "keyless.json": '[{"name": "x"}, {"name": "x"}]',
        "broken.json": '[{"id": 1}',
        "page.txt": "x",
        "semicolons.csv": "id;name\n1;Ada, the first\n",
    }
    (shop.root / "tabs.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbfid\tname\n1\tAda\n"))
    for name, text in samples.items():
        (shop.root / name).write_text(text)
    folder = shop.root / "staging_loaders" / "shop"
    folder.mkdir(parents=True)
    (folder / "there.toml").write_text("")
    (shop.migrations / "schema" / "001_there.sql").write_text("create table stg_there (day text);")
    before = sorted(shop.root.rglob("*"))
    code, out, err = shop.run("new", "loader", *arguments)
    assert code in (1, 2) and out == ""
    assert message in err
    assert "hint:" in err
    assert sorted(shop.root.rglob("*")) == before


def test_in_a_new_project(run: Run) -> None:
    """What `runner init` made takes another loader and its step."""
    assert run("init", "mine")[0] == 0
    mine = ("--project", "mine")
    assert run("new", "loader", "customers", "--sample", "mine/data/sync-day1/orders/page1.json", *mine)[0] == 0
    Path("mine/migrations/shop/schema/003_customers.sql").write_text(
        "create table customers (id bigint primary key, amount numeric, updated_at timestamptz);"
    )
    assert run("migrate", *mine)[0] == 0
    code, out, _ = run("new", "step", "customers", *mine)
    assert code == 0
    # The project has day_order() already.
    text = Path("mine/migrations/shop/schema/004_customers_version.sql").read_text()
    assert "day_order" not in text
    assert run("migrate", *mine)[0] == 0
    assert run("lint", *mine)[0] == 0
    assert out.splitlines()[-4:] == [
        "runner migrate",
        "runner lint migrations/shop/020_customers.sql",
        "runner apply --day DAY --only 020_customers",
        "runner verify --only 020_customers",
    ]


def test_as_the_shipped_steps(shop: Project, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On the shipped days, cards, budgets and roles end as the shipped steps leave them."""
    steps = ("011_roles", "030_budgets", "031_cards")
    shutil.copytree(ROOT / "migrations" / "zluri" / "schema", shop.root / "migrations" / "zluri" / "schema")
    shutil.copytree(ROOT / "staging_loaders" / "zluri", shop.root / "staging_loaders" / "zluri")
    ends = []
    for is_new in (False, True):
        url = new_database()
        for day in ("day1", "day2", "day3"):
            load_day(
                dsn=url,
                pipeline="zluri",
                day=day,
                base=str(ROOT / "tests" / "days"),
                declarations=ROOT / "staging_loaders" / "zluri",
                flow_run_id="run",
                session=Inline(),
            )
        monkeypatch.setenv("DATABASE_URL", url)
        for step in steps:
            path = shop.root / "migrations" / "zluri" / f"{step}.sql"
            if is_new:
                path.unlink()
                assert shop.run("new", "step", step, "--pipeline", "zluri")[0] == 0
                assert path.read_text() != (ROOT / "migrations" / "zluri" / path.name).read_text()
            else:
                shutil.copy(ROOT / "migrations" / "zluri" / path.name, path)
        for day in ("day2", "day3", "day1", "day2"):
            code, _, err = shop.run("apply", "--day", day, "--pipeline", "zluri", "--load", "never")
            assert code == 0, err
        with psycopg.connect(url) as connection:
            counts = connection.execute(
                "select step, day, status, rows_inserted, rows_updated from pipeline_metrics order by id"
            ).fetchall()
            tables = [
                connection.execute(sql.SQL("select * from {} order by 1").format(sql.Identifier(name))).fetchall()
                for name in ("roles", "budgets", "cards")
            ]
        ends.append((counts, tables))
    assert ends[0] == ends[1]
    assert all(ends[0][1])
