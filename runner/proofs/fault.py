"""A fault that a proof found: what happened, the rows that show it, the likely cause. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.proofs.orders import Order

PROOFS = {
    "rerun": "applied again, a step changes no row and says 0/0/0",
    "metrics": "a step's metrics row says what was changed",
    "checks": "a step's checks hold",
    "deterministic": "the same days make the same tables, whenever and however they lie in staging",
    "order": "any order and repetition of days makes the same tables",
}

# What each kind of fault most likely comes from, and what to do.
CAUSES = {
    "fails": "The step fails on these days, as it would when they are applied one after the other.",
    "inserted-again": "The rows are inserted whether or not they are there: insert only what is missing, by the "
    "table's key (on conflict, or a join that keeps what is new).",
    "one-run-late": "A third run changes nothing more: the step reads a table as it was before its own writes. "
    "Statements inside one 'with' share one snapshot; compute from staging and table together, or in a statement "
    "of its own after the writes.",
    "adds-up": "Each run adds to what is stored: compute the value anew from staging and history instead.",
    "never-settles": "Each run makes other values of the same rows: look for random(), the clock, a sequence, or rows "
    "picked by 'limit' or 'distinct on' without a total order.",
    "rewritten-unchanged": "Rows are written though they stay the same, which bloats the table and locks its rows: "
    "let only rows through that differ ('is distinct from', best in a join before the insert).",
    "watermark-moved": "The watermark is written without new data: move it only forward, to the newest update seen.",
    "staging-changed": "A step only reads staging; here a rerun finds other rows than the first run. Leave them there: "
    "a load replaces those of its day.",
    "rerun-counts": "The counts are not those of what was written: take them from 'returning'.",
    "rerun-fails": "The step does not expect its own rows: insert only what is missing, by the table's key.",
    "update-counted-as-insert": "Updated rows of an upsert are counted as inserted: tell them apart with "
    "'returning (xmax = 0) as inserted', in a merge with 'returning merge_action()' (PostgreSQL 17).",
    "insert-counted-as-update": "Inserted rows of an upsert are counted as updated: tell them apart with "
    "'returning (xmax = 0) as inserted', in a merge with 'returning merge_action()' (PostgreSQL 17).",
    "rewrites-counted": "Rows that were written and stayed the same are counted: let only rows through that differ.",
    "table-not-counted": "What the step does to this table is missing in its counts: add what its statement returns.",
    "side-effect-not-counted": "What a trigger or a foreign key writes is in no 'returning': count it with a query "
    "after the writes, or, where the table only notes changes, declare it at the top of the step: -- watermark: TABLE. "
    "Where a view or a built statement writes it, add what that returns.",
    "wrong-counts": "The counts are not those of what was written: take each from the 'returning' of its statement, "
    "and add up all tables.",
    "check-failed": "The check's rows must not exist: find out how the step makes them.",
    "clock": "The rows hold the time at which the step ran (now(), a default): take times from the data, "
    "or declare the column at the top of the step: -- technical: COLUMN",
    "random": "Two runs on the same rows differ: look for random(), gen_random_uuid(), the clock or a sequence. "
    "A column that means nothing is declared at the top of the step: -- technical: COLUMN",
    "arrival": "The result depends on where the rows of staging happen to lie: give 'distinct on', 'limit', "
    "array_agg() and row_number() a total order, with the file and position last.",
    "last-applied-wins": "The row is as the day that was applied last has it: an older record overwrites a newer one. "
    "Compare versions, the time of the update and then day_order(day), before overwriting.",
    "first-applied-wins": "What is there is never replaced: let the newer record win, by the time of its update and "
    "then day_order(day).",
    "late-record-lost": "A day's row is left out when the day comes after another: look for a filter by a watermark or "
    "by the latest day, which drops what comes late.",
    "left-behind": "A row that one order removes stays in the other: what a later day no longer names must go, "
    "whichever is applied first. Where rows are periods, which there are depends on the day that came first: compute "
    "them anew from all days.",
    "repetition": "A day that is applied again changes what another day made: look for what is computed from the day "
    "at hand alone, or from tables that a later day had changed.",
    "notes-changes": "A trigger or a foreign key writes this table as others are changed, and days in another order "
    "are other changes. Where that is what it is for, declare it at the top of the step: -- watermark: TABLE",
    "reads-later-step": "The step reads a table that only a later step writes, and so finds what was there before: "
    "give it a number after that step's.",
    "order-matters": "The row is not computed from the set of days: look for values taken from the day at hand, or "
    "from the table as an earlier day left it.",
    "fails-in-order": "The step expects days in one order: it must take them in any.",
}


@dataclass(frozen=True)
class Evidence:
    """A small table that shows a fault; `more` rows were left out."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    more: int = 0


