"""The shipped steps with one thing made wrong in each, and the rule that has to say so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A step in which texts are replaced by others; `at` begins where the finding has to point."""

    name: str
    step: str
    rule: str
    edits: tuple[tuple[str, str], ...]
    at: str = ""
    all: bool = False
    """Whether every occurrence is replaced, not only the first."""

    def apply(self, text: str) -> str:
        """Return the step made wrong; each edit has to find its text."""
        for old, new in self.edits:
            assert old in text, f"{self.name}: {self.step} has no {old!r}"
            text = text.replace(old, new) if self.all else text.replace(old, new, 1)
        return text


def _one(name: str, step: str, rule: str, old: str, new: str, at: str = "", *, all: bool = False) -> Mutant:
    return Mutant(name, step, rule, ((old, new),), at, all)


_RECENCY_ROLES = "\n    where (coalesce(excluded.updated_at, '-infinity'), excluded.version_key)\n        >= (coalesce(target.updated_at, '-infinity'), target.version_key)"
_CHAIN_ROLES = "\n        and (coalesce(staged.updated_at, '-infinity'), staged.version_key)\n            >= (coalesce(current.updated_at, '-infinity'), current.version_key)"
_FINISHED = "finished as (select metrics.*, clock_timestamp() as finished_at from metrics)"
_UPSERT_COUNTS = "count(*) filter (where inserted) as inserted,\n        count(*) filter (where not inserted) as updated,"
_METRICS_ROW = """insert into pipeline_metrics (
    flow_run_id,
    task_name,
    pipeline_name,
    table_name,
    day,
    rows_inserted,
    rows_updated,
    rows_deleted,
    rows_affected,
    status,
    started_at,
    finished_at,
    duration_seconds
)
select"""

