"""Ordinary records take a way of their own, and what becomes of any record is the same on both ways."""

from __future__ import annotations

import csv
import io
import json
import re
import struct
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.types.numeric import NumericBinaryLoader

from runner.errors import UnreadableFile
from staging_loaders import fast
from staging_loaders.entity import TYPES, Entity, Field, load_declarations
from staging_loaders.files import SourceFile
from staging_loaders.landing import Target
from staging_loaders.lines import escaped
from staging_loaders.part import Part, _copy

ZLURI = Path(__file__).parents[2] / "staging_loaders" / "zluri"
ENTITIES = load_declarations(ZLURI)
NAMES = ("a", "b", "c", "é", "a b")


@dataclass
class Copied:
    """Stands for a connection: it keeps what would be copied, by table."""

    types: list[str] = field(default_factory=list)
    """The types of the columns that rows have after file and position, as a declaration names them."""
    texts: dict[str, list[str]] = field(default_factory=dict)
    info: Any = field(default_factory=lambda: SimpleNamespace(server_version=180000))
    statement: str = ""

    def cursor(self) -> Copied:
        return self

    def copy(self, statement: str) -> Copied:
        self.statement = statement
        return self

    def __enter__(self) -> Copied:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, sent: str | bytes) -> None:
        text = sent if isinstance(sent, str) else text_of(sent, self.types)
        self.texts.setdefault(self.statement.split()[1], []).append(text)

    def lines(self, table: str) -> list[list[str]]:
        """Return the cells of each line, in the order of file and position."""
        text = "".join(self.texts.get(table, []))
        return sorted(line.split("\t") for line in text.split("\n")[:-1])


def text_of(sent: bytes, types: list[str]) -> str:
    """Return what was sent in the binary format as lines of the text format."""
    stream = io.BytesIO(sent)

    def number(size: int) -> int:
        return int.from_bytes(stream.read(size), signed=True)

    assert stream.read(19) == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    lines = []
    while (count := number(2)) >= 0:
        assert count == len(types) + 2
        cells = []
        for kind in ("text", "integer", *types):
            size = number(4)
            cells.append("\\N" if size < 0 else escaped(cell_of(kind, stream.read(size))))
        lines.append("\t".join(cells) + "\n")
    assert stream.read() == b""
    return "".join(lines)


def cell_of(kind: str, data: bytes) -> str:
    """Return a value as the server would tell it, and the loader writes it."""
    if kind.endswith("[]"):
        return "{" + ",".join(f'"{quoted(item)}"' if kind == "text[]" else item for item in items_of(kind, data)) + "}"
    if kind == "integer":
        return str(int.from_bytes(data, signed=True))
    if kind == "number":
        found = format(NumericBinaryLoader(0).load(data), "f")
        return found if Decimal(found) else found.removeprefix("-")
    if kind == "boolean":
        return {b"\0": "false", b"\1": "true"}[data]
    if kind == "date":
        return (date(2000, 1, 1) + timedelta(int.from_bytes(data, signed=True))).isoformat()
    if kind == "time":
        text = (datetime(2000, 1, 1) + timedelta(microseconds=int.from_bytes(data, signed=True))).isoformat()
        return (text.rstrip("0") if "." in text else text) + "Z"
    if kind == "json":
        assert data[:1] == b"\1"
        return data[1:].decode()
    return data.decode()


def items_of(kind: str, data: bytes) -> list[str]:
    """Return the elements of an array of one dimension."""
    dimensions, has_null, oid = struct.unpack_from(">iii", data)
    assert (has_null, oid) == (0, {"text[]": 25, "integer[]": 20}[kind])
    if not dimensions:
        assert len(data) == 12
        return []
    count, lower = struct.unpack_from(">ii", data, 12)
    assert (dimensions, lower) == (1, 1)
    items, at = [], 20
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        items.append(cell_of(kind[:-2], data[at + 4 : at + 4 + size]))
        at += 4 + size
    assert len(items) == count
    return items


