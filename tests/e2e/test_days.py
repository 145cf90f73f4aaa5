"""Days applied by the command line: the whole chain, from files to final tables, against the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests import make_days
from tests.model.compare import assert_holds, read_counts
from tests.model.files import read_folder
from tests.model.warehouse import Warehouse

OPTIONS = (
    *("--odd", "0.3", "--late", "0.3", "--format", "mixed", "--page-size", "9"),
    *("--agents", "30", "--groups", "30", "--transactions", "80"),
)


@pytest.mark.slow
@pytest.mark.long
def test_generated_days_end_in_the_models_tables(
    runner: Callable[..., Any], database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Odd days in every form of file, out of order, one of them again with other files."""
    for seed in ("1", "2"):
        make_days.main(["--out", str(tmp_path / seed), "--seed", seed, *OPTIONS])
    capsys.readouterr()
    model = Warehouse()
    for seed, day in (("1", "day2"), ("1", "day1"), ("2", "day2")):
        application = model.apply(day, read_folder(tmp_path / seed / f"sync-{day}"))
        outcome = runner("apply", "--day", day, DATA_BASE_PATH=str(tmp_path / seed))
        assert outcome.code == 0, outcome.err
        with psycopg.connect(database, autocommit=True) as connection:
            assert read_counts(connection, day) == application.counts()
            assert_holds(connection, model)
