"""The generator of synthetic days."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import make_days
from tests.generator import shipped
from tests.generator.bits import Bits

DAYS = Path(__file__).parents[1] / "days"


def decoded(name: str, content: bytes) -> object:
    """Return what a file says: the bytes of gzip and Parquet differ between versions of their libraries."""
    if name.endswith(".gz"):
        return gzip.decompress(content)
    if name.endswith(".parquet"):
        return pq.read_table(io.BytesIO(content)).to_pylist()
    return content


def tree(folder: Path) -> dict[str, object]:
    """Return every file below `folder`, decoded."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): decoded(path.name, path.read_bytes()) for path in files}


@pytest.mark.parametrize("day", sorted(shipped.DAYS))
def test_the_shipped_days_are_what_the_generator_makes(day: str) -> None:
    """The committed files are the generator's, all of them and no others."""
    made = {name: decoded(name, content) for name, content in shipped.DAYS[day]().items()}
    assert tree(DAYS / f"sync-{day}") == made


@pytest.mark.parametrize("form", ["json", "jsonl", "gz", "csv", "parquet", "mixed"])
def test_the_same_options_make_the_same_files(form: str, tmp_path: Path) -> None:
    """A run is reproducible by its options alone."""
    options = ["--days", "2", "--odd", "0.3", "--page-size", "7", "--format", form, "--transactions", "60"]
    for name in ("one", "two"):
        make_days.main(["--out", str(tmp_path / name), *options])
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_another_seed_makes_other_records(tmp_path: Path) -> None:
    """The seed matters."""
    for seed in ("1", "2"):
        make_days.main(["--out", str(tmp_path / seed), "--days", "1", "--seed", seed])
    assert tree(tmp_path / "1").keys() == tree(tmp_path / "2").keys()
    assert tree(tmp_path / "1") != tree(tmp_path / "2")


def test_a_day_is_the_same_made_alone(tmp_path: Path) -> None:
    """`--first-day 3` makes the third day of a longer run."""
    make_days.main(["--out", str(tmp_path / "all"), "--days", "3"])
    make_days.main(["--out", str(tmp_path / "one"), "--days", "1", "--first-day", "3"])
    assert tree(tmp_path / "one" / "sync-day3") == tree(tmp_path / "all" / "sync-day3")


def test_padding_fills_transactions_up(tmp_path: Path) -> None:
    """`--pad` is the least size of a transaction in bytes."""
    make_days.main(["--out", str(tmp_path), "--days", "1", "--format", "jsonl", "--pad", "1700", "--odd", "0"])
    lines = (tmp_path / "sync-day1" / "transactions" / "page-00001.jsonl").read_bytes().splitlines()
    assert {len(line) for line in lines} == {1700}


def test_chains_are_as_deep_as_asked(tmp_path: Path) -> None:
    """`--chain-depth` is the number of groups below one another."""
    make_days.main(["--out", str(tmp_path), "--days", "1", "--groups", "10", "--chain-depth", "5", "--odd", "0"])
    text = (tmp_path / "sync-day1" / "admin_groups" / "page-00001.json").read_text()
    assert text.count('"parent_group_id": null') == 2


def test_days_can_be_named_by_date(tmp_path: Path) -> None:
    """`--iso` names days by their dates."""
    make_days.main(["--out", str(tmp_path), "--days", "2", "--iso", "--start", "2026-01-31", "--only", "roles"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sync-2026-01-31", "sync-2026-02-01"]


def test_noise_depends_on_its_keys_alone() -> None:
    """The numbers are the same on every machine: they are written down here."""
    assert [Bits(1, "agent", 2).below(1_000), Bits(1, "agent", 3).below(1_000)] == [1, 567]
