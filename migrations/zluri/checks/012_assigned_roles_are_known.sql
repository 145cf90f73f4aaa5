-- check: 012_agent_roles
-- severity: error
-- description: role assignments of an agent or a role that is not known
select
    mapping.agent_id,
    mapping.role_id,
    mapping.status,
    agents.agent_id is not null as agent_is_known,
    roles.role_id is not null as role_is_known
from agent_role_mapping as mapping
left join agents on agents.agent_id = mapping.agent_id
left join roles on roles.role_id = mapping.role_id
where agents.agent_id is null or roles.role_id is null
order by mapping.agent_id, mapping.role_id
