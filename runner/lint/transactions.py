"""Rules of transactions and sessions: what a step may not open, end, or leave behind."""

from __future__ import annotations

from runner import sqltree, treenames
from runner.lint import files
from runner.lint.resolve import into_clause
from runner.lint.source import Source
from runner.sqltree import Node, Statement

_OUTER = {"TRANS_STMT_BEGIN": "begin", "TRANS_STMT_START": "begin", "TRANS_STMT_COMMIT": "commit"}
_WORDS = {
    "TRANS_STMT_ROLLBACK": "rollback",
    "TRANS_STMT_SAVEPOINT": "savepoint",
    "TRANS_STMT_RELEASE": "release",
    "TRANS_STMT_ROLLBACK_TO": "rollback to",
    "TRANS_STMT_PREPARE": "prepare transaction",
    "TRANS_STMT_COMMIT_PREPARED": "commit prepared",
    "TRANS_STMT_ROLLBACK_PREPARED": "rollback prepared",
}
_HOLD = 0x0020
_SESSION_LOCKS = ("pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared")


def check(source: Source) -> None:
    """Report transaction control, statements that need to be alone, and session state that stays."""
    _control(source)
    for statement in source.statements:
        node = statement.node
        if source.file is None or source.file.in_transaction:
            _alone(source, statement)
        handler = _HANDLERS.get(node.kind)
        if handler is not None:
            handler(source, statement)
    _temporaries(source)
    for part in source.script.parts:
        for call in part.calls:
            _call(source, call)


def _control(source: Source) -> None:
    """Report each transaction statement but an outer pair of begin and commit without modes."""
    statements = source.statements
    outer: set[int] = set()
    if len(statements) > 2 and _is_outer(statements[0], "begin") and _is_outer(statements[-1], "commit"):
        outer = {0, len(statements) - 1}
    control = [(i, s) for i, s in enumerate(statements) if s.node.kind == "TransactionStmt" and i not in outer]
    if source.file is not None and not source.file.in_transaction and len(statements) > 1:
        message = f"'transaction: off' allows one statement, and there are {len(statements)}"
        source.report_at("transaction-control", source.first_token(statements[1]), message)
        return
    for number, statement in control:
        word = _WORDS.get(statement.node["kind"]) or _OUTER.get(statement.node["kind"], "transaction control")
        if word == "begin" and statement.node.options:
            message = "'begin' with modes: the runner's own transaction would not have them"
        elif len(control) == 1 and not outer and word in ("begin", "commit"):
            partner = "commit" if word == "begin" else "begin"
            edge = number in (0, len(statements) - 1)
            message = f"'{word}' without its '{partner}'" if edge else f"'{word}' in the middle of the file"
        elif _is_outer(statement, "begin") and number == 0 and len(control) == 2 and not outer:
            message = "statements stand after the outer 'commit;': all of a step is one transaction"
        else:
            message = f"transaction control: {word}"
        source.report_at("transaction-control", source.first_token(statement), message)


def _is_outer(statement: Statement, word: str) -> bool:
    node = statement.node
    return node.kind == "TransactionStmt" and _OUTER.get(node["kind"]) == word and not node.options and not node.chain


