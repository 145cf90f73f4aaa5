"""SQL text as far as the runner must understand it: where statements begin and end.

Quotes, dollar quotes, comments (which nest), parentheses and `begin atomic` bodies are
respected, after https://www.postgresql.org/docs/current/sql-syntax-lexical.html.
Positions are 0-based character offsets into the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<line>--[^\n]*)
  | (?P<block>/\*)
  | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*'(?!'))
  | (?P<string>'(?:[^']|'')*'(?!'))
  | (?P<quoted>"(?:[^"]|"")*"(?!"))
  | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<number>\d[\w.]*)
  | (?P<open>[(\[])
  | (?P<close>[)\]])
  | (?P<end>;)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTES = {"'": "quoted string", '"': "quoted name"}
_DOLLAR_QUOTE = re.compile(r"\$(?:[^\W\d]\w*)?\$")
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')
COMMENTS = ("space", "line", "block")


@dataclass(frozen=True)
class Statement:
    """One statement: its text without the closing semicolon, from its first token on."""

    text: str
    start: int
    words: tuple[str, ...]
    """The statement's first words, in lower case, up to four."""


@dataclass(frozen=True)
class Location:
    """A place in a text: 1-based line and column, and the line itself."""

    line: int
    column: int
    source: str


def locate(text: str, offset: int) -> Location:
    """Return where the character at `offset` stands."""
    offset = max(0, min(offset, len(text)))
    start = text.rfind("\n", 0, offset) + 1
    stop = text.find("\n", offset)
    return Location(text.count("\n", 0, offset) + 1, offset - start + 1, text[start : len(text) if stop < 0 else stop])


def tokens(text: str) -> list[tuple[str, int, int]]:
    """Return (kind, start, stop) of every token, `COMMENTS` included; an unclosed comment runs to the end."""
    found = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match is not None  # the last alternative takes any character
        kind, start, position = str(match.lastgroup), position, match.end()
        if kind == "tag":
            kind = "dollar"
        if kind == "block":
            depth = 1
            while depth:
                edge = _BLOCK_EDGE.search(text, position)
                if edge is None:
                    position = len(text)
                    break
                depth += 1 if edge.group() == "/*" else -1
                position = edge.end()
        found.append((kind, start, position))
    return found


def split(text: str) -> list[Statement]:
    """Return the statements of `text`, without empty ones."""
    statements: list[Statement] = []
    words: list[str] = []
    start = stop = None
    depth = body = 0
    previous = ""
    for kind, begin, end in tokens(text):
        if kind in COMMENTS:
            continue
        if kind == "end" and depth <= 0 and body == 0:
            if start is not None and stop is not None:
                statements.append(Statement(text[start:stop], start, tuple(words)))
            words, start, stop, depth, previous = [], None, None, 0, ""
            continue
        start = begin if start is None else start
        stop = end
        depth += (kind == "open") - (kind == "close")
        word = text[begin:end].lower() if kind == "word" else ""
        if word:
            if len(words) < 4:
                words.append(word)
            if body or words[0] == "create":
                # The body of a function in standard SQL holds statements of its own.
                body += (previous == "begin" and word == "atomic") or (body > 0 and word == "case")
                body -= body > 0 and word == "end"
        previous = word
    if start is not None and stop is not None:
        statements.append(Statement(text[start:stop], start, tuple(words)))
    return statements


def unterminated(text: str) -> tuple[int, str] | None:
    """Return where a quote or comment begins that never ends, and what it is."""
    for kind, start, stop in tokens(text):
        begins = text[start:stop]
        if kind == "word" and begins in ("e", "E") and text[stop : stop + 1] == "'":
            return start, _QUOTES["'"]  # or it would be one token
        if kind == "other" and begins in _QUOTES:
            return start, _QUOTES[begins]
        if kind == "other" and _DOLLAR_QUOTE.match(text, start):
            return start, "dollar-quoted string"
        if kind == "block" and not _is_closed(begins):
            return start, "comment"
    return None


def _is_closed(comment: str) -> bool:
    edges = [edge.group() for edge in _BLOCK_EDGE.finditer(comment, 2)]
    return edges.count("*/") == edges.count("/*") + 1


def normalise(text: str) -> str:
    """Return `text` with comments dropped and white space folded: what counts for a checksum."""
    return " ".join(text[start:stop] for kind, start, stop in tokens(text) if kind not in COMMENTS)


def copies_to_client(statement: Statement) -> bool:
    """Tell whether this is a `copy` that reads from its client, or writes to it."""
    if statement.words[:1] != ("copy",):
        return False
    depth, previous = 0, ""
    for kind, begin, end in tokens(statement.text):
        if kind in COMMENTS:
            continue
        depth += (kind == "open") - (kind == "close")
        word = statement.text[begin:end].lower() if kind == "word" and depth == 0 else ""
        if (previous, word) in (("from", "stdin"), ("to", "stdout")):
            return True
        previous = word
    return False


def find_operators(statement: Statement, operators: tuple[str, ...]) -> list[int]:
    """Return the offsets in the file of these one-character operators, outside strings and comments."""
    return [
        statement.start + begin
        for kind, begin, end in tokens(statement.text)
        if kind == "other" and statement.text[begin:end] in operators
    ]


def parts(name: str) -> tuple[str, ...]:
    """Return the parts of a name as SQL writes it, `"Mart".prices`: what is quoted as it is, the rest in lower case."""
    found = _PART.findall(name)
    return tuple(plain.strip().lower() if plain else quoted.replace('""', '"') for quoted, plain in found)
