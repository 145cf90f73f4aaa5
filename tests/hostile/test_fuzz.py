"""Fuzzing: whatever a file or a setting holds, it is taken or refused with a hint; a crash or a lost record is a bug.

`HYPOTHESIS_PROFILE=long` tries many more examples, as `make test-all` does.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner import check, config, console, database, days, excerpt, project, sqltext, step
from runner.errors import RunnerError, UnreadableFile
from staging_loaders.convert import Loaded, Rejected, compile_entity
from staging_loaders.entity import FIELD_KEYS, TYPES, Entity, read_declaration
from staging_loaders.read import ENDINGS, read_batches
from staging_loaders.record import record_text
from tests.hostile.test_records import DECLARATION

# Each example writes over the files of the one before.
shared_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

SQL = st.sampled_from(
    ["begin;", "commit;", "end", "select 1", ";", "create function f() begin atomic", "case", "$$", "$a$", "$b$",
     "/*", "*/", "--", "\n", "\r\n", "\r", "'", '"', "e'", "U&\"", "\\", "(", ")", "[", "copy a from stdin",
     "prepare transaction",
     "-- timeout: ", "300s", "999999999h", "\u0663s", "-- table: ", "-- watermark: a, \"b", "-- technical: a.b",
     "-- transaction: off\n", "-- upgrades: 001_a@", "-- description: x\n", "-- severity: ", "-- lint: ", "\0",
     "\ufeff", "\u2028", "\x0b", "\x85", "\u202e", "e\u0301", "\ud800"]
)  # fmt: skip
texts = st.lists(SQL | st.text(max_size=6), max_size=16).map("".join)

# Any JSON, with what a file of JSON may spell and Python would not.
_spelt = st.sampled_from(
    ["1e400", "-0", "1E-400", "1e99999999999", "2.50", "1180591620717411303424", "9" * 5_000, "[" * 1_500 + "]" * 1_500,
     r'"\ud800"', r'"\u0000"', '"\u202e"', '"2026-01-01T00:00:00Z"', '"10000-01-01"', '"7"', "[1, null]",
     '{"a": 1, "a": 2}', "1.0", '"1e3"', '" "', '""']
)  # fmt: skip
spelt = st.recursive(
    _spelt | (st.none() | st.booleans() | st.integers() | st.text(max_size=6)).map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(st.sampled_from(["a", "name", "y", "", "\\u0069d"]), inner), max_size=3).map(
            lambda items: "{" + ", ".join(f'"{key}": {value}' for key, value in items) + "}"
        )
    ),
    max_leaves=6,
)
_keys = st.sampled_from(["id", "name", "a", "amount", "at", "on", "tags", "numbers", "x", "other"])
records = spelt | st.lists(st.tuples(_keys, spelt), min_size=1, max_size=6).map(
    lambda items: "{" + ", ".join(f'"{key}": {value}' for key, value in [("id", "1"), *items]) + "}"
)

# Values of TOML that a setting or a declaration may be given.
toml_values = st.recursive(
    st.text(max_size=6).map(json.dumps) | st.integers(-(2**63), 2**63 - 1).map(str)
    | st.sampled_from(
        ["true", "false", "nan", "inf", "1.5", "2026-01-01", '"\\u0000"', '""', "[]", "{}", '"text"', '"integer"']
    ),
    lambda inner: st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]")
    | st.lists(inner, max_size=2).map(lambda items: "{" + ", ".join(f"k{n} = {v}" for n, v in enumerate(items)) + "}"),
    max_leaves=3,
)  # fmt: skip


def taken_or_refused(action: Callable[[], Any]) -> Any:
    """Return what `action` does, None where it refuses; a refusal says what to do, and holds no traceback."""
    try:
        return action()
    except RunnerError as error:
        refusal = error
    assert refusal.message and refusal.hint
    return None


@shared_folder
@given(text=texts)
def test_sql_files(tmp_path: Path, text: str) -> None:
    """A step, a schema file and a check are read or refused; statements are what the file says, at their places."""
    path = tmp_path / "010_a.sql"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    steps = []
    for keys in (step.STEP_KEYS, step.SCHEMA_KEYS):
        file = taken_or_refused(lambda keys=keys: step.read(path, tmp_path, keys))  # type: ignore[misc]
        if file is None:
            continue
        steps.append(file)
        assert sqltext.normalise(sqltext.normalise(file.text)) == sqltext.normalise(file.text)
        for statement in taken_or_refused(lambda file=file: file.statements) or ():  # type: ignore[misc]
            assert file.text[statement.start :].startswith(statement.text)
    taken_or_refused(lambda: check.read(path, tmp_path, tuple(steps)))


@given(text=texts, offset=st.integers(-5, 200))
def test_places(text: str, offset: int) -> None:
    """A place in any text can be drawn, in two lines that a terminal can show."""
    drawn = excerpt.draw(text, offset)
    assert drawn.splitlines()[-1].rstrip().endswith("^") or "^" in drawn
    assert excerpt.position("a.sql", text, offset).startswith("a.sql:")


@given(one=st.text(max_size=12), other=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,12}", fullmatch=True))
def test_day_names(one: str, other: str) -> None:
    """A name is a day's exactly where the rule says so; two days are never the same in their order."""
    rule = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
    assert (taken_or_refused(lambda: days.check(one)) == one) == (re.fullmatch(rule, one) is not None)
    assert days.check(other) == other
    assert (days.order(one) == days.order(other)) == (one == other)


