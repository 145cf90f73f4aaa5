"""The figures of a load as a whole, for machines."""

from __future__ import annotations

from dataclasses import replace

from runner.load_figures import figures
from staging_loaders.choice import Choice
from staging_loaders.outcome import EntityLoad

CARDS = EntityLoad(
    "cards", "loaded", 100, 90, 10, 1, 2, 5_000, 0.5,
    plan_seconds=0.1, start_seconds=3.0, copy_seconds=2.0, publish_seconds=0.25, engine="spark",
)  # fmt: skip
CHOICE = Choice("auto", "spark", "70 MB in 20 files, not below the limit of 64 MB")


def test_entities_that_were_loaded_together() -> None:
    """Counts add up; the seconds of the phases are those of the whole, which each entity has."""
    roles = replace(CARDS, entity="roles", records_read=300, rows_loaded=300, rejects=0, warnings=0, files=1, bytes=100)
    kept = EntityLoad("agents", "unchanged", 7_000, 7_000, 0, 0, 9, 900_000, 0.0)
    found = figures([kept, CARDS, roles], CHOICE)
    assert found == {
        "engine": {"asked": "auto", "engine": "spark", "why": CHOICE.why},
        "files": 3, "bytes": 5_100, "records": 400, "rejects": 10, "warnings": 1,
        "seconds": {"plan": 0.1, "start": 3.0, "copy": 2.0, "publish": 0.25},
        "records_per_second": 200,
    }  # fmt: skip


def test_nothing_was_read() -> None:
    """No engine and no speed, and no seconds but those of the plan."""
    kept = EntityLoad("cards", "unchanged", 100, 90, 10, 1, 2, 5_000, 0.0, plan_seconds=0.1)
    found = figures([kept], None)
    assert (found["engine"], found["records"], found["records_per_second"]) == (None, 0, None)
    assert found["seconds"] == {"plan": 0.1, "start": 0.0, "copy": 0.0, "publish": 0.0}
