"""What an apply of a day would do and why, decided from files and history. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from runner import loading
from runner.check import Check
from runner.mart import Mart
from runner.marts import State
from runner.metrics import StepState
from runner.step import SqlFile


@dataclass(frozen=True)
class StepPlan:
    """Whether a step will do its work, and why; `reads` are the entities of its staging tables.

    `checks` are those that will run in its transaction; none where it is skipped.
    """

    step: str
    action: str
    reason: str
    reads: tuple[str, ...]
    checks: tuple[str, ...] = ()


@dataclass(frozen=True)
class MartPlan:
    """What will become of a mart once the checkpoints have passed, and why."""

    mart: str
    action: str
    reason: str


def marts(files: Sequence[Mart], known: Mapping[str, State]) -> list[MartPlan]:
    """Return the plan of each mart; those that the database does not know are made."""
    return [_decide_mart(mart, known.get(mart.name, State(mart.name))) for mart in files]


def _decide_mart(mart: Mart, state: State) -> MartPlan:
    if not state.is_there:
        return MartPlan(mart.id, "make", "the database does not have it yet")
    if state.checksum != mart.checksum:
        return MartPlan(mart.id, "make anew", "its text has changed")
    at = f"{state.refreshed_at:%Y-%m-%d %H:%M}"
    return MartPlan(mart.id, "refresh", f"has the rows of {at}" + (f", of {state.day}" if state.day else ""))


def steps(
    files: Sequence[SqlFile],
    *,
    day: str,
    entities: Collection[str],
    present: Collection[str],
    changed: Collection[str],
    states: Mapping[tuple[str, str], StepState],
    checks: Sequence[Check] = (),
) -> list[StepPlan]:
    """Return the plan of each step.

    `entities` are those the pipeline declares, `present` those the day will have in
    staging, `changed` those whose staging will be new to the steps.
    """
    return [
        _decide(
            file,
            tuple(loading.entities_read(file, sorted(entities))),
            present,
            changed,
            states.get((day, file.task_name)),
            tuple(check.name for check in checks if check.step == file.id),
        )
        for file in files
    ]


def _decide(
    file: SqlFile,
    reads: tuple[str, ...],
    present: Collection[str],
    changed: Collection[str],
    state: StepState | None,
    checks: tuple[str, ...],
) -> StepPlan:
    if reads and not any(entity in present for entity in reads):
        return StepPlan(file.id, "skip", f"the day has no {' and no '.join(reads)}", reads)
    news = [entity for entity in reads if entity in changed]
    if state is None:
        reason = "was never run for this day"
    elif state.status == "failure":
        first = (state.error_message or "").splitlines()
        reason = f"failed at {state.finished_at:%Y-%m-%d %H:%M}: {first[0] if first else 'no message'}"
    elif news:
        reason = f"{', '.join(news)} will be new since {state.finished_at:%Y-%m-%d %H:%M}"
    else:
        reason = f"ran at {state.finished_at:%Y-%m-%d %H:%M} on the same files; a rerun changes nothing"
    return StepPlan(file.id, "run", reason, reads, checks)
