"""Where in a TOML file a key stands, which the standard library's parser does not tell."""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*\[([A-Za-z0-9_.\- ]+)\]")
_PAIR = re.compile(r"\s*([A-Za-z0-9_.\-\"' ]+?)\s*=")


def line_of(text: str, key: str) -> int | None:
    """Return the 1-based line at which a declaration says `key`, such as `fields.card_id.type`; None if nowhere.

    A key within an inline table is where the outermost one stands that its line names.
    """
    table = ""
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = header[1].replace(" ", "") + "."
            said = table[:-1]
        elif pair := _PAIR.match(line):
            said = table + re.sub(r"[\s\"']", "", pair[1])
        else:
            continue
        if (key == said or key.startswith(said + ".")) and (best is None or len(said) > best[0]):
            best = len(said), number
    return best[1] if best else None
