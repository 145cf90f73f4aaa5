"""What a step reads and writes in blocks and functions, which its statements do not show.

As the server's catalogue has them. A statement that a block puts together itself is not seen, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from runner import plpgsql, sqltree, treenames
from runner.database import Connection
from runner.plpgsql import Body
from runner.sqltree import Node
from runner.treenames import Relations

# Statements that do something to a table as a whole.
_WHOLE = {"AlterTableStmt", "ClusterStmt", "CreateTrigStmt", "DropStmt", "ReindexStmt", "RenameStmt", "TruncateStmt"}

_FUNCTIONS = """
select proc.proname::text, language.lanname::text, pg_get_functiondef(proc.oid)
from pg_proc as proc
inner join pg_language as language on language.oid = proc.prolang
inner join pg_namespace as namespace on namespace.oid = proc.pronamespace
where namespace.nspname not in ('pg_catalog', 'information_schema')
    and proc.prokind in ('f', 'p')
    and not exists (

        select
        from pg_depend
        where classid = 'pg_proc'::regclass and objid = proc.oid and deptype = 'e'

    )
"""


@dataclass(frozen=True)
class Hidden:
    """The tables that are read and written out of sight; `unclear` is why there may be more.

    `emptied` are the bare names of those that are truncated, altered or dropped, see `changes.watch`.
    """

    relations: Relations = field(default_factory=Relations)
    unclear: str = ""
    emptied: frozenset[str] = frozenset()

    def __or__(self, other: Hidden) -> Hidden:
        return Hidden(self.relations | other.relations, self.unclear or other.unclear, self.emptied | other.emptied)


class Catalog:
    """The functions of a database, but for the server's own and those of extensions."""

    def __init__(self, connection: Connection) -> None:
        self._functions: dict[str, list[tuple[str, str]]] = {}
        for name, language, text in connection.execute(_FUNCTIONS.encode()):
            self._functions.setdefault(name, []).append((language, text))

    def of(self, node: Node) -> Hidden:
        """Return what a block does, or the functions that a statement calls."""
        if node.kind != "DoStmt":
            return self._of_calls(node, set())
        options = {option.defname: option.arg for option in node.args}
        language = options.get("language", "plpgsql").lower()
        return self._of_body(partial(plpgsql.of_block, options["as"]), language, "a block", set())

    def _of_calls(self, node: Node, seen: set[str]) -> Hidden:
        found = Hidden()
        for name in sorted({call.funcname[-1] for call in sqltree.walk(node) if call.kind == "FuncCall"} - seen):
            seen.add(name)
            for language, text in self._functions.get(name, ()):
                found |= self._of_body(partial(_of_function, text), language, f"{name}()", seen)
        return found

    def _of_body(self, read: Callable[[], Body], language: str, who: str, seen: set[str]) -> Hidden:
        if language not in ("sql", "plpgsql"):
            return Hidden(unclear=f"{who} is written in {language}")
        try:
            body = read()
        except sqltree.NotSql as error:
            return Hidden(unclear=f"{who} has what the parser cannot read ({error.message})")
        found = Hidden(unclear=f"{who} builds its statements itself (execute)" if body.builds else "")
        for node in body.nodes:
            found |= self._of_calls(node, seen)
        return found | _of_nodes(body.nodes)


def _of_function(text: str) -> Body:
    (statement,) = sqltree.parse(text)
    return plpgsql.of_function(statement.node, text) or Body((), False)


def _of_nodes(nodes: Iterable[Node]) -> Hidden:
    """Return what statements name that run one after the other, their temporary tables left out once they are made."""
    found, own = Hidden(), frozenset[str]()
    for node in nodes:
        each = treenames.relations(node)
        own |= treenames.made_temporary(node)
        whole = _named(node) if node.kind in _WHOLE else frozenset()
        found |= Hidden(Relations(each.reads - own, (each.writes | each.made | whole) - own), "", _bare(whole - own))
    return found


def _named(node: Node) -> frozenset[str]:
    """Return the tables that a statement names which does something to them as a whole."""
    if node.kind == "DropStmt":
        return frozenset(treenames.dropped(node))
    return frozenset(treenames.table(each) for each in sqltree.walk(node) if each.kind == "RangeVar")


def _bare(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.rpartition(".")[2] for name in names)
