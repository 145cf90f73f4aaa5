"""Parts: which files are read together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from staging_loaders.files import SourceFile
from staging_loaders.plan import EntityPlan
from staging_loaders.split import split


@given(st.lists(st.integers(0, 100_000_000), min_size=1, max_size=80), st.integers(1, 8))
def test_each_file_is_in_one_part(sizes: list[int], parallelism: int) -> None:
    """However many there are, of whatever size."""
    files = files_of(sizes)
    parts = split([plan_of(files)], parallelism)
    assert sorted(file.name for part in parts for file in part.files) == sorted(file.name for file in files)
    assert [part.number for part in sorted(parts, key=lambda part: part.number)] == list(range(len(parts)))


@given(st.integers(1, 300), st.integers(1, 8))
def test_workers_have_as_much_to_do(count: int, parallelism: int) -> None:
    """Pages of one size are dealt out in parts of which each worker has as many, where there are that many pages."""
    parts = split([plan_of(files_of([8_000_000] * count))], parallelism)
    assert len(parts) <= parallelism or len(parts) % parallelism == 0 or len(parts) == count
    lengths = {len(part.files) for part in parts}
    assert max(lengths) - min(lengths) <= 1


def files_of(sizes: list[int]) -> tuple[SourceFile, ...]:
    return tuple(SourceFile(f"/day/{number:03}.json", f"{number:03}.json", size) for number, size in enumerate(sizes))


def plan_of(files: tuple[SourceFile, ...]) -> EntityPlan:
    return EntityPlan("things", "stg_things", True, True, files, sum(file.size for file in files), "", True, "new")
