"""Files that are not what they should be: each is refused by its name before anything changes, none is waited for."""

from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from runner.errors import UnreadableFile
from staging_loaders.files import find_files, has_changed
from staging_loaders.read import read_records

RECORD = b'[{"id": 1}]'

# What is wrong with a file -> its name, its content, what is said of it.
CONTENT: dict[str, tuple[str, bytes, str]] = {
    "binary": ("a.json", bytes(range(256)) * 20, r"a\.json:1:1: expecting value|not UTF-8"),
    "an archive": ("a.json", b"PK\x03\x04\x14\x00\x08\x00\xff", r"a\.json:1:9: not UTF-8 \(byte 0xff\)"),
    "packed": ("a.json", gzip.compress(RECORD), r"a\.json:1:2: not UTF-8 \(byte 0x8b\)"),
    "not packed": ("a.json.gz", RECORD, "not gzip"),
    "nothing packed": ("a.json.gz", b"", "the compressed file is empty"),
    "half packed": ("a.json.gz", gzip.compress(os.urandom(5_000))[:900], "truncated"),
    "more than packed": ("a.json.gz", gzip.compress(RECORD) + b"more", "not gzip"),
    "badly packed": ("a.json.gz", gzip.compress(RECORD)[:-8] + b"12345678", "CRC check failed"),
    "UTF-16": ("a.json", '[{"id": 1}]'.encode("utf-16"), r"a\.json:1:1: not UTF-8"),
    "UTF-32": ("a.jsonl", '{"id": 1}'.encode("utf-32"), r"a\.jsonl:1:1: not UTF-8"),
    "Latin-1": ("a.jsonl", '{"id": "é"}'.encode("latin-1"), r"a\.jsonl:1:9: not UTF-8 \(byte 0xe9\)"),
    "surrogates": ("a.jsonl", b'{"id": "\xed\xa0\x80"}', r"a\.jsonl:1:9: not UTF-8 \(byte 0xed\)"),
    "a long form": ("a.json", b'{"id": "\xc0\x80"}', r"a\.json:1:9: not UTF-8 \(byte 0xc0\)"),
    "a mixture": ("a.jsonl", '{"id": 1, "n": "é"}\n'.encode() + b'{"id": 2, "n": "\xe9"}', r"a\.jsonl:2:17: not UTF-8"),
    "NUL": ("a.jsonl", b"\0" * 100_000, r"a\.jsonl:1:1: expecting value"),
    "a control character": ("a.json", b'[{"id": "\x1b[31m"}]', r"a\.json:1:10: invalid control character$"),
    "not a number": ("a.json", b'[{"id": NaN}]', r"a\.json:1:9: NaN is not JSON"),
    "infinity": ("a.jsonl", b'{"id": 1}\n{"id": [-Infinity]}', r"a\.jsonl:2:9: -Infinity is not JSON"),
    "truncated": ("a.json", b'[{"id": 1}, {"id":', r"a\.json:1:19: the file ends in the middle"),
    "a comma": ("a.json", b'[{"id": 1},]', r"a\.json:1:12: expecting value"),
    "two values": ("a.json", b'{"id": 1}{"id": 2}', r"a\.json:1:10: more follows"),
    "old line ends": ("a.jsonl", b'{"id": 1}\r{"id": 2}', r"a\.jsonl:1:11: more follows"),
    "two marks": ("a.json", b"\xef\xbb\xbf\xef\xbb\xbf[]", r"a\.json:1:1: expecting value"),
    "open brackets": ("a.json", b"[" * 1_000_000, r"a\.json:1:1000001: the file ends in the middle"),
    "open objects": ("a.json", b'{"a":' * 200_000, r"a\.json:1:1000001: the file ends in the middle"),
    "wrong brackets": ("a.json", b"[" * 5_000 + b"}" * 5_000, r"a\.json:1:5001: ('}' closes nothing|expecting value)"),
    "escapes": ("a.json", b'["' + b"\\u" * 100_000, r"a\.json:1:4: invalid"),
    "no Parquet": ("a.parquet", b"PAR1" + bytes(200) + b"PAR1", "not a Parquet file"),
    "empty Parquet": ("a.parquet", b"", "not a Parquet file"),
    "binary CSV": ("a.csv", b"id\n\xff\n", r"a\.csv:2:1: not UTF-8"),
    "an open quote": ("a.csv", b'id,name\n1,"' + b"x\n" * 100_000, "the file ends in the middle of a quoted cell"),
    "a stray quote": ("a.csv", b'id,name\n1,"a"b\n', r"a\.csv:2:1: not CSV"),
    "the same column": ("a.csv", b"id,id\n1,2\n", "more than once"),
    "another table": ("a.csv", b"\x1b[31mid\n1\n", "no column is a field"),
    "no header": ("a.csv", b"\n\n", "no header"),
    "an ending": ("a.txt", RECORD, "unknown ending"),
    "no ending": ("a", RECORD, "unknown ending"),
}


