"""runner new: what it writes runs as it is, for every shape and for tables of every kind."""

from __future__ import annotations

import json
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

Connection = psycopg.Connection[tuple[Any, ...]]
Run = Callable[..., tuple[int, str, str]]

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
        return (
            f"{self.before}\n"
            f"create table {quoted('stg_' + self.table)} (day text not null, "
            f'source_file text collate "C" not null, position bigint not null, {staged});\n'
            f"create table {quoted(self.table)} ({stored}, {self.extra} {self.constraint} ({names(self.key)}));\n"
        )

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
            Column("state", "text", "mood", ["sad", "ok", "happy"] * 4),
            Column("code", "text", "varchar(9)", [f"c{n}" for n in range(12)]),
            Column("short", "text", "char(4)", [f"s{n} " for n in range(12)], [f"s{n}".ljust(4) for n in range(12)]),
            Column("born", "text", "date", BORN, [date.fromisoformat(text) for text in BORN]),
            Column("tags", "text[]", "text[]", [[f"t{n}"] for n in range(12)]),
            Column("place", "point", "point", [f"({n},1)" for n in range(12)]),
            Column("is_new", "boolean", "boolean", [n % 2 == 0 for n in range(12)]),
        ),
        Column("updated_time", "timestamptz", "timestamptz not null", ()),
        before="create type mood as enum ('sad', 'ok', 'happy');",
    ),
]
IDS_OF_CASES = ["version", "no version", "composite", "only a key", "quoted", "server's columns", "types"]


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


@pytest.mark.parametrize("shape", ["upsert", "snapshot", "append"])
@pytest.mark.parametrize("case", CASES, ids=IDS_OF_CASES)
def test_a_step_from_staging(shop: Project, case: Case, shape: str) -> None:
    """Days in any order end in the same table; metrics count what changed; a day again changes nothing."""
    shop.schema(case.schema())
    asked = case.arguments if shape != "append" else ()
    name = case.table.lower().replace(" ", "_")
    shop.new(name, "--table", case.table, "--shape", shape, *asked)
    for day in DAYS:
        shop.stage(case, day, records_of(case, shape, day))
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
