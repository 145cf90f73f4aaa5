"""What the database knows of a pipeline's marts: which are there, of which text, how old, and who reads whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner import database
from runner.errors import ConfigError, UsageError
from runner.mart import Mart

# Relations that the pipeline's marts of these names are, and what is recorded of them.
_STATES = """
    select
        coalesce(wanted.name, recorded.name),
        relations.oid,
        relations.relkind::text,
        recorded.checksum,
        recorded.refreshed_at,
        clock_timestamp() - recorded.refreshed_at,
        recorded.flow_run_id,
        recorded.day,
        recorded.seconds::float8,
        recorded.refreshed_at <= recorded.made_at
    from unnest(%(names)s::text[]) as wanted (name)
    full join (select * from runner_marts where pipeline = %(pipeline)s) as recorded on recorded.name = wanted.name
    left join pg_class as relations
        on relations.oid = to_regclass(quote_ident(coalesce(wanted.name, recorded.name)))::oid
"""

# Which marts the rows of a mart come from, through views and other marts, too.
_READS = """
    with recursive reads as (

        select mart, mart as relation
        from unnest(%(oids)s::oid[]) as marts (mart)

        union

        select reads.mart, depends.refobjid
        from reads
        inner join pg_rewrite as rules on rules.ev_class = reads.relation
        inner join pg_depend as depends
            on depends.classid = 'pg_rewrite'::regclass
            and depends.objid = rules.oid
            and depends.refclassid = 'pg_class'::regclass
            and depends.refobjid <> reads.relation

    )

    select mart, relation
    from reads
    where mart <> relation and relation = any(%(oids)s::oid[])
"""


@dataclass(frozen=True)
class State:
    """A mart as the database has it.

    `oid` is None where there is no such relation, `checksum` and what follows where none is recorded. `refreshed_at`
    is when its rows were made, `day` and `flow_run_id` the run that did, None where it was no day's or no run's;
    `seconds` how long it took. `is_as_made` tells that it was not refreshed since it was made.
    """

    name: str
    oid: int | None = None
    kind: str | None = None
    checksum: str | None = None
    refreshed_at: datetime | None = None
    age: timedelta | None = None
    flow_run_id: str | None = None
    day: str | None = None
    seconds: float | None = None
    is_as_made: bool | None = None

    @property
    def is_there(self) -> bool:
        """Whether it can be read."""
        return self.oid is not None and self.kind == "m"

    @property
    def is_recorded(self) -> bool:
        """Whether the runner made it."""
        return self.checksum is not None


def states(connection: database.Connection, pipeline: str, marts: Sequence[Mart]) -> dict[str, State]:
    """Return name -> state, of these marts and of those that the runner made and the code no longer has."""
    (exists,) = connection.execute("select to_regclass('runner_marts') is not null").fetchone()
    if not exists:
        return {mart.name: State(mart.name) for mart in marts}
    rows = connection.execute(_STATES, {"names": [mart.name for mart in marts], "pipeline": pipeline})
    found = (State(*row) for row in rows)
    return {state.name: state for state in found}


def pending(marts: Sequence[Mart], known: Mapping[str, State]) -> list[Mart]:
    """Return the marts that are to be made, or made anew; ConfigError where something else has the name of one."""
    found = []
    for mart in marts:
        state = known[mart.name]
        if state.oid is not None and not (state.is_there and state.is_recorded):
            what = "a materialized view" if state.is_there else "a relation"
            raise ConfigError(
                f"{mart.file.shown} makes {mart.name}, and the database has {what} of that name that no mart made",
                hint="Rename one of the two, or drop what is there.",
            )
        if not state.is_there or state.checksum != mart.checksum:
            found.append(mart)
    return found


def left_behind(marts: Sequence[Mart], known: Mapping[str, State]) -> list[str]:
    """Return the names of marts that the runner made, that are still there, and that the code no longer has."""
    names = {mart.name for mart in marts}
    return sorted(name for name, state in known.items() if name not in names and state.is_there)


def reads(connection: database.Connection, oids: Mapping[str, int]) -> dict[str, frozenset[str]]:
    """Return mart -> the others that its rows come from; `oids` are those of their relations."""
    found: dict[str, set[str]] = {name: set() for name in oids}
    names = {oid: name for name, oid in oids.items()}
    for mart, relation in connection.execute(_READS, {"oids": list(oids.values())}):
        found[names[mart]].add(names[relation])
    return {name: frozenset(others) for name, others in found.items()}


def select(marts: Sequence[Mart], wanted: Sequence[str]) -> list[Mart]:
    """Return the marts that are named by number, name or both, all where none is; UsageError for an unknown one."""
    if not wanted:
        return list(marts)
    chosen = [_find(marts, name) for name in wanted]
    return [mart for mart in marts if mart in chosen]


def _find(marts: Sequence[Mart], name: str) -> Mart:
    for mart in marts:
        if mart.file.answers_to(name) or name == mart.name:
            return mart
    from runner.relation import suggestion

    near = suggestion(name, [mart.name for mart in marts])
    known = ", ".join(mart.id for mart in marts) or "none"
    raise UsageError(f"there is no mart {name!r}{near}", hint=f"Marts: {known}.")
