"""Shipped steps in which a piece of text is another. The title says what is wrong with the step then."""

# ruff: noqa: E501 - a piece of SQL is as long as it is

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """What is wrong, in which step, and each piece of text with what stands in its place.

    `proof`, `kind` and `table` are what must be found, `words` what its rows must name.
    """

    title: str
    step: str
    changes: tuple[tuple[str, str], ...]
    proof: str
    kind: str
    table: str | None
    words: tuple[str, ...] = ()


_CARD_GUARD = """
        and (coalesce(staged.updated_time, '-infinity'), staged.version_key)
            >= (coalesce(current.updated_time, '-infinity'), current.version_key)"""
_CARD_TARGET = """
    where (coalesce(excluded.updated_time, '-infinity'), excluded.version_key)
        >= (coalesce(target.updated_time, '-infinity'), target.version_key)"""

MUTATIONS = (
    # Which record wins.
    Mutation(
        "an older update of a card overwrites a newer one",
        "031_cards",
        ((_CARD_GUARD, ""), (_CARD_TARGET, "")),
        "order",
        "last-applied-wins",
        "cards",
        ("card-1", "status"),
    ),
    Mutation(
        "a card that is there is never updated",
        "031_cards",
        ((_CARD_GUARD, "\n        and false"),),
        "order",
        "first-applied-wins",
        "cards",
        ("status",),
    ),
    Mutation(
        "a budget is as the day applied last has it, not the latest day",
        "030_budgets",
        (
            ("\n        and staged.version_key >= current.version_key", ""),
            ("\n    where excluded.version_key >= target.version_key", ""),
        ),
        "order",
        "last-applied-wins",
        "budgets",
        ("budget-1", "limit_amount", "100", "200"),
    ),
    Mutation(
        "the time of a role's update is not compared",
        "011_roles",
        (
            (
                """
        and (coalesce(staged.updated_at, '-infinity'), staged.version_key)
            >= (coalesce(current.updated_at, '-infinity'), current.version_key)""",
                "",
            ),
            (
                """
    where (coalesce(excluded.updated_at, '-infinity'), excluded.version_key)
        >= (coalesce(target.updated_at, '-infinity'), target.version_key)""",
                "",
            ),
        ),
        "order",
        "last-applied-wins",
        "roles",
        ("name",),
    ),
    Mutation(
        "on equal times the record that was applied last wins",
        "031_cards",
        (
            (_CARD_GUARD, _CARD_GUARD.replace(", staged.version_key", "").replace(", current.version_key", "")),
            (_CARD_TARGET, _CARD_TARGET.replace(", excluded.version_key", "").replace(", target.version_key", "")),
        ),
        "order",
        "last-applied-wins",
        "cards",
        ("card-3",),
    ),
    Mutation(
        "records of transactions that are older than the watermark are dropped",
        "040_transactions",
        (
            (
                "where current.transaction_id is null or (",
                """where priced.updated_time > coalesce(
        (select last_processed_time from transaction_pipeline_state), '-infinity')
    and (current.transaction_id is null or (""",
            ),
            (
                """
        >= (coalesce(current.updated_time, '-infinity'), current.version_key)
);""",
                """
        >= (coalesce(current.updated_time, '-infinity'), current.version_key)
));""",
            ),
        ),
        "order",
        "late-record-lost",
        "transactions",
        ("missing", "is there"),
    ),
    # What the latest day says.
    Mutation(
        "an agent is active where the day that was applied last names it",
        "010_agents",
        (
            ("where is_active and not exists (select from other_day)", "where is_active"),
            ("where is_active and day = (select day from other_day)", "where false"),
            ("where day = (select day from other_day);", "where false;"),
        ),
        "order",
        "last-applied-wins",
        "agents",
        ("status", "active", "inactive"),
    ),
    Mutation(
        "an agent's roles are those of the list applied last",
        "012_agent_roles",
        (
            (
                "when today.agent_id is not null and coalesce(stored.day_key < context.day_key, true)",
                "when today.agent_id is not null",
            ),
        ),
        "order",
        "last-applied-wins",
        "agent_role_mapping",
        ("status", "assigned", "removed"),
    ),
    Mutation(
        "a group's members are those of the list applied last",
        "020_groups",
        (
            (
                "when today.agent_ids is not null and coalesce(stored.day_key < context.day_key, true)",
                "when today.agent_ids is not null",
            ),
        ),
        "order",
        "last-applied-wins",
        "group_membership",
        ("missing",),
    ),
    # What must go.
    Mutation(
        "a group that lost its last member keeps it",
        "020_groups",
        (
            (
                "        and member_changes.is_gone\n    returning target.group_id",
                """        and member_changes.is_gone
        and exists (select from desired_members as other where other.group_id = target.group_id)
    returning target.group_id""",
            ),
        ),
        "order",
        "left-behind",
        "group_membership",
        ("missing",),
    ),
    Mutation(
        "former members are never deleted",
        "020_groups",
        (("        and member_changes.is_gone\n", "        and member_changes.is_gone and false\n"),),
        "order",
        "left-behind",
        "group_membership",
        ("missing",),
    ),
    Mutation(
        "members who were unknown stay in the table of unknown ones",
        "020_groups",
        (("        and unknown_changes.is_gone\n", "        and unknown_changes.is_gone and false\n"),),
        "order",
        "left-behind",
        "group_member_unknown",
        ("missing",),
    ),
    # Snapshots.
    Mutation(
        "whether a group is inactive is computed from its members before the step",
        "020_groups",
        (
            ("where touched.group_id is null\n", "where true\n"),
            ("from desired_members\nwhere is_active;", "from desired_members\nwhere false;"),
        ),
        "rerun",
        "one-run-late",
        "groups",
        ("inactive", "t", "f"),
    ),
    Mutation(
        "two CTEs write one row, and only one of them takes effect",
        "010_agents",
        (
            (
                "case when active.agent_id is null then 'inactive' else 'active' end,\n        newest.version_key",
                "'active',\n        newest.version_key",
            ),
            (
                "\n        and not exists (select from newest_agents as newest where newest.agent_id = current.agent_id)",
                "",
            ),
        ),
        "rerun",
        "one-run-late",
        "agents",
        ("status", "active", "inactive"),
    ),
    Mutation(
        "a step reads a table that only a later step writes",
        "011_roles",
        (
            (
                "        description,\n        is_default,\n        agent_type,\n        created_at,\n        updated_at,\n        source_file",
                "        (select count(*)::text from agent_role_mapping as mapping where mapping.role_id = stg_roles.role_id)"
                " as description,\n        is_default,\n        agent_type,\n        created_at,\n        updated_at,\n        source_file",
            ),
        ),
        "order",
        "reads-later-step",
        "roles",
        ("description",),
    ),
    # Guards.
    Mutation(
        "unchanged cards are written again",
        "031_cards",
        (
            (
                "(staged.content_hash, staged.version_key) is distinct from (current.content_hash, current.version_key)",
                "true",
            ),
        ),
        "rerun",
        "rewritten-unchanged",
        "cards",
        ("card-",),
    ),
    Mutation(
        "every group is updated whether or not it came alive",
        "020_groups",
        (
            (
                "    where desired.is_changed\n        or (alive.group_id is null) <> desired.current_inactive\n",
                "",
            ),
        ),
        "rerun",
        "rewritten-unchanged",
        "groups",
    ),
    Mutation(
        "the watermark is written whether or not it moves",
        "040_transactions",
        (
            (
                "\n        and (current.pipeline_name is null or current.last_processed_time < seen.last_processed_time)",
                "",
            ),
        ),
        "rerun",
        "watermark-moved",
        "transaction_pipeline_state",
        ("transactions",),
    ),
    Mutation(
        "the watermark is the time of the run",
        "040_transactions",
        (("select max(last_updated_time) as last_processed_time", "select clock_timestamp() as last_processed_time"),),
        "rerun",
        "watermark-moved",
        "transaction_pipeline_state",
        ("last_processed_time",),
    ),
    # Counts.
    Mutation(
        "updated cards are counted as inserted",
        "031_cards",
        (
            ("count(*) filter (where inserted) as inserted", "count(*) as inserted"),
            ("count(*) filter (where not inserted) as updated", "0 as updated"),
        ),
        "metrics",
        "update-counted-as-insert",
        "cards",
    ),
    Mutation(
        "inserted roles are counted as updated",
        "011_roles",
        (
            ("count(*) filter (where inserted) as inserted", "0 as inserted"),
            ("count(*) filter (where not inserted) as updated", "count(*) as updated"),
        ),
        "metrics",
        "insert-counted-as-update",
        "roles",
    ),
    Mutation(
        "deleted members are not counted",
        "020_groups",
        (("    select 0, 0, count(*)\n    from members_deleted\n\n    union all\n\n", ""),),
        "metrics",
        "table-not-counted",
        "group_membership",
    ),
    Mutation(
        "unknown members are not counted",
        "020_groups",
        (("    select count(*), 0, 0\n    from unknown_inserted\n\n    union all\n\n", ""),),
        "metrics",
        "table-not-counted",
        "group_member_unknown",
    ),
    Mutation(
        "what was compared is counted, not what was written",
        "030_budgets",
        (
            (
                "        count(*) filter (where inserted) as inserted,",
                "        (select count(*) from staged) as inserted,",
            ),
        ),
        "rerun",
        "rerun-counts",
        "budgets",
    ),
    Mutation(
        "assigned roles are counted twice",
        "012_agent_roles",
        (
            (
                "        0 as deleted\n    from mapping_upserted",
                "        0 as deleted\n    from (table mapping_upserted union all table mapping_upserted) as twice",
            ),
        ),
        "metrics",
        "wrong-counts",
        "agent_role_mapping",
    ),
    # Chance.
    Mutation(
        "of two records with one time any wins",
        "020_groups",
        (
            (
                "    updated_at desc nulls last,\n    source_file desc,\n    position desc;",
                "    updated_at desc nulls last;",
            ),
        ),
        "deterministic",
        "arrival",
        "groups",
        ("name",),
    ),
    # Checks.
    Mutation(
        "agents who are not in the snapshot stay active",
        "010_agents",
        (("where (current.status = 'active') <> (active.agent_id is not null)", "where false"),),
        "checks",
        "check-failed",
        "agents",
    ),
)