MUTANTS = (
    # Files and transactions
    _one("a comma too many", "011_roles", "syntax", "as version_key\n    from stg_roles", "as version_key,\n    from stg_roles", "from stg_roles"),
    _one("a keyword misspelt", "030_budgets", "syntax", "left join budgets", "left joyn budgets", "joyn"),
    _one("an unknown header key", "011_roles", "bad-header", "-- description:", "-- descripton:", "descripton"),
    _one("a time-out without a unit", "031_cards", "bad-header", "begin;", "-- timeout: 300\nbegin;", "300"),
    _one("no commit", "011_roles", "transaction-control", "\ncommit;\n", "\n", "begin;"),
    _one("no begin", "030_budgets", "transaction-control", "begin;\n", "", "commit;"),
    _one("a commit in the middle", "010_agents", "transaction-control", "analyze day_presence;", "commit;\nbegin;\nanalyze day_presence;", "commit;\nbegin;"),
    _one("a savepoint", "012_agent_roles", "transaction-control", "analyze day_role_lists;", "savepoint lists;\nanalyze day_role_lists;", "savepoint"),
    _one("a rollback", "020_groups", "transaction-control", "\ncommit;", "\nrollback;\ncommit;", "rollback"),
    _one("a statement after the commit", "040_transactions", "transaction-control", "\ncommit;\n", "\ncommit;\n\nanalyze transactions;\n"),
    _one("modes of the transaction", "011_roles", "transaction-control", "begin;", "begin isolation level serializable;"),
    _one("an isolation level", "031_cards", "transaction-control", "begin;\n", "begin;\nset transaction isolation level serializable;\n", "set transaction"),
    _one("a vacuum", "040_transactions", "not-in-transaction", "analyze stg_transactions (day);", "vacuum analyze stg_transactions (day);", "vacuum"),
    _one("an index made concurrently", "020_groups", "not-in-transaction", "analyze desired_members;", "create index concurrently on groups (parent_group_id);", "create index concurrently"),
    _one("discard all", "010_agents", "not-in-transaction", "analyze active_agents;", "discard all;", "discard"),
    _one("a copy from the client", "030_budgets", "client-copy", "begin;\n", "begin;\ncopy stg_budgets from stdin;\n", "copy"),
    # Sessions
    _one("set without local", "012_agent_roles", "session-setting", "set local default", "set default", "set default_statistics"),
    _one("set_config for the session", "011_roles", "session-setting", "begin;\n", "begin;\nselect set_config('work_mem', '1GB', false);\n", "set_config"),
    _one("a role for the session", "040_transactions", "session-setting", "set local default_statistics_target = 10;", "set role loader;", "set role"),
    _one("a setting taken back", "020_groups", "session-setting", "set local default_statistics_target = 10;", "reset work_mem;", "reset"),
    _one("a temporary table that stays", "010_agents", "temporary-table", "newest_agents on commit drop as", "newest_agents as", "newest_agents as"),
    _one("rows that go and a table that stays", "040_transactions", "temporary-table", "rates on commit drop", "rates on commit delete rows", "rates on commit"),
    _one("select into", "020_groups", "temporary-table", "create temporary table touched_groups on commit drop as\nselect group_id\nfrom history_changes", "select group_id into temporary touched_groups\nfrom history_changes", "touched_groups\nfrom"),
    _one("a lock of the session", "031_cards", "session-object", "begin;\n", "begin;\nselect pg_advisory_lock(31);\n", "pg_advisory_lock"),
    # The template
    _one("no metrics", "031_cards", "no-metrics", _METRICS_ROW, "select"),
    _one("two metrics rows", "011_roles", "many-metrics", "from finished\ncross join context;", "from finished\ncross join context;\n\ninsert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, status)\nvalues (current_setting('app.flow_run_id'), 'roles_task', 'roles', current_setting('app.day'), 'success');", "pipeline_metrics (flow_run_id, task"),
    _one("a run id of its own", "020_groups", "metrics-context", "current_setting('app.flow_run_id') as", "gen_random_uuid()::text as", "gen_random_uuid"),
    _one("a day that is a word", "030_budgets", "metrics-context", "current_setting('app.day') as day,\n        is_loaded", "'day1' as day,\n        is_loaded", "'day1'"),
    _one("settings mixed up", "012_agent_roles", "metrics-context", "current_setting('app.flow_run_id') as flow_run_id", "current_setting('app.day') as flow_run_id", "current_setting('app.day') as flow"),
    _one("a start that the clock says later", "040_transactions", "metrics-context", "now() as started_at", "clock_timestamp() as started_at", "clock_timestamp() as started"),
    _one("the task of another step", "031_cards", "metrics-name", "'cards_task'", "'budgets_task'", "'budgets_task'"),
    _one("an unknown status", "020_groups", "metrics-status", "'success'", "'done'", "'done'"),
    _one("failure in its own transaction", "011_roles", "metrics-status", "else 'skipped'", "else 'failure'", "'failure'"),
    _one("now() as the finish", "010_agents", "metrics-finish", _FINISHED, _FINISHED.replace("clock_timestamp()", "now()"), "now() as finished"),
    _one("current_timestamp as the finish", "012_agent_roles", "metrics-finish", _FINISHED, _FINISHED.replace("clock_timestamp()", "current_timestamp"), "current_timestamp"),
    _one("the statement's time as the finish", "040_transactions", "metrics-finish", _FINISHED, _FINISHED.replace("clock_timestamp()", "statement_timestamp()"), "statement_timestamp"),
    Mutant("a clock that waits for nothing", "030_budgets", "metrics-finish", ((_FINISHED, "finished as (select clock_timestamp() as finished_at)"), ("finished.inserted,", "metrics.inserted,"), ("finished.updated,", "metrics.updated,"), ("finished.deleted,", "metrics.deleted,"), ("finished.inserted + finished.updated + finished.deleted", "metrics.inserted + metrics.updated + metrics.deleted"), ("from finished\n", "from metrics\ncross join finished\n")), "clock_timestamp() as"),
    _one("the clock read beside the context", "031_cards", "metrics-finish", _FINISHED, "finished as (select metrics.*, late.finished_at from metrics cross join (select clock_timestamp() as finished_at) as late)", "clock_timestamp() as"),
    _one("staged rows counted", "011_roles", "metrics-counts", _UPSERT_COUNTS + "\n        0 as deleted\n    from upserted", "count(*) as inserted,\n        0 as updated,\n        0 as deleted\n    from newest", "", ),
    _one("the table counted", "040_transactions", "metrics-counts", "count(*) filter (where inserted) as inserted,", "(select count(*) from changed_transactions) as inserted,", "count(*) from changed"),
    _one("updates left at nought", "031_cards", "metrics-counts", "count(*) filter (where not inserted) as updated,", "0 as updated,", "0 as updated"),
    _one("a fixed count", "030_budgets", "metrics-counts", "0 as deleted", "1 as deleted", "1 as deleted"),
    _one("updates counted as inserts", "011_roles", "metrics-kind", "count(*) filter (where inserted) as inserted,\n        count(*) filter (where not inserted) as updated", "count(*) filter (where not inserted) as inserted,\n        count(*) filter (where inserted) as updated", "count(*) filter (where not inserted) as inserted"),
    _one("an upsert counted as inserts alone", "040_transactions", "metrics-kind", "count(*) filter (where inserted) as inserted,", "count(*) as inserted,", "count(*) as inserted"),
    _one("deletes counted as inserts", "012_agent_roles", "metrics-kind", "select 0, 0, count(*)\n    from history_deleted", "select count(*), 0, 0\n    from history_deleted", "count(*), 0, 0\n    from history_deleted"),
    _one("deletes counted as updates", "020_groups", "metrics-kind", "select 0, 0, count(*)\n    from members_deleted", "select 0, count(*), 0\n    from members_deleted", "count(*), 0\n    from members_deleted"),
    _one("deletes that nobody counts", "010_agents", "uncounted-write", "    select 0, 0, count(*)\n    from history_deleted\n\n    union all\n\n", "", "agent_status_history as target\n    using"),
    _one("an update that nobody counts", "020_groups", "uncounted-write", "    select 0, count(*), 0\n    from restated\n\n    union all\n\n", "", "groups as target\n    set inactive = changes"),
    _one("an insert that returns nothing", "010_agents", "uncounted-write", "    select count(*), 0, 0\n    from moved\n\n    union all\n\n", "", "agent_status_history (agent_id, day, is_active)\n    select agent_id, day, true"),
    _one("a statement of its own that nobody counts", "012_agent_roles", "uncounted-write", "analyze named_pairs;", "delete from agent_role_unknown using agents, roles\nwhere agent_role_unknown.agent_id = agents.agent_id and agent_role_unknown.role_id = roles.role_id;", "agent_role_unknown using"),
    # One statement, one snapshot
    _one("members by the agents of before", "010_agents", "sibling-read", "moved as (\n\n    insert into agent_status_history (agent_id, day, is_active)\n    select agent_id, day, true\n    from no_longer_unknown", "known as (select agent_id, status from agents),\n\nmoved as (\n\n    insert into agent_status_history (agent_id, day, is_active)\n    select agent_id, day, known.status = 'active'\n    from no_longer_unknown\n    inner join known using (agent_id)", "agents),"),
    _one("activity by the members of before", "020_groups", "sibling-read", "unknown_inserted as (\n\n    insert into group_member_unknown (group_id, agent_id)\n    select group_id, agent_id\n    from unknown_changes\n    where not is_gone", "unknown_inserted as (\n\n    insert into group_member_unknown (group_id, agent_id)\n    select group_id, agent_id\n    from unknown_changes\n    where not is_gone and group_id in (select group_id from group_membership)", "group_membership)"),
    _one("the upsert's rows set inactive again", "010_agents", "same-row-twice", "\n        and not exists (select from newest_agents as newest where newest.agent_id = current.agent_id)", "", "agents as target\n    set status"),
    _one("groups changed by both", "020_groups", "same-row-twice", "\n        and not changes.is_changed", "", "groups as target\n    set inactive = changes"),
    _one("all members deleted, all inserted", "020_groups", "delete-then-insert", "where target.group_id = member_changes.group_id\n        and target.agent_id = member_changes.agent_id\n        and member_changes.is_gone\n", "where target.group_id = member_changes.group_id\n", "group_membership as target"),
    _one("history deleted and inserted", "012_agent_roles", "delete-then-insert", "\n        and history_changes.role_ids is null", "", "agent_role_history as target\n    using"),
    # Upserts
    Mutant("an upsert of everything", "030_budgets", "unguarded-upsert", (("(staged.content_hash, staged.version_key) is distinct from (current.content_hash, current.version_key)\n        and ", ""),), "on conflict"),
    Mutant("history written anew", "010_agents", "unguarded-upsert", (("\n    where target.is_active <> excluded.is_active", ""), ("\n    where presence.is_active is distinct from stored.is_active", "")), "on conflict (day, agent_id)"),
    Mutant("mapping written anew", "012_agent_roles", "unguarded-upsert", (("\n    where target.status <> excluded.status", ""), ("\n    where named.status is distinct from stored.status", "")), "on conflict (agent_id, role_id)"),
    Mutant("no recency in roles", "011_roles", "no-recency-guard", ((_RECENCY_ROLES, ""), (_CHAIN_ROLES, "")), "on conflict"),
    Mutant("no recency in cards", "031_cards", "no-recency-guard", ((_RECENCY_ROLES.replace("updated_at", "updated_time"), ""), (_CHAIN_ROLES.replace("updated_at", "updated_time"), "")), "on conflict"),
    Mutant("no recency in transactions", "040_transactions", "no-recency-guard", ((_RECENCY_ROLES.replace("updated_at", "updated_time"), ""), ("\n    and (coalesce(priced.updated_time, '-infinity'), priced.version_key)\n        >= (coalesce(current.updated_time, '-infinity'), current.version_key)", "")), "on conflict (transaction_id)"),
    Mutant("no recency in budgets", "030_budgets", "no-recency-guard", (("\n        and staged.version_key >= current.version_key", ""), ("\n    where excluded.version_key >= target.version_key", "")), "on conflict"),
    _one("a conflict of half the key", "012_agent_roles", "conflict-target", "on conflict (day, agent_id)", "on conflict (agent_id)", "on conflict (agent_id) do"),
    _one("a conflict of no key", "040_transactions", "conflict-target", "on conflict (transaction_id)", "on conflict (transaction_uuid)", "on conflict (transaction_uuid)"),
    # Reruns
    _one("a random id", "030_budgets", "volatile-value", "newest.budget_uuid,", "gen_random_uuid()::text,", "gen_random_uuid"),
    _one("a random order", "011_roles", "volatile-value", "updated_at desc nulls last,\n        source_file", "updated_at desc nulls last,\n        random(),\n        source_file", "random()"),
    _one("the clock in data", "031_cards", "volatile-value", "newest.valid_thru,", "clock_timestamp()::text,", "clock_timestamp()::text"),
    _one("a sample", "020_groups", "volatile-value", "from stg_admin_groups\n", "from stg_admin_groups tablesample bernoulli (50)\n", "stg_admin_groups tablesample"),
    _one("yesterday by the clock", "040_transactions", "clock-in-data", "where staged.day = current_setting('app.day')", "where staged.day = current_setting('app.day') and staged.occurred_time < now()", "now()\n"),
    _one("the date of the run in data", "030_budgets", "clock-in-data", "newest.start_date,", "coalesce(newest.start_date, current_date),", "current_date"),
    _one("no order among a key's records", "031_cards", "distinct-on-order", "order by\n        card_id,\n        updated_time desc nulls last,\n        source_file desc,\n        position desc", "order by card_id", "card_id) *"),
    _one("no order at all", "030_budgets", "distinct-on-order", "\n    order by\n        budget_id,\n        source_file desc,\n        position desc", "", "budget_id) *"),
    _one("an order that ends too early", "010_agents", "distinct-on-order", "    source_file desc,\n    position desc;", "    source_file desc;", "source_file desc;"),
    _one("an order by the time alone", "020_groups", "distinct-on-order", "\n    updated_at desc nulls last,\n    source_file desc,\n    position desc;", "\n    updated_at desc nulls last;", "updated_at desc nulls last;"),
    _one("no file order", "040_transactions", "distinct-on-order", "        updated_time desc nulls last,\n        source_file desc,\n        position desc", "        updated_time desc nulls last", ""),
    _one("any other day", "010_agents", "limit-order", "\n    order by agent_days.day_key desc", "", "1\n\n)\n\nselect agent_id"),
    _one("any list of the past", "012_agent_roles", "limit-order", "\n        order by history.day_key desc", "", "1\n\n    ) as stored"),
    _one("any rate of the week", "040_transactions", "limit-order", "\n    order by usd.rate_date desc", "", "1\n\n) as legs"),
    # Rows
    _one("a delete of everything", "012_agent_roles", "missing-where", "    delete from agent_role_unknown as target\n    using unknown_changes\n    where target.agent_id = unknown_changes.agent_id\n        and target.role_id = unknown_changes.role_id\n        and unknown_changes.is_gone\n", "    delete from agent_role_unknown as target\n", "agent_role_unknown as target"),
    _one("staging cleaned up", "030_budgets", "truncate", "\ncommit;", "\ntruncate stg_budgets;\n\ncommit;", "stg_budgets;"),
    # Names
    _one("a table misspelt", "031_cards", "unknown-table", "from stg_cards\n", "from stg_card\n", "stg_card\n"),
    _one("a staging table misspelt", "012_agent_roles", "unknown-table", "from stg_agent_details\n", "from stg_agents_details\n", "stg_agents_details"),
    _one("a column misspelt", "010_agents", "unknown-column", "staged.job_title,", "staged.jobtitle,", "staged.jobtitle"),
    _one("a column of the target misspelt", "031_cards", "unknown-column", "last_four = excluded.last_four", "lastfour = excluded.last_four", "lastfour"),
    _one("excluded misspelt", "011_roles", "unknown-column", "excluded.agent_type", "excluded.agent_types", "excluded.agent_types"),
    _one("an alias misspelt", "020_groups", "unknown-column", "where changes.is_changed\n    order by", "where change.is_changed\n    order by", "change.is_changed"),
    _one("a column of a temporary table", "020_groups", "unknown-column", "analyze desired_groups (group_id, parent_group_id)", "analyze desired_groups (group_id, parent)", "desired_groups (group_id, parent)"),
    _one("a column that returning lacks", "012_agent_roles", "unknown-column", "    select count(*), 0, 0\n    from unknown_inserted", "    select count(role_id), 0, 0\n    from unknown_inserted", "role_id), 0, 0"),
    Mutant("a generated column written", "040_transactions", "generated-column", (("        version_key\n    )\n    select", "        version_key,\n        content_hash\n    )\n    select"), ("        version_key\n    from newest", "        version_key,\n        content_hash\n    from newest")), "content_hash\n    )"),
    _one("a value too few", "020_groups", "insert-width", "        changes.inactive,\n        context.day_key", "        context.day_key", "groups as target ("),
    # Between steps
    _one("roles before they are there", "010_agents", "reads-later-step", "analyze active_agents;", "analyze active_agents;\n\nselect count(*) from groups;", "groups;"),
)  # fmt: skip