def quoted(item: str) -> str:
    """Return an element as an array's text has it within its quotes."""
    return item.replace("\\", "\\\\").replace('"', '\\"')


@dataclass(frozen=True)
class Outcome:
    """All that a load makes of a file."""

    counts: tuple[Any, ...] = ()
    rows: tuple[Any, ...] = ()
    odd: tuple[Any, ...] = ()
    error: str = ""


def outcome(entity: Entity, name: str, content: bytes, careful: bool) -> Outcome:
    """Return what becomes of a file with this content, on the careful way or on the usual one."""
    copied = Copied([each.type for each in entity.fields])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        part = Part("", "", entity, Target("x"), 0, (SourceFile(str(path), name, len(content)),))
        try:
            counts = _copy(copied, part, careful)  # type: ignore[arg-type]
        except UnreadableFile as error:
            return Outcome(error=error.message.replace(folder, ""))
    jsons = [index + 2 for index, declared in enumerate(entity.fields) if declared.type == "json"]
    rows = [
        [value_of(cell) if index in jsons else cell for index, cell in enumerate(line)]
        for line in copied.lines("landing.x_rows")
    ]
    told = (counts.records, counts.rows, counts.rejects, counts.warnings, counts.useless, counts.checksum)
    return Outcome(told, tuple(map(tuple, rows)), tuple(map(tuple, copied.lines("landing.x_rejects"))))


def value_of(cell: str) -> str:
    """Return what a jsonb column makes of a cell: the order of names and what is between values do not count."""
    if cell == "\\N":
        return cell
    unescaped = re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1]), cell)
    decoded = json.loads(unescaped, parse_int=Decimal, parse_float=Decimal)
    return json.dumps(decoded, sort_keys=True, default=lambda number: f"{number + 0}")


def usual(entity: Entity, raws: list[bytes]) -> list[int]:
    """Return the positions (from 1) of records that the fast way leaves to the exact one."""
    build = fast.compile_records(entity)
    assert build is not None
    odd: list[int] = []
    build(raws, 0, "f\t", lambda line: 0, [], odd)
    return odd


def declared(*fields: Field) -> Entity:
    """Return an entity of these fields, and a key."""
    return Entity("things", "stg_things", True, "key", (Field("key", (("id",),), "text", True), *fields), str(fields))


# Declarations.

# Mostly such that no value stands where another one's object does.
APART = st.sampled_from(["a", "b", "é", "o.a", "o.b", "o.p.a", "q.a b"]).map(lambda path: tuple(path.split(".")))
PATHS = st.integers(0, 19).flatmap(
    lambda chance: APART if chance else st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(tuple)
)
OBJECTS = st.sampled_from([(), ("o",), ("o", "p"), ("q",), ("j",), ("o", "j")])


@st.composite
def fields_of(draw: st.DrawFn, column: str) -> Field:
    """Return any field that a declaration can have."""
    kind = draw(st.sampled_from(sorted(TYPES)))
    paths = tuple(draw(st.lists(PATHS, min_size=1, max_size=2, unique=True)))
    if kind == "json":
        paths = (draw(OBJECTS),)
    limits = [None, None, None]
    if kind in ("integer", "number"):
        limits = [draw(st.none() | st.integers(-5, 0)), draw(st.none() | st.integers(1, 10**19)), None]
        limits[2] = draw(st.none() | st.integers(1, 10**19))
    minor = "money" if kind == "integer" and draw(st.booleans()) else None
    required = not kind.endswith("[]") and minor is None and draw(st.integers(0, 4)) == 0
    return Field(column, paths, kind, required, draw(st.booleans()), *limits, minor_unit_of=minor)


