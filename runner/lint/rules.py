"""The rules: what each is called, how bad it is, and what to do about it. docs/lint.md explains them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Rule:
    """One rule; `summary` says what is wrong, `hint` what to do."""

    id: str
    severity: Severity
    summary: str
    hint: str


@dataclass(frozen=True)
class Finding:
    """A rule that is broken at a place; `line` and `column` are 1-based characters."""

    file: str
    line: int
    column: int
    rule: Rule
    message: str
    source: str
    """The line of the file."""


_TABLE: tuple[tuple[str, Severity, str, str], ...] = (
    # Files
    ("file-name", "error", "a file that is not named NNN_name.sql",
     "Rename it: a number, an underscore, a name of letters, digits and underscores."),
    ("unreadable", "error", "a file that cannot be read as UTF-8 text", "Save it as UTF-8, without NUL characters."),
    ("bad-header", "error", "a header that is not understood",
     "Correct the '-- key: value' line; a remark may not look like one at the top of a file."),
    ("bad-check", "error", "a check that is not one select of a step's wrong rows",
     "Begin it with '-- check: STEP', '-- severity: error' or 'warn', '-- description: …'; then one select."),
    ("bad-checkpoint", "error", "a checkpoint that is not one select of wrong rows",
     "Begin it with '-- severity: error' or 'warn', '-- description: …'; then one select."),
    ("bad-mart", "error", "a mart that cannot be made, or not be refreshed while it is read",
     "Write one 'create materialized view NAME as …', named like the file, "
     "and a 'create unique index … on NAME (…)' of columns alone."),
    ("syntax", "error", "text that PostgreSQL's parser refuses", "Correct the SQL at the caret."),
    ("empty", "error", "a file without a statement", "Write one, or remove the file."),
    ("duplicate-number", "error", "two files with one number", "Give one of them another number."),
    ("duplicate-name", "error", "two files with one name", "Give one of them another name."),
    ("bad-disable", "error", "a '-- lint: disable' without a reason, or of a rule that does not exist",
     "Write: -- lint: disable=RULE why it is right here"),
    ("unused-disable", "warning", "a '-- lint: disable' that hides nothing", "Remove it."),
    # Transactions
    ("transaction-control", "error", "transaction control besides one outer 'begin;' … 'commit;'",
     "Remove it: the runner opens and commits the transaction."),
    ("not-in-transaction", "error", "a statement that cannot run inside a transaction",
     "Move it to a schema file of its own, with '-- transaction: off' at its top."),
    ("client-copy", "error", "a copy from or to the client",
     "Let an entity's declaration load it into staging, or write an insert or a select."),
    # Sessions
    ("session-setting", "error", "a setting that outlives the transaction",
     "Write 'set local', or set_config(…, true)."),
    ("temporary-table", "error", "a temporary table that outlives the transaction",
     "Write 'create temporary table … on commit drop as …'."),
    ("session-object", "error", "a lock, cursor or prepared statement that outlives the transaction",
     "Use what ends with the transaction: pg_advisory_xact_lock, a cursor without hold, a plain statement."),
    # The template
    ("no-metrics", "error", "a step that writes no row to pipeline_metrics",
     "End the step with one insert into pipeline_metrics."),
    ("many-metrics", "error", "a step that writes several rows to pipeline_metrics",
     "Keep one insert of one row; add up the counts in a 'metrics' expression before it."),
    ("metrics-context", "error", "a run id, day or start that is not the run's own",
     "Take it from 'context': current_setting('app.flow_run_id'), current_setting('app.day'), now()."),
    ("metrics-name", "error", "a task_name that is not the step's", "Name the task after the file: NAME_task."),
    ("metrics-status", "error", "a status that pipeline_metrics does not know",
     "Write 'success', or 'skipped' where the step did nothing."),
    ("metrics-finish", "error", "a finish that is not the time after the work",
     "Select clock_timestamp() from 'metrics', so that the clock is looked at after the work."),
    ("metrics-counts", "error", "counts that are not taken from 'returning'",
     "Count what 'returning' of the insert, update or delete gives."),
    ("metrics-kind", "error", "rows counted as what they are not",
     "Count inserts as rows_inserted, updates as rows_updated, deletes as rows_deleted; "
     "for an upsert: count(*) filter (where inserted), with 'returning (xmax = 0) as inserted'."),
    ("uncounted-write", "error", "rows written that the metrics do not count",
     "Give it 'returning', and add its count to the metrics."),
    # One statement, one snapshot
    ("sibling-read", "error", "a part of a statement that reads what another part writes",
     "Put it into a statement of its own, or compute it from the staged rows and the table together."),
    ("same-row-twice", "error", "two parts of a statement that may change the same row",
     "Change each row in one of them, and leave its rows out of the other (where not exists …)."),
    ("delete-then-insert", "error", "rows deleted and inserted again in one statement",
     "Delete only what is gone and insert only what is new: compare both sides first."),
    # Upserts
    ("unguarded-upsert", "error", "an upsert that rewrites unchanged rows",
     "Join the target and keep only what 'is distinct from' it, or guard the update: where … is distinct from …"),
    ("no-recency-guard", "error", "an upsert or update by which an older record can overwrite a newer one",
     "Guard it by the version: where excluded.updated_at >= target.updated_at; "
     "a snapshot by the day: where no later one was applied."),
    ("conflict-target", "error", "an 'on conflict' that no unique key stands behind",
     "Name the columns of the table's key, or add a unique constraint in a schema file."),
    ("unguarded-update", "warning", "an update that rewrites unchanged rows",
     "Update only what differs: and target.x is distinct from source.x."),
    ("partitioned-xmax", "error", "a system column returned of rows that are inserted into a partitioned table",
     "Return the key, and left join the table by it: what finds no row was not there before the statement."),
    # What a rerun may make otherwise
    ("volatile-value", "error", "a value that is another one at each run",
     "Derive it from the data or the day; a rerun has to find the row as it is."),
    ("clock-in-data", "warning", "data that depends on when the step runs",
     "Derive it from the day: current_setting('app.day')."),
    ("distinct-on-order", "error", "a 'distinct on' that may keep another row each time",
     "Order by the key, then the version, then the place in the files: source_file desc, position desc."),
    ("limit-order", "error", "a 'limit' that may keep other rows each time",
     "Order by columns that leave no ties, such as the key."),
    ("window-order", "error", "a row number or neighbour without a total order",
     "Order the window by the version and then the place in the files: source_file desc, position desc."),
    ("aggregate-order", "warning", "a list whose order is left to chance",
     "Give it an order: array_agg(x order by x)."),
    # Rows
    ("missing-where", "error", "an update or delete of all rows", "Say which rows are meant, or write 'where true'."),
    ("truncate", "error", "a truncate of a table that others rely on",
     "Delete what is gone instead; staging is replaced by the next load, a day at a time."),
    # Names
    ("unknown-table", "error", "a table that no schema file makes",
     "Correct its name, or create it in a schema file."),
    ("unknown-column", "error", "a column that the table does not have",
     "Correct its name, or add the column in a schema file."),
    ("generated-column", "error", "a value for a generated column", "Leave the column out."),
    ("insert-width", "error", "more or fewer values than columns", "Name as many columns as there are values."),
    # Between files
    ("reads-later-step", "error", "a step that reads a table only a later step writes",
     "Give the writing step a lower number, or read something else."),
    ("reads-mart", "error", "a step that reads a mart, which is refreshed after all steps",
     "Read the tables that the mart is made of."),
)  # fmt: skip

RULES: dict[str, Rule] = {row[0]: Rule(*row) for row in _TABLE}
