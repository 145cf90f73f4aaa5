"""The spans of a file and the whole: where each stands in it, and what all of them say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from staging_loaders import spans
from staging_loaders.files import SourceFile
from staging_loaders.part import Counts, Part, UselessFile
from staging_loaders.spans import Span

if TYPE_CHECKING:
    from staging_loaders.session import Engine


def place(parts: Sequence[Part], engine: Engine) -> list[Part]:
    """Return the parts, each span with its place in the file, for which the workers count lines."""
    items = [(part.files[0], part.span) for part in parts if part.span is not None]
    counts = dict(zip(items, engine.run(spans.count, items), strict=True)) if items else {}
    placed: dict[tuple[SourceFile, Span], Span] = {}
    for file in dict.fromkeys(file for file, _ in items):
        found = [span for other, span in items if other == file]
        for span, with_place in zip(found, spans.place(found, [counts[file, span] for span in found]), strict=True):
            placed[file, span] = with_place
    return [part if part.span is None else replace(part, span=placed[part.files[0], part.span]) for part in parts]


def join(parts: Sequence[Part], counts: Sequence[Counts]) -> list[Counts]:
    """Return the counts of `parts` with a useless file named once, where all of its spans are."""
    joined = list(counts)
    by_file: dict[str, list[int]] = {}
    for index, part in enumerate(parts):
        if part.span is not None:
            by_file.setdefault(part.files[0].path, []).append(index)
    for indexes in by_file.values():
        useless = [file for index in indexes for file in counts[index].useless]
        rejects = sum(file.rejects for file in useless)
        for index in indexes:
            joined[index] = replace(joined[index], useless=())
        if useless and rejects == sum(counts[index].records for index in indexes):
            joined[indexes[0]] = replace(joined[indexes[0]], useless=(UselessFile(useless[0].name, rejects),))
    return joined
