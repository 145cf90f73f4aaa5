"""What a statement writes: the table after `insert into`, `update`, `delete from`, … and its columns. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.places.fragment import Fragment, Token

_TWO = {
    ("insert", "into"),
    ("delete", "from"),
    ("merge", "into"),
    ("alter", "table"),
    ("materialized", "view"),
}
_NAMES = ("word", "quoted")


@dataclass
class Target:
    """A table that is written, where its name stands, and where those of its columns that are named."""

    table: str
    offset: int
    columns: dict[str, int] = field(default_factory=dict)


def read(fragment: Fragment) -> list[Target]:
    """Return what a fragment writes, in the order in which it stands there."""
    tokens = fragment.tokens
    found: list[Target] = []
    for index, token in enumerate(tokens[:-1]):
        following = tokens[index + 1]
        before = tokens[index - 1].text if index else ""
        if token.kind != "word":
            continue
        if (token.text, following.text) in _TWO:
            target, after = _name(tokens, index + 2)
            if target is not None:
                found.append(target)
                if token.text == "insert":
                    target.columns = _inserted(tokens, after)
        elif token.text == "update" and following.kind in _NAMES and before not in ("for", "key", "do", "then", "or"):
            if following.text == "set":
                continue
            target, after = _name(tokens, index + 1)
            if target is not None:
                found.append(target)
                target.columns = _assigned(tokens, after)
        elif (token.text, following.text, before) == ("insert", "(", "then") and found:
            found[-1].columns.update(_inserted(tokens, index + 1))
        elif token.text == "set" and before == "update" and found:
            # `on conflict do update set`, `when matched then update set`
            for name, offset in _assigned(tokens, index).items():
                found[-1].columns.setdefault(name, offset)
        elif token.text in ("copy", "truncate", "lock") and index == 0:
            target, _ = _name(tokens, index + 1)
            found += [target] if target is not None else []
    return found


def written(fragment: Fragment, table: str = "") -> list[int]:
    """Return where the names of written tables stand; of those called `table`, where there are such."""
    targets = read(fragment)
    named = [target.offset for target in targets if target.table == table]
    return named or [target.offset for target in targets]


def columns(fragment: Fragment, table: str, names: list[str]) -> list[int]:
    """Return where the first of the columns `names` of `table` is written that stands in a statement by name."""
    for name in names:
        found = [target.columns[name] for target in read(fragment) if target.table == table and name in target.columns]
        if found:
            return found
    return []


def only_column(fragment: Fragment) -> list[int]:
    """Return the place of the only column that is written, where there is only one."""
    places = [offset for target in read(fragment) for offset in target.columns.values()]
    return places if len(places) == 1 else []


def _name(tokens: list[Token], index: int) -> tuple[Target | None, int]:
    """Return the table whose name begins at `index`, and the index behind it."""
    while index < len(tokens) and tokens[index].text in ("only", "table", "if", "exists"):
        index += 1
    if index >= len(tokens) or tokens[index].kind not in _NAMES:
        return None, index
    start = tokens[index].offset
    while index + 2 < len(tokens) and tokens[index + 1].text == ".":
        index += 2
    return Target(tokens[index].text, start), index + 1


def _inserted(tokens: list[Token], index: int) -> dict[str, int]:
    """Return the columns in the list behind the table's name and alias."""
    if index < len(tokens) and tokens[index].text == "as":
        index += 2
    if index + 1 >= len(tokens) or tokens[index].text != "(" or tokens[index + 1].text in ("select", "with", "values"):
        return {}
    found = {}
    for token in tokens[index + 1 :]:
        if token.depth == tokens[index].depth:
            break
        if token.kind in _NAMES:
            found[token.text] = token.offset
    return found


def _assigned(tokens: list[Token], index: int) -> dict[str, int]:
    """Return the columns that the `set` at or behind `index` gives values to."""
    depth = tokens[index - 1].depth
    found: dict[str, int] = {}
    started = named = False
    for token in tokens[index:]:
        ends = started and token.depth == depth and token.text in ("from", "where", "returning", "when")
        if token.depth < depth or ends:
            break
        if token.depth == depth and token.text == "set":
            started, named = True, True
        elif started and token.depth == depth and token.text == "=":
            named = False
        elif started and token.depth == depth and token.text == ",":
            named = True
        elif started and named and token.kind in _NAMES:
            found.setdefault(token.text, token.offset)
    return found
