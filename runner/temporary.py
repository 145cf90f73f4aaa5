"""The temporary tables and views that a step makes, and what a statement does to the tables that stay."""

from __future__ import annotations

from collections.abc import Iterable

from runner import treenames
from runner.sqltree import Node


class Temporary:
    """Those made so far, each with the tables that a change of its rows changes: none, but for a view."""

    def __init__(self) -> None:
        self._below: dict[str, frozenset[str]] = {}

    @classmethod
    def dropped(cls, nodes: Iterable[Node]) -> Temporary:
        """Return all that `nodes` make, as what drops them sees them: nothing lies below."""
        found = cls()
        for node in nodes:
            found.learn(node)
        found._below = dict.fromkeys(found._below, frozenset())
        return found

    @property
    def below(self) -> frozenset[str]:
        """The tables below all the views."""
        return self._below.get(treenames.TEMPORARY, frozenset())

    def learn(self, node: Node) -> None:
        """Take in what a statement makes."""
        for name in treenames.made_temporary(node):
            self._below[name] = frozenset()
        if makes_view(node):
            # A view may stand on another, and what it stands on is what has these names now.
            below = self.through(treenames.read(node.query))
            # All that are named with their schema are one.
            for name in (node.view.relname, treenames.TEMPORARY):
                self._below[name] = self._below.get(name, frozenset()) | below

    def hide(self, names: frozenset[str]) -> frozenset[str]:
        """Return the names without these; what is named with its schema may have been made elsewhere, and stays."""
        return names.difference(self._below.keys() - {treenames.TEMPORARY})

    def through(self, names: frozenset[str]) -> frozenset[str]:
        """Return the names, with what lies below a view in its place."""
        return self.hide(names).union(*(self._below.get(name, ()) for name in names))


def makes_view(node: Node) -> bool:
    """Return whether a statement makes a temporary view."""
    return node.kind == "ViewStmt" and treenames.is_temporary(node.view)
