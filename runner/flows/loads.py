"""The loading tasks of a day: each lands one entity, all over one Spark session, then one publishes them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed, wait
from prefect.states import Cancelled

from runner import console, limits
from runner.errors import LoadFailed
from runner.flows.load_page import LoadPage
from runner.flows.names import artifact_key
from runner.flows.tasks import Terminated, as_task, edge, logger, outcome, value
from runner.progress import Advance, Progress
from runner.task_settings import Tasks
from runner.wording import load_lines

if TYPE_CHECKING:
    from staging_loaders.load import DayLoad, EntityLoad, EntityPlan, Landing

# Seconds for the loads to end after the flow was stopped; what is left then dies with the process.
_STOP_SECONDS = 30


class Stop:
    """How the flow's own thread stops those in which Spark is at work: their next tick raises what was set.

    Called with a load's progress, which it passes on to the terminal.
    """

    def __init__(self) -> None:
        self._reason: BaseException | None = None
        self._lock = threading.Lock()
        self._progress = Progress()
        self.page: LoadPage | None = None
        """Where a long load shows how far it is, besides the terminal."""

    def set(self, reason: BaseException) -> None:
        """Stop the loads; the first reason stays."""
        with self._lock:
            self._reason = self._reason or reason

    @property
    def reason(self) -> BaseException | None:
        """What the loads were stopped by, if they were."""
        return self._reason

    def check(self) -> None:
        """Raise the reason, if the loads were stopped."""
        if self._reason is not None:
            raise self._reason

    def clear(self) -> None:
        """Remove the progress from the terminal, and let the page of a long load say how far it came."""
        self._progress.clear()
        if self.page is not None and self._reason is None:
            self.page.finish()

    def announce(self, text: str) -> None:
        """Show what goes on while there is nothing to count yet."""
        with self._lock:
            self._progress.show(text)

    def __call__(self, advance: Advance) -> None:
        self.check()
        limits.check()  # this is the thread of the task whose load it is
        with self._lock:
            self._progress(advance)
        if self.page is not None:
            self.page(advance)


def run(
    load: DayLoad,
    stop: Stop,
    *,
    rates: str | None,
    max_rejects: str | None,
    dsn: str,
    settings: Tasks,
    after: list[Any],
) -> Any:
    """Run the tasks of a load and return the state of the last one, `publish_staging`.

    Raises what the first failed task raised; nothing is published then.
    """
    from staging_loaders.load import doubts, refresh_rates

    network, database = settings.network, settings.database
    planned = as_task("plan_load", lambda _: load.plan(), network, alarm=True)(return_state=True, wait_for=after)
    plans: list[EntityPlan] = value("plan_load", planned, network)
    futures: list[PrefectFuture[Landing | None]] = []
    stop.page = LoadPage(artifact_key(load.pipeline, "load", load.day), f"{load.pipeline} {load.day}", logger().warning)
    with _joined(futures, stop):
        for plan in plans:
            task = as_task(f"load_{plan.entity}", _Landing(load, plan, stop), settings.load)
            # Submitted: Spark must not run in the thread in which signals arrive.
            future: Any = task.submit(return_state=False, wait_for=[edge(planned)])
            futures.append(future)
        for future in as_completed(futures):
            try:
                future.result()
            except Exception:
                stop.set(LoadFailed("stopped, because another entity could not be loaded"))
                raise
    landings = [landing for landing in (future.result() for future in futures) if landing is not None]
    # Rates are of no day, but a day that cannot be read changes nothing at all.
    rated = as_task("refresh_rates", lambda _: refresh_rates(dsn, rates), network, alarm=True)(
        return_state=True, wait_for=futures
    )
    value("refresh_rates", rated, network)

    def publish(_: int) -> list[EntityLoad]:
        loads = load.publish(landings, max_rejects)
        for name, text in load_lines(loads):
            outcome(load.day, "load", name, text)
        for doubt in doubts(loads):
            logger().warning(f"warning: {load.day}: {doubt}")
        return loads

    published = as_task("publish_staging", publish, database)(return_state=True, wait_for=[edge(rated)])
    published.result()
    return edge(published)


class _Landing:
    """Lands one entity, where its files are new."""

    def __init__(self, load: DayLoad, plan: EntityPlan, stop: Stop) -> None:
        self._load = load
        self._plan = plan
        self._stop = stop

    def __call__(self, attempt: int) -> Landing | State[Any] | None:
        try:
            return self._land()
        except LoadFailed as error:
            if self._stop.reason is not error:
                raise
            # Not a failure of its own: the page shows which entity could not be loaded.
            return Cancelled(name="Stopped", message=error.message)

    def _land(self) -> Landing | None:
        self._stop.check()
        plan = self._plan
        if not (plan.present and plan.changed):
            logger().info(f"{self._load.day} {plan.entity}: {plan.reason}")
            return None
        try:
            landing = self._load.land(plan.entity)
        except Exception:
            self._stop.check()  # what breaks while all is being stopped is not to be tried again
            raise
        read = f"{console.count(landing.records_read, 'record')} read from {console.count(landing.files, 'file')}"
        logger().info(f"{self._load.day} {plan.entity}: {read}")
        return landing


@contextlib.contextmanager
def _joined(futures: list[PrefectFuture[Any]], stop: Stop) -> Iterator[None]:
    """Leave no load at work behind, however the block ends."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception):
            stop.set(Terminated(15))
        wait(futures, timeout=_STOP_SECONDS)
        raise
    finally:
        stop.clear()
