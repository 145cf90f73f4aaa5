"""What a step reads and writes in blocks and functions, which its statements do not show.

As the server's catalogue has them. A statement that a block puts together itself is not seen, and that is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runner import sqltext
from runner.database import Connection

_NAME = r'((?:"[^"]+"|[^\W\d][\w$]*)(?: \. (?:"[^"]+"|[^\W\d][\w$]*))?)'
_WRITE = re.compile(
    r"\b(?:insert into|merge into|delete from|update|truncate(?: table)?|copy|create table(?: if not exists)?|"
    rf"drop table(?: if exists)?|alter table(?: if exists)?)(?: only)? {_NAME}((?: , {_NAME})*)",
    re.I,
)

_PLAIN = re.compile(r"[^\W\d][\w$]*")
_WHOLE = {"truncate", "alter", "drop"}
_TELLING = ("word", "quoted", "number", "open", "close", "end", "other")


@dataclass(frozen=True)
class Hidden:
    """Names that may be of tables: those written, and `words` that stand anywhere; `unclear` is why there may be more.

    `emptied` are words of the texts that truncate, alter or drop something.
    """

    writes: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    unclear: str = ""
    emptied: frozenset[str] = frozenset()

    def __or__(self, other: Hidden) -> Hidden:
        return Hidden(
            self.writes | other.writes,
            self.words | other.words,
            self.unclear or other.unclear,
            self.emptied | other.emptied,
        )


class Catalog:
    """The functions of a database, but for the server's own and those of extensions."""

    def __init__(self, connection: Connection) -> None:
        self._functions: dict[str, list[tuple[str, str]]] = {}
        for name, language, body in connection.execute(
            "select proc.proname::text, language.lanname::text,"
            " coalesce(pg_get_function_sqlbody(proc.oid), proc.prosrc)"
            " from pg_proc as proc inner join pg_language as language on language.oid = proc.prolang"
            " inner join pg_namespace as namespace on namespace.oid = proc.pronamespace"
            " where namespace.nspname not in ('pg_catalog', 'information_schema') and not exists ("
            "select from pg_depend where classid = 'pg_proc'::regclass and objid = proc.oid and deptype = 'e')"
        ):
            self._functions.setdefault(name, []).append((language, body))

    def of_block(self, text: str, language: str = "plpgsql") -> Hidden:
        """Return what the body of a `do` does, and the functions that it calls."""
        return self._of_body(language, text, "a block", set())

    def of_calls(self, names: Iterable[str]) -> Hidden:
        """Return what the functions among `names` do."""
        found = Hidden()
        for name in sorted(names):
            found |= self._of_function(name, set())
        return found

    def _of_function(self, name: str, seen: set[str]) -> Hidden:
        found = Hidden()
        if name not in seen:
            seen.add(name)
            for language, body in self._functions.get(name, ()):
                found |= self._of_body(language, body, f"{name}()", seen)
        return found

    def _of_body(self, language: str, text: str, who: str, seen: set[str]) -> Hidden:
        if language not in ("sql", "plpgsql"):
            return Hidden(unclear=f"{who} is written in {language}")
        words = frozenset(word for word in _words(text) if _PLAIN.fullmatch(word))
        builds = language == "plpgsql" and "execute" in words
        unclear = f"{who} builds its statements itself (execute)" if builds else ""
        found = Hidden(frozenset(_written(text)), words, unclear, words if words & _WHOLE else frozenset())
        for word in sorted(words & set(self._functions)):
            found |= self._of_function(word, seen)
        return found


def _written(text: str) -> Iterator[str]:
    """Yield the names that follow the words of a statement that writes."""
    plain = " ".join(text[start:stop] for kind, start, stop in sqltext.tokens(text) if kind in _TELLING)
    for match in _WRITE.finditer(" ".join(plain.split())):
        for name in (match[1], *match[2].split(" , ")):
            if name:
                yield name.replace(" ", "")


def _words(text: str) -> set[str]:
    """Return the names and key words of a text; quoted names as they are, others in lower case."""
    found = set()
    for kind, start, stop in sqltext.tokens(text):
        if kind == "word":
            found.add(text[start:stop].lower())
        elif kind == "quoted":
            found.add(text[start + 1 : stop - 1].replace('""', '"'))
    return found
