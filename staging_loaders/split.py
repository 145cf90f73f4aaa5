"""Which files are read together, which in spans: parts of about one size, enough to keep all workers busy."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from staging_loaders import spans
from staging_loaders.files import SourceFile
from staging_loaders.plan import EntityPlan
from staging_loaders.spans import Span

# A part is what is read again when a worker dies; a small one costs a connection and a Spark task.
_SMALLEST, _LARGEST = 2_000_000, 64_000_000
_PARTS_PER_WORKER = 4
# What a compressed byte unfolds to, roughly.
_GZIP_RATIO = 8
# A file of that size is worth the job that counts its lines.
_DIVIDED = 16_000_000


@dataclass(frozen=True)
class Piece:
    """What one part reads: files, or a span of one file; `number` is from 0 within the plan."""

    plan: EntityPlan
    number: int
    files: tuple[SourceFile, ...]
    span: Span | None = None


@dataclass(frozen=True)
class Work:
    """How much is to be read: `weight` is bytes, too, after what compressed ones unfold to and what opening costs."""

    files: int
    bytes: int
    weight: int


def work(files: Iterable[SourceFile]) -> Work:
    """Return how much it is to read the files."""
    sizes = [(file.size, _weight(file)) for file in files]
    return Work(len(sizes), sum(size for size, _ in sizes), sum(weight for _, weight in sizes))


def split(plans: Sequence[EntityPlan], parallelism: int) -> list[Piece]:
    """Return what each part reads, the largest first; the spans of a file stand in their order."""
    total = sum(_weight(file) for plan in plans for file in plan.files)
    size = min(_LARGEST, max(_SMALLEST, total // (parallelism * _PARTS_PER_WORKER)))
    weighed: list[tuple[int, Piece]] = []
    for plan in plans:
        large = {file for file in plan.files if spans.is_divisible(file) and file.size > max(_DIVIDED, size)}
        others = [file for file in plan.files if file not in large]
        found: list[tuple[int, tuple[SourceFile, ...], Span | None]] = []
        found += [(sum(map(_weight, files)), files, None) for files in _group(others, size, parallelism)]
        found += [(size, (file,), span) for file in plan.files if file in large for span in spans.divide(file, size)]
        weighed += [(weight, Piece(plan, number, files, span)) for number, (weight, files, span) in enumerate(found)]
    return [piece for _, piece in sorted(weighed, key=lambda one: -one[0])]


def _group(files: Sequence[SourceFile], size: int, parallelism: int) -> list[tuple[SourceFile, ...]]:
    """Fill groups, each file into the smallest so far, the largest file first."""
    count = -(-sum(map(_weight, files)) // size)
    if count > parallelism:
        # As many for each worker: one that is left over is waited for by all.
        count = -(-count // parallelism) * parallelism
    count = max(1, min(len(files), count))
    groups: list[list[SourceFile]] = [[] for _ in range(count)]
    heap = [(0, index) for index in range(count)]
    for file in sorted(files, key=_weight, reverse=True):
        filled, index = heapq.heappop(heap)
        groups[index].append(file)
        heapq.heappush(heap, (filled + _weight(file), index))
    return [tuple(group) for group in groups if group]


def _weight(file: SourceFile) -> int:
    # The constant is what opening a file costs; a million small ones are work, too.
    return file.size * (_GZIP_RATIO if file.path.endswith(".gz") else 1) + 10_000
