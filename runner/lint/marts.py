"""Rules of marts: what cannot be refreshed, and what would be another mart at each refresh."""

from __future__ import annotations

from runner import mart, sqltree
from runner.errors import ConfigError
from runner.lint import evidence
from runner.lint.model import function
from runner.lint.source import Source, refusal
from runner.lint.values import LISTS, RANDOM, is_unordered
from runner.sqltree import Node

_SETTING = "current_setting"


def check(source: Source) -> None:
    """Report what is wrong in a mart, but for the names it uses."""
    if source.file is not None and source.statements and not source.has("transaction-control", "not-in-transaction"):
        try:
            mart.of(source.file)
        except ConfigError as error:
            source.report_at("bad-mart", *refusal(source, error))
    for statement in source.statements:
        if statement.node.kind == "CreateTableAsStmt":
            for node in sqltree.walk(statement.node):
                _check_value(source, node)


def _check_value(source: Source, node: Node) -> None:
    name = function(node)
    if name in RANDOM:
        source.report("volatile-value", node, f"{name}() makes other rows at each refresh")
    elif name in evidence.CLOCKS:
        source.report("clock-in-data", node, "the rows of the mart depend on when it is refreshed")
    elif name == _SETTING:
        source.report("bad-mart", node, "a mart is of all days: when it is refreshed, no setting of a day's is there")
    elif name in LISTS and is_unordered(node):
        source.report("aggregate-order", node, f"{name} puts the mart together in the order of the plan")
