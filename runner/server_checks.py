"""What the doctor finds about the server: its version, what the user may do there, and room for locks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from runner import config, console, database, loading, project, schema
from runner.config import Settings
from runner.database import Connection
from runner.errors import RunnerError
from runner.finding import Finding

_OLDEST = 150000

# A statement whose day is known only when it runs locks all of a table's partitions, and four sessions
# may be at all of staging. Room is what the server has, for all sessions together.
_LOCKS = """
select
    count(*),
    4 * count(*),
    current_setting('max_locks_per_transaction')::bigint
        * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint),
    current_setting('max_locks_per_transaction')::integer
from pg_inherits
inner join pg_partitioned_table as parted on parted.partrelid = inhparent
inner join pg_attribute as keys on keys.attrelid = inhparent and keys.attnum = parted.partattrs[0]
where keys.attname = 'day'
"""


def examine(url: str, settings: Settings) -> Iterator[Finding]:
    """Check that the server lets us in, is new enough, and lets us make tables."""
    with database.connect(url, "runner doctor") as connection:
        rows = connection.execute(
            "select current_setting('server_version'), current_setting('server_version_num')::integer,"
            " coalesce(has_schema_privilege(current_schema(), 'create'), false)"
        )
        ((version, number, may),) = rows
        ((partitions, wanted, room, a_transaction),) = connection.execute(_LOCKS)
        layout = _layout(connection)
        tables = _staging(settings)
        lacking = _lacking(connection, tables) if tables else []
        limits = None if may else _without_create(connection, settings, bool(tables) and not lacking)
    said = f"{version} at {database.describe(url)}"
    if number < _OLDEST:
        yield Finding("postgresql", "fail", f"{said} is too old", "Use PostgreSQL 15 or newer.")
    elif limits:
        yield replace(limits, message=f"{said}: {limits.message}")
    else:
        yield Finding("postgresql", "ok", said)
    yield from layout
    if lacking:
        said = "this user lacks rights to load"
        yield Finding("rights", "warn", said, f"Let the owner run: {'; '.join(lacking)}")
    if wanted > room:
        yield Finding(
            "locks",
            "warn",
            f"staging has {partitions:,} partitions, and its readers lock each of a table's; "
            f"the server has room for {room:,} locks",
            f"Raise max_locks_per_transaction from {a_transaction} to {-(-a_transaction * wanted // room)}, "
            "or remove days: runner prune --keep N",
        )


def _layout(connection: Connection) -> list[Finding]:
    """Return what is to be said of the layout of the runner's own tables; nothing where it is this runner's."""
    if not schema.is_readable(connection):
        return []
    try:
        pending = schema.pending_own(connection)
    except RunnerError as error:
        return [Finding("layout", "fail", error.message, error.hint)]
    if not pending:
        return []
    said = f"the runner's own tables are of an earlier version, without {pending[0].id}"
    return [Finding("layout", "warn", said, "Nothing to do: the next apply, load or migrate sees to it.")]


def _lacking(connection: Connection, tables: Sequence[str]) -> list[str]:
    from staging_loaders import rights

    return rights.missing(connection, tables)


def _without_create(connection: Connection, settings: Settings, may_load: bool) -> Finding:
    """Return what a user who may not create tables can do instead: all but migrate, where that was done."""
    ((user, writes),) = connection.execute(
        "select quote_ident(current_user),"
        " coalesce(has_table_privilege(to_regclass('pipeline_metrics'), 'insert'), false)"
    )
    waiting = _waiting(connection, settings)
    owner = "Let the owner run: runner migrate"
    if waiting or waiting is None:
        much = f", and {console.count(len(waiting), 'schema file')} wait to be applied" if waiting else ""
        mend = f"{owner}; or grant: grant usage, create on schema public to {user}"
        return Finding("postgresql", "fail", f"this user may not create tables{much}", mend)
    able = ["load"] if may_load else []
    able += ["run steps on tables that it may write"] if writes else []
    can = " and ".join(able) or "read what the runner keeps"
    return Finding(
        "postgresql", "ok", f"this user can {can}, but not migrate", f"For new schema files: {owner.lower()}"
    )


def _waiting(connection: Connection, settings: Settings) -> list[str] | None:
    """Return the schema files that are not applied yet; None where that cannot be told."""
    import psycopg

    try:
        waiting = [file.id for file in schema.pending_own(connection)]
        for name in _pipelines(settings):
            pipeline = project.discover(replace(settings, pipeline=name))
            waiting += [file.id for file in schema.pending(pipeline.schema, schema.history(connection, name))]
    except (RunnerError, psycopg.Error):
        return None
    return waiting


def _staging(settings: Settings) -> list[str]:
    """Return the staging tables that loads write; who runs steps alone needs no right to them."""
    tables = set()
    for name in _pipelines(settings):
        chosen = replace(settings, pipeline=name)
        if loading.has_loaders(chosen):
            from staging_loaders.entity import load_declarations

            with suppress(RunnerError):  # the project's own check tells of it
                tables |= {entity.table for entity in load_declarations(chosen.declarations).values()}
    return sorted(tables)


def _pipelines(settings: Settings) -> list[str]:
    return [settings.pipeline] if settings.pipeline else config.pipelines(settings.project)
