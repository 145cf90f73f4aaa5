-- check: 012_agent_roles
-- severity: warn
-- description: listed roles that wait for their agent or role to become known
select
    waiting.agent_id,
    waiting.role_id,
    agents.agent_id is not null as agent_is_known,
    roles.role_id is not null as role_is_known
from agent_role_unknown as waiting
left join agents on agents.agent_id = waiting.agent_id
left join roles on roles.role_id = waiting.role_id
order by waiting.agent_id, waiting.role_id
