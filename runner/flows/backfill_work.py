"""The tasks of a backfill in a flow: what is to be done, a chunk each, the marts."""

from __future__ import annotations

import contextlib
import queue
from dataclasses import replace
from functools import partial
from typing import Any

import prefect

from runner import (
    backfill,
    backfill_book,
    backfill_plan,
    backfill_run,
    console,
    database,
    loading,
    mart_making,
    order,
    project,
    schema,
    task_settings,
)
from runner.apply import Run
from runner.backfill import Chunk, Request
from runner.backfill_plan import Plan
from runner.backfill_run import DayEnd, Days, Ended
from runner.config import Settings
from runner.errors import BackfillFailed, RunnerError
from runner.flows import gates, steps
from runner.flows.backfill_days import LimitedDays, LimitedRunner, Told, noted
from runner.flows.backfill_page import Page
from runner.flows.loads import Stop
from runner.flows.tasks import Terminated, as_task, edge, is_passing, logger
from runner.wording import describe_backfill


class Backfill:
    """The tasks of one flow run, and what they share."""

    def __init__(
        self,
        settings: Settings,
        flow_run_id: str,
        load: str,
        max_rejects: str | None,
        jobs: int | None,
        wait: float,
        stop_on_error: bool,
    ) -> None:
        # Prefect tries again, and nobody else.
        self._settings = replace(settings, attempts=1)
        self._id = flow_run_id
        self._load = load
        self._max_rejects = max_rejects
        self._wait = wait
        self._stop_on_error = stop_on_error
        self._tasks = task_settings.read(settings)
        self._jobs = self._tasks.at_once(jobs)
        self._pipeline = project.discover(settings)
        for step in self._pipeline.steps:
            step.statements  # noqa: B018 - refuses transaction control before anything is run
        self._graph = order.needs(self._pipeline, self._pipeline.steps, self._jobs)
        if load != "never" and loading.has_loaders(settings):
            loading.check_master(settings)
        self._dsn = database.resolve(settings)
        self._running = steps.Running()
        self._stop = Stop()
        # The task that was run last: the graph of the run shows the chunks one after the other.
        self._last: list[Any] = []

    def run(self, asked: Request, resume: bool, marts: str) -> dict[str, Any]:
        """Do what is asked for; return how many days ended how, or raise BackfillFailed where not all are done."""
        plan, id = self._prepared(asked, resume)
        if plan.missing:
            logger().info(
                f"{console.count(len(plan.missing), 'day')} not there, and left out: {', '.join(plan.missing)}"
            )
        if plan.done:
            logger().info(f"going on: {console.count(len(plan.done), 'day')} of {len(plan.days)} are done")
        ended = Ended()
        found: list[tuple[Chunk, Ended]] = []
        page = Page(self._settings.pipeline, plan, found)
        try:
            with loading.open_engine(self._settings, self._stop.announce, noted) as engine:
                for place, chunk in enumerate(plan.left):
                    one = self._chunk(engine, plan, id, chunk)
                    found.append((chunk, one))
                    ended.days += one.days
                    ended.not_run += one.not_run
                    page.advance(len(ended.days))
                    if backfill_run.ends_all(one, self._stop_on_error):
                        ended.not_run += [day for other in plan.left[place + 1 :] for day in other.days]
                        break
        finally:
            page.end()
        error = backfill_run.error_of(ended.undone, len(plan.days), backfill.command(plan.request, failed=ended.undone))
        if self._pipeline.marts and marts != "never":
            if error is None:
                run = Run(self._pipeline.name, plan.days[-1], self._id, self._dsn, attempts=1)
                gates.refresh(run, self._pipeline.marts, self._tasks, self._running, self._last)
            else:
                gates.block(plan.request.shown, self._pipeline.marts, self._tasks, [error.message], self._last)
        backfill_run.finish(self._dsn, id, noted)
        if error is not None:
            raise error
        return {"days": len(plan.days), "done": len(ended.days), "done_before": len(plan.done)}

    def _prepared(self, asked: Request, resume: bool) -> tuple[Plan, str]:
        pipeline = self._pipeline

        def prepare(_: int) -> tuple[Plan, str]:
            with schema.connect(self._dsn, "runner backfill") as connection:
                given = asked if asked.start is not None or asked.days else None
                if given is None and not resume:
                    backfill_plan.refuse_nothing()
                plan = backfill_plan.make(
                    self._settings, pipeline, self._dsn, connection, given,
                    load=self._load, resume=resume, note=noted,
                )  # fmt: skip
                for day in backfill_run.loads_of(plan):
                    loading.require_engine(self._settings, connection, self._dsn, day, self._load)
                schema.migrate(connection, pipeline.name, pipeline.schema)
                mart_making.migrate(connection, pipeline.name, pipeline.marts)
                id = plan.resumed or self._id
                # A run that Prefect has begun anew goes on with what it has written down itself.
                if plan.resumed is None and not backfill_book.is_known(connection, id):
                    backfill_book.begin(connection, pipeline.name, id, plan.request)
            return plan, id

        state: Any = as_task("prepare", prepare, self._tasks.database)(return_state=True)
        self._last = [edge(state)]
        prepared: tuple[Plan, str] = state.result()
        return prepared

    def _days(self, engine: Any, plan: Plan, attempt: int) -> Days:
        return LimitedDays(
            self._settings,
            self._pipeline,
            self._dsn,
            engine,
            plan,
            self._load,
            self._max_rejects,
            self._jobs,
            self._graph,
            self._wait,
            Told(self._stop),
            lambda: self._id,
            1,
            attempt,
            partial(LimitedRunner, self._running, self._tasks.database),
        )

    def _chunk(self, engine: Any, plan: Plan, id: str, chunk: Chunk) -> Ended:
        """Run the task of a chunk, and return how its days ended, whatever became of the task."""
        known: dict[str, DayEnd] = {}
        not_run: list[str] = []

        def work(attempt: int) -> str:
            self._stop.check()
            days = self._days(engine, plan, attempt)
            left = Chunk(chunk.name, tuple(day for day in chunk.days if day not in known or known[day].error))
            ended = backfill_run.run(days, id, left, stop_on_error=self._stop_on_error, ended=_log)
            known.update((end.day, end) for end in ended.days)
            not_run[:] = ended.not_run
            errors = {end.day: end.error for end in known.values() if end.error is not None}
            if errors:
                raise BackfillFailed(
                    "\n".join(f"{day}: {error.message}" for day, error in errors.items()),
                    transient=all(is_passing(error) for error in errors.values()),
                )
            return describe_backfill(list(known.values()))

        name = chunk.name if len(chunk.days) == 1 else f"{chunk.name}: {backfill.span(chunk.days)}"
        # Its loads and steps have their own limits; submitted, because Spark must not run where signals arrive.
        task = as_task("chunk", work, replace(self._tasks.database, timeout=None), run_name=name)
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        future: Any = task.submit(return_state=False, wait_for=[prefect.allow_failure(last) for last in self._last])
        self._last = [future]
        future.add_done_callback(done.put)
        try:
            done.get()
        except BaseException:
            self._stop.set(Terminated(15))
            steps.end(self._running, 1, done)
            raise
        finally:
            self._stop.clear()
        with contextlib.suppress(RunnerError):  # it is in what is known of the days
            future.result()
        return Ended([known[day] for day in chunk.days if day in known], list(not_run))


def _log(end: DayEnd) -> None:
    if end.error is None:
        logger().info(f"{end.day}: {describe_backfill([end])}, {end.seconds:.2f} s")
    else:
        logger().error(console.printable(console.explain(end.error)))