@st.composite
def entities(draw: st.DrawFn) -> Entity:
    """Return any entity: its key may be of any type that names a record."""
    key = Field("key", (("id",),), draw(st.sampled_from(["text", "integer", "number", "time", "date"])), True)
    money = Field("money", (("currency",),), "currency", draw(st.booleans()))
    others = [draw(fields_of(f"f{number}")) for number in range(draw(st.integers(1, 5)))]
    if draw(st.booleans()):
        shipped = draw(st.sampled_from(ENTITIES["transactions"].fields[3:]))
        others.append(replace(shipped, minor_unit_of=shipped.minor_unit_of and "money"))
    found = (key, *draw(st.permutations([money, *others])))
    return Entity("things", "stg_things", draw(st.booleans()), "key", found, repr(found))


# Records, as text.

WORDS = [
    '""', '" "', r'"\u0000"', r'"\ud800"', r'"\ud83d\ude00"', '"x"', r'"a\tb"', r'"a\\b"', r'"\\N"', r'"a\nb"',
    r'"\\u0000"',
    '"é😀"', '"\u2028"', '"\x7f"', '"' + "k" * 2100 + '"', '"' + "é" * 1100 + '"', '"-0"', '"+7"', '" 7 "',
    '"7.50"', '"1e2"',
    '"EUR"', '"eur"', '"JPY"', '"true"', '"false"', '"null"', r'"\u0045UR"', '"٣"',
]  # fmt: skip
NUMBERS = [
    "0", "-0", "-0.0", "-0.50", "0.0", "1", "7", "-7", "7.0", "7.5", "7e0", "7E0", "1e2", "1.50", "1e-2", "1e999999",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "9007199254740993.0", "9" * 30, "9" * 5000, "0." + "1" * 1200, "1" * 1001 + ".5", "1e400",
]  # fmt: skip
TIMES = [
    "2026-01-05T10:00:00Z", "2026-01-05 10:00:00Z", "2026-01-05T10:00:00", "2026-01-05T10:00Z",
    "2026-02-30T10:00:00Z",
    "2026-01-05T24:00:00Z", "2026-01-05T10:00:00.000Z", "2026-01-05T10:00:00.120Z", "2026-01-05T10:00:00.12Z",
    "2026-01-05T10:00:00.1234567Z", "2026-01-05T10:00:00+02:00", "2026-01-05T10:00:00-0930",
    "0000-12-31T23:00:00-02:00",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00", "2026-01-05", "2024-02-29",
    "2026-02-29",
    "2026-01-05T10:00:00z", "2026-01-05T10:00:00Z ", "2026-01-05T10:00:00.Z", "2026-01-05T10:00:00.١Z",
]  # fmt: skip
SCALARS = st.sampled_from(WORDS + NUMBERS + [f'"{time}"' for time in TIMES] + ["true", "false", "null"])
FINE = {
    "text": st.sampled_from(['"x"', '"é"', '"a b"']),
    "integer": st.sampled_from(["0", "7", "-7"]),
    "number": st.sampled_from(["0", "1.50", "-7", "12.5"]),
    "boolean": st.sampled_from(["true", "false"]),
    "time": st.sampled_from([f'"{time}"' for time in TIMES[:1] + TIMES[6:9]]),
    "date": st.sampled_from(['"2026-01-05"', '"2024-02-29"']),
    "currency": st.sampled_from(['"EUR"', '"JPY"', '"XAU"']),
    "integer[]": st.sampled_from(["[]", "[1]", "[1, 2,3]"]),
    "text[]": st.sampled_from(["[]", '["x"]', '["é", "b c"]']),
    "json": st.sampled_from(['{"a": [1, {"b": null}]}', "[1.50]", '"x"', r'{"a\n": "\\"}']),
}


