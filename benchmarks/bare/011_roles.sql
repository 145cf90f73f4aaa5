-- Roles, rows as they come.
begin;

insert into roles (
    role_id,
    name,
    description,
    is_default,
    agent_type,
    created_at,
    updated_at,
    version_key
)
select distinct on (role_id)
    role_id,
    name,
    description,
    is_default,
    agent_type,
    created_at,
    updated_at,
    day
from stg_roles
where day = current_setting('app.day')
order by role_id, updated_at desc
on conflict (role_id) do update
set
    name = excluded.name,
    description = excluded.description,
    is_default = excluded.is_default,
    agent_type = excluded.agent_type,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    version_key = excluded.version_key;

commit;
