-- What the loaders write and the steps read: one table an entity, one row a good record,
-- superseded ones included. No keys and no checks: the loader has sorted good from bad, and a
-- day is replaced as a whole. A record is identified by its file and its place in it, which is
-- also its order; "C" makes that order the plain one of the paths, whatever the server's locale.

create table stg_agents (

    day text not null,
    source_file text collate "C" not null,
    position bigint not null,
    agent_id bigint not null,
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
    updated_at timestamptz

);

create index stg_agents_day on stg_agents (day);

-- Arrays: empty where the source has none, null where what it has is no array.
create table stg_agent_details (

    day text not null,
    source_file text collate "C" not null,
    position bigint not null,
    agent_id bigint not null,
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
    updated_at timestamptz,
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
    source_file text collate "C" not null,
    position bigint not null,
    budget_id text not null,
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
    source_file text collate "C" not null,
    position bigint not null,
    card_id text not null,
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
    updated_time timestamptz

);

create index stg_cards_day on stg_cards (day);

create table stg_transactions (

    day text not null,
    source_file text collate "C" not null,
    position bigint not null,
    transaction_id text not null,
    transaction_uuid text not null,
    transaction_type text,
    occurred_time timestamptz not null,
    updated_time timestamptz,
    user_id text,
    user_uuid text,
    user_name text,
    merchant_name text,
    raw_merchant_name text,
    card_id text,
    card_uuid text,
    budget_id text,
    budget_uuid text,
    minor_units bigint not null,
    currency text not null,
    exponent smallint not null,
    payload_rate numeric

);

create index stg_transactions_day on stg_transactions (day);
