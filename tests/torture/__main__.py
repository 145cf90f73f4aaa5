"""make torture: kill runs everywhere, and see that nothing is lost, doubled or left behind."""

from __future__ import annotations

import argparse
import random
import sys
import time

from runner import signals
from tests.torture import campaign, faults
from tests.torture.campaign import Campaign


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, metavar="N", help="how many faults (default: 500)")
    parser.add_argument("--seed", type=int, metavar="S", help="deals the faults; the same one deals the same")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="servers side by side (default: 2)")
    parser.add_argument("--without", default="", metavar="K[,K]", help=f"leave kinds out: {', '.join(faults.KINDS)}")
    parser.add_argument("--fault", action="append", type=faults.parse, metavar="F", help="make this one, such as "
                        "next/cut@after:424 (the 424th statement) or first/runner@40%%")  # fmt: skip
    given = parser.parse_args()
    seed = random.randrange(1_000_000) if given.seed is None else given.seed
    started = time.monotonic()
    print(f"seed {seed}", flush=True)
    with (
        signals.terminating(),
        Campaign(1 if given.fault else given.jobs, lambda text: print(text, flush=True)) as made,
    ):
        for kind, reason in made.without.items():
            print(f"without {faults.KINDS[kind]}: {reason}", flush=True)
        without = [*filter(None, given.without.split(",")), *made.without]
        if unknown := set(without) - set(faults.KINDS):
            parser.error(f"there is no kind {', '.join(unknown)}")
        counts = ", ".join(f"{world.name} {len(world.boundaries)}" for world in made.worlds.values())
        print(f"statements of an undisturbed run: {counts}", flush=True)
        # Some strike nowhere, since the run is over by then: others take their place.
        dealt = campaign.deal(made.worlds, given.kills, seed, without, spare=given.kills // 5 + 5)
        interrupted = False
        try:
            outcomes = made.run(given.fault) if given.fault else made.run(dealt, enough=given.kills)
        except KeyboardInterrupt:
            interrupted, outcomes = True, made.outcomes
    if given.fault:
        for outcome in outcomes:
            print(f"{outcome.fault}: struck at {outcome.struck}, exit {outcome.code}\n{outcome.output}")
    wrong = [outcome for outcome in outcomes if outcome.wrong]
    print(f"\n{campaign.table(outcomes)}\n{time.monotonic() - started:.0f} s, seed {seed}")
    for outcome in wrong:
        print(f"wrong: {campaign.command(outcome.fault)}")
    return 130 if interrupted else 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