def texts(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return arrays and objects of such values, names repeated and escaped at times, white space anywhere."""
    white = st.sampled_from(["", "", " ", "\n", "\t", "\r\n "])
    names = st.sampled_from([json.dumps(name, ensure_ascii=False) for name in NAMES] + [r'"\u0061"', '"id"'])
    pairs = st.builds(lambda name, gap, value: f"{name}{gap}:{gap}{value}", names, white, children)
    return st.builds(lambda items, gap: f"[{gap}{f'{gap},'.join(items)}]", st.lists(children, max_size=4), white) | (
        st.builds(lambda items, gap: f"{{{gap}{f',{gap}'.join(items)}{gap}}}", st.lists(pairs, max_size=4), white)
    )


ANYTHING = st.recursive(SCALARS, texts, max_leaves=6) | st.sampled_from([
    "[" * 90 + "]" * 90, "[" * 98 + "]" * 98, "[" * 99 + "]" * 99, "[" * 1500 + "]" * 1500,
    '{"a": ' * 97 + "1" + "}" * 97,
])  # fmt: skip


@st.composite
def records(draw: st.DrawFn, entity: Entity) -> str:
    """Return a record in which each field is fine, odd or absent, and some values stand where none is declared."""
    if draw(st.integers(0, 30)) == 0:
        return draw(ANYTHING)
    tree: dict[str, Any] = {}
    for each in entity.fields:
        for path in each.paths:
            chance = draw(st.integers(0, 39))
            if path and (chance > 1 or (each.required and chance)):
                node = tree
                for name in path[:-1]:
                    inner = node.setdefault(name, {})
                    node = inner if isinstance(inner, dict) else {}
                if not isinstance(node.get(path[-1]), dict):
                    node[path[-1]] = draw(FINE[each.type] if chance > 3 else ANYTHING)
    pairs = list(tree.items())
    if draw(st.integers(0, 9)) == 0:
        pairs.append((draw(st.sampled_from([*NAMES, "junk", "id"])), draw(ANYTHING)))
    return written(pairs)


def written(pairs: list[tuple[str, Any]]) -> str:
    """Return an object with these members, which may be members in turn or text."""
    members = (
        f"{json.dumps(name, ensure_ascii=False)}: {written(list(value.items())) if isinstance(value, dict) else value}"
        for name, value in pairs
    )
    return f"{{{', '.join(members)}}}"


@st.composite
def files(draw: st.DrawFn) -> tuple[Entity, str, bytes]:
    """Return an entity and a file of its records, in any form, sometimes with a byte that is wrong."""
    entity = draw(entities())
    found = draw(st.lists(records(entity), min_size=1, max_size=5))
    form = draw(st.sampled_from(["array", "page", "one", "lines"]))
    if form == "lines":
        found = [record.replace("\n", " ").replace("\r", " ") for record in found]
        text = "\n".join(draw(st.permutations([*found, ""])))
    else:
        text = {"array": "[%s]", "page": '{"next": null, "results": [%s]}', "one": "%s"}[form]
        text = text % (", ".join(found) if form != "one" else "".join(found[:1]) or "{}")
    content = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 19)) == 0 and content:
        at = draw(st.integers(0, len(content) - 1))
        content = content[:at] + draw(st.sampled_from([b"", b"\xff", b"\n", b",", b"NaN", b'"'])) + content[at + 1 :]
    return entity, "f.jsonl" if form == "lines" else "f.json", content


def beyond_numeric(entity: Entity, content: bytes) -> bool:
    """Whether the server would refuse a number, upon which the part is read again with care."""
    return any(each.type == "json" for each in entity.fields) and re.search(rb"[eE][+-]?[0-9]{5}", content) is not None


@given(files())
@settings(deadline=None)
def test_both_ways_agree(file: tuple[Entity, str, bytes]) -> None:
    """Whatever is declared and whatever a file holds: the same rows, rejects, warnings, counts and errors."""
    entity, name, content = file
    if not beyond_numeric(entity, content):
        assert outcome(entity, name, content, careful=False) == outcome(entity, name, content, careful=True)


# Cells: files of columns.

CELLS = st.sampled_from([
    "", "x", " ", "7", "-0", "007", "1.50", "1e3", "é", "a\tb", "a\\b", "a\nb", "a\0b", "EUR", "true", "null", "[1]",
    '["x", 1]', "k" * 3000, *TIMES,
])  # fmt: skip


@st.composite
def csv_files(draw: st.DrawFn) -> tuple[Entity, bytes]:
    """Return an entity and CSV with some of its fields, rows too short and too long among them."""
    entity = draw(entities())
    names = [".".join(path) for path in dict.fromkeys(entity.paths) if path and draw(st.integers(0, 9))]
    header = draw(
        st.permutations([*names, *draw(st.lists(st.sampled_from(["junk", "o", "o.x", "a.x", ""]), unique=True))])
    )
    header = list(dict.fromkeys(header))
    types = {".".join(path): each.type for each in entity.fields for path in each.paths}
    rows = []
    for _ in range(draw(st.integers(0, 4))):
        fine = [json.loads(draw(FINE[types[name]])) if name in types else "x" for name in header]
        row = [cell if isinstance(cell, str) else json.dumps(cell) for cell in fine]
        if row and draw(st.booleans()):
            row[draw(st.integers(0, len(row) - 1))] = draw(CELLS)
        rows.append(row)
    for row in rows:
        if draw(st.integers(0, 9)) == 0:
            row[:] = draw(st.sampled_from([row[:-1], [*row, ""], [*row, "x"]]))
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return entity, text.getvalue().encode()


@given(csv_files())
@settings(deadline=None)
def test_both_ways_agree_about_csv(file: tuple[Entity, bytes]) -> None:
    """Whatever its columns and cells."""
    entity, content = file
    assert outcome(entity, "f.csv", content, False) == outcome(entity, "f.csv", content, True)


@st.composite
def parquet_files(draw: st.DrawFn) -> tuple[Entity, bytes]:
    """Return an entity and Parquet with some of its fields, nested or not, of types of any kind."""
    import pyarrow
    import pyarrow.parquet

    count = draw(st.integers(1, 4))
    entity = draw(entities())
    arrays: dict[str, Any] = {}
    types = {path: each.type for each in entity.fields for path in each.paths}
    for path in [*types, *(draw(PATHS) for _ in range(draw(st.integers(0, 1))))]:
        if path and draw(st.integers(0, 19)):
            usual = types.get(path) in FITTING and draw(st.integers(0, 5))
            kind, values = FITTING[types[path]] if usual else draw(st.sampled_from(COLUMNS))
            nullable = [None] if path != ("id",) or not values else []
            cells = draw(st.lists(st.sampled_from([*values, *nullable]), min_size=count, max_size=count))
            array = pyarrow.array(cells, kind)
            if len(path) > 1 and path[0] not in arrays and draw(st.booleans()):
                nulls = pyarrow.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)))
                for name in reversed(path[1:]):
                    array = pyarrow.StructArray.from_arrays([array], [name], mask=nulls)
                arrays[path[0]] = array
            else:
                arrays[".".join(path)] = array
    arrays.setdefault("id", pyarrow.array(["k"] * count))
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(arrays), sink)
    return entity, sink.getvalue().to_pybytes()


def column_types() -> list[tuple[Any, list[Any]]]:
    """Return types of columns, each with values."""
    import pyarrow

    return [
        (pyarrow.string(), ["", " ", "x", "7", "EUR", "a\tb\\", "a\0", "true", *TIMES[:8]]),
        (pyarrow.large_string(), ["x", "é"]),
        (pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), ["x", "EUR"]),
        (pyarrow.int64(), [0, 7, -7, 2**63 - 1]),
        (pyarrow.uint64(), [0, 2**64 - 1]),
        (pyarrow.float64(), [0.0, -0.0, 1.5, 7.0, 1e300, 1e-7, float("nan"), float("inf")]),
        (pyarrow.decimal128(20, 2), [Decimal("1.50"), Decimal("-0.00"), Decimal(7)]),
        (pyarrow.bool_(), [True, False]),
        (pyarrow.timestamp("us", "UTC"), [datetime(2026, 1, 5, 10, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)]),
        (pyarrow.timestamp("ms"), [datetime(2026, 1, 5, 10, 0, 0, 120000)]),
        (pyarrow.date32(), [date(2026, 1, 5)]),
        (pyarrow.binary(), [b"x", b"\xff"]),
        (pyarrow.list_(pyarrow.int64()), [[], [1, 2], [None]]),
        (pyarrow.list_(pyarrow.string()), [[], ["x", "\\"], [None]]),
        (pyarrow.list_(pyarrow.float64()), [[], [1.0, float("nan")]]),
        (pyarrow.struct([("b", pyarrow.string())]), [{"b": "x"}, {"b": None}]),
        (pyarrow.map_(pyarrow.string(), pyarrow.int64()), [[("a", 1)], []]),
        (pyarrow.null(), []),
    ]


COLUMNS = column_types()
FITTING = {
    "text": (COLUMNS[0][0], ["x", "é", "a\\b"]),
    "integer": COLUMNS[3],
    "number": (COLUMNS[5][0], [1.5, 0.0, -0.5]),
    "boolean": COLUMNS[7],
    "time": COLUMNS[8],
    "date": COLUMNS[10],
    "currency": (COLUMNS[0][0], ["EUR", "JPY"]),
    "integer[]": COLUMNS[12],
    "text[]": COLUMNS[13],
}


@given(parquet_files())
@settings(deadline=None)
def test_both_ways_agree_about_parquet(file: tuple[Entity, bytes]) -> None:
    """Whatever its columns hold, and whatever is around them."""
    entity, content = file
    assert outcome(entity, "f.parquet", content, False) == outcome(entity, "f.parquet", content, True)


USUAL = {
    "agents": """{"id": 7, "contact": {"email": "a@x", "name": "Ada", "phone": null}, "available": true,
        "updated_at": null}""",
    "agent_details": """{"id": 7, "email": "a@x", "name": "Ada", "contact": null, "role_ids": [1, 2]}""",
    "admin_groups": """{"id": 1, "name": "g", "agent_ids": [], "created_at": "2026-01-05T10:00:00.500Z"}""",
    "roles": """{"id": 1, "name": "r", "default": false}""",
    "budgets": """{"id": "b", "currentPeriod": {"limit": 100.50, "spent": {"total": 0}}, "startDate": "2026-01-05"}""",
    "cards": """{"id": "c", "status": "A", "type": "V", "createdTime": "2026-01-05T10:00:00Z", "recurringLimit": 0}""",
    "transactions": """{"id": "t", "uuid": "u", "occurredTime": "2026-01-05T10:00:00Z", "currencyData": {
        "originalCurrencyAmount": -5, "originalCurrencyCode": "EUR", "exponent": null, "exchangeRate": 1.17},
        "junk": [1e9]}""",
}


@pytest.mark.parametrize("entity", list(ENTITIES))
def test_usual_records_take_the_usual_way(entity: str) -> None:
    """Each shipped entity has it, and records as they are wont to be need no other."""
    assert usual(ENTITIES[entity], [USUAL[entity].encode()] * 3) == []


def test_records_that_are_kept_take_the_usual_way() -> None:
    """Also with a field of each type; null is as usual as a value, and so is white space."""
    fields = [Field(f"f{number}", ((f"f{number}",),), kind) for number, kind in enumerate(TYPES)]
    entity = declared(*fields, Field("whole", ((),), "json"))
    full = '"f0": 7, "f1": 1.50, "f2": "é", "f3": "2026-01-05T10:00:00.5Z", "f4": "2026-01-05", "f5": true'
    full += ', "f6": "EUR", "f7": {"a": [1]}, "f8": [1, 2], "f9": ["x", "y z"]'
    raws = [f'{{"id": "k", {full}}}', '{"id": "k"}', '{"id": "k",\n\t"f0": null, "f7": null}']
    assert usual(entity, [raw.encode() for raw in raws]) == []
    content = f"[{', '.join(raws)}]".encode()
    assert outcome(entity, "f.json", content, False) == outcome(entity, "f.json", content, True)


def test_a_null_object_gives_way_to_a_dotted_column() -> None:
    """In Parquet a field may stand in a column of its own beside the object that it belongs to."""
    import pyarrow
    import pyarrow.parquet

    nothing = pyarrow.array([None], pyarrow.struct([("b", pyarrow.string())]))
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table({"id": ["k"], "o.a": ["x"], "o": nothing}), sink)
    for careful in (False, True):
        (row,) = outcome(FIELDS["either"], "f.parquet", sink.getvalue().to_pybytes(), careful).rows
        assert row[3] == "x"


FIELDS = {
    "text": declared(Field("f", (("a",),))),
    "needed": declared(Field("f", (("a",),), required=True)),
    "either": declared(Field("f", (("o", "a"), ("a",)))),
    "integer": declared(Field("f", (("a",),), "integer")),
    "limited": declared(Field("f", (("a",),), "integer", minimum=0, maximum=9)),
    "number": declared(Field("f", (("a",),), "number")),
    "positive": declared(Field("f", (("a",),), "number", minimum=0)),
    "boolean": declared(Field("f", (("a",),), "boolean")),
    "time": declared(Field("f", (("a",),), "time")),
    "date": declared(Field("f", (("a",),), "date")),
    "currency": declared(Field("f", (("a",),), "currency")),
    "integers": declared(Field("f", (("a",),), "integer[]")),
    "texts": declared(Field("f", (("a",),), "text[]")),
    "json": declared(Field("f", (("a",),), "json")),
    "around": declared(Field("f", (("a",),), "json"), Field("g", (("a", "b"),))),
    "whole": declared(Field("f", ((),), "json"), Field("g", (("a",),))),
}
MEMBERS = [
    '"a": true', '"a": false', '"a": 1', '"a": 0', '"a": -0', '"a": 7.0', '"a": -0.0', '"a": 1e2', '"a": -0.50',
    '"a": 9223372036854775807', '"a": 9223372036854775808', '"a": 9007199254740993.0', f'"a": {"9" * 5000}',
    '"a": "x"', '"a": "7"', '"a": " +7 "', '"a": ""', '"a": " "', '"a": null', '"b": 1', '"a": "true"', '"a": "EUR"',
    r'"a": "\u0000"', r'"a": "\ud800"', r'"a": "\ud83d\ude00"', r'"a": "\\N"', r'"a": "\t\n\r\\"', '"a": "\u2028é"',
    r'"\u0061": "x"', '"a": 1, "a": "x"', '"a": "x", "a": 1', '"a": "x", "a": null', '"o": null, "a": "x"',
    '"o": 5, "a": "x"',
    '"o": {"a": null}, "a": "x"', '"o": {"a": " "}, "a": "x"', '"o": {"a": "y"}, "o": {"b": 1}, "a": "x"',
    '"o": [], "a": 1',
    '"a": []', '"a": [1, 2]', '"a": [-0, 1.0, "3", null, {}]', '"a": ["x", "\\\\", "\\"", ""]',
    '"a": ["x", 0, true]', '"a": {}',
    '"a": {"b": "x"}', '"a": {"b": 1.50, "b": -0}', r'"a": {"\u0000": "\\u0000"}', '"a":\n{"c":\t[1 ,2 ]\r\n}',
    *(f'"a": {"[" * depth}{"]" * depth}' for depth in (97, 98, 99, 100, 150, 900, 5000)),
    f'"a": "{"[" * 200}"', f'"a": [{", ".join(["[]"] * 200)}]',
    *(f'"a": "{time}"' for time in TIMES), f'"{"k" * 3000}": 1, "a": "x"', f'"a": "{"x" * 3000}"',
    '"a": "2026-01-05", "a": "x"',
]  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("form", ["f.json", "f.jsonl"])
@pytest.mark.parametrize("binary", [False, True], ids=["", "binary"])
def test_where_the_ways_could_differ(field: str, form: str, binary: bool) -> None:
    """Types, numbers, names, containers and depth of all kinds, times and dates twice, since they are remembered.

    With the record in a column of its own, rows are binary.
    """
    entity = FIELDS[field]
    if binary:
        entity = replace(entity, fields=(*entity.fields, Field("w", ((),), "json")))
    times = 2 if form == "f.jsonl" or field in ("time", "date") else 1
    found = [f'{{"id": "k", {member}}}' for member in MEMBERS] * times + ["5", "null", "[]", '"x"', "{}"]
    if form == "f.json":
        # What the fast parser refuses anywhere in a page leaves all of the page to the exact one.
        pages = [[record] for record in found]
    else:
        pages = [[record.replace("\n", " ").replace("\r", " ") for record in found]]
    for page in pages:
        content = ("\n".join(page) if form == "f.jsonl" else f"[{', '.join(page)}]").encode()
        assert outcome(entity, form, content, False) == outcome(entity, form, content, True)


@pytest.mark.parametrize("length", [512, 513, 2048, 2049])
@pytest.mark.parametrize("letter", ["k", "é"])
def test_long_keys(length: int, letter: str) -> None:
    """A key that no index could hold is rejected, in bytes and not in characters."""
    content = json.dumps([{"id": letter * length, "a": "x"}], ensure_ascii=False).encode()
    assert outcome(FIELDS["text"], "f.json", content, False) == outcome(FIELDS["text"], "f.json", content, True)


@pytest.mark.parametrize("key", ["integer", "number", "time", "date"])
def test_keys_of_other_types(key: str) -> None:
    """They are never too long, unless they are numbers."""
    entity = replace(FIELDS["text"], fields=(Field("key", (("id",),), key, True),))
    content = f'[{{"id": {"9" * 600}}}, {{"id": {"9" * 3000}}}, {{"id": 5}}, {{"id": "{TIMES[0]}"}}]'.encode()
    assert outcome(entity, "f.json", content, False) == outcome(entity, "f.json", content, True)


@pytest.mark.parametrize("name", ["f\t.json", "f\\.json", "f\n.json", "é.json"])
def test_names_of_files(name: str) -> None:
    """A name that COPY would escape is one row's file as any other."""
    content = b'[{"id": "k", "a": "x"}, {"id": "l"}]'
    assert outcome(FIELDS["text"], name, content, False) == outcome(FIELDS["text"], name, content, True)


@pytest.mark.parametrize(
    "fields",
    [
        (Field("f", (("a",),)), Field("g", (("a", "b"),))),
        (Field("f", (("a",),)), Field("g", (("a",),), "json")),
        (Field("f", (('a"',),)),),
        (Field("f", (("a\\",),)),),
        (Field("f", (("a\n",),)),),
    ],
    ids=["value and object", "value and json", "quote", "backslash", "line feed"],
)
def test_entities_without_the_usual_way(fields: tuple[Field, ...]) -> None:
    """What no struct can say is left to the exact converter, all of it."""
    assert fast.compile_records(declared(*fields)) is None
    assert outcome(declared(*fields), "f.json", b'[{"id": "k", "a": "x"}]', False).counts[:2] == (1, 1)


def test_names_that_python_keeps_for_itself() -> None:
    """Columns are called as their tables call them."""
    names = [
        "class",
        "record",
        "raw",
        "line",
        "lines",
        "odd",
        "text",
        "n1",
        "decode",
        "beginning",
        "f_array",
        "f",
        "_",
        "_told",
    ]
    entity = declared(*(Field(name, ((name,),), "text[]" if name == "f" else "text") for name in names))
    assert usual(entity, [b'{"id": "k", "class": "x", "f": ["y"], "decode": null}'] * 2) == []
