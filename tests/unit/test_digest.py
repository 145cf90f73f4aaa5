"""Digests of files: those of their content, whoever computes them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from runner.errors import UnreadableFile
from staging_loaders import digest
from staging_loaders.files import SourceFile


def file(folder: Path, name: str, content: bytes) -> SourceFile:
    """Write a file."""
    (folder / name).write_bytes(content)
    return SourceFile(str(folder / name), name, len(content))


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    """In the order of the files, large ones among small ones."""
    contents = [b"", b"a", b"b" * 3_000_000, b"c" * 1000, b"d" * 2_000_000]
    files = [file(tmp_path, str(number), content) for number, content in enumerate(contents)]
    assert digest.digests(files) == [hashlib.sha256(content).digest() for content in contents]
    assert digest.digests(files[:2]) == digest.digests(files)[:2]


def test_a_large_file_is_known_by_its_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte counts, and so does which block it is in."""
    monkeypatch.setattr(digest, "BLOCK", 1_000_000)
    content = b"a" * 1_000_000 + b"b" * 1_000_000 + b"c"
    blocks = [content[start : start + 1_000_000] for start in range(0, len(content), 1_000_000)]
    expected = hashlib.sha256(b"".join(hashlib.sha256(block).digest() for block in blocks)).digest()
    assert digest.digests([file(tmp_path, "a", content)]) == [expected]
    assert digest.digests([file(tmp_path, "b", content[1_000_000:2_000_000] + content)]) != [expected]


@pytest.mark.parametrize("size", [5, 5_000_000], ids=["small", "large"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, size: int) -> None:
    """Whichever thread finds out."""
    there = file(tmp_path, "there", b"x" * 3_000_000)
    with pytest.raises(UnreadableFile, match="gone: No such file"):
        digest.digests([there, SourceFile(str(tmp_path / "gone"), "gone", size)])