@given(selector=texts | st.text("0123456789\u00b2\u0661,", max_size=6))
def test_steps_by_name(selector: str) -> None:
    """What is given to --only names steps or is refused."""
    found = step.SqlFile(Path("020_groups.sql"), "020_groups.sql", 20, "groups", "select 1")
    chosen = taken_or_refused(lambda: project.select([found], only=selector))
    assert chosen is None or {part.lstrip("0") for part in selector.split(",")} <= {"20", "groups", "20_groups"}


@shared_folder
@given(
    table=st.just('"stg_a"') | toml_values,
    key=st.just('"a"') | toml_values,
    fields=st.dictionaries(
        st.sampled_from(["a", "b", "day", "select"]) | st.text(max_size=4),
        st.dictionaries(
            st.sampled_from(sorted(FIELD_KEYS)),
            toml_values | st.sampled_from([f'"{kind}"' for kind in TYPES]),
            max_size=4,
        ),
        max_size=3,
    ),
)
def test_declarations(tmp_path: Path, table: str, key: str, fields: dict[str, dict[str, str]]) -> None:
    """A declaration is read or refused; one that is read can convert any record."""
    lines = [f"table = {table}", f"key = {key}", "[fields]"]
    for column, spec in fields.items():
        values = ", ".join(f"{name} = {value}" for name, value in spec.items())
        lines.append(f"{json.dumps(column, ensure_ascii=False)} = {{ {values} }}")
    file = tmp_path / "a.toml"
    file.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    entity = taken_or_refused(lambda: read_declaration(file))
    if isinstance(entity, Entity):
        convert = compile_entity(entity)
        for record in ({"a": "1", "b": 2}, {"a": []}, {}, []):
            assert isinstance(convert(record), Loaded | Rejected)


@shared_folder
@given(content=st.binary(max_size=40) | st.lists(
    st.tuples(
        st.sampled_from(["pipeline", "env", "data", "home", "database", "database.url", "database.attempts", "spark",
                         "spark.master", "spark.executor.cores", "load.engine", "load.local_limit", "prune.keep",
                         "s3.anonymous", "rates.source"]),
        toml_values,
    ),
    max_size=4,
).map(lambda lines: "\n".join(f"{key} = {value}" for key, value in lines).encode("utf-8", "replace")))  # fmt: skip
def test_settings(tmp_path: Path, content: bytes) -> None:
    """A runner.toml is read or refused."""
    (tmp_path / "migrations" / "shop").mkdir(parents=True, exist_ok=True)
    (tmp_path / "runner.toml").write_bytes(content)
    for environ in ({}, {"RUNNER_ATTEMPTS": "\u0663", "RUNNER_LOCAL_LIMIT": "1e9GB", "RUNNER_REQUIRE_YARN": "\udcff"}):
        found = taken_or_refused(lambda environ=environ: config.load({"project": str(tmp_path)}, environ))  # type: ignore[misc]
        assert found is None or found.pipeline == "shop"


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Entity:
    """An entity with a field of each kind."""
    file = tmp_path_factory.mktemp("loaders") / "things.toml"
    file.write_text(DECLARATION)
    return read_declaration(file)


