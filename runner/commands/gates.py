"""What comes after the steps of a day on the command line: its checkpoints, and behind them the marts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from runner import checkpoints, checks, console, mart_refresh
from runner.apply import Run
from runner.checks import CheckResult
from runner.errors import RunnerError
from runner.mart_refresh import Refreshed
from runner.progress import Progress
from runner.project import Pipeline
from runner.wording import describe_check, describe_mart

Line = Callable[[str, str, str, float | None], None]
"""Takes the kind, the name, what became of it, and the seconds."""


class Shown(Protocol):
    """What takes what happened, as it happens."""

    def checkpoint(self, result: CheckResult) -> None: ...

    def mart(self, refreshed: Refreshed) -> None: ...


def run(run: Run, pipeline: Pipeline, *, marts: bool, shown: Shown, progress: Progress) -> None:
    """Run the checkpoints of a day, and where all of them let it pass and `marts` are wanted, refresh these.

    Raises CheckFailed or StepFailed for checkpoints, and then no mart is refreshed; MartFailed for marts.
    """

    def checked(result: CheckResult) -> None:
        progress.clear()
        shown.checkpoint(result)

    def refreshed(one: Refreshed) -> None:
        progress.clear()
        shown.mart(one)

    try:
        if pipeline.checkpoints:
            progress.show(f"{run.day}  check   …")
            try:
                checkpoints.run(run, pipeline.checkpoints, checked)
            except RunnerError:
                progress.clear()
                if marts and pipeline.marts:
                    console.note(f"{run.day}: not refreshed: {', '.join(mart.id for mart in pipeline.marts)}")
                raise
        if marts:
            mart_refresh.refresh(
                run.dsn,
                run.pipeline,
                pipeline.marts,
                flow_run_id=run.flow_run_id,
                day=run.day,
                attempts=run.attempts,
                log=progress.note,
                running=lambda names: progress.show(f"{run.day}  mart    {', '.join(names)} …"),
                done=refreshed,
            )
    finally:
        progress.clear()


def say_checkpoint(day: str, line: Line, result: CheckResult) -> None:
    """Print what a checkpoint found; the rows of one that warned to standard error."""
    line("check", result.check, describe_check(result), result.seconds)
    for text in checks.warnings([result]):
        console.warn(f"{day}  {text}")


def say_mart(line: Line, refreshed: Refreshed) -> None:
    """Print that a mart was refreshed."""
    line("mart", refreshed.mart, describe_mart(refreshed), refreshed.seconds)
