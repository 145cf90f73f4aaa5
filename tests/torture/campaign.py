"""A campaign: faults of all kinds dealt over all statements, with a seed, and made on several servers side by side."""

from __future__ import annotations

import queue
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path

from tests.torture.faults import KINDS, OF_SPARK, OF_WORKERS, PHASES, Fault
from tests.torture.place import Place
from tests.torture.proxy import Boundary
from tests.torture.trial import Outcome, Trials
from tests.torture.worlds import Maker, World

# How many of a hundred faults are of a kind; of Spark, whose start takes longest, there are few.
_SHARES = {
    "runner": 28, "backend": 12, "cut": 12, "vanish": 6, "hang": 3, "deaf": 3, "pause": 3, "crash": 9, "immediate": 9,
    "postmaster": 5, "disk": 5, "worker": 3, "parent": 2,
}  # fmt: skip
_SPARK = 2
# Of the faults, those at any time instead of at a statement.
_BY_TIME = 0.15
_TIMED = ("runner", "backend", "cut", "vanish", "crash", "immediate", "postmaster")


def deal(
    worlds: Mapping[str, World], kills: int, seed: int, without: Collection[str] = (), *, spare: int = 0
) -> list[Fault]:
    """Return `kills` faults, shuffled, and some to spare.

    A third are commits, in every way, as far as there are such; the others take each statement of steps and of
    publishing once, and then any. The same seed and worlds deal the same.
    """
    chance = random.Random(seed)
    dealt = [fault for fault in _commits(worlds) if fault.kind not in without]
    chance.shuffle(dealt)
    dealt = dealt[: kills // 3]
    spark = [kind for kind in OF_SPARK if kind not in without]
    dealt += [_of_copies(kind, chance) for kind in spark for _ in range(kills * _SPARK // 300)]
    shares = {kind: share for kind, share in _SHARES.items() if kind not in without}
    places = _places(worlds, chance)
    while len(dealt) < kills + spare:
        (kind,) = chance.choices(list(shares), list(shares.values()))
        if kind in OF_WORKERS:
            dealt.append(_of_copies(kind, chance))
        elif kind in _TIMED and chance.random() < _BY_TIME:
            world = chance.choice(list(worlds.values()))
            dealt.append(Fault(world.name, kind, percent=chance.randrange(1, 80)))
        else:
            world, boundary = next(places)
            dealt.append(Fault(world.name, kind, chance.choice(PHASES), boundary.number))
    first = dealt[:kills]
    chance.shuffle(first)
    return first + dealt[kills:]


def _commits(worlds: Mapping[str, World]) -> Iterator[Fault]:
    """The unknown commit, both ways: of each step and of publishing."""
    for world in worlds.values():
        for boundary in world.boundaries:
            if boundary.text.lower() != "commit" or not (boundary.step or publishes(world, boundary)):
                continue
            for kind in ("cut", "immediate", "crash"):
                yield from (Fault(world.name, kind, phase, boundary.number) for phase in PHASES)


def publishes(world: World, boundary: Boundary) -> bool:
    """Tell whether a statement is of the load, and after the last part was copied: it publishes."""
    copied = max(each.number for each in world.boundaries if each.line.startswith("runner copy "))
    return boundary.line.startswith("runner load ") and boundary.number > copied


def _places(worlds: Mapping[str, World], chance: random.Random) -> Iterator[tuple[World, Boundary]]:
    """Yield every statement of steps and of publishing in a random order, then any statements without end."""
    everywhere = [(world, boundary) for world in worlds.values() for boundary in world.boundaries]
    chosen = [(world, each) for world, each in everywhere if each.step or publishes(world, each)]
    chance.shuffle(chosen)
    yield from chosen
    while True:
        yield chance.choice(everywhere)


def _of_copies(kind: str, chance: random.Random) -> Fault:
    return Fault(chance.choice(["first", "next", "again"]), kind, chance.choice(PHASES), chance.randint(1, 12))


class Campaign:
    """Servers on which trials are made side by side, with their data below `within`. A context manager."""

    def __init__(self, jobs: int, say: Callable[[str], None], within: Path | None = None) -> None:
        self._jobs = jobs
        self._say = say
        self._within = within
        self._stack = ExitStack()
        self._benches: list[Trials] = []
        self.worlds: Mapping[str, World] = {}
        self.outcomes: list[Outcome] = []
        self.without: dict[str, str] = {}

    def __enter__(self) -> Campaign:
        folder = Path(
            self._stack.enter_context(
                tempfile.TemporaryDirectory(prefix="torture-", dir=self._within, ignore_cleanup_errors=True)
            )
        )
        folder.chmod(0o711)
        if find_spec("pyspark") is None:
            self.without |= dict.fromkeys(OF_SPARK, "Spark is not installed")
        with ThreadPoolExecutor(self._jobs) as pool:
            self._benches = list(pool.map(self._bench, [folder / str(number) for number in range(self._jobs)]))
        self.worlds = self._benches[0].worlds
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _bench(self, folder: Path) -> Trials:
        folder.mkdir(mode=0o711)
        place = self._stack.enter_context(Place(folder / "pg"))
        if place.no_disk:
            self.without["disk"] = place.no_disk
        maker = Maker(place.create, place.on, folder)
        return Trials(place, maker, maker.make(), folder)

    def copy(self, world: str) -> str:
        """Return the URL of a new database with what the run of a world has left; it goes with the server."""
        bench = self._benches[0]
        return bench.place.on(bench.place.create(self.worlds[world].result))

    def run(self, dealt: Sequence[Fault], enough: int | None = None) -> list[Outcome]:
        """Make all trials, or until `enough` have struck, and tell of each that goes wrong."""
        waiting: queue.SimpleQueue[Fault] = queue.SimpleQueue()
        for fault in dealt:
            waiting.put(fault)
        outcomes = self.outcomes = list[Outcome]()
        started = time.monotonic()

        def work(trials: Trials) -> None:
            while enough is None or sum(outcome.struck is not None for outcome in outcomes) < enough:
                try:
                    fault = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    outcome = trials.make(fault)
                except Exception as error:
                    outcome = Outcome(fault, None, None, (f"the trial itself: {type(error).__name__}: {error}",), "", 0)
                outcomes.append(outcome)
                self._tell(outcome, len(outcomes), enough or len(dealt), time.monotonic() - started)

        threads = [threading.Thread(target=work, args=(bench,), daemon=True) for bench in self._benches]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        finally:  # an interruption, too, lets what is being tried come to its end
            with suppress(queue.Empty):
                while True:
                    waiting.get_nowait()
            for thread in threads:
                thread.join()
        return outcomes

    def _tell(self, outcome: Outcome, done: int, of: int, seconds: float) -> None:
        if outcome.wrong:
            self._say(told(outcome))
        if sys.stderr.isatty():
            print(f"\r{done} of {of} in {seconds:.0f} s ", end="", file=sys.stderr, flush=True)
        elif done % 25 == 0 or done == of:
            self._say(f"{done} of {of} in {seconds:.0f} s")


def told(outcome: Outcome) -> str:
    """Return what went wrong, and how to see it again."""
    wrong = "\n  ".join(outcome.wrong)
    return (
        f"{outcome.fault}  {KINDS[outcome.fault.kind]}\n  at {outcome.struck}\n  {wrong}\n"
        f"  again: {command(outcome.fault)}"
    )


def command(fault: Fault) -> str:
    """Return what makes this fault again."""
    return f"python -m tests.torture --fault {fault}"


def table(outcomes: Sequence[Outcome]) -> str:
    """Return how many faults of each kind struck, at how many places, and how many went wrong."""
    made, struck, wrong = Counter[str](), Counter[str](), Counter[str]()
    places: dict[str, set[str]] = {}
    for outcome in outcomes:
        kind = outcome.fault.kind
        made[kind] += 1
        struck[kind] += outcome.struck is not None
        wrong[kind] += bool(outcome.wrong)
        if outcome.struck:
            places.setdefault(kind, set()).add(f"{outcome.fault.world} {outcome.struck}")
    width = max(map(len, KINDS.values()))
    lines = [f"{'':{width}}   made  struck  places  wrong"]
    lines += [
        f"{KINDS[kind]:{width}}  {made[kind]:5}  {struck[kind]:6}  {len(places.get(kind, ())):6}  {wrong[kind]:5}"
        for kind in KINDS
        if made[kind]
    ]
    everywhere = set[str]().union(*places.values())
    total = made.total(), struck.total(), len(everywhere), wrong.total()
    lines.append(f"{'all':{width}}  {total[0]:5}  {total[1]:6}  {total[2]:6}  {total[3]:5}")
    return "\n".join(lines)