@pytest.mark.parametrize("what", CONTENT)
def test_content(tmp_path: Path, what: str) -> None:
    """The file, the line and the column are named, and what to do."""
    name, content, words = CONTENT[what]
    (tmp_path / name).write_bytes(content)
    (file,) = find_files(tmp_path)
    with pytest.raises(UnreadableFile, match=words) as caught:
        list(read_records(file, fields=[("id",)]))
    assert caught.value.hint


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.getcwd()
        os.chdir(path.parent)  # the system takes no long names of sockets
        try:
            bound.bind(path.name)
        finally:
            os.chdir(here)


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "not a regular file"),
    "a socket": (_socket, "not a regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "a file of the kernel's": (
        lambda path: path.symlink_to("/proc/self/status"),
        r"not a regular file \(it leads to /p",
    ),
    "its folder": (lambda path: path.symlink_to("/sys/kernel"), r"not a regular file \(it leads to /sys/kernel\)"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "Too many levels"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(tmp_path: Path, kind: str) -> None:
    """What is no file is never opened, so that nothing waits for it."""
    make, words = KINDS[kind]
    make(tmp_path / "a.json")
    with pytest.raises(UnreadableFile, match=f"a.json: {words}") as caught:
        find_files(tmp_path)
    assert caught.value.hint


def test_folders_and_links(tmp_path: Path) -> None:
    """A folder may be called like a file; a link that leads up, and would never end, is left out."""
    folder = tmp_path / "day" / "a.json"
    folder.mkdir(parents=True)
    (folder / "b.json").write_bytes(RECORD)
    (folder / "up").symlink_to("..")
    (folder / "root").symlink_to("/")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "c.json").write_bytes(RECORD)
    (folder / "linked").symlink_to(outside)
    assert [file.name for file in find_files(tmp_path / "day")] == ["a.json/b.json", "a.json/linked/c.json"]


@pytest.mark.parametrize(
    "name",
    [
        b"a\n\t\\N.json",
        b"\xff.json",
        b"a\x1b[31m\xe2\x80\xae.json",
        b"'; drop table a;--.json",
        b"x" * 250 + b".json",
        b"A.JSON",
    ],
    ids=["line break", "not text", "escape", "quote", "long", "capitals"],
)
def test_names(tmp_path: Path, name: bytes) -> None:
    """A file may be called anything: it is read, and its name is text that staging can hold."""
    path = os.path.join(os.fsencode(tmp_path), name)
    with open(path, "wb") as file:
        file.write(RECORD)
    (found,) = find_files(tmp_path)
    assert found.name.encode() and os.fsencode(found.path) == path
    assert [record for record, _ in read_records(found)] == [{"id": 1}]


def test_two_names_stay_two(tmp_path: Path) -> None:
    """Names that are no text, or look alike, are told apart."""
    names = [b"\xff.json", b"\xfe.json", "e\u0301.json".encode(), "\u00e9.json".encode(), b"\xe9.json"]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(RECORD)
    assert len({file.name for file in find_files(tmp_path)}) == len(names)


def test_a_file_that_goes_or_changes(tmp_path: Path) -> None:
    """One that is gone when it is to be read is named; one that was written to since it was found is noticed."""
    (tmp_path / "a.json").write_bytes(RECORD)
    (file,) = find_files(tmp_path)
    assert not has_changed(file)
    (tmp_path / "a.json").write_bytes(RECORD + b"\n")
    assert has_changed(file)
    (tmp_path / "a.json").unlink()
    assert has_changed(file)
    with pytest.raises(UnreadableFile, match=r"a\.json: No such file"):
        list(read_records(file))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    """A file and a folder without permissions are named."""
    (tmp_path / "a.json").write_bytes(RECORD)
    (tmp_path / "a.json").chmod(0)
    (file,) = find_files(tmp_path)
    with pytest.raises(UnreadableFile, match=r"a\.json: Permission denied"):
        list(read_records(file))
    (tmp_path / "b").mkdir(mode=0)
    with pytest.raises(UnreadableFile, match=r"b: Permission denied"):
        find_files(tmp_path)


def test_a_bomb(tmp_path: Path) -> None:
    """Lines that unpack to a thousand times their size are read in pieces: memory holds one of them."""
    import tracemalloc

    line = b'{"id": 1}' + b" " * 100_000 + b"\n"
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(line * 1_000))
    (file,) = find_files(tmp_path)
    tracemalloc.start()
    with suppress(StopIteration):
        assert sum(1 for _ in read_records(file)) == 1_000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20_000_000
