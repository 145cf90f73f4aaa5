"""A source file -> its records, in order, each with the text it was read from.

`.json` (one object, an array, `{"results": [...]}`), `.jsonl`/`.ndjson`, `.csv`, each also `.gz`,
and `.parquet`. JSON Lines, CSV and Parquet are read in a stream; a JSON page is held whole.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import IO, Any

from runner.errors import UnreadableFile
from staging_loaders import slow_json
from staging_loaders.record import Record, decode_utf8, unreadable
from staging_loaders.values import Number

BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_CHUNK = 1 << 16
# A number that the fast parser would not keep as it is written.
_MINUS_ZERO = re.compile(rb"-0[\s,\]}]")
_GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)

ENDINGS = (".json", ".jsonl", ".ndjson", ".csv", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".csv.gz", ".parquet")


def read_records(
    path: str, arrays: frozenset[tuple[str, ...]] = frozenset(), fields: Sequence[tuple[str, ...]] = ()
) -> Iterator[Record]:
    """Yield the records of the file at `path`.

    `arrays` are the paths at which a CSV cell holds an array as JSON text, `fields` those of which the
    columns of CSV and Parquet must name one. Raises UnreadableFile, naming file, line and column, for
    a file that is not what its ending says.
    """
    lowered = path.lower()
    ending = next((ending for ending in ENDINGS if lowered.endswith(ending)), None)
    if ending is None:
        raise UnreadableFile(
            f"{path}: unknown ending", hint=f"Known are {', '.join(ENDINGS)}; a name starting with '_' is ignored."
        )
    if ending == ".parquet":
        from staging_loaders.read_parquet import read_parquet

        yield from read_parquet(path, fields)
        return
    try:
        with open(path, "rb") as file:
            if ending.endswith(".gz") and not file.peek(1):
                # What a failed upload leaves; the library would read it as nothing at all.
                raise unreadable(path, 1, 1, "the compressed file is empty")
            stream: Any = gzip.GzipFile(fileobj=file) if ending.endswith(".gz") else file
            kind = ending.removesuffix(".gz")
            if kind == ".json":
                yield from _page(path, _read_whole(path, stream))
            elif kind == ".csv":
                from staging_loaders.read_csv import read_csv

                yield from read_csv(path, _lines(path, stream), arrays, fields)
            else:
                yield from _json_lines(path, _lines(path, stream))
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror or error}", hint="Is it still there, and readable?") from error


@cache
def _parsers() -> tuple[Any, Any, Any, Any, tuple[type[BaseException], ...]]:
    """Return the fast parsers of a record, an array and a page, the "no value" mark and what they refuse with."""
    import msgspec

    page = msgspec.defstruct("Page", [("results", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET)])
    refusals = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, slow_json.NotJson)
    decoder = msgspec.json.Decoder
    return (
        decoder(float_hook=Number).decode,
        decoder(list[msgspec.Raw]).decode,
        decoder(page).decode,
        msgspec.UNSET,
        refusals,
    )


def _page(path: str, data: bytes) -> Iterator[Record]:
    record_of, array_of, page_of, unset, refusals = _parsers()
    if not data.isascii():
        decode_utf8(path, data)  # the fast parser does not look into what it skips
    first = data.lstrip(_BLANK)[:1]
    if not first:
        raise unreadable(path, 1, 1, "the file is empty")
    exact = _MINUS_ZERO.search(data) is None
    try:
        slices = [data.strip(_BLANK)]
        if first == b"[":
            slices = array_of(data)
        elif first == b"{":
            results = page_of(data).results
            if results is not unset and bytes(memoryview(results)[:1]) == b"[":
                slices = array_of(results)
    except refusals:
        yield from _slow_page(path, data)
        return
    for raw in slices:
        try:
            record = record_of(raw) if exact or not _MINUS_ZERO.search(raw) else _written(raw)
        except refusals:
            try:
                record = _written(raw)
            except slow_json.NotJson:
                # Its place in the file is known only to a reading of the file from its start.
                _slow_page(path, data)
                raise
        yield record, raw


def _written(raw: Any) -> object:
    """Return a record's value by the parser that keeps every number as it is written."""
    return slow_json.decode(bytes(raw).decode("utf-8"))


def _slow_page(path: str, data: bytes) -> list[Record]:
    text = decode_utf8(path, data)
    try:
        return list(slow_json.records(text))
    except slow_json.NotJson as error:
        raise unreadable(path, *slow_json.line_and_column(text, error.offset), error.problem) from None


def _json_lines(path: str, lines: Iterator[tuple[int, bytes]]) -> Iterator[Record]:
    record_of, _, _, _, refusals = _parsers()
    for number, line in lines:
        raw = line.strip(_BLANK)
        if not raw:
            continue
        try:
            record = record_of(line) if not _MINUS_ZERO.search(line) else _written(line)
        except refusals:
            text = decode_utf8(path, line, number)
            try:
                record = slow_json.decode(text)
            except slow_json.NotJson as error:
                problem = error.problem.replace("the file ends", "the line ends")
                raise unreadable(path, number, error.offset + 1, problem) from None
        yield record, raw


def _read_whole(path: str, stream: IO[bytes]) -> bytes:
    try:
        return stream.read().removeprefix(BOM)
    except _GZIP_ERRORS as error:
        raise _not_gzip(path, error) from error


def _lines(path: str, stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its number; only a line feed ends one."""
    try:
        for number, line in enumerate(stream, 1):
            yield number, line.removeprefix(BOM) if number == 1 else line
    except _GZIP_ERRORS as error:
        raise _not_gzip(path, error) from error


def _not_gzip(path: str, error: BaseException) -> UnreadableFile:
    """Return the error for a compressed file, with the line and column up to which it can be unpacked."""
    line, column = 1, 1
    with contextlib.suppress(*_GZIP_ERRORS), gzip.open(path) as stream:
        while chunk := stream.read1(_CHUNK):
            line += chunk.count(b"\n")
            last = chunk.rfind(b"\n")
            column = column + len(chunk) if last < 0 else len(chunk) - last
    truncated = isinstance(error, EOFError)
    return unreadable(path, line, column, "the compressed file is truncated" if truncated else f"not gzip: {error}")
