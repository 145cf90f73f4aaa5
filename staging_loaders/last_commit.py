"""The commit that publishes a day: how it ended, should the connection be lost meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from runner import settlement
from runner.database import Connection, connect
from runner.errors import DatabaseUnavailable


@dataclass(frozen=True)
class LastCommit:
    """A publishing transaction that is about to be committed, and what it leaves in stg_loads, which no other does."""

    commit: settlement.Commit
    pipeline: str
    day: str
    account: str

    @classmethod
    def about_to(cls, connection: Connection, pipeline: str, day: str) -> LastCommit:
        """Return what to remember of the transaction that is open, once it has written its account."""
        return cls(settlement.about_to(connection), pipeline, day, _account(connection, pipeline, day))

    def was_made(self, dsn: str) -> bool:
        """Ask until the server says whether the transaction was committed; it may have to come back first.

        Raises DatabaseUnavailable where it has not said so in a minute.
        """

        def is_there(connection: Connection) -> bool:
            return _account(connection, self.pipeline, self.day) == self.account

        opened: list[Connection] = []

        def opening() -> Connection:
            opened.append(connect(dsn, f"runner load {self.pipeline} {self.day}"))
            return opened[-1]

        try:
            return settlement.was_committed(opening, self.commit, is_there)
        except settlement.Unsettled:
            raise DatabaseUnavailable(
                f"the connection was lost during the commit of transaction {self.commit.transaction}, "
                f"and no server said within {settlement.PATIENCE:.0f} s how it ended",
                hint="Run the load again: what was published is not read twice.",
            ) from None
        finally:
            for connection in opened:
                connection.close()


def _account(connection: Connection, pipeline: str, day: str) -> str:
    """Return which entities of the day are accounted for, and since when."""
    row = connection.execute(
        "select coalesce(string_agg(entity || ' ' || flow_run_id || ' ' || extract(epoch from loaded_at), ', ' "
        "order by entity), '') from stg_loads where pipeline = %s and day = %s",
        (pipeline, day),
    ).fetchone()
    return str(row[0])
