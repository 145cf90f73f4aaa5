"""The steps of a day, one by one or side by side, and what is said of those that a failure leaves out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from runner import console
from runner.apply import StepResult, StepRunner
from runner.errors import RunnerError, UsageError
from runner.progress import Progress
from runner.step import SqlFile

if TYPE_CHECKING:
    from runner.graph import Graph
    from runner.project import Pipeline

Runners = Callable[[Callable[[str], None]], StepRunner]
"""Makes a StepRunner that reports to the given log."""
Done = Callable[[SqlFile, StepResult], None]
Failed = Callable[[SqlFile, RunnerError], None]


def needs(pipeline: Pipeline, steps: Sequence[SqlFile], jobs: int) -> Graph | None:
    """Return which of the steps waits for which, where several are to run at once."""
    if jobs < 1:
        raise UsageError(f"--jobs is {jobs}", hint="Give a number of steps to run at once: --jobs 4")
    if jobs == 1 or len(steps) < 2:
        return None
    from runner import graph

    return graph.build(graph.effects(pipeline), [step.id for step in steps])


def one_by_one(
    steps: Sequence[SqlFile],
    runner: Runners,
    *,
    day: str,
    progress: Progress,
    done: Done,
    failed: Failed,
    not_run: Callable[[list[str]], None],
) -> None:
    """Run the steps in the order of their files; what fails is raised, after `failed` was told of it.

    `not_run` is told what a failure leaves out.
    """
    with runner(progress.note) as one:
        for place, step in enumerate(steps):
            progress.show(f"{day}  step    {step.id} …")
            try:
                result = one.run(step)
            except RunnerError as error:
                progress.clear()
                failed(step, error)
                not_run([other.id for other in steps[place + 1 :]])
                raise
            finally:
                progress.clear()
            done(step, result)


def side_by_side(
    steps: Sequence[SqlFile],
    runner: Runners,
    graph: Graph,
    jobs: int,
    *,
    day: str,
    progress: Progress,
    done: Done,
    failed: Failed,
    not_run: Callable[[list[str]], None],
) -> None:
    """Run up to `jobs` steps at once; of several that fail, the last in the order of the files is raised.

    `failed` is told of all of them, in that order, and `not_run` what they leave out.
    """
    from runner import jobs as at_once

    try:
        at_once.run(
            steps,
            graph,
            jobs,
            runner,
            log=progress.note,
            running=lambda names: progress.show(f"{day}  step    {', '.join(names)} …"),
            done=done,
        )
    except at_once.Failed as ended:
        progress.clear()
        errors = [(step, ended.errors[step.id]) for step in steps if step.id in ended.errors]
        for step, error in errors:
            failed(step, error)
        for _, error in errors[:-1]:
            console.note(console.explain(error))
        not_run(ended.not_run)
        raise errors[-1][1] from ended
    finally:
        progress.clear()
