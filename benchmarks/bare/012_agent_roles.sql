-- Each agent's roles, all of them assigned, and its list as it comes.
begin;

insert into agent_role_mapping (agent_id, role_id, status)
select distinct agent_id, unnest(role_ids), 'assigned'
from stg_agent_details
where day = current_setting('app.day')
on conflict (agent_id, role_id) do update
set status = excluded.status;

insert into agent_role_history (agent_id, day, day_key, role_ids)
select distinct on (agent_id)
    agent_id,
    day,
    day,
    role_ids
from stg_agent_details
where day = current_setting('app.day')
order by agent_id, updated_at desc
on conflict (day, agent_id) do update
set
    day_key = excluded.day_key,
    role_ids = excluded.role_ids;

commit;
