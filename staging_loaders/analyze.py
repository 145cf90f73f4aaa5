"""Statistics of what a load brings, by which the steps that follow are planned.

The data is what counts: where they cannot be had, the load goes on, and the next autovacuum brings them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

from runner.database import WATCHED, Connection, set_local

# Below this many rows the planner does well without.
_ROWS = 5_000
# How long they are waited for at a time; a load that has failed leaves its tables to the next one then.
_SECONDS = 10.0


def needed(rows: int) -> bool:
    """Tell whether a table of so many rows wants statistics."""
    return rows >= _ROWS


def gather(connection: Connection, tables: Sequence[str], started: Callable[[], None] = lambda: None) -> None:
    """Gather statistics of `tables`, one after the other; `started` is called once the session is ours."""
    with contextlib.suppress(Exception), connection.transaction():
        set_local(connection, WATCHED)
        started()
        for table in tables:
            connection.execute(f"analyze {table}")


@contextlib.contextmanager
def beside(
    connect: Callable[[], contextlib.AbstractContextManager[Connection]], tables: Sequence[str]
) -> Iterator[Callable[[], bool]]:
    """Gather statistics of `tables` beside what is done here; yield what waits a while and tells if that is over.

    Nothing is done here before the other connection, by `connect`, is there: where a pooler has one for us only
    after the other, it needs none of ours to come to its end.
    """
    if not tables:
        yield lambda: True
        return
    at_work = threading.Event()

    def work() -> None:
        try:
            with contextlib.suppress(Exception), connect() as connection:
                gather(connection, tables, at_work.set)
        finally:
            at_work.set()

    def is_over() -> bool:
        thread.join(_SECONDS)
        return not thread.is_alive()

    thread = threading.Thread(target=work, name="analyze", daemon=True)
    thread.start()
    at_work.wait()
    try:
        yield is_over
    finally:
        is_over()
