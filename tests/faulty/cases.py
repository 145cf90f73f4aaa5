"""All faulty steps: the mutations of shipped steps, and those in files of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.faulty.mutations import MUTATIONS

FOLDER = Path(__file__).resolve().parent
STEPS = FOLDER.parents[1] / "migrations" / "zluri"


@dataclass(frozen=True)
class Case:
    """A faulty step: its text, the id of the step in whose place it stands, and what must be found.

    `words` must stand among the rows that the fault shows.
    """

    title: str
    step: str
    text: str
    proof: str
    kind: str
    table: str | None
    words: tuple[str, ...] = ()


# File -> what must be found.
_FILES: dict[str, tuple[str, str, str | None, tuple[str, ...]]] = {
    "031_grows": ("rerun", "adds-up", "cards", ("current_spent",)),
    "031_draw": ("rerun", "never-settles", "cards", ("name",)),
    "031_clock": ("deterministic", "clock", "cards", ("created_time",)),
    "031_random": ("deterministic", "random", "cards", ("name",)),
    "031_limit": ("deterministic", "arrival", "cards", ("card-1", "missing")),
    "031_arrays": ("deterministic", "arrival", "cards", ("card-1,card-2",)),
    "031_events": ("rerun", "inserted-again", "card_events", ("card-1",)),
    "031_history": ("rerun", "rerun-fails", "cards", ()),
    "031_rebuild": ("rerun", "rewritten-unchanged", "card_history", ("card-1",)),
    "031_forward": ("order", "fails-in-order", None, ()),
    "031_consumes": ("rerun", "staging-changed", "stg_cards", ("delete",)),
    "031_truncate": ("order", "last-applied-wins", "card_history", ("status",)),
}


def read() -> list[Case]:
    """Return all cases; a mutation whose text is not in its step exactly once is an error."""
    cases = []
    for mutation in MUTATIONS:
        text = (STEPS / f"{mutation.step}.sql").read_text(encoding="utf-8")
        for old, new in mutation.changes:
            assert text.count(old) == 1, f"{mutation.title}: {text.count(old)} times in {mutation.step}: {old}"
            text = text.replace(old, new)
        cases.append(
            Case(mutation.title, mutation.step, text, mutation.proof, mutation.kind, mutation.table, mutation.words)
        )
    for name, found in _FILES.items():
        text = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
        cases.append(Case(text.splitlines()[0].removeprefix("-- "), "031_cards", text, *found))
    return cases
