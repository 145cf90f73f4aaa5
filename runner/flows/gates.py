"""What comes after the steps of a day in a flow: a task a checkpoint, and behind all of them a task a mart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import prefect
from prefect.client.schemas.objects import State
from prefect.states import Cancelled

from runner import checkpoints, checks, console, database, mart_refresh, wording
from runner.apply import Run
from runner.check import Check
from runner.checks import CheckResult
from runner.errors import RunnerError
from runner.flows import steps
from runner.flows.tasks import LATER, OUTCOME, TERMINAL, as_task, edge, logger, outcome
from runner.mart import Mart
from runner.mart_refresh import MartRefresher, Refreshed
from runner.project import Pipeline
from runner.step import SqlFile
from runner.task_settings import AT_ONCE, Tasks
from runner.wording import describe_check, describe_mart


def run(
    run: Run,
    pipeline: Pipeline,
    tasks: Tasks,
    running: steps.Running,
    *,
    marts: bool,
    after: Sequence[Any] = (),
) -> list[Refreshed]:
    """Run the checkpoints of a day, and where all of them let it pass and `marts` are wanted, refresh these.

    Raises CheckFailed or StepFailed for checkpoints; each mart's task then ends as `Blocked` and says by what. Raises
    MartFailed for the first mart that could not be refreshed.
    """
    # What a flow run that is tried again finds is told apart from what it found before.
    run = replace(run, first_attempt=int(prefect.runtime.flow_run.run_count or 1))
    after = after or running.ends
    passed = _checkpoints(run, pipeline, tasks, marts, after)
    return refresh(run, pipeline.marts, tasks, running, passed or after) if marts and pipeline.marts else []


def _checkpoints(run: Run, pipeline: Pipeline, tasks: Tasks, marts: bool, after: Sequence[Any]) -> list[State[Any]]:
    """Run the checkpoints, and return their states; what the graph of the run shows in front of the marts."""
    errors: dict[str, RunnerError] = {}
    passed: list[State[Any]] = []
    failed: list[State[Any]] = []
    for checkpoint in pipeline.checkpoints:
        # Called, not submitted: a signal cancels the query of the flow's own thread.
        state: State[Any] = as_task(f"checkpoint_{checkpoint.name}", _checkpoint(run, checkpoint), tasks.checkpoint)(
            return_state=True, wait_for=list(after)
        )
        try:
            state.result()
            passed.append(edge(state))
        except RunnerError as error:
            errors[checkpoint.name] = error
            failed.append(edge(state))
    if errors and marts:
        block(run.day, pipeline.marts, tasks, [error.message.splitlines()[0] for error in errors.values()], failed)
    checkpoints.require(run.day, errors)
    return passed


def _checkpoint(run: Run, checkpoint: Check) -> Callable[[int], CheckResult]:
    def work(attempt: int) -> CheckResult:
        result = checkpoints.run_one(run, checkpoint)
        outcome(run.day, "check", checkpoint.name, describe_check(result), result.seconds)
        for text in checks.warnings([result]):
            logger().warning(f"warning: {run.day}  {console.printable(text)}")
        if error := checkpoints.failed(result, checkpoint):
            raise error
        return result

    return work


def block(day: str, marts: Sequence[Mart], tasks: Tasks, reasons: Sequence[str], by: Sequence[Any]) -> None:
    """Show on Prefect's page that no mart was refreshed after `by`, tasks or their states, and why."""
    if marts:
        logger().warning(f"{day}: not refreshed: {', '.join(mart.id for mart in marts)}")
    why = console.printable("\n".join(["the mart keeps the rows it had:", *reasons]))
    for mart in marts:
        as_task(f"refresh_{mart.name}", _blocked(why), tasks.checkpoint)(
            return_state=True, wait_for=[prefect.allow_failure(state) for state in by]
        )


def _blocked(why: str) -> Callable[[int], State[Any]]:
    return lambda attempt: Cancelled(name="Blocked", message=why)


def refresh(
    run: Run, marts: Sequence[Mart], tasks: Tasks, running: steps.Running, after: Sequence[Any] = ()
) -> list[Refreshed]:
    """Refresh marts, a task each, as their lineage allows; raises MartFailed for the first that could not be."""
    with database.connect(run.dsn, f"runner marts {run.pipeline}") as connection:
        reads = mart_refresh.require(connection, run.pipeline, marts)
    by_file = {mart.id: mart for mart in marts}
    needs = {mart.id: frozenset(other.id for other in marts if other.name in reads[mart.name]) for mart in marts}

    def work(mart: Mart) -> Callable[[int], Refreshed]:
        def refresh(attempt: int) -> Refreshed:
            with (
                MartRefresher(
                    run.dsn, run.pipeline, by_file, run.flow_run_id, run.day, 1, logger().warning
                ) as refresher,
                running.noted(refresher),
            ):
                refreshed = refresher.run(mart.file)
            logger().info(wording.outcome(*_said(run, refreshed)), extra={LATER: True})
            return refreshed

        return refresh

    def tell(file: SqlFile, refreshed: Refreshed) -> None:
        """Show on a terminal, in the order of the files, what Prefect's log has already."""
        logging.getLogger(TERMINAL).info(file.id, extra={OUTCOME: _said(run, refreshed)})

    return steps.run(
        [mart.file for mart in marts],
        needs,
        AT_ONCE,
        lambda file: as_task(f"refresh_{by_file[file.id].name}", work(by_file[file.id]), tasks.database),
        running,
        day=run.day,
        after=after,
        told=tell,
    )


def _said(run: Run, refreshed: Refreshed) -> tuple[str, str, str, str, float]:
    return run.day, "mart", refreshed.mart, describe_mart(refreshed), refreshed.seconds
