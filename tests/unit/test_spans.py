"""JSON Lines in spans: the same lines, numbers and records as the file read in one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from staging_loaders import spans
from staging_loaders.files import SourceFile
from staging_loaders.read_json import BLANK

LINES = st.lists(
    st.tuples(
        st.sampled_from([b'{"a": 1}', b"", b" ", b"\t", b"5", '"é"'.encode()]),
        st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
    ).map(b"".join),
    max_size=12,
).map(b"".join)


def lines_of(path: Path, span: spans.Span | None) -> list[tuple[int, bytes]]:
    """Return the lines of a span with their numbers."""
    with path.open("rb") as stream:
        return [(first + at, line) for first, piece in spans.read_span(stream, span) for at, line in enumerate(piece)]


@given(LINES, st.booleans(), st.booleans(), st.integers(1, 40))
def test_spans_are_the_file(content: bytes, has_bom: bool, ends: bool, size: int) -> None:
    """Wherever it is cut: each line is in one span, with its number, and records are counted as they are read."""
    content = (b"\xef\xbb\xbf" if has_bom else b"") + (content if ends else content.rstrip(b"\n"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(content)
        whole = lines_of(path, None)
        found = spans.divide(SourceFile(str(path), "a.jsonl", len(content)), size)
        placed = spans.place(found, [spans.count((str(path), span)) for span in found])
        parts = [lines_of(path, span) for span in placed]
    assert [line for part in parts for line in part] == whole
    before = 0
    for span, part in zip(placed, parts, strict=True):
        assert span.records == before
        before += sum(1 for _, line in part if line.strip(BLANK))


def test_only_lines_that_can_be_found_are_divided() -> None:
    """What is compressed, and what is not in lines, is read from its beginning."""
    names = ["a.jsonl", "a.NDJSON", "a.jsonl.gz", "a.json", "a.csv", "a.parquet"]
    assert [name for name in names if spans.is_divisible(SourceFile(name, name, 1))] == names[:2]


def test_a_file_that_is_gone_has_no_lines() -> None:
    """Reading it tells why."""
    assert spans.count(("/nowhere/a.jsonl", spans.Span(0, 10))) == (0, 0)
