"""The days of a backfill in a flow: within the time limits of their tasks, stopped with the flow, noted in its log."""

from __future__ import annotations

from collections.abc import Callable

from runner import limits, task_settings
from runner.apply import Run, StepResult, StepRunner
from runner.backfill_run import DayEnd, Days
from runner.flows import steps
from runner.flows.loads import Stop
from runner.flows.tasks import NOTE, logger
from runner.progress import Advance, Progress
from runner.step import SqlFile
from runner.task_settings import TaskSettings


class LimitedDays(Days):
    """Days whose loads have the time limit of such a task."""

    def _load(self, end: DayEnd) -> None:
        kind = task_settings.read(self.settings).load
        with limits.within(f"the load of {end.day}", kind.timeout, kind.setting):
            super()._load(end)


class LimitedRunner(StepRunner):
    """Runs steps within the time limit of their tasks; a signal in the flow's own thread ends them."""

    def __init__(
        self,
        running: steps.Running,
        kind: TaskSettings,
        run: Run,
        log: Callable[[str], None],
        revive: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(run, log, revive)
        self._running = running
        self._kind = kind

    def run(self, step: SqlFile) -> StepResult:
        with (
            limits.within(step.task_name, self._kind.timeout, self._kind.setting),
            self._running.noted(self),
        ):
            return super().run(step)


class Told(Progress):
    """Progress that is stopped with the loads, and whose notes go to Prefect's log."""

    def __init__(self, stop: Stop) -> None:
        super().__init__()
        self._stop = stop

    @property
    def visible(self) -> bool:
        return True

    def __call__(self, advance: Advance) -> None:
        self._stop(advance)

    def note(self, text: str) -> None:
        noted(text)

    def show(self, text: str) -> None:
        """Prefect's page shows what is at work."""

    def clear(self) -> None:
        self._stop.clear()


def noted(text: str) -> None:
    """Log what is of use to whoever reads the run's log, and to a person at the terminal."""
    logger().info(text, extra={NOTE: True})
