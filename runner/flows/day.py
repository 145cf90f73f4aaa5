"""A day as a flow: migrate, load each entity, publish, then the steps, one task each.

The command line's `apply` in Prefect's terms. The flow's own code decides the order and gates on
what each task returned; the work is the loaders' and the step runner's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Literal, cast

import prefect
from prefect.client.schemas.objects import State
from prefect.flows import Flow
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from runner import (
    checks,
    config,
    console,
    database,
    days,
    loading,
    mart_making,
    project,
    schema,
    task_settings,
    wording,
)
from runner.apply import Run, StepResult, StepRunner
from runner.config import Settings
from runner.errors import RunnerError
from runner.flows import gates, loads, report, steps, tags
from runner.flows.ending import failed
from runner.flows.names import flow_name
from runner.flows.scheduled import day_of_run, name_of_run
from runner.flows.tasks import LATER, NOTE, OUTCOME, TERMINAL, as_task, cancelling, logger, outcome
from runner.lease import Lease
from runner.project import Pipeline
from runner.step import SqlFile
from runner.task_settings import AT_ONCE
from runner.wording import describe_step

Load = Literal["auto", "always", "never"]
Engine = Literal["spark", "local", "auto"]
Marts = Literal["auto", "never"]
Outcome = list[StepResult] | State[Any]
"""What a flow's function returns: the results of its steps, or the state in which it failed."""


def day_flow(pipeline: str) -> Callable[[Callable[..., Outcome]], Flow[..., Outcome]]:
    """Decorate a function of the parameters of `apply_day` as the flow `<pipeline>_day_pipeline`."""
    return prefect.flow(
        name=flow_name(pipeline),
        flow_run_name=partial(name_of_run, pipeline),
        description=f"Load a day of {pipeline} and run its steps, each one transaction.",
        validate_parameters=True,
        persist_result=False,
        task_runner=cast(Any, ThreadPoolTaskRunner(max_workers=AT_ONCE)),
    )


def day_pipeline(settings: Settings) -> Flow[..., Outcome]:
    """Return the flow of the settings' pipeline. Its files are read when it runs, not here."""

    def run(
        day: str | None = None,
        load: Load = "auto",
        max_rejects: str | None = None,
        data: str | None = None,
        wait: float = 0,
        engine: Engine | None = None,
        jobs: int | None = None,
        marts: Marts = "auto",
    ) -> Outcome:
        """Load a day where its files are new, then run each step in one transaction.

        Args:
            day: the day's name, as day1 or 2026-01-05; without one that of the scheduled time
            load: load where files are new (auto), in any case (always), or not at all (never)
            max_rejects: fail before publishing when more records (N) or a larger share (P%) are rejected
            data: the folder that holds sync-DAY/; the project's own where it is not given
            wait: seconds to wait for another run that holds the day
            engine: what reads the files, spark, local or auto (by how much there is); else the settings say
            jobs: how many steps that do not depend on each other run at once; else [tasks] says
            marts: refresh the marts behind the checkpoints (auto), or not at all (never)
        """
        given = replace(settings, data=data or settings.data, engine=engine or settings.engine)
        return apply_day(given, day, load=load, max_rejects=max_rejects, wait=wait, jobs=jobs, marts=marts)

    run.__name__ = run.__qualname__ = flow_name(settings.pipeline)
    return day_flow(settings.pipeline)(run)


def settings_of(pipeline: str, data: str | None, engine: Engine | None = None) -> Settings:
    """Return the settings as the environment and the project's runner.toml make them."""
    return config.load({"pipeline": pipeline, "data": data, "engine": engine})


def apply_day(
    settings: Settings,
    day: str | None,
    *,
    load: Load = "auto",
    max_rejects: str | None = None,
    wait: float = 0,
    jobs: int | None = None,
    marts: Marts = "auto",
) -> Outcome:
    """Apply a day inside the flow run at hand, whose id every metrics row carries; return what each step did.

    The parameters are those of `runner apply`; a scheduled run has its day from its scheduled time where `day` is
    None, and where `jobs` is None, runner.toml says how many. A RunnerError becomes the failed state that is
    returned; whoever calls the flow has it raised.
    """
    flow_run_id = str(prefect.runtime.flow_run.id)
    with ExitStack() as stack:
        stack.enter_context(cancelling())
        try:
            day = days.check(day_of_run(settings, day))
            pipeline = project.discover(settings)
            for step in pipeline.steps:
                step.statements  # noqa: B018 - refuses transaction control before anything is run
            stack.enter_context(tags.tagged(*tags.of(settings, f"day={day}")))
            loading.check(settings, day, mode=load, max_rejects=max_rejects)
            dsn = loading.resolve_for(settings, day, load)
            run = Run(pipeline.name, day, flow_run_id, dsn, attempts=1, checks=pipeline.checks)
            return _Day(settings, pipeline, run, jobs).run(load, max_rejects, wait, marts)
        except RunnerError as error:
            return failed(error)