def _alone(source: Source, statement: Statement) -> None:
    """Report what PostgreSQL refuses inside a transaction block."""
    node = statement.node
    kind = node.kind
    what = _ALONE.get(kind)
    if kind == "VacuumStmt":
        what = "vacuum" if node.is_vacuumcmd else None
    elif kind in ("IndexStmt", "DropStmt"):
        concurrently = "create index concurrently" if kind == "IndexStmt" else "drop index concurrently"
        what = concurrently if node.concurrent else None
    elif kind == "ReindexStmt":
        concurrent = any(option.defname == "concurrently" for option in node.params or ())
        what = "reindex concurrently" if concurrent else None
        if node["kind"] in ("REINDEX_OBJECT_DATABASE", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_SCHEMA"):
            what = "reindex of a database or schema"
    elif kind == "ClusterStmt":
        what = "cluster of all tables" if node.relation is None else None
    elif kind == "DiscardStmt":
        what = "discard all" if node.target == "DISCARD_ALL" else None
    elif kind == "AlterTableStmt":
        for command in node.cmds or ():
            if command.subtype == "AT_DetachPartition" and (command.get("def") or Node()).concurrent:
                what = "detach partition concurrently"
    elif kind == "VariableSetStmt" and node.name == "TRANSACTION":
        names = {option.defname for option in node.args or () if isinstance(option, Node) and option.kind == "DefElem"}
        what = "set transaction isolation level" if "transaction_isolation" in names else None
        if what:
            source.report_at(
                "transaction-control",
                source.first_token(statement),
                "the isolation level can only be set before the first statement, and the runner has sent some",
            )
            return
    if what:
        source.report_at("not-in-transaction", source.first_token(statement), f"{what} cannot run inside a transaction")


_ALONE = {
    "CreatedbStmt": "create database",
    "DropdbStmt": "drop database",
    "CreateTableSpaceStmt": "create tablespace",
    "DropTableSpaceStmt": "drop tablespace",
    "AlterSystemStmt": "alter system",
    "CreateSubscriptionStmt": "create subscription",
    "DropSubscriptionStmt": "drop subscription",
}


def _set(source: Source, statement: Statement) -> None:
    node = statement.node
    if node.is_local or node.name in ("TRANSACTION", "TRANSACTION SNAPSHOT"):
        return
    name = {"SESSION CHARACTERISTICS": "the session's transactions"}.get(node.name or "", node.name or "all settings")
    word = "reset" if str(node["kind"]).startswith("VAR_RESET") else "set"
    extra = "" if word == "set" else " for the whole session"
    source.report_at(
        "session-setting", source.first_token(statement), f"'{word}' changes {name} beyond the transaction{extra}"
    )


def _copy(source: Source, statement: Statement) -> None:
    if not statement.node.filename:
        source.report_at("client-copy", source.first_token(statement), files.CLIENT_COPY)


def _prepare(source: Source, statement: Statement) -> None:
    message = f"the prepared statement '{statement.node.name}' stays in the session"
    source.report_at("session-object", source.first_token(statement), message)


def _cursor(source: Source, statement: Statement) -> None:
    if statement.node.get("options", 0) & _HOLD:
        message = f"the cursor '{statement.node.portalname}' is held beyond the transaction"
        source.report_at("session-object", source.first_token(statement), message)


def _listen(source: Source, statement: Statement) -> None:
    source.report_at("session-object", source.first_token(statement), "'listen' stays in the session")


_HANDLERS = {
    "VariableSetStmt": _set,
    "CopyStmt": _copy,
    "PrepareStmt": _prepare,
    "DeclareCursorStmt": _cursor,
    "ListenStmt": _listen,
}


def _temporaries(source: Source) -> None:
    """Report temporary relations that are neither dropped on commit nor by the file."""
    made = {id(temporary.node): temporary for temporary in source.script.made}
    for statement in source.statements:
        node = statement.node
        into = node.into if node.kind == "CreateTableAsStmt" else into_clause(node)
        relation, ends = None, False
        if into is not None:
            relation, ends = into.rel, into.onCommit == "ONCOMMIT_DROP"
        elif node.kind == "CreateStmt":
            relation, ends = node.relation, node.oncommit == "ONCOMMIT_DROP"
        elif node.kind == "ViewStmt":
            relation = node.view
        elif node.kind == "CreateSeqStmt":
            relation = node.sequence
        if relation is None or ends or not treenames.is_temporary(relation):
            continue
        temporary = made.get(id(relation))
        if temporary is None or temporary.stays:
            source.report("temporary-table", relation, f"'{relation.relname}' stays in the session after the commit")


def _call(source: Source, call: Node) -> None:
    name = sqltree.function(call)
    if name == "set_config" and len(call.args or ()) == 3 and sqltree.constant(call.args[2]) in ("false", "f"):
        setting = sqltree.constant(call.args[0]) or "a setting"
        source.report("session-setting", call, f"set_config(…, false) changes {setting} beyond the transaction")
    elif name in _SESSION_LOCKS:
        source.report("session-object", call, f"{name}() locks for the session, not the transaction")
