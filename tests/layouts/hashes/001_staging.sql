-- What the loaders write and the steps read: one table an entity, one row a good record,
-- superseded ones included. No keys and no checks: the loader has sorted good from bad, and a
-- day is replaced as a whole. A record is identified by its file and its place in it, which is
-- also its order; "C" makes that order the plain one of the paths, whatever the server's locale.
--
-- `content_hash` is of all columns that a step copies as they are, and the final table has the same
-- of its own: whether a record says anything new is one comparison, not twenty. Two contents of
-- one key with the same 64 bits are not to be expected in the lifetime of a warehouse.
-- What is compared stands first, because a row is unpacked from the left.

create table stg_agents (

    day text not null,
    agent_id bigint not null,
    updated_at timestamptz,
    content_hash bigint generated always as (
        hash_record_extended(row(
            email, name, job_title, language, mobile, phone, time_zone, last_login_at, org_agent_id,
            available, available_since, deactivated, focus_mode, agent_operational_status,
            ticket_scope, last_active_at, signature, freshchat_agent, created_at, updated_at
        ), 0)
    ) stored,
    source_file text collate "C" not null,
    position bigint not null,
    email text not null,
    name text not null,
    job_title text,
    language text,
    mobile text,
    phone text,
    time_zone text,
    last_login_at timestamptz,
    org_agent_id text,
    available boolean,
    available_since timestamptz,
    deactivated boolean,
    focus_mode boolean,
    agent_operational_status text,
    ticket_scope text,
    last_active_at timestamptz,
    signature text,
    freshchat_agent boolean,
    created_at timestamptz

);

create index stg_agents_day on stg_agents (day);

-- Arrays: empty where the source has none, null where what it has is no array.
create table stg_agent_details (

    day text not null,
    agent_id bigint not null,
    updated_at timestamptz,
    content_hash bigint generated always as (
        hash_record_extended(row(
            email, name, job_title, language, mobile, phone, time_zone, last_login_at, org_agent_id,
            available, available_since, deactivated, focus_mode, agent_operational_status,
            ticket_scope, last_active_at, signature, freshchat_agent, created_at, updated_at
        ), 0)
    ) stored,
    source_file text collate "C" not null,
    position bigint not null,
    email text not null,
    name text not null,
    job_title text,
    language text,
    mobile text,
    phone text,
    time_zone text,
    last_login_at timestamptz,
    org_agent_id text,
    available boolean,
    available_since timestamptz,
    deactivated boolean,
    focus_mode boolean,
    agent_operational_status text,
    ticket_scope text,
    last_active_at timestamptz,
    signature text,
    freshchat_agent boolean,
    created_at timestamptz,
    role_ids bigint[]

);

create index stg_agent_details_day on stg_agent_details (day);

create table stg_admin_groups (

    day text not null,
    source_file text collate "C" not null,
    position bigint not null,
    group_id bigint not null,
    name text not null,
    description text,
    parent_group_id bigint,
    agent_ids bigint[],
    created_at timestamptz,
    updated_at timestamptz

);

create index stg_admin_groups_day on stg_admin_groups (day);

create table stg_roles (

    day text not null,
    source_file text collate "C" not null,
    position bigint not null,
    role_id bigint not null,
    name text not null,
    description text,
    is_default boolean,
    agent_type text,
    created_at timestamptz,
    updated_at timestamptz

);

create index stg_roles_day on stg_roles (day);

create table stg_budgets (

    day text not null,
    budget_id text not null,
    content_hash bigint generated always as (
        hash_record_extended(row(
            budget_uuid, name, description, retired, start_date, recurring_interval, timezone,
            limit_amount, overspend_buffer, assigned_amount, spent_cleared, spent_pending,
            spent_total
        ), 0)
    ) stored,
    source_file text collate "C" not null,
    position bigint not null,
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
    spent_total numeric

);

create index stg_budgets_day on stg_budgets (day);

create table stg_cards (

    day text not null,
    card_id text not null,
    updated_time timestamptz,
    content_hash bigint generated always as (
        hash_record_extended(row(
            card_uuid, name, user_id, user_uuid, budget_id, budget_uuid, last_four, valid_thru,
            status, type, share_budget_funds, recurring, recurring_limit, current_limit,
            current_spent, created_time, updated_time
        ), 0)
    ) stored,
    source_file text collate "C" not null,
    position bigint not null,
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
    created_time timestamptz not null

);

create index stg_cards_day on stg_cards (day);

create table stg_transactions (

    day text not null,
    transaction_id text not null,
    occurred_time timestamptz not null,
    updated_time timestamptz,
    content_hash bigint generated always as (
        hash_record_extended(row(
            transaction_uuid, transaction_type, occurred_time, updated_time, user_id, user_uuid,
            user_name, merchant_name, raw_merchant_name, card_id, card_uuid, budget_id, budget_uuid
        ), 0)
    ) stored,
    minor_units bigint not null,
    exponent smallint not null,
    currency text not null,
    payload_rate numeric,
    source_file text collate "C" not null,
    position bigint not null,
    transaction_uuid text not null,
    transaction_type text,
    user_id text,
    user_uuid text,
    user_name text,
    merchant_name text,
    raw_merchant_name text,
    card_id text,
    card_uuid text,
    budget_id text,
    budget_uuid text

);

create index stg_transactions_day on stg_transactions (day);
