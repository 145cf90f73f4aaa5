"""The short form of `make torture`: a few faults of each kind, the same ones each time."""

from __future__ import annotations

import pytest

from tests.torture import campaign, faults
from tests.torture.campaign import Campaign
from tests.torture.faults import Fault
from tests.torture.proxy import Boundary

_DEALT, _SEED = 32, 1


@pytest.fixture(scope="module")
def dealt(made: Campaign) -> list[Fault]:
    """Lost commits of a step and of publishing, both ways, and the faults of the seed; Spark comes by itself."""
    world = made.worlds["next"]
    commits = [each for each in world.boundaries if each.text.lower() == "commit"]
    kept = max(each.number for each in world.boundaries if each.text.startswith("insert into stg_loads"))
    numbers = [
        next(each.number for each in commits if each.step == "020_groups"),
        next(each.number for each in commits if each.number > kept),
    ]
    lost = [
        Fault("next", kind, phase, number)
        for number in numbers
        for kind in ("cut", "immediate")
        for phase in ("before", "after")
    ]
    return lost + campaign.deal(made.worlds, _DEALT, _SEED, [*faults.OF_SPARK, *made.without])


def check(made: Campaign, fault: Fault) -> None:
    """Make a fault, which must strike, and see that nothing is wrong afterwards."""
    (outcome,) = made.run([fault])
    assert not outcome.wrong, campaign.told(outcome)
    assert outcome.struck or fault.percent is not None, f"{fault} struck nowhere"


@pytest.mark.parametrize("number", range(8 + _DEALT))
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
        if boundary.step or campaign.publishes(world, boundary)
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
