"""Load a day several times through one session of a cluster; an executor dies in each but the first.

    python -m tests.clusters.faulty_load OPTIONS_AS_JSON

prints, for each load, what it says of the day. An executor dies `copying`, in the middle of a COPY, or when its part
was just `committed`; one that `straggles` commits its part and then does not end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg

from staging_loaders.load import load_day
from staging_loaders.part import Counts, Failed, Part, land_part
from staging_loaders.session import Session
from tests.clusters.processes import kill, wait_until

ROOT = Path(__file__).parents[2]


class Killing:
    """A task that lands its part, and of which the first attempt of all kills its own executor, `when` the time comes.

    `marker` is a file that tells whether that has been done.
    """

    def __init__(self, marker: Path, when: str) -> None:
        self.marker = marker
        self.when = when

    def __call__(self, part: Part) -> Counts | Failed:
        if part.entity.name != "transactions":
            return land_part(part)
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return land_part(part)
        if self.when == "copying":
            threading.Thread(target=self._kill_while_copying, args=(part,), daemon=True).start()
        land_part(part)
        if self.when == "straggles":
            signal.pause()
        _kill_executor()
        raise AssertionError("the executor is dead")

    def _kill_while_copying(self, part: Part) -> None:
        with psycopg.connect(part.dsn, autocommit=True) as connection:
            copying = "select from pg_stat_activity where application_name = %s and query ilike 'copy%%'"
            wait_until("copying", lambda: connection.execute(copying, (part.name,)).fetchone(), 0.001)
        _kill_executor()


def _kill_executor() -> None:
    """Kill the JVM above the daemon that this worker was forked from, and then this worker."""
    daemon = os.getppid()
    with open(f"/proc/{daemon}/stat", encoding="ascii", errors="replace") as stat:
        kill(int(stat.read().rpartition(")")[2].split()[1]))
    kill(os.getpid())


class Unlucky(Session):
    """A session that runs each part through such a task, on another's Spark."""

    def __init__(self, session: Session, task: Killing) -> None:
        super().__init__(session.master)
        self.session = session
        self.task = task

    @property
    def parallelism(self) -> int:
        return self.session.parallelism

    def run(self, task: Any, items: Sequence[Any], tick: Callable[[], None] | None = None) -> list[Any]:
        assert task is land_part
        return self.session.run(self.task, items, tick)


def main() -> None:
    """Do it."""
    given = json.loads(sys.argv[1])
    settings = given["settings"] | {"spark.executorEnv.PYTHONPATH": str(ROOT)}
    found = []
    with Session(given["master"], Path(given["cache"]), settings=settings, require_yarn=given["yarn"]) as session:
        for when in ("", *given["deaths"]):
            marker = Path(given["cache"], f"killed-{when}")
            engine = Unlucky(session, Killing(marker, when)) if when else session
            loads = load_day(
                dsn=given["dsn"], pipeline="zluri", day="day1", base=given["base"],
                declarations=ROOT / "staging_loaders" / "zluri", flow_run_id=when, session=engine, mode="always",
            )  # fmt: skip
            assert not when or marker.exists()
            found.append([[each.entity, each.records_read, each.rows_loaded, each.rejects] for each in loads])
        print(json.dumps({"master": session.context.master, "loads": found}))


if __name__ == "__main__":
    main()
