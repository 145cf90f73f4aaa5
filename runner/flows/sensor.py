"""The file-arrival sensor as a flow: a look for days that have arrived, and a run of a deployment for each content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import httpx
import prefect
from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.flows import Flow

from runner import arrivals, console, database, project, schema, sensor, task_settings
from runner.config import Settings
from runner.errors import ConfigError, RunnerError
from runner.flows import tags
from runner.flows.ending import failed
from runner.flows.names import artifact_key, flow_name
from runner.flows.tasks import as_task, called, cancelling, logger
from runner.sensor import Intent, Seen

Outcome = list[dict[str, Any]] | State[Any]
"""What the flow returns: the days for which it asked for a run, with its id, or the state in which it failed."""


def file_arrival_flow(pipeline: str) -> Callable[[Callable[..., Outcome]], Flow[..., Outcome]]:
    """Decorate a function that returns `watch` of settings as the flow `<pipeline>_file_arrival`."""
    return prefect.flow(
        name=flow_name(pipeline, "file_arrival"),
        flow_run_name=lambda: f"{pipeline} file arrival",
        description=f"Look for days of {pipeline} that have arrived, and run each once for what it holds.",
        persist_result=False,
    )


def file_arrival_pipeline(settings: Settings) -> Flow[..., Outcome]:
    """Return the flow of the settings' pipeline. Its files are looked at when it runs, not here."""

    def run(deployment: str | None = None, data: str | None = None) -> Outcome:
        return watch(replace(settings, data=data or settings.data), deployment, data)

    run.__name__ = run.__qualname__ = flow_name(settings.pipeline, "file_arrival")
    return file_arrival_flow(settings.pipeline)(run)


def watch(settings: Settings, deployment: str | None = None, data: str | None = None) -> Outcome:
    """Look once for days that have arrived, inside the flow run at hand, and ask for a run of each that is due.

    `deployment` is what is run, `[sensor]`'s where it is not given; `data` goes along with the day.
    """
    with cancelling(), tags.tagged(*tags.of(settings)):
        try:
            tasks = task_settings.read(settings)
            rules = arrivals.rules(settings)
            pipeline = project.discover(settings)
            target = Deployment(
                settings,
                deployment or rules.deployment or f"{flow_name(pipeline.name)}/daily",
                {"data": data} if data else {},
            )

            def look(_: int) -> tuple[list[Seen], list[Seen]]:
                with schema.connect(database.resolve(settings), "runner arrivals") as connection:
                    schema.migrate(connection, pipeline.name, pipeline.schema)
                    found = sensor.look(settings, connection, rules)
                    return found, sensor.write(settings, connection, found)

            found, due = called(as_task("look", look, tasks.network))
            logger().info(f"{settings.pipeline}: {sensor.told(found)}")
            runs = {
                seen.arrival.day: called(
                    as_task(f"trigger {seen.arrival.day}", _Asking(settings, seen, target), tasks.network)
                )
                for seen in due
            }
            _show(settings, found, runs)
            asked = [seen.document() | {"flow_run_id": runs[seen.arrival.day]} for seen in due]
            return [one for one in asked if one["flow_run_id"] is not None]
        except RunnerError as error:
            return failed(error)


class Deployment:
    """A deployment, `flow/deployment`, which is asked for runs; a key that it knows is no new run."""

    def __init__(self, settings: Settings, name: str, parameters: dict[str, Any]) -> None:
        self.name = name
        self._settings = settings
        self._parameters = parameters

    def is_over(self, key: str) -> bool:
        """Tell whether a run with this key is there and has ended."""
        wanted = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=[key]))
        try:
            with get_client(sync_client=True) as client:
                runs = client.read_flow_runs(flow_run_filter=wanted)
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            raise _no_answer(error) from error
        return any(run.state is not None and run.state.is_final() for run in runs)

    def run(self, day: str, key: str) -> str:
        """Return the id of the run with this key, which is made where there is none."""
        try:
            made = cast(
                FlowRun,
                run_deployment(
                    self.name,
                    parameters={"day": day, **self._parameters},
                    flow_run_name=f"{self._settings.pipeline} {day}",
                    tags=tags.of(self._settings, f"day={day}"),
                    idempotency_key=key,
                    timeout=0,
                    as_subflow=False,
                ),
            )
        except ObjectNotFound as error:
            raise ConfigError(
                f"Prefect has no deployment {self.name!r}, which the sensor is to run",
                hint="Make it: runner deploy. Or name another one: deployment under [sensor] in runner.toml.",
            ) from error
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            raise _no_answer(error) from error
        return str(made.id)


def _no_answer(error: Exception) -> RunnerError:
    said = str(error).splitlines() or [type(error).__name__]
    return RunnerError(
        f"Prefect's server does not answer: {console.printable(said[0])}",
        hint="The next look asks again, with the same key.",
        transient=not isinstance(error, PrefectHTTPStatusError) or error.response.status_code >= 500,
    )


class _Asking:
    """Asks for the run of a day, once for its content."""

    def __init__(self, settings: Settings, seen: Seen, target: Deployment) -> None:
        self._settings = settings
        self._seen = seen
        self._target = target
        self._intent: Intent | None = None

    def __call__(self, attempt: int) -> str | None:
        day = self._seen.arrival.day
        with schema.connect(database.resolve(self._settings), "runner arrivals") as connection:
            # Another attempt goes on with what the one before has begun.
            if self._intent is None:
                self._intent = sensor.intend(self._settings, connection, self._seen, self._target)
            run = (
                sensor.ask(self._settings, connection, self._intent, self._target.run)
                if self._intent is not None
                else None
            )
        if run is None:
            logger().info(f"{day}: another sensor is at it")
        else:
            logger().info(f"{day}: {self._seen.decision.reason}; run {run} of {self._target.name}")
        return run


def _show(settings: Settings, found: list[Seen], runs: dict[str, str | None]) -> None:
    """Make a table of the days that are not done on Prefect's page; a page that cannot be reached fails nothing."""
    rows = [dict(zip(sensor.HEADERS, map(str, sensor.row(seen)), strict=True)) for seen in found if seen.unfinished]
    if not rows:
        return
    for row in rows:
        run = runs.get(row["day"])
        row |= {"state": "triggered" if run else row["state"], "run": run or ""}
    try:
        create_table_artifact(
            table=rows,
            key=artifact_key(settings.pipeline, "arrivals"),
            description=_described(settings.pipeline, rows),
        )
    except Exception as error:
        said = str(error).splitlines() or [type(error).__name__]
        logger().warning(f"the table could not be shown: {console.printable(said[0])}")


def _described(pipeline: str, rows: list[dict[str, str]]) -> str:
    counts = Counter(row["state"] for row in rows)
    return f"{pipeline}: {', '.join(f'{count:,} {state}' for state, count in counts.items())}"
