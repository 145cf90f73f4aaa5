"""JSON pages and JSON Lines -> batches of records, each with the bytes it was read from."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from staging_loaders import slow_json
from staging_loaders.record import Batch, Record, decode_utf8, unreadable
from staging_loaders.values import Number

BOM = b"\xef\xbb\xbf"
BLANK = b" \t\r\n"
_CHUNK = 1 << 20
# A number that the fast parser would not keep as it is written.
_MINUS_ZERO = re.compile(rb"-0[\s,\]}]|-0\Z")


@cache
def _parsers() -> tuple[Any, Any, Any, Any]:
    """Return the fast parsers of a record, an array, a page, and a page of which `results` is no array."""
    import msgspec

    page = msgspec.defstruct("Page", [("results", list[msgspec.Raw] | msgspec.UnsetType, msgspec.UNSET)])
    other = msgspec.defstruct("Other", [("results", msgspec.Raw)])
    decoder = msgspec.json.Decoder
    return (
        decoder(float_hook=Number).decode,
        decoder(list[msgspec.Raw]).decode,
        decoder(page).decode,
        decoder(other).decode,
    )


@cache
def refusals() -> tuple[type[BaseException], ...]:
    """Return what the fast parsers refuse with."""
    import msgspec

    return msgspec.MsgspecError, UnicodeDecodeError, RecursionError, slow_json.NotJson


def read_page(path: str, data: bytes) -> Iterator[Batch]:
    """Yield the records of a page: an array's elements, those of `results`, or the one value."""
    if not data.isascii():
        _check_utf8(path, data)  # the fast parser does not look into what it skips
    first = data.lstrip(BLANK)[:1]
    if not first:
        raise unreadable(path, 1, 1, "the file is empty")
    record_of, *_ = _parsers()
    refused = refusals()
    try:
        slices = _slices(data, first)
    except refused:
        slices = _slow_page(path, data)

    def exact(index: int) -> Record:
        raw = slices[index]
        try:
            return (record_of(raw) if not is_minus_zero(raw) else _written(raw)), raw
        except refused:
            try:
                return _written(raw), raw
            except slow_json.NotJson:
                # Its place in the file is known only to a reading of the file from its start.
                _slow_page(path, data)
                raise

    yield Batch(len(slices), slices, exact)


def _slices(data: bytes, first: bytes) -> list[Any]:
    import msgspec

    _, array_of, page_of, other_of = _parsers()
    results: Any = msgspec.UNSET
    if first == b"[":
        results = array_of(data)
    elif first == b"{":
        try:
            results = page_of(data).results
        except msgspec.ValidationError:
            # One of them is no array, and the last of them counts.
            last = other_of(data).results
            if bytes(memoryview(last)[:1]) == b"[":
                results = array_of(last)
    return [data.strip(BLANK)] if results is msgspec.UNSET else results


def read_lines(path: str, lines: Iterator[tuple[int, list[bytes]]]) -> Iterator[Batch]:
    """Yield the records of JSON Lines, from pieces of the file: the number of the first line, and the lines."""
    for first, piece in lines:
        yield _lines(path, first, piece)


def _lines(path: str, first: int, piece: list[bytes]) -> Batch:
    record_of, *_ = _parsers()
    refused = refusals()
    raws = [line.strip(BLANK) for line in piece]
    numbers: Any = range(first, first + len(piece))
    if not all(raws):
        numbers = [number for number, raw in zip(numbers, raws, strict=True) if raw]
        raws = [raw for raw in raws if raw]

    def exact(index: int) -> Record:
        number = numbers[index]
        line, raw = piece[number - first], raws[index]
        try:
            return (record_of(line) if not is_minus_zero(line) else _written(line)), raw
        except refused:
            text = decode_utf8(path, line, number)
            try:
                return slow_json.decode(text), raw
            except slow_json.NotJson as error:
                problem = error.problem.replace("the file ends", "the line ends")
                raise unreadable(path, number, error.offset + 1, problem) from None

    # The fast parser does not look into what it skips: a line that is not UTF-8 is left to the exact one.
    checked = raws if all(map(bytes.isascii, raws)) else [raw if _is_utf8(raw) else b"" for raw in raws]
    return Batch(len(raws), checked, exact)


def is_minus_zero(raw: Any) -> bool:
    """Tell whether a number in a record's JSON may be written `-0`, which the fast parser takes for `0`."""
    return _MINUS_ZERO.search(raw) is not None


def _written(raw: Any) -> object:
    """Return a record's value by the parser that keeps every number as it is written."""
    return slow_json.decode(bytes(raw).decode("utf-8"))


def _slow_page(path: str, data: bytes) -> list[bytes]:
    """Return the records of a page that the fast parser refuses as a whole, for what is odd in one of them."""
    text = decode_utf8(path, data)
    try:
        return [record.encode() for record in slow_json.records(text)]
    except slow_json.NotJson as error:
        raise unreadable(path, *slow_json.line_and_column(text, error.offset), error.problem) from None


def _check_utf8(path: str, data: bytes) -> None:
    """Raise UnreadableFile where `data` is not UTF-8; in pieces, since as text it may need four times its size."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    try:
        for start in range(0, len(view), _CHUNK):
            decoder.decode(view[start : start + _CHUNK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        decode_utf8(path, data)
        raise


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
