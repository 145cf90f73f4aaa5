"""What the benchmarks of loading stand on: the generator's account of its records, and the meter."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import meter
from benchmarks import transactions as made
from benchmarks.rivals import given, write
from staging_loaders.convert import Rejected, compile_entity
from staging_loaders.entity import load_declarations
from staging_loaders.read import read_records

ROOT = Path(__file__).resolve().parent.parent.parent
# Each kind of odd record twice.
RECORDS = 2 * len(made.ODD) * made.ODD_EVERY


def _page(path: Path, records: int) -> None:
    made.write_page(path, made.transactions(0, records))


def test_one_way_to_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is measured but by a part, and the help and the page on performance name each."""
    programs = [
        path.name for path in (ROOT / "benchmarks").glob("*.py") if '__name__ == "__main__"' in path.read_text()
    ]
    assert programs == ["__main__.py"]
    with pytest.raises(SystemExit, match="0"):
        bench.main(["--help"])
    told = capsys.readouterr().out
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for name, part in bench.PARTS.items():
        assert f"\n  {name} " in told
        assert part.what in told
        assert f"\n| `{name}` | " in page
    asked = {name for name, part in bench.PARTS.items() if part.asked}
    assert asked == {"backfill", "jobs", "load", "long_life", "memory", "races"}


def test_a_part_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A part without a server runs without one, and prints what it measured."""
    assert bench.main(["--only", "lint", "--quick", "--steps", "7", "--times", "1"]) == 0
    told = capsys.readouterr().out
    assert "PostgreSQL is not asked" in told
    assert "runner lint, 7 steps" in told
    assert told.endswith("all limits are kept\n")


@pytest.mark.parametrize(
    ("ending", "write", "kind"),
    [
        pytest.param("json", _page, "json", id="a page"),
        pytest.param("jsonl", made.write_lines, "json", id="JSON Lines"),
        pytest.param("csv", made.write_csv, "csv", id="CSV"),
        pytest.param("parquet", made.write_parquet, "parquet", id="Parquet"),
    ],
)
def test_generated_records_are_as_good_and_as_odd_as_they_are_said_to_be(
    tmp_path: Path, ending: str, write: Callable[[Path, int], None], kind: str
) -> None:
    """The loader's rules find the rows, rejects and warnings in a generated file that the generator expects there."""
    entity = load_declarations(ROOT / "staging_loaders" / "zluri")["transactions"]
    convert = compile_entity(entity)
    file = tmp_path / f"all.{ending}"
    write(file, RECORDS)

    found = made.Expected()
    for record, _ in read_records(str(file), entity.array_paths, entity.paths):
        outcome = convert(record)
        found.records += 1
        if isinstance(outcome, Rejected):
            found.rejects += 1
        else:
            found.rows += 1
            found.warnings += len(outcome.warnings)

    assert found == made.expected(RECORDS, kind)


def test_generated_rows_leave_out_what_is_rejected() -> None:
    """The rows that a load must end with are those of the records that are not rejected, each with all columns."""
    rows = [made.row_of(one, "page.json", 1) for one in made.transactions(0, RECORDS)]

    kept = [row for row in rows if row is not None]
    assert len(kept) == made.expected(RECORDS, "json").rows
    assert {row.count("\t") + 1 for row in kept} == {len(made.COLUMNS)}


PROGRAM = """
import subprocess, sys, time
sys.path.insert(0, {rivals!r})
from given import done, given, ready

BUSY = "import time; end = time.process_time() + 0.3\\nwhile time.process_time() < end: pass"
asked = given()
ready()
subprocess.run([sys.executable, "-c", BUSY], check=True)
print("not for the meter")
done(**asked)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_the_meter_counts_the_processes_that_a_program_started(tmp_path: Path) -> None:
    """A run's CPU is that of its ended children, too; it ends with what the program said, and some memory was seen."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(rivals=str(Path(given.__file__).parent)), encoding="utf-8")

    run = meter.run(program, {"rows": 7}, os.getpid(), tmp_path, Path(sys.executable))

    assert run.client_cpu >= 0.25
    assert run.said == {"event": "done", "rows": 7}
    assert run.peak > 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_the_meter_tells_why_a_program_did_not_end_well(tmp_path: Path) -> None:
    """A program that fails is no measurement: its last words are the error."""
    program = tmp_path / "program.py"
    program.write_text("raise SystemExit('there is no table')", encoding="utf-8")

    with pytest.raises(meter.Failed, match="exit 1: there is no table"):
        meter.run(program, {}, os.getpid(), tmp_path, Path(sys.executable))


def test_prepared_rows_are_sent_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece of a binary file is a file of its own, and together they hold its rows."""
    monkeypatch.setattr(write, "_PIECE", 40)
    header, trailer = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
    rows = [b"\0\2\0\0\0\x03abc\xff\xff\xff\xff" for _ in range(20)]
    path = tmp_path / "1.binary"
    path.write_bytes(header + b"".join(rows) + trailer)
    with path.open("rb") as file:
        first, *pieces = write._rows(file)
    assert first == b""
    assert len(pieces) > 3
    assert all(piece.startswith(header) and piece.endswith(trailer) for piece in pieces)
    assert b"".join(piece[19:-2] for piece in pieces) == b"".join(rows)
