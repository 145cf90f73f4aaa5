"""How far the parts of a load are, told entity by entity while they land."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runner.database import Connection
from runner.progress import Advance
from staging_loaders.landing import parts_done
from staging_loaders.part import Part

Progress = Callable[[Advance], None]
"""Told, about twice a second, how far each entity is."""


def ticker(life: Connection, parts: Sequence[Part], progress: Progress) -> Callable[[], None]:
    """Return what looks at the parts that have landed, by way of `life`, and tells `progress`."""
    by_entity: dict[str, list[Part]] = {}
    for part in parts:
        by_entity.setdefault(part.entity.name, []).append(part)
    bytes_of = {name: {part.number: _bytes(part) for part in own} for name, own in by_entity.items()}
    files_of = {name: sum(part.whole_files for part in own) for name, own in by_entity.items()}

    def tick() -> None:
        for name, own in by_entity.items():
            numbers, files, records, rejects = parts_done(life, own[0].target)
            done = sum(size for number, size in bytes_of[name].items() if number in numbers)
            total = sum(bytes_of[name].values())
            progress(Advance(name, files, files_of[name], done, total, records, rejects))

    return tick


def _bytes(part: Part) -> int:
    if part.span is not None:
        return part.span.stop - part.span.start
    return sum(file.size for file in part.files)
