"""Marts made and made anew: beside the old one, which readers have until it is exchanged in a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner import database, diagnosis, limits, marts
from runner.errors import ConfigError, MartFailed, RunnerError
from runner.mart import Mart
from runner.marts import State

if TYPE_CHECKING:
    import psycopg

    from runner.sqltext import Statement

# Seconds to wait for another run that makes or refreshes marts, and for readers of an old one to leave it.
_PATIENCE = 300.0
_READERS = 60.0
# Who asks for a mart's lock keeps new readers waiting behind, so it asks for no longer than this.
_MOMENT = "200ms"
_NOT_ALLOWED, _HAS_DEPENDENTS, _LOCKED = "42501", "2BP01", "55P03"


def migrate(
    connection: database.Connection,
    pipeline: str,
    wanted: Sequence[Mart],
    attempts: int = 1,
    log: Callable[[str], None] = lambda _: None,
    flow_run_id: str | None = None,
) -> list[str]:
    """Make the marts that are not there and make those anew whose text has changed; return their file ids.

    `connection` is in autocommit mode. All are made in one transaction, with their rows, in a schema of their own,
    and exchanged for the old ones in its last moment. A mart that reads a changed one is made anew with it. Raises
    MartFailed for one that cannot be made, ConfigError where the role may not; nothing is changed then. `log` is
    told of marts that the code no longer has, and of attempts that failed on faults that may pass.
    """
    known = marts.states(connection, pipeline, wanted)
    for name in marts.left_behind(wanted, known):
        log(
            f"warning: the mart {name} is refreshed no more: no file makes it. "
            f"Restore it, or take it away: drop materialized view {name}"
        )
    if not marts.pending(wanted, known):
        return []
    for attempt, pause in enumerate([*database.backoff(attempts), None], 1):
        try:
            return _Making(connection, pipeline, wanted, flow_run_id).run()
        except MartFailed as error:
            if pause is None or not error.transient or connection.closed:
                raise
            log(f"marts: attempt {attempt} of {attempts} failed ({error.message}); again in {pause:.1f} s")
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


class _Making:
    """One transaction that makes marts."""

    def __init__(
        self, connection: database.Connection, pipeline: str, wanted: Sequence[Mart], flow_run_id: str | None
    ) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self._wanted = wanted
        self._flow_run_id = flow_run_id
        self._schema = ""

    def run(self) -> list[str]:
        import psycopg

        connection = self._connection
        self._begin()
        try:
            known = marts.states(connection, self._pipeline, self._wanted)
            pending = self._with_readers(marts.pending(self._wanted, known), known)
            if not pending:  # another run was quicker
                connection.execute("rollback")
                return []
            # The process that a pooler names is none of the server's.
            (home, pid) = connection.execute("select current_schema(), pg_backend_pid()").fetchone()
            # Nobody ever sees it: it is gone before the commit.
            self._schema = f"runner_marts_{pid}"
            took = self._build(pending, known)
            self._exchange(pending, known, home)
            self._record(pending, took)
            connection.execute("commit")
        except psycopg.Error as error:
            raise _failed(pending[0] if len(pending) == 1 else None, None, error) from error
        finally:
            if not connection.closed and connection.info.transaction_status:
                connection.execute("rollback")
        return [mart.id for mart in pending]

    def _begin(self) -> None:
        """Open the transaction, in which nobody else makes or refreshes marts of the pipeline."""
        deadline = time.monotonic() + _PATIENCE
        pause = 0.02
        while True:
            # What is looked at below is looked at after the lock is there.
            self._connection.execute("begin isolation level read committed")
            database.set_local(self._connection, database.BRIEF)
            if database.try_lock(self._connection, exclusive=f"marts:{self._pipeline}"):
                return
            self._connection.execute("rollback")
            if time.monotonic() > deadline:
                raise MartFailed(
                    f"another run has been making or refreshing marts for {_PATIENCE:.0f} s",
                    hint="See who it is in pg_stat_activity: application_name starts with 'runner'.",
                )
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def _with_readers(self, pending: list[Mart], known: Mapping[str, State]) -> list[Mart]:
        """Return `pending` with the marts that read one of them: the old ones would go on reading the old one."""
        oids = {mart.name: oid for mart in self._wanted if (oid := known[mart.name].oid) is not None}
        names = {mart.name for mart in pending}
        read = marts.reads(self._connection, oids) if oids else {}
        return [mart for mart in self._wanted if mart.name in names or read.get(mart.name, frozenset()) & names]

    def _build(self, pending: Sequence[Mart], known: Mapping[str, State]) -> dict[str, float]:
        """Make the marts in the schema of their own, each with its owner, rights and comments; return the seconds."""
        import psycopg

        took = {}
        connection = self._connection
        self._run(f"create schema {self._schema}")
        # First for what is made and for the new marts that others read, then for all else.
        connection.execute(
            "select set_config('search_path', concat_ws(', ', %s::text, nullif(current_setting('search_path'), '')),"
            " true)",
            (self._schema,),
        )
        for mart in pending:
            started = time.perf_counter()
            database.set_local(
                connection,
                {"statement_timeout": f"{mart.file.timeout}ms", "lock_timeout": f"{mart.file.lock_timeout}ms"},
            )
            for number, statement in enumerate(mart.file.statements):
                try:
                    connection.execute(statement.text.encode())
                    if number == 0 and known[mart.name].oid is not None:
                        # Before the file's own comments and grants, which come on top.
                        self._inherit(mart, known[mart.name])
                except psycopg.Error as error:
                    raise _failed(mart, statement, error) from error
            took[mart.name] = round(time.perf_counter() - started, 6)
        return took

    def _inherit(self, mart: Mart, old: State) -> None:
        """Give the new mart the owner, privileges and comments of the old one."""
        for (statement,) in self._connection.execute(
            _INHERITANCE, {"old": old.oid, "schema": self._schema, "name": mart.name}
        ).fetchall():
            self._run(statement)

    def _exchange(self, pending: Sequence[Mart], known: Mapping[str, State], home: str | None) -> None:
        """Drop the old marts and put the new ones into their place; give way to readers in between."""
        import psycopg
        from psycopg import sql

        connection = self._connection
        old = [known[mart.name].oid for mart in pending if known[mart.name].oid is not None]
        homes = dict(
            connection.execute(
                "select relname::text, nspname::text from pg_class inner join pg_namespace"
                " on pg_namespace.oid = relnamespace where pg_class.oid = any(%s::oid[])",
                (old,),
            ).fetchall()
        )
        database.set_local(connection, {"lock_timeout": _MOMENT, "statement_timeout": "0"})
        if homes:
            names = sql.SQL(", ").join(sql.Identifier(schema, name) for name, schema in homes.items())
            deadline = time.monotonic() + _READERS
            while True:
                connection.execute("savepoint runner_exchange")
                try:
                    connection.execute(sql.SQL("drop materialized view {}").format(names))
                    break
                except psycopg.Error as error:
                    if error.sqlstate == _HAS_DEPENDENTS:
                        raise _has_dependents(error) from error
                    if error.sqlstate != _LOCKED or time.monotonic() > deadline:
                        raise
                connection.execute("rollback to savepoint runner_exchange")
                time.sleep(0.3)
        for mart in pending:
            connection.execute(
                sql.SQL("alter materialized view {} set schema {}").format(
                    sql.Identifier(self._schema, mart.name), sql.Identifier(homes.get(mart.name) or home or "public")
                )
            )
        self._run(f"drop schema {self._schema}")

    def _record(self, pending: Sequence[Mart], took: Mapping[str, float]) -> None:
        for mart in pending:
            self._connection.execute(
                "insert into runner_marts (pipeline, name, checksum, refreshed_at, flow_run_id, seconds)"
                " values (%s, %s, %s, now(), %s, %s) on conflict (pipeline, name) do update"
                " set checksum = excluded.checksum, made_at = excluded.made_at, refreshed_at = excluded.refreshed_at,"
                " flow_run_id = excluded.flow_run_id, day = null, seconds = excluded.seconds",
                (self._pipeline, mart.name, mart.checksum, self._flow_run_id, took[mart.name]),
            )

    def _run(self, statement: str) -> None:
        self._connection.execute(statement.encode())


# The statements that give a new mart what the old one has.
_INHERITANCE = """
    with marts as (

        select
            old.oid as old_oid,
            new.oid as new_oid,
            old.relowner,
            old.relowner <> new.relowner as is_others,
            format('%%I.%%I', %(schema)s::text, %(name)s::text) as shown,
            old.relacl as old_acl,
            new.relacl as new_acl
        from pg_class as old
        inner join pg_class as new
            on new.oid = to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text))
        where old.oid = %(old)s

    ),

    columns as (

        select old.attname, old.attacl, old.attnum as old_number
        from marts
        inner join pg_attribute as old on old.attrelid = old_oid and old.attnum > 0
        inner join pg_attribute as new on new.attrelid = new_oid and new.attnum > 0 and new.attname = old.attname

    ),

    statements (place, text) as (

        -- What default privileges gave the new one the old one need not have.
        select 1, format('revoke all on %%s from %%s', shown, who)
        from marts, aclexplode(new_acl), lateral (select %(grantee)s as who) as named
        where grantee <> (select relowner from pg_class where oid = new_oid)

        union all

        select 2, format('grant %%s on %%s to %%s%%s', privilege_type, shown, who, %(option)s)
        from marts, aclexplode(old_acl), lateral (select %(grantee)s as who) as named
        where grantee <> relowner

        union all

        select 2, format('grant %%s (%%I) on %%s to %%s%%s', privilege_type, attname, shown, who, %(option)s)
        from marts, columns, aclexplode(attacl), lateral (select %(grantee)s as who) as named

        union all

        select 3, format('comment on materialized view %%s is %%L', shown, obj_description(old_oid, 'pg_class'))
        from marts
        where obj_description(old_oid, 'pg_class') is not null

        union all

        select 3, format('comment on column %%s.%%I is %%L', shown, attname, col_description(old_oid, old_number))
        from marts, columns
        where col_description(old_oid, old_number) is not null

        union all

        -- The new owner must be allowed to have something in the schema of the moment.
        select 4, format('grant usage, create on schema %%I to %%s', %(schema)s::text, relowner::regrole)
        from marts
        where is_others

        union all

        select 5, format('alter materialized view %%s owner to %%s', shown, relowner::regrole)
        from marts
        where is_others

    )

    select text from statements order by place
""".replace("%(grantee)s", "case when grantee = 0 then 'public' else grantee::regrole::text end").replace(
    "%(option)s", "case when is_grantable then ' with grant option' else '' end"
)


def _failed(mart: Mart | None, statement: Statement | None, error: psycopg.Error) -> RunnerError:
    if mart is None:
        message, hint, what = diagnosis.primary(error), diagnosis.hint_for(error), "the marts"
    else:
        message, hint = limits.explain(error, *diagnosis.explain(mart.file, statement or mart.statement, error))
        what = f"the mart {mart.id}"
    if error.sqlstate == _NOT_ALLOWED:
        return ConfigError(
            f"the database needs {what}, and this role may not make it\n{message}",
            hint="Let a role that may do so, such as the owner of the tables, run: runner migrate",
        )
    return MartFailed(
        f"{what} could not be made; nothing is changed\n{message}", hint=hint, transient=database.is_transient(error)
    )


def _has_dependents(error: Any) -> MartFailed:
    detail = error.diag.message_detail or ""
    return MartFailed(
        f"a mart is to be made anew, and others read the old one; nothing is changed\n{detail}",
        hint="Drop what reads it, run again, and make it again; or make it a mart, too, which is made anew with it.",
    )
