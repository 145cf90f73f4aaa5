"""What a step reads and writes, in the end: through functions, triggers, foreign keys and views, too.

From the files alone, no server. What may happen counts as happening; what cannot be known is said
to be unclear. Names are those of tables without `public.`, and of sequences.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from runner import plpgsql, sqltree, treenames
from runner.check import Check
from runner.sqltree import Node
from runner.step import SqlFile
from runner.temporary import Temporary, makes_view

# Statements that change no table that others see, whatever else they do.
_HARMLESS = {
    "CheckPointStmt", "ClosePortalStmt", "CommentStmt", "ConstraintsSetStmt", "DeallocateStmt", "DiscardStmt",
    "ExecuteStmt", "FetchStmt", "ListenStmt", "NotifyStmt", "TransactionStmt", "UnlistenStmt", "VacuumStmt",
    "VariableShowStmt",
}  # fmt: skip
# Statements whose tables `treenames.relations` finds.
_QUERIES = {
    "CopyStmt", "CreateStmt", "CreateTableAsStmt", "DeclareCursorStmt", "DeleteStmt", "ExplainStmt", "InsertStmt",
    "MergeStmt", "PrepareStmt", "SelectStmt", "TruncateStmt", "UpdateStmt",
}  # fmt: skip
# Statements that change what a table is.
_REMAKING = {
    "AlterTableStmt",
    "CreateTrigStmt",
    "DropStmt",
    "IndexStmt",
    "LockStmt",
    "RenameStmt",
}
# Settings that make a name mean something else.
_MEANING = ("search_path", "role", "session_authorization")
_SEQUENCES = ("nextval", "setval", "currval", "lastval")


@dataclass(frozen=True)
class Effects:
    """The tables read and written; `unclear` says why there may be more, and is empty where there are not."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    unclear: str = ""

    def __or__(self, other: Effects) -> Effects:
        return Effects(self.reads | other.reads, self.writes | other.writes, self.unclear or other.unclear)

    def beside(self, own: Temporary) -> Effects:
        """Return what is left where `own` are the step's alone."""
        return Effects(own.hide(self.reads), own.through(self.writes), self.unclear)


