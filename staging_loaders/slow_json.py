"""The authority on what is JSON: the standard library, asked where the fast parser refuses.

The fast parser refuses lone surrogates, very long integers and deep nesting, all of which are
JSON. Here a text is split into its records with their exact slices, and what is truly not JSON
gets its line and column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from staging_loaders.values import Number

# Levels of nesting that are looked into; declared fields lie a few below the top.
DEEPEST = 100

_SPACE = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]|NaN|-?Infinity', re.DOTALL)
_CLOSING = {"[": "]", "{": "}"}


class NotJson(ValueError):
    """The text is not JSON; `offset` is the character at which that shows."""

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.offset = offset


def decode(text: str) -> object:
    """Return the one value that `text` holds, numbers as `Number` or `int`, what is bottomless as null."""
    start = _space(text, 0)
    value, end = _value(text, start)
    _nothing_after(text, end)
    return value


def records(text: str) -> list[str]:
    """Return the text of each record of a page: an array's elements, those of `results`, or the one value."""
    start = _space(text, 0)
    if text[start : start + 1] == "[":
        found, end = _elements(text, start)
    elif text[start : start + 1] == "{":
        results, end = _results(text, start)
        found = results if results is not None else [text[start:end]]
    else:
        _, end = _value(text, start)
        found = [text[start:end]]
    _nothing_after(text, end)
    return found


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return the 1-based line and column, in characters, of `offset`."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _integer(written: str) -> int | Number:
    return int(written) if len(written) < 4000 and written != "-0" else Number(written)


class _Constant(Exception):
    """NaN or Infinity, which the standard library would accept."""


def _constant(name: str) -> object:
    raise _Constant(name)


_DECODER = json.JSONDecoder(parse_float=Number, parse_int=_integer, parse_constant=_constant)


def _value(text: str, start: int) -> tuple[object, int]:
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise NotJson(_words(error.msg, text, error.pos), error.pos) from None
    except _Constant as error:
        offset = next(token.start() for token in _TOKEN.finditer(text, start) if token.group() == str(error))
        raise NotJson(f"{error} is not JSON", offset) from None
    except RecursionError:
        end = _skip(text, start)
        return _DECODER.decode(_shallow(text[start:end])), end


def _shallow(text: str) -> str:
    """Return a value with what is nested deeper than any field of ours as null; its other fields still count."""
    kept: list[str] = []
    depth = at = 0
    for token in _TOKEN.finditer(text):
        mark = token.group()
        if mark in _CLOSING:
            depth += 1
            if depth == DEEPEST + 1:
                kept += text[at : token.start()], "null"
        elif mark in ("]", "}"):
            if depth == DEEPEST + 1:
                at = token.end()
            depth -= 1
    return "".join([*kept, text[at:]])


def _elements(text: str, start: int) -> tuple[list[str], int]:
    found: list[str] = []
    for begin, end in _items(text, start, "]"):
        if begin < 0:
            return found, end
        found.append(text[begin:end])
    raise AssertionError("an array ends")


def _items(text: str, start: int, closing: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each element; at last -1 and the end of the array."""
    at = _space(text, start + 1)
    if text[at : at + 1] == closing:
        yield -1, at + 1
        return
    while True:
        _, end = _value(text, at)
        yield at, end
        at = _space(text, end)
        mark = text[at : at + 1]
        if mark == closing:
            yield -1, at + 1
            return
        if mark != ",":
            raise NotJson(_words("expected ',' or ']'", text, at), at)
        at = _space(text, at + 1)


def _results(text: str, start: int) -> tuple[list[str] | None, int]:
    """Return the elements of an object's `results` array (None if it has none) and the object's end."""
    found: list[str] | None = None
    at = _space(text, start + 1)
    if text[at : at + 1] == "}":
        return None, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise NotJson(_words("expected a name in double quotes", text, at), at)
        name, end = _value(text, at)
        at = _space(text, end)
        if text[at : at + 1] != ":":
            raise NotJson(_words("expected ':'", text, at), at)
        at = _space(text, at + 1)
        if name == "results":
            found = None  # of two with this name the last one counts
        if name == "results" and text[at : at + 1] == "[":
            found, end = _elements(text, at)
        else:
            _, end = _value(text, at)
        at = _space(text, end)
        mark = text[at : at + 1]
        if mark == "}":
            return found, at + 1
        if mark != ",":
            raise NotJson(_words("expected ',' or '}'", text, at), at)
        at = _space(text, at + 1)


def _skip(text: str, start: int) -> int:
    """Return the end of a value too deep for a recursive parser: its brackets are matched one by one."""
    open_brackets: list[str] = []
    for token in _TOKEN.finditer(text, start):
        mark = token.group()
        if mark in _CLOSING:
            open_brackets.append(_CLOSING[mark])
        elif mark in ("]", "}"):
            if not open_brackets or open_brackets.pop() != mark:
                raise NotJson(f"{mark!r} closes nothing", token.start())
            if not open_brackets:
                return token.end()
        elif mark[0] != '"':
            raise NotJson(f"{mark} is not JSON", token.start())
    raise NotJson("the file ends in the middle of a value", len(text))


def _space(text: str, start: int) -> int:
    return _SPACE.match(text, start).end()  # type: ignore[union-attr]  # it matches nothing, too


def _nothing_after(text: str, end: int) -> None:
    at = _space(text, end)
    if at < len(text):
        raise NotJson("more follows after the end of the JSON value", at)


def _words(problem: str, text: str, offset: int) -> str:
    if offset >= len(text.rstrip()) or problem.startswith("Unterminated string"):
        return "the file ends in the middle of a value"
    return (problem[0].lower() + problem[1:]).removesuffix(" at")
