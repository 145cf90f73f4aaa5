"""The short form of `make torture`: a few faults of each kind, the same ones each time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.torture import campaign, faults
from tests.torture.campaign import Campaign
from tests.torture.faults import Fault
from tests.torture.proxy import Boundary

_KILLS, _SEED = 40, 1


@pytest.fixture(scope="module")
def made() -> Iterator[Campaign]:
    """A server of its own, since it is killed, too, with three worlds on it."""
    with Campaign(1, print) as made:
        yield made


@pytest.fixture(scope="module")
def dealt(made: Campaign) -> list[Fault]:
    """The faults of the seed; those that need Spark come by themselves."""
    return campaign.deal(made.worlds, _KILLS, _SEED, [*faults.OF_SPARK, *made.without])


def check(made: Campaign, fault: Fault) -> None:
    """Make a fault, which must strike, and see that nothing is wrong afterwards."""
    (outcome,) = made.run([fault])
    assert not outcome.wrong, campaign.told(outcome)
    assert outcome.struck or fault.milliseconds is not None, f"{fault} struck nowhere"


@pytest.mark.parametrize("number", range(_KILLS))
def test_a_run_that_is_disturbed(made: Campaign, dealt: list[Fault], number: int) -> None:
    """Nothing is lost, doubled, left behind or told wrongly, and a plain rerun ends in the same tables."""
    check(made, dealt[number])


@pytest.mark.parametrize(
    "kind", ["jvm", pytest.param("pyworker", marks=pytest.mark.long), pytest.param("driver", marks=pytest.mark.long)]
)
def test_a_load_by_spark_that_is_killed(made: Campaign, kind: str) -> None:
    """The driver, its JVM and a Python worker die in the middle of copying."""
    check(made, Fault("next", kind, "during", 3))


def test_a_seed_deals_the_same(made: Campaign) -> None:
    """And another one other faults; each is told in a word."""
    one, again, other = (campaign.deal(made.worlds, 100, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert [faults.parse(str(fault)) for fault in one] == one


def test_every_statement_has_its_turn(made: Campaign) -> None:
    """All statements of steps and of publishing are dealt before any is dealt twice; commits in every way."""
    places = [
        (world.name, boundary.number)
        for world in made.worlds.values()
        for boundary in world.boundaries
        if boundary.step or (boundary.number >= campaign.published(world) and boundary.line.startswith("runner load "))
    ]
    dealt = campaign.deal(made.worlds, 3 * len(places), 1)
    assert set(places) <= {(fault.world, fault.number) for fault in dealt if fault.kind not in faults.OF_WORKERS}


def test_the_proxy_knows_what_is_said(made: Campaign) -> None:
    """A world's statements have their lines and steps; each step has one commit."""
    world = made.worlds["next"]
    commits = [each.step for each in world.boundaries if each.text == "commit" and each.step]
    assert commits == list(world.steps)
    assert [each.number for each in world.boundaries] == list(range(1, len(world.boundaries) + 1))
    assert world.boundaries[0] == Boundary(1, "runner migrate", "", "connect")