@dataclass(frozen=True)
class StagingRow:
    """A row of the counterexample: staging table and column -> text, None is null."""

    table: str
    values: Mapping[str, str | None]


@dataclass(frozen=True)
class Fault:
    """What a proof found; `kind` is a key of CAUSES, `orders` the days that were applied, one order or two.

    `keys` are the texts of the differing rows' keys. `staging` are the rows with which the fault
    comes about from empty tables; `minimal` says that none can be left out, None that it was not tried.
    """

    proof: str
    kind: str
    step: str
    table: str | None
    message: str
    orders: tuple[Order, ...]
    evidence: Evidence | None = None
    keys: tuple[str, ...] = ()
    staging: tuple[StagingRow, ...] = ()
    minimal: bool | None = None
    also: tuple[str, ...] = ()
    """Tables that differ too, and may follow from it."""
    writers: str = ""
    """What is said of who writes the table: why it is this step, where others do, too; else mostly empty."""
    from_empty: bool = field(default=True)
    """Whether it comes about from empty tables; else with what the tables hold now."""

    @property
    def cause(self) -> str:
        """What it most likely comes from, and what to do."""
        return CAUSES[self.kind]

    @property
    def days(self) -> list[str]:
        """The days that it takes, each once, in the order of the first of `orders`."""
        return list(dict.fromkeys(day for order in self.orders for day in order))

    def document(self) -> dict[str, Any]:
        """Return the fault as JSON has it."""
        evidence = self.evidence
        return {
            "proof": self.proof,
            "kind": self.kind,
            "step": self.step,
            "table": self.table,
            "message": self.message,
            "writers": self.writers,
            "cause": self.cause,
            "orders": [list(order) for order in self.orders],
            "rows": [dict(zip(evidence.headers, row, strict=True)) for row in evidence.rows] if evidence else [],
            "more_rows": evidence.more if evidence else 0,
            "also_differ": list(self.also),
            "staging": [{"table": row.table, "row": dict(row.values)} for row in self.staging],
            "minimal": self.minimal,
            "from_empty": self.from_empty,
        }


def shown_columns(
    rows: Sequence[StagingRow], wanted: Sequence[str], keys: Sequence[str] = (), most: int = 7
) -> list[str]:
    """Return which columns of staging rows are worth showing: those wanted, those that differ, then others.

    Wanted are those, too, that hold one of `keys`, whatever they are called here.
    """
    names = [name for name in rows[0].values if any(row.values[name] is not None for row in rows)]
    differing = [name for name in names if len({row.values[name] for row in rows}) > 1]
    place = ("source_file", "position")
    order = [
        *(name for name in names if name == "day" or name in wanted),
        *(name for name in names if {row.values[name] for row in rows} & set(keys)),
        *(name for name in names if name.startswith("updated")),
        *(name for name in differing if name not in place),
        *(name for name in names if name.endswith(("_id", "_ids", "_at", "_time", "status")) and name not in place),
        *(name for name in place if name in differing),
        *(name for name in names if name not in place),
    ]
    chosen = list(dict.fromkeys(order))[:most]
    return [name for name in names if name in chosen]
