-- Groups and their members.

create table groups (

    group_id bigint not null,
    name text not null,
    description text,
    parent_group_id bigint,
    created_at timestamptz,
    updated_at timestamptz,
    inactive boolean not null,
    version_key text collate "C" not null,
    constraint groups_pkey primary key (group_id),
    constraint group_name_is_not_empty check (name <> '')

);

create table group_membership (

    group_id bigint not null,
    agent_id bigint not null,
    constraint group_membership_pkey primary key (group_id, agent_id)

);

-- Pairs that a group's latest list names and whose agent is not known yet.
create table group_member_unknown (

    group_id bigint not null,
    agent_id bigint not null,
    constraint group_member_unknown_pkey primary key (group_id, agent_id)

);

-- The well-formed member lists of each day as the source has them, with repetitions and members
-- that are not known yet; an empty list says "none", a malformed one is not here and says nothing.
create table group_member_history (

    group_id bigint not null,
    day text collate "C" not null,
    day_key text collate "C" not null,
    agent_ids bigint[] not null,
    constraint group_member_history_pkey primary key (day, group_id)

);

-- The latest list of a group is one step down this index, however many days there are.
create index group_member_history_latest on group_member_history (group_id, day_key);
