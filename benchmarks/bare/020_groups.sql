-- Groups, all of them inactive, their members, and each one's list as it comes.
begin;

insert into groups (
    group_id,
    name,
    description,
    parent_group_id,
    created_at,
    updated_at,
    inactive,
    version_key
)
select distinct on (group_id)
    group_id,
    name,
    description,
    parent_group_id,
    created_at,
    updated_at,
    true,
    day
from stg_admin_groups
where day = current_setting('app.day')
order by group_id, updated_at desc
on conflict (group_id) do update
set
    name = excluded.name,
    description = excluded.description,
    parent_group_id = excluded.parent_group_id,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    inactive = excluded.inactive,
    version_key = excluded.version_key;

insert into group_membership (group_id, agent_id)
select distinct group_id, unnest(agent_ids)
from stg_admin_groups
where day = current_setting('app.day')
on conflict (group_id, agent_id) do nothing;

insert into group_member_history (group_id, day, day_key, agent_ids)
select distinct on (group_id)
    group_id,
    day,
    day,
    agent_ids
from stg_admin_groups
where day = current_setting('app.day')
order by group_id, updated_at desc
on conflict (day, group_id) do update
set
    day_key = excluded.day_key,
    agent_ids = excluded.agent_ids;

commit;
