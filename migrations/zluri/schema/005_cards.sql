-- Budgets and cards. Ids are opaque, so "C" order: the cheapest to compare and to index.

create table budgets (

    budget_id text collate "C" not null,
    content_hash bigint generated always as (
        hash_record_extended(row(
            budget_uuid, name, description, retired, start_date, recurring_interval, timezone,
            limit_amount, overspend_buffer, assigned_amount, spent_cleared, spent_pending,
            spent_total
        ), 0)
    ) stored,
    version_key text collate "C" not null,
    budget_uuid text,
    name text,
    description text,
    retired boolean,
    start_date date,
    recurring_interval text,
    timezone text,
    limit_amount numeric not null,
    overspend_buffer numeric,
    assigned_amount numeric,
    spent_cleared numeric,
    spent_pending numeric,
    spent_total numeric,
    constraint budgets_pkey primary key (budget_id),
    constraint budget_limit_is_not_negative check (limit_amount >= 0)

);

create table cards (

    card_id text collate "C" not null,
    updated_time timestamptz,
    content_hash bigint generated always as (
        hash_record_extended(row(
            card_uuid, name, user_id, user_uuid, budget_id, budget_uuid, last_four, valid_thru,
            status, type, share_budget_funds, recurring, recurring_limit, current_limit,
            current_spent, created_time, updated_time
        ), 0)
    ) stored,
    version_key text collate "C" not null,
    card_uuid text,
    name text,
    user_id text,
    user_uuid text,
    budget_id text,
    budget_uuid text,
    last_four text,
    valid_thru text,
    status text not null,
    type text not null,
    share_budget_funds boolean,
    recurring boolean,
    recurring_limit numeric,
    current_limit numeric,
    current_spent numeric,
    created_time timestamptz not null,
    constraint cards_pkey primary key (card_id),
    constraint card_recurring_limit_is_not_negative check (recurring_limit >= 0),
    constraint card_limit_is_not_negative check (current_limit >= 0),
    constraint card_spent_is_not_negative check (current_spent >= 0)

);
