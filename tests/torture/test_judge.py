"""The judge of `make torture` sees what it is there to see."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.torture import judge
from tests.torture.campaign import Campaign
from tests.torture.worlds import World


@pytest.fixture
def worlds(made: Campaign) -> tuple[World, Callable[[], str]]:
    """A second day, and what makes copies of the database in which it was applied; the judge has no objection."""
    return made.worlds["next"], lambda: made.copy("next")


OUTPUT = "day2  step  010_agents  55 rows"


@pytest.mark.parametrize(
    ("statement", "moment", "end"),
    [
        ("select", "", ""),
        ("update agents set name = name || '!' where agent_id = 9000000001 or true", "agents", "agents"),
        ("delete from stg_cards where day = 'day1'", "stg_cards", "stg_cards"),
        ("delete from pipeline_metrics where day = 'day2' and step = '020_groups'", "out of order", "020_groups"),
        (
            "insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted,"
            " rows_affected, status, pipeline, step) select 'other', task_name, pipeline_name, table_name, day, 1, 1,"
            " status, pipeline, step from pipeline_metrics where day = 'day2' and step = '031_cards'",
            "031_cards has 2 rows of success",
            "031_cards: its metrics count",
        ),
        (
            "insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, rows_affected, status,"
            " error_message, step) select flow_run_id, task_name, pipeline_name, day, 0, 'failure', 'lost', step"
            " from pipeline_metrics where day = 'day2' and step = '031_cards'",
            "031_cards has a row of failure and one of success",
            "",
        ),
        (
            "insert into check_results (pipeline, step, check_name, severity, flow_run_id, day, attempt, status,"
            " rows_failed, sample, seconds)"
            " values ('zluri', '031_cards', 'c', 'error', 'r', 'day2', 1, 'passed', 0, '[]', 0)",
            "031_cards has results of checks",
            "",
        ),
        ("create table landing.l0123456789ab_1_rows ()", "", "left behind: r landing.l0123456789ab_1_rows"),
        ("drop index agent_days_latest", "", "missing: i public.agent_days_latest"),
        ("delete from reference_loads", "the rates", "reference_loads"),
        (
            "insert into runner_leases (pipeline, day, flow_run_id, host, pid) values ('zluri', 'day2', 'r', 'h', 1)",
            "",
            "the lease of day2",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_seen(worlds: tuple[World, Callable[[], str]], statement: str, moment: str, end: str) -> None:
    """Rows that are not those of the committed steps, rows of metrics too many or too few, and what was left."""
    world, copy = worlds
    with psycopg.connect(copy(), autocommit=True) as connection:
        connection.execute(statement.encode())
        seen = "\n".join(judge.moment(connection, world, -9, OUTPUT))
        seen_later = "\n".join([*judge.tables(connection, world), *judge.leftovers(connection, world)])
    assert moment in seen and end in seen_later
    assert bool(moment) == bool(seen) and bool(end) == bool(seen_later)


@pytest.mark.parametrize(
    ("code", "output", "told"),
    [
        (0, OUTPUT, "exit 0, and only ['010_agents'"),
        (1, "error: day2 010_agents failed\nsomething", "010_agents is reported as failed, and was committed"),
        (1, "day2  step  040_transactions  9 rows", "040_transactions is reported as done, and was not committed"),
        (1, "Traceback (most recent call last):", "a traceback"),
        (3, OUTPUT, "exit 3"),
    ],
)
def test_what_is_told_wrongly_is_seen(
    worlds: tuple[World, Callable[[], str]], code: int, output: str, told: str
) -> None:
    """Exit codes and lines that say something else than what was committed."""
    world, copy = worlds
    with psycopg.connect(copy(), autocommit=True) as connection:
        connection.execute("delete from pipeline_metrics where day = 'day2' and step = '040_transactions'")
        assert told in "\n".join(judge.moment(connection, world, code, output))


def test_who_goes_on_is_seen(worlds: tuple[World, Callable[[], str]]) -> None:
    """Sessions that do not end."""
    url = worlds[1]()
    with psycopg.connect(url) as other, psycopg.connect(url, autocommit=True) as connection:
        other.execute("select 1")
        assert [told[:36] for told in judge.sessions(connection, 0)] == ["a session goes on after 0 s: client "]
