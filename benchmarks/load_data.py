"""What a benchmark of loading loads: files of a day in each format, and the rows that they must become.

The rows are made beside the files, by the generator and not by a loader: from them come the files that the floor
copies, and what a load's result is compared with.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg

from benchmarks import transactions as made
from runner import config, embedded, project, schema
from runner.errors import RunnerError
from runner.java import find as find_java
from staging_loaders import class_archive

ROOT = Path(__file__).resolve().parent.parent
TABLE = "stg_transactions"
PIPELINE = "zluri"
FORMATS = {"json": "json", "jsonl": "json", "csv": "csv", "parquet": "parquet"}
"""The day of each format, and which of the generator's kinds it is."""

_ENTITY = ROOT / "staging_loaders" / PIPELINE / "transactions.toml"
_PAYLOAD = 'payload = { from = ".", type = "json" }\n'
_WRITERS = {"jsonl": made.write_lines, "csv": made.write_csv, "parquet": made.write_parquet}
_UNORDERED = made.COLUMNS[2:]

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Server:
    """The server to load into, reached by TCP by all, since not every program knows Unix sockets."""

    url: str
    pid: int

    def of(self, database: str) -> str:
        return self.url.replace("/warehouse?", f"/{database}?")

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 5432

    @property
    def user(self) -> str:
        return urlsplit(self.url).username or ""

    @property
    def password(self) -> str:
        (file,) = parse_qs(urlsplit(self.url).query)["passfile"]
        return Path(file).read_text(encoding="utf-8").strip().rsplit(":", 1)[-1]

    def with_password(self, database: str) -> str:
        """Return a URL that needs no other file."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"


def server(url: str) -> Server:
    """Return the server at `url`, whose sessions are children of one process on this machine."""
    with psycopg.connect(url) as connection:
        session = Path(f"/proc/{connection.info.backend_pid}/stat").read_text()
        return Server(url, int(session.rpartition(")")[2].split()[1]))


def make_archive() -> None:
    """Make the archive of Spark's classes, as set-up does; without one, Spark starts as slowly as ever."""
    java = find_java()
    try:
        if java is not None:
            class_archive.make(java)
    except (OSError, subprocess.SubprocessError, RunnerError) as error:
        print(f"no archive of Spark's classes: {error}\n", flush=True)


@dataclass(frozen=True)
class Digest:
    """A table's rows: how many, and a sum of hashes that does not depend on their order."""

    rows: int
    content: int


@dataclass(frozen=True)
class Variant:
    """The target of one comparison: the shipped columns, or these and the whole record as jsonb.

    `storage` is that of the record: `external` as `runner new loader` makes it, or `extended`, which is PostgreSQL's
    default and compresses it; None where there is none.
    """

    name: str
    storage: str | None
    server: Server
    folder: Path
    """Holds the declarations, and the prepared files."""

    @property
    def payload(self) -> bool:
        return self.storage is not None

    @property
    def title(self) -> str:
        titles = {"external": "with the record as jsonb", "extended": "with the record as jsonb, compressed"}
        return titles.get(self.storage or "", "shipped columns")

    def store(self) -> None:
        """Have the table, and those made like it from now on, store the record as `storage` says."""
        if self.storage:
            with self.connect() as connection:
                connection.execute(f"alter table {TABLE} alter column payload set storage {self.storage}".encode())

    @property
    def url(self) -> str:
        return self.server.of(self.name)

    @property
    def columns(self) -> tuple[str, ...]:
        return (*made.COLUMNS, "payload") if self.payload else made.COLUMNS

    @property
    def declarations(self) -> Path:
        return self.folder / "declarations"

    def files(self, form: str) -> list[Path]:
        """Return the prepared files, as `binary` or `text`."""
        return [self.folder / f"{half}.{form}" for half in (1, 2)]

    def connect(self) -> Connection:
        return psycopg.connect(self.url, autocommit=True)

    def digest(self, table: str, columns: Sequence[str] | None = None) -> Digest:
        """Return what `table` holds in `columns`; without, in all but file and position."""
        chosen = ", ".join(columns or (*_UNORDERED, *(["payload"] if self.payload else [])))
        with self.connect() as connection:
            row = connection.execute(
                f"select count(*), coalesce(sum(hash_record_extended(row({chosen}), 0)), 0)::text from {table}".encode()
            ).fetchall()[0]
        return Digest(row[0], int(row[1]))

    @contextmanager
    def table(self, name: str) -> Iterator[str]:
        """Make a table like the one that is loaded, with the same types, defaults and generated columns."""
        with self.connect() as connection:
            connection.execute(f"create table {name} (like {TABLE} including all)".encode())
            connection.execute(f"alter table {name} alter day set default 'json'".encode())
            connection.execute("checkpoint")
        try:
            yield name
        finally:
            with self.connect() as connection:
                connection.execute(f"drop table {name}".encode())


