"""How old the newest data is, as a flow: a task that looks, a table on Prefect's page, a failed run for stale data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import prefect
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.flows import Flow

from runner import console, database, freshness, metrics, project, schema, task_settings
from runner.commands.freshness import row
from runner.config import Settings
from runner.errors import RunnerError, StaleData
from runner.flows import tags
from runner.flows.ending import failed
from runner.flows.names import artifact_key, flow_name
from runner.flows.tasks import as_task, called, cancelling, logger
from runner.freshness import Freshness

Outcome = list[dict[str, Any]] | State[Any]
"""What the flow returns: what it found, as `runner freshness --json` says it, or the state in which it failed."""


def freshness_flow(pipeline: str) -> Callable[[Callable[..., Outcome]], Flow[..., Outcome]]:
    """Decorate a function that returns `look_at` of settings as the flow `<pipeline>_freshness`."""
    return prefect.flow(
        name=flow_name(pipeline, "freshness"),
        flow_run_name=lambda: f"{pipeline} freshness",
        description=f"Tell how old the newest data of {pipeline} is, and fail where it is too old.",
        persist_result=False,
    )


def freshness_pipeline(settings: Settings) -> Flow[..., Outcome]:
    """Return the flow of the settings' pipeline."""

    def run() -> Outcome:
        return look_at(settings)

    run.__name__ = run.__qualname__ = flow_name(settings.pipeline, "freshness")
    return freshness_flow(settings.pipeline)(run)


def look_at(settings: Settings) -> Outcome:
    """Look how fresh the pipeline's tables are, inside the flow run at hand; failed where any is stale."""
    with cancelling(), tags.tagged(*tags.of(settings)):
        try:
            tasks = task_settings.read(settings)
            rules = freshness.rules(settings, project.discover(settings).steps)

            def look(_: int) -> list[Freshness]:
                with schema.connect(database.resolve(settings), "runner freshness") as connection:
                    if metrics.nothing_yet(connection):
                        return [Freshness(rule, None, None) for rule in rules]
                    return freshness.look(connection, settings.pipeline, rules)

            found = called(as_task("freshness", look, tasks.database))
            _show(settings.pipeline, found)
            if stale := [one.rule.table for one in found if one.level == "stale"]:
                raise StaleData(
                    f"the data of {', '.join(stale)} is stale", hint="Load what has come since: runner apply"
                )
            return [one.document() for one in found]
        except RunnerError as error:
            return failed(error)


def _show(pipeline: str, found: list[Freshness]) -> None:
    """Log the warnings, and make a table on Prefect's page; a page that cannot be reached fails nothing."""
    keys = ("table", "by", "newest", "age", "limit", "level")
    table = [dict(zip(keys, row(one), strict=True)) for one in found]
    for one in table:
        if one["level"] != "fresh":
            logger().warning(f"{one['table']}: {one['level']}, newest {one['newest']}, limit {one['limit']}")
    try:
        create_table_artifact(
            table=table, key=artifact_key(pipeline, "freshness"), description=f"{pipeline}: how old the newest data is"
        )
    except Exception as error:
        logger().warning(f"the table could not be shown: {console.printable(str(error).splitlines()[0])}")
