-- Agents, their presence, their roles.
--
-- A version is (time, day, source): `version_key` is day_order() of the day that brought the
-- row, so that of two records with the same time the later day's wins, whenever it is applied.
-- There are no foreign keys: agents and roles are never deleted and only known ones are
-- written, and a trigger a row would double the cost of the steps.

create table agents (

    agent_id bigint not null,
    updated_at timestamptz,
    content_hash bigint generated always as (
        hash_record_extended(row(
            email, name, job_title, language, mobile, phone, time_zone, last_login_at, org_agent_id,
            available, available_since, deactivated, focus_mode, agent_operational_status,
            ticket_scope, last_active_at, signature, freshchat_agent, created_at, updated_at
        ), 0)
    ) stored,
    version_source smallint not null,
    version_key text collate "C" not null,
    status text not null,
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
    constraint agents_pkey primary key (agent_id),
    constraint agent_status_is_known check (status in ('active', 'inactive')),
    constraint agent_email_is_not_empty check (email <> ''),
    constraint agent_name_is_not_empty check (name <> ''),
    constraint agent_source_is_known check (version_source in (0, 1))

);

comment on column agents.version_source is '1: agents, 0: agent_details; on equal time and day the higher one wins';

-- The day comes first in the key: a day's rows lie together, and steps read by the day.
create table agent_status_history (

    agent_id bigint not null,
    day text collate "C" not null,
    is_active boolean not null,
    constraint agent_status_history_pkey primary key (day, agent_id)

);

-- Presence of ids that no good record has made known yet. It moves to agent_status_history
-- when one does. Only `agents` can name such an id, so all of it is active.
create table agent_presence_unknown (

    agent_id bigint not null,
    day text collate "C" not null,
    constraint agent_presence_unknown_pkey primary key (agent_id, day)

);

create index agent_presence_unknown_day on agent_presence_unknown (day);

-- The applied days. A day whose snapshot is empty leaves no presence, and may still be the latest.
create table agent_days (

    day text collate "C" not null,
    day_key text collate "C" not null,
    constraint agent_days_pkey primary key (day)

);

create index agent_days_latest on agent_days (day_key);

create table roles (

    role_id bigint not null,
    name text not null,
    description text,
    is_default boolean,
    agent_type text,
    created_at timestamptz,
    updated_at timestamptz,
    version_key text collate "C" not null,
    constraint roles_pkey primary key (role_id),
    constraint role_name_is_not_empty check (name <> '')

);

create table agent_role_mapping (

    agent_id bigint not null,
    role_id bigint not null,
    status text not null,
    constraint agent_role_mapping_pkey primary key (agent_id, role_id),
    constraint role_status_is_known check (status in ('assigned', 'removed'))

);

-- Pairs that some day named and whose agent or role is not known yet.
create table agent_role_unknown (

    agent_id bigint not null,
    role_id bigint not null,
    constraint agent_role_unknown_pkey primary key (agent_id, role_id)

);

-- The well-formed role lists of each day, sorted and without repetitions; an empty list says
-- "none", a malformed one is not here and says nothing.
create table agent_role_history (

    agent_id bigint not null,
    day text collate "C" not null,
    day_key text collate "C" not null,
    role_ids bigint[] not null,
    constraint agent_role_history_pkey primary key (day, agent_id)

);

-- The latest list of an agent is one step down this index, however many days there are.
create index agent_role_history_latest on agent_role_history (agent_id, day_key);