class _Day:
    """The tasks of one flow run, and what they share."""

    def __init__(self, settings: Settings, pipeline: Pipeline, run: Run, jobs: int | None) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._run = run
        self._tasks = task_settings.read(settings)
        self._jobs = self._tasks.at_once(jobs)
        self._needs = steps.order(pipeline, self._jobs)
        self._running = steps.Running()
        self._entities = loading.declared(settings)

    def run(self, load: Load, max_rejects: str | None, wait: float, marts: Marts) -> list[StepResult]:
        run = self._run
        last: Any = None
        if load == "never" and loading.has_loaders(self._settings):
            last = as_task("check_staging", self._check_staging, self._tasks.database)(return_state=True)
            last.result()
        last = as_task("migrate", lambda _: self._migrate(load), self._tasks.database)(
            return_state=True, wait_for=[last] if last else None
        )
        last.result()
        with Lease(run.dsn, run.pipeline, run.day, run.flow_run_id, wait, logger().warning):
            try:
                if load != "never" and loading.has_loaders(self._settings):
                    last = self._load(load, max_rejects, [last])
                results = steps.run(
                    self._pipeline.steps,
                    self._needs,
                    self._jobs,
                    lambda step: as_task(step.task_name, self._step(step), self._tasks.database),
                    self._running,
                    day=run.day,
                    after=[last],
                    told=self._tell,
                )
                gates.run(run, self._pipeline, self._tasks, self._running, marts=marts != "never")
            except Exception:
                self._report()
                raise
            self._report()
            return results

    def _migrate(self, load: Load) -> list[str]:
        with schema.connect(self._run.dsn, "runner migrate") as connection:
            loading.require_engine(self._settings, connection, self._run.dsn, self._run.day, load)
            migrated = schema.migrate(connection, self._pipeline.name, self._pipeline.schema)
            made = mart_making.migrate(
                connection,
                self._pipeline.name,
                self._pipeline.marts,
                log=logger().warning,
                flow_run_id=self._run.flow_run_id,
            )
        for name in migrated:
            outcome(self._run.day, "schema", name, "applied")
        for name in made:
            outcome(self._run.day, "mart", name, "made")
        return migrated + made

    def _load(self, mode: Literal["auto", "always"], max_rejects: str | None, after: list[Any]) -> Any:
        settings, run = self._settings, self._run
        from staging_loaders.load import DayLoad

        for text in loading.unclaimed(settings, run.day):
            logger().warning(f"warning: {run.day}: {text}")
        stop = loads.Stop()
        with ExitStack() as stack:
            engine = stack.enter_context(loading.open_engine(settings, stop.announce, _noted))
            load = stack.enter_context(
                DayLoad(
                    dsn=run.dsn,
                    pipeline=run.pipeline,
                    day=run.day,
                    base=loading.store(settings),
                    declarations=settings.declarations,
                    flow_run_id=run.flow_run_id,
                    session=engine,
                    mode=mode,
                    progress=stop,
                    note=_noted,
                )
            )
            return loads.run(
                load,
                stop,
                rates=settings.rates,
                max_rejects=max_rejects,
                dsn=run.dsn,
                settings=self._tasks,
                after=after,
            )

    def _check_staging(self, attempt: int) -> None:
        with schema.connect(self._run.dsn, "runner load") as connection:
            found = loading.loaded(connection, self._settings, self._run.day)
        loading.require_loaded(self._settings, self._run.day, found)

    def _step(self, step: SqlFile) -> Callable[[int], StepResult | State[StepResult]]:
        reads = loading.entities_read(step, self._entities)

        def work(attempt: int) -> StepResult | State[StepResult]:
            if attempt > 1:
                with suppress(RunnerError):  # the attempt itself says what is wrong
                    database.resolve(self._settings)
            with (
                StepRunner(replace(self._run, first_attempt=attempt), logger().warning) as runner,
                self._running.noted(runner),
            ):
                result = runner.run(step)
            said = (self._run.day, "step", step.id, describe_step(result, reads), result.seconds)
            logger().info(wording.outcome(*said), extra={LATER: True})
            for text in self._warnings(result):
                logger().warning(text, extra={LATER: True})
            if result.status == "skipped":  # done, but Prefect's page shows that it had nothing to do
                return Completed(name="Skipped", message=describe_step(result, reads), data=result)
            return result

        return work

    def _warnings(self, result: StepResult) -> list[str]:
        return [f"warning: {self._run.day}  {console.printable(text)}" for text in checks.warnings(result.checks)]

    def _tell(self, step: SqlFile, result: StepResult) -> None:
        """Show on a terminal how a step ended; Prefect's log has it already."""
        terminal = logging.getLogger(TERMINAL)
        text = describe_step(result, loading.entities_read(step, self._entities))
        terminal.info(step.id, extra={OUTCOME: (self._run.day, "step", step.id, text, result.seconds)})
        for warning in self._warnings(result):
            terminal.warning(warning)

    def _report(self) -> None:
        """Show on Prefect's page what was done; a page that cannot be reached fails nothing."""
        run = self._run
        described = {check.name: check.description for check in (*run.checks, *self._pipeline.checkpoints)}
        report.publish(run.dsn, run.pipeline, run.day, run.flow_run_id, described, logger().warning)


def _noted(text: str) -> None:
    """Log what is of use to whoever reads the run's log, and to a person at the terminal."""
    logger().info(text, extra={NOTE: True})