def read_all(path: Path, entity: Entity) -> list[Loaded | Rejected]:
    """Return what becomes of each record of a file; all of it is text that PostgreSQL can hold."""
    convert = compile_entity(entity)
    found = []
    for batch in read_batches(str(path), entity.array_paths, entity.paths, entity.json_paths):
        for index in range(batch.count):
            record, raw = batch.exact(index)
            outcome = convert(record)
            cells = outcome.row if isinstance(outcome, Loaded) else [outcome.key, *outcome.problem]
            for cell in (*cells, record_text(record, raw)):
                assert cell is None or ("\0" not in cell and cell.encode() is not None)
            found.append(outcome)
    return found


@shared_folder
@given(values=st.lists(records, min_size=1, max_size=5), end=st.sampled_from(["\n", "\r\n", "\n\n \n"]))
def test_no_record_is_lost(tmp_path: Path, things: Entity, values: list[str], end: str) -> None:
    """What is JSON is read in every form, record by record, to the same end."""
    page, lines = ",".join(values), end.join(values)
    forms = {
        "a.json": f"[{page}]".encode(),
        "b.json": f'\ufeff {{"results": [], "x": {values[0]}, "results": [{page}]}}'.encode(),
        "c.json.gz": gzip.compress(f"[{page}]\n".encode(), 1),
        "d.jsonl": f"\ufeff{lines}{end}".encode(),
        "e.ndjson.gz": gzip.compress(lines.encode(), 1),
    }
    outcomes = []
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
        outcomes.append(read_all(tmp_path / name, things))
    assert len(outcomes[0]) == len(values)
    assert all(outcome == outcomes[0] for outcome in outcomes)


@shared_folder
@given(
    content=st.binary(max_size=60) | st.lists(records, max_size=3).map(lambda found: "\n".join(found).encode()),
    ending=st.sampled_from([ending for ending in ENDINGS if ending != ".parquet"]),
    changes=st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from(list(b'\0\n\r\t "[]{}:,\\-0NIn\x80\xff'))), max_size=3
    ),
    packed=st.booleans(),
)
def test_any_bytes(
    tmp_path: Path, things: Entity, content: bytes, ending: str, changes: list[tuple[int, int]], packed: bool
) -> None:
    """A file of any bytes is read, or refused with its name; nothing else."""
    data = bytearray(content)
    for place, value in changes:
        if data:
            data[place % len(data)] = value
    path = tmp_path / f"a{ending}"
    path.write_bytes(gzip.compress(bytes(data), 1) if packed and ending.endswith(".gz") else bytes(data))
    with suppress(UnreadableFile):
        taken_or_refused(lambda: read_all(path, things))


@given(text=st.text(), secret=st.text("abc/@:%$ é'\"\\", min_size=4, max_size=8))
def test_passwords(text: str, secret: str) -> None:
    """A password that stands by itself is taken out of any text."""
    dsn = f"postgresql://ada:{quote(secret, safe='')}@localhost/db"
    assert f"({secret})" not in database.redact(f"{text} ({secret})", dsn)


@given(value=st.text() | st.dictionaries(st.text(), st.text()), other=st.text())
def test_what_is_printed(value: object, other: str) -> None:
    """JSON means what it did, and holds nothing that a terminal obeys; nor does a table."""
    printed = console.json_text(value, indent=2)
    assert json.loads(printed) == value
    assert all(character.isprintable() or character == "\n" for character in printed)
    table = console.table([[other, value]], ("a", "b"))
    assert all(character.isprintable() or character == "\n" for character in table) and table.count("\n") == 1
