"""What tests of flows share: how a flow run ended, what it shows and what it has logged, as the server knows it."""

from __future__ import annotations

from typing import Any

from runner.apply import StepResult


class Ended:
    """A flow run, as the server knows it."""

    def __init__(self, state: Any) -> None:
        from prefect.client.orchestration import get_client

        self.state = state
        self.id = str(state.state_details.flow_run_id)
        with get_client(sync_client=True) as client:
            self.run = client.read_flow_run(state.state_details.flow_run_id)

    @property
    def error(self) -> BaseException:
        error = self.state.result(raise_on_failure=False)
        assert isinstance(error, BaseException), self.state
        return error

    @property
    def steps(self) -> list[StepResult]:
        result: list[StepResult] = self.state.result()
        return result

    def artifacts(self) -> list[Any]:
        return artifacts(self.state.state_details.flow_run_id)


def artifacts(flow_run_id: Any) -> list[Any]:
    """Return what a flow run shows on Prefect's page."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    with get_client(sync_client=True) as client:
        mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        return list(client.read_artifacts(artifact_filter=mine))


def logged(flow_run_id: Any) -> list[str]:
    """Return the lines of a flow run's log, in their order, once they are sent."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=30)
    with get_client(sync_client=True) as client:
        mine = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]))
        return [log.message for log in client.read_logs(log_filter=mine, limit=200)]
