"""A source file -> its records, in order, each with the text it was read from.

`.json` (one object, an array, `{"results": [...]}`), `.jsonl`/`.ndjson`, `.csv`, each also `.gz`,
and `.parquet`. JSON Lines, CSV and Parquet are read in a stream; a JSON page is held whole.
"""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

from runner.errors import UnreadableFile
from staging_loaders import read_json
from staging_loaders.files import SourceFile, open_file
from staging_loaders.read_json import BOM
from staging_loaders.record import Batch, Record, unreadable
from staging_loaders.spans import Span, read_span

_CHUNK = 1 << 16
_GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)

ENDINGS = (".json", ".jsonl", ".ndjson", ".csv", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".csv.gz", ".parquet")


def read_records(
    file: SourceFile | str, arrays: frozenset[tuple[str, ...]] = frozenset(), fields: Sequence[tuple[str, ...]] = ()
) -> Iterator[Record]:
    """Yield the records of a file, one by one; see `read_batches`."""
    for batch in read_batches(file, arrays, fields):
        yield from map(batch.exact, range(batch.count))


def read_batches(
    file: SourceFile | str,
    arrays: frozenset[tuple[str, ...]] = frozenset(),
    fields: Sequence[tuple[str, ...]] = (),
    jsons: frozenset[tuple[str, ...]] = frozenset(),
    span: Span | None = None,
) -> Iterator[Batch]:
    """Yield the records of a file, many at a time; a bare path is one of this machine.

    `arrays` are the paths at which a CSV cell holds an array as JSON text, `jsons` those at which it may
    hold any JSON, `fields` those of which the columns of CSV and Parquet must name one; `span` is the part
    of JSON Lines to read, None for all. Raises UnreadableFile, naming file, line and column, for a file
    that is not what its ending says.
    """
    path = file if isinstance(file, str) else file.path
    lowered = path.lower()
    ending = next((ending for ending in ENDINGS if lowered.endswith(ending)), None)
    if ending is None:
        raise UnreadableFile(
            f"{path}: unknown ending", hint=f"Known are {', '.join(ENDINGS)}; a name starting with '_' is ignored."
        )
    if ending == ".parquet":
        from staging_loaders.read_parquet import read_parquet

        yield from read_parquet(file, fields)
        return
    try:
        with open_file(file) as opened:
            if ending.endswith(".gz") and not opened.peek(1):
                # What a failed upload leaves; the library would read it as nothing at all.
                raise unreadable(path, 1, 1, "the compressed file is empty")
            stream: Any = gzip.GzipFile(fileobj=opened) if ending.endswith(".gz") else opened
            kind = ending.removesuffix(".gz")
            if kind == ".json":
                yield from read_json.read_page(path, _read_whole(file, stream))
            elif kind == ".csv":
                from staging_loaders.read_csv import read_csv

                yield from read_csv(path, _lines(file, stream), arrays, fields, jsons)
            else:
                yield from read_json.read_lines(path, _pieces(file, stream, span))
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror or error}", hint="Is it still there, and readable?") from error


def _read_whole(file: SourceFile | str, stream: IO[bytes]) -> bytes:
    try:
        return stream.read().removeprefix(BOM)
    except _GZIP_ERRORS as error:
        raise _not_gzip(file, error) from error


def _lines(file: SourceFile | str, stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its number; only a line feed ends one."""
    try:
        for number, line in enumerate(stream, 1):
            yield number, line.removeprefix(BOM) if number == 1 else line
    except _GZIP_ERRORS as error:
        raise _not_gzip(file, error) from error


def _pieces(file: SourceFile | str, stream: IO[bytes], span: Span | None) -> Iterator[tuple[int, list[bytes]]]:
    """Yield pieces of a file as the number of their first line, and the lines; only a line feed ends one."""
    try:
        yield from read_span(stream, span)
    except _GZIP_ERRORS as error:
        raise _not_gzip(file, error) from error


def _not_gzip(file: SourceFile | str, error: BaseException) -> UnreadableFile:
    """Return the error for a compressed file, with the line and column up to which it can be unpacked."""
    line, column = 1, 1
    with contextlib.suppress(*_GZIP_ERRORS), open_file(file) as opened, gzip.GzipFile(fileobj=opened) as stream:
        while chunk := stream.read1(_CHUNK):
            line += chunk.count(b"\n")
            last = chunk.rfind(b"\n")
            column = column + len(chunk) if last < 0 else len(chunk) - last
    truncated = isinstance(error, EOFError)
    path = file if isinstance(file, str) else file.path
    return unreadable(path, line, column, "the compressed file is truncated" if truncated else f"not gzip: {error}")