class Schema:
    """What the schema files say that a statement does not show: functions, triggers, foreign keys, views."""

    def __init__(self, files: Iterable[SqlFile] = ()) -> None:
        self._functions: dict[str, list[tuple[Node, str]]] = {}
        """Name -> the statements that make functions of this name, and their texts."""
        self._triggers: dict[str, set[str]] = {}
        self._views: dict[str, Node] = {}
        self._materialized: dict[str, Node] = {}
        """View -> the query that fills it when it is refreshed, and only then."""
        self._referenced: dict[str, set[str]] = {}
        """Table -> the tables its foreign keys point to."""
        self._changing: dict[str, set[str]] = {}
        """Table -> the tables that a change of its rows changes (`on delete cascade`)."""
        self._family: dict[str, set[str]] = {}
        """Table -> its parents and children, whose rows are its own: partitions and `inherits`."""
        self._functions_seen: dict[str, Effects] = {}
        for file in files:
            try:
                statements = sqltree.parse(file.text)
            except sqltree.NotSql:
                continue  # the server will say so
            for statement in statements:
                self._learn(statement.node, file.text[statement.start : statement.stop])

    def _learn(self, node: Node, text: str) -> None:
        kind = node.kind
        if kind == "CreateFunctionStmt":
            name = node.funcname[-1]
            # Functions of one name count as one, which does what any of them does.
            self._functions.setdefault(name, []).append((node, text))
        elif kind == "CreateTrigStmt":
            self._triggers.setdefault(treenames.table(node.relation), set()).add(node.funcname[-1])
        elif kind == "ViewStmt":
            self._views[treenames.table(node.view)] = node.query
        elif kind == "CreateTableAsStmt":
            if node.objtype == "OBJECT_MATVIEW":
                self._materialized[treenames.table(node.into.rel)] = node.query
        elif kind in ("CreateStmt", "AlterTableStmt") and node.relation is not None:
            table = treenames.table(node.relation)
            for below in sqltree.walk(node):
                if below.kind == "Constraint" and below.pktable is not None:
                    self._learn_key(table, below)
            for child, parent, _ in treenames.parents(node):
                self._learn_relative(parent, child)

    def _learn_relative(self, parent: str, child: str) -> None:
        self._family.setdefault(parent, set()).add(child)
        self._family.setdefault(child, set()).add(parent)

    def _learn_key(self, table: str, constraint: Node) -> None:
        other = treenames.table(constraint.pktable)
        self._referenced.setdefault(table, set()).add(other)
        # 'a' is no action, 'r' restrict: the others change the rows that point here.
        actions = {constraint.fk_del_action, constraint.fk_upd_action}
        if actions & {"c", "n", "d"}:
            self._changing.setdefault(other, set()).add(table)
        else:
            self._referenced.setdefault(other, set()).add(table)

    def of_steps(self, steps: Iterable[SqlFile], checks: Iterable[Check] = ()) -> dict[str, Effects]:
        """Return step -> what it and its checks read and write, its own temporary tables left out."""
        found = {step.id: self._of_file(step) for step in steps}
        for check in checks:
            found[check.step] |= self._of_file(check.file)
        return found

    def _of_file(self, step: SqlFile) -> Effects:
        found, nodes = Effects(), []
        for statement in step.statements:
            try:
                nodes += [each.node for each in sqltree.parse(statement.text)]
            except sqltree.TooDeep as error:
                found |= Effects(unclear=f"it is {error.message}")
            except sqltree.NotSql as error:
                return Effects(unclear=f"PostgreSQL does not understand it: {error.message}")
        own, dropped = Temporary(), Temporary.dropped(nodes)
        for node in nodes:
            # A temporary table hides another from when it is made; one that is dropped before is its own of old.
            found |= self._of_statement(node).beside(dropped if node.kind == "DropStmt" else own)
            own.learn(node)
        found = self._spread(found)
        # A trigger may write through a view of the step's.
        found = self._spread(found | Effects(writes=own.through(found.writes)))
        return Effects(found.reads - {treenames.TEMPORARY}, found.writes - {treenames.TEMPORARY}, found.unclear)

    def _of_statement(self, node: Node) -> Effects:
        kind = node.kind
        if kind in _HARMLESS:
            return Effects()
        if kind == "VariableSetStmt":
            return Effects(unclear=f"it sets {node.name}" if (node.name or "").lower() in _MEANING else "")
        if kind in ("DoStmt", "CallStmt"):
            return self._of_block(node) if kind == "DoStmt" else self._of_calls(node)
        if kind == "DropStmt":
            names = frozenset(treenames.dropped(node))
            return Effects(writes=names) if names else Effects(unclear="it drops what is no table")
        if kind == "RefreshMatViewStmt":
            return self._of_refresh(treenames.table(node.relation))
        if kind in _REMAKING:
            names = frozenset(treenames.table(found) for found in sqltree.walk(node) if found.kind == "RangeVar")
            effects = Effects(reads=names, writes=names)
            return effects | self._of_call_by_trigger(node.funcname[-1]) if kind == "CreateTrigStmt" else effects
        if makes_view(node):
            return Effects(treenames.read(node.query)) | self._of_calls(node.query)
        if kind not in _QUERIES:
            return Effects(unclear=f"it has a statement of the kind {kind.removesuffix('Stmt')}")
        relations = treenames.relations(node)
        made = {treenames.plain(name) for name in relations.made} - treenames.made_temporary(node)
        effects = Effects(
            frozenset(map(treenames.plain, relations.reads)),
            frozenset([*map(treenames.plain, relations.writes), *made]),
        )
        return effects | self._of_calls(node)

    def _of_refresh(self, view: str) -> Effects:
        query = self._materialized.get(view)
        if query is None:
            return Effects(writes=frozenset([view]), unclear=f"it refreshes {view}, which no schema file makes")
        return Effects(treenames.read(query), frozenset([view])) | self._of_calls(query)

    def _of_calls(self, node: Node) -> Effects:
        found = Effects()
        for call in sqltree.walk(node):
            if call.kind == "FuncCall":
                found |= self._of_call(call)
        return found

    def _of_call(self, call: Node) -> Effects:
        name = call.funcname[-1]
        if name in self._functions:
            return self._of_function(name)
        if name in _SEQUENCES:
            text = sqltree.text_of(call.args[0]) if call.args else None
            # The numbers that a step gets depend on who asked before.
            return Effects(writes=frozenset([treenames.plain(text)])) if text else Effects(unclear=f"it calls {name}()")
        if name == "set_config":
            text = sqltree.text_of(call.args[0]) if call.args else None
            return Effects(unclear="" if text and text.lower() not in _MEANING else f"it calls {name}()")
        return Effects(
            unclear="" if name in _harmless_functions() else f"it calls {name}(), which no schema file makes"
        )

    def _of_function(self, name: str) -> Effects:
        if name not in self._functions_seen:
            self._functions_seen[name] = Effects()  # one that calls itself does what it does otherwise
            found = Effects()
            for node, text in self._functions[name]:
                found |= self._of_body(name, node, text)
            self._functions_seen[name] = found
        return self._functions_seen[name]

    def _of_body(self, name: str, node: Node, text: str) -> Effects:
        options = {option.defname: option.arg for option in node.options or ()}
        volatility = options.get("volatility", "volatile")
        try:
            body = plpgsql.of_function(node, text)
        except sqltree.NotSql as error:
            return Effects(unclear=f"it calls {name}(), which the parser cannot read ({error.message})")
        if body is None:
            effects = Effects(unclear=f"it calls {name}(), which is written in {options.get('language', 'sql')}")
        else:
            effects = self._of_parts(body, f"it calls {name}(), which")
        # PostgreSQL holds a function to it: one that is stable or immutable writes nothing.
        return effects if volatility == "volatile" else Effects(effects.reads, frozenset(), effects.unclear)

    def _of_nodes(self, nodes: Iterable[Node]) -> Effects:
        found = Effects()
        own = Temporary()
        for node in nodes:
            effects = self._of_statement(node) if node.kind != "ReturnStmt" else self._of_return(node)
            found |= effects.beside(own)
            own.learn(node)
        # A view outlives the function that makes it: who calls that may write through it.
        return found | Effects(writes=own.below)

    def _of_return(self, node: Node) -> Effects:
        return Effects(treenames.read(node)) | self._of_calls(node)

    def _of_block(self, node: Node) -> Effects:
        texts = {option.defname: option.arg for option in node.args}
        if texts.get("language", "plpgsql").lower() != "plpgsql":
            return Effects(unclear=f"it has a block in {texts['language']}")
        try:
            return self._of_parts(plpgsql.of_block(texts["as"]), "it has a block that")
        except sqltree.NotSql as error:
            return Effects(unclear=f"it has a block that the parser cannot read ({error.message})")

    def _of_parts(self, body: plpgsql.Body, who: str) -> Effects:
        builds = f"{who} builds its statements itself (execute)" if body.builds else ""
        return Effects(unclear=builds) | self._of_nodes(body.nodes)

    def _spread(self, effects: Effects) -> Effects:
        """Add what follows from the tables: a view's own, a trigger's, those of foreign keys."""
        done: set[tuple[str, bool]] = set()
        while pending := [
            (name, written)
            for written, names in ((False, effects.reads), (True, effects.writes))
            for name in names
            if (name, written) not in done
        ]:
            for name, written in pending:
                done.add((name, written))
                relatives = frozenset(self._family.get(name, ()))
                effects |= Effects(writes=relatives) if written else Effects(relatives)
                if name in self._views:
                    below = treenames.read(self._views[name])
                    effects |= Effects(below, below if written else frozenset()) | self._of_calls(self._views[name])
                if written:
                    effects |= Effects(
                        frozenset(self._referenced.get(name, ())), frozenset(self._changing.get(name, ()))
                    )
                    for function in self._triggers.get(name, ()):
                        effects |= self._of_call_by_trigger(function)
        return effects

    def _of_call_by_trigger(self, function: str) -> Effects:
        if function in self._functions:
            return self._of_function(function)
        return _unknown(f"a trigger calls {function}()")


def _unknown(what: str) -> Effects:
    return Effects(unclear=f"{what}, which no schema file makes")


@cache
def _harmless_functions() -> frozenset[str]:
    text = resources.files("runner").joinpath("sql/functions.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())
