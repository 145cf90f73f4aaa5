"""Steps with a fault each: every one is found, named by step, table and kind, and shown by rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from runner import database, step
from runner.proofs.fault import CAUSES, PROOFS, Fault
from runner.step import STEP_KEYS
from runner.verify import Task, Verifier
from tests.conftest import Server
from tests.faulty import cases, days
from tests.faulty.cases import Case
from tests.model.chain import PIPELINE

CASES = cases.read()

# Those whose smallest example is looked for: staging table -> how many of its rows.
EXAMPLES = {
    "an older update of a card overwrites a newer one": {"stg_cards": 2},
    "records of transactions that are older than the watermark are dropped": {"stg_transactions": 2},
    "a group that lost its last member keeps it": {"stg_admin_groups": 2, "stg_agents": 1},
    "whether a group is inactive is computed from its members before the step": {
        "stg_admin_groups": 1,
        "stg_agents": 1,
    },
    "updated cards are counted as inserted": {"stg_cards": 2},
    "of two records with one time any wins": {"stg_admin_groups": 2},
    "Days must come one after the other.": {"stg_cards": 1},
}
# Steps that are tried hundreds of times until nothing more can be left out.
MANY_STEPS = (
    "former members are never deleted",
    "a group that lost its last member keeps it",
    "whether a group is inactive is computed from its members before the step",
    "records of transactions that are older than the watermark are dropped",
    "of two records with one time any wins",
)

# Of each proof and kind of fault one step; the others are long forms.
FIRST = list({(case.proof, case.kind): case for case in reversed(CASES)}.values())


@pytest.fixture(scope="module")
def staged(server: Server, template: str) -> Iterator[str]:
    """The URL of a database with both days in staging; a proof leaves nothing, so all cases share it."""
    name = server.create(template)
    with psycopg.connect(server.on(name), autocommit=True) as connection:
        days.stage(connection)
    yield server.on(name)
    server.drop(name)


@pytest.fixture
def verify(staged: str, tmp_path: Path) -> Callable[..., list[Fault]]:
    """Prove a step in the place of the shipped one, and return its faults."""

    def run(case: Case, shrink: float = 0.0) -> list[Fault]:
        path = tmp_path / f"{case.step}.sql"
        path.write_text(case.text, encoding="utf-8")
        file = step.read(path, tmp_path, STEP_KEYS)
        steps = tuple(file if other.id == case.step else other for other in PIPELINE.steps)
        task = Task("zluri", steps, (file,), days.DAYS, PIPELINE.checks, shrink=shrink)
        verdicts, faults = Verifier(task, lambda: database.connect(staged, "verify")).run()
        assert {(each.step, each.proof) for each in verdicts} == {(case.step, proof) for proof in PROOFS}
        assert {each.proof for each in verdicts if each.outcome == "fault"} == {fault.proof for fault in faults}
        return faults

    return run


def the_fault(faults: list[Fault], case: Case) -> Fault:
    """Return the fault that a case is about."""
    found = [fault for fault in faults if (fault.proof, fault.kind, fault.table) == (case.proof, case.kind, case.table)]
    assert len(found) == 1, [(fault.proof, fault.kind, fault.table, fault.message) for fault in faults]
    return found[0]


def test_there_are_faults_of_all_kinds() -> None:
    """The cases cover every kind of fault but those that follow from others, and there are many of them."""
    assert len(CASES) >= 35
    assert set(CAUSES) - {case.kind for case in CASES} <= {
        "rewrites-counted",
        "repetition",
        "order-matters",
        "fails",
        "notes-changes",
        "side-effect-not-counted",
    }


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.title, marks=[pytest.mark.long] * (case.title in MANY_STEPS or case not in FIRST))
        for case in CASES
        if case.title not in EXAMPLES
    ],
)
def test_a_faulty_step_is_found(verify: Callable[..., list[Fault]], case: Case) -> None:
    """The fault is named by its step, table and kind, and its rows name what differs."""
    needs_example = case.kind == "left-behind"
    fault = the_fault(verify(case, shrink=20.0 if needs_example else 0.0), case)
    shown = fault.evidence.rows if fault.evidence else ()
    texts = [text for row in shown for text in row if text is not None]
    for word in case.words:
        assert any(word in text for text in texts), texts
    assert fault.step == case.step
    assert fault.cause
    if case.table is not None and case.kind not in ("check-failed",):
        assert case.table in fault.message or fault.proof in ("metrics", "rerun")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.title, marks=[pytest.mark.long] * (case.title in MANY_STEPS))
        for case in CASES
        if case.title in EXAMPLES
    ],
)
def test_a_counterexample_is_small(verify: Callable[..., list[Fault]], case: Case) -> None:
    """What is shown are the fewest days and staging rows with which the fault comes about."""
    fault = the_fault(verify(case, shrink=60.0), case)
    assert fault.minimal
    rows: dict[str, int] = {}
    for row in fault.staging:
        rows[row.table] = rows.get(row.table, 0) + 1
    assert rows == EXAMPLES[case.title]
    assert len(fault.days) <= 2
