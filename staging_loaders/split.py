"""Which files are read together: parts of about the same size, enough to keep all workers busy."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from staging_loaders.files import SourceFile
from staging_loaders.plan import EntityPlan

# A part is what is read again when a worker dies; a small one costs a connection and a Spark task.
_SMALLEST, _LARGEST = 2_000_000, 64_000_000
_PARTS_PER_WORKER = 4
# What a compressed byte unfolds to, roughly.
_GZIP_RATIO = 8


def split(plans: Sequence[EntityPlan], parallelism: int) -> list[tuple[EntityPlan, int, tuple[SourceFile, ...]]]:
    """Return plan, number (from 0 within the plan) and files of each part, the largest parts first."""
    total = sum(_weight(file) for plan in plans for file in plan.files)
    size = min(_LARGEST, max(_SMALLEST, total // (parallelism * _PARTS_PER_WORKER)))
    parts = [(plan, number, files) for plan in plans for number, files in enumerate(_group(plan.files, size))]
    return sorted(parts, key=lambda part: -sum(map(_weight, part[2])))


def _group(files: Sequence[SourceFile], size: int) -> list[tuple[SourceFile, ...]]:
    """Fill groups, each file into the smallest so far, the largest file first."""
    count = max(1, min(len(files), -(-sum(map(_weight, files)) // size)))
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
