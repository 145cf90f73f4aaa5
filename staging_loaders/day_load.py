"""The load of one day in its stages: plan, land, publish.

Nothing that readers see changes before `publish`, and there everything at once; an error, an
interrupt or a kill on the way leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, cast

from runner import days, limits
from runner.database import BRIEF, Connection, connect, set_local
from runner.errors import ConfigError, UsageError
from staging_loaders import analyze, rights, split, whole
from staging_loaders import landing as landings_of
from staging_loaders import publish as publishing
from staging_loaders.advance import Progress, ticker
from staging_loaders.blockers import LOCK_TIMEOUT, Watch
from staging_loaders.engine import Engine
from staging_loaders.entity import Entity, load_declarations
from staging_loaders.files import has_changed
from staging_loaders.landing import Target
from staging_loaders.last_commit import LastCommit
from staging_loaders.outcome import EntityLoad, Phases, landed, outcome
from staging_loaders.part import Counts, Failed, Part, UselessFile, land_part
from staging_loaders.plan import EntityPlan, Loaded, plan_entities, read_loaded
from staging_loaders.publish import Landing, parse_limit
from staging_loaders.server_faults import ServerFaults
from staging_loaders.store import Store
from staging_loaders.toml_lines import line_of

Mode = Literal["auto", "always"]


def check_mode(mode: str) -> Mode:
    """Return `mode`; UsageError for what is none."""
    if mode not in ("auto", "always"):
        raise UsageError(f"{mode!r} is no way to load", hint="There are auto and always.")
    return cast(Mode, mode)


class DayLoad:
    """The load of one day, as a context manager; several threads may `land` at once."""

    def __init__(
        self,
        *,
        dsn: str,
        pipeline: str,
        day: str,
        base: str | Store,
        declarations: Path,
        flow_run_id: str,
        session: Engine,
        mode: Mode = "auto",
        progress: Progress | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.day = days.check(day)
        self._dsn = dsn
        self.pipeline = pipeline
        self._base = base
        self._folder = declarations
        self._declared = load_declarations(declarations)
        self._flow_run_id = flow_run_id
        self._session = session
        self._mode = check_mode(mode)
        self._progress = progress
        self._note = (lambda text: note(f"{self.day}: {text}")) if note else (lambda _: None)
        self._watch = Watch(dsn, self._note)
        project = declarations.parent.parent
        self._faults = ServerFaults(day, dsn, project / "migrations" / pipeline / "schema", project, self._watch)
        self._load = uuid.uuid4().hex[:12]
        self._attempts = itertools.count(1)
        self._beginning = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._life: Connection | None = None
        self._plans: list[EntityPlan] | None = None
        self._loaded: dict[str, Loaded] = {}
        self._plan_seconds = 0.0
        self._expected = False
        self._unsettled: LastCommit | None = None

    def __enter__(self) -> DayLoad:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # First the sign of life, whose transaction has looked at the tables and so holds locks on them.
        self._stack.close()
        if self._life is not None:
            # What cannot be dropped now, the next load drops.
            with contextlib.suppress(Exception), self._connection() as connection:
                landings_of.drop(connection, self._load)

    def plan(self) -> list[EntityPlan]:
        """Return what this load would do with each entity; asked again, the same.

        Raises DayNotFound where the day or a required entity is missing.
        """
        if self._plans is None:
            started = time.monotonic()
            with self._faults.translated(), self._connection() as connection:
                self._tidy_up(connection)
                with self._patient(connection):
                    self._loaded = read_loaded(connection, self.pipeline, self.day, self._declared)
            self._plans = plan_entities(self._base, self.day, self._declared, self._loaded, self._mode)
            self._plan_seconds = time.monotonic() - started
        return self._plans

    def land(self, entity: str) -> Landing:
        """Read an entity and copy it to where nobody reads yet. Landing it again replaces the earlier attempt.

        Raises UnreadableFile, and LoadFailed for anything else that went wrong.
        """
        return self.land_all([entity])[0]

    def land_all(self, entities: Sequence[str]) -> list[Landing]:
        """Land several entities side by side."""
        plans = {plan.entity: plan for plan in self.plan() if plan.present}
        for entity in entities:
            if entity not in plans:
                raise UsageError(f"{self.day} has no files of {entity}", hint=f"There are {', '.join(plans)}.")
        self._expect([plans[entity] for entity in entities])
        started, before = time.monotonic(), self._session.start_seconds
        with self._faults.translated():
            life = self._alive()
            with self._connection() as connection:
                rights.require(connection, self.day, [self._declared[entity].table for entity in entities])
            targets = {entity: self._create(self._declared[entity]) for entity in entities}
            parts = self._parts([plans[entity] for entity in entities], targets)
            parts = whole.place(parts, self._session)
            tick = ticker(life, parts, self._progress) if self._progress else None
            results = self._session.run(land_part, parts, tick)
        for part, result in zip(parts, results, strict=True):
            if isinstance(result, Failed):
                raise self._faults.of_part(part, result)
        changed = next((file for entity in entities for file in plans[entity].files if has_changed(file)), None)
        if changed:
            # Its fingerprint would vouch for what was not read.
            raise self._faults.not_loaded(f"{changed.path} changed while it was read", transient=True)
        counts: dict[str, list[Counts]] = {entity: [] for entity in entities}
        done = [result for result in results if isinstance(result, Counts)]
        for part, count in zip(parts, whole.join(parts, done), strict=True):
            counts[part.entity.name].append(count)
        start = self._session.start_seconds - before
        took = time.monotonic() - started - start
        read = Phases(self._session.name, self._plan_seconds, start, took)
        return [landed(plans[entity], targets[entity], counts[entity], read) for entity in entities]

    def publish(self, landings: Sequence[Landing], max_rejects: str | None = None) -> list[EntityLoad]:
        """Make the day what has landed, in one transaction; entities without files vanish from it.

        `max_rejects` is `N` or `P%` of the day's records. Raises TooManyRejects before anything is changed.
        """
        limit = parse_limit(max_rejects) if max_rejects is not None else None
        by_entity = {landing.entity: landing for landing in landings}
        plans = self.plan()
        unread = [plan.entity for plan in plans if plan.present and plan.changed and plan.entity not in by_entity]
        if unread:
            raise UsageError(f"{self.day} cannot be published without {', '.join(unread)}", hint="Land them first.")
        unchanged = [plan.entity for plan in plans if plan.present and plan.entity not in by_entity]
        kept = [(name, self._loaded[name].records_read, self._loaded[name].rejects) for name in unchanged]
        present = {plan.entity for plan in plans if plan.present}
        vanished = [
            (name, self._declared[name].table if name in self._declared else None)
            for name in sorted(self._loaded)
            if name not in present
        ]
        # What was odd about a load before is odd still, and the steps are to read it again.
        odd = [name for name in unchanged if self._declared[name].required and self._loaded[name].rejects]
        useless: dict[str, tuple[UselessFile, ...]] = {}
        key = publishing.staging_key(self.pipeline, self.day)
        with self._faults.translated(), self._connection(key) as connection:
            with self._patient(connection):
                for name in odd:
                    declared = self._declared[name]
                    useless[name] = publishing.useless_files(connection, self.pipeline, self.day, declared)
            seconds = 0.0
            if not self._is_published():
                if limit is not None:
                    publishing.check_limit(connection, self.day, limit, landings, kept)
                if landings or vanished:
                    chosen = [(self._declared[landing.entity], landing) for landing in landings]
                    seconds = self._publish(connection, chosen, vanished)
        return [
            outcome(
                plan,
                by_entity.get(plan.entity),
                self._loaded.get(plan.entity),
                useless=useless.get(plan.entity, ()),
                plan_seconds=self._plan_seconds,
                publish_seconds=seconds,
            )
            for plan in plans
        ]

    def _publish(
        self,
        connection: Connection,
        chosen: Sequence[tuple[Entity, Landing]],
        vanished: Sequence[tuple[str, str | None]],
    ) -> float:
        """Publish, and return how many seconds it took."""
        import psycopg

        started = time.monotonic()
        committing: list[LastCommit] = []
        large = [landing.target.rows for _, landing in chosen if analyze.needed(landing.rows_loaded)]
        try:
            with analyze.beside(self._connection, large) as analyzed:
                published = publishing.publish(
                    connection, self.pipeline, self.day, self._flow_run_id, chosen, vanished, self._note,
                    analyzed, committing.append,
                )  # fmt: skip
        except psycopg.OperationalError:
            # Lost at the very end: only the server knows whether the day was published.
            if not committing or not connection.closed:
                raise
            self._unsettled = committing[0]
            if not self._is_published():
                raise
        else:
            rows = {entity.table: landing.rows_loaded for entity, landing in chosen}
            analyze.gather(connection, [holder for table, holder in published.replaced if analyze.needed(rows[table])])
        return time.monotonic() - started

    def _is_published(self) -> bool:
        """Tell whether an attempt whose end is not known was committed after all: nothing is published twice blindly.

        Raises DatabaseUnavailable where the server does not say.
        """
        if self._unsettled is None:
            return False
        published = self._unsettled.was_made(self._dsn)
        self._unsettled = self._unsettled if published else None
        return published

    def _tidy_up(self, connection: Connection) -> None:
        """Drop what loads that were killed have left, which this load does not need to be gone."""
        import psycopg

        with contextlib.suppress(psycopg.Error):
            landings_of.drop_dead(connection)

    def _alive(self) -> Connection:
        """Return the connection that is the load's sign of life, a new one where it was lost."""
        with self._beginning:
            if self._life is None or self._life.closed:
                with limits.lifted():  # it outlives the entity that came first
                    self._life = self._stack.enter_context(landings_of.alive(self._dsn, self._load))
            return self._life

    def _create(self, entity: Entity) -> Target:
        target = Target(landings_of.prefix(self._load, next(self._attempts)))
        with self._connection() as connection:
            problem = landings_of.check_table(connection, entity)
            if problem:
                key, why = problem
                line = line_of(entity.text, key)
                raise ConfigError(
                    f"{self._folder / entity.name}.toml{f':{line}' if line else ''}: {key}: {why}",
                    hint="Correct the declaration, or create what it names in a new schema file and run again.",
                )
            landings_of.create(connection, target, entity, self.day)
        return target

    def _parts(self, plans: Sequence[EntityPlan], targets: dict[str, Target]) -> list[Part]:
        parts = []
        for piece in split.split(plans, self._session.parallelism):
            entity = piece.plan.entity
            name = f"{landings_of.WORKER_NAME}{self.pipeline}/{entity} {self.day}"
            target, declared = targets[entity], self._declared[entity]
            parts.append(Part(self._dsn, name, declared, target, piece.number, piece.files, piece.span))
        return parts

    def _expect(self, plans: Sequence[EntityPlan]) -> None:
        """Tell the engine what the day has to read, once: all that is new, though it may come an entity at a time."""
        with self._beginning:
            if not self._expected:
                new = [plan for plan in self.plan() if plan.present and plan.changed]
                self._session.expect(split.work(file for plan in (new or plans) for file in plan.files))
                self._expected = True

    @contextlib.contextmanager
    def _connection(self, key: str | None = None) -> Iterator[Connection]:
        """Open a connection of which is told who keeps it waiting, also for the advisory lock `key`."""
        connection = connect(self._dsn, f"runner load {self.pipeline} {self.day}")
        try:
            with self._watch.over(connection, key):
                yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def _patient(self, connection: Connection) -> Iterator[None]:
        """A transaction that gives up waiting for locks some day."""
        with connection.transaction():
            set_local(connection, BRIEF | {"lock_timeout": LOCK_TIMEOUT})
            yield