def write(base: Path, records: int, days: Sequence[str]) -> None:
    """Write the files of the `days`, which are named by their format, but for the pages."""
    for day in days:
        if day != "json":
            folder = base / f"sync-{day}" / "transactions"
            folder.mkdir(parents=True)
            for number, start in enumerate(range(0, records, made.FILE), 1):
                size = min(made.FILE, records - start)
                _WRITERS[day](folder / f"part-{number:06}.{day}", size, start)


def prepare(server: Server, folder: Path, base: Path, records: int) -> list[Variant]:
    """Write the pages, and bring their rows into a database of each variant; return the variants.

    The last two differ in how the record is stored alone, and share a database and the prepared files.
    """
    variants = [
        create(server, folder / "shipped", "shipped"),
        create(server, folder / "payload", "payload", "external"),
    ]
    pages = base / "sync-json" / "transactions"
    pages.mkdir(parents=True)
    with ExitStack() as stack:
        copies = []
        for variant in variants:
            connection = stack.enter_context(variant.connect())
            statement = f"copy prepared ({', '.join(variant.columns)}) from stdin"
            copies.append((variant, stack.enter_context(connection.cursor().copy(statement.encode()))))
        for name, page in made.pages(records):
            made.write_page(pages / name, page)
            for variant, copy in copies:
                rows = (
                    made.row_of(one, name, number, made.json_of(one) if variant.payload else None)
                    for number, one in enumerate(page, 1)
                )
                copy.write("".join(row for row in rows if row is not None).encode())
    for variant in variants:
        _export(variant, records)
    return [*variants, replace(variants[-1], storage="extended")]


def expected(variant: Variant) -> tuple[Digest, Digest]:
    """Return the digest of the rows as they must be: with their place in the files, and without."""
    return variant.digest("prepared", variant.columns), variant.digest("prepared")


def create(server: Server, folder: Path, name: str, storage: str | None = None) -> Variant:
    """Make a database with the pipeline's tables, and declarations of the transactions alone."""
    variant = Variant(f"bench_{name}", storage, server, folder)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"create database {variant.name}".encode())
    pipeline = project.discover(config.load({"project": str(ROOT), "pipeline": PIPELINE}, environ={}))
    variant.declarations.mkdir(parents=True)
    declaration = _ENTITY.read_text(encoding="utf-8") + (_PAYLOAD if variant.payload else "")
    (variant.declarations / _ENTITY.name).write_text(declaration, encoding="utf-8")
    with variant.connect() as connection:
        schema.migrate(connection, pipeline.name, pipeline.schema)
        if variant.payload:
            connection.execute(f"alter table {TABLE} add column payload jsonb".encode())
        connection.execute(f"create table prepared (like {TABLE} including defaults)".encode())
        connection.execute(b"alter table prepared alter day set default 'json'")
    return variant


def empty(variant: Variant) -> None:
    """Remove what was loaded, so that the next load finds the tables as they were made."""
    with variant.connect() as connection:
        days = connection.execute(
            "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass", (TABLE,)
        ).fetchall()
        for (partition,) in days:
            connection.execute(f"drop table {partition}".encode())
        connection.execute(f"truncate {TABLE}, stg_loads, stg_rejects".encode())


def _export(variant: Variant, records: int) -> None:
    pages = -(-records // made.PAGE)
    middle = f"page-{pages // 2 + 1:06}.json"
    for form in ("binary", "text"):
        for file, sign in zip(variant.files(form), ("<", ">="), strict=True):
            query = f"select {', '.join(variant.columns)} from prepared where source_file {sign} '{middle}'"
            psql(variant.url, f"\\copy ({query}) to '{file}' (format {form})")


def psql(url: str, command: str) -> None:
    """Run one command of psql."""
    arguments = [embedded.binaries() / "psql", url, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", command]
    subprocess.run([str(argument) for argument in arguments], check=True, stdin=subprocess.DEVNULL)
